/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * peer-file.h - what may be behind a descriptor that the peer gives us to map (E67). Either role.
 */
#ifndef VFUI_PEER_FILE_H
#define VFUI_PEER_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

struct vfui_policy;

/* Why the policy does not take this kind of file, NULL if it does. st: of fd. */
const char *vfui_peer_file_fault(const struct vfui_policy *policy, int fd, const struct stat *st);

/* Nobody can cut it. */
bool vfui_peer_file_is_sealed(int fd);

#endif
