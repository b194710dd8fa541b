/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * chan-in.c - the reader: a stream of bytes and descriptors becomes messages.
 *
 *	block:  | handed out, pinned | next message | later ones, the last in part |  room  |
 *	                             start                                         end
 *	        released in any      |-- head, take --> goes out       read fills it --->
 *	        order                in->pos: the same place in the stream
 *
 * A read takes what is there and may stop anywhere, also in a header; all that is kept between reads is
 * in struct vfui_in, so it goes on wherever it was. What was handed out must not move: a block with pins
 * is neither shifted nor grown, what is not handed out yet goes to a new one (make_room).
 *
 * Of a message that still lacks more than a block only its own bytes are read, nothing behind it. The rest of a large reply may go
 * straight to its request's memory, that of a large command where its owner says (is_direct): then only its head
 * is in the block. A request that was given up takes the sink away, and so does memory that goes: the rest is read
 * and forgotten. Where another such is expected little is read first, for what of it is in the block is copied.
 *
 * Descriptors come with a read, not with a message. Which message's they are can take a header that is
 * not here yet (find_owner): until then the message that might be it is not handed out (must_wait). They
 * are closed on every path on which nobody takes them. After -EBADMSG or -EPROTO there is no stream.
 */
#include <errno.h>
#include <string.h>

#include "base/sigbus.h"
#include "base/os.h"
#include "transport/chan-in.h"
#include "transport/sock.h"

#define HEADER sizeof(struct vfu_wire_header)

/* Room that a read should find, so that one call takes many small messages. */
#define READ_AHEAD 16384

/* Enough for a header and some small messages, where a large one is expected. */
#define READ_HEAD 512

static struct vfui_in_block *block_new(size_t cap)
{
	struct vfui_in_block *block = vfui_os_calloc(1, sizeof(*block));

	if (block == NULL)
		return NULL;
	if (vfui_buf_init(&block->buf, cap) != 0) {
		vfui_os_free(block);
		return NULL;
	}
	return block;
}

void vfui_in_free_block(struct vfui_in_block *block)
{
	if (block == NULL)
		return;
	vfui_buf_fini(&block->buf);
	vfui_os_free(block);
}

int vfui_in_init(struct vfui_in *in)
{
	*in = (struct vfui_in){0};
	in->block = block_new(VFUI_IN_BLOCK);
	return in->block != NULL ? 0 : -ENOMEM;
}

void vfui_in_fini(struct vfui_in *in)
{
	for (unsigned i = 0; i < in->nmarks; i++)
		vfui_fds_close(&in->marks[i].fds);
	in->nmarks = 0;
	vfui_in_free_block(in->block);
	in->block = NULL;
}

/* The header at position pos of the stream, if it is all in the block. */
static bool head_at(const struct vfui_in *in, uint64_t pos, struct vfu_wire_header *hdr)
{
	const struct vfui_buf *buf = &in->block->buf;
	uint64_t offset = pos - in->pos;

	if (offset > vfui_buf_len(buf) || vfui_buf_len(buf) - offset < HEADER)
		return false;
	memcpy(hdr, buf->data + buf->start + offset, HEADER);
	return true;
}

/* ---- reading ---- */

/* Bytes that the next message lacks; those of its header if that is not complete. */
static size_t bytes_missing(const struct vfui_in *in)
{
	struct vfu_wire_header hdr;
	size_t held = vfui_buf_len(&in->block->buf);

	if (!vfui_in_head(in, &hdr))
		return HEADER - held;
	return hdr.size > held ? hdr.size - held : 0;
}

/* Makes room for at least len bytes, never moving what a message handed out points to. */
static int make_room(struct vfui_in *in, size_t len)
{
	struct vfui_buf *buf = &in->block->buf;
	struct vfui_in_block *fresh;

	if (in->block->pins == 0) {
		if (buf->start == buf->end)
			buf->start = buf->end = 0;
		return vfui_buf_reserve(buf, len);
	}
	if (vfui_buf_room(buf) >= len)
		return 0;
	fresh = block_new(vfui_max(VFUI_IN_BLOCK, vfui_buf_len(buf) + len));
	if (fresh == NULL)
		return -ENOMEM;
	vfui_buf_append(&fresh->buf, buf->data + buf->start, vfui_buf_len(buf));
	buf->end =
		buf->start; /* what is left in the old block belongs to the messages that pin it */
	in->block = fresh;
	return 0;
}

