#!/bin/sh
# The queue as crash_test.sh does the store: what a power cut leaves of what it holds, delivers and has settled. CRASH_STATES, CRASH_SEED.
# Runs in the build folder.
set -eu
states=${CRASH_STATES:-120}
seed=${CRASH_SEED:-1}
here=$PWD/tests/crash
if nm -D ./congvu-smtpd-queue | grep -q __asan_init; then
	echo "skipped: AddressSanitizer replaces the same calls as the shim"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/queue-test.XXXXXX")
folder=/dev/shm
[ -w $folder ] || folder=$dir
folder=$(mktemp -d "$folder/queue-test.XXXXXX")
trap 'rm -rf "$dir" "$folder"' EXIT
export TMPDIR="$dir"

QUEUE_PRELOAD=$here/shim.so "$here/queue_load" -n 400 -s "$seed" "$dir/record" 2>"$dir/load" || {
	grep -v ipc_ "$dir/load" | tail -n 20
	exit 1
}
check() {
	"$here/queue_check" -d "$folder" -j "${CRASH_JOBS:-$(nproc)}" -s "$seed" "$@" "$dir/record"
}
for files in spool db/log. db/; do
	if check -n 400 -f 1 -i "$files" >"$dir/out" 2>&1; then
		cat "$dir/out"
		echo "the checker does not see ignored syncs of $files"
		exit 1
	fi
	echo "found: ignored syncs of $files"
done
check -n "$states"
