#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# quickstart where the mirror fails: an apt-get of our own, first in PATH, fails as told.
set -eu
: "${abs_srcdir:?run by make check}"
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
failed=0

mkdir "$tmp/bin"
cp "$abs_srcdir/quickstart" "$tmp"
# calls: what apt-get was asked for; broken-updates: how many are still to fail; not-there: packages that
# cannot be had; installed: what is.
cat >"$tmp/bin/apt-get" <<-'END'
	#!/bin/sh
	while :; do
		case $1 in
		-o) shift 2 ;;
		-*) shift ;;
		*) break ;;
		esac
	done
	here=$(dirname "$0")/..
	echo "$1" >>"$here/calls"
	case $1 in
	update)
		left=$(cat "$here/broken-updates")
		echo $((left - 1)) >"$here/broken-updates"
		[ "$left" -le 0 ]
		;;
	install)
		shift
		! printf '%s\n' "$@" | grep -qxF -f "$here/not-there" || exit 100
		printf '%s\n' "$@" >>"$here/installed"
		;;
	esac
END
cat >"$tmp/bin/dpkg-query" <<-'END'
	#!/bin/sh
	for package in "$@"; do :; done
	! grep -qx -- "$package" "$(dirname "$0")/../installed" || echo installed
END
printf '#!/bin/sh\nexec "$@"\n' >"$tmp/bin/sudo"
printf '#!/bin/sh\n' >"$tmp/bin/sleep"
chmod +x "$tmp/bin"/*

# run BROKEN-UPDATES WANTED-STATUS WANTED-CALLS WARNED WHAT
run()
{
	echo "$1" >"$tmp/broken-updates"
	: >"$tmp/calls"
	status=0
	PATH=$tmp/bin:$PATH sh "$tmp/quickstart" install another one-more >"$tmp/out" 2>&1 || status=$?
	calls=$(tr '\n' ' ' <"$tmp/calls")
	warned=$(grep -c WARNING "$tmp/out" || true)
	if [ "$status $calls$warned" = "$2 $3$4" ]; then
		echo "ok: $5"
	else
		echo "FAILED: $5: got $status $calls$warned, wanted $2 $3$4"
		cat "$tmp/out"
		failed=1
	fi
}

# says WORDS: of the run before
says()
{
	grep -q -- "$1" "$tmp/out" || { echo "FAILED: does not say $1" && failed=1; }
}

: >"$tmp/installed"
: >"$tmp/not-there"
run 0 0 "update install install install " 0 "all is well"
run 9 0 "" 0 "all is installed: apt-get is not asked"
: >"$tmp/installed"
run 1 0 "update update install install install " 0 "an update that fails is tried again"
: >"$tmp/installed"
run 9 0 "update update update install install install " 1 "updates that go on failing are a warning if all can be had"
: >"$tmp/installed"
echo another >"$tmp/not-there"
run 0 77 "update install install install " 1 "what is only wanted, and not there, does not keep the rest away"
says "WARNING: cannot be had.*: another\$"
: >"$tmp/installed"
echo gcc >>"$tmp/not-there"
run 9 1 "update update update install " 1 "without lists and packages it fails"
says "cannot be had.* gcc "
run 0 1 "update install " 0 "without packages it fails"
exit $failed
