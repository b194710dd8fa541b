/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * chan-out.c - the outgoing queue. Its items own their bytes and descriptors, but for memory that was lent: that
 * stays where it is until the socket has it, and is then given back.
 *
 *	items:  | buf: messages, whole | -> | buf: begin | tail: lent | -> | buf ...
 *	                                                  \ sent: released
 */
#include <errno.h>
#include <string.h>

#include "base/sigbus.h"
#include "base/os.h"
#include "base/buf.h"
#include "base/fds.h"
#include "transport/chan-out.h"
#include "transport/sock.h"

/*
 * Whole messages in order. With descriptors: exactly one message, sent alone so that they are its
 * own.
 */
struct vfui_out_item {
	struct vfui_list node;
	struct vfui_buf buf;
	struct vfui_fds fds;
	struct iovec tail; /* lent, behind buf: of one message, with nothing behind it */
	struct vfui_lent lent;
	struct vfui_out_item *next; /* in released */
};

static struct vfui_out_item *from_node(struct vfui_list *node)
{
	return vfui_container_of(node, struct vfui_out_item, node);
}

static struct vfui_out_item *item_new(size_t cap)
{
	struct vfui_out_item *item = vfui_os_malloc(sizeof(*item));

	if (item == NULL)
		return NULL;
	if (vfui_buf_init(&item->buf, cap) != 0) {
		vfui_os_free(item);
		return NULL;
	}
	vfui_list_init(&item->node);
	item->fds.n = 0;
	item->tail.iov_len = 0;
	item->lent.release = NULL;
	return item;
}

static void item_free(struct vfui_out_item *item)
{
	if (item == NULL)
		return;
	vfui_list_remove(&item->node);
	vfui_fds_close(&item->fds);
	vfui_buf_fini(&item->buf);
	vfui_os_free(item);
}

void vfui_outq_init(struct vfui_outq *queue)
{
	*queue = (struct vfui_outq){0};
	vfui_list_init(&queue->items);
}

/* Nobody needs what was lent for it any more: it is given back without the lock (vfui_outq_release). */
VFUI_APART static void retire(struct vfui_outq *queue, struct vfui_out_item *item)
{
	vfui_list_remove(&item->node);
	item->next = queue->released;
	queue->released = item;
}

void vfui_outq_fini(struct vfui_outq *queue)
{
	struct vfui_out_item *released;
	struct vfui_list *node;

	while ((node = vfui_list_pop(&queue->items)) != NULL) {
		if (from_node(node)->lent.release != NULL)
			retire(queue, from_node(node));
		else
			item_free(from_node(node));
	}
	released = queue->released;
	vfui_outq_init(queue);
	queue->released = released;
}

void vfui_outq_release(struct vfui_out_item *released, bool tell)
{
	while (released != NULL) {
		struct vfui_out_item *item = released;

		released = item->next;
		if (tell)
			item->lent.release(item->lent.user, item->lent.data);
		item_free(item);
	}
}

/* ---- appending ---- */

static size_t iov_len(const struct iovec *iov, unsigned niov)
{
	size_t len = 0;

	for (unsigned i = 0; i < niov; i++)
		len += iov[i].iov_len;
	return len;
}

/* An empty item with room for len bytes, before all others or behind them. */
static struct vfui_out_item *add_item(struct vfui_outq *queue, bool is_first, size_t len)
{
	struct vfui_out_item *item = NULL;

	if (queue->bytes == 0 && !vfui_list_is_empty(&queue->items))
		item = from_node(vfui_list_pop(&queue->items));
	if (item != NULL && item->buf.cap < len) {
		item_free(item);
		item = NULL;
	}
	if (item == NULL)
		item = item_new(vfui_max(len, VFUI_OUT_BLOCK));
	if (item != NULL)
		vfui_list_insert(is_first ? queue->items.next : &queue->items, &item->node);
	return item;
}

/* The last item, if a message of len bytes without descriptors can join it, else a new one. */
static struct vfui_out_item *item_for(struct vfui_outq *queue, size_t len)
{
	struct vfui_out_item *item = from_node(queue->items.prev);

	if (vfui_list_is_empty(&queue->items) || item->fds.n > 0 || item->tail.iov_len > 0 ||
	    vfui_buf_room(&item->buf) < len)
		item = add_item(queue, false, len);
	return item;
}

