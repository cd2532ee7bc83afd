#!/bin/sh
# systemd_test.sh: what make install puts there for systemd: units that systemd-analyze reads without a complaint, whose paths are
# those of the installed files, well shut in; users that are those of the options; folders. Installs into a folder of its own.
set -u
command -v systemd-analyze >/dev/null && command -v systemd-sysusers >/dev/null || exit 77
srcdir=${srcdir:-.}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/congvu-systemd-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
failed=0
complain()
{
	echo "$*"
	failed=1
}

${MAKE:-make} -s install DESTDIR="$tmp/root" >"$tmp/install.log" 2>&1 || {
	cat "$tmp/install.log"
	exit 1
}
units=$(find "$tmp/root" -name '*.service' -o -name '*.target')
[ "$(echo "$units" | wc -l)" -eq 6 ] || complain "units: $units"
folder=$(dirname "$(echo "$units" | head -n 1)")
for program in stored milter smtpd imapd; do
	unit=$folder/congvu-$program.service
	start=$(sed -n 's/^ExecStart=//p' "$unit")
	binary=${start%% *}
	[ -x "$tmp/root$binary" ] || complain "$unit: $binary is not installed"
	grep -q "@[A-Z]*@" "$unit" && complain "$unit: a word between at signs is left"
	conf=${start##* }
	grep -qx "ConditionPathExists=$conf" "$unit" || complain "$unit: its condition is not $conf"
	./congvu --help | grep -qF "($conf)" || complain "$unit: congvu reads another file than $conf"
	# what systemd-analyze verify wants to find; the build folder has the programs
	mkdir -p "$tmp/verify"
	sed "s|^ExecStart=[^ ]*|ExecStart=$PWD/congvu-$program|" "$unit" >"$tmp/verify/congvu-$program.service"
done
cp "$folder/congvu-slapd.service" "$folder/congvu.target" "$tmp/verify/"
said=$(systemd-analyze verify --man=no "$tmp"/verify/* 2>&1 | grep congvu)
[ -z "$said" ] || complain "systemd-analyze verify: $said"
for unit in "$tmp"/verify/*.service; do
	systemd-analyze security --offline=true --threshold=30 "$unit" >"$tmp/security" 2>&1 ||
		complain "$(basename "$unit") is open: $(tail -n 1 "$tmp/security")"
	for call in seccomp landlock_restrict_self setuid memfd_create; do
		case $unit in
		*slapd*) continue ;;
		esac
		line=$(sed -n 's/^SystemCallFilter=//p' "$unit")
		for word in $line; do
			case $word in
			@*) systemd-analyze syscall-filter "$word" ;;
			*) echo "$word" ;;
			esac
		done >"$tmp/calls"
		# shellcheck disable=SC2013
		for group in $(grep -o '@[a-z-]*' "$tmp/calls" | sort -u); do
			systemd-analyze syscall-filter "$group" >>"$tmp/calls"
		done
		grep -qw "$call" "$tmp/calls" || complain "$(basename "$unit"): $call is not allowed, which the programs need"
	done
done

# users and folders
sysusers=$(find "$tmp/root" -path "*/sysusers.d/congvu.conf")
mkdir -p "$tmp/users/etc"
systemd-sysusers --root="$tmp/users" "$sysusers" >"$tmp/said" 2>&1 || complain "systemd-sysusers: $(cat "$tmp/said")"
# shellcheck disable=SC2013
for user in $(sed -n 's/^CV_OPT(user_[a-z]*, CONF_STR, "\([^"]*\)".*/\1/p' "$srcdir/lib/options.def"); do
	grep -q "^$user:" "$tmp/users/etc/passwd" || complain "there is no user $user"
done
if [ "$(id -u)" = 0 ]; then
	systemd-tmpfiles --root="$tmp/users" --create "$(find "$tmp/root" -path "*/tmpfiles.d/congvu.conf")" >"$tmp/said" 2>&1 ||
		complain "systemd-tmpfiles: $(cat "$tmp/said")"
	for d in /run/congvu /var/lib/congvu; do
		[ "$(stat -c %a "$tmp/users$d")" = 711 ] || complain "$d is not there with mode 711"
	done
fi
${MAKE:-make} -s uninstall DESTDIR="$tmp/root" >"$tmp/install.log" 2>&1
left=$(find "$tmp/root" -type f)
[ -z "$left" ] || complain "make uninstall leaves $left"
exit $failed
