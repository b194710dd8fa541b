/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-op.c - copies that need messages and are not over (ops), and the fences behind them.
 *
 *      ops:  [ 4 ]--[ 5 ]--[ 7 ]            in the order they were started, whatever order they end in
 *                                           (6 was answered first)
 *      fences:  after 4,  after 5,  after 7
 *
 * An op is over when nothing of it is in flight and nothing will be: it has failed, was cancelled, or is
 * sent and answered. Whoever finds that, lock held, moves it to a list of its own ("done") and tells the
 * caller once the lock is free (settle). A fence runs when the first of the ops left is younger than it.
 *
 * The memory of an op's caller is used until it is told: what is written goes from there, what is read is received
 * there. One who will not wait any longer, because the wait ended before the op, says so (give_up): what is in
 * flight then ends in nobody's memory. It is the thread that reads, so nothing comes in meanwhile.
 */
#include "device/dma-op.h"

#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "device/dma-table.h"
#include "transport/conn.h"

struct vfui_dma_fence {
	struct vfui_list link;
	uint64_t seq; /* the last op it is for */
	void (*fn)(void *user, unsigned a, unsigned b);
	void *user;
	unsigned a, b;
};

void vfui_dma_op_finish(struct vfui_dma *dma, struct vfui_dma_op *op, struct vfui_list *done)
{
	vfui_list_remove(&op->link);
	vfui_list_remove(&op->unsent);
	vfui_list_push(done, &op->link);
	atomic_fetch_sub(&dma->nops, 1);
	vfui_dma_discharge(dma, &op->charge);
	if (!op->what.waiter)
		return;
	op->what.waiter->status = op->status;
	atomic_store(&op->what.waiter->done, true);
	op->what.waiter = NULL;
}

size_t vfui_dma_copy_changed(const struct vfui_dma_copy *what, size_t *at)
{
	const uint8_t *is = what->buf, *was = what->bounce->was;
	size_t from = *at, to;

	while (what->len - from >= 64 && !memcmp(is + from, was + from, 64))
		from += 64;
	while (from < what->len && is[from] == was[from])
		from++;
	for (to = from; to < what->len && is[to] != was[to];)
		to++;
	*at = from;
	return to - from;
}

int vfui_dma_copy_direct(struct vfui_dma *dma, const struct vfui_dma_copy *what,
			 struct vfui_dma_map *all, bool is_part)
{
	size_t at = 0, n;
	int rc = 0;

	for (; !rc && (n = vfui_dma_copy_run(what, &at)); at += n) {
		uint8_t *data = vfui_dma_copy_data(what, at);

		rc = all ? vfui_dma_map_copy(dma, all, what->iova + at, data, n, what->write)
			 : vfui_dma_copy_each(dma, what->iova + at, data, n, what->write, is_part);
	}
	return rc;
}

/* A fence that no op holds back any more. */
static struct vfui_dma_fence *next_fence(struct vfui_dma *dma)
{
	struct vfui_dma_fence *fence = NULL;
	uint64_t oldest = UINT64_MAX;

	/* One that came before the last op left the list was counted before, too. */
	if (!atomic_load(&dma->nfences))
		return NULL;
	vfui_os_lock(&dma->lock);
	if (!vfui_list_is_empty(&dma->ops))
		oldest = vfui_dma_op_of(dma->ops.next)->seq;
	if (!vfui_list_is_empty(&dma->fences)) {
		fence = vfui_container_of(dma->fences.next, struct vfui_dma_fence, link);
		if (fence->seq < oldest) {
			vfui_list_remove(&fence->link);
			atomic_fetch_sub(&dma->nfences, 1);
		} else {
			fence = NULL;
		}
	}
	vfui_os_unlock(&dma->lock);
	return fence;
}

void vfui_dma_settle(struct vfui_dma *dma, struct vfui_list *done)
{
	struct vfui_dma_fence *fence;

	for (struct vfui_list *link; (link = vfui_list_pop(done));) {
		struct vfui_dma_op *op = vfui_dma_op_of(link);

		if (!op->what.waited)
			op->what.fn(op->what.user, op->status);
		vfui_dma_op_free(dma, op);
	}
	while ((fence = next_fence(dma))) {
		fence->fn(fence->user, fence->a, fence->b);
		vfui_os_free(fence);
	}
}

void vfui_dma_forget(struct vfui_dma *dma)
{
	struct vfui_list *link;

	vfui_list_init(&dma->unsent);
	atomic_store(&dma->nops, 0);
	while ((link = vfui_list_pop(&dma->ops)))
		vfui_dma_op_free(dma, vfui_dma_op_of(link));
	while ((link = vfui_list_pop(&dma->fences)))
		vfui_os_free(vfui_container_of(link, struct vfui_dma_fence, link));
	atomic_store(&dma->nfences, 0);
}

