/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * chan-out.h - one socket as a stream of messages: the outgoing queue. Under the connection's lock.
 */
#ifndef VFUI_CHAN_OUT_H
#define VFUI_CHAN_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"

#define VFUI_OUT_BLOCK 65536
#define VFUI_OUT_IOV 8

struct vfui_outq {
	struct vfui_list items;
	struct vfui_out_item *spare; /* empty, kept to avoid allocation */
	size_t bytes;                /* waiting to be sent */
	uint64_t batches, sent;      /* sendmsg calls that sent something, and bytes */
};

void vfui_outq_init(struct vfui_outq *queue);
void vfui_outq_fini(struct vfui_outq *queue);
/* Appends a copy of a message of at most VFUI_OUT_IOV pieces: 0, -ENOMEM, -EMFILE. */
int vfui_outq_push(struct vfui_outq *queue, const struct iovec *iov, unsigned niov, const int *fds,
		   unsigned nfds);
/*
 * Appends room for a message of len bytes without descriptors, to be filled at once. NULL: out of
 * memory.
 */
void *vfui_outq_extend(struct vfui_outq *queue, size_t len);
/* Sends as much as goes: 0 if nothing is left, -EAGAIN, or why nothing can be sent any more. */
int vfui_outq_flush(struct vfui_outq *queue, int fd);
/*
 * Sends a message after all that is queued, from where it lies as far as the socket takes it; the
 * rest is queued as a copy. patience_ms: how long to wait for the peer to read before copying. 0:
 * sent or queued; -ENOMEM, -EMFILE: nothing of it was; -ECONNABORTED: cut in the middle, the
 * stream is lost; else why nothing can be sent any more.
 */
int vfui_outq_send(struct vfui_outq *queue, int fd, const struct iovec *iov, unsigned niov,
		   const int *fds, unsigned nfds, unsigned patience_ms);

#endif
