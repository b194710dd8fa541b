/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * held.h - requests held back, and whether there is room for more.
 */
#ifndef VFUI_SERVER_HELD_H
#define VFUI_SERVER_HELD_H

#include "server/state.h"

/* A write to configuration space may be an FLR. */
bool vfui_server_is_config_write(const struct vfui_msg *msg);
/* Copies a message behind all that are held. Out of memory: the connection fails. */
void vfui_server_hold(struct vfu_server *srv, struct vfui_msg *msg);
/*
 * Puts a request that has started in front of all others, to be run again. held: it was one before, and
 * is out of the list; NULL: it is copied.
 */
void vfui_server_hold_again(struct vfu_server *srv, const struct vfui_request *req,
			    struct vfui_held *held);
void vfui_server_free_held(struct vfu_server *srv, struct vfui_held *held);
void vfui_server_drop_held(struct vfu_server *srv);
/* Something may happen that the client's socket does not show. */
bool vfui_server_is_holding(const struct vfu_server *srv);
/* As much is unanswered as may be, or not any more: has the connection read no more, or read on. */
void vfui_server_review(struct vfu_server *srv);

#endif