/* What was lent waits where it is, behind the rest of its message. */
static void add_tail(struct vfui_outq *queue, struct vfui_out_item *item,
		     const struct vfui_rest *rest)
{
	item->tail = rest->iov[rest->niov - 1];
	item->lent = *rest->lent;
	rest->lent->is_taken = true;
	queue->bytes += item->tail.iov_len;
}

int vfui_outq_push(struct vfui_outq *queue, const struct vfui_rest *rest)
{
	unsigned niov = rest->niov - (rest->lent != NULL);
	size_t len = iov_len(rest->iov, niov);
	struct vfui_out_item *item;
	struct vfui_fds copies = {.n = 0};
	int r = rest->nfds > 0 ? vfui_fds_dup(&copies, rest->fds, rest->nfds) : 0;

	if (r < 0)
		return r;
	if (rest->is_begun || rest->nfds > 0 || rest->lent != NULL)
		item = add_item(queue, rest->is_begun, len);
	else
		item = item_for(queue, len);
	if (item == NULL) {
		vfui_fds_close(&copies);
		return -ENOMEM;
	}
	if (rest->nfds > 0)
		vfui_fds_move(&item->fds, &copies);
	for (unsigned i = 0; i < niov; i++)
		vfui_buf_append(&item->buf, rest->iov[i].iov_base, rest->iov[i].iov_len);
	if (rest->lent != NULL)
		add_tail(queue, item, rest);
	queue->fds += rest->nfds;
	queue->bytes += len;
	return 0;
}

void *vfui_outq_extend(struct vfui_outq *queue, size_t len)
{
	struct vfui_out_item *item = item_for(queue, len);
	void *place;

	if (item == NULL)
		return NULL;
	place = item->buf.data + item->buf.end;
	item->buf.end += len;
	queue->bytes += len;
	return place;
}

uint8_t *vfui_outq_grow(struct vfui_outq *queue, uint64_t at, size_t len, size_t more)
{
	struct vfui_out_item *item = from_node(queue->items.prev);

	/* The end of the queue only rises: at this place it is the message's own. */
	if (queue->gone > at || queue->gone + queue->bytes != at + len ||
	    vfui_buf_room(&item->buf) < more)
		return NULL;
	item->buf.end += more;
	queue->bytes += more;
	return item->buf.data + item->buf.end - more - len;
}

/* ---- sending ---- */

/* What a send said: bytes, counted, or why none. */
static ssize_t count_sent(struct vfui_outq *queue, ssize_t n)
{
	if (n > 0) {
		queue->batches++;
		queue->sent += (size_t)n;
	}
	/* The kernel is short of memory: as good as a full socket. */
	return n == -ENOBUFS || n == -ENOMEM ? -EAGAIN : n;
}

static ssize_t send_some(struct vfui_outq *queue, int fd, const struct iovec *iov, unsigned niov,
			 const int *fds, unsigned nfds)
{
	ssize_t n;

	do {
		n = vfui_sock_send(fd, iov, niov, fds, nfds);
	} while (n == -EINTR);
	return count_sent(queue, n);
}

VFUI_APART static void drop_fds(struct vfui_outq *queue, struct vfui_out_item *item)
{
	queue->fds -= item->fds.n;
	vfui_fds_close(&item->fds);
}

/* Of what was sent, the part that was copied, after the rest of it is taken off the tail. */
VFUI_APART static size_t tail_sent(struct vfui_out_item *item, size_t len)
{
	size_t copied = vfui_min(len, vfui_buf_len(&item->buf));

	item->tail.iov_base = (uint8_t *)item->tail.iov_base + (len - copied);
	item->tail.iov_len -= len - copied;
	return copied;
}

/* Drops what was sent of the first item, and the item once it is empty, unless it is the last. */
static void item_sent(struct vfui_outq *queue, struct vfui_out_item *item, size_t len)
{
	queue->bytes -= len;
	queue->gone += len;
	/* Most often all of it is sent, and it is plain. */
	if (queue->bytes == 0 && item->fds.n == 0 && item->lent.release == NULL) {
		item->buf.start = item->buf.end = 0;
		item->tail.iov_len = 0;
		return;
	}
	vfui_buf_consume(&item->buf, item->tail.iov_len > 0 ? tail_sent(item, len) : len);
	if (item->fds.n > 0)
		drop_fds(queue, item);
	if (vfui_buf_len(&item->buf) > 0 || item->tail.iov_len > 0)
		return;
	if (item->lent.release != NULL) {
		retire(queue, item);
		return;
	}
	if (queue->bytes > 0)
		item_free(item);
}

