/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-op.h - copies that need messages and are not over, and fences behind them.
 */
#ifndef VFUI_DMA_OP_H
#define VFUI_DMA_OP_H

#include "base/os.h"
#include "base/util.h"
#include "device/dma-state.h"

/* A thread that waits for an op of its own. */
struct vfui_dma_waiter {
	atomic_bool done;
	int status;
};

/* What is kept for a client, as it counts (base/account.h); no account: it does not. */
struct vfui_dma_charge {
	struct vfui_account *account;
	size_t bytes;
};

/* A buffer that stands for memory while it is pinned (dma-bounce.c). */
struct vfui_dma_bounce {
	struct vfui_list link; /* in bounces, or in queued */
	struct vfui_dma *dma;
	uint64_t iova;
	size_t len;
	unsigned flags; /* VFU_DMA_* */
	uint8_t *data;
	uint8_t *was; /* what was read in; NULL: nothing, all of it is to be written */
	bool has_room;
	bool is_dead; /* vfui_dma_bounce_cancel has ended it; changed with the lock */
	struct vfui_dma_charge charge;
	/* When data is there: 0, or why it can not be used. Without the lock. */
	int (*ready)(struct vfui_dma_bounce *bounce);
	struct vfu_dma_pin *pin; /* of the caller, for ready */
	vfu_dma_fn *fn;
	void *user;
};

static inline struct vfui_dma_bounce *vfui_dma_bounce_of(struct vfui_list *link)
{
	return vfui_container_of(link, struct vfui_dma_bounce, link);
}

/* A copy, as it was asked for. */
struct vfui_dma_copy {
	uint64_t iova;
	uint8_t *buf;
	size_t len;
	size_t repeat; /* bytes in buf, to be written over and over; 0: buf has len */
	bool write;
	bool is_paid; /* by the list it is of */
	bool waited;  /* for a blocking call: waiter, NULL once it has given up, instead of fn */
	struct vfui_dma_waiter *waiter;
	const struct vfui_dma_bounce *bounce; /* whose buffer it is; NULL: its caller's */
	vfu_dma_fn *fn;
	void *user;
};

/* One that needs messages, or comes behind such, and how far it is. */
struct vfui_dma_op {
	struct vfui_list link;   /* in ops, or over */
	struct vfui_list unsent; /* in unsent, or in no list */
	struct vfui_dma_charge charge;
	uint64_t seq;
	size_t next; /* what is not sent yet begins here */
	uint32_t inflight;
	int status;
	bool has_direct; /* parts of it need no messages, and are not copied yet */
	struct vfui_dma_copy what;
};

static inline struct vfui_dma_op *vfui_dma_op_of(struct vfui_list *link)
{
	return vfui_container_of(link, struct vfui_dma_op, link);
}

/* The next bytes from *at on that the device has changed in what it has pinned. */
size_t vfui_dma_copy_changed(const struct vfui_dma_copy *what, size_t *at);

/* Its bytes, and what it and whoever keeps track of it need beside them. */
static inline size_t vfui_dma_copy_cost(const struct vfui_dma_copy *what)
{
	return (what->repeat ? what->repeat : what->len) + 512;
}

/* One is kept to be used again. NULL: no memory. */
static inline struct vfui_dma_op *vfui_dma_op_new(struct vfui_dma *dma)
{
	struct vfui_dma_op *op = atomic_exchange(&dma->spare, NULL);

	return op ? op : vfui_os_malloc(sizeof(*op));
}

static inline void vfui_dma_op_free(struct vfui_dma *dma, struct vfui_dma_op *op)
{
	vfui_os_free(atomic_exchange(&dma->spare, op));
}

/*
 * How many bytes are to be moved at once from *at on, which goes past those that need not be: what is pinned
 * and was not changed. 0: none.
 */
