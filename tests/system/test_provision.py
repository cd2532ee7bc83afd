"""congvu agency and congvu staff: what HR does, and what it means for the person at once."""

import json
import time

import client
import pytest


def answer(r):
    assert r.returncode == 0, r.stdout + r.stderr
    return json.loads(r.stdout)


def test_agencies_are_listed(server):
    rows = answer(server.congvu("agency", "list", "--json"))
    assert {r["abbrev"] for r in rows} >= {"VPUBND", "SKHCN", "STC", "SUOIMAY"}
    assert next(r for r in rows if r["abbrev"] == "STC")["mailbox"] == server.mailbox("STC")["address"]


def test_adding_an_agency_again_changes_nothing(server):
    row = next(r for r in answer(server.congvu("agency", "list", "--json")) if r["abbrev"] == "STC")
    again = answer(server.congvu("agency", "add", "--code", row["code"], "--abbrev", "STC", "--kind", row["kind"], "--name",
                                 row["name"], "--mailbox", row["mailbox"], "--decision", "01/QĐ-UBND", "--json"))
    assert again["result"] == "unchanged"


def test_staff_show(server):
    user = server.user("clerk", agency="SKHCN")
    got = answer(server.congvu("staff", "show", user["address"], "--json"))
    assert got["mail"] == user["address"] and got["uid"] == user["login"] and got["name"] == user["name"]
    assert server.mailbox("SKHCN")["address"] in got["mailboxes"]
    assert server.congvu("staff", "show", "khong.co.ai").returncode != 0


def test_a_hired_person_works_at_once(server, tmp_path):
    """One command, and she signs in with a Vietnamese password, is written to, and writes."""
    password = "Mật khẩu mới: %d" % time.time_ns()
    (tmp_path / "password").write_text(password + "\n")
    got = answer(server.congvu("staff", "hire", "--name", "Cao Thị Bích Đào", "--agency", "H99.31", "--title", "Công chức",
                               "--role", "staff", "--decision", "02/QĐ-UBND", "--password-file", tmp_path / "password", "--json"))
    assert got["result"] == "added" and got["mail"].startswith("daoctb") and got["uid"]
    person = {"login": got["uid"], "address": got["mail"], "password": password, "name": "Cao Thị Bích Đào"}
    mid = client.new_id(server.domain)
    mail = client.header(person["address"], [person["address"]], "Thư đầu tiên", mid) + client.text_part("Xin chào.\n")
    code, text = server.submit(person, person["address"], [person["address"]], mail)
    assert code == 250, text
    assert server.fetch(person, mid) is not None
    m = server.imap(person)
    names = b" ".join(m.list()[1])
    for use in (b"\\Drafts", b"\\Sent", b"\\Junk", b"\\Trash", b"\\Archive"):
        assert use in names
    client.close(m)
    listed = answer(server.congvu("staff", "list", "--agency", "H99.31", "--json"))
    assert got["mail"] in [r["mail"] for r in listed]


def test_a_list_of_people(server, tmp_path):
    """HR's list as CSV with Vietnamese heads; namesakes get addresses of their own."""
    path = tmp_path / "danh-sach.csv"
    path.write_text("\ufeffSTT;Họ và tên;Chức vụ;Mã đơn vị;Số quyết định\r\n"
                    "1;Vương Thị Lụa;Chuyên viên;H99.03;03/QĐ-UBND\r\n"
                    "2;Vương Thị Lụa;Kế toán viên;H99.03;05/QĐ-UBND\r\n", encoding="utf-8")
    rows = answer(server.congvu("staff", "hire", "--file", path, "--json"))
    assert [r["result"] for r in rows] == ["added", "added"]
    assert len({r["mail"] for r in rows}) == 2 and len({r["id"] for r in rows}) == 2
    assert all(len(r["password"]) >= 8 for r in rows)
    # they are first passwords: for nothing but being changed
    assert all(r["must_change"] for r in rows)
    person = {"login": rows[1]["uid"], "password": rows[1]["password"]}
    with pytest.raises(Exception, match="EXPIRED"):
        server.imap(person)
    r = server.congvu("password", "change", rows[1]["id"], "--password-stdin", input="%s\nmật khẩu của Lụa\n" % rows[1]["password"])
    assert r.returncode == 0, r.stderr
    client.close(server.imap(dict(person, password="mật khẩu của Lụa")))


