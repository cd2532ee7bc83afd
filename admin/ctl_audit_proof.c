/* ctl_audit_proof.c: the folder of a proof: how to check it, in words, as a script and by `congvu audit prove --check`. Runs in congvu; the
 * folder may come from anybody. What is proved: these records, octet for octet, stood in the log of that host before the checkpoint was signed. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_audit.h"
#include "admin/ctl_audit_proof.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "milter/sign_key.h"
#include "milter/sign_text.h"

enum { SMALL_MAX = 65536, RECORDS_MAX = 10000 };

/* ---- the guides ---- */

static const char *
signature_command(const char *algorithm)
{
	return strcmp(algorithm, "ed25519") == 0
		   ? "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in checkpoint.txt "
		     "-sigfile checkpoint.sig"
		   : "openssl dgst -sha256 -verify key.pem -signature checkpoint.sig "
		     "checkpoint.txt";
}

static const char guide_en[] =
    "HOW TO CHECK THIS PROOF\n"
    "Mail: %s\n"
    "\n"
    "It proves that the records record-NUMBER.json stood, exactly as they are, in the audit log "
    "of\n"
    "the host that checkpoint.txt names, before the time that stands there. sha256sum and openssl\n"
    "are enough; \"sh check.sh\" does the same in one go, and can be read first.\n"
    "\n"
    "1. The key. Get the public key of the site from where it was deposited when the site was "
    "made,\n"
    "   not from this folder, and compare it with key.pem. It has the fingerprint that\n"
    "   checkpoint.txt names behind \"key=\":\n"
    "     openssl pkey -pubin -in key.pem -outform DER | sha256sum\n"
    "2. The signature over checkpoint.txt is good:\n"
    "     %s\n"
    "3. Each record has the digest that stands in chain.txt behind its number (second column):\n"
    "     sha256sum record-*.json\n"
    "4. The chain. chain.txt begins with \"start\" and a hash; then each line is NUMBER DIGEST "
    "HASH.\n"
    "   HASH is the SHA-256 of the hash of the line before and DIGEST, written one behind the "
    "other:\n"
    "     printf '%%s%%s' HASH-BEFORE DIGEST | sha256sum\n"
    "   The numbers go up by one. Lines without a record here belong to other people's mail: "
    "their\n"
    "   digests are needed to follow the chain and tell nothing of the content.\n"
    "5. The last line has the number (seq=) and the hash (h=) of checkpoint.txt.\n"
    "\n"
    "Nobody can make other records with these digests, and nobody but the holder of the key can "
    "sign\n"
    "another checkpoint. \"verdict\" is what the policy filter decided; \"outcome\" is what the "
    "mail\n"
    "server did and answered. Times are UTC.\n";

static const char guide_vi[] =
    "HƯỚNG DẪN KIỂM TRA BẰNG CHỨNG NÀY\n"
    "Thư: %s\n"
    "\n"
    "Bằng chứng cho thấy các bản ghi record-SỐ.json đã có, đúng từng byte, trong nhật ký kiểm soát "
    "của\n"
    "máy chủ ghi trong checkpoint.txt, trước thời điểm ghi tại đó. Chỉ cần sha256sum và openssl;\n"
    "\"sh check.sh\" làm tất cả các bước dưới đây trong một lần, và có thể đọc trước khi chạy.\n"
    "\n"
    "1. Khóa. Lấy khóa công khai của đơn vị từ nơi đã nộp lưu khi lập hệ thống, không lấy từ thư "
    "mục\n"
    "   này, rồi so với key.pem. Dấu vân tay của khóa phải là chuỗi sau \"key=\" trong "
    "checkpoint.txt:\n"
    "     openssl pkey -pubin -in key.pem -outform DER | sha256sum\n"
    "2. Chữ ký trên checkpoint.txt là đúng:\n"
    "     %s\n"
    "3. Mỗi bản ghi có mã băm ghi trong chain.txt sau số của nó (cột thứ hai):\n"
    "     sha256sum record-*.json\n"
    "4. Chuỗi. chain.txt bắt đầu bằng \"start\" và một mã; sau đó mỗi dòng là SỐ MÃ-BĂM MÃ-CHUỖI.\n"
    "   MÃ-CHUỖI là SHA-256 của mã chuỗi dòng trước và MÃ-BĂM viết liền nhau:\n"
    "     printf '%%s%%s' MÃ-CHUỖI-TRƯỚC MÃ-BĂM | sha256sum\n"
    "   Các số tăng từng đơn vị. Dòng không có bản ghi ở đây thuộc thư của người khác: mã băm của\n"
    "   chúng cần cho chuỗi và không cho biết gì về nội dung.\n"
    "5. Dòng cuối có số (seq=) và mã chuỗi (h=) ghi trong checkpoint.txt.\n"
    "\n"
    "Không ai tạo được bản ghi khác có cùng mã băm, và chỉ người giữ khóa mới ký được điểm kiểm "
    "soát\n"
    "khác. \"verdict\" là quyết định của bộ lọc; \"outcome\" là việc máy chủ thư đã làm và đã trả "
    "lời.\n"
    "Thời gian là giờ UTC.\n";

