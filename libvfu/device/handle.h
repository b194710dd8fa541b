/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.h - the state of a device that outlives its connections, and the gate before changes to it.
 */
#ifndef VFUI_DEVICE_HANDLE_H
#define VFUI_DEVICE_HANDLE_H

#include <pthread.h>

#include "device/dma.h"
#include "base/err.h"
#include "device/events.h"
#include "device/irq.h"
#include "base/log.h"
#include "device/pci.h"
#include "device/region-map.h"
#include "device/command.h"

/* What the server does for its device. */
struct vfui_device_server {
	/* Serves the connection until ready(arg). Owner. */
	int (*wait)(void *ctx, bool (*ready)(void *arg), void *arg);
	/* Has the owner look around. Any thread, with the device's lock held. */
	void (*wake)(void *ctx);
	void *ctx;
	int wake_fd; /* readable once it is woken */
};

/* Open from the moment the device is asked until the owner has seen its answer. */
struct vfui_gate {
	bool is_open;
	bool is_decided;
	int status;
	void (*then)(void *ctx, int status);
	void *ctx;
};

struct vfu_device {
	const volatile uint8_t *fork_mark;
	struct vfui_dma dma;
	struct vfui_irqs irqs;
	struct vfui_events events;
	struct vfui_gate gate; /* under lock; beside what each request needs, which looks at it */
	struct vfui_regions regions;
	struct vfui_pci pci;
	struct vfui_commands commands;
	struct vfu_err err;
	struct vfui_log log;
	struct vfui_log_limit log_limit;
	struct vfu_device_hooks hooks;
	void *hooks_user;
	_Atomic uint8_t state; /* of migration */
	bool no_reentry;
	bool is_exposed;      /* and that was said */
	pthread_mutex_t lock; /* server, peer and gate */
	struct vfui_device_server server;
	bool has_peer; /* there is a client, which is, under the same lock: */
	struct vfu_peer peer;
	struct vfu_request *resetting; /* the config write that waits for the gate before an FLR */
};

/* The process has forked, and this is the copy. */
static inline bool vfui_device_is_child(const struct vfu_device *dev)
{
	return !*dev->fork_mark;
}

/* Begins a call that says what goes wrong in dev->err, which is empty now; false in a child. Owner. */
static inline bool vfui_device_begin(struct vfu_device *dev)
{
	if (vfui_device_is_child(dev))
		return false;
	vfui_err_clear(&dev->err);
	return true;
}

/* Notes how a call ended that tells no more than its result. Owner. */
int vfui_device_ended(struct vfu_device *dev, int rc, const char *call);

/* Makes DMA, interrupts, regions and configuration space, which tell the device what happens to them. Undoes itself. */
int vfui_device_init_parts(struct vfu_device *dev);
/* Worth a word: the region is as the device said, and yet no client will map it. */
void vfui_device_tell_unmappable(struct vfu_device *dev, unsigned index);

/* Connects the device with its only server (-EBUSY), or, with NULL, parts them. */
int vfui_device_set_server(struct vfu_device *dev, const struct vfui_device_server *server);

/* Who the client is, from now on; NULL: there is none. Owner. */
void vfui_device_set_peer(struct vfu_device *dev, const struct vfu_peer *peer);
/*
 * Asks the device whether it takes a client: 0 or negative errno, and then why in reason. Owner.
 */
int vfui_device_accept(struct vfu_device *dev, const struct vfu_peer *peer, char *reason,
		       size_t size);

/*
 * Asks the device before a change: 0 or negative errno at once; or VFU_LATER, and then runs on the
 * owner from vfui_device_gate_run. No gate is open when this is called. Owner.
 */
int vfui_device_ask(struct vfu_device *dev, enum vfu_gate what, void (*then)(void *ctx, int status),
		    void *ctx);
/* Runs what waits for the gate, if the device has decided. Owner. */
void vfui_device_gate_run(struct vfu_device *dev);
/* Ends an open gate with -ECANCELED, whatever the device says later. Owner. */
void vfui_device_gate_cancel(struct vfu_device *dev);

/* Does what eventfds ask for that the client has signalled: a bounded number, never sleeps. Owner. */
void vfui_device_take_events(struct vfu_device *dev);
/* The client is gone: no eventfds of its are left, of interrupts or regions. Owner. */
void vfui_device_drop_eventfds(struct vfu_device *dev);

/* Whether the message is lawful in the device's state of migration: 0 or -EINVAL, which *err explains. */
int vfui_device_check_state(const struct vfu_device *dev, const struct vfui_message *info,
			    struct vfu_err *err);

/* What RESET and FLR do, the gate aside: the device's hook, then configuration space, interrupts and state. */
int vfui_device_reset(struct vfu_device *dev);
/* The same for a request: what that returns, VFU_LATER if its answer must wait for messages. -ENOMEM: nothing was reset. */
int vfui_device_reset_for(struct vfu_device *dev, struct vfu_request *req);
/* The same for a write to configuration space, with the gate before it; ctx: the device. */
int vfui_device_function_reset(void *ctx, struct vfu_request *req);
/* Answers later, which was deferred, with 0 when wait is over. Consumes both. */
void vfui_device_answer_after(struct vfu_device *dev, struct vfui_dma_wait *wait,
			      struct vfu_request *later);

#endif
