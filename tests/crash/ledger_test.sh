#!/bin/sh
# The audit log as crash_test.sh does the store: what a power cut leaves of what was acknowledged; every place that syncs is tried without; and what
# fault_test.sh does: calls that fail, syncs whose data never gets there. CRASH_STATES, CRASH_SEED, FAULT_STEPS. Runs in the build folder.
set -eu
states=${CRASH_STATES:-120}
seed=${CRASH_SEED:-1}
steps=${FAULT_STEPS:-1}
per_record=5000
here=$PWD/tests/crash
source=$(dirname "$(readlink -f "$0")")
if nm -D ./congvu-milter-ledger | grep -q __asan_init; then
	echo "skipped: AddressSanitizer replaces the same calls as the shim"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/ledger-test.XXXXXX")
folder=/dev/shm
[ -w $folder ] || folder=$dir
folder=$(mktemp -d "$folder/ledger-test.XXXXXX")
trap 'rm -rf "$dir" "$folder"' EXIT
export TMPDIR="$dir"

# record PROGRAM SEED RECORDS OPTIONS...
record() {
	program=$1
	s=$2
	n=$3
	shift 3
	LEDGER_BIN=$program LEDGER_PRELOAD=$here/shim.so timeout 200 "$here/ledger_load" -n "$n" -s "$s" "$@" "$dir/record" \
		>"$dir/out" 2>"$dir/load" || {
		cat "$dir/out"
		grep -v ipc_ "$dir/load" | tail -n 20
		echo "failed: a load of seed $s: $*"
		exit 1
	}
}

# shellcheck disable=SC1091
. "$source/sync_sites.sh"


check() {
	"$here/ledger_check" -d "$folder" -j "${CRASH_JOBS:-$(nproc)}" "$@"
}

# every_sync PROGRAM RECORDS: with other loads until each place that syncs had something to sync: whether the closing of a file meets an
# outcome that was written and not synced is a matter of moments
every_sync() {
	: >"$dir/judged"
	try=0
	while [ $try -lt 8 ]; do
		record "$1" $((seed + try)) "$2" -r 8
		[ $try -gt 0 ] || cat "$dir/out"
		# the state file matters only where all of it was lost and of the last batch the middle
		sync_sites "$1" "$dir/record" 8000
		[ -s "$dir/idle" ] || return 0
		try=$((try + 1))
	done
	echo "in $try loads the checker does not see that syncs do nothing here:"
	cat "$dir/idle"
	exit 1
}

every_sync ./congvu-milter-ledger 600
left=$states
s=$seed
# half of them with small files, where more goes on
while [ "$left" -gt 0 ]; do
	n=$((left < per_record ? left : per_record))
	record ./congvu-milter-ledger "$s" 600 -r 8
	check -s "$s" -n $((n - n / 2)) "$dir/record"
	record "$here/crash_rotate" "$s" 400 -r 8
	check -s "$s" -n $((n / 2)) "$dir/record"
	left=$((left - n))
	s=$((s + 1))
done
[ "$states" -lt 1000 ] || every_sync "$here/crash_rotate" 400

record ./congvu-milter-ledger "$seed" 150 -r 0
# "calls: write 1 sync 2 ..."
sed -n 's/.*calls://p' "$dir/out" >"$dir/calls"
grep -v '^#' "$source/faults.tsv" | while IFS="$(printf '\t')" read -r op count errno what; do
	total=$(awk -v op="$op" '{ for (i = 1; i < NF; i += 2) if ($i == op) print $(i + 1) }' "$dir/calls")
	step=$((steps < total ? steps : total))
	[ "$step" -gt 0 ] || continue # it makes no such calls
	i=0 hit=0 deaths=0
	while [ $i -lt "$step" ]; do
		first=$(((2 * i + 1) * total / (2 * step) + 1))
		record ./congvu-milter-ledger "$seed" 150 -r 0 -f "$op:$first:$count:$errno"
		check -s "$seed" -n 40 "$dir/record" >"$dir/check" 2>&1 || {
			cat "$dir/out" "$dir/check"
			echo "failed: $what: $op:$first:$count:$errno"
			exit 1
		}
		if ! grep -q '; 0 faults' "$dir/out"; then hit=$((hit + 1)); fi
		if ! grep -q ' 0 deaths' "$dir/out"; then deaths=$((deaths + 1)); fi
		i=$((i + 1))
	done
	echo "passed: $what ($op): $step runs, $hit met it, milter-ledger was begun again in $deaths"
done