void
proof_guide(const char *qid, const char *algorithm, bool vietnamese, struct buf *out)
{
	const char *command = signature_command(algorithm);

	/* two literals: the compiler checks each */
	if (vietnamese)
		buf_appendf(out, guide_vi, qid, command);
	else
		buf_appendf(out, guide_en, qid, command);
}

static const char script[] =
    "#!/bin/sh\n"
    "# Checks the proof in this folder with sha256sum and openssl: HOW-TO-CHECK.txt says what it "
    "does.\n"
    "# Compare key.pem with the key of the site that you got another way.\n"
    "cd \"$(dirname \"$0\")\" || exit 1\n"
    "fail() { echo \"NOT PROVED / KHÔNG ĐÚNG: $*\"; exit 1; }\n"
    "hash() { sha256sum | cut -d' ' -f1; }\n"
    "field() { sed -n \"s/^$1=//p\" checkpoint.txt; }\n"
    "[ \"$(openssl pkey -pubin -in key.pem -outform DER | hash)\" = \"$(field key)\" ] || fail "
    "key\n";
static const char script_2[] =
    " || fail signature\n"
    "prev= seq= shown=\n"
    "while read -r number digest hash; do\n"
    "	if [ -z \"$prev\" ]; then # \"start\" begins the chain, and never stands in it\n"
    "		[ \"$number\" = start ] && [ -n \"$digest\" ] || fail start\n"
    "		prev=$digest; continue\n"
    "	fi\n"
    "	case $number in ''|0*|*[!0-9]*) fail \"number $number\" ;; esac\n"
    "	[ -z \"$seq\" ] || [ \"$number\" = $((seq + 1)) ] || fail \"number $number\"\n"
    "	[ \"$(printf '%s%s' \"$prev\" \"$digest\" | hash)\" = \"$hash\" ] || fail \"chain at "
    "$number\"\n"
    "	if [ -e \"record-$number.json\" ]; then\n"
    "		[ \"$(hash <\"record-$number.json\")\" = \"$digest\" ] || fail \"record $number\"\n"
    "		shown=\"$shown $number\"\n"
    "	fi\n"
    "	prev=$hash seq=$number\n"
    "done <chain.txt\n"
    "[ \"$seq\" = \"$(field seq)\" ] && [ \"$prev\" = \"$(field h)\" ] || fail checkpoint\n"
    "set -- record-*.json\n"
    "[ $# = \"$(echo \"$shown\" | wc -w)\" ] || fail \"a record is in no line of chain.txt\"\n"
    "echo \"PROVED / ĐÚNG: records$shown, host $(field host), before $(field time)\"\n"
    "echo \"key / khóa: $(field key)\"\n";

void
proof_script(const char *algorithm, struct buf *out)
{
	buf_append_str(out, script);
	buf_append_str(out, signature_command(algorithm));
	buf_append_str(out, " >/dev/null");
	buf_append_str(out, script_2);
}

/* ---- the check ---- */

struct proof {
	struct ctl *c;
	int dir;
	struct buf text, signature, pem;
	struct sign_text cp;
	uint64_t first, seq, records, files;
	char h[65];
};

