/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-copy.c - copies between client memory and the device: at once where it is reachable, else by messages.
 *
 *     iova                                        iova + len
 *      |  mapped  |    message    | file |  message  |
 *         memcpy    an op's chunks  pread   its chunks
 *
 * A copy may touch maps of any kinds. First all of it is checked, so that one which can not be done does
 * nothing; then the parts that need no messages are copied, by the caller's thread, each map held by a pin;
 * then one op sends the rest and skips what is copied (next_chunk knows a map's kind). If no part needs
 * messages there is no op, and the copy is over when the call returns.
 *
 * A map may go between the check and the copy: what began and can not be finished ends with -ECANCELED.
 *
 * A blocking copy is an op whose end wakes a waiter on the caller's stack. It is asked first whether it
 * may wait at all: inside some callbacks it may not, and then nothing is sent.
 */
#include "device/dma-copy.h"

#include <errno.h>

#include "base/os.h"
#include "device/dma-message.h"
#include "device/dma-table.h"
#include "transport/conn.h"

#define BY_MESSAGE (1u << VFUI_DMA_MESSAGE)

/* Copies what needs no messages. The range was checked; what went away since is -ECANCELED. */
static int copy_direct(struct vfui_dma *dma, uint64_t iova, uint8_t *buf, size_t len, bool write)
{
	uint32_t needs = write ? VFU_DMA_WRITE : VFU_DMA_READ;
	int rc = 0;

	while (len && !rc) {
		struct vfui_dma_map *map;
		uint64_t offset;
		size_t n;

		vfui_os_lock(&dma->lock);
		map = vfui_dma_find(dma, iova);
		if (!map || !(map->flags & needs)) {
			vfui_os_unlock(&dma->lock);
			return -ECANCELED;
		}
		map->pins++;
		vfui_os_unlock(&dma->lock);
		offset = iova - map->range.first;
		n = len - 1 < map->range.last - iova ? len : (size_t)(map->range.last - iova + 1);
		rc = vfui_dma_memory_copy(&map->memory, offset, buf, n, write);
		if (rc == -EFAULT)
			vfui_dma_tell_lost(dma, map);
		vfui_dma_release(dma, map);
		iova += n;
		buf += n;
		len -= n;
	}
	return rc;
}

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

/*
 * An op for what needs messages, with the lock held. One that nobody waits for is charged to the account:
 * a client need but knock at the device and never answer, and there would be no end to them.
 */
static int new_op(struct vfui_dma *dma, const struct vfui_dma_op *what, struct vfui_dma_op **op)
{
	struct vfui_account *account = what->waited ? NULL : dma->limits.account;

	if (account && vfui_account_take(account, vfui_dma_op_cost(what)))
		return -ENOBUFS;
	*op = vfui_dma_op_new(dma);
	if (*op) {
		**op = *what;
		(*op)->account = account;
	} else if (account) {
		vfui_account_give(account, vfui_dma_op_cost(what));
	}
	return *op ? 0 : -ENOMEM;
}

static void drop_op(struct vfui_dma *dma, struct vfui_dma_op *op)
{
	if (!op)
		return;
	vfui_os_lock(&dma->lock);
	vfui_dma_op_discharge(dma, op);
	vfui_os_unlock(&dma->lock);
	vfui_dma_op_free(dma, op);
}

/* 0: started; VFU_LATER: it is all done already; negative errno. */
static int start(struct vfui_dma *dma, const struct vfui_dma_op *what)
{
	uint32_t needs = what->write ? VFU_DMA_WRITE : VFU_DMA_READ;
	struct vfui_dma_op *op = NULL;
	unsigned kinds;
	int rc;

	vfui_os_lock(&dma->lock);
	rc = vfui_dma_check(dma, what->iova, what->len, needs, &kinds);
	if (!rc && kinds & BY_MESSAGE)
		rc = new_op(dma, what, &op);
	if (!rc && kinds == BY_MESSAGE && !what->waited)
		return vfui_dma_start_and_unlock(dma, op);
	vfui_os_unlock(&dma->lock);
	if (!rc && op && what->waited)
		rc = check_wait(dma);
	if (!rc && kinds & ~BY_MESSAGE)
		rc = copy_direct(dma, what->iova, what->buf, what->len, what->write);
	if (rc || !op) {
		drop_op(dma, op);
		return rc ? rc : VFU_LATER;
	}
	vfui_os_lock(&dma->lock);
	return vfui_dma_start_and_unlock(dma, op);
}

static int copy_async(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, bool write,
		      vfu_dma_fn *fn, void *user)
{
	const struct vfui_dma_op what = {
		.iova = iova, .buf = buf, .len = len, .write = write, .fn = fn, .user = user};
	int rc = start(dma, &what);

	if (rc == VFU_LATER) {
		fn(user, 0);
		rc = 0;
	}
	return rc;
}

static bool is_done(void *arg)
{
	struct vfui_dma_waiter *waiter = arg;

	return atomic_load(&waiter->done);
}

static int copy_wait(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, bool write)
{
	struct vfui_dma_waiter waiter = {.status = 0};
	const struct vfui_dma_op what = {.iova = iova,
					 .buf = buf,
					 .len = len,
					 .write = write,
					 .waited = true,
					 .waiter = &waiter};
	int rc = start(dma, &what);

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
	return copy_async(dma, iova, buf, len, false, fn, user);
}

int vfui_dma_write_async(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len,
			 vfu_dma_fn *fn, void *user)
{
	return copy_async(dma, iova, (void *)buf, len, true, fn, user);
}

int vfui_dma_read(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len)
{
	return copy_wait(dma, iova, buf, len, false);
}

int vfui_dma_write(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len)
{
	return copy_wait(dma, iova, (void *)buf, len, true);
}