def test_a_wrong_agency_is_told(server):
    r = server.congvu("staff", "hire", "--name", "Lê Thị Không", "--agency", "H00.00", "--title", "Chuyên viên", "--role", "staff",
                      "--decision", "04/QĐ-UBND")
    assert r.returncode not in (0, 1) and "H00.00" in r.stderr


@pytest.mark.parametrize("words", [("status",), ("agency", "list"), ("staff", "list"), ("audit", "show"), ("queue", "list"),
                                   ("audit", "verify"), ("check",)])
def test_json_everywhere(server, words):
    r = server.congvu(*words, "--json")
    assert r.returncode == 0, r.stderr
    json.loads(r.stdout)


def test_check_finds_faults(server, tmp_path):
    conf = tmp_path / "congvu.conf"
    text = server.conf.read_text().replace('"tls/', '"%s/tls/' % server.conf.parent)
    conf.write_text(text + 'no_such_option = 1\n')
    r = server.run_congvu(conf, "check")
    assert r.returncode == 78 and "no_such_option" in r.stderr + r.stdout
    conf.write_text(text.replace("cert.pem", "no-such.pem"))
    r = server.run_congvu(conf, "check")
    assert r.returncode != 0 and "no-such.pem" in r.stderr + r.stdout


def hire(server, *words):
    return server.congvu("staff", "hire", "--agency", "H99.01", "--decision", "06/QĐ-UBND", *words)


@pytest.mark.parametrize("name", ["", "  ", "Lê\nDòng", "Lê\u202eDòng", "Lê\u0085Dòng", "Lê\u2028Dòng"])
def test_a_name_that_is_none(server, name):
    r = hire(server, "--name", name, "--mail", "khongten@" + server.domain)
    assert r.returncode == 65 and ("missing" if not name.strip() else "control character") in r.stderr, r.stderr


def test_an_address_of_another_domain(server):
    """No mail would ever reach it here."""
    r = hire(server, "--name", "Lê Văn Khác", "--mail", "khaclv@other.example")
    assert r.returncode == 65 and "none of our domains" in r.stderr, r.stderr
    r = server.congvu("agency", "add", "--code", "H99.70", "--abbrev", "KHAC", "--kind", "dept", "--name", "Sở Khác",
                      "--mailbox", "vanthu@other.example", "--decision", "06/QĐ-UBND")
    assert r.returncode == 65 and "none of our domains" in r.stderr, r.stderr
    assert "H99.70" not in server.congvu("agency", "list").stdout


def test_an_agency_whose_mailbox_is_taken_is_not_half_added(server):
    r = server.congvu("agency", "add", "--code", "H99.71", "--abbrev", "KHAC", "--kind", "dept", "--name", "Sở Khác",
                      "--mailbox", server.mailbox("STC")["address"], "--decision", "06/QĐ-UBND")
    assert r.returncode == 73 and "belongs to" in r.stderr
    assert "H99.71" not in server.congvu("agency", "list").stdout


def test_staff_of_no_agency(server):
    r = server.congvu("staff", "list", "--agency", "H00.00")
    assert r.returncode == 67 and "H00.00" in r.stderr


@pytest.mark.parametrize("text", ["", "\n", '[{"name": "Lê Văn Một"}]\n', "DANH SÁCH CÁN BỘ\nHọ và tên,Chức vụ\nLê Văn Một,A\n"])
def test_a_list_without_names_is_told(server, tmp_path, text):
    path = tmp_path / "danh-sach"
    path.write_text(text, encoding="utf-8")
    r = server.congvu("staff", "hire", "--file", path, "--agency", "H99.01", "--decision", "07/QĐ-UBND")
    assert r.returncode == 65 and ("first line" in r.stderr or "empty" in r.stderr), r.stderr
