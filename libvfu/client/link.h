/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * link.h - the state of a client that connects again by itself (reconnect.c has the story).
 */
#ifndef VFUI_CLIENT_LINK_H
#define VFUI_CLIENT_LINK_H

#include "client/backoff.h"
#include "client/recall.h"
#include "client/state.h"
#include "wire-device.h"

enum {
	VFUI_LINK_NONE,   /* it does not connect again */
	VFUI_LINK_UP,     /* calls may use the connection */
	VFUI_LINK_DOWN,   /* there is none, or the last calls leave one that has ended */
	VFUI_LINK_REPLAY, /* there is a new one, which is told all again */
	VFUI_LINK_TOLD,   /* the same, and the user's function has it first */
	VFUI_LINK_ENDED,  /* given up */
};

/* Regions and interrupts of a device that are compared. */
#define VFUI_LINK_REGIONS 256
#define VFUI_LINK_IRQS 64

/* What can happen before the user's function has been told: RESTORED, LOST and ENDED, for nobody connects then. */
#define VFUI_LINK_EVENTS 3

/* What a device is known by. Only the thread that reads, or connects. */
struct vfui_link_device {
	struct vfu_wire_get_info_reply info;
	struct {
		int status; /* a device need not speak of each */
		uint64_t size;
		uint32_t flags;
	} regions[VFUI_LINK_REGIONS];
	struct {
		int status;
		uint32_t flags, count;
	} irqs[VFUI_LINK_IRQS];
};

/* How far a new connection has been told all. Only the thread that reads, or connects. */
struct vfui_link_replay {
	struct vfui_conn *conn;
	unsigned step, end; /* of the table of steps */
	unsigned at, kind;  /* which region, interrupt... is next, */
	unsigned vector;
	int timeout_ms; /* of what is asked now */
	uint64_t iova;  /* which range; */
	bool is_past_last;
	unsigned in_flight; /* ranges that are not answered */
	bool is_first;      /* nothing to compare with */
	bool has_failed;
	uint8_t command[2];  /* PCI's register, as it is now */
	atomic_bool is_done; /* or has failed */
	enum vfu_device_state state;
};

struct vfui_link {
	atomic_int state; /* written under the client's lock */
	int wake_fd;    /* for event loops alone, who empty it: connections have their own; fixed */
	bool is_wanted; /* by who connects: the connection that is made is to come again */
	const struct vfui_conn_ops *ops; /* likewise */

	/* Writes without an answer, and how many of them were before an access that was answered. */
	_Atomic(uint64_t) posted, seen;

	/* Under the client's lock. */
	char *address;
	bool is_trying;                           /* the thread trier connects */
	bool is_different;                        /* there is no use in going on */
	bool is_telling;                          /* teller is in the user's function, */
	struct vfu_link untold[VFUI_LINK_EVENTS]; /* and has these to tell before it is done */
	unsigned nuntold;
	pthread_t teller, trier;
	uint64_t due, give_up, up_since;
	uint64_t until; /* a new connection has to know all by then */
	struct vfui_backoff backoff;
	struct vfu_link report;
	struct vfu_err last; /* why the last attempt failed */
	struct vfui_recall recall;

	struct vfui_link_device device;
	struct vfui_link_replay replay;
};

static inline int vfui_link_state(const struct vfu_client *cl)
{
	return cl->link ? atomic_load(&cl->link->state) : VFUI_LINK_NONE;
}

static inline bool vfui_link_is_wanted(const struct vfu_client *cl)
{
	return cl->link && cl->link->is_wanted;
}

/* It is connected, or will be again. */
static inline bool vfui_link_is_live(const struct vfu_client *cl)
{
	int state = vfui_link_state(cl);

	return state != VFUI_LINK_NONE && state != VFUI_LINK_ENDED;
}

/* This thread is in the user's function. With the lock. */
static inline bool vfui_link_is_teller(const struct vfu_client *cl)
{
	return cl->link && cl->link->is_telling && pthread_equal(cl->link->teller, pthread_self());
}

/* Writes without an answer so far; and that many the device has seen, for a later access was answered. */
static inline uint64_t vfui_link_posted(const struct vfu_client *cl)
{
	return cl->link ? atomic_load(&cl->link->posted) : 0;
}

static inline void vfui_link_seen(struct vfu_client *cl, uint64_t posted)
{
	if (posted && atomic_load(&cl->link->seen) < posted)
		atomic_store(&cl->link->seen, posted);
}

/* For the address that is being connected to (NULL: nothing to connect to again). -ENOMEM, -EMFILE. */
int vfui_link_prepare(struct vfu_client *cl, const char *address, const struct vfui_conn_ops *ops);
/* The first connection is there. With the lock. */
void vfui_link_start(struct vfu_client *cl);
/* Nobody connects again, and what was kept for that is forgotten. With the lock. */
void vfui_link_stop(struct vfu_client *cl);
void vfui_link_free(struct vfu_client *cl);
/* Has an event loop look again. */
void vfui_link_wake(struct vfu_client *cl);
/* An attempt has failed, for that reason: when is the next, if any? With the lock; then vfui_link_tell. */
void vfui_link_schedule(struct vfu_client *cl, const struct vfu_err *cause);
/* The report as it is now is what the user is told of an event, with the next vfui_link_tell. With the lock. */
void vfui_link_note(struct vfu_client *cl, enum vfu_link_event event);
/* Tells the user what was noted, in that order, one at a time: if a thread is in his function, that one does. No lock
 * is held. */
void vfui_link_tell(struct vfu_client *cl);
/* A new connection is to be told all, from now on. With the lock. */
void vfui_link_begin_replay(struct vfu_client *cl);
/* How many ms its next answer may take: no longer than any. 0: the time for all of them is up. */
int vfui_link_time(struct vfu_client *cl);
/* Fails a connection, also one that was told all by now: it is not what it was told any more. */
void vfui_link_restart(struct vfu_client *cl, const char *why);
/* If the connection that the caller holds has ended by itself, no call uses it from here on. */
void vfui_link_look(struct vfu_client *cl);

#endif
