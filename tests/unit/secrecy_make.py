#!/usr/bin/python3
"""secrecy_make.py: ordinary sentences, subjects and file names in Vietnamese that speak of secrets, passwords and honey without bearing a mark of
secrecy: at least 2,000, each "kind TAB text" (text, subject, name). The same on every run. All content is invented."""

import random
import sys
import unicodedata

R = random.Random(30)
AGENCY = ["Sở Nội vụ", "Sở Tài chính", "Văn phòng UBND tỉnh", "Phòng Văn hóa", "Ban Quản lý dự án", "UBND xã Tân Mẫu", "Sở Y tế", "Chi cục Thuế", "Trung tâm Công nghệ thông tin",
          "Công an tỉnh", "Hội Nông dân", "Ban Tổ chức", "Sở Khoa học và Công nghệ", "Thanh tra tỉnh", "Trường Cao đẳng Mẫu", "Bệnh viện đa khoa"]
WHO = ["anh Bình", "chị Hường", "đồng chí An", "các đơn vị", "toàn thể cán bộ", "văn thư", "tổ công tác", "lãnh đạo phòng", "người dùng", "quản trị viên"]
WHEN = ["ngày 12/3/2026", "trước 17 giờ", "trong quý II", "sáng thứ Hai", "cuối tháng", "hằng năm", "từ ngày 01/7", "trong tuần này", "khi đăng nhập lần đầu"]
THING = ["mật khẩu", "bảo mật", "mật ong", "mật độ", "bí mật kinh doanh", "bí mật nhà nước", "mật mã", "cơ mật", "thân mật", "túi mật", "sỏi mật", "mật thư", "mật danh",
         "bí mật đời tư", "khóa mật", "mật mía", "tuần trăng mật", "mật vụ", "hội nghị bí mật", "bỏ phiếu kín, bí mật", "độ mật", "tài liệu mật", "tài liệu tối mật",
         "văn bản tuyệt mật", "danh mục bí mật", "dấu chỉ độ mật", "rượu mật nhân", "gấu lấy mật", "viêm đường mật", "mật khẩu ứng dụng", "mật khẩu một lần", "bảo mật hai lớp"]
DO = ["đề nghị {who} đổi", "hướng dẫn {who} về", "tập huấn cho {who} về", "báo cáo tình hình", "trao đổi với {who} về", "kiểm tra việc quản lý", "mua sắm phục vụ", "tuyên truyền về",
      "xin ý kiến {who} về", "rà soát quy định về", "nghiên cứu chuyên đề", "lập danh sách", "cảm ơn {who} đã góp ý về"]
END = ["theo kế hoạch.", "đúng quy định của pháp luật.", "để bảo đảm an toàn thông tin.", "và gửi báo cáo về Sở.", "nhé!", "trên địa bàn tỉnh.", "theo Luật Bảo vệ bí mật nhà nước.",
       "tại hội trường tầng 3.", "(có phụ lục kèm theo).", "- xin cảm ơn.", "; hạn cuối là thứ Sáu.", "?"]
FIXED = ["MẬT KHẨU MỚI CỦA BẠN", "BẢO MẬT THÔNG TIN", "Mật ong rừng U Minh", "LỄ KỶ NIỆM NGÀNH CƠ YẾU: GIỮ VỮNG BÍ MẬT", "Độ mật: Không", "Độ mật:", "Độ mật: ............", "Mức độ mật:   ",
         "Mật độ dân số: 215 người/km2", "Mật, gấc và sữa ong chúa", "Tối mật trời mới về tới nhà (viết sai: tối mịt)", "Kính gửi: Ông Mật", "Nguyễn Văn Mật", "bà Lê Thị Mật",
         "Thôn Mật, xã Tân Mẫu", "Công ty TNHH Mật Ong Mẫu", "Độ mật (Mật, Tối mật, Tuyệt mật): do người soạn thảo đề xuất", "Các mức độ mật gồm: Tuyệt mật, Tối mật, Mật",
         "□ Mật   □ Tối mật   □ Tuyệt mật", "Điều 8. Phân loại bí mật nhà nước", "Bí mật nhà nước độ Tuyệt mật do Thủ tướng quyết định", "MAT KHAU", "Mat na, mat ong, mat kinh",
         "TOI MAI HOP", "CHÚC MỪNG NĂM MỚI", "Ngày hội Mật ong Tây Nguyên", "PHIẾU ĐỀ NGHỊ CẤP MẬT KHẨU", "Top secret recipes for phở", "Tối nay mất điện", "TỐI MAI GẶP NHAU",
         "MẶT TRẬN TỔ QUỐC VIỆT NAM", "MẤT GIẤY TỜ", "Mất trộm xe máy", "GIẤY MỜI HỌP MẶT", "DANH SÁCH MẶT HÀNG", "Tuyệt vời!", "mật", "Mật"]


def sentence():
    return "%s %s %s %s %s" % (R.choice(AGENCY), R.choice(DO).format(who=R.choice(WHO)), R.choice(THING), R.choice(WHEN), R.choice(END))


def subject():
    head = R.choice(["V/v %s", "Về việc %s", "15/KH-SNV %s", "Re: %s", "[Thông báo] %s", "Thông báo: %s", "%s - đề nghị phối hợp", "Báo cáo %s", "(Khẩn) %s", "%s: hạn cuối"])
    return head % ("%s %s %s" % (R.choice(DO).format(who=R.choice(WHO)), R.choice(THING), R.choice(WHEN)))


def name():
    text = "%s %s" % (R.choice(["Kế hoạch", "Báo cáo", "Danh sách", "Hướng dẫn", "Biên bản", "Tài liệu tập huấn", "Phụ lục"]), R.choice(THING)) + R.choice(["", " 2026", " v1.2", " (1)"])
    how = R.randrange(4)
    if how == 1:
        text = "".join(c for c in unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D")) if not unicodedata.combining(c)).replace(" ", R.choice("-_"))
    elif how == 2:
        text = unicodedata.normalize("NFD", text)
    return text + R.choice([".pdf", ".docx", ".xlsx", ".zip"])


lines = {("text", s) for s in FIXED}
for make, kind, n in ((sentence, "text", 1300), (subject, "subject", 700), (name, "name", 300)):
    while n > 0:
        row = (kind, make())
        if row not in lines:
            lines.add(row)
            n -= 1
rows = sorted(lines)
assert len(rows) >= 2300
sys.stdout.write("".join("%s\t%s\n" % r for r in rows))
