/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * peer-file.c - what may be behind a descriptor that the peer gives us to map (E67).
 *
 * A regular file says how long it is, and has all of its pages until somebody cuts it or its filesystem
 * is full; one sealed against shrinking until there is no memory at all. Of a device or a made-up file
 * nothing is known. What is let in here is watched all the same (base/sigbus.c).
 */
#include "device/peer-file.h"

#include <fcntl.h>
#include <stddef.h>

#include "base/os.h"
#include "policy.h"

bool vfui_peer_file_is_sealed(int fd)
{
	int seals = vfui_os_get_seals(fd);

	return seals >= 0 && seals & F_SEAL_SHRINK;
}

const char *vfui_peer_file_fault(const struct vfui_policy *policy, int fd, const struct stat *st)
{
	bool is_regular = S_ISREG(st->st_mode);

	switch (policy->peer_file) {
	case VFUI_PEER_FILE_ANY:
		is_regular = is_regular || S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
		return is_regular ? NULL : "not a file that holds memory";
	case VFUI_PEER_FILE_SEALED:
		return vfui_peer_file_is_sealed(fd) ? NULL : "not sealed against shrinking";
	default:
		return is_regular ? NULL : "not a regular file";
	}
}
