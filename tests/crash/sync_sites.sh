# Sourced by crash_test.sh and ledger_test.sh: each place in a program that syncs is tried as if it did nothing. $dir is the script's folder, $source that of
# this file; $dir/judged has the places that need no other load.

# Where a place in the program is: function and line, with those it was inlined into.
where_is() {
	addr2line -i -f -s -e "$1" "$(printf '%x' $((0x$2 - 1)))" | sed 's/ (.*//' | paste -sd' '
}

# known WHERE PATH: why its absence cannot be seen; fails when it should be
known() {
	awk -F'\t' -v where="$1" -v path="$2" '$1 !~ /^#/ && index(where, $1) && index(path, $2) == 1 { print $3; found = 1; exit } END { exit !found }' \
		"$source/syncs.tsv"
}

# sync_sites PROGRAM RECORD STATES: each place that syncs, in turn, does nothing ("check -l RECORD" lists them; "finds -I AT RECORD" says whether the checker fails).
# Those that are seen, or cannot be, go to $dir/judged: they are not tried with another load. The others go to $dir/idle: a sync that had nothing to make
# durable in this load, or nothing that matters, is not seen, and whether it has is a matter of moments.
sync_sites() {
	check -l "$2" >"$dir/sites"
	: >"$dir/idle"
	while read -r at count path; do
		where=$(where_is "$1" "$at")
		if grep -qxF "$where" "$dir/judged"; then
			continue
		elif reason=$(known "$where" "$path"); then
			echo "cannot be seen: $count syncs of $path ($where): $reason"
		elif [ "$count" -gt 0 ] && finds -n "$3" -I "$at" "$2"; then
			echo "found: $count syncs of $path that do nothing ($where)"
		else
			echo "$where" >>"$dir/idle"
			continue
		fi
		echo "$where" >>"$dir/judged"
	done <"$dir/sites"
}

# finds OPTIONS...: whether the checker fails
finds() {
	status=0
	check -s "$seed" -f 1 "$@" >"$dir/found" 2>&1 || status=$?
	if [ "$status" != 0 ] && [ "$status" != 1 ]; then
		cat "$dir/found"
		echo "the checker has failed itself ($status)"
		exit 1
	fi
	[ "$status" = 1 ]
}