/* Where the next receive puts its bytes. *is_whole: they are the rest of one message, and many. */
static int choose_room(struct vfui_in *in, struct iovec *iov, bool *is_whole)
{
	struct vfui_buf *buf = &in->block->buf;
	size_t want, missing;
	int r;

	if (in->is_direct && in->sink != NULL) {
		*iov = (struct iovec){in->sink, in->direct_left};
		*is_whole = true;
		return 0;
	}
	missing = in->is_direct ? in->direct_left : bytes_missing(in);
	want = in->is_direct ? vfui_min(missing, READ_AHEAD) : vfui_max(missing, READ_AHEAD);
	r = make_room(in, want);
	if (r < 0)
		return r;
	buf = &in->block->buf;
	iov->iov_base = buf->data + buf->end;
	iov->iov_len = vfui_buf_room(buf);
	/* What is dropped, and what is large, is not mixed with what follows. */
	*is_whole = in->is_direct || missing > VFUI_IN_BLOCK;
	if (*is_whole)
		iov->iov_len = vfui_min(iov->iov_len, missing);
	else if (in->expects_large && vfui_buf_len(buf) == 0)
		iov->iov_len = READ_HEAD;
	in->expects_large = false;
	return 0;
}

/* Remembers descriptors that came with the last len bytes. */
static int add_mark(struct vfui_in *in, struct vfui_fds *fds, size_t len)
{
	struct vfui_in_mark *mark = &in->marks[in->nmarks];

	if (in->nmarks == VFUI_IN_MARKS) {
		vfui_fds_close(fds);
		return -EPROTO;
	}
	mark->from = in->received - len;
	mark->to = in->received;
	mark->seen = 0;
	mark->is_found = false;
	mark->fds.n = 0;
	vfui_fds_move(&mark->fds, fds);
	in->nmarks++;
	return 0;
}

ssize_t vfui_in_read(struct vfui_in *in, int fd, bool dontwait)
{
	struct vfui_fds fds;
	struct iovec iov;
	bool is_whole = false;
	ssize_t n = choose_room(in, &iov, &is_whole);

	if (n < 0)
		return n;
	n = vfui_sock_recv(fd, &iov, 1, &fds,
			   dontwait   ? VFUI_SOCK_NOW
			   : is_whole ? VFUI_SOCK_ALL
				      : VFUI_SOCK_SOME);
	in->is_drained = n < (ssize_t)iov.iov_len;
	/* Where the memory it was to go to is gone, and other in its place, the next try fills that. */
	if (n <= 0)
		return n == -EFAULT && vfui_watch_touch(&iov, 1, true) ? -EAGAIN : n;
	in->received += (size_t)n;
	if (!in->is_direct) {
		in->block->buf.end += (size_t)n;
	} else {
		in->direct_left -= (size_t)n;
		in->sink = in->sink != NULL ? in->sink + n : NULL;
	}
	if (fds.n > 0) {
		int r = add_mark(in, &fds, (size_t)n);

		if (r < 0)
			return r;
	}
	return n;
}

/* ---- whose descriptors ---- */

static bool takes_fds(const struct vfu_wire_header *hdr)
{
	const struct vfui_message *info = vfui_message(hdr->command);

	/* Nobody knows: it may (vfui_message_unknown). */
	if (info == NULL)
		return true;
	if ((hdr->flags & VFU_WIRE_HEADER_TYPE_MASK) == VFU_WIRE_HEADER_TYPE_REPLY)
		return info->reply_takes_fds;
	return info->request_takes_fds;
}

enum owner { OWNER_NEXT, OWNER_LATER, OWNER_UNKNOWN };

/*
 * Whose descriptors they are: of the last message that begins in the read and may have some;
 * failing that, of the message that was being read; failing that, of the last that begins there.
 * The kernel ends a read behind the segment that carries descriptors, and merges only plain ones
 * in front of it. UNKNOWN: the next message might be it, but a later header is not complete. Each
 * header is looked at once, however many messages are in front of it.
 */
static enum owner find_owner(const struct vfui_in *in, struct vfui_in_mark *mark)
{
	struct vfu_wire_header hdr;

	if (mark->seen == 0) {
		mark->seen = in->pos;
		mark->owner = in->pos;
	}
	while (mark->seen < mark->to) {
		bool begins = mark->seen >= mark->from;

		if (!head_at(in, mark->seen, &hdr))
			return mark->owner == in->pos ? OWNER_UNKNOWN : OWNER_LATER;
		if (hdr.size < HEADER)
			break; /* it fails the connection when its turn comes */
		if (begins && takes_fds(&hdr)) {
			mark->owner = mark->seen;
			mark->is_found = true;
		} else if (begins && !mark->is_found && mark->owner >= mark->from) {
			mark->owner = mark->seen;
		}
		mark->seen += hdr.size;
	}
	return mark->owner == in->pos ? OWNER_NEXT : OWNER_LATER;
}

