"""Mail that a stranger or a colleague makes look like an agency's: what each reader may make of a From, of result fields, of names."""

import base64
import io
import secrets
import socket
import subprocess
import sys
import zipfile

import client
import pytest

OUTSIDE = "dan@hopthu.example"


def message(sender, *more, body="text"):
    fields = ["From: " + sender, "Subject: =?utf-8?q?B=C3=A1o_c=C3=A1o?=", "Date: Sun, 22 Nov 2026 08:00:00 +0700", *more]
    return ("\r\n".join(fields) + "\r\n\r\n" + body + "\r\n").encode()


def from_outside(server, raw):
    s = server.mx()
    try:
        s.ehlo("hopthu.example")
        return client.transaction(s, OUTSIDE, [server.user("head")["address"]], raw)
    finally:
        client.close(s)


@pytest.mark.parametrize("form", [
    "%s", "%s.", "%s..", "%s\u3002", "VT <%s.>", "=?utf-8?q?V=C4=83n_th=C6=B0?= %s", "VT %s.", "<@x.example:%s>", "<%s", "g:%s.;",
])
def test_no_spelling_of_a_functional_mailbox_passes_unsigned_from_outside(server, form):
    """What a mail client shows as the agency's mailbox is judged as that mailbox."""
    address = server.mailbox(server.user("clerk")["agency"])["address"]
    code, text = from_outside(server, message(form % address))
    assert code == 550, (code, text)


@pytest.mark.parametrize("form", ['"%s\x01.%s"@%s', "%s\x01.%s@%s", "%s.%s\x01@%s", '"%s\t.%s"@%s', '"%s .%s"@%s'])
def test_no_white_space_or_control_hides_a_functional_mailbox(server, form):
    local, domain = server.mailbox(server.user("clerk")["agency"])["address"].split("@")
    code, text = from_outside(server, message(form % (*local.split("."), domain)))
    assert code == 550, (code, text)


def test_result_fields_of_ours_from_outside_do_not_survive(server):
    """RFC 8601 5: whatever way the name is written that a reader takes for ours."""
    mid = "<%s@hopthu.example>" % secrets.token_hex(8)
    host = "localhost"
    ids = [host, r"(\() " + host, "(a(b)c)" + host, '"%s"' % host, '"loc\\alhost"', host.upper(), "\r\n " + host, host + " 1", "(x"]
    raw = message(OUTSIDE, "Message-ID: " + mid, *("Authentication-Results: %s; smime=pass (forged)" % i for i in ids))
    assert from_outside(server, raw)[0] == 250
    got = server.fetch(server.user("head"), mid)
    assert got is not None and b"forged" not in got, got
    assert b"Authentication-Results: localhost; smime=none" in got


def attachment(fields, content="x"):
    return ("--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n--b\r\n" + "\r\n".join(fields) + "\r\n\r\n" + content + "\r\n--b--")


def submit_part(server, fields, content="x"):
    user = server.user("staff")
    raw = message(user["address"], "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b", body=attachment(fields, content))
    return server.submit(user, user["address"], [server.user("head")["address"]], raw)


@pytest.mark.parametrize("field", [
    "Content-Disposition: attachment; filename*=utf-8''a.txt; filename=a.js",
    "Content-Disposition: attachment; filename=a.js; filename*=utf-8''a.txt",
    "Content-Disposition: attachment; filename=a.txt; filename=a.js",
    "Content-Type: application/octet-stream; name=a.txt; name=a.js",
    "Content-Disposition: attachment filename=a.js",
    "Content-Disposition: ; filename=a.js",
    "Content-Disposition: filename=a.js",
    "Content-Disposition: attachment; filename='a.js'",
    "Content-Disposition: attachment,\r\n filename=a.js",
    "Content-Disposition: attachment; x=\"; filename=a.js",
    "Content-Type: application/octet-stream name=a.js",
    "Content-Type: ; name=\"a.js\"",
    "Content-Disposition: attachment; filename*=utf-8''a%2Ejs%",
])
def test_a_script_is_refused_under_any_reading_of_its_name(server, field):
    code, text = submit_part(server, [field])
    assert code == 550 and ("P22" in text or "P24" in text), (code, text)


@pytest.mark.parametrize("field", [
    "Content-Disposition: attachment; filename*=utf-8''B%C3%A1o%20c%C3%A1o.txt; filename=\"Bao cao.txt\"",
    "Content-Disposition: attachment; filename=\"so sanh filename=x.txt\"",
    "Content-Type: text/plain; name=\"vi du a.js.txt\"",
])
def test_an_honest_name_passes(server, field):
    code, text = submit_part(server, [field])
    assert code == 250, (code, text)


PROGRAM = b"MZ\x90\0" + bytes(56) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0" + bytes(400)


@pytest.mark.parametrize("encoding", ["(a comment) base64", '"base64"', "7bit, base64", "x-none"])
def test_a_program_is_found_behind_an_encoding_that_careless_readers_take_for_base64(server, encoding):
    code, text = submit_part(server, ["Content-Disposition: attachment; filename=a.pdf", "Content-Transfer-Encoding: " + encoding],
                             base64.encodebytes(PROGRAM).decode().replace("\n", "\r\n"))
    assert code == 550, (code, text)


def zipped(name):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(name, "harmless " * 9)
    return out.getvalue()


@pytest.mark.parametrize("which", ["local", "directory", "first", "second"])
def test_a_script_in_a_zip_is_found_by_either_of_its_names(server, which):
    """Unpackers go by the directory at the end, some by the headers in front of the members."""
    data = zipped("a.js")
    if which == "local":
        data = data[::-1].replace(b"a.js"[::-1], b"a.md"[::-1], 1)[::-1]
    elif which == "directory":
        data = data.replace(b"a.js", b"a.md", 1)
    elif which == "first":
        data = data + zipped("b.md")
    else:
        data = zipped("b.md") + data
    code, text = submit_part(server, ["Content-Disposition: attachment; filename=a.zip", "Content-Transfer-Encoding: base64"],
                             base64.encodebytes(data).decode().replace("\n", "\r\n"))
    assert code == 550, (code, text)


@pytest.mark.parametrize("at", ["@", "\uff20", "\ufe6b"])
def test_a_display_name_shows_nobody_elses_address(server, at):
    user, other = server.user("staff"), server.user("head")["address"]
    raw = message("=?utf-8?b?%s?= <%s>" % (base64.b64encode(other.replace("@", at).encode()).decode(), user["address"]))
    code, text = server.submit(user, user["address"], [other], raw)
    assert code == 550 and "M04" in text, (code, text)


@pytest.mark.parametrize("subjects", [("Re: x", "15/Q\u0110-UBND"), ("15/Q\u0110-UBND", "Re: x"), ("x", "15/Q\u0110-UBND")])
def test_a_second_subject_hides_no_document_symbol(server, subjects):
    user, other = server.user("staff"), server.user("head")["address"]
    raw = "".join(["From: %s\r\n" % user["address"]] + ["Subject: %s\r\n" % s for s in subjects]) + "\r\ntext\r\n"
    code, text = server.submit(user, user["address"], [other], raw.encode())
    assert code == 550 and "P01" in text, (code, text)
