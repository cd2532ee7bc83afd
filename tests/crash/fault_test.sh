#!/bin/sh
# What goes wrong beside a power cut: no room, errors and short results of reads and writes, syncs that fail, no descriptors, a clock that
# is set. A store under load meets each once or for a while (faults.tsv, shim.c); afterwards, and after a power cut at any point, what was
# acknowledged must be there, and nothing else. FAULT_STEPS: at so many places of a run each. Runs in the build folder.
set -eu
steps=${FAULT_STEPS:-1}
seed=${CRASH_SEED:-1}
acts=120
states=12
[ "$steps" = 1 ] || states=40
here=$PWD/tests/crash
source=$(dirname "$(readlink -f "$0")")
if nm -D ./congvu-stored-db | grep -q __asan_init; then
	echo "skipped: AddressSanitizer replaces the same calls as the shim"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/fault-test.XXXXXX")
folder=/dev/shm
[ -w $folder ] || folder=$dir
folder=$(mktemp -d "$folder/fault-test.XXXXXX")
trap 'rm -rf "$dir" "$folder"' EXIT
export TMPDIR="$dir"

# one WHAT OPTIONS...
one() {
	case_is=$1
	shift
	if ! STORED_BIN=./congvu-stored-db STORED_PRELOAD=$here/shim.so timeout 200 "$here/crash_load" -n $acts -s "$seed" -r 0 "$@" "$dir/record" \
		>"$dir/out" 2>"$dir/load"; then
		grep -v ipc_ "$dir/load" | tail -n 20
		echo "failed: $case_is"
		exit 1
	fi
	if ! "$here/crash_check" -d "$folder" -j "$(nproc)" -s "$seed" -n $states "$dir/record" >"$dir/check" 2>&1; then
		cat "$dir/out" "$dir/check"
		echo "failed: $case_is"
		exit 1
	fi
}

one "no fault"
# "calls: write 1 sync 2 ..."
sed -n 's/.*calls://p' "$dir/out" >"$dir/calls"
one "a clock that is set" -c
echo "passed: a clock that is set"
grep -v '^#' "$source/faults.tsv" | while IFS="$(printf '\t')" read -r op count errno what; do
	total=$(awk -v op="$op" '{ for (i = 1; i < NF; i += 2) if ($i == op) print $(i + 1) }' "$dir/calls")
	tried=0 hit=0 deaths=0 i=0
	step=$((steps < total ? steps : total))
	while [ $i -lt "$step" ]; do
		first=$(((2 * i + 1) * total / (2 * step) + 1))
		one "$what: $op:$first:$count:$errno" -f "$op:$first:$count:$errno"
		tried=$((tried + 1))
		if ! grep -q '; 0 faults' "$dir/out"; then hit=$((hit + 1)); fi
		if ! grep -q ' 0 deaths' "$dir/out"; then deaths=$((deaths + 1)); fi
		i=$((i + 1))
	done
	echo "passed: $what ($op): $tried runs, $hit met it, stored ended in $deaths"
done
