/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-copy.c - copies between client memory and the device, in the order in which they were started.
 *
 *     iova                                        iova + len
 *      |  mapped  |    message    | file |  message  |
 *         memcpy    an op's chunks  pread   its chunks
 *
 * A copy may touch maps of any kinds. First all of it is checked, so that one which can not be done does
 * nothing. One that needs no messages, while no copy that does is under way, is done by the caller's thread,
 * each map held by a pin, and is over when the call returns: a device whose memory is all mapped never meets
 * an op. Any other is an op behind those there are, and dma-message.c does it when its turn comes.
 *
 * A map may go between the check and the copy: what began and can not be finished ends with -ECANCELED.
 *
 * A blocking copy is an op whose end wakes a waiter on the caller's stack. It is asked first whether it
 * may wait at all: inside some callbacks it may not, and then nothing is sent.
 */
#include "device/dma-copy.h"

#include <errno.h>

#include "base/os.h"
#include "base/util.h"
#include "device/dma-message.h"
#include "device/dma-table.h"
#include "transport/conn.h"

#define BY_MESSAGE (1u << VFUI_DMA_MESSAGE)

static bool is_ready(void *arg)
{
	(void)arg;
	return true;
}

/* A wait that is over at once: who may not wait is told so before anything is sent. */
static int check_wait(struct vfui_dma *dma)
{
	return dma->hooks.wait ? dma->hooks.wait(dma->hooks.ctx, is_ready, NULL) : 0;
}

/* It can not be done at once: it needs messages, or copies that do are before it. Lock held. */
static bool needs_op(const struct vfui_dma *dma, unsigned kinds)
{
	return kinds & BY_MESSAGE || (kinds && !vfui_list_is_empty(&dma->ops));
}

/*
 * An op, with the lock held. One that nobody waits for is charged to the account: a client need but knock
 * at the device and never answer, and there would be no end to them. Those of pins have a bound of their own.
 */
static int new_op(struct vfui_dma *dma, const struct vfui_dma_op *what, unsigned kinds,
		  struct vfui_dma_op **op)
{
	struct vfui_account *account =
		what->waited || what->bounce || what->is_paid ? NULL : dma->limits.account;

	if (account && vfui_account_take(account, vfui_dma_op_cost(what)))
		return -ENOBUFS;
	*op = vfui_dma_op_new(dma);
	if (*op) {
		**op = *what;
		(*op)->account = account;
		(*op)->has_direct = (kinds & ~BY_MESSAGE) != 0;
	} else if (account) {
		vfui_account_give(account, vfui_dma_op_cost(what));
	}
	return *op ? 0 : -ENOMEM;
}

/* What it touches, with the lock held: a bit 1 << kind for each kind of map. */
static int look(struct vfui_dma *dma, const struct vfui_dma_op *what, unsigned *kinds)
{
	/* The same addresses may be other memory by now. */
	if (what->bounce && what->bounce->is_dead)
		return -ECANCELED;
	return vfui_dma_check(dma, what->iova, what->len,
			      what->write ? VFU_DMA_WRITE : VFU_DMA_READ, kinds);
}

/*
 * Whether a blocking copy may wait, asked without the lock; so it looks again. A thread that is not the
 * owner never may, and what needs no messages need not: then *at_once is set.
 */
VFUI_APART static int look_to_wait(struct vfui_dma *dma, const struct vfui_dma_op *what,
				   unsigned *kinds, bool *at_once)
{
	int rc;

	vfui_os_unlock(&dma->lock);
	rc = check_wait(dma);
	vfui_os_lock(&dma->lock);
	*at_once = rc == -EPERM && !(*kinds & BY_MESSAGE);
	return rc && !*at_once ? rc : look(dma, what, kinds);
}

/* 0: started; VFU_LATER: it is all done already; negative errno. */
static int start(struct vfui_dma *dma, const struct vfui_dma_op *what)
{
	struct vfui_dma_op *op;
	bool at_once = false;
	unsigned kinds;
	int rc;

	vfui_os_lock(&dma->lock);
	rc = look(dma, what, &kinds);
	if (!rc && what->waited && needs_op(dma, kinds))
		rc = look_to_wait(dma, what, &kinds, &at_once);
	if (!rc && !at_once && needs_op(dma, kinds)) {
		rc = new_op(dma, what, kinds, &op);
		if (!rc)
			return vfui_dma_start_and_unlock(dma, op);
	}
	vfui_os_unlock(&dma->lock);
	if (!rc)
		rc = vfui_dma_op_copy_direct(dma, what);
	return rc ? rc : VFU_LATER;
}

int vfui_dma_copy_async(struct vfui_dma *dma, const struct vfui_dma_op *what)
{
	int rc = start(dma, what);

	if (rc == VFU_LATER) {
		what->fn(what->user, 0);
		rc = 0;
	}
	return rc;
}

static bool is_done(void *arg)
{
	struct vfui_dma_waiter *waiter = arg;

	return atomic_load(&waiter->done);
}

int vfui_dma_copy_wait(struct vfui_dma *dma, const struct vfui_dma_op *template)
{
	struct vfui_dma_waiter waiter = {.status = 0};
	struct vfui_dma_op what = *template;
	int rc;

	what.waited = true;
	what.waiter = &waiter;
	rc = start(dma, &what);
	if (rc)
		return rc == VFU_LATER ? 0 : rc;
	if (dma->hooks.wait)
		rc = dma->hooks.wait(dma->hooks.ctx, is_done, &waiter);
	else
		rc = vfui_conn_wait(dma->conn, is_done, &waiter, -1);
	if (!is_done(&waiter))
		vfui_dma_give_up(dma, &waiter);
	return is_done(&waiter) ? waiter.status : rc;
}

int vfui_dma_read_async(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, vfu_dma_fn *fn,
			void *user)
{
	const struct vfui_dma_op what = {
		.iova = iova, .buf = buf, .len = len, .fn = fn, .user = user};

	return vfui_dma_copy_async(dma, &what);
}

int vfui_dma_write_async(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len,
			 vfu_dma_fn *fn, void *user)
{
	const struct vfui_dma_op what = {.iova = iova,
					 .buf = (uint8_t *)(uintptr_t)buf,
					 .len = len,
					 .write = true,
					 .fn = fn,
					 .user = user};

	return vfui_dma_copy_async(dma, &what);
}

int vfui_dma_read(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len)
{
	const struct vfui_dma_op what = {.iova = iova, .buf = buf, .len = len};

	return vfui_dma_copy_wait(dma, &what);
}

int vfui_dma_write(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len)
{
	const struct vfui_dma_op what = {
		.iova = iova, .buf = (uint8_t *)(uintptr_t)buf, .len = len, .write = true};

	return vfui_dma_copy_wait(dma, &what);
}
