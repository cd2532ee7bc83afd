#!/usr/bin/python3
"""inside_make.py DIR: files that hold other files or act: OLE2 documents, Outlook messages, RTF, encoded texts. DIR/cases.tsv has for each: file, its name
as an attachment, the rule that decides ("ok": none), the part inside that must be listed with a flag ("-": none; "name flag"), a finding, and a word of
the text that must have been read. Formats by their published descriptions ([MS-CFB], [MS-DOC], [MS-XLS], [MS-PPT], [MS-MSG], [MS-OLEDS], RTF 1.9.1, yEnc
1.3, BinHex 4.0). All content is invented."""

import base64
import binascii
import io
import pathlib
import struct
import sys
import zipfile
import zlib

DIR = pathlib.Path(sys.argv[1])
CASES = []
FREE, END, FAT, DIFAT = 0xffffffff, 0xfffffffe, 0xfffffffd, 0xfffffffc
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SECRET = "TUYỆT MẬT"


def case(name, data, rule, inner="-", note="-", text="-"):
    path = "%03d" % len(CASES)
    (DIR / path).write_bytes(data)
    CASES.append("\t".join((path, name, rule, inner, note, text)))


def program():
    head = bytearray(512)
    head[0:2] = b"MZ"
    struct.pack_into("<I", head, 0x3c, 128)
    head[128:132] = b"PE\0\0"
    return bytes(head)


EXE = program()


