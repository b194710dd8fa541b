/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-gather.h - posted writes that wait in the queue to go together.
 */
#ifndef VFUI_CONN_GATHER_H
#define VFUI_CONN_GATHER_H

#include "transport/conn-state.h"

struct vfu_wire_region_write_request;

/* Larger writes are not worth waiting for others. */
#define VFUI_GATHER_BYTES 4096

/* So many small writes wait before they are sent, and so many may be left when more may be added. */
enum { VFUI_GATHER_HIGH = 1024, VFUI_GATHER_LOW = 128 };

/* What so many take at most, each in a message. */
#define VFUI_GATHER_SIZE(writes) ((writes) * (size_t)40)

/*
 * Queues a posted write behind all others: in one message with those before it, if they are not sent yet and the peer
 * takes that. more: it is not sent now, the caller sees to it (vfui_conn_send_queue); else it is, as far as it goes, unless
 * so much waits already for somebody who is known to send it. 0, -ENOBUFS, -ENOTCONN, -ENOMEM.
 */
int vfui_conn_gather(struct vfui_conn *conn, const struct vfu_wire_region_write_request *in,
		     const void *data, bool more);

#endif
