#!/bin/sh
# A store under load, its writes recorded, then states that a power cut could have left; and faults that must be found: syncs that do
# nothing, pages without protection, small bodies that are not kept, a text of a document that nobody knows is wanted. CRASH_STATES, CRASH_SEED: how many states, and which ones; CRASH_SYNCS=1, or from 5,000 on
# unless it is 0: every place that syncs is tried without (syncs.tsv has those whose absence cannot be seen). CRASH_JOBS. Runs in the build folder.
set -eu
states=${CRASH_STATES:-120}
seed=${CRASH_SEED:-1}
here=$PWD/tests/crash
source=$(dirname "$(readlink -f "$0")")
per_record=5000
syncs=${CRASH_SYNCS:-$((states >= 5000))}
if nm -D ./congvu-stored-db | grep -q __asan_init; then
	echo "skipped: AddressSanitizer replaces the same calls as the shim"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/crash-test.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export TMPDIR="$dir"
folder=/dev/shm
[ -w $folder ] || folder=$dir
folder=$(mktemp -d "$folder/crash-test.XXXXXX")
trap 'rm -rf "$dir" "$folder"' EXIT

# record PROGRAM FILE ACTS SEED
record() {
	STORED_BIN=$1 STORED_PRELOAD=$here/shim.so "$here/crash_load" -n "$3" -s "$4" -r $(($3 / 100)) "$2" 2>"$dir/load" || {
		grep -v ipc_ "$dir/load" | tail -n 20
		exit 1
	}
}

# shellcheck disable=SC1091
. "$source/sync_sites.sh"

check() {
	"$here/crash_check" -d "$folder" -j "${CRASH_JOBS:-$(nproc)}" "$@"
}

must_find() {
	what=$1
	shift
	if ! finds "$@"; then
		cat "$dir/found"
		echo "the checker does not see $what"
		exit 1
	fi
	echo "found: $what"
}

# not_judged: lines of the store that sync, and of which no load has shown that they must
not_judged() {
	awk 'FNR == 1 { fn = "" } /^[a-z_0-9]+\(/ { fn = $0; sub(/\(.*/, "", fn) }
		/[^a-z_]f(data)?sync\(/ && !/^[ \t]*(\/\*|\*)/ { n = split(FILENAME, path, "/"); print fn " " path[n] ":" FNR }' "$source"/../../store/*.c |
		while read -r function line; do
			grep -q "$line\>" "$dir/judged" || known "$function $line" "-" >/dev/null || echo "$function $line"
		done
	# the same line, called from elsewhere
	while read -r at _ path; do
		where=$(where_is "$1" "$at")
		grep -qxF "$where" "$dir/judged" || echo "$where ($path)"
	done <"$dir/sites"
}

record ./congvu-stored-db "$dir/record" 500 "$seed"
must_find "ignored syncs of segments" -n 200 -i segments/ "$dir/record"
must_find "ignored syncs of the log" -n 200 -i db/log. "$dir/record"
must_find "bodies that are not put in place from the log" -n 200 -N "$dir/record"
record "$here/crash_unsettled" "$dir/unsettled" 500 "$seed"
must_find "a log that goes before the segments are synced" -n 300 "$dir/unsettled"
record "$here/crash_late" "$dir/late" 500 "$seed"
must_find "a text that is wanted only when its mail is there" -n 200 "$dir/late"
record "$here/crash_bare" "$dir/bare" 500 "$seed"
must_find "pages without protection" -n 400 -p "$dir/bare"
if [ "$syncs" = 1 ]; then
	: >"$dir/judged"
	# batches of a few pages, so that many go between two checkpoints
	for i in 1 2 3 4 5 6 7 8; do
		record "$here/crash_small" "$dir/small" 2000 $((seed + i))
		sync_sites "$here/crash_small" "$dir/small" 4000
		missing=$(not_judged "$here/crash_small")
		[ -n "$missing" ] || break
	done
	if [ -n "$missing" ]; then
		echo "in $i loads the checker does not see that these syncs do nothing, or they are not reached: $missing"
		exit 1
	fi
fi
left=$states
first=$seed
# half of them with small batches and files, where more goes on
while [ "$left" -gt 0 ]; do
	n=$((left < per_record ? left : per_record))
	# every fourth load is a long one: a state of it takes twice the time
	acts=500
	[ "$states" -lt 1000 ] || [ $(((seed - first) % 4)) != 0 ] || acts=2000
	if [ "$acts" != 500 ] || [ "$seed" != "$first" ]; then
		record ./congvu-stored-db "$dir/record" $acts "$seed"
	fi
	check -s "$seed" -n $((n - n / 2)) "$dir/record"
	record "$here/crash_small" "$dir/small" $acts "$seed"
	check -s "$seed" -n $((n / 2)) "$dir/small"
	left=$((left - n))
	seed=$((seed + 1))
done
