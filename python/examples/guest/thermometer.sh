#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
# shellcheck shell=dash
#
# thermometer.sh: has a Linux guest use a thermometer, with a shell as its driver
#
#     vfu guest thermometer.py period=0.1 --run guest/thermometer.sh
#
# $DEV0 is the device's PCI address, as `vfu guest` sets it. What it prints is the same each time.

set -eu
name=${DEV0:?"the PCI address of the device"}
dev=/sys/bus/pci/devices/$name
die() { echo "thermometer.sh: $*"; exit 1; }

# ---- 1: what it is, and its registers, through their physical addresses ----

echo "class and ids $(lspci -ns "$name" | cut -d ' ' -f 2-)"
setpci -s "$name" COMMAND=0x0006 # it answers at its addresses, and may reach memory
bar=$(head -n 1 "$dev/resource" | cut -d ' ' -f 1)
get() { devmem $((bar + $1)) 32; }
put() { devmem $((bar + $1)) 32 "$2"; }
until_equal() { # REGISTER VALUE MASK
	for _ in $(seq 1000); do
		[ $(($(get "$1") & $3)) -eq $(($2)) ] && return
		sleep 0.01
	done
	die "register $1 does not become $2"
}
echo "identity $(get 0x00), threshold $(($(get 0x08)))"

# ---- 2 and 4: an alarm, as soon as there is a sample ----

put 0x08 0
put 0x1c 1 # running
until_equal 0x0c 1 1
put 0x1c 0
[ $(($(get 0x04))) -gt 0 ] || die "an alarm at $(get 0x04)"
put 0x0c 1
echo "alarm, then status $(get 0x0c)"

# ---- 3: an interrupt. The module uio_pci_generic makes it a file: a read of it waits for the next one ----

modprobe uio_pci_generic
if [ ! -d "$dev/uio" ]; then
	echo uio_pci_generic >"$dev/driver_override"
	echo "$name" >/sys/bus/pci/drivers_probe
fi
[ -d "$dev/uio" ] || die "uio_pci_generic does not take $name"
exec 3<>"/dev/$(ls "$dev/uio")"
setpci -s "$name" COMMAND=0x0006 # and the line is not turned off
next_interrupt() {
	timeout 10 dd bs=4 count=1 <&3 >/dev/null 2>&1 || die "no interrupt"
	put 0x1c 0                       # no more samples
	why=$(get 0x0c)
	put 0x0c "$why"                  # the line goes down
	setpci -s "$name" COMMAND=0x0006 # the kernel has turned it off
	echo "interrupt for status $why, then $(get 0x0c)"
}
put 0x14 7
put 0x18 2
echo "enabled $(get 0x10)"
put 0x1c 1
next_interrupt
put 0x08 99999 # and no more of that

# ---- 5: DMA to a page of a process that does nothing: edu.sh says why that one ----

fifo=/tmp/thermometer.$$
mkfifo "$fifo"
(read -r _ <"$fifo") &
sleeper=$!
trap 'kill $sleeper; rm "$fifo"' EXIT
page=$((0x$(sed -n 's/^\([0-9a-f]*\)-.*\[stack\]$/\1/p' /proc/$sleeper/maps) / 4096))
dd if=/dev/zero of=/proc/$sleeper/mem bs=4096 seek=$page count=1 conv=notrunc 2>/dev/null
# shellcheck disable=SC2046 # two numbers
set -- $(dd if=/proc/$sleeper/pagemap bs=8 skip=$page count=1 2>/dev/null | od -An -tu4)
address=$(($1 * 4096))
records() { # FIRST COUNT: of the page
	dd if=/proc/$sleeper/mem bs=4096 skip=$page count=1 2>/dev/null | od -An -v -w8 -tu4 | tail -n +"$1" | head -n "$2"
}

put 0x14 2
put 0x38 $((address + 1024 & 0xffffffff)) # the lower half alone rings no bell
echo "half of an address, status $(get 0x0c)"
put 0x3c $((address >> 32))
next_interrupt
# shellcheck disable=SC2046 # two numbers
set -- $(records 129 1) # behind 1024 bytes
[ "$*" = "$(($(get 0x20))) $(($(get 0x04)))" ] || die "the record is $*"
echo "the record is as the registers"

put 0x28 $((address & 0xffffffff))
put 0x2c $((address >> 32))
put 0x30 4
samples=$(get 0x20)
put 0x1c 1
until_equal 0x34 3 3
until_equal 0x34 1 3 # round it goes
put 0x1c 0
[ $(($(get 0x20) - samples)) -ge 5 ] || die "the ring is full too early"
echo "records in the ring: $(records 1 6 | awk '$1 > 0 && $2 > 0' | wc -l), status $(get 0x0c)"
