#!/usr/bin/python3
"""The demonstration: what Congvu is for, played by real clients (Python's smtplib and imaplib, curl, openssl) and checked.

demo.py --dir INSTANCE     plays it (any number of times); ends with 1 when something is not as it should be
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import client
import people
from tell import say


class Failed(Exception):
    pass


def need(true, what, detail=""):
    if not true:
        raise Failed(what + (": " + str(detail)[:1500] if detail else ""))


class Demonstration:
    def __init__(self, site, congvu=None):
        self.site = site
        state = site.dir / "state.json"
        prefix = json.loads(state.read_text())["prefix"] if state.exists() else "/usr/local"
        self.congvu = congvu or [os.path.join(prefix, "bin/congvu"), "-c", str(site.dir / "etc/congvu.conf")]
        self.huong = site.user("clerk", agency="SKHCN")
        self.tung = site.user("staff", agency="STC")
        self.binh = site.user("staff", agency="SKHCN")
        self.nguyet = site.user("clerk", agency="VPUBND")
        self.skhcn = site.mailbox("SKHCN")
        self.vpubnd = site.mailbox("VPUBND")
        self.played = []  # (name, message-id, accepted)

    # --- parts of a mail
    def official(self, sender, name, number, tag):
        """Header, and the entity to be signed, of an official mail with a PDF."""
        mid = client.new_id(self.site.domain)
        head = client.header(client.address(name, sender),
                             [client.address(self.tung["name"], self.tung["address"]),
                              client.address("Văn thư Văn phòng UBND tỉnh", self.vpubnd["address"])],
                             "%d/SKHCN-VP V/v triển khai chữ ký số %s" % (number, tag), mid, [("X-VN-Doc", "%d/SKHCN-VP" % number)])
        entity = client.multipart([
            client.text_part("Kính gửi: Sở Tài chính; Văn phòng UBND tỉnh.\n\nSở Khoa học và Công nghệ gửi công văn kèm theo.\n"),
            client.attachment("cong-van-%d.pdf" % number, client.pdf(["So: %d/SKHCN-VP" % number, "V/v trien khai chu ky so"]))])
        return mid, head, entity

    def rcpts(self):
        return [self.tung["address"], self.vpubnd["address"]]

    def refused(self, answer, rule, what):
        code, text = answer
        need(code == 550 and rule in text, "%s should be refused by rule %s" % (what, rule), "%d %s" % answer)
        need(text.isascii(), "the answer must be ASCII", text)
        say("     -> %d %s" % (code, text.replace("\n", "\n            ")))

    # --- the steps
    def step1(self):
        say("1. A signed official mail / Công văn có chữ ký số")
        say("   %s, clerk of %s, signs in as herself and sends a signed mail with a PDF From %s." % (
            self.huong["name"], self.huong["agency"], self.skhcn["address"]))
        mid, head, entity = self.official(self.skhcn["address"], "Văn thư Sở KHCN", 282, "")
        mail = head + client.sign(entity, self.skhcn)
        answer = self.site.submit(self.huong, self.skhcn["address"], self.rcpts(), mail)
        need(answer[0] == 250, "the signed official mail should be accepted", "%d %s" % answer)
        say("     -> 250 %s" % answer[1])
        self.played.append(("signed", mid, True))
        folder = self.site.other_users_folder(self.nguyet, self.vpubnd["address"])
        for who, box in ((self.tung, "INBOX"), (self.nguyet, folder)):
            got = self.site.fetch(who, mid, box)
            need(got is not None, "%s should find the mail in %s" % (who["name"], box))
            need(client.same_from_first_field(mail, got), "the mail in %s of %s is not the one sent, byte for byte" % (
                box, who["name"]), got[:600])
            ok, signer = client.verify(got, self.site.ca_file)
            need(ok, "openssl does not verify the fetched mail", signer)
            need(signer == self.skhcn["address"], "signed by somebody else", signer)
            say("   %s reads it over IMAP in \"%s\": %d bytes, the same as were sent, and openssl verifies the signature of %s."
                % (who["name"], box, len(mail), signer))

    def step2(self):
        say("2. The same mail unsigned / Cùng công văn, không ký số")
        mid, head, entity = self.official(self.skhcn["address"], "Văn thư Sở KHCN", 282, "")
        self.refused(self.site.submit(self.huong, self.skhcn["address"], self.rcpts(), head + entity), "P01", "unsigned")
        self.played.append(("unsigned", mid, False))

    def step3(self):
        say("3. Signed by somebody else, and altered / Chữ ký của người khác, và thư bị sửa")
        mid, head, entity = self.official(self.skhcn["address"], "Văn thư Sở KHCN", 283, "")
        say("   Signed with the certificate of %s, From %s:" % (self.binh["address"], self.skhcn["address"]))
        self.refused(self.site.submit(self.huong, self.skhcn["address"], self.rcpts(), head + client.sign(entity, self.binh)),
                     "P07", "signed by somebody else")
        self.played.append(("signed by somebody else", mid, False))
        mid, head, entity = self.official(self.skhcn["address"], "Văn thư Sở KHCN", 284, "")
        signed = client.sign(entity, self.skhcn)
        altered = signed.replace(b'filename="cong-van-284.pdf"', b'filename="cong-van-285.pdf"')
        need(altered != signed, "the sample was not altered")
        say("   One digit of the attachment's name changed after signing:")
        self.refused(self.site.submit(self.huong, self.skhcn["address"], self.rcpts(), head + altered), "P02", "altered")
        self.played.append(("altered", mid, False))

    def step4(self):
        say("4. Everyday mail / Thư thường")
        mid = client.new_id("hopthu.example")
        mail = client.header("Nguoi dan <nguoidan@hopthu.example>", [self.binh["address"]], "Hỏi về thủ tục", mid) + \
            client.text_part("Kính gửi Sở, tôi muốn hỏi về thủ tục đăng ký sáng kiến.\n")
        self.curl("smtp://%s:%d" % (self.site.host, self.site.smtp_mx_port), mail, "nguoidan@hopthu.example",
                  [self.binh["address"]], ["--ssl"])
        got = self.site.fetch(self.binh, mid)
        need(got is not None and client.same_from_first_field(mail, got), "the citizen's mail should be in the INBOX unchanged")
        say("   A citizen's unsigned mail came in on port %d (curl) and %s reads it." % (
            self.site.smtp_mx_port, self.binh["name"]))
        self.played.append(("citizen", mid, True))
        mid = client.new_id(self.site.domain)
        mail = client.header(client.address(self.binh["name"], self.binh["address"]),
                             [client.address(self.tung["name"], self.tung["address"])], "Họp chiều nay", mid) + \
            client.text_part("Anh Tùng ơi, chiều nay 14 giờ họp nhé.\n")
        self.curl("smtps://%s:%d" % (self.site.host, self.site.submissions_port), mail, self.binh["address"],
                  [self.tung["address"]], ["--user", "%s:%s" % (self.binh["login"], self.binh["password"])])
        got = self.site.fetch(self.tung, mid)
        need(got is not None and client.same_from_first_field(mail, got), "the everyday mail should be in the INBOX unchanged")
        say("   %s (whose password is \"%s\") writes to %s without a signature (curl, TLS): delivered." % (
            self.binh["name"], self.binh["password"], self.tung["name"]))
        self.played.append(("everyday", mid, True))

    def curl(self, url, mail, sender, rcpts, more):
        with tempfile.NamedTemporaryFile() as f:
            f.write(mail)
            f.flush()
            args = ["curl", "-sS", "--url", url, "--cacert", self.site.ca_file, "--mail-from", sender, "--upload-file", f.name,
                    "--max-time", "60", *more]
            for rcpt in rcpts:
                args += ["--mail-rcpt", rcpt]
            r = subprocess.run(args, capture_output=True, text=True)
        need(r.returncode == 0, "curl could not send", r.stderr)

    def step5(self):
        say("5. The audit log / Nhật ký")
        log = pathlib.Path(self.site.audit_log)
        for name, mid, accepted in self.played:
            verdict, outcome = self.records(log, mid)
            need(verdict, "no verdict record for the %s mail" % name)
            need(outcome, "no outcome record for the %s mail" % name, verdict)
            action = verdict["decision"]["action"]
            need((action == "accept") == accepted, "the verdict on the %s mail is wrong" % name, verdict)
            need((250 <= int(outcome["code"]) < 300) == accepted, "the outcome of the %s mail is wrong" % name, outcome)
            say("   %-24s verdict %-7s %-4s outcome %s" % (name, action, verdict["decision"].get("rule") or "", outcome["code"]))
        rc, out = self.verify(log)
        need(rc == 0, "congvu audit verify should pass", out)
        say("   congvu audit verify: passes (%s)." % out.strip().split("\n")[-1])
        with tempfile.TemporaryDirectory() as tmp:
            copy = pathlib.Path(tmp) / log.name
            data = bytearray(log.read_bytes())
            at = data.rindex(b'"ts"')
            digit = next(i for i in range(at + 4, len(data)) if 0x30 <= data[i] <= 0x39)
            data[digit] = 0x30 + (data[digit] - 0x30 + 1) % 10
            copy.write_bytes(data)
            rc, out = self.verify(copy)
        need(rc != 0, "congvu audit verify should fail on a copy with one byte changed")
        say("   With one byte changed in a copy of the log, it fails: %s" % out.strip().split("\n")[-1])

    def records(self, log, mid, wait=5.0):
        digest = hashlib.sha256(mid.encode()).hexdigest()
        bare = hashlib.sha256(mid.strip("<>").encode()).hexdigest()
        end = time.monotonic() + wait
        while True:
            rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line]
            verdict = next((r for r in rows if r.get("msgid_sha256") in (digest, bare)), None)
            outcome = verdict and next((r for r in rows if r.get("event") == "outcome" and r.get("qid") == verdict["qid"]), None)
            if outcome or time.monotonic() > end:
                return verdict, outcome
            time.sleep(0.1)

    def verify(self, log):
        r = subprocess.run([*self.congvu, "audit", "verify", "--file", str(log)], capture_output=True, text=True)
        return r.returncode, r.stdout + r.stderr

    def play(self):
        for step in (self.step1, self.step2, self.step3, self.step4, self.step5):
            step()


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--dir", default="instance")
    args = ap.parse_args()
    try:
        Demonstration(client.Site(args.dir)).play()
    except Failed as e:
        sys.stdout.flush()
        print("\nThe demonstration failed: %s" % e, file=sys.stderr)
        return 1
    say("All five steps went as they should.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
