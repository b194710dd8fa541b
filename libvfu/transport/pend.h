/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pend.h - requests sent and not answered yet, by message id.
 */
#ifndef VFUI_PEND_H
#define VFUI_PEND_H

#include "base/list.h"
#include "transport/msg.h"

/* Most requests that may wait for their replies, so that free ids are found at once. */
#define VFUI_PEND_MAX 32768

/* The id of all that want no reply: no pending request has it. */
#define VFUI_PEND_POSTED UINT16_MAX

/* Who is told how a request ended, by one of the two: told is of those with a name, and gets all of this. */
struct vfui_end {
	void (*done)(void *user, int status, struct vfui_msg *reply);
	void (*told)(const struct vfui_end *end, int status, struct vfui_msg *reply);
	void *user;
	union {
		vfu_client_fn *fn;
		vfu_client_call_fn *call_fn;
	};
	int number; /* told's */
};

struct vfui_pend {
	struct vfui_list node; /* in waiting, or in spare */
	uint16_t id;
	uint16_t command;
	bool is_reserved; /* given up: the id stays taken until the late reply is drained */
	const struct vfui_message *info;
	uint64_t deadline;
	struct vfui_end end;
	uint64_t tag;  /* of one that has a name, else 0; an id is used again, this is not */
	uint8_t *sink; /* where the reply's payload goes from byte sink_skip on; NULL: nowhere, */
	size_t sink_skip, sink_len; /* and if it has a length, nowhere any more */
	/* fixed part of the request, for checking the reply */
	uint64_t request[(VFUI_REQUEST_SIZE + 7) / 8];
};

/* Ids are used again: what a request has been called is said by both, which no other ever has. */
static inline uint64_t vfui_pend_name(const struct vfui_pend *pend)
{
	return pend->tag << 16 | pend->id;
}

static inline struct vfui_pend *vfui_pend_of(struct vfui_list *node)
{
	return vfui_container_of(node, struct vfui_pend, node);
}

struct vfui_pend_table {
	struct vfui_pend **slots; /* by the low bits of the id */
	unsigned cap;             /* a power of two, or 0 */
	unsigned used;            /* slots taken, reserved ones too */
	unsigned nwaiting;
	uint16_t next_id;
	struct vfui_list waiting; /* by deadline, earliest first */
	struct vfui_list spare;
};

void vfui_pend_init(struct vfui_pend_table *table);
/* Frees all; whoever waited must have been told. */
void vfui_pend_fini(struct vfui_pend_table *table);
/*
 * A pending request with a new id; what is not of the table is the caller's to set. NULL: out of memory, or -ENOBUFS
 * (too many) in *error.
 */
struct vfui_pend *vfui_pend_add(struct vfui_pend_table *table, uint64_t deadline, int *error);
/* NULL: no such id. */
struct vfui_pend *vfui_pend_find(const struct vfui_pend_table *table, uint16_t id);
/* Gives it up but keeps its id from being used. */
void vfui_pend_reserve(struct vfui_pend_table *table, struct vfui_pend *pend);
/* Nobody's sink lies in that memory any more. */
void vfui_pend_drop_sinks(struct vfui_pend_table *table, const void *memory, size_t len);
void vfui_pend_remove(struct vfui_pend_table *table, struct vfui_pend *pend);
/* The same in two steps: from take to reuse it is the caller's to look at, without the lock. */
void vfui_pend_take(struct vfui_pend_table *table, struct vfui_pend *pend);
static inline void vfui_pend_reuse(struct vfui_pend_table *table, struct vfui_pend *pend)
{
	vfui_list_remove(&pend->node);
	/* Last in, first out: what was used last is still in the cache. */
	vfui_list_insert(table->spare.next, &pend->node);
}
/* The one whose deadline comes first, NULL if none waits. */
struct vfui_pend *vfui_pend_first(const struct vfui_pend_table *table);

#endif
