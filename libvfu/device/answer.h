/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * answer.h - what a device says to a command it serves itself, looked at before the client sees it.
 */
#ifndef VFUI_ANSWER_H
#define VFUI_ANSWER_H

#include "transport/conn.h"

/* Borrowed until vfui_answer_send returns. */
struct vfui_answer {
	const void *head; /* what the library puts in front */
	size_t head_len;
	const void *data;
	size_t len;
	const int *fds;
	unsigned nfds;
};

/*
 * Answers msg, whose payload is aligned and was checked. An answer that its generated check refuses is the
 * device's fault: it is logged, the client gets EIO, and -EINVAL says here (in *err, which may be NULL)
 * which field breaks which rule. 0; -ENOTCONN and the like: see vfui_conn_reply. Any thread.
 */
int vfui_answer_send(struct vfui_conn *conn, const struct vfui_msg *msg,
		     const struct vfui_answer *answer, struct vfu_err *err);

#endif
