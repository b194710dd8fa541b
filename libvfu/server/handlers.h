/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handlers.h - what a server does for each message, and when that fails.
 */
#ifndef VFUI_SERVER_HANDLERS_H
#define VFUI_SERVER_HANDLERS_H

#include "server/state.h"

/* One slot a message; VERSION is none of them (greet.h). */
extern const struct vfui_handlers vfui_server_handlers;

/* Where the data of a region write belongs that nobody but memory has to see; NULL: nowhere. */
void *vfui_server_place_write(struct vfu_server *srv, const struct vfui_msg *msg);

/* Tells people that a request failed, unless they know, and, unless it wants no answer, the client. */
void vfui_server_fail(struct vfu_server *srv, const struct vfui_msg *msg, int status,
		      const struct vfu_err *err, bool is_told);

#endif
