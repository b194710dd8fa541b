/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * chan-in.h - one socket as a stream of messages: a reader that can stop anywhere. Used by one
 * thread at a time.
 */
#ifndef VFUI_CHAN_IN_H
#define VFUI_CHAN_IN_H

#include <string.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/fds.h"
#include "transport/msg.h"

/* Of a message that lacks more than this only its own bytes are received: the next one starts at the front. */
#define VFUI_IN_BLOCK 65536

/* Received bytes. It lives while it is being filled, or pinned by messages that were handed out. */
struct vfui_in_block {
	struct vfui_buf buf;
	unsigned pins;
};

/*
 * Descriptors that arrived with bytes [from, to) of the stream and whose message is not known yet.
 */
struct vfui_in_mark {
	uint64_t from, to;
	uint64_t seen;  /* headers up to here were looked at, 0: none */
	uint64_t owner; /* the message that has them, as far as is known */
	bool is_found;  /* it begins in these bytes and may have some */
	struct vfui_fds fds;
};

#define VFUI_IN_MARKS 4

struct vfui_in {
	struct vfui_in_block *block;
	uint64_t pos;      /* in the stream: of the next message */
	uint64_t received; /* bytes of the stream so far */
	/*
	 * The rest of the next message goes not to the block but straight to sink (NULL: nowhere).
	 */
	bool is_direct;
	uint8_t *sink;
	size_t direct_left;
	size_t direct_kept; /* bytes of the message that are in the block */
	bool expects_large; /* the last message was, so likely the next one will be; or it was asked for */
	bool is_drained; /* the last read took all there was */
	unsigned nmarks;
	struct vfui_in_mark marks[VFUI_IN_MARKS];
};

/* A message that was handed out: msg points into the rest. */
struct vfui_in_msg {
	struct vfui_msg msg;
	struct vfui_in_block *block;
	struct vfui_fds fds;
};

int vfui_in_init(struct vfui_in *in);
/* Messages handed out must have been released. */
void vfui_in_fini(struct vfui_in *in);
/*
 * One receive. If it may wait it does so for all of a large message, else for some bytes. Bytes, 0
 * at the end of the stream, or -EAGAIN, -EINTR, -ENOMEM, what the socket says, -EBADMSG (too many
 * descriptors at once), -EPROTO (descriptors strewn over a message).
 */
ssize_t vfui_in_read(struct vfui_in *in, int fd, bool dontwait);
/* Copies the header of the next message; false: it is not all there. */
static inline bool vfui_in_head(const struct vfui_in *in, struct vfu_wire_header *hdr)
{
	const struct vfui_buf *buf = &in->block->buf;

	if (vfui_buf_len(buf) < sizeof(*hdr))
		return false;
	memcpy(hdr, buf->data + buf->start, sizeof(*hdr));
	return true;
}
/*
 * Hands out the next message, whose header the caller has seen, put into out->msg.hdr and found
 * sound: true, or false if it is not complete.
 */
bool vfui_in_take(struct vfui_in *in, struct vfui_in_msg *out);
/* Both, for headers known to be sound. */
bool vfui_in_next(struct vfui_in *in, struct vfui_in_msg *out);
void vfui_in_free_block(struct vfui_in_block *block);
/* The last use of a message: closes descriptors that nobody took. In any order. */
static inline void vfui_in_release(struct vfui_in *in, struct vfui_in_msg *out)
{
	if (out->msg.nfds > 0)
		vfui_msg_close_fds(&out->msg);
	if (--out->block->pins == 0 && out->block != in->block)
		vfui_in_free_block(out->block);
}
/* A complete message is there. */
bool vfui_in_is_ready(struct vfui_in *in);
/*
 * Receives the rest of the next message from payload byte skip on to sink, which must have room (msg.placed).
 * False: not done, because it is complete, or skip bytes of payload are not there yet. Not twice.
 */
bool vfui_in_set_direct(struct vfui_in *in, size_t skip, void *sink);
/* From now on the rest goes nowhere. */
void vfui_in_drop_direct(struct vfui_in *in);
/* The same, if it was to go to that memory. */
void vfui_in_drop_memory(struct vfui_in *in, const void *memory, size_t len);

#endif
