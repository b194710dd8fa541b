/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region.h - reading and writing regions.
 */
#ifndef VFUI_CLIENT_REGION_H
#define VFUI_CLIENT_REGION_H

#include "client/state.h"

/* The most that one access moves: what we accept for reads, what the peer accepts for both. */
size_t vfui_client_piece_max(struct vfui_conn *conn);

#endif
