/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma.h - client memory as the device sees it: the table of ranges, pins, and copies over mapped
 * ranges, ranges reached through their file and ranges reached by message.
 *
 * "Owner" as in vfu.h. No callback runs with the lock held.
 */
#ifndef VFUI_DMA_H
#define VFUI_DMA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "device/ranges.h"
#include "vfu.h"

struct vfui_conn;
struct vfui_policy;
struct vfui_dma_file;
struct vfui_dma_map;
struct vfui_dma_op;
struct vfui_dma_chunk;
struct vfui_dma_slot;

/* All on the owner, each may be NULL; set before the first connection. */
struct vfui_dma_hooks {
	void (*mapped)(void *ctx, const struct vfu_dma_range *range);
	/* Before access ends, in ascending order; also for each range at disconnect. */
	void (*unmapping)(void *ctx, const struct vfu_dma_range *range);
	/*
	 * Serves the connection until ready(arg): vfui_conn_wait plus what the device keeps about
	 * re-entrance. 0 or negative errno. NULL: vfui_conn_wait alone. Asked first with a ready that
	 * is true, to learn whether the caller may wait.
	 */
	int (*wait)(void *ctx, bool (*ready)(void *arg), void *arg);
	void *ctx;
};

struct vfui_dma_limits {
	uint32_t max_maps;   /* VFU_OPT_MAX_DMA_MAPS */
	uint64_t max_xfer;   /* what the client takes in one message */
	uint32_t window;     /* VFU_OPT_DMA_WINDOW */
	uint64_t read_bytes; /* VFU_OPT_DMA_READ_BYTES */
	uint64_t pgsize;     /* smallest page, a power of two (E10) */
};

/* Unmapped ranges that are still pinned. */
struct vfui_dma_wait;

#define VFUI_DMA_FILES 256 /* hash buckets of kept files */

struct vfui_dma {
	pthread_mutex_t lock;
	pthread_cond_t quiet; /* pumping ended */
	struct vfui_dma_hooks hooks;
	struct vfui_dma_limits limits;

	struct vfui_ranges maps;     /* changed by the owner only, with the lock */
	struct vfui_dma_map *recent; /* found last; most lookups are for the same one */
	uint32_t nmapped;            /* of these, in memory */
	struct vfui_list doomed;     /* out of the table, still pinned */
	struct vfui_dma_file *files[VFUI_DMA_FILES];
	struct vfui_dma_slot *slots; /* of the public pins */
	uint32_t nslots, free_slot;
	atomic_bool blocked; /* bus mastering is off and that counts (E63) */

	struct vfui_conn *conn;  /* NULL: no client */
	struct vfui_list ops;    /* unfinished, in order of start */
	struct vfui_list unsent; /* those of them that may have more to send, in the same order */
	_Atomic(struct vfui_dma_op *) spare; /* an op to be used again */
	struct vfui_list fences;
	atomic_uint nfences; /* changed with the lock */
	struct vfui_dma_chunk *chunks, *free_chunks;
	uint64_t seq, read_inflight;
	uint32_t inflight;
	bool pumping; /* a thread uses conn */
	bool again;   /* and is to look once more before it stops */
};

int vfui_dma_init(struct vfui_dma *dma, const struct vfui_dma_hooks *hooks);
/* The connection is freed by then, and no thread uses the table. Pinned memory goes as well. */
void vfui_dma_fini(struct vfui_dma *dma);

/* After VERSION. -EBUSY: the last connection is not freed. Owner. */
int vfui_dma_connect(struct vfui_dma *dma, struct vfui_conn *conn,
		     const struct vfui_dma_limits *limits);
/*
 * First step of a disconnect, before vfui_conn_free: no DMA starts from now on, message DMA ends
 * with -ECANCELED (fn runs in vfui_conn_free for what is in flight), every range is unmapped. Pinned
 * memory stays until unpinned. Owner.
 */
void vfui_dma_disconnect(struct vfui_dma *dma);

/* E63: DMA fails with -EIO while on. Owner. */
void vfui_dma_set_blocked(struct vfui_dma *dma, bool on);

/* flags: VFU_WIRE_DMA_MAP_*. fd: taken, -1 for none. -EEXIST, -EINVAL, -ENOSPC, -EACCES, -ENOMEM. Owner. */
int vfui_dma_map(struct vfui_dma *dma, uint32_t flags, uint64_t offset, uint64_t iova,
		 uint64_t size, int fd, const struct vfui_policy *policy, struct vfu_err *err);
/*
 * Removes ranges (all: every one; iova and size are 0 then). 0: done, answer now. VFU_LATER: *wait is
 * set, answer when vfui_dma_wait_start says so. -EINVAL, -ENOENT (E6, E7, E62), -ENOMEM: nothing changed. Owner.
 */
int vfui_dma_unmap(struct vfui_dma *dma, uint64_t iova, uint64_t size, bool all,
		   const struct vfui_policy *policy, struct vfui_dma_wait **wait,
		   struct vfu_err *err);
/* Runs done when the last pin is gone: at once if it is, else on the thread that unpins. Consumes wait; done may be NULL. */
void vfui_dma_wait_start(struct vfui_dma *dma, struct vfui_dma_wait *wait, void (*done)(void *user),
			 void *user);

/* The bodies of the public functions of the same names (vfu.h). */
int vfui_dma_read_async(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, vfu_dma_fn *fn,
			void *user);
int vfui_dma_write_async(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len,
			 vfu_dma_fn *fn, void *user);
int vfui_dma_read(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len);
int vfui_dma_write(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len);
int vfui_dma_pin(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
		 struct vfu_dma_pin *pin);
int vfui_dma_unpin(struct vfui_dma *dma, struct vfu_dma_pin *pin);
size_t vfui_dma_list(struct vfui_dma *dma, struct vfu_dma_range *out, size_t n);

/* fn(user, a, b) once all message DMA started before is answered; at once if there is none. -ENOMEM. Any thread. */
int vfui_dma_after(struct vfui_dma *dma, void (*fn)(void *user, unsigned a, unsigned b), void *user,
		   unsigned a, unsigned b);
/* Message DMA is in flight or waits for its turn. Any thread. */
bool vfui_dma_is_busy(struct vfui_dma *dma);

#endif