int vfui_outq_flush(struct vfui_outq *queue, int fd)
{
	while (queue->bytes > 0) {
		struct vfui_out_item *item = from_node(queue->items.next);
		struct iovec iov[2] = {{item->buf.data + item->buf.start, vfui_buf_len(&item->buf)},
				       item->tail};
		unsigned niov = item->tail.iov_len > 0 ? 2 : 1;
		ssize_t n;

		n = send_some(queue, fd, iov, niov, item->fds.fd, item->fds.n);
		/* Memory may be gone, see send_with. */
		if (n == -EFAULT && vfui_watch_touch(iov, niov, false))
			continue;
		/* Too many descriptors of this user are on their way: not for ever. */
		if (n < 0)
			return n == -ETOOMANYREFS ? -EAGAIN : (int)n;
		item_sent(queue, item, (size_t)n);
	}
	return 0;
}

/* Drops the first len bytes of what is left of a message. */
static void rest_sent(struct vfui_rest *rest, size_t len)
{
	if (len == 0)
		return;
	rest->is_begun = true;
	rest->nfds = 0;
	for (unsigned i = 0; i < rest->niov; i++) {
		size_t gone = vfui_min(len, rest->iov[i].iov_len);

		rest->iov[i].iov_base = (uint8_t *)rest->iov[i].iov_base + gone;
		rest->iov[i].iov_len -= gone;
		len -= gone;
	}
}

/* One plain item at most is queued: it can go in the same call as the message. */
static bool can_join(const struct vfui_outq *queue, const struct vfui_rest *rest)
{
	const struct vfui_list *first = queue->items.next;
	const struct vfui_out_item *item = from_node((struct vfui_list *)(uintptr_t)first);

	return rest->nfds == 0 && first->next == &queue->items && item->fds.n == 0 &&
	       item->tail.iov_len == 0;
}

/* Memory that is sent from its place may be gone, and other there now: as good as a full socket. */
static int why_not(ssize_t error, const struct iovec *iov, unsigned niov)
{
	return error == -EFAULT && vfui_watch_touch(iov, niov, false) ? -EAGAIN : (int)error;
}

/* Sends the message, in one call with the item in front of it (NULL: none), as far as both go. */
static int send_with(struct vfui_outq *queue, int fd, struct vfui_out_item *item,
		     struct vfui_rest *rest)
{
	struct iovec all[VFUI_OUT_IOV + 1];
	size_t left = iov_len(rest->iov, rest->niov), before = 0;
	unsigned niov = 0;
	ssize_t n;

	if (item != NULL) {
		before = vfui_buf_len(&item->buf);
		all[niov++] = (struct iovec){item->buf.data + item->buf.start, before};
	}
	memcpy(all + niov, rest->iov, rest->niov * sizeof(*all));
	niov += rest->niov;
	n = send_some(queue, fd, all, niov, rest->fds, rest->nfds);
	if (n < 0)
		return why_not(n, all, niov);
	if (item != NULL)
		item_sent(queue, item, vfui_min((size_t)n, before));
	n -= (ssize_t)vfui_min((size_t)n, before);
	rest_sent(rest, (size_t)n);
	return (size_t)n < left ? -EAGAIN : 0;
}

int vfui_outq_sent(struct vfui_outq *queue, struct vfui_rest *rest, ssize_t n)
{
	n = count_sent(queue, n == -EINTR ? -EAGAIN : n);
	if (n < 0)
		return why_not(n, rest->iov, rest->niov);
	rest_sent(rest, (size_t)n);
	return iov_len(rest->iov, rest->niov) > 0 ? -EAGAIN : 0;
}

int vfui_outq_send(struct vfui_outq *queue, int fd, struct vfui_rest *rest)
{
	/* What was queued since it began comes after its end. */
	bool goes_alone = rest->is_begun || queue->bytes == 0;
	int r = goes_alone || can_join(queue, rest) ? 0 : vfui_outq_flush(queue, fd);

	if (r < 0)
		return r;
	goes_alone = goes_alone || queue->bytes == 0;
	return send_with(queue, fd, goes_alone ? NULL : from_node(queue->items.next), rest);
}
