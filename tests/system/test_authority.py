"""P11 from end to end: what a post lets sign, its holder may while it is held, as of the moment the mail comes."""

import base64
import json
import random
import subprocess

import client

from test_at_once import Directory


def b64(text):
    return base64.b64encode(text.encode()).decode()


def agency_of(server, abbrev):
    """The code of the agency with this abbreviation."""
    return next(a["code"] for a in json.loads(server.congvu("--json", "agency", "list").stdout) if a.get("abbrev") == abbrev)


def signed_pdf(text, user):
    """One page, signed by a person's key (PAdES), in one revision."""
    show, room = b"BT /F1 14 Tf 72 770 Td (%s) Tj ET" % text.encode("ascii"), 12000
    blank = b"[0 %010d %010d %010d]" % (0, 0, 0)
    objects = [b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /SigFlags 3 /Fields [7 0 R] >> >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> /Annots [7 0 R] >>",
               b"<< /Length %d >>\nstream\n%s\nendstream" % (len(show), show), b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>",
               b"<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached /ByteRange " + blank + b" /Contents <" + b"0" * room + b"> >>",
               b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Sig1) /V 6 0 R /Rect [0 0 0 0] /P 3 0 R /F 132 >>"]
    data, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", []
    for n, o in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (n, o)
    start = len(data)
    data += b"xref\n0 8\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % p for p in places)
    data += b"trailer\n<< /Size 8 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    at = data.index(b"/Contents <00") + len(b"/Contents ")
    end = at + room + 2
    data = data.replace(blank, b"[0 %010d %010d %010d]" % (at, end, len(data) - end), 1)
    der = subprocess.run(["openssl", "cms", "-sign", "-binary", "-cades", "-outform", "DER", "-md", "sha256", "-signer", user["cert"], "-inkey", user["key"]],
                         input=data[:at] + data[end:], capture_output=True, check=True).stdout
    return data[:at + 1] + der.hex().encode().ljust(room, b"0") + data[end - 1:]


def test_a_post_lets_its_holder_sign(server):
    """None without it; while the post is held; in its days; not once it is given back."""
    clerk, box, head = server.user("clerk", agency="SKHCN"), server.mailbox("SKHCN"), server.user("staff", agency="SKHCN")
    to = server.user("staff", agency="STC")

    def found():
        n = random.randrange(1000, 99999)
        mid = client.new_id(server.domain)
        entity = client.multipart([client.text_part("Kính gửi.\n"), client.attachment("qd.pdf", signed_pdf("So: %d" % n, head))])
        mail = client.header(box["address"], [to["address"]], "%d/QĐ-SKHCN V/v: họp" % n, mid) + client.sign(entity, box)
        code, said = server.submit(clerk, box["address"], [to["address"]], mail)
        assert code == 250, said
        rec = next(r for m in json.loads(server.congvu("--json", "trace", said.split()[-1]).stdout) for r in m["records"] if r["event"] == "verdict")
        assert [s["status"] for s in rec["sig"] if s["coverage"] == "document"] == ["valid"], rec["sig"]
        return [f["detail"] for f in rec["findings"] if f["id"] == "P11"]

    def congvu(*args):
        r = server.congvu(*args, "--decision", "9/QĐ-TEST")
        assert r.returncode == 0, r.stdout + r.stderr

    directory, post = Directory(server), "%s-ky" % agency_of(server, "SKHCN")
    who = directory.search("(uid=%s)" % head["login"], "vnStaffId").split("vnStaffId: ")[1].split()[0]
    refused = found()
    assert len(refused) == 1 and "QĐ, signed by " in refused[0], refused
    congvu("post", "create", post, "--agency", post[:-3], "--title", "Phó Giám đốc")
    congvu("post", "assign", post, who)
    dn = directory.dn("(vnPositionCode=%s)" % post)
    directory.modify(dn, "replace: vnSigningAuthority", "vnSigningAuthority: NQ;TM", "vnSigningAuthority:: " + b64("QĐ;*;20200101;20991231;9/QĐ-TEST"))
    assert found() == []
    # another type; then days that are over
    directory.modify(dn, "replace: vnSigningAuthority", "vnSigningAuthority: NQ;TM")
    assert len(found()) == 1
    directory.modify(dn, "replace: vnSigningAuthority", "vnSigningAuthority:: " + b64("QĐ;*;20200101;20210101;9/QĐ-TEST"))
    assert len(found()) == 1
    directory.modify(dn, "replace: vnSigningAuthority", "vnSigningAuthority:: " + b64("QĐ;KT"))
    assert found() == []
    congvu("post", "release", post, who)
    assert len(found()) == 1
