#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
# shellcheck shell=dash
#
# nvme.sh: has a Linux guest use an NVMe disk, with the kernel's own driver
#
#     vfu guest nvme.py file=/tmp/disk.img --driver nvme --run guest/nvme.sh
#
# The disk's first half gets a file system, unless it has one from an earlier guest: then what that one left is compared
# with its checksums. New files are written, the disk is reset, and they are read back after it was mounted anew. Last,
# the rates of all NVMe disks that there are, QEMU's own too: their second half is written for that, and read.

set -eu
name=${DEV0:?"the PCI address of the disk"}
die() { echo "nvme.sh: $*"; exit 1; }

tries=100 # it comes a little later than its driver
until set -- "/sys/bus/pci/devices/$name"/nvme/nvme*/nvme*n1 && [ -b "/dev/${1##*/}" ]; do
	[ $((tries -= 1)) -gt 0 ] || die "$name is no disk"
	usleep 50000
done
disk=/dev/${1##*/}
half=$(($(blockdev --getsize64 "$disk") / 2097152)) # MiB
modprobe ext4
mkdir -p /mnt
echo "$(cat "/sys/bus/pci/devices/$name"/nvme/nvme*/model | xargs) $((2 * half)) MiB"

mounted() { mount -t ext4 "$disk" /mnt 2>/dev/null; }
sums() { (cd /mnt && md5sum -c sums >/tmp/said 2>&1) || die "$(cat /tmp/said)"; }

if mounted; then
	sums
	echo "an earlier guest's file system, $(wc -l </mnt/sums) files are as they were"
else
	mke2fs "$disk" $((half * 1024)) >/dev/null
	mounted || die "no file system was made"
	echo "a new file system"
fi
rm -f /mnt/file*
for i in 1 2 3 4 5 6 7 8; do
	head -c $((i * 99999)) /dev/urandom >/mnt/file$i
done
(cd /mnt && md5sum file* >sums)
dd if=/dev/zero of="$disk" bs=1M seek=$half count=$half oflag=direct 2>/dev/null &
echo 1 >"/sys/bus/pci/devices/$name/reset" # in the middle of that: the driver does again what had not ended
wait $! || die "what was written when the disk was reset was not"
umount /mnt
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null # from the disk, not from memory
mounted || die "what was unmounted cannot be mounted"
sums
umount /mnt
echo "$(wc -l </tmp/said) files written, and the same when mounted again"

now() { tr -d . </proc/uptime | cut -d ' ' -f 1; } # in 1/100 s
rate() { # OPERAND...: MiB/s of copying the second half twice
	start=$(now)
	for _ in 1 2; do
		dd bs=1M "count=$half" "$@" 2>/dev/null
	done
	echo "$((half * 200 / ($(now) - start + 1))) MiB/s"
}
for controller in /sys/class/nvme/*; do
	disk=/dev/${controller##*/}n1
	written=$(rate if=/dev/zero "of=$disk" "seek=$half" oflag=direct)
	read=$(rate "if=$disk" of=/dev/null "skip=$half" iflag=direct)
	echo "$(xargs <"$controller/model") written with $written, read with $read"
done