static inline size_t vfui_dma_copy_run(const struct vfui_dma_copy *what, size_t *at)
{
	size_t left = what->len - *at;

	if (what->write && what->bounce && what->bounce->was)
		return vfui_dma_copy_changed(what, at);
	return what->repeat && what->repeat < left ? what->repeat : left;
}

/* And where these are. */
static inline uint8_t *vfui_dma_copy_data(const struct vfui_dma_copy *what, size_t at)
{
	return what->repeat ? what->buf : what->buf + at;
}

/* With the lock held. */

/* Counts so many bytes, 0 for nothing: 0 or -ENOBUFS. */
static inline int vfui_dma_charge(struct vfui_dma *dma, struct vfui_dma_charge *charge,
				  size_t bytes)
{
	int rc;

	charge->account = bytes ? dma->limits.account : NULL;
	charge->bytes = bytes;
	rc = charge->account ? vfui_account_take(charge->account, bytes) : 0;
	if (rc)
		charge->account = NULL;
	return rc;
}

/* They count no more. The account of an older server is none of ours. */
static inline void vfui_dma_discharge(struct vfui_dma *dma, struct vfui_dma_charge *charge)
{
	if (charge->account && charge->account == dma->limits.account)
		vfui_account_give(charge->account, charge->bytes);
	charge->account = NULL;
}

/* Last in the order. */
static inline void vfui_dma_op_push(struct vfui_dma *dma, struct vfui_dma_op *op)
{
	op->seq = ++dma->seq;
	atomic_fetch_add(&dma->nops, 1);
	vfui_list_push(&dma->ops, &op->link);
	vfui_list_push(&dma->unsent, &op->unsent);
}

/* Takes an op that is over out of the order: to done, for settle. */
void vfui_dma_op_finish(struct vfui_dma *dma, struct vfui_dma_op *op, struct vfui_list *done);

/* Does that if nothing of it is in flight, or will be. */
static inline void vfui_dma_op_end(struct vfui_dma *dma, struct vfui_dma_op *op,
				   struct vfui_list *done)
{
	if (!op->inflight && (op->status || op->next == op->what.len))
		vfui_dma_op_finish(dma, op, done);
}

/* Without the lock. */

/*
 * Copies what of it needs no messages. all: a map that holds all of it, and stays meanwhile; NULL: look it up, part by
 * part. is_part: of an op, whose other parts come by message; else there are none.
 */
int vfui_dma_copy_direct(struct vfui_dma *dma, const struct vfui_dma_copy *what,
			 struct vfui_dma_map *all, bool is_part);

/* Tells the callers of ops that are over; then what waited behind them may run. */
void vfui_dma_settle(struct vfui_dma *dma, struct vfui_list *done);
/* Ends all message DMA that touches [first, last]. */
void vfui_dma_cancel(struct vfui_dma *dma, uint64_t first, uint64_t last);
/* After fork(): frees them all, and their callers, who are the parent's, hear nothing. */
void vfui_dma_forget(struct vfui_dma *dma);
/* A wait ended without the op: from here on nobody touches its buffer or waiter. */
void vfui_dma_give_up(struct vfui_dma *dma, struct vfui_dma_waiter *waiter);

/*
 * fn(user, a, b) once all message DMA started before is answered; at once if there is none. The same again,
 * with no DMA started between, is one. -ENOMEM. Any thread.
 */
int vfui_dma_after(struct vfui_dma *dma, void (*fn)(void *user, unsigned a, unsigned b), void *user,
		   unsigned a, unsigned b);
/* The same in two steps, of which the second can not fail, and takes the first's. NULL: out of memory. */
struct vfui_dma_fence *vfui_dma_fence_new(void (*fn)(void *user, unsigned a, unsigned b),
					  void *user, unsigned a, unsigned b);
void vfui_dma_fence_set(struct vfui_dma *dma, struct vfui_dma_fence *fence);
/* Message DMA is in flight or waits for its turn. Any thread. */
bool vfui_dma_is_busy(struct vfui_dma *dma);

#endif
