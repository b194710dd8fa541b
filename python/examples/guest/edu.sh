#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
# shellcheck shell=dash
#
# edu.sh: has a Linux guest use an edu device, with a shell as its driver
#
#     vfu guest edu.py --memory 256M --run guest/edu.sh
#
# It says the same of QEMU's own "-device edu" and of ../edu.py, for neither can it tell which it has. $DEV0 is the
# device's PCI address, as `vfu guest` sets it. Elsewhere it needs root, setpci, busybox's devmem, and no IOMMU or
# iommu=pt: the device has to reach physical addresses. They have to be below 256 MiB, for it has 28 address lines.

set -eu
name=${DEV0:?"the PCI address of the device"}
dev=/sys/bus/pci/devices/$name
die() { echo "edu.sh: $*"; exit 1; }

# The module uio_pci_generic makes a device's interrupt a file: a read of it waits for the next one.
modprobe uio_pci_generic
if [ ! -d "$dev/uio" ]; then
	echo uio_pci_generic >"$dev/driver_override"
	echo "$name" >/sys/bus/pci/drivers_probe
fi
[ -d "$dev/uio" ] || die "uio_pci_generic does not take $name"
exec 3<>"/dev/$(ls "$dev/uio")"

# ---- registers: through physical addresses ----

bar=$(head -n 1 "$dev/resource" | cut -d ' ' -f 1)
get() { devmem $((bar + $1)) 32; }
put() { devmem $((bar + $1)) 32 "$2"; }

# ---- interrupts: the kernel turns the line off, and what read the file turns it on again ----

setpci -s "$name" COMMAND=0x0006 # memory, bus master, and the line not turned off
next_interrupt() { # [BITS]: acknowledges these, or all
	timeout 10 dd bs=4 count=1 <&3 >/dev/null 2>&1 || die "no interrupt"
	why=$(get 0x24)
	put 0x64 "${1-$why}"
	echo "interrupt for $why, then $(get 0x24)"
	setpci -s "$name" COMMAND=0x0006
}

echo "ids $(cat "$dev/vendor") $(cat "$dev/device") class $(cat "$dev/class") revision $(cat "$dev/revision")"
echo "subsystem $(cat "$dev/subsystem_vendor") $(cat "$dev/subsystem_device")"
echo "BAR 0 of $(($(head -n 1 "$dev/resource" | cut -d ' ' -f 2) - bar + 1)) bytes"
echo "identification $(get 0x00)"
for value in 0x12345678 0 0xffffffff; do
	put 0x04 $value
	echo "inverse of $value is $(get 0x04)"
done

put 0x60 0x6
next_interrupt 0x2 # the line stays up
next_interrupt
put 0x60 0x80000000
next_interrupt
echo "registers to be written: $(get 0x60) $(get 0x64)"

for n in 0 1 2 5 12 13 20 33 34; do
	put 0x20 0
	put 0x08 $n
	while [ $(($(get 0x20) & 1)) -eq 1 ]; do :; done
	echo "factorial of $n is $(get 0x08)"
done
put 0x20 0x80
put 0x08 10
next_interrupt
echo "factorial of 10 is $(get 0x08), status $(get 0x20)"

# ---- DMA: the memory is a page of a process that does nothing ----

# It waits for somebody to write, for ever. As it runs no other program, its addresses stay what they are; the lowest
# page of its stack it will not get to.
fifo=/tmp/edu.$$
mkfifo "$fifo"
(read -r _ <"$fifo") &
sleeper=$!
trap 'kill $sleeper; rm "$fifo"' EXIT
page=$((0x$(sed -n 's/^\([0-9a-f]*\)-.*\[stack\]$/\1/p' /proc/$sleeper/maps) / 4096))
to_page() { dd of=/proc/$sleeper/mem bs=4096 seek=$page count=1 conv=notrunc 2>/dev/null || die "page $page: no write"; }
from_page() { dd if=/proc/$sleeper/mem bs=4096 skip=$page count=1 2>/dev/null || die "page $page: no read"; }
address() { # where the page is: it is written before, for only then it has a place of its own
	set -- "$(dd if=/proc/$sleeper/pagemap bs=8 skip=$page count=1 2>/dev/null | od -An -tu4)"
	# shellcheck disable=SC2086 # two numbers
	set -- $1
	echo $(($1 * 4096))
}
copy() { # SOURCE DESTINATION COUNT COMMAND
	put 0x80 "$1"
	put 0x84 0
	put 0x88 "$2"
	put 0x8c 0
	put 0x90 "$3"
	put 0x94 0
	put 0x98 "$4"
}

seq 1 2000 | head -c 4096 | to_page
place=$(address)
[ "$place" -lt $((1 << 28)) ] || die "the page is at $place, above 256 MiB"
copy "$place" 0x40000 4096 0x5
next_interrupt
head -c 4096 /dev/zero | to_page
echo "memory is cleared: $(from_page | md5sum)"
copy 0x40000 "$place" 4096 0x7
next_interrupt
echo "memory is as before: $(from_page | md5sum)"
put 0x98 0x6 # without bit 0 it is no command
echo "DMA command $(get 0x98)"
copy 0x40010 "$place" 16 0x3 # moved by 16 bytes, and no interrupt
while [ $(($(get 0x98) & 1)) -eq 1 ]; do :; done
echo "moved: $(from_page | head -c 32 | tr '\n' ' '), interrupt status $(get 0x24)"
