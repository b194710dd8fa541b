/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * irq.h - the five interrupt indices: eventfds, masks, what is pending, the INTx line.
 *
 * One state machine for all: a vector fires when it is pending, has an eventfd, is not masked and its
 * index is not held. Firing clears pending (message interrupts) or masks the vector (INTx, a level).
 */
#ifndef VFUI_IRQ_H
#define VFUI_IRQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vfu.h"
#include "wire-irq.h"

struct vfui_events;
struct vfui_policy;
struct vfu_wire_set_irqs_request;

/* What a vector does when the client signals an eventfd that it has given for that (SET_IRQS, DATA_EVENTFD). */
enum vfui_follow { VFUI_FOLLOW_MASK, VFUI_FOLLOW_UNMASK, VFUI_FOLLOWS };

struct vfui_vector {
	int fd; /* -1: none */
	int follow[VFUI_FOLLOWS];
	uint8_t masked; /* VFUI_MASKED_* */
	bool pending;
	bool told; /* that it waits for bus mastering */
};

/* Who masked a vector. */
enum {
	VFUI_MASKED_SET_IRQS = 1, /* the client, or a level that fired */
	VFUI_MASKED_TABLE = 2     /* its entry of the MSI-X table, E66, or its bit in MSI */
};

/* Why configuration space keeps an index from firing. */
enum {
	VFUI_HELD_MASKED = 1,   /* DisINTx, the function mask of MSI-X */
	VFUI_HELD_NO_MASTER = 2 /* E63 */
};

struct vfui_irq {
	pthread_mutex_t lock; /* innermost of all locks */
	struct vfui_vector *vectors;
	uint32_t count, flags; /* VFU_IRQ_* */
	unsigned held;         /* VFUI_HELD_* */
	bool is_deserted;      /* there is no client: messages are lost */
};

struct vfui_irqs {
	struct vfui_irq index[VFU_IRQS];
	struct vfui_events *events;
};

/* ERR and REQ have one vector each, the others none. events: where eventfds of the client are watched. */
int vfui_irqs_init(struct vfui_irqs *irqs, struct vfui_events *events);
void vfui_irqs_fini(struct vfui_irqs *irqs);
/* The same after fork(). */
void vfui_irqs_abandon(struct vfui_irqs *irqs);
/* How many vectors an index has; those that go are disarmed. Owner. */
int vfui_irqs_set_count(struct vfui_irqs *irqs, unsigned index, uint32_t count);
/* For GET_IRQ_INFO. -EINVAL: no such index. */
int vfui_irqs_info(struct vfui_irqs *irqs, unsigned index, uint32_t *flags, uint32_t *count);

/*
 * SET_IRQS, its payload already checked by itself (vfui_check_set_irqs_request). bools: count bytes when
 * DATA_BOOL. Descriptors that are kept become -1 in fds, the others stay the caller's. Owner.
 */
int vfui_irqs_set(struct vfui_irqs *irqs, const struct vfu_wire_set_irqs_request *in,
		  const uint8_t *bools, int *fds, unsigned nfds, const struct vfui_policy *policy,
		  struct vfu_err *err);

/* How many eventfds are kept, but for those that such a SET_IRQS would replace (NULL: none). Owner. */
unsigned vfui_irqs_eventfds(const struct vfui_irqs *irqs,
			    const struct vfu_wire_set_irqs_request *in);
/* The client has signalled one that masks or unmasks: key, as vfui_events_take has it. Owner. */
void vfui_irqs_signalled(struct vfui_irqs *irqs, uint64_t key);

/* Once for each vector and client: raised, but nothing fires before bus mastering is on. */
#define VFUI_IRQ_WAITS 1

/* The bodies of vfu_irq_raise, but for VFUI_IRQ_WAITS, and vfu_irq_lower. Any thread. */
int vfui_irqs_raise(struct vfui_irqs *irqs, unsigned index, unsigned vector);
int vfui_irqs_lower(struct vfui_irqs *irqs);

/* Configuration space keeps an index from firing (VFUI_HELD_*), or lets it fire what is pending (0). Owner. */
void vfui_irqs_hold(struct vfui_irqs *irqs, unsigned index, unsigned why);
/* The MSI-X table masks a vector, or no longer; vectors that are not there are not minded. Owner. */
void vfui_irqs_mask(struct vfui_irqs *irqs, unsigned index, uint32_t vector, bool on);
/* The INTx line, as Status bit 3 shows it. Any thread. */
bool vfui_irqs_line(struct vfui_irqs *irqs);
/* Bits of pending vectors 8 * byte .. 8 * byte + 7, as in a PBA. Any thread. */
uint8_t vfui_irqs_pending(struct vfui_irqs *irqs, unsigned index, uint32_t byte);

/* Device reset: line down, nothing pending; eventfds and the masks of SET_IRQS are the client's and stay. Owner. */
void vfui_irqs_reset(struct vfui_irqs *irqs);
/*
 * The client is gone: no eventfds, no masks of SET_IRQS, and until the next one has come messages are lost, those that
 * were pending too, as of a device that VFIO closes. The line is a level, the device's, and stays. Owner.
 */
void vfui_irqs_disconnect(struct vfui_irqs *irqs);
void vfui_irqs_connect(struct vfui_irqs *irqs);

#endif