def zipped(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members:
            z.writestr(name, data)
    return out.getvalue()


def ole(tree, shuffle=False):
    """A compound file of a tree {name: bytes or tree}; streams are padded past the size of mini streams. shuffle: the sectors of every stream stand in
    reverse order, so that no stream can be read without following its chain."""
    entries = []  # name, kind, data, child, right

    def add(name, node):
        i = len(entries)
        entries.append([name, 2 if isinstance(node, bytes) else 1, node if isinstance(node, bytes) else b"", FREE, FREE])
        if not isinstance(node, bytes):
            before = None
            for n in sorted(node, key=lambda n: (len(n), n.upper())):
                k = add(n, node[n])
                if before is None:
                    entries[i][3] = k
                else:
                    entries[before][4] = k
                before = k
        return i

    add("Root Entry", tree)
    entries[0][1] = 5
    n_dir = (len(entries) + 3) // 4
    sizes = [max(len(e[2]), 4096) if e[1] == 2 else 0 for e in entries]
    need = n_dir + sum((s + 511) // 512 for s in sizes)
    n_fat, n_difat = 1, 0
    while n_fat * 128 < need + n_fat + n_difat:
        n_fat += 1
        n_difat = max(0, n_fat - 109 + 126) // 127
    head = n_fat + n_difat
    fat = [FAT] * n_fat + [DIFAT] * n_difat + [head + i + 1 for i in range(n_dir - 1)] + [END]
    data = []
    directory = b""
    for (name, kind, content, child, right), size in zip(entries, sizes):
        start, length = END, 0
        if kind == 2:
            content = content.ljust(size, b"\0")
            length = len(content)
            blocks = [content[i:i + 512].ljust(512, b"\0") for i in range(0, length, 512)]
            first, n = len(fat), len(blocks)
            if shuffle:
                start = first + n - 1
                fat += [END] + [first + i for i in range(n - 1)]
                data += blocks[::-1]
            else:
                start = first
                fat += [first + i + 1 for i in range(n - 1)] + [END]
                data += blocks
        raw = (name + "\0").encode("utf-16-le")
        directory += raw.ljust(64, b"\0") + struct.pack("<HBBIII16sIQQIII", len(raw), kind, 1, FREE, right, child, b"", 0, 0, 0, start, length, 0)
    directory = directory.ljust(n_dir * 512, b"\0")
    fat += [FREE] * (n_fat * 128 - len(fat))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + struct.pack("<16sHHHHH6sIIIIIIIII", b"", 0x3e, 3, 0xfffe, 9, 6, b"", 0, n_fat, head, 0, 4096,
                                                               END, 0, n_fat if n_difat else END, n_difat)
    header = (header + struct.pack("<%dI" % min(n_fat, 109), *range(min(n_fat, 109)))).ljust(512, b"\xff")
    difat = b""
    for i in range(n_difat):
        of = range(109 + 127 * i, min(n_fat, 236 + 127 * i))
        difat += struct.pack("<%dI" % len(of), *of).ljust(508, b"\xff") + struct.pack("<I", n_fat + i + 1 if i + 1 < n_difat else END)
    return header + struct.pack("<%dI" % len(fat), *fat) + difat + directory + b"".join(data)


def package(name, data, counted=True):
    body = (struct.pack("<H", 2) + name.encode() + b"\0" + b"C:\\x\\" + name.encode() + b"\0" + struct.pack("<HH", 0, 3) +
            struct.pack("<I", 5) + b"C:\\t\0" + struct.pack("<I", len(data)) + data)
    return (struct.pack("<I", len(body)) if counted else b"") + body


# --- Word

def word(text, encrypted=False, pieces=1):
    """WordDocument and its table: the text in pieces, the even ones in UTF-16, the odd ones, where they can be, in windows-1252."""
    cut = [text[len(text) * i // pieces:len(text) * (i + 1) // pieces] for i in range(pieces)]
    main = bytearray(0x400)
    struct.pack_into("<HH", main, 0, 0xa5ec, 0xc1)
    struct.pack_into("<H", main, 0x0a, 0x0200 | (0x0100 if encrypted else 0))
    cps, pcds, cp = [0], b"", 0
    for i, piece in enumerate(cut):
        if i % 2 and piece.isascii():
            pcds += struct.pack("<HIH", 0, len(main) * 2 | 0x40000000, 0)
            main += piece.encode("cp1252")
        else:
            if len(main) % 2:
                main += b"\0"
            pcds += struct.pack("<HIH", 0, len(main), 0)
            main += piece.encode("utf-16-le")
        cp += len(piece)
        cps.append(cp)
    plc = struct.pack("<%dI" % len(cps), *cps) + pcds
    clx = b"\1" + struct.pack("<H", 3) + b"xyz" + b"\2" + struct.pack("<I", len(plc)) + plc
    struct.pack_into("<II", main, 0x1a2, 16, len(clx))
    return {"WordDocument": bytes(main), "1Table": b"\0" * 16 + clx}


OFFICIAL = "UBND TỈNH MẪU\rSố: 27/QĐ-UBND\rKính gửi các sở\r"

case("van-ban.doc", ole(word(OFFICIAL)), "ok", text="27/QĐ-UBND")
case("van-ban.doc", ole(word(OFFICIAL, pieces=7), shuffle=True), "ok", text="27/QĐ-UBND")
case("mat.doc", ole(word(SECRET + "\rNgày"), shuffle=True), "ok", note="secrecy_mark")
case("dde.doc", ole(word("Xem \x13 DDEAUTO c:\\\\windows\\\\cmd.exe \"/k x\" \x14 a \x15")), "P22", note="office_dde")
case("field.doc", ole(word("Trang \x13 PAGE \x14 1 \x15, DDE là gì")), "ok", note="!office_dde")
case("pieces.doc", ole(word("x", pieces=100001)), "M06")
# pieces that lie over each other, a field open in the first
OVER = word("\x13" + "x" * 4000, pieces=1)
OVER["1Table"] = b"\0" * 16 + b"\1\3\0xyz\2" + struct.pack("<I5I", 68 - 16 + 16, 0, 4000, 8000, 12000, 16000) + struct.pack("<HIH", 0, 0x400, 0) * 4
OVER["WordDocument"] = OVER["WordDocument"][:0x1a6] + struct.pack("<I", len(OVER["1Table"]) - 16) + OVER["WordDocument"][0x1aa:]
case("over.doc", ole(OVER), "M06")
case("khoa.doc", ole(word(OFFICIAL, encrypted=True)), "P23")
case("vba.doc", ole({**word("x"), "Macros": {"VBA": {"dir": b"x", "_VBA_PROJECT": b"\xcc\x61"}}}), "P22")
case("vba-in-object.doc", ole({**word("x"), "ObjectPool": {"_1": {"Workbook": b"x", "_VBA_PROJECT_CUR": {"VBA": {"dir": b"x"}}}}}), "P22")
case("object.doc", ole({**word("x"), "ObjectPool": {"_1": {"\1Ole10Native": package("cài đặt.exe", EXE), "\3ObjInfo": b"x"}}}, shuffle=True), "P22",
     inner="cài đặt.exe banned_name")
case("object-ok.doc", ole({**word("x"), "ObjectPool": {"_1": {"\1Ole10Native": package("bang.txt", b"Kinh gui")}}}), "ok")
case("object-zip.doc", ole({**word("x"), "ObjectPool": {"_1": {"Package": zipped(("a.js", b"x"))}}}), "P22", inner="Package!a.js banned_name")
case("object-native.doc", ole({**word("x"), "ObjectPool": {"_1": {"\1Ole10Native": struct.pack("<I", len(EXE)) + EXE}}}), "P22", inner="Ole10Native executable")
case("link.doc", ole({**word("x"), "ObjectPool": {"_1": {"\1Ole": b"\1\0\0\2" + b"\0" * 20 + bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b") +
                                                         struct.pack("<I", 60) + "http://x.example/a.hta\0".encode("utf-16-le")}}}), "M15",
     note="office_external")
case("exe-stream.doc", ole({**word("x"), "Data": EXE}), "P22", inner="Data executable")
case("eicar.doc", ole({**word("x"), "Data": b"x" * 500 + EICAR}, shuffle=True), "M13")
bent = bytearray(ole({**word("x"), "ObjectPool": {"_1": {"\1Ole10Native": package("a.txt", b"x")}}}))
struct.pack_into("<H", bent, 0x1e, 3)
case("bent.doc", bytes(bent), "M06")


# --- Excel

def biff(*records):
    bof = struct.pack("<HH", 0x809, 16) + b"\x00\x06\x05\x00" + b"\0" * 12
    return bof + b"".join(struct.pack("<HH", i, len(d)) + d for i, d in records) + b"\x0a\0\0\0"


def sheet(kind, name=b"Sheet1"):
    return 0x85, struct.pack("<IBBBB", 0, 0, kind, len(name), 0) + name


def supbook(text, wide=False):
    return 0x1ae, struct.pack("<HHB", 1, len(text), wide) + (text.encode("utf-16-le") if wide else text.encode("cp1252"))


SST = struct.pack("<II", 2, 2) + struct.pack("<HB", 14, 1) + "UBND TỈNH MẪU\n".encode("utf-16-le") + struct.pack("<HB", 14, 1)
case("bang.xls", ole({"Workbook": biff(sheet(0), (0xfc, SST + "Số: 28/Q".encode("utf-16-le")), (0x3c, b"\1" + "Đ-UBND".encode("utf-16-le")))}), "ok",
     text="28/QĐ-UBND")
case("xlm.xls", ole({"Workbook": biff((0xfc, b"x" * 900), sheet(0), sheet(1))}, shuffle=True), "P22")
case("dde.xls", ole({"Workbook": biff(sheet(0), supbook("cmd\3/c calc"))}), "P22", note="office_dde")
case("dde-wide.xls", ole({"Book": biff(sheet(0), supbook("cmd\3/c calc", True))}), "P22", note="office_dde")
case("ole-link.xls", ole({"Workbook": biff(sheet(0), supbook("Word.Document.8\3a.doc"))}), "ok", note="!office_dde")
case("long.xls", ole({"Workbook": biff(*((0x200, b""),) * 2000001, supbook("cmd\3/c calc"))}), "M06")
case("segments.xls", ole({"Workbook": biff((0xfc, SST), *((0x3c, b""),) * 4096)}), "M06")
case("khoa.xls", ole({"Workbook": biff((0xe1, b"x" * 2), (0x2f, b"\0" * 54))}, shuffle=True), "P23")


# --- PowerPoint

def record(kind, data, version=0, instance=0):
    return struct.pack("<HHI", version | instance << 4, kind, len(data)) + data


VBA = ole({"VBA": {"dir": b"x", "_VBA_PROJECT": b"\xcc\x61"}})
SLIDE = record(0x3e8, record(0xfa0, "UBND TỈNH MẪU\rSố: 29/QĐ-UBND".encode("utf-16-le")) + record(0xfa8, b"Kinh gui"), 0xf)
case("trinh-chieu.ppt", ole({"PowerPoint Document": SLIDE}), "ok", text="29/QĐ-UBND")
case("vba.ppt", ole({"PowerPoint Document": SLIDE + record(0x1011, struct.pack("<I", len(VBA)) + zlib.compress(VBA), 0, 1)}), "P22",
     inner="object macro")
case("object.ppt", ole({"PowerPoint Document": SLIDE + record(0x1011, ole({"\1Ole10Native": package("a.scr", EXE)}))}), "P22", inner="a.scr banned_name")
PAD = record(0x1011, b"") * 256
MANY_VBA = record(0x1011, struct.pack("<I", len(VBA)) + zlib.compress(VBA), 0, 1)
case("full.ppt", ole({"PowerPoint Document": SLIDE + PAD}), "ok")
case("behind.ppt", ole({"PowerPoint Document": SLIDE + PAD + MANY_VBA}), "M06")
case("long.ppt", ole({"PowerPoint Document": SLIDE + record(0xfff, b"") * 1000001 + MANY_VBA}), "M06")
LARGE = zlib.compress(b"\0" * (33 << 20))
case("large.ppt", ole({"PowerPoint Document": SLIDE + record(0x1011, struct.pack("<I", 33 << 20) + LARGE, 0, 1)}), "M06")
case("bomb.ppt", ole({"PowerPoint Document": SLIDE + record(0x1011, struct.pack("<I", 31 << 20) + zlib.compress(b"\0" * (31 << 20)), 0, 1) * 40}), "M06")
case("khoa.ppt", ole({"PowerPoint Document": b"\x99" * 600, "Current User": record(0xff6, struct.pack("<II", 20, 0xf3d1c4df))}), "P23")

# --- Outlook

ATTACH = {"__substg1.0_37010102": EXE, "__substg1.0_3707001F": "hoá đơn.pdf.exe".encode("utf-16-le")}
MSG = {"__properties_version1.0": b"\0" * 32, "__nameid_version1.0": {"__substg1.0_00020102": b"x"},
       "__substg1.0_1000001F": OFFICIAL.replace("\r", "\n").replace("27/", "30/").encode("utf-16-le")}
case("thư.msg", ole(MSG), "ok", text="30/QĐ-UBND")
case("exe.msg", ole({**MSG, "__attach_version1.0_#00000000": ATTACH}), "P22", inner="hoá đơn.pdf.exe banned_name")
case("trong.msg", ole({**MSG, "__attach_version1.0_#00000000": {"__substg1.0_3701000D": {**MSG, "__attach_version1.0_#00000000": ATTACH}}}), "P22",
     inner="hoá đơn.pdf.exe banned_name")
case("to.msg", ole({**MSG, **{"__recip_version1.0_#%08X" % i: {"__substg1.0_%04X001F" % k: b"x" for k in range(4)} for i in range(300)}}), "ok")

# --- OLE inside OOXML

DOCX = (("[Content_Types].xml", "<Types/>"), ("word/document.xml", "<w:document/>"))
case("nhung.docx", zipped(*DOCX, ("word/embeddings/oleObject1.bin", ole({"\1Ole10Native": package("a.js", b"x")}))), "P22", inner="a.js banned_name")
case("nhung-ok.docx", zipped(*DOCX, ("word/embeddings/oleObject1.bin", ole({"\1Ole10Native": package("a.txt", b"x")}))), "ok")
case("costly.docx", zipped(DOCX[0], ("word/document.xml", "<w:document>" + "<w:p><w:t>x</w:t></w:p>" * 100000 + "</w:document>")), "ok")
case("da-ky.docx", zipped(*DOCX, ("_xmlsignatures/sig1.xml", "<Signature/>")), "ok", note="office_signed")
case("chua-ky.docx", zipped(*DOCX), "ok", note="!office_signed")


# --- RTF

def rtf(body):
    return b"{\\rtf1\\ansi\\ansicpg1252 " + body + b"}"


def ole1(cls, data, kind=2, topic=b""):
    def string(s):
        return struct.pack("<I", len(s) + 1) + s + b"\0" if s else struct.pack("<I", 0)
    out = struct.pack("<II", 0x501, kind) + string(cls) + string(topic) + string(b"")
    return out + (struct.pack("<I", len(data)) + data if kind == 2 else b"")


def obj(payload, words=b"\\objemb", cls=b"Package"):
    return b"{\\object" + words + b"{\\*\\objclass " + cls + b"}{\\*\\objdata " + payload + b"}{\\result x}}"


def spread(payload):
    """As malware writes it: spaces, lines, groups, unknown words between the digits."""
    digits = binascii.hexlify(payload)
    return b"".join(digits[i:i + 7] + (b"\r\n", b"\t ", b"{\\*\\xx 99}", b"{\\aa}", b"\\zz12 ")[i // 7 % 5] for i in range(0, len(digits), 7))


PACKED = ole1(b"Package", package("cai-dat.exe", EXE, False))
HEX = binascii.hexlify(PACKED)
case("van-ban.rtf", rtf(b"{\\fonttbl{\\f0 Arial;}}{\\info{\\title x}}UBND T\\u7880?NH M\\u7850?U\\par S\\u7889?: 31/Q\\u272?-UBND\\par Kinh g\\'fai"), "ok",
     text="31/QĐ-UBND")
case("mat.rtf", rtf(b"TUY\\u7878?T M\\u7852?T\\par"), "ok", note="secrecy_mark")
case("object.rtf", rtf(obj(HEX)), "P22", inner="cai-dat.exe banned_name", note="rtf_object")
case("spread.rtf", rtf(obj(spread(PACKED))), "P22", inner="cai-dat.exe banned_name")
case("quotes.rtf", rtf(obj(b"".join(b"\\'%02x" % b for b in PACKED))), "P22", inner="cai-dat.exe banned_name")
case("bin.rtf", rtf(obj(b"\\bin%d " % len(PACKED) + PACKED)), "P22", inner="cai-dat.exe banned_name")
case("no-end.rtf", b"{\\rt{\\object\\objemb{\\*\\objdata " + HEX, "P22", inner="cai-dat.exe banned_name")
case("no-header.rtf", rtf(obj(binascii.hexlify(b"\x01\x05zz" + ole({"VBA": {"dir": b"x"}, "WordDocument": b"x"})))), "P22", inner="object macro")
case("ole2.rtf", rtf(obj(binascii.hexlify(ole1(b"Word.Document.8", ole({**word("x"), "Macros": {"VBA": {"dir": b"x"}}}))))), "P22",
     inner="Word.Document.8 macro")
case("bang.rtf", rtf(obj(binascii.hexlify(ole1(b"Excel.Sheet.8", ole({"Workbook": biff(sheet(0))}))))), "ok", note="rtf_object")
case("link.rtf", rtf(obj(binascii.hexlify(ole1(b"htmlfile", b"", 1, b"http://x.example/a.hta")), b"\\objautlink")), "M15", note="office_external")
case("link-ok.rtf", rtf(obj(binascii.hexlify(ole1(b"Excel.Sheet.8", b"", 1, b"C:\\bang.xls")), b"\\objautlink")), "ok", note="!office_external")
case("update.rtf", rtf(obj(binascii.hexlify(ole1(b"Equation.3", b"x" * 50)), b"\\objemb\\objupdate")), "P22", note="rtf_object_runs")
case("template.rtf", rtf(b"{\\*\\template http://x.example/a.dotm}x"), "M15", note="office_external")
case("template-ok.rtf", rtf(b"{\\*\\template C:\\\\Users\\\\a\\\\Normal.dotm}x"), "ok", note="!office_external")
case("dde.rtf", rtf(b"{\\field{\\*\\fldinst { DDE}{AUTO c:\\\\\\\\cmd.exe x}}{\\fldrslt x}}"), "P22", note="office_dde")
case("field.rtf", rtf(b"{\\field{\\*\\fldinst PAGE}{\\fldrslt 1}} DDE"), "ok", note="!office_dde")
case("deep.rtf", b"{\\rtf1" + b"{" * 100000 + b"x" + b"}" * 100000 + b"}", "ok")
case("trong.zip", zipped(("a.rtf", rtf(obj(HEX)))), "P22", inner="cai-dat.exe banned_name")


# --- encoded in texts

def yenc(name, data):
    body, line = b"", b""
    for c in data:
        c = (c + 42) % 256
        line += b"=" + bytes([(c + 64) % 256]) if c in (0, 10, 13, 61) else bytes([c])
        if len(line) >= 128:
            body, line = body + line + b"\r\n", b""
    return b"=ybegin line=128 size=%d name=%s\r\n" % (len(data), name) + body + line + b"\r\n=yend size=%d\r\n" % len(data)


def binhex(name, data):
    def crc(d):
        return struct.pack(">H", binascii.crc_hqx(d, 0))
    head = bytes([len(name)]) + name + b"\0" + b"TEXT" + b"ttxt" + b"\0\0" + struct.pack(">II", len(data), 0)
    raw = head + crc(head) + data + crc(data) + crc(b"")
    out, i = b"", 0
    while i < len(raw):
        n = 1
        while i + n < len(raw) and raw[i + n] == raw[i] and n < 255:
            n += 1
        c = raw[i:i + 1]
        escaped = b"\x90\x00" if c == b"\x90" else c
        out += escaped + (b"\x90" + bytes([n]) if n > 3 else escaped * (n - 1))
        i += n
    table = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
    bits = "".join("%08d" % int(bin(b)[2:]) for b in out)
    bits += "0" * (-len(bits) % 6)
    text = b":" + bytes(table[int(bits[i:i + 6], 2)] for i in range(0, len(bits), 6)) + b":"
    return b"(This file must be converted with BinHex 4.0)\r\n\r\n" + b"\r\n".join(text[i:i + 64] for i in range(0, len(text), 64)) + b"\r\n"


def uu(name, data):
    return b"begin 644 " + name + b"\r\n" + b"".join(binascii.b2a_uu(data[i:i + 45]).replace(b"\n", b"\r\n") for i in range(0, len(data), 45)) + b"`\r\nend\r\n"


HELLO = b"Kinh gui\r\n\r\n"
case("a.txt", HELLO + yenc(b"setup.exe", EXE), "P22", inner="setup.exe banned_name")
case("b.txt", HELLO + yenc(b"anh.jpg", EXE), "P24", inner="anh.jpg executable")
case("c.txt", HELLO + yenc(b"ghi chu.txt", b"Kinh gui" * 100), "ok")
case("d.txt", HELLO + yenc(b"a.txt", EICAR), "M13")
case("a.hqx", HELLO + binhex(b"setup.exe", EXE), "P22", inner="setup.exe banned_name")
case("b.txt", HELLO + binhex(b"anh.jpg", EXE + b"\x90\x90"), "P24", inner="anh.jpg executable")
case("c.txt", HELLO + binhex(b"a.txt", b"Kinh gui"), "ok")
case("d.txt", HELLO + binhex(b"a.txt", EICAR), "M13")
case("e.txt", HELLO + uu(b"anh.jpg", EXE), "P24", inner="anh.jpg executable")
case("f.txt", HELLO + uu(b"a.txt", EICAR), "M13")
case("g.txt", HELLO + uu(b"a.zip", zipped(("b.exe", b"x"))), "P22", inner="a.zip!b.exe banned_name")
case("h.txt", HELLO + b"begin-base64 644 anh.jpg\r\n" + base64.encodebytes(EXE).replace(b"\n", b"\r\n") + b"====\r\n", "P24", inner="anh.jpg executable")
case("i.txt", HELLO + b"=ybegin is how yEnc begins; (This file must be converted with BinHex 4.0) is a sentence\r\nbegin 644 a.txt\r\n", "ok")
case("k.txt", HELLO + uu(b"a.txt", b"x") * 64 + b"Kinh thu\r\nbegin of a sentence\r\n", "ok")
case("l.txt", HELLO + uu(b"a.txt", b"x") * 64 + uu(b"setup.exe", EXE), "M06")
case("j.txt", (HELLO + yenc(b"a.txt", b"x")) * 100, "M06")

# --- messages in files, and Word's web archives

def mail(name, data, ctype=b"application/octet-stream"):
    return (b"MIME-Version: 1.0\r\nSubject: x\r\nContent-Type: multipart/related; boundary=b1\r\n\r\n--b1\r\nContent-Type: text/html\r\n\r\n<p>x\r\n--b1\r\n"
            b"Content-Type: " + ctype + b"; name=\"" + name + b"\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
            base64.encodebytes(data).replace(b"\n", b"\r\n") + b"\r\n--b1--\r\n")


def activemime(data):
    return b"ActiveMime\0\0\1\xf0" + b"\4\0\0\0\xff\xff\xff\xff\0\0\7\xf0" + struct.pack("<I", len(data)) + b"\0" * 20 + zlib.compress(data)


case("thu.eml", mail(b"setup.exe", EXE), "P22")
case("thu.eml", mail(b"a.txt", b"Kinh gui"), "ok")
case("eml.zip", zipped(("thu.eml", mail(b"setup.exe", EXE))), "P22")
case("eml-ok.zip", zipped(("thu.eml", mail(b"a.txt", b"Kinh gui"))), "ok")
case("trang.mht", mail(b"editdata.mso", activemime(VBA)), "P22", inner="ActiveMime macro")
case("macro.doc", mail(b"editdata.mso", activemime(VBA)), "P22", inner="ActiveMime macro")
case("object.mht", mail(b"oledata.mso", activemime(ole({"\1Ole10Native": package("a.txt", b"x")}))), "ok")


# --- what LibreOffice wrote

OFFICE = pathlib.Path(__file__).resolve().parents[1] / "data/office"
for written in ("vb.doc", "vb.rtf"):
    case(written, (OFFICE / written).read_bytes(), "ok", note="!rtf_object", text="15/QĐ-UBND")

(DIR / "cases.tsv").write_text("\n".join(CASES) + "\n")