/* Gives the next message, of size bytes, its descriptors. */
static void claim_fds(struct vfui_in *in, uint32_t size, struct vfui_fds *fds)
{
	unsigned i = 0;

	while (i < in->nmarks && in->marks[i].from < in->pos + size) {
		if (find_owner(in, &in->marks[i]) != OWNER_NEXT) {
			i++;
			continue;
		}
		if (vfui_fds_move(fds, &in->marks[i].fds) != 0)
			vfui_fds_close(&in->marks[i].fds);
		in->nmarks--;
		for (unsigned k = i; k < in->nmarks; k++)
			in->marks[k] = in->marks[k + 1];
	}
}

/* ---- handing out ---- */

static bool is_complete(const struct vfui_in *in, const struct vfu_wire_header *hdr)
{
	if (in->is_direct)
		return in->direct_left == 0;
	return vfui_buf_len(&in->block->buf) >= hdr->size;
}

/* A later header that must tell whose descriptors they are is not complete. */
static bool must_wait(struct vfui_in *in, const struct vfu_wire_header *hdr)
{
	for (unsigned i = 0; i < in->nmarks && in->marks[i].from < in->pos + hdr->size; i++) {
		if (find_owner(in, &in->marks[i]) == OWNER_UNKNOWN)
			return true;
	}
	return false;
}

bool vfui_in_is_ready(struct vfui_in *in)
{
	struct vfu_wire_header hdr;

	return vfui_in_head(in, &hdr) && is_complete(in, &hdr) &&
	       (in->nmarks == 0 || !must_wait(in, &hdr));
}

bool vfui_in_next(struct vfui_in *in, struct vfui_in_msg *out)
{
	return vfui_in_head(in, &out->msg.hdr) && vfui_in_take(in, out);
}

/* Gives a message that is handed out its descriptors, unless it can not be told yet which. */
VFUI_APART static bool take_fds(struct vfui_in *in, struct vfui_in_msg *out)
{
	if (must_wait(in, &out->msg.hdr))
		return false;
	claim_fds(in, out->msg.hdr.size, &out->fds);
	return true;
}

/* The rest of the message is not in the block. */
VFUI_APART static void end_direct(struct vfui_in *in, struct vfui_msg *msg)
{
	msg->placed = msg->hdr.size - in->direct_kept;
	in->block->buf.start -= msg->placed;
	in->is_direct = false;
	in->expects_large = true;
}

bool vfui_in_take(struct vfui_in *in, struct vfui_in_msg *out)
{
	struct vfui_buf *buf = &in->block->buf;
	struct vfui_msg *msg = &out->msg;

	if (!is_complete(in, &msg->hdr))
		return false;
	out->fds.n = 0;
	if (in->nmarks > 0 && !take_fds(in, out))
		return false;
	msg->info = vfui_message(msg->hdr.command);
	msg->payload = buf->data + buf->start + HEADER;
	msg->len = msg->hdr.size - HEADER;
	msg->fds = out->fds.fd;
	msg->nfds = out->fds.n;
	out->block = in->block;
	in->block->pins++;
	msg->placed = 0;
	buf->start += msg->hdr.size;
	in->pos += msg->hdr.size;
	if (in->is_direct)
		end_direct(in, msg);
	return true;
}

bool vfui_in_set_direct(struct vfui_in *in, size_t skip, void *sink)
{
	struct vfui_buf *buf = &in->block->buf;
	size_t held = vfui_buf_len(buf), keep = HEADER + skip;

	/* Not complete, so all that is held is of this message. */
	in->direct_left = bytes_missing(in);
	if (in->direct_left == 0 || held < keep)
		return false;
	in->direct_kept = keep;
	if (held > keep)
		memcpy(sink, buf->data + buf->start + keep, held - keep);
	in->sink = (uint8_t *)sink + (held - keep);
	buf->end = buf->start + keep;
	in->is_direct = true;
	return true;
}

void vfui_in_drop_direct(struct vfui_in *in)
{
	in->sink = NULL;
}

void vfui_in_drop_memory(struct vfui_in *in, const void *memory, size_t len)
{
	if (in->is_direct && (uintptr_t)in->sink - (uintptr_t)memory < len)
		in->sink = NULL;
}
