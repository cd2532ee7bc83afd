#!/usr/bin/python3
"""office_make.py DIR: files that offices send every day, in DIR/ok, and files that must not pass, in a folder named after the rule
that has to stop them (DIR/P22, ...). Made by hand in the layouts of different producers; what LibreOffice itself writes stands in
tests/data/office. All content is invented."""

import base64
import io
import pathlib
import struct
import sys
import zipfile
import zlib

DIR = pathlib.Path(sys.argv[1])
TEXT = "Cộng hòa xã hội chủ nghĩa Việt Nam\r\nKính gửi: các sở, ban, ngành\r\n"


def put(folder, name, data):
    (DIR / folder).mkdir(parents=True, exist_ok=True)
    (DIR / folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


class Stream(io.RawIOBase):
    """Cannot seek: zipfile then writes data descriptors, as producers that stream do."""

    def __init__(self):
        super().__init__()
        self.data = b""

    def writable(self):
        return True

    def write(self, b):
        self.data += bytes(b)
        return len(b)


def zipped(members, method=zipfile.ZIP_DEFLATED, stream=False, comment=b"", zip64=False):
    out = Stream() if stream else io.BytesIO()
    with zipfile.ZipFile(out, "w", method, allowZip64=True) as z:
        for name, data in members:
            if name == "mimetype":
                z.writestr(zipfile.ZipInfo(name), data)
            elif zip64:
                with z.open(zipfile.ZipInfo(name), "w", force_zip64=True) as f:
                    f.write(data if isinstance(data, bytes) else data.encode())
            else:
                z.writestr(name, data)
        z.comment = comment
    return out.data if stream else out.getvalue()


TYPES = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
WORD = [("[Content_Types].xml", TYPES), ("_rels/.rels", "<r/>"), ("word/document.xml", "<w:document>" + "x" * 2000 + "</w:document>")]
SHEET = [("[Content_Types].xml", TYPES), ("xl/workbook.xml", "<workbook/>"), ("xl/worksheets/sheet1.xml", "<worksheet/>")]
SLIDES = [("[Content_Types].xml", TYPES), ("ppt/presentation.xml", "<p/>"), ("ppt/slides/slide1.xml", "<s/>")]
MANIFEST = ('<?xml version="1.0"?><manifest:manifest><manifest:file-entry manifest:media-type='
            '"application/vnd.oasis.opendocument.text" manifest:full-path="/">%s</manifest:file-entry></manifest:manifest>')


def odf(extra=(), encrypted=False, mimetype=True):
    inner = "<manifest:encryption-data/>" if encrypted else ""
    head = [("mimetype", "application/vnd.oasis.opendocument.text")] if mimetype else []
    return zipped(head + [("content.xml", "<office:document-content/>"), ("META-INF/manifest.xml", MANIFEST % inner)] + list(extra))


def ole(streams, storages=()):
    """A compound file of 512-octet sectors, version 3 ([MS-CFB]): streams of at least 4,096 octets, one directory chain."""
    free, end = 0xffffffff, 0xfffffffe
    names = [("Root Entry", 5, b"")] + [(n, 1, b"") for n in storages] + [(n, 2, d.ljust(4096, b"\0")) for n, d in streams]
    n_dir = (len(names) + 3) // 4
    fat, data = [0xfffffffd], b""
    for i in range(n_dir):
        fat.append(len(fat) + 1 if i < n_dir - 1 else end)
    entries = []
    for i, (name, kind, content) in enumerate(names):
        start = end
        if content:
            content += b"\0" * (-len(content) % 512)
            start, n = len(fat), len(content) // 512
            fat += [start + k + 1 for k in range(n - 1)] + [end]
            data += content
        raw = (name + "\0").encode("utf-16-le")
        right = i + 1 if 0 < i < len(names) - 1 else free
        entries.append(raw.ljust(64, b"\0") + struct.pack("<HBBIII16sIQQIII", len(raw), kind, 1, free, right, 1 if i == 0 else free,
                                                          b"", 0, 0, 0, start, len(content), 0))
    directory = b"".join(entries).ljust(n_dir * 512, b"\0")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + struct.pack("<16sHHHHH6sIIIIIIIIII", b"", 0x3e, 3, 0xfffe, 9, 6, b"", 0, 1, 1, 0, 4096,
                                                               end, 0, end, 0, 0)
    header = (header + struct.pack("<I", free) * 108)[:512].ljust(512, b"\xff")
    return header + struct.pack("<%dI" % len(fat), *fat).ljust(512, b"\xff") + directory + data


def biff(*records):
    bof = b"\x09\x08\x10\x00\x00\x06\x05\x00" + b"\0" * 12
    return bof + b"".join(struct.pack("<HH", i, len(d)) + d for i, d in records) + b"\x0a\0\0\0"


def sheet(kind, name=b"Sheet1"):
    return 0x85, struct.pack("<IBBBB", 0, 0, kind, len(name), 0) + name


def program():
    head = bytearray(512)
    head[0:2] = b"MZ"
    struct.pack_into("<I", head, 0x3c, 128)
    head[128:132] = b"PE\0\0"
    return bytes(head)


def locked(data):
    """The encryption bit of every member set, in both headers."""
    out = bytearray(data)
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        i = out.find(magic)
        while i >= 0:
            out[i + at] |= 1
            i = out.find(magic, i + 1)
    return bytes(out)


def rar(flags):
    def block(kind, flag, rest):
        body = struct.pack("<BHH", kind, flag, 7 + len(rest)) + rest
        return struct.pack("<H", zlib.crc32(body) & 0xffff) + body
    return b"Rar!\x1a\x07\x00" + block(0x73, flags, b"\0" * 6) + (b"\x55" * 40 if flags & 0x80 else block(0x7b, 0x4000, b""))


SEVENZIP = {"plain": "N3q8ryccAAQ939leBwAAAAAAAABSAAAAAAAAABQgqmcBAAJoaQoAAQQGAAEJBwAHCwEAASEhAQAMAwAICgF6em/tAAAFARkMAAAA"
            "AAAAAAAAAAAAEQ0AYQAuAHQAeAB0AAAAFAoBAB3SDc0yet0BFQYBACCApIEAAA==", "entry": "N3q8ryccAAQxP15GEAAAAAAAAABiAAAAAAAAAO8JGy0qjfCBeyvH3fWHmWlTSn5GAQQGAAEJEAAHCwEAAiQG8QcBElMP0t9gyESX"
            "HkE+MhTBdJbidCEhAQABAAwHAwAICgF6em/tAAAFARkBABENAGEALgB0AHgAdAAAABQKAQAd0g3NMnrdARUGAQAggKSBAAA=", "header": "N3q8ryccAASfcNFagAAAAAAAAAAuAAAAAAAAAOXxgKHen/jeKUmZHI2sthjrhiZ4Ml6vOPVVfy5M6PCKK3KaC0qthBymJ6YBY6d2"
            "p9DDKQF6GqBgxZoP4zJ8wK55v19XiulTlzXOi7PraKv09HTFseYQkYQovLxtNDgBetbZ/zonjVgslzVi+qRvgoQoLBUoF2DkeEBA"
            "HnpDk8/FkkfhUxcGEAEJcAAHCwEAASQG8QcBElMP8kKDYOuaGqUdwtolzYBOnQxiCgFuvlczAAA="}


PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj<</Type/Catalog>>endobj\n" + b"x" * 3000 + b"\ntrailer<</Root 1 0 R>>\n%%EOF\n"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
JPG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + b"\x11" * 400 + b"\xff\xd9"
exe = program()


def ordinary():
    # OOXML as different producers lay it out
    put("ok", "15_QĐ-UBND.docx", zipped(WORD))
    put("ok", "stored.docx", zipped(WORD, zipfile.ZIP_STORED))
    put("ok", "streamed.docx", zipped(WORD, stream=True))
    put("ok", "types-last.docx", zipped(WORD[::-1]))
    put("ok", "folders.docx", zipped([("word/", b""), ("_rels/", b"")] + WORD))
    put("ok", "backslashes.docx", zipped([(n.replace("/", "\\"), d) for n, d in WORD]))
    put("ok", "zip64.xlsx", zipped(SHEET, zip64=True))
    put("ok", "comment.xlsx", zipped(SHEET, comment=b"made by a report server"))
    put("ok", "absolute.xlsx", zipped([("/" + n if n[0] != "[" else n, d) for n, d in SHEET]))
    put("ok", "trình-chiếu.pptx", zipped(SLIDES))
    put("ok", "picture.docx", zipped(WORD + [("word/media/image1.png", PNG), ("word/embeddings/bang.xlsx", zipped(SHEET))]))
    put("ok", "slides as show.ppsx", zipped(SLIDES))
    put("ok", "renamed.doc", zipped(WORD))
    put("ok", "van-ban.odt", odf())
    signature = '<?xml version="1.0"?><Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>'
    put("ok", "đã ký.docx", zipped(WORD + [("_xmlsignatures/origin.sigs", b""), ("_xmlsignatures/sig1.xml", signature)]))
    put("ok", "đã ký.odt", odf([("META-INF/documentsignatures.xml", signature)]))
    put("ok", "attributes.docx", zipped(WORD[:2] + [("word/document.xml", "<?xml version='1.0' encoding='UTF-8' standalone='yes'?>"
        "<!-- a ---><w:document %s>%s</w:document>" % (" ".join("xmlns:x%d='urn:%d'" % (i, i) for i in range(60)),
                                                   "<w:p xmlns:w='urn:w' a='1' b=\"x='>'\"><![CDATA[<a ]]]></w:p>" * 3000))]))
    put("ok", "no-mimetype.odt", odf(mimetype=False))
    put("ok", "thumbnail.ods", odf([("Thumbnails/thumbnail.png", PNG), ("Configurations2/", b"")]))
    # OLE2
    put("ok", "cu.doc", ole([("WordDocument", b"\xec\xa5"), ("1Table", b"x")]))
    put("ok", "bang.xls", ole([("Workbook", biff(sheet(0), (0xfc, b"x" * 500), sheet(0, b"MacroEconomy")))]))
    put("ok", "cu.ppt", ole([("PowerPoint Document", b"x"), ("Current User", b"x")]))
    put("ok", "thư.msg", ole([("__properties_version1.0", b"x")], ["__nameid_version1.0"]))
    put("ok", "renamed.docx", ole([("WordDocument", b"x")]))
    # what is called .xls and .doc
    put("ok", "bao-cao.xls", "<html><head><meta charset='utf-8'></head><table><tr><td>STT</td></tr></table></html>")
    put("ok", "bang.xls.xls", '<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook/>')
    put("ok", "tab.xls", "STT\tHọ tên\r\n1\tTrần Bình\r\n")
    put("ok", "rtf.doc", b"{\\rtf1\\ansi Kinh gui}")
    put("ok", "web.doc", "<html xmlns:o='urn:schemas-microsoft-com:office:office'><body>" + TEXT + "</body></html>")
    put("ok", "mime.doc", "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x--\r\n")
    put("ok", "thu.rtf", b"{\\rtf1\\ansi Kinh gui}")
    # text in every charset of the last thirty years
    put("ok", "danh-sach.csv", "STT,Họ và tên\r\n1,Trần Bình\r\n")
    put("ok", "excel.csv", "STT;Họ và tên\r\n".encode("utf-8-sig"))
    put("ok", "unicode.csv", "STT\tHọ và tên\r\n1\tTrần Bình\r\n".encode("utf-16"))
    put("ok", "be.txt", b"\xfe\xff" + TEXT.encode("utf-16-be"))
    put("ok", "no-mark.txt", ("So: 15/QD-UBND ngay 01/02/2026 " * 20).encode("utf-16-le"))
    put("ok", "tcvn3.txt", TEXT.encode().decode("utf-8").encode("cp1258", "replace") + b"\xd1\xbf\xb5\x02\x05\x06 C\xe9ng h\xdfa\r\n")
    put("ok", "viscii.txt", b"C\xf5ng h\xf2a x\xe3 h\xf5i \x02\x05\x06\x14\x19\x1e\r\n")
    put("ok", "trống.txt", b"")
    put("ok", "MZ.txt", "MZ là mã vùng của chúng tôi, và đây là một tệp chữ dài hơn sáu mươi tư ký tự, đọc được.\r\n")
    put("ok", "pdf-speak.txt", "A file that begins with %PDF-1.4 is a PDF.\r\n")
    put("ok", "PKzip.txt", "PK là tên viết tắt.\r\n")
    put("ok", "lich.ics", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n")
    put("ok", "danh-thiep.vcf", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Trần Bình\r\nEND:VCARD\r\n")
    put("ok", "kem.eml", "From: a@x.example\r\nSubject: x\r\n\r\n" + TEXT)
    put("ok", "trang.mht", "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<html/>\r\n")
    put("ok", "du-lieu.xml", '<?xml version="1.0"?><a/>')
    put("ok", "no-declaration.xml", "<edXML:Envelope xmlns:edXML='http://www.mic.gov.vn/TBT/QCVN_102_2016'/>")
    put("ok", "utf16.xml", '<?xml version="1.0" encoding="utf-16"?><a/>'.encode("utf-16"))
    put("ok", "du-lieu.json", '{"a": 1}')
    put("ok", "bang.html", "<!DOCTYPE html><p>x")
    put("ok", "ghi-chu.md", "# x\n")
    put("ok", "hinh.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
    # images, under each other's endings too
    images = {"png": PNG, "jpg": JPG, "gif": b"GIF89a" + b"\0" * 30, "bmp": b"BM" + struct.pack("<IHHI", 90, 0, 0, 54) + b"\0" * 76,
              "tif": b"II*\0" + b"\0" * 30, "webp": b"RIFF" + struct.pack("<I", 40) + b"WEBPVP8 " + b"\0" * 30,
              "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 30}
    for ext, data in images.items():
        put("ok", "ảnh." + ext, data)
    put("ok", "mot.png", JPG)
    put("ok", "hai.JPG", PNG)
    put("ok", "ba.jpeg", images["webp"])
    # PDF
    put("ok", "1.4.pdf", PDF)
    put("ok", "scan.PDF", b"\r\n" + PDF)
    put("ok", "bao-cao.v1.2.pdf", PDF)
    put("ok", "15_QĐ-UBND.signed.pdf", PDF + b"2 0 obj<</ByteRange[0 10 20 30]>>endobj\n%%EOF\n")
    put("ok", "attached.pdf", PDF + b"stream\n" + zipped(WORD) + b"\nendstream\n%%EOF\n")
    # archives
    put("ok", "van-ban.zip", zipped([("QĐ 15.pdf", PDF), ("phụ lục/bảng.xlsx", zipped(SHEET))]))
    put("ok", "scripts.zip", zipped([("Scripts/đọc.txt", TEXT), ("Basic/a.txt", "x"), ("word/a.txt", "x")]))
    put("ok", "zip-of-zip.zip", zipped([("a.zip", zipped([("b.pdf", PDF)]))]))
    put("ok", "renamed.rar", zipped([("a.pdf", PDF)]))
    put("ok", "a.7z", base64.b64decode(SEVENZIP["plain"]))
    put("ok", "a.7z.7z", base64.b64decode(SEVENZIP["plain"]))
    # endings that policy does not know
    put("ok", "ban-ve.dwg", b"AC1027" + b"\0" * 100)
    put("ok", "dữ liệu.dbf", b"\x03\x7e" + b"\0" * 100)
    put("ok", "khong-duoi", TEXT)
    put("ok", "am-thanh.mp3", b"ID3\x03" + b"\0" * 50)
    put("ok", "chung-thu.cer", b"0\x82\x03\x21" + b"\x55" * 100)


def mismatched():
    for name, data in (("a.pdf", exe), ("b.pdf", "<html>x</html>"), ("c.pdf", zipped(WORD)), ("d.pdf", JPG), ("e.pdf", TEXT),
                       ("a.docx", zipped([("x.txt", "x")])), ("b.docx", TEXT), ("c.docx", PDF), ("d.xlsx", PNG), ("e.odt", zipped(WORD)),
                       ("a.jpg", rar(0)), ("b.jpg", ole([("WordDocument", b"x")])), ("c.png", b"\177ELF" + b"\0" * 100),
                       ("d.png", zipped([("a.txt", "x")])), ("e.jpg", "<html><script>x</script></html>"), ("a.zip", PDF),
                       ("a.txt", zipped(WORD)), ("b.txt", PDF), ("c.csv", ole([("Workbook", b"x")])), ("a.mp3", PDF),
                       ("offer\u202efdp.docx", zipped(WORD)), ("a.doc", PNG)):
        put("P24", name, data)


def dangerous():
    zips = zipped([("thu.txt", "x"), ("cai-dat.exe", exe)])
    for name, data in (("setup.exe", exe), ("a.pdf.exe", b"x"), ("b.scr.xz", b"x"), ("c.zip", zips), ("d.js", b"x"),
                       ("macro.docm", zipped(WORD + [("word/vbaProject.bin", b"x")])),
                       ("macro.docx", zipped(WORD + [("word/vbaProject.bin", b"x")])),
                       ("macro.xlsx", zipped(SHEET + [("xl/macrosheets/sheet1.xml", b"x")])),
                       ("macro.xlsb", zipped(SHEET + [("xl\\vbaProject.bin", b"x")])),
                       ("macro.ods", odf([("Basic/Standard/Module1.xml", "x")])),
                       ("macro.odt", odf([("Scripts/python/a.py", "x")])),
                       ("macro.doc", ole([("WordDocument", b"x"), ("dir", b"x")], ["Macros", "VBA"])),
                       ("vba.xls", ole([("Workbook", biff(sheet(0)))], ["_VBA_PROJECT_CUR"])),
                       ("xlm.xls", ole([("Workbook", biff(sheet(0), (0xfc, b"x" * 99), sheet(1, b"Macro1")))])),
                       ("in.zip", zipped([("a.xls", ole([("Workbook", biff(sheet(1)))]))])),
                       ("in2.zip", zipped([("a.docx", zipped(WORD + [("word/vbaProject.bin", b"x")]))])),
                       ("polyglot.pdf", PDF + zips), ("polyglot.jpg", JPG + zips), ("nested.zip", zipped([("a.zip", zipped([("b.zip", zips)]))])),
                       ("class.zip", zipped([("A.class", b"\xca\xfe\xba\xbe" + b"\0" * 50)]))):
        put("P22", name, data)


def opaque():
    for name, data in (("a.zip", locked(zipped([("a.pdf", PDF)]))), ("entry.7z", base64.b64decode(SEVENZIP["entry"])),
                       ("header.7z", base64.b64decode(SEVENZIP["header"])), ("header.rar", rar(0x80)),
                       ("locked.docx", ole([("EncryptionInfo", b"x"), ("EncryptedPackage", b"x")])),
                       ("locked.xls", ole([("Workbook", biff((0x2f, b"\0" * 54), sheet(0)))])), ("locked.odt", odf(encrypted=True)),
                       ("in.zip", zipped([("a.docx", ole([("EncryptedPackage", b"x")]))])),
                       ("in2.zip", zipped([("b.zip", locked(zipped([("a.pdf", PDF)])))]))):
        put("P23", name, data)


def pdf_widths():
    """A font whose /W says the width of all codes again and again."""
    ranges = b" 0 65535 7" * 60000
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
               b"<< /Length 28 >>\nstream\nBT /F1 12 Tf (Kinh) Tj ET   \nendstream",
               b"<< /Type /Font /Subtype /Type0 /BaseFont /A /Encoding /Identity-H /DescendantFonts [6 0 R] >>",
               b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /A /DW 500 /W [" + ranges + b" ] >>"]
    out, places = b"%PDF-1.4\n", []
    for n, text in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, text)
    start = len(out)
    out += b"xref\n0 7\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % p for p in places)
    return out + b"trailer\n<< /Size 7 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


def costly():
    def word(xml, encoding="utf-8"):
        return zipped([("[Content_Types].xml", TYPES), ("word/document.xml", xml.encode(encoding))])
    many = " ".join("a%d=''" % i for i in range(100000))
    put("M06", "attributes.docx", word("<?xml version='1.0'?><w:document %s/>" % many))
    put("M06", "utf16.docx", word("<?xml version='1.0' encoding='UTF-16'?><w:document %s/>" % many, "utf-16"))
    put("M06", "deep.docx", word("".join("<a %s>" % " ".join("xmlns:x%d='y'" % (20 * i + k) for k in range(20)) for i in range(100))))
    put("M06", "utf7.docx", word("<?xml version='1.0' encoding='UTF-7'?>+ADw-w/+AD4-"))
    put("M06", "defaults.docx", word("<!DOCTYPE a [<!ATTLIST a %s>]><a/>" % " ".join("a%d CDATA '1'" % i for i in range(20000))))
    put("M06", "attributes.odt", zipped([("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", "<a %s/>" % many)]))
    put("M06", "widths.pdf", pdf_widths())


ordinary()
costly()
mismatched()
dangerous()
opaque()
