#!/bin/sh
# sendmail_unpack.sh DIR: Debian's Sendmail unpacked below DIR, for tests/system/test_foreign_mta.py: installed it would drive out Postfix.
# What is there already is used. Exit 77: the packages cannot be had.
set -eu
dir=$1
[ -x "$dir/usr/libexec/sendmail/sendmail" ] && [ -f "$dir/usr/share/sendmail/cf/m4/cf.m4" ] && exit 0
mkdir -p "$dir/.debs"
cd "$dir/.debs"
apt-get -q download sendmail-bin sendmail-cf liblockfile1 libnsl2 libwrap0 libsasl2-2 >/dev/null 2>&1 || exit 77
for deb in *.deb; do
	dpkg -x "$deb" "$dir"
done
rm -rf "$dir/.debs"
[ -x "$dir/usr/libexec/sendmail/sendmail" ] || exit 77
