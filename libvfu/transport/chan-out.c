/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * chan-out.c - the outgoing queue. Its items own their bytes and descriptors.
 */
#include <errno.h>
#include <string.h>

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

void vfui_outq_fini(struct vfui_outq *queue)
{
	struct vfui_list *node;

	while ((node = vfui_list_pop(&queue->items)) != NULL)
		item_free(from_node(node));
	item_free(queue->spare);
	vfui_outq_init(queue);
}

/* ---- appending ---- */

static size_t iov_len(const struct iovec *iov, unsigned niov)
{
	size_t len = 0;

	for (unsigned i = 0; i < niov; i++)
		len += iov[i].iov_len;
	return len;
}

/* An empty item with room for len bytes at the tail of the queue. */
static struct vfui_out_item *add_item(struct vfui_outq *queue, size_t len)
{
	struct vfui_out_item *item = queue->spare;

	if (item != NULL && item->buf.cap >= len)
		queue->spare = NULL;
	else
		item = item_new(vfui_max(len, VFUI_OUT_BLOCK));
	if (item != NULL)
		vfui_list_push(&queue->items, &item->node);
	return item;
}

/* Queues the bytes from offset skip on. */
static int push_from(struct vfui_outq *queue, const struct iovec *iov, unsigned niov, size_t skip,
		     const int *fds, unsigned nfds)
{
	struct vfui_out_item *item = NULL;
	size_t len = iov_len(iov, niov) - skip;
	struct vfui_fds copies = {.n = 0};
	int r = nfds > 0 ? vfui_fds_dup(&copies, fds, nfds) : 0;

	if (r < 0)
		return r;
	if (nfds == 0 && !vfui_list_is_empty(&queue->items))
		item = from_node(queue->items.prev);
	if (item == NULL || item->fds.n > 0 || vfui_buf_room(&item->buf) < len)
		item = add_item(queue, len);
	if (item == NULL) {
		vfui_fds_close(&copies);
		return -ENOMEM;
	}
	if (nfds > 0)
		vfui_fds_move(&item->fds, &copies);
	for (unsigned i = 0; i < niov; i++) {
		size_t gone = vfui_min(skip, iov[i].iov_len);

		vfui_buf_append(&item->buf, (const uint8_t *)iov[i].iov_base + gone,
				iov[i].iov_len - gone);
		skip -= gone;
	}
	queue->bytes += len;
	return 0;
}

int vfui_outq_push(struct vfui_outq *queue, const struct iovec *iov, unsigned niov, const int *fds,
		   unsigned nfds)
{
	return push_from(queue, iov, niov, 0, fds, nfds);
}

void *vfui_outq_extend(struct vfui_outq *queue, size_t len)
{
	struct vfui_out_item *item = from_node(queue->items.prev);
	void *place;

	if (vfui_list_is_empty(&queue->items) || item->fds.n > 0 || vfui_buf_room(&item->buf) < len)
		item = add_item(queue, len);
	if (item == NULL)
		return NULL;
	place = item->buf.data + item->buf.end;
	item->buf.end += len;
	queue->bytes += len;
	return place;
}

/* ---- sending ---- */

static ssize_t send_some(struct vfui_outq *queue, int fd, const struct iovec *iov, unsigned niov,
			 const int *fds, unsigned nfds)
{
	ssize_t n;

	do {
		n = vfui_sock_send(fd, iov, niov, fds, nfds);
	} while (n == -EINTR);
	if (n > 0) {
		queue->batches++;
		queue->sent += (size_t)n;
	}
	/* The kernel is short of memory: as good as a full socket. */
	return n == -ENOBUFS || n == -ENOMEM ? -EAGAIN : n;
}

/* Drops what was sent of the first item, and the item once it is empty. */
static void item_sent(struct vfui_outq *queue, struct vfui_out_item *item, size_t len)
{
	queue->bytes -= len;
	vfui_buf_consume(&item->buf, len);
	vfui_fds_close(&item->fds);
	if (vfui_buf_len(&item->buf) > 0)
		return;
	vfui_list_remove(&item->node);
	item_free(queue->spare);
	queue->spare = item;
}

