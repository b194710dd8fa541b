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
#include "wire-protocol.h"

/* payload (any alignment) and fds are borrowed until the callback that got the message returns. */
struct vfui_msg {
	struct vfu_wire_header hdr;
	const struct vfui_message *info; /* NULL: a command we do not know */
	const uint8_t *payload;
	size_t len;
	size_t placed; /* bytes at its end that are not here: they were received where they belong */
	int *fds;      /* entries that were taken are -1 */
	unsigned nfds;
};

/*
 * Stands for a command that is not in the table: any payload of at most max_data_xfer_size bytes, and
 * descriptors both ways. Its name is that of no command, its id 0.
 */
extern const struct vfui_message vfui_message_unknown;

/*
 * Whether users of the library may send and serve a command themselves, which the client sends: 0; else
 * -EOPNOTSUPP, and *err says why not. call: who asks.
 */
int vfui_message_is_free(unsigned command, const char *call, struct vfu_err *err);

/* How lines of the log name a message: "dma_map(2) id=7". Use it as vfui_msg_label(&hdr).text. */
struct vfui_label {
	char text[64];
};
struct vfui_label vfui_msg_label(const struct vfu_wire_header *hdr);

/* Takes descriptor i, which is the caller's from now on; -1 if there is none. */
int vfui_msg_take_fd(struct vfui_msg *msg, unsigned i);
/* Closes descriptors that nobody took. */
void vfui_msg_close_fds(struct vfui_msg *msg);
/* The same, and there are none then. */
void vfui_msg_drop_fds(struct vfui_msg *msg);
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
