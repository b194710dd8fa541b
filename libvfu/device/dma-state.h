/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-state.h - what all files of client memory share, and stands below them all.
 *
 *                            dma.c              maps, unmaps, connects, disconnects
 *                            dma-pin.c          pointers that a device keeps
 *                          dma-bounce.c         buffers for what can not be pointed to
 *                            dma-list.c         many copies as one
 *                           dma-copy.c          what a device copies
 *                          dma-message.c        ops cut into messages, and sent
 *                            dma-op.c           copies that are not over, fences behind them
 *                           dma-table.c         address -> map; who still uses one
 *                           dma-memory.c        what is behind a map
 *                            dma-file.c         files kept for maps that are not mapped
 *                      dma-state.h
 *
 * The lock holds for table work only. Nobody calls out, copies or sends with it held, so a map that is
 * used without it has one more reference. Only the owner changes the maps: in its rounds it may look at them, and copy, without.
 */
#ifndef VFUI_DMA_STATE_H
#define VFUI_DMA_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/list.h"
#include "device/ranges.h"
#include "vfu.h"

struct vfui_conn;
struct vfui_dma_file;
struct vfui_dma_map;
struct vfui_dma_op;
struct vfui_dma_chunk;
struct vfui_dma_slot;
struct vfui_dma_bounce;
struct vfui_dma_wait; /* unmapped ranges that are still pinned */

/* All on the owner unless said, each may be NULL; set before the first connection. */
struct vfui_dma_hooks {
	void (*mapped)(void *ctx, const struct vfu_dma_range *range);
	/* Before access ends, in ascending order; also for each range at disconnect. */
	void (*unmapping)(void *ctx, const struct vfu_dma_range *range);
	/* The client can cut what was just mapped, and the guard is off (base/sigbus.h). */
	void (*exposed)(void *ctx);
	/* Memory of a range is gone: what there was to say of it once. Any thread. */
	void (*lost)(void *ctx, const struct vfu_dma_range *range);
	/* An unmap has waited for a second: for so many pins, the first of them; none: for a copy. */
	void (*held)(void *ctx, uint64_t iova, size_t len, unsigned pins);
	/* A pin was given back, and what was changed did not reach its memory. Any thread. */
	void (*unwritten)(void *ctx, uint64_t iova, size_t len, int status);
	/*
	 * Serves the connection until ready(arg): vfui_conn_wait plus what the device keeps about
	 * re-entrance, on the thread that reads and no other. 0 or negative errno. NULL: vfui_conn_wait
	 * alone. Asked first with a ready that is true, to learn whether the caller may wait.
	 */
	int (*wait)(void *ctx, bool (*ready)(void *arg), void *arg);
	void *ctx;
};

struct vfui_dma_limits {
	uint32_t max_maps;     /* as agreed */
	uint64_t max_xfer;     /* what the client takes in one message */
	uint32_t window;       /* VFU_OPT_DMA_WINDOW */
	uint64_t read_bytes;   /* VFU_OPT_DMA_READ_BYTES */
	uint64_t bounce_bytes; /* VFU_OPT_DMA_BOUNCE_BYTES */
	bool is_apart; /* messages go by a socket of their own, where an answer can overtake them */
	struct vfui_account *account; /* VFUI_DMA of it; a reference is kept; NULL: no bound */
};

#define VFUI_DMA_FILES 256 /* hash buckets of kept files */
#define VFUI_DMA_NO_SLOT UINT32_MAX

struct vfui_dma {
	pthread_mutex_t lock;
	pthread_cond_t quiet;     /* pumping ended, or what was being sent is */
	_Atomic(pthread_t) owner; /* while is_in_round */
	atomic_bool
		is_in_round; /* the owner serves, or runs callbacks: it alone changes the maps */
	bool wrote;          /* the owner's last copy without the lock did */
	struct vfui_dma_hooks hooks;
	struct vfui_dma_limits limits;

	struct vfui_ranges maps;               /* changed by the owner only, with the lock */
	_Atomic(struct vfui_dma_map *) recent; /* found last; most lookups are for the same one */
	uint32_t nmapped;                      /* of these, in memory */
	struct vfui_list doomed;               /* out of the table, still pinned */
	uint64_t
		look_at; /* when an unmap will have waited for them for long, 0: none does. Owner */
	struct vfui_dma_file *files[VFUI_DMA_FILES];
	struct vfui_dma_slot *slots; /* of the public pins */
	uint32_t nslots, free_slot;
	struct vfui_list bounces; /* buffers of pins: those that have their room */
	struct vfui_list queued;  /* and those that wait for it, in order */
	uint64_t bounced;         /* bytes of the former */
	bool bouncing;            /* a thread serves the latter */
	atomic_bool blocked;      /* bus mastering is off and that counts (E63) */

	struct vfui_conn *conn;  /* NULL: no client */
	struct vfui_list ops;    /* unfinished, in order of start */
	atomic_uint nops;        /* changed with the lock */
	struct vfui_list unsent; /* those of them that may have more to send, in the same order */
	_Atomic(struct vfui_dma_op *) spare; /* an op to be used again */
	struct vfui_list fences;
	atomic_uint nfences; /* changed with the lock */
	struct vfui_dma_chunk *chunks, *free_chunks;
	uint64_t seq, read_inflight;
	uint32_t inflight;
	unsigned awaiting; /* threads that wait for quiet */
	bool pumping;      /* a thread uses conn */
	uint64_t sending;  /* seq of the op whose buffer it uses just now, 0: none */
	bool again;        /* and is to look once more before it stops */
};

#endif
