"""The example province "Tỉnh Mẫu": agencies and people. All are invented."""

import random
import unicodedata

PROVINCE = "Tỉnh Mẫu"
DOMAIN = "tinhmau.example"
DECISION = "01/QĐ-UBND"

# code, abbreviation, kind, name, how it is written behind a person's name
AGENCIES = [
    ("H99.01", "VPUBND", "office", "Văn phòng Ủy ban nhân dân tỉnh Mẫu", "Văn phòng UBND tỉnh"),
    ("H99.02", "SKHCN", "dept", "Sở Khoa học và Công nghệ tỉnh Mẫu", "Sở KHCN"),
    ("H99.03", "STC", "dept", "Sở Tài chính tỉnh Mẫu", "Sở Tài chính"),
    ("H99.31", "SUOIMAY", "commune", "Ủy ban nhân dân xã Suối Mây", "UBND xã Suối Mây"),
]

# agency, whole name, role, title, password
STAFF = [
    ("H99.02", "Đặng Thị Thu Hường", "clerk", "Văn thư", "vanthu-Huong-2026"),
    ("H99.02", "Trần Văn Bình", "staff", "Chuyên viên", "Mật khẩu đẹp 2026"),
    ("H99.02", "Vũ Hải Đăng", "head", "Giám đốc Sở", "giamdoc-Dang-2026"),
    ("H99.01", "Nguyễn Thị Minh Nguyệt", "clerk", "Văn thư", "vanthu-Nguyet-2026"),
    ("H99.01", "Lê Quang Vĩnh", "head", "Chánh Văn phòng", "Chánh văn phòng: Sông Mẫu"),
    ("H99.01", "Hoàng Ngọc Ánh", "security", "Chuyên viên an toàn thông tin", "antoan-Anh-2026"),
    ("H99.03", "Lý Thị Kiều Oanh", "clerk", "Văn thư", "vanthu-Oanh-2026"),
    ("H99.03", "Bùi Thanh Tùng", "staff", "Chuyên viên", "chuyenvien-Tung-2026"),
    ("H99.03", "Ngô Thảo Vy", "head", "Giám đốc Sở", "giamdoc-Vy-2026"),
    ("H99.31", "Đỗ Thị Hồng Gấm", "clerk", "Văn thư", "vanthu-Gam-2026"),
    ("H99.31", "Phan Thế Khoáng", "head", "Chủ tịch UBND xã", "chutich-Khoang-2026"),
]

FAMILY = "Nguyễn Trần Lê Phạm Hoàng Huỳnh Phan Vũ Võ Đặng Bùi Đỗ Hồ Ngô Dương Lý".split()
MIDDLE = ["Văn", "Thị", "Đức", "Minh", "Thị Thu", "Thị Hồng", "Quang", "Ngọc", "Thanh", "Hữu", "Xuân", "Thị Kim", "Bảo",
          "Gia", "Tuấn", "Thế"]
GIVEN = ("An Ánh Bình Cúc Cường Diễm Dũng Đạt Đông Gấm Giang Hà Hải Hạnh Hiền Hiếu Hòa Hương Hường Khánh Khoa Lan Linh Loan "
         "Long Mai Nam Nga Nghĩa Ngọc Nguyệt Nhung Oanh Phúc Phượng Quân Quyên Sơn Tâm Thảo Thắng Thúy Thủy Tiến Trang Tú "
         "Tùng Tuyết Uyên Vân Việt Vinh Yến").split()
TITLES = ["Chuyên viên", "Chuyên viên chính", "Cán sự", "Kế toán viên"]


def mailbox_of(abbrev):
    """The functional mailbox of an agency: that of its clerk's office (văn thư)."""
    return "vanthu.%s@%s" % (abbrev.lower(), DOMAIN)


def fold(text):
    """Without marks, as a person without a Vietnamese keyboard types it."""
    text = text.replace("đ", "d").replace("Đ", "D").replace("Ð", "D")
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def login_of(name):
    """fold(given) and the initials of family and middle names: "Đặng Thị Thu Hường" is huongdtt."""
    words = fold(name).lower().split()
    return words[-1] + "".join(w[0] for w in words[:-1])


def invented(count, start=0):
    """count more people like those of STAFF, always the same ones for the same numbers."""
    out = []
    for i in range(start, start + count):
        r = random.Random("tinhmau-%d" % i)
        name = " ".join((r.choice(FAMILY), r.choice(MIDDLE), r.choice(GIVEN)))
        out.append((r.choice(AGENCIES)[0], name, "staff", r.choice(TITLES), "matkhau-%05d-%04x" % (i, r.getrandbits(16))))
    return out
