/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * request.h - a request being served, and what is left of it when it is answered later.
 */
#ifndef VFUI_REQUEST_H
#define VFUI_REQUEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/account.h"
#include "device/answer.h"

/*
 * The way back to the client. It outlives its connection for as long as a request taken out of a
 * callback does, so that answering such a request is always safe.
 */
struct vfui_session {
	const volatile uint8_t *fork_mark;
	pthread_mutex_t lock;
	pthread_cond_t unused;  /* users fell to 0 */
	struct vfui_conn *conn; /* NULL: ended */
	unsigned users;         /* threads that use conn just now */
	unsigned refs;
	atomic_uint fences;           /* deferred requests that hold up later ones */
	struct vfui_account *account; /* what requests answered later hold */
	void (*wake)(void *ctx);      /* a fence fell; called with the lock held */
	void *ctx;
};

/* Keeps a reference of account. NULL: out of memory. */
struct vfui_session *vfui_session_new(struct vfui_conn *conn, struct vfui_account *account,
				      void (*wake)(void *ctx), void *ctx);
/* The connection is about to go: requests are dead from now on. Waits for other threads to let go of it. */
void vfui_session_end(struct vfui_session *session);
void vfui_session_unref(struct vfui_session *session);
/* The same for the server after fork(): there is one thread, and locks may be held for ever. NULL: nothing. */
void vfui_session_abandon(struct vfui_session *session);

/* Most bytes of the library's own at the beginning of a reply. */
#define VFUI_HEAD_MAX 24

/* A request as callbacks see it: on the stack while they run, or on the heap once it is deferred. */
struct vfu_request {
	struct vfui_session *session;
	struct vfu_access access;    /* if is_access */
	uint8_t head[VFUI_HEAD_MAX]; /* what the reply begins with */
	uint32_t head_len;
	/* Unless is_access: a command that the device serves. */
	struct vfui_msg *kept; /* it, 8-byte aligned, until it is answered; NULL: none */
	uint32_t skip;         /* its payload begins with so many bytes that are the library's */
	struct vfui_lent
		lent; /* memory of the device that is sent in place of the access's, if is_lent */
	uint32_t filled; /* the device has written so many bytes of an access that is_uncleared */
	uint32_t room;   /* for so many bytes of the device's answer */
	bool echoes;     /* an answer without data is the request's */
	bool is_access;
	bool is_silent;   /* a part of a longer request, which answers */
	bool is_deferred; /* what is on the heap answers */
	bool is_part;     /* of an access, see below */
	bool is_lent, is_brief;
	bool is_copied;      /* what was lent is in the access's data */
	bool is_uncleared;   /* a read whose buffer holds anything, but for filled bytes */
	bool is_fence;       /* on the heap: holds up later requests */
	atomic_bool is_told; /* no line about its failure */
	/* On the heap. */
	struct vfu_wire_header hdr;
	const struct vfui_message *info;
	size_t charged;            /* to the account: it and its parts */
	struct vfu_request *whole; /* of a part */
	atomic_uint parts;         /* of the whole: those that are not done, and who starts them */
	atomic_int status;         /* of the whole: of the first part that failed */
};

/*
 * An access that several callbacks serve, one part each. Parts start in the order of their addresses;
 * each may be answered later, and the last to be answered answers the whole:
 *
 *	access   |  memory  |  handler a  |  handler b  |
 *	             done        later         done            copied to the heap when a part is first
 *	whole    |##########|.............|#############|      answered later; a writes into it
 */
struct vfui_split {
	struct vfu_request part;   /* the one whose callback runs */
	struct vfu_request *whole; /* as it came; NULL: nothing can be answered later */
	struct vfu_request
		*held;     /* the whole on the heap; NULL: no part is answered later so far */
	bool is_uncleared; /* a read whose buffer holds anything, whatever region is there by now */
};

/* Prepares split->part for the part of access that begins at offset, count bytes long. */
void vfui_split_next(struct vfui_split *split, const struct vfu_access *access, uint64_t offset,
		     uint32_t count);
/* No part follows. rc: of the last. The result of the whole. */
int vfui_split_end(struct vfui_split *split, int rc);

/* Sets what the reply begins with, whether it is sent now or later; len at most VFUI_HEAD_MAX. */
static inline void vfui_request_set_head(struct vfu_request *req, const void *head, uint32_t len)
{
	memcpy(req->head, head, len);
	req->head_len = len;
}

/* A read whose buffer was not cleared: its function says what it fills. */
static inline void vfui_request_set_uncleared(struct vfu_request *req)
{
	req->is_uncleared = true;
	req->filled = 0;
}

/* It is done: clears what was not filled. */
static inline void vfui_request_clear_rest(struct vfu_request *req)
{
	if (req->is_uncleared)
		memset((uint8_t *)req->access.data + req->filled, 0,
		       req->access.count - req->filled);
}

/* Answers a read with what was lent. What vfui_conn_reply says. */
int vfui_request_answer_lent(struct vfui_conn *conn, const struct vfu_wire_header *hdr,
			     struct vfu_request *req);
/* Gives back what was lent, if anything was and the connection has not taken it (vfui_request_answer_lent). */
void vfui_request_drop_lent(struct vfu_request *req);

/* What the handlers of messages get. Little of it is set for each message, as most are small accesses. */
struct vfui_request {
	struct vfu_request base;
	struct vfui_msg *msg;
	struct vfu_err *err; /* for detail; code is 0 */
	uint64_t step;       /* REGION_WRITE_MULTI: where to go on */
	bool is_asked;       /* the gate has let it pass */
	bool is_replied;
	bool is_again; /* to be run once more from step when what holds it up is over */
};

#endif
