/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * msg.h - one message that was received.
 */
#ifndef VFUI_MSG_H
#define VFUI_MSG_H

#include "base/util.h"
#include "base/err.h"
#include "checks.h"

/* payload (any alignment) and fds are borrowed until the callback that got the message returns. */
struct vfui_msg {
	struct vfu_wire_header hdr;
	const struct vfui_message *info; /* NULL: a command we do not know */
	const uint8_t *payload;
	size_t len;
	int *fds; /* entries that were taken are -1 */
	unsigned nfds;
};

/* Takes descriptor i, which is the caller's from now on; -1 if there is none. */
int vfui_msg_take_fd(struct vfui_msg *msg, unsigned i);
/* Closes descriptors that nobody took. */
void vfui_msg_close_fds(struct vfui_msg *msg);
/*
 * A copy that lasts, payload 8-byte aligned; the descriptors move to it. NULL: out of memory,
 * nothing moved.
 */
struct vfui_msg *vfui_msg_copy(struct vfui_msg *msg);
/* Frees a copy and closes its descriptors. */
void vfui_msg_free(struct vfui_msg *msg);

/* Tells in *err what a generated check found; returns code. */
int vfui_err_fault(struct vfu_err *err, int code, const struct vfui_fault *fault);

#endif
