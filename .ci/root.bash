# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
# shellcheck shell=bash
#
# root.bash - what is tried in a Debian that has nothing but apt. To be sourced after
# ../tests/lib/packages.bash.

# In $root and in namespaces of its own: what is mounted and what still runs goes with the command.
inside() { # COMMAND...
	# shellcheck disable=SC2016 # expanded inside
	unshare --mount --pid --fork sh -c '
		mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/dev/shm" &&
			exec chroot "$0" env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
				LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"' \
		"$root" "$@"
}

# Skips where there can be no such system.
new_root() { # DIR [SUITE]: a new one in DIR, which is $root from now on; of this machine's suite
	local suite
	root=$1
	[ "$(id -u)" = 0 ] || skip "needs root"
	command -v debootstrap >/dev/null || skip "needs debootstrap"
	unshare --mount --pid --fork true || skip "needs namespaces"
	find_mirror
	suite=${2:-$codename}
	rm -rf "$root"
	mkdir -p "$root"
	echo "$self: a new $suite in $root"
	unshare --mount --pid --fork --kill-child debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 ||
		{ tail -n 20 "$root.log" && skip "no $suite on this machine's mirror, or no network"; }
	# The way to the mirror is this machine's.
	cp /etc/resolv.conf "$root/etc/"
	apt-config dump | grep -E '^Acquire::(http|https)::' >"$root/etc/apt/apt.conf.d/90machine" || true
}