void vfui_dma_cancel(struct vfui_dma *dma, uint64_t first, uint64_t last)
{
	struct vfui_list done, *link, *after;

	vfui_list_init(&done);
	vfui_os_lock(&dma->lock);
	vfui_list_for_each_safe(link, after, &dma->ops) {
		struct vfui_dma_op *op = vfui_dma_op_of(link);

		if (op->what.iova > last || op->what.iova + (op->what.len - 1) < first)
			continue;
		if (!op->status)
			op->status = -ECANCELED;
		vfui_dma_op_end(dma, op, &done);
	}
	vfui_os_unlock(&dma->lock);
	vfui_dma_settle(dma, &done);
}

void vfui_dma_give_up(struct vfui_dma *dma, struct vfui_dma_waiter *waiter)
{
	struct vfui_list done, *link, *after;
	struct vfui_dma_copy what = {.len = 0};
	struct vfui_conn *conn;
	uint64_t seq = 0;

	vfui_list_init(&done);
	vfui_os_lock(&dma->lock);
	conn = dma->conn;
	vfui_list_for_each_safe(link, after, &dma->ops) {
		struct vfui_dma_op *op = vfui_dma_op_of(link);

		if (op->what.waiter != waiter)
			continue;
		seq = op->seq;
		what = op->what;
		op->what.waiter = NULL;
		if (!op->status)
			op->status = -ECANCELED;
		vfui_dma_op_end(dma, op, &done);
	}
	/* Another thread may be sending from its buffer; what else that one sends may be without end. */
	dma->awaiting++;
	while (seq && dma->sending == seq)
		vfui_os_cond_wait(&dma->quiet, &dma->lock, -1);
	dma->awaiting--;
	vfui_os_unlock(&dma->lock);
	if (conn && what.len && !what.write)
		vfui_conn_drop_sink(conn, what.buf, what.len);
	vfui_dma_settle(dma, &done);
}

/* ---- fences ------------------------------------------------------------------------------------ */

bool vfui_dma_is_busy(struct vfui_dma *dma)
{
	bool busy;

	vfui_os_lock(&dma->lock);
	busy = !vfui_list_is_empty(&dma->ops);
	vfui_os_unlock(&dma->lock);
	return busy;
}

/*
 * One like it stands behind the same op already. Ops are bounded by the account, and so are fences, as
 * long as there is but one of a kind for each. Lock held.
 */
static bool is_repeated(const struct vfui_dma *dma, const struct vfui_dma_fence *new)
{
	for (struct vfui_list *link = dma->fences.prev; link != &dma->fences; link = link->prev) {
		const struct vfui_dma_fence *old =
			vfui_container_of(link, struct vfui_dma_fence, link);

		if (old->seq != new->seq)
			return false;
		if (old->fn == new->fn && old->user == new->user && old->a == new->a &&
		    old->b == new->b)
			return true;
	}
	return false;
}

struct vfui_dma_fence *vfui_dma_fence_new(void (*fn)(void *user, unsigned a, unsigned b),
					  void *user, unsigned a, unsigned b)
{
	struct vfui_dma_fence *fence = vfui_os_malloc(sizeof(*fence));

	if (fence)
		*fence = (struct vfui_dma_fence){.fn = fn, .user = user, .a = a, .b = b};
	return fence;
}

void vfui_dma_fence_set(struct vfui_dma *dma, struct vfui_dma_fence *fence)
{
	struct vfui_dma_fence copy = *fence;
	bool idle, is_kept;

	vfui_os_lock(&dma->lock);
	idle = vfui_list_is_empty(&dma->ops);
	fence->seq = dma->seq;
	is_kept = !idle && !is_repeated(dma, fence);
	if (is_kept) {
		vfui_list_push(&dma->fences, &fence->link);
		atomic_fetch_add(&dma->nfences, 1);
	}
	vfui_os_unlock(&dma->lock);
	if (!is_kept)
		vfui_os_free(fence);
	if (idle)
		copy.fn(copy.user, copy.a, copy.b);
}

int vfui_dma_after(struct vfui_dma *dma, void (*fn)(void *user, unsigned a, unsigned b), void *user,
		   unsigned a, unsigned b)
{
	struct vfui_dma_fence *fence = vfui_dma_fence_new(fn, user, a, b);

	if (!fence)
		return -ENOMEM;
	vfui_dma_fence_set(dma, fence);
	return 0;
}