static int
read_part(struct proof *p, const char *name, size_t max, struct buf *out)
{
	int fd = openat(p->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	unsigned char *room;
	ssize_t n = -1;

	while (fd >= 0 && (room = buf_reserve(out, 4096)) != NULL &&
	       (n = read(fd, room, 4096)) > 0 && out->len + (size_t)n <= max)
		buf_commit(out, (size_t)n);
	if (fd >= 0)
		close(fd);
	return n == 0 ? 0
		      : ctl_fail(p->c, EX_NOINPUT, "%s: %s", name,
			    fd < 0 ? strerror(errno) : _("cannot be read, or is too large"));
}

/* The record of this number, where the folder has it. */
static int
check_record(struct proof *p, uint64_t seq, struct slice d)
{
	struct json *rec = NULL;
	char name[64], digest[65];
	struct buf text;
	int rc = 0;

	snprintf(name, sizeof name, "record-%" PRIu64 ".json", seq);
	if (faccessat(p->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	buf_init(&text, AUDIT_LINE_MAX + 8192);
	rc = read_part(p, name, AUDIT_LINE_MAX, &text);
	if (rc == 0) {
		audit_digest(buf_slice(&text), digest);
		if (!slice_eq_str(d, digest) || json_parse(buf_slice(&text), &rec) != 0 ||
		    json_int(json_get(rec, "seq"), -1) != (int64_t)seq)
			rc = ctl_fail(
			    p->c, EX_DATAERR, _("%s is not the record of the chain"), name);
	}
	if (rc == 0)
		p->records++;
	json_free(rec);
	buf_done(&text);
	return rc;
}

static int
check_link(struct proof *p, struct slice line)
{
	ptrdiff_t sp = slice_index(line, ' ');
	struct slice number = slice_sub(line, 0, sp < 0 ? 0 : (size_t)sp),
		     rest = slice_from(line, sp < 0 ? line.len : (size_t)sp + 1), d, h;
	char want[65], d_text[65];
	uint64_t seq = 0;

	if (p->h[0] == '\0') {
		if (!slice_eq_str(number, "start") || !sign_is_hash(rest))
			return ctl_fail(p->c, EX_DATAERR, _("chain.txt: no beginning"));
		memcpy(p->h, rest.ptr, 64);
		p->h[64] = '\0';
		return 0;
	}
	d = slice_sub(rest, 0, 64);
	h = slice_from(rest, 65);
	if (rest.len != 129 || rest.ptr[64] != ' ' || !sign_is_hash(d) || !sign_is_hash(h) ||
	    slice_to_u64(number, INT64_MAX, &seq) != 0 || seq == 0 ||
	    (p->seq != 0 && seq != p->seq + 1))
		return ctl_fail(p->c, EX_DATAERR, _("chain.txt: no link follows number %llu"),
		    (unsigned long long)p->seq);
	memcpy(d_text, d.ptr, 64);
	d_text[64] = '\0';
	audit_link(p->h, d_text, want);
	if (!slice_eq_str(h, want))
		return ctl_fail(p->c, EX_DATAERR, _("chain.txt: the hash of number %llu is wrong"),
		    (unsigned long long)seq);
	memcpy(p->h, want, sizeof p->h);
	if (p->seq == 0)
		p->first = seq;
	p->seq = seq;
	return check_record(p, seq, d);
}

static int
check_chain(struct proof *p)
{
	int fd = openat(p->dir, PROOF_CHAIN, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK),
	    rc = 0, err = ERR_IO;
	struct audit_reader *r;
	struct slice line;

	if (fd < 0)
		return ctl_fail(p->c, EX_NOINPUT, "%s: %s", PROOF_CHAIN, strerror(errno));
	r = audit_reader_new(fd);
	while (rc == 0 && (err = audit_reader_next(r, &line)) == 0)
		rc = check_link(p, line);
	if (rc == 0 && (err != ERR_EOF || audit_reader_torn(r) > 0))
		rc = ctl_fail(p->c, EX_DATAERR, _("chain.txt: no link follows number %llu"),
		    (unsigned long long)p->seq);
	audit_reader_free(r);
	close(fd);
	if (rc == 0 && (p->seq != p->cp.seq || strcmp(p->h, p->cp.h) != 0))
		rc = ctl_fail(
		    p->c, EX_DATAERR, _("the chain does not end in the record that was signed"));
	return rc;
}

/* A record that is in no line would be shown and not proved. */
static int
check_count(struct proof *p)
{
	int fd = dup(p->dir);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL && p->files < RECORDS_MAX)
		p->files += strncmp(e->d_name, "record-", 7) == 0;
	if (d != NULL)
		closedir(d);
	if (d == NULL || p->files != p->records || p->records == 0)
		return ctl_fail(p->c, EX_DATAERR,
		    _("%llu records are in the folder, %llu of them in the chain"),
		    (unsigned long long)p->files, (unsigned long long)p->records);
	return 0;
}

static int
check_signature(struct proof *p, const char *key_file)
{
	struct sign_key *key = NULL, *given = NULL;
	const char *why = "";
	int rc = 0;

	key = sign_key_public(buf_slice(&p->pem), &why);
	if (key_file != NULL)
		given = audit_read_key(p->c, key_file, strlen(key_file));
	if (key == NULL)
		rc = ctl_fail(p->c, EX_DATAERR, "%s: %s", PROOF_KEY, why);
	else if (key_file != NULL && given == NULL)
		rc = EX_NOINPUT;
	else if (given != NULL && strcmp(sign_key_id(given), sign_key_id(key)) != 0)
		rc = ctl_fail(p->c, EX_DATAERR, _("it is signed with another key than %s: %s"),
		    key_file, sign_key_id(key));
	else if (sign_text_parse(buf_slice(&p->text), &p->cp) != 0 ||
		 strcmp(p->cp.key_id, sign_key_id(key)) != 0 ||
		 !sign_key_verify(key, buf_slice(&p->text), buf_slice(&p->signature)))
		rc = ctl_fail(p->c, EX_DATAERR, _("the signature of the checkpoint is not good"));
	sign_key_free(key);
	sign_key_free(given);
	return rc;
}

static int
tell(const struct proof *p, bool key_given)
{
	struct json *j;

	if (p->c->json) {
		j = json_obj_new();
		json_set_bool(j, "proved", true);
		json_set_bool(j, "key_compared", key_given);
		json_set_int(j, "records", (int64_t)p->records);
		json_set_int(j, "first_seq", (int64_t)p->first);
		json_set_int(j, "signed_seq", (int64_t)p->seq);
		json_set_slice(j, "host", p->cp.host);
		json_set_slice(j, "signed_at", p->cp.time);
		json_set_str(j, "key_id", p->cp.key_id);
		return ctl_json_take(j, EX_OK);
	}
	printf(_("proved: %llu records stood in the log of %.*s before %.*s\n"),
	    (unsigned long long)p->records, (int)p->cp.host.len, (const char *)p->cp.host.ptr,
	    (int)p->cp.time.len, (const char *)p->cp.time.ptr);
	if (!key_given)
		printf(_("by the key %s, which came with it: compare it with the one that was "
			 "deposited (--key FILE)\n"),
		    p->cp.key_id);
	return EX_OK;
}

int
proof_check(struct ctl *c, const char *dir, const char *key)
{
	struct proof p = {.c = c, .dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	int rc = 0;

	if (p.dir < 0)
		return ctl_fail(c, EX_NOINPUT, "%s: %s", dir, strerror(errno));
	buf_init(&p.text, SMALL_MAX);
	buf_init(&p.signature, SMALL_MAX);
	buf_init(&p.pem, SMALL_MAX);
	if ((rc = read_part(&p, PROOF_TEXT, 4096, &p.text)) == 0 &&
	    (rc = read_part(&p, PROOF_SIGNATURE, 4096, &p.signature)) == 0 &&
	    (rc = read_part(&p, PROOF_KEY, 16384, &p.pem)) == 0 &&
	    (rc = check_signature(&p, key)) == 0 && (rc = check_chain(&p)) == 0 &&
	    (rc = check_count(&p)) == 0)
		rc = tell(&p, key != NULL);
	close(p.dir);
	buf_done(&p.text);
	buf_done(&p.signature);
	buf_done(&p.pem);
	return rc;
}
