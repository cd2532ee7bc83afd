#!/bin/sh
# A store under load, its writes recorded, then states that a power cut could have left; and three faults that must be found.
# CRASH_STATES, CRASH_SEED: how many states, and which ones. Runs in the build folder.
set -eu
states=${CRASH_STATES:-120}
seed=${CRASH_SEED:-1}
here=$PWD/tests/crash
if nm -D ./congvu-stored-db | grep -q __asan_init; then
	echo "skipped: AddressSanitizer replaces the same calls as the shim"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/crash-test.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export TMPDIR="$dir"
folder=/dev/shm
[ -w $folder ] || folder=$dir

# record PROGRAM FILE ACTS
record() {
	STORED_BIN=$1 STORED_PRELOAD=$here/shim.so "$here/crash_load" -n "$3" -s "$seed" "$2" 2>"$dir/load" || {
		tail -n 20 "$dir/load"
		exit 1
	}
}

# must_fail WHAT RECORD OPTIONS...
must_fail() {
	what=$1
	shift
	status=0
	"$here/crash_check" -d "$folder" -s "$seed" -n 200 "$@" >"$dir/out" 2>&1 || status=$?
	if [ "$status" != 1 ]; then
		cat "$dir/out"
		echo "the checker does not see $what (status $status)"
		exit 1
	fi
	echo "found: $what"
}

record ./congvu-stored-db "$dir/record" 500
must_fail "ignored syncs of segments" -i segments/ "$dir/record"
must_fail "ignored syncs of the log" -i db/log. "$dir/record"
"$here/crash_check" -d "$folder" -s "$seed" -n "$states" "$dir/record"
record "$here/crash_bare" "$dir/bare" 500
must_fail "pages without protection" -p "$dir/bare"
