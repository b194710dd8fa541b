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
 * nothing. One that needs no messages, while no copy that does is under way, is done by the caller's thread
 * and is over when the call returns: a device whose memory is all mapped never meets an op. Any other is an op
 * behind those there are, and dma-message.c does it when its turn comes.
 *
 * What keeps a map where it is while it is copied: a pin, taken with the lock that it was found with; and if
 * the copy runs in a callback of the server, nothing, for only that very thread unmaps (copy_alone). It takes
 * no lock then either, whose price is not its instructions: it waits for all that was stored before.
 *
 * A map may go between the check and the copy: what began and can not be finished ends with -ECANCELED.
 *
 * A blocking copy is an op whose end wakes a waiter on the caller's stack. It is asked first whether it
 * may wait at all: inside some callbacks it may not, and then nothing is sent.
 */
#include "device/dma-copy.h"

#include <errno.h>

#include "base/os.h"
#include "base/shared.h"
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
	return kinds & BY_MESSAGE || (kinds && atomic_load(&dma->nops));
}

/*
 * An op, with the lock held. One that nobody waits for is charged to the account: a client need but knock
 * at the device and never answer, and there would be no end to them. Those of pins have a bound of their own.
 */
static int new_op(struct vfui_dma *dma, const struct vfui_dma_copy *what, unsigned kinds,
		  struct vfui_dma_op **op)
{
	bool is_free = what->waited || what->bounce || what->is_paid;
	struct vfui_dma_charge charge;
	int rc = vfui_dma_charge(dma, &charge, is_free ? 0 : vfui_dma_copy_cost(what));

	if (rc)
		return rc;
	*op = vfui_dma_op_new(dma);
	if (!*op) {
		vfui_dma_discharge(dma, &charge);
		return -ENOMEM;
	}
	/* All but its place in the order (vfui_dma_op_push). */
	(*op)->what = *what;
	(*op)->charge = charge;
	(*op)->next = 0;
	(*op)->inflight = 0;
	(*op)->status = 0;
	(*op)->has_direct = (kinds & ~BY_MESSAGE) != 0;
	return 0;
}

/* What it touches, with the lock held. */
static int look(struct vfui_dma *dma, const struct vfui_dma_copy *what,
		struct vfui_dma_reach *reach)
{
	/* The same addresses may be other memory by now. */
	if (what->bounce && what->bounce->is_dead)
		return -ECANCELED;
	return vfui_dma_check(dma, what->iova, what->len,
			      what->write ? VFU_DMA_WRITE : VFU_DMA_READ, reach);
}

/*
 * Whether a blocking copy may wait, asked without the lock; so it looks again: there may be other maps by now. A
 * thread that is not the owner never may, and what needs no messages need not: then *at_once is set.
 */
VFUI_APART static int look_to_wait(struct vfui_dma *dma, const struct vfui_dma_copy *what,
				   struct vfui_dma_reach *reach, bool *at_once)
{
	int rc, may;

	vfui_os_unlock(&dma->lock);
	may = check_wait(dma);
	vfui_os_lock(&dma->lock);
	rc = look(dma, what, reach);
	*at_once = may == -EPERM && !(reach->kinds & BY_MESSAGE);
	return may && !*at_once ? may : rc;
}

/* Copies what needs no op. With the lock held, which is given back. */
VFUI_APART static int copy_and_unlock(struct vfui_dma *dma, const struct vfui_dma_copy *what,
				      struct vfui_dma_map *map)
{
	int rc;

	if (map)
		vfui_dma_hold(map);
	vfui_os_unlock(&dma->lock);
	rc = vfui_dma_copy_direct(dma, what, map, false);
	if (map)
		vfui_dma_release(dma, map);
	return rc ? rc : VFU_LATER;
}

/* 0: started; VFU_LATER: it is all done already; negative errno. */
static int start(struct vfui_dma *dma, const struct vfui_dma_copy *what)
{
	struct vfui_dma_reach reach;
	struct vfui_dma_op *op;
	bool at_once = false;
	int rc;

	/* Takes effect behind what this thread has copied alone, of which the lock knows nothing. */
	__sync_synchronize();
	vfui_os_lock(&dma->lock);
	rc = look(dma, what, &reach);
	if (!rc && what->waited && needs_op(dma, reach.kinds))
		rc = look_to_wait(dma, what, &reach, &at_once);
	if (!rc && (at_once || !needs_op(dma, reach.kinds)))
		return copy_and_unlock(dma, what, reach.all);
	if (!rc)
		rc = new_op(dma, what, reach.kinds, &op);
	if (!rc)
		return vfui_dma_start_and_unlock(dma, op);
	vfui_os_unlock(&dma->lock);
	return rc;
}

int vfui_dma_copy_async(struct vfui_dma *dma, const struct vfui_dma_copy *what)
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

int vfui_dma_copy_wait(struct vfui_dma *dma, struct vfui_dma_copy *what)
{
	struct vfui_dma_waiter waiter = {.status = 0};
	int rc;

	what->waited = true;
	what->waiter = &waiter;
	rc = start(dma, what);
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

/* ---- the public functions ---------------------------------------------------------------------- */

/*
 * A copy with neither lock nor pin: this thread alone could take the map away, it holds all of it, and no
 * other copy is before this one. VFU_LATER: not such a one.
 */
static inline int copy_alone(struct vfui_dma *dma, uint64_t iova, uint8_t *buf, size_t len,
			     bool write)
{
	struct vfui_dma_map *map;

	if (atomic_load(&dma->nops) || !vfui_dma_is_owner(dma))
		return VFU_LATER;
	map = vfui_dma_find(dma, iova);
	if (!map || map->memory.kind != VFUI_DMA_MAPPED || !len ||
	    map->range.last - iova < len - 1 ||
	    !(map->flags & (write ? VFU_DMA_WRITE : VFU_DMA_READ)) || !vfui_dma_is_open(dma))
		return VFU_LATER;
	vfui_shared_order(&dma->wrote, write);
	return vfui_dma_map_copy(dma, map, iova, buf, len, write);
}

static int copy_async(struct vfui_dma *dma, uint64_t iova, uint8_t *buf, size_t len, bool write,
		      vfu_dma_fn *fn, void *user)
{
	int rc = copy_alone(dma, iova, buf, len, write);

	if (rc == VFU_LATER) {
		const struct vfui_dma_copy what = {.iova = iova,
						   .buf = buf,
						   .len = len,
						   .write = write,
						   .fn = fn,
						   .user = user};

		return vfui_dma_copy_async(dma, &what);
	}
	if (!rc)
		fn(user, 0);
	return rc;
}

static int copy_wait(struct vfui_dma *dma, uint64_t iova, uint8_t *buf, size_t len, bool write)
{
	int rc = copy_alone(dma, iova, buf, len, write);

	if (rc == VFU_LATER) {
		struct vfui_dma_copy what = {.iova = iova, .buf = buf, .len = len, .write = write};

		return vfui_dma_copy_wait(dma, &what);
	}
	return rc;
}

int vfui_dma_read_async(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, vfu_dma_fn *fn,
			void *user)
{
	return copy_async(dma, iova, buf, len, false, fn, user);
}

int vfui_dma_write_async(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len,
			 vfu_dma_fn *fn, void *user)
{
	return copy_async(dma, iova, (uint8_t *)(uintptr_t)buf, len, true, fn, user);
}

int vfui_dma_read(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len)
{
	return copy_wait(dma, iova, buf, len, false);
}

int vfui_dma_write(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len)
{
	return copy_wait(dma, iova, (uint8_t *)(uintptr_t)buf, len, true);
}