int vfui_outq_flush(struct vfui_outq *queue, int fd)
{
	while (!vfui_list_is_empty(&queue->items)) {
		struct vfui_out_item *item = from_node(queue->items.next);
		struct iovec iov = {item->buf.data + item->buf.start, vfui_buf_len(&item->buf)};
		ssize_t n = send_some(queue, fd, &iov, 1, item->fds.fd, item->fds.n);

		/* Too many descriptors of this user are on their way: not for ever. */
		if (n < 0)
			return n == -ETOOMANYREFS ? -EAGAIN : (int)n;
		item_sent(queue, item, (size_t)n);
	}
	return 0;
}

/*
 * Waits until the peer has read some. Not longer than that it sends something itself: then it may
 * well wait for us to read.
 */
static bool wait_writable(int fd, unsigned patience_ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN | POLLOUT};

	return patience_ms > 0 && vfui_os_poll(&pfd, 1, (int64_t)patience_ms * 1000000) > 0 &&
	       pfd.revents == POLLOUT;
}

/* Drops the first len bytes of a list of pieces. */
static void iov_skip(struct iovec *iov, unsigned niov, size_t len)
{
	for (unsigned i = 0; i < niov; i++) {
		size_t gone = vfui_min(len, iov[i].iov_len);

		iov[i].iov_base = (uint8_t *)iov[i].iov_base + gone;
		iov[i].iov_len -= gone;
		len -= gone;
	}
}

/*
 * Sends what is queued in at most one plain item, then the message, as far as it goes. Returns how
 * many bytes of the message went, or why nothing can be sent any more.
 */
static ssize_t send_in_place(struct vfui_outq *queue, int fd, const struct iovec *iov,
			     unsigned niov, const int *fds, unsigned nfds, unsigned patience_ms)
{
	struct iovec all[VFUI_OUT_IOV + 1];
	struct vfui_out_item *item = NULL;
	size_t total = iov_len(iov, niov), sent = 0;

	memcpy(all + 1, iov, niov * sizeof(*iov));
	if (!vfui_list_is_empty(&queue->items))
		item = from_node(queue->items.next);
	do {
		size_t queued = item != NULL ? vfui_buf_len(&item->buf) : 0;
		ssize_t n;

		all[0] = (struct iovec){item != NULL ? item->buf.data + item->buf.start : NULL,
					queued};
		n = send_some(queue, fd, all, niov + 1, fds, sent > 0 ? 0 : nfds);
		if (n < 0 && n != -EAGAIN)
			return n;
		if (n > 0) {
			size_t head = vfui_min((size_t)n, queued);

			if (head > 0)
				item_sent(queue, item, head);
			item = head == queued ? NULL : item;
			iov_skip(all + 1, niov, (size_t)n - head);
			sent += (size_t)n - head;
		}
	} while (sent < total && wait_writable(fd, patience_ms));
	return (ssize_t)sent;
}

/* One plain item at most is queued: it can go in the same call as the message. */
static bool can_join(const struct vfui_outq *queue, unsigned nfds)
{
	const struct vfui_list *first = queue->items.next;

	if (first == &queue->items)
		return true;
	return nfds == 0 && first->next == &queue->items &&
	       from_node((struct vfui_list *)(uintptr_t)first)->fds.n == 0;
}

int vfui_outq_send(struct vfui_outq *queue, int fd, const struct iovec *iov, unsigned niov,
		   const int *fds, unsigned nfds, unsigned patience_ms)
{
	ssize_t sent = 0;
	int r;

	if (!can_join(queue, nfds)) {
		r = vfui_outq_flush(queue, fd);
		if (r < 0 && r != -EAGAIN)
			return r;
	}
	if (can_join(queue, nfds)) {
		sent = send_in_place(queue, fd, iov, niov, fds, nfds, patience_ms);
		if (sent < 0)
			return (int)sent;
		if ((size_t)sent == iov_len(iov, niov))
			return 0;
	}
	r = push_from(queue, iov, niov, (size_t)sent, fds, sent > 0 ? 0 : nfds);
	return r < 0 && sent > 0 ? -ECONNABORTED : r;
}
