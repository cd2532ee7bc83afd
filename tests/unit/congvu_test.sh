#!/bin/sh
# congvu_test.sh: the command line itself: help, exit codes, checks without a directory, status and stop of what does not
# run, the audit log's exits. Runs in the build folder; needs no privileges and no network.
set -u
tmp=$(mktemp -d "${TMPDIR:-/tmp}/congvu-cli-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
LC_ALL=C.UTF-8 && export LC_ALL
failed=0

# expect CODE TEXT ARGUMENT...: the exit code, and a text in what is printed
expect()
{
	want=$1 text=$2
	shift 2
	out=$(./congvu "$@" 2>&1)
	code=$?
	if [ "$code" -ne "$want" ]; then
		echo "congvu $*: exit $code, not $want: $out"
		failed=1
	elif ! printf '%s' "$out" | grep -q -e "$text"; then
		echo "congvu $*: no \"$text\" in: $out"
		failed=1
	fi
}

mkdir -p "$tmp/etc/trust"
conf=$tmp/etc/congvu.conf
user=$(id -u)
{
	echo 'domains = {"tinhmau.example"}'
	for role in smtpd imapd lookup queue relay stored ingest milter scan ledger sign fetch; do
		echo "user_$role = \"$user\""
	done
} >"$conf"

expect 0 'usage: congvu' --help
expect 0 'congvu [0-9]' --version
expect 64 'usage: congvu'
expect 64 'no command "nonsense"' nonsense
expect 64 'need a value' status -c
expect 64 'needs vi or en' --lang fr status
expect 0 'usage: congvu' help
expect 0 'audit verify' help audit
for command in setup doctor run stop reload status check audit queue store agency staff; do
	expect 0 "congvu .*$command" "$command" --help
	expect 64 'no option --nonsense' -c "$conf" "$command" --nonsense
done
expect 69 'congvu-stored does not run' -c "$conf" reload
expect 64 'needs a value' -c "$conf" audit show --last
expect 64 'takes no value' -c "$conf" check --offline=yes
expect 78 'No such file' -c "$tmp/nothing.conf" status
echo 'quota_mb = 0' >"$tmp/etc/bad.conf"
expect 78 'bad.conf:1: quota_mb must be from 1 to' -c "$tmp/etc/bad.conf" status
expect 78 'bad.conf:1: quota_mb' -c "$tmp/etc/bad.conf" check --offline

# with more, what the queue, its relay and the ledger say of each would not fit one message between them
{ cat "$conf"; echo 'recipients_max = 1001'; } >"$tmp/etc/bad.conf"
expect 78 'recipients_max must be from 1 to 1000' -c "$tmp/etc/bad.conf" check --offline
# a retry the queue would pass over; mail delivered later than the store remembers it
{ cat "$conf"; echo 'queue_retry_s = {"1", "100000"}'; } >"$tmp/etc/bad.conf"
expect 78 'queue_retry_s.*"100000" is not' -c "$tmp/etc/bad.conf" check --offline
{ cat "$conf"; echo 'queue_lifetime_s = 600000'; } >"$tmp/etc/bad.conf"
expect 78 'queue_lifetime_s.*must be a day less' -c "$tmp/etc/bad.conf" check --offline

(cat "$conf"; printf 'listen_mx = "127.0.0.1:2525"\nlisten_imap = "127.0.0.1:2525"\n') >"$tmp/etc/twice.conf"
expect 78 'listen_imap: "127.0.0.1:2525" is that of listen_mx' -c "$tmp/etc/twice.conf" check --offline
printf 'policy_modes = {"P06=warn", "H37.02:P1=log"}\npolicy_attachment_mb = {"x"}\npolicy_trusted_authserv = {"filter.example"}\n' >"$tmp/etc/policy.conf"
expect 78 'policy_modes: "H37.02:P1=log": no such rule' -c "$tmp/etc/policy.conf" check --offline
expect 78 'policy_attachment_mb: "x": not a number' -c "$tmp/etc/policy.conf" check --offline
expect 78 'policy_trusted_authserv: "filter.example" is not our authserv_id' -c "$tmp/etc/policy.conf" check --offline

expect 69 'congvu-imapd *stopped' -c "$conf" status
expect 69 '"well": false' -c "$conf" --json status
expect 69 '"well": false' -c "$conf" status --json
expect 0 'nothing is running' -c "$conf" stop
expect 69 'never started' -c "$conf" queue list

# What a power cut leaves: the pid is another process now. It is not ours, and stop leaves it alone.
mkdir -p "$tmp/run"
sleep 60 &
other=$!
(sed '/^run_dir/d' "$conf"; echo "run_dir = \"$tmp/run\"") >"$tmp/etc/left.conf"
echo "{\"program\": \"congvu-stored\", \"state\": \"up\", \"pid\": $other, \"since\": 1, \"restarts\": 0, \"roles\": []}" \
	>"$tmp/run/congvu-stored.status"
expect 69 'congvu-stored *DEAD' -c "$tmp/etc/left.conf" status
expect 0 'nothing is running' -c "$tmp/etc/left.conf" stop
if ! kill "$other"; then
	echo "congvu stop ended a process that is not ours"
	failed=1
fi

expect 78 'token.key: No such file' -c "$conf" check --offline
echo short >"$tmp/etc/token.key"
chmod 644 "$tmp/etc/token.key"
expect 78 'can be read by others (mode 644): chmod 600' -c "$conf" check --offline
chmod 600 "$tmp/etc/token.key"
expect 78 '64 hex digits' -c "$conf" check --offline
echo 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f >"$tmp/etc/token.key"
expect 78 'key.pem: No such file' -c "$conf" check --offline
expect 78 '"result": "error"' -c "$conf" check --offline --json
if command -v openssl >/dev/null; then
	mkdir -p "$tmp/etc/tls"
	cert()
	{
		openssl req -x509 -newkey rsa:2048 -nodes -keyout "$tmp/etc/tls/key.pem" -out "$tmp/etc/tls/cert.pem" \
			-subj "/CN=$1" -addext "subjectAltName=DNS:$1" -days "$2" 2>/dev/null
		chmod 600 "$tmp/etc/tls/key.pem"
	}
	cert localhost 90
	expect 0 'days left' -c "$conf" check --offline
	expect 0 '"ok": true' -c "$conf" check --offline --json
	cert localhost 5
	expect 0 'WARNING  *tls_cert_file.*renew' -c "$conf" check --offline
	cert elsewhere.example 90
	expect 78 'does not name localhost' -c "$conf" check --offline
	openssl genrsa -out "$tmp/etc/tls/key.pem" 2048 2>/dev/null
	expect 78 'does not belong' -c "$conf" check --offline
fi

expect 66 'No such file' -c "$conf" audit verify
: >"$tmp/empty"
expect 0 '0 records' -c "$conf" audit verify --file "$tmp/empty"
echo 'no record at all' >"$tmp/broken"
expect 65 'line 1' -c "$conf" audit verify --file "$tmp/broken"
expect 65 '"line": 1' -c "$conf" audit verify --file "$tmp/broken" --json
expect 64 'number above 0' -c "$conf" audit show --last 0

# A start that fails says why at once (which of the programs is first to say so is open).
(sed '/^store_dir/d' "$conf"; echo 'store_dir = "/dev/null/store"'; echo 'log_file = "start.log"') >"$tmp/etc/start.conf"
expect 78 'level=error event=' -c "$tmp/etc/start.conf" run --daemon
exit $failed
