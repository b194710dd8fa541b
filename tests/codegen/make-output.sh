#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# Generated C keeps its date where only comments changed, so that nothing is compiled for the prose of a spec.
set -u
: "${abs_srcdir:?run by make check}" "${LUA:?}"
"$LUA" -e 'assert(_VERSION == "Lua 5.4")' 2>/dev/null || {
	echo "SKIPPED: needs Lua 5.4 (Debian: lua5.4), and LUA is '$LUA'"
	exit 77
}
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
cp -R "$abs_srcdir/spec" "$tmp/spec" && ln -s "$abs_srcdir/codegen" "$tmp/codegen" && cd "$tmp" || exit 1
failed=0

fail()
{
	echo "FAIL: $*"
	failed=1
}

# make_both: wire.h (that of spec/dma.lua) and wire.c anew; they were made long ago
make_both()
{
	touch -t 200001010000 wire.h wire.c
	sh codegen/make-output "$LUA" . wire_h/dma wire.h.stamp && sh codegen/make-output "$LUA" . wire_c wire.c.stamp
}

# old FILE: has it kept its date?
old()
{
	[ -n "$(find "$1" ! -newer dated)" ]
}

# edit FROM TO: in spec/dma.lua, which must have it
edit()
{
	grep -q "$1" spec/dma.lua || fail "spec/dma.lua has no $1"
	sed "s/$1/$2/" spec/dma.lua >dma.lua && mv dma.lua spec/dma.lua
}

: >wire.h && touch -t 200101010000 dated
make_both || fail "nothing is made"
old wire.h && fail "wire.h is not made"

edit 'doc = "length in bytes"' 'doc = "how many bytes, told in as many words as make another line of a comment"'
make_both
grep -q 'as many words' wire.h || fail "wire.h has the old prose"
old wire.h || fail "wire.h has another date for prose"
old wire.c || fail "wire.c has another date for prose"

edit 'u64 "size" { min = 1,' 'u64 "size" { min = 2,'
make_both
old wire.h || fail "wire.h has another date for a rule"
old wire.c && fail "wire.c has an old date for a new rule"

edit 'u64 "offset"' 'u64 "start"'
make_both 2>/dev/null && fail "a faulty spec is taken"
old wire.h || fail "a faulty spec changed wire.h"
[ ! -e wire.h.tmp ] || fail "a faulty spec left wire.h.tmp"

edit 'within { "offset"' 'within { "start"'
make_both || fail "the mended spec is not taken"
old wire.h && fail "wire.h has an old date for a new name"
[ $failed -eq 0 ] && echo "dates are kept, and changed"
exit $failed
