/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * chan-out.h - one socket as a stream of messages: the outgoing queue. Under the connection's lock.
 */
#ifndef VFUI_CHAN_OUT_H
#define VFUI_CHAN_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/list.h"

#define VFUI_OUT_BLOCK 65536
#define VFUI_OUT_IOV 8

/* Memory that is the last iov of a message and may stay where it is. release runs once, or is NULL. */
struct vfui_lent {
	void (*release)(void *user, const void *data);
	void *user;
	const void *data;
	bool is_taken; /* by the queue */
};

/* A message on its way: what of it is not sent yet. Bytes and descriptors are the caller's. */
struct vfui_rest {
	struct iovec iov[VFUI_OUT_IOV];
	unsigned niov;
	const int *fds;
	unsigned nfds; /* 0 once they are gone, with the first byte */
	bool is_begun; /* its first byte is gone: nothing else may be sent before its last */
	struct vfui_lent *lent; /* NULL: all that waits is copied */
};

struct vfui_outq {
	struct vfui_list items; /* with bytes 0: none, or one that is empty and will be the next */
	struct vfui_out_item
		*released;      /* sent, or never to be: for vfui_outq_release, without the lock */
	size_t bytes;           /* waiting to be sent, */
	unsigned fds;           /* and descriptors */
	uint64_t gone;          /* bytes that were queued once and are not any more */
	uint64_t batches, sent; /* calls that sent something, and bytes */
};

void vfui_outq_init(struct vfui_outq *queue);
/* What was lent is not given back yet: see released. */
void vfui_outq_fini(struct vfui_outq *queue);
/* Gives what was lent back to who lent it (tell), and frees the items. */
void vfui_outq_release(struct vfui_out_item *released, bool tell);
/*
 * Queues a copy of what is left of a message, but for what is lent: behind all others, but in front if it has begun.
 * 0, -ENOMEM, -EMFILE.
 */
int vfui_outq_push(struct vfui_outq *queue, const struct vfui_rest *rest);
/*
 * Appends room for a message of len bytes without descriptors, to be filled at once. NULL: out of
 * memory.
 */
void *vfui_outq_extend(struct vfui_outq *queue, size_t len);
/*
 * Makes the message longer that began at byte `at` of all that were ever queued (gone + bytes, before it) and has len
 * bytes, if it is whole, the last one, and has the room behind it: where it begins. NULL: not so, or no more.
 */
uint8_t *vfui_outq_grow(struct vfui_outq *queue, uint64_t at, size_t len, size_t more);
/* Sends as much as goes: 0 if nothing is left, -EAGAIN, or why nothing can be sent any more. */
int vfui_outq_flush(struct vfui_outq *queue, int fd);
/*
 * Sends what is queued (unless the message has begun), and then the message from where it lies, as far
 * as the socket takes both now: 0 if nothing is left of it, -EAGAIN, or why nothing can be sent any more.
 */
int vfui_outq_send(struct vfui_outq *queue, int fd, struct vfui_rest *rest);
/* n bytes of a message that has begun were sent by the caller, or why not: likewise. */
int vfui_outq_sent(struct vfui_outq *queue, struct vfui_rest *rest, ssize_t n);

#endif
