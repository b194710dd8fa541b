/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-table.h - the ranges that the device may reach. All take the client's lock themselves, unless
 * they say that the caller has it.
 */
#ifndef VFUI_CLIENT_DMA_TABLE_H
#define VFUI_CLIENT_DMA_TABLE_H

#include "client/recall.h"
#include "client/state.h"
#include "wire-dma.h"

/* Memory that is the library's, and goes with its range; a list where that is gone. */
struct vfui_client_own {
	struct vfui_client_own *next;
	void *host;
	size_t size;
};

/* A call that asks the server to unmap one range after the other, and waits for all the answers. */
struct vfui_client_asker {
	int error; /* the first; of a range that left meanwhile, by another call, there is none */
};

/* One map of client memory. */
struct vfui_client_range {
	struct vfui_range range;
	struct vfu_client *cl;
	uint8_t *host;         /* NULL: a function's */
	vfu_client_dma_fn *fn; /* its own; NULL: the client's */
	void *user;
	struct vfu_watch *watch; /* of host, if the device has its file and the table has this */
	uint32_t flags;          /* VFU_DMA_* */
	bool is_shared;          /* the device has its file */
	struct vfu_wire_dma_map_request map;
	struct vfui_recall_file *file;   /* of a client that connects again; NULL: none */
	unsigned holders;                /* the table, and who waits for the map's answer */
	struct vfui_client_own *own;     /* host is in there; NULL: it is the caller's */
	bool is_gone;                    /* from the table */
	struct vfui_client_asker *asker; /* to unmap it, who waits; NULL: nobody */
};

/* What a range consists of here. */
struct vfui_client_memory {
	void *host; /* NULL: a function's, fn or the client's */
	int fd;     /* the file, which stays the caller's; -1: none */
	vfu_client_dma_fn *fn;
	void *user;
	struct vfui_client_own **own; /* host is in there; NULL: it is the caller's */
};

/* vfu_client_dma_map of any memory. *memory.own is taken, and NULL from then on, once there is a range. */
int vfui_client_map(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
		    struct vfui_client_memory memory, uint64_t fd_offset);

/*
 * Puts a range into the table. That comes before the message: the device may use the range before
 * its answer is here. The request has passed its check. -EINVAL, -EEXIST, -ENOMEM, -EMFILE...
 */
int vfui_client_table_add(struct vfu_client *cl, const struct vfu_wire_dma_map_request *in,
			  const struct vfui_client_memory *memory, struct vfui_client_range **out,
			  struct vfu_err *err);
/*
 * The map of a range was answered, or could not be sent: it leaves the table unless status is 0. It
 * may have been unmapped meanwhile.
 */
void vfui_client_table_settle(struct vfui_client_range *r, int status);
/*
 * All ranges that lie whole in [first, last] leave the table. Once this returns nobody uses their
 * memory any more, on whatever thread.
 */
void vfui_client_table_drop(struct vfu_client *cl, uint64_t first, uint64_t last);
/* The range at iova, or the next one; it stays until vfui_client_table_release, which says whether it has left the
 * table. NULL: there is none. */
struct vfui_client_range *vfui_client_table_hold(struct vfu_client *cl, uint64_t iova);
bool vfui_client_table_release(struct vfui_client_range *r);
/*
 * The same of one that the server is asked to unmap by asker, until _asked says what became of that: the answer, and
 * whether it leaves. Where another asks already it is only held, and *is_his is false.
 */
struct vfui_client_range *vfui_client_table_ask(struct vfu_client *cl, uint64_t iova,
						struct vfui_client_asker *asker, bool *is_his);
void vfui_client_table_asked(struct vfui_client_range *r, int status, bool leaves);
/* All leave of which asker does not know that yet. */
void vfui_client_table_drop_asked(struct vfu_client *cl, const struct vfui_client_asker *asker);
/* Frees the memory, and that of those behind it; may be NULL. */
void vfui_client_own_free(struct vfui_client_own *own);
/* All leave, but for memory of their own, which is left; no thread reads any more. The caller has the lock. */
void vfui_client_table_clear(struct vfu_client *cl);

/* Copies the first n ranges; returns how many there are. */
size_t vfui_client_table_list(struct vfu_client *cl, struct vfu_dma_range *out, size_t n);

/* The part of an access that lies in one range. */
struct vfui_client_piece {
	uint8_t *host; /* NULL: fn serves it */
	struct vfu_watch *watch;
	vfu_client_dma_fn *fn;
	void *user;
	size_t len;
};

/*
 * The beginning of [iova, iova + len), which is allowed only if it may be accessed so: access is
 * VFU_DMA_READ or VFU_DMA_WRITE. -EFAULT, -EACCES. Its memory stays until the next use, or
 * vfui_client_table_unuse. Only the thread that reads.
 */
int vfui_client_table_use(struct vfu_client *cl, uint64_t iova, size_t len, uint32_t access,
			  struct vfui_client_piece *out);
void vfui_client_table_unuse(struct vfu_client *cl);

#endif
