#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# The C examples, run against each other; those that are both ends come last.
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT

# shellcheck disable=SC2086 # a command, or none
${EMULATOR-} doc/examples/device "$dir/device.sock" &
server=$!
for _ in $(seq 100); do
	[ ! -S "$dir/device.sock" ] || break
	sleep 0.1
done
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/client "$dir/device.sock" >"$dir/out"
cat "$dir/out"
printf 'ticks: 42\nmemory: hello\n' | cmp - "$dir/out"
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/simulator "$dir/device.sock" >"$dir/out"
cat "$dir/out"
printf '500 ns: ticks: 42\n1100 ns: 5 bytes of DMA\n1100 ns: interrupt, memory: hello\n' | cmp - "$dir/out"
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/bus "$dir/device.sock" >"$dir/out"
cat "$dir/out"
printf 'bus: 5 bytes to 0x80000100\nmemory: hello\n' | cmp - "$dir/out"
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/interrupts "$dir/device.sock" >"$dir/out"
printf 'raised: 0 0 1 0\nmasked: 0, unmasked: 1\n' | cmp - "$dir/out"
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/choices "$dir/device.sock" >"$dir/out"
cat "$dir/out"
printf 'twin socket: yes\nfile: no, messages of the device: 1\nposted: 1, answered: 1\ninterrupted: yes\n' |
	cmp - "$dir/out"
# shellcheck disable=SC2086
[ "$(${EMULATOR-} doc/examples/threads "$dir/device.sock")" = "threads: 8, interrupt: yes" ]
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/commands "$dir/device.sock" >"$dir/out"
printf 'regions: 9\nmigration: no\nranges: 8\n' | cmp - "$dir/out"
kill "$server"
wait "$server"
server=
# shellcheck disable=SC2086
[ "$(${EMULATOR-} doc/examples/intx "$dir/intx.sock")" = "interrupts: 3" ]
# shellcheck disable=SC2086
[ "$(${EMULATOR-} doc/examples/doorbell "$dir/doorbell.sock")" = "rung: 3, by writes: 3, messages: 1" ]
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/firmware "$dir/firmware.sock" >"$dir/out"
# Without a guard that is told of faults, which an emulator lacks, all goes by message.
messages=0
[ -z "${EMULATOR-}" ] || messages=$(sed -n 's/.*messages: //p' "$dir/out")
printf 'BAR 0: 8192 bytes at 0xe0000000, reads 0x600d; MSI-X: 4 vectors\nmemory: 42, messages: %s\n' "$messages" |
	cmp - "$dir/out"
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/mapped "$dir/mapped.sock" >"$dir/out"
[ -z "${EMULATOR-}" ] || messages=$(sed -n 's/.*messages: //p' "$dir/out")
printf 'mapped: 65536 bytes, last: 999, messages: %s\n' "$messages" | cmp - "$dir/out"
# shellcheck disable=SC2086
[ "$(${EMULATOR-} doc/examples/regions "$dir/regions.sock")" = "region 9: 42 43 44" ]
# shellcheck disable=SC2086
[ "$(${EMULATOR-} doc/examples/many "$dir")" = "device: 4, another: refused" ]
# shellcheck disable=SC2086
[ "$(${EMULATOR-} doc/examples/batch "$dir/batch.sock")" = "messages: 2, colour 100: 646464" ]
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/reconnect "$dir/reconnect.sock" >"$dir/out"
cat "$dir/out"
printf 'sum: %s\nlost\nserver %s, a new device\n' 1 2 3 3 >"$dir/right"
echo "sum: 6" >>"$dir/right"
cmp "$dir/right" "$dir/out"
# shellcheck disable=SC2086
${EMULATOR-} doc/examples/areas "$dir/areas.sock" >"$dir/out"
printf 'area 0\narea 1\n' | cmp - "$dir/out"
[ -z "$(find "$dir" -name '*.sock')" ] || { echo "the socket was left behind" >&2; exit 1; }

# shellcheck disable=SC2086
${EMULATOR-} doc/examples/dma >"$dir/out"
printf 'ring: entry, memory: data\nmemory: DATA AND SO ON too! ...\n' | cmp - "$dir/out"

# shellcheck disable=SC2086
${EMULATOR-} doc/examples/window >"$dir/out"
printf 'capabilities: from 0x60, window: seen, serial number: 01...08\n' | cmp - "$dir/out"

# shellcheck disable=SC2086
${EMULATOR-} doc/examples/lend >"$dir/out"
printf 'picture: 1048576 bytes of 1, given back: 1\nlog: "ready", then 65531 zeros\n' | cmp - "$dir/out"
