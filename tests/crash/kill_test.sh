#!/bin/sh
# kill -9 of stored under load again and again, at random moments, with twelve writers; afterwards what was accepted is there once, byte for
# byte, and nothing else. KILLS: how often. Runs in the build folder.
set -eu
kills=${KILLS:-20}
dir=$(mktemp -d "${TMPDIR:-/tmp}/kill-test.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export TMPDIR="$dir"
if ! STORED_BIN=./congvu-stored-db tests/crash/crash_load -n $((kills * 35)) -s "${CRASH_SEED:-$$}" -K "$kills" -d "$dir/kept" "$dir/record" 2>"$dir/load"; then
	grep -v ipc_ "$dir/load" | tail -n 20
	exit 1
fi
tests/crash/crash_check -v "$dir/kept" "$dir/record"
