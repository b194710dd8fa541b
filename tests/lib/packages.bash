# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
# shellcheck shell=bash
#
# packages.bash - what the set-up scripts of tests share: packages of another
# distribution or another machine, which come through apt with a configuration of
# its own, from the mirror that this machine's apt uses already:
#
#   this machine's apt --mirror--> apt/ lists and archives of ours --dpkg -x--> root/
#
# They are unpacked, not installed. So root is not needed, and the machine's
# packages are neither used nor changed.
#
# To be sourced by a script that is called in bash's strict mode; $self is its name.

skip() { echo "$self: SKIPPED: $*" >&2; exit 77; }
die() { echo "$self: $*" >&2; exit 1; }

# The main archive of a suite's distribution, as apt itself reads its
# configuration: in either format, wherever the files are.
mirror_of() { # CODENAME
	# shellcheck disable=SC2016  # apt expands these
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
		'Created-By: Packages' |
		awk -v names="^($1|stable|testing|unstable|sid)\$" \
			'$1 ~ names && $2 == "main" { print $3; exit }'
}

# Sets codename and mirror to this machine's.
find_mirror() {
	command -v apt-get >/dev/null || skip "needs apt and a Debian mirror"
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_CODENAME-sid}") ||
		skip "this is not Debian, so apt knows no Debian mirror"
	mirror=$(mirror_of "$codename")
	[ -n "$mirror" ] || skip "apt's configuration has no mirror for $codename main"
}

# From here on apt-get is that of DIR, for these machines (the first is our own)
# and suites, all of them from $mirror.
private_apt() { # DIR "MACHINE..." SUITE...
	local dir=$1 machines=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg s
	shift 2

	[ -r "$keyring" ] || skip "no $keyring (package debian-archive-keyring)"
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	: >"$dir/status"
	for s in "$@"; do
		echo "deb [arch=${machines// /,} signed-by=$keyring] $mirror $s main"
	done >"$dir/sources.list"
	# No sandbox user, for it could not write below somebody's home.
	cat >"$dir/apt.conf" <<-END
		APT::Architecture "${machines%% *}";
		APT::Architectures { "${machines// /\"; \"}"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
		Debug::NoLocking "true";
		Dir::State "$dir";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
	END
	export APT_CONFIG=$dir/apt.conf
	# A mirror in the middle of a sync is right again soon.
	for s in 1 2 3; do
		apt-get update -qq -o APT::Update::Error-Mode=any >&2 && return
		[ "$s" = 3 ] || sleep 20
	done
	skip "no $* on this machine's mirror, or no network"
}

# download PACKAGE...: these and all that they need, into DIR/archives of private_apt.
download() {
	apt-get install -qq -y --download-only "$@" >&2 || skip "download failed"
}
