/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * irq.c - interrupts: who is armed, masked, pending, and what SET_IRQS does about it.
 *
 * A vector fires when nothing of the four keeps it:
 *
 *	 the device               the client                      configuration space
 *	 raise                    SET_IRQS: eventfd    MASK,      DisINTx, function mask, bus master
 *	   |                         |                 table        |
 *	   |                         |                  |            |
 *	 pending --- and ------ fd >= 0 --- and --- not masked --- not held ---> 1 to the eventfd
 *	   |                                                                        |
 *	   +<-- messages (MSI, MSI-X, ERR, REQ): cleared by firing ----------------+
 *	        INTx, a level: stays until lowered; firing masks the vector, UNMASK fires it again
 *
 * The client may also give eventfds that mask and unmask when *it* signals them (irqfd, KVM's resampling): they
 * are watched with what else the server waits for (events.c), and do what the message without data does.
 *
 * A message interrupt that lacks only its eventfd is refused (-ENOENT), not kept. The client's TRIGGER,
 * a test of its wiring, asks for no more than the eventfd and the mask of SET_IRQS.
 *
 * Whoever changes one of the four asks deliver() to look: raise and lower on any thread, all else on the owner.
 * All of it stands under the index's lock, the innermost of all. The signal itself, too, where it can
 * not sleep (base/eventfd.c): then a vector that was masked or disarmed is silent from that answer
 * on, whichever thread raises. Where it can sleep, deliver() only takes a copy of the descriptor,
 * and finish() signals that with no lock held: the client can stop that one thread, but no other.
 */
#include "device/irq.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "base/err.h"
#include "base/eventfd.h"
#include "base/os.h"
#include "device/events.h"
#include "policy.h"
#include "wire-irq.h"

/* E36. Message interrupts lack NORESIZE: a client may then add vectors one by one. */
static const struct {
	uint32_t flags, count;
} defaults[VFU_IRQS] = {
	[VFU_IRQ_INTX] = {VFU_IRQ_EVENTFD | VFU_IRQ_MASKABLE | VFU_IRQ_AUTOMASKED, 0},
	[VFU_IRQ_MSI] = {VFU_IRQ_EVENTFD, 0},
	[VFU_IRQ_MSIX] = {VFU_IRQ_EVENTFD, 0},
	[VFU_IRQ_ERR] = {VFU_IRQ_EVENTFD, 1},
	[VFU_IRQ_REQ] = {VFU_IRQ_EVENTFD, 1},
};

static bool is_level(const struct vfui_irq *irq)
{
	return irq->flags & VFU_IRQ_AUTOMASKED;
}

/* What is left to do after the lock: nothing, a signal to a copy of an eventfd, or to report an error. */
#define DONE (-1)

/* Lock held. */
static int signal_fd(int fd, int *left)
{
	int copy;

	if (!vfui_eventfd_signal(fd))
		return 0;
	copy = vfui_os_dup(fd);
	if (copy < 0)
		return copy;
	*left = copy;
	return 0;
}

/* No lock held. */
static void finish(int left)
{
	if (left == DONE)
		return;
	vfui_eventfd_signal_slowly(left);
	vfui_os_close(left);
}

/* Fires what can fire. Lock held; finish(*left) when it is not. A vector that fails stays pending. */
static int deliver(const struct vfui_irq *irq, struct vfui_vector *vector, int *left)
{
	int rc;

	if (!vector->pending || vector->masked || irq->held || vector->fd < 0)
		return 0;
	rc = signal_fd(vector->fd, left);
	if (rc)
		return rc;
	if (is_level(irq))
		vector->masked |= VFUI_MASKED_SET_IRQS;
	else
		vector->pending = false;
	return 0;
}

/* All that waited. Owner: nobody else changes how many there are. */
static void deliver_all(struct vfui_irq *irq)
{
	for (uint32_t i = 0; i < irq->count; i++) {
		int left = DONE;

		vfui_os_lock(&irq->lock);
		deliver(irq, &irq->vectors[i], &left);
		vfui_os_unlock(&irq->lock);
		finish(left);
	}
}

int vfui_irqs_init(struct vfui_irqs *irqs, struct vfui_events *events)
{
	int rc = 0;

	memset(irqs, 0, sizeof(*irqs));
	irqs->events = events;
	for (unsigned i = 0; i < VFU_IRQS; i++) {
		rc = vfui_os_mutex_init(&irqs->index[i].lock);
		if (rc) {
			while (i--)
				vfui_os_mutex_fini(&irqs->index[i].lock);
			return rc;
		}
		irqs->index[i].flags = defaults[i].flags;
	}
	for (unsigned i = 0; i < VFU_IRQS && !rc; i++)
		rc = vfui_irqs_set_count(irqs, i, defaults[i].count);
	if (rc)
		vfui_irqs_fini(irqs);
	return rc;
}

void vfui_irqs_fini(struct vfui_irqs *irqs)
{
	for (unsigned i = 0; i < VFU_IRQS; i++) {
		vfui_irqs_set_count(irqs, i, 0);
		vfui_os_mutex_fini(&irqs->index[i].lock);
	}
}

void vfui_irqs_abandon(struct vfui_irqs *irqs)
{
	for (unsigned i = 0; i < VFU_IRQS; i++)
		if (vfui_os_is_unlocked(&irqs->index[i].lock))
			vfui_irqs_set_count(irqs, i, 0);
}

/* ---- vectors and their descriptors ------------------------------------------------------------- */

static void unfollow(struct vfui_irqs *irqs, struct vfui_vector *vector, enum vfui_follow kind)
{
	vfui_events_remove(irqs->events, vector->follow[kind]);
	vfui_os_close(vector->follow[kind]);
	vector->follow[kind] = -1;
}

/* Lock held. */
static void disarm(struct vfui_irqs *irqs, struct vfui_vector *vector)
{
	vfui_os_close(vector->fd);
	vector->fd = -1;
	for (unsigned kind = 0; kind < VFUI_FOLLOWS; kind++)
		unfollow(irqs, vector, kind);
}

int vfui_irqs_set_count(struct vfui_irqs *irqs, unsigned index, uint32_t count)
{
	struct vfui_irq *irq = &irqs->index[index];
	struct vfui_vector *old, *vectors = NULL;
	uint32_t kept;

	if (count) {
		vectors = vfui_os_calloc(count, sizeof(*vectors));
		if (!vectors)
			return -ENOMEM;
	}
	vfui_os_lock(&irq->lock);
	old = irq->vectors;
	kept = (uint32_t)vfui_min(count, irq->count);
	for (uint32_t i = 0; i < count; i++)
		vectors[i] = i < kept ? old[i] : (struct vfui_vector){.fd = -1, .follow = {-1, -1}};
	for (uint32_t i = kept; i < irq->count; i++)
		disarm(irqs, &old[i]);
	irq->vectors = vectors;
	irq->count = count;
	vfui_os_unlock(&irq->lock);
	vfui_os_free(old);
	return 0;
}

int vfui_irqs_info(struct vfui_irqs *irqs, unsigned index, uint32_t *flags, uint32_t *count)
{
	if (index >= VFU_IRQS)
		return -EINVAL;
	*flags = irqs->index[index].flags;
	*count = irqs->index[index].count;
	return 0;
}

/* ---- SET_IRQS ---------------------------------------------------------------------------------- */

/*
 * What one action does to one vector. Lock held; left is for finish(). fd: what it is given, which an
 * action that returns 0 has taken.
 */
typedef int act_fn(const struct vfui_irq *irq, struct vfui_vector *vector, int fd, int *left);

static int act_mask(const struct vfui_irq *irq, struct vfui_vector *vector, int fd, int *left)
{
	(void)irq, (void)fd, (void)left;
	vector->masked |= VFUI_MASKED_SET_IRQS;
	return 0;
}

static int act_unmask(const struct vfui_irq *irq, struct vfui_vector *vector, int fd, int *left)
{
	(void)fd;
	vector->masked &= (uint8_t)~VFUI_MASKED_SET_IRQS;
	return deliver(irq, vector, left);
}

/* Loopback: the client tests its own wiring; no line, configuration space or table has a say. */
static int act_trigger(const struct vfui_irq *irq, struct vfui_vector *vector, int fd, int *left)
{
	(void)irq, (void)fd;
	if (vector->fd < 0 || vector->masked & VFUI_MASKED_SET_IRQS)
		return 0;
	return signal_fd(vector->fd, left);
}

static int act_arm(const struct vfui_irq *irq, struct vfui_vector *vector, int fd, int *left)
{
	vfui_os_close(vector->fd);
	vector->fd = fd;
	deliver(irq, vector, left);
	return 0;
}

/* The flags that tell actions apart; what else the protocol may have is nothing to us. */
static const uint32_t telling = VFU_WIRE_IRQ_SET_DATA_NONE | VFU_WIRE_IRQ_SET_DATA_BOOL |
				VFU_WIRE_IRQ_SET_DATA_EVENTFD | VFU_WIRE_IRQ_SET_ACTION_MASK |
				VFU_WIRE_IRQ_SET_ACTION_UNMASK | VFU_WIRE_IRQ_SET_ACTION_TRIGGER;

#define ON(data, action) (VFU_WIRE_IRQ_SET_DATA_##data | VFU_WIRE_IRQ_SET_ACTION_##action)
enum { AT_ONCE = VFUI_FOLLOWS }; /* beside VFUI_FOLLOW_*: when it is done */

/*
 * Which flags lead to what. needs: VFU_IRQ_*. To unmask at once is harmless, and clients ask it of any index (E36); an
 * eventfd that could never unmask anything would be kept for nothing.
 */
static const struct action {
	uint32_t flags, needs;
	act_fn *act;
	unsigned when;
} actions[] = {
	{ON(NONE, MASK), VFU_IRQ_MASKABLE, act_mask, AT_ONCE},
	{ON(BOOL, MASK), VFU_IRQ_MASKABLE, act_mask, AT_ONCE},
	{ON(EVENTFD, MASK), VFU_IRQ_MASKABLE, act_mask, VFUI_FOLLOW_MASK},
	{ON(NONE, UNMASK), 0, act_unmask, AT_ONCE},
	{ON(BOOL, UNMASK), 0, act_unmask, AT_ONCE},
	{ON(EVENTFD, UNMASK), VFU_IRQ_MASKABLE, act_unmask, VFUI_FOLLOW_UNMASK},
	{ON(NONE, TRIGGER), 0, act_trigger, AT_ONCE},
	{ON(BOOL, TRIGGER), 0, act_trigger, AT_ONCE},
	{ON(EVENTFD, TRIGGER), 0, act_arm, AT_ONCE},
};

static const struct action *find_action(uint32_t flags)
{
	for (size_t i = 0; i < VFUI_ARRAY_SIZE(actions); i++) {
		if (actions[i].flags == (flags & telling))
			return &actions[i];
	}
	return NULL;
}

/* All or none: an index that is half armed helps nobody. */
static int check_fds(const int *fds, unsigned nfds, struct vfu_err *err)
{
	for (unsigned i = 0; i < nfds; i++) {
		if (!vfui_is_eventfd(fds[i]))
			return vfui_err_set(err, -EINVAL, "set_irqs.fds", 0,
					    "descriptor %u is not an eventfd", i);
	}
	return 0;
}

static void disable(struct vfui_irqs *irqs, struct vfui_irq *irq)
{
	vfui_os_lock(&irq->lock);
	for (uint32_t i = 0; i < irq->count; i++) {
		struct vfui_vector *vector = &irq->vectors[i];

		disarm(irqs, vector);
		vector->masked &= (uint8_t)~VFUI_MASKED_SET_IRQS;
		/* A message interrupt of before is nothing to its next driver; the line is the device's. */
		vector->pending = vector->pending && is_level(irq);
	}
	vfui_os_unlock(&irq->lock);
}

static bool is_disable(const struct vfu_wire_set_irqs_request *in)
{
	return (in->flags & telling) == ON(NONE, TRIGGER) && !in->start && !in->count;
}

/* What the check of the message cannot know: what this device has. */
static int check_set(const struct vfui_irq *irq, const struct action *action,
		     const struct vfu_wire_set_irqs_request *in, const int *fds, unsigned nfds,
		     struct vfu_err *err)
{
	if (!action)
		return vfui_err_set(err, -ENOTSUP, "set_irqs.flags", 4,
				    "flags 0x%x: such data for such an action is not supported",
				    in->flags);
	if ((irq->flags & action->needs) != action->needs)
		return vfui_err_set(err, -EINVAL, "set_irqs.flags", 4, "index %u can not be masked",
				    in->index);
	if (!vfui_is_inside(in->start, in->count, irq->count))
		return vfui_err_set(err, -EINVAL, "set_irqs.count", 16,
				    "vectors %u + %u of index %u, which has %u", in->start,
				    in->count, in->index, irq->count);
	return check_fds(fds, nfds, err);
}

static int act_on(struct vfui_irq *irq, act_fn *act, uint32_t vector, int fd)
{
	int left = DONE, rc;

	vfui_os_lock(&irq->lock);
	rc = act(irq, &irq->vectors[vector], fd, &left);
	vfui_os_unlock(&irq->lock);
	finish(left);
	return rc;
}

/* The key of an eventfd that is watched: index, kind, vector. */
static uint64_t follow_key(unsigned index, enum vfui_follow kind, uint32_t vector)
{
	return (uint64_t)index << 48 | (uint64_t)kind << 32 | vector;
}

/* fd: what the vector follows from now on, taken with 0; -1: nothing. It may have been signalled before, as KVM's may. */
static int follow(struct vfui_irqs *irqs, unsigned index, enum vfui_follow kind, uint32_t number,
		  int fd)
{
	struct vfui_vector *vector = &irqs->index[index].vectors[number];
	int rc = 0;

	if (fd >= 0)
		rc = vfui_events_add(irqs->events, fd, follow_key(index, kind, number));
	if (rc)
		return rc;
	unfollow(irqs, vector, kind);
	vector->follow[kind] = fd;
	return 0;
}

void vfui_irqs_signalled(struct vfui_irqs *irqs, uint64_t key)
{
	static act_fn *const acts[] = {act_mask, act_unmask};
	unsigned index = (unsigned)(key >> 48), kind = (key >> 32) & 0xffff;
	struct vfui_irq *irq = &irqs->index[index];
	uint32_t vector = (uint32_t)key;

	/* What was done about another of the same look may have taken it away. */
	if (vector >= irq->count || irq->vectors[vector].follow[kind] < 0)
		return;
	vfui_eventfd_drain(irq->vectors[vector].follow[kind]);
	act_on(irq, acts[kind], vector, -1);
}

/* One vector's part of SET_IRQS. fd: its descriptor, which becomes -1 when it is taken; NULL: none. */
static int set_one(struct vfui_irqs *irqs, const struct action *action, unsigned index,
		   uint32_t vector, int *fd)
{
	int given = fd ? *fd : -1;
	int rc = action->when == AT_ONCE ? act_on(&irqs->index[index], action->act, vector, given)
					 : follow(irqs, index, action->when, vector, given);

	if (fd && !rc)
		*fd = -1;
	return rc;
}

int vfui_irqs_set(struct vfui_irqs *irqs, const struct vfu_wire_set_irqs_request *in,
		  const uint8_t *bools, int *fds, unsigned nfds, const struct vfui_policy *policy,
		  struct vfu_err *err)
{
	const struct action *action = find_action(in->flags);
	struct vfui_irq *irq;
	int rc;

	if (in->index >= VFU_IRQS)
		return vfui_err_set(err, -EINVAL, "set_irqs.index", 8, "no interrupt index %u",
				    in->index);
	irq = &irqs->index[in->index];
	if (is_disable(in) && !irq->count && policy->empty_irq_index == VFUI_EMPTY_IRQ_INDEX_REJECT)
		return vfui_err_set(err, -EINVAL, "set_irqs.index", 8, "index %u has no interrupts",
				    in->index);
	/* Those that come with other data nobody has asked for. */
	if (!(in->flags & VFU_WIRE_IRQ_SET_DATA_EVENTFD))
		nfds = 0;
	rc = check_set(irq, action, in, fds, nfds, err);
	if (rc)
		return rc;
	if (is_disable(in))
		disable(irqs, irq);
	for (uint32_t i = 0; i < in->count && !rc; i++) {
		if (in->flags & VFU_WIRE_IRQ_SET_DATA_BOOL && !bools[i])
			continue;
		rc = set_one(irqs, action, in->index, in->start + i, nfds ? &fds[i] : NULL);
	}
	if (rc)
		return vfui_err_set(err, rc, "set_irqs", 0,
				    "eventfds can not be signalled or watched: %s", strerror(-rc));
	return 0;
}

static bool has_eventfd(const struct vfui_vector *vector, unsigned when)
{
	return (when == AT_ONCE ? vector->fd : vector->follow[when]) >= 0;
}

unsigned vfui_irqs_eventfds(const struct vfui_irqs *irqs,
			    const struct vfu_wire_set_irqs_request *in)
{
	const struct action *action = in ? find_action(in->flags) : NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < VFU_IRQS; i++) {
		for (uint32_t number = 0; number < irqs->index[i].count; number++) {
			const struct vfui_vector *vector = &irqs->index[i].vectors[number];

			for (unsigned when = 0; when <= AT_ONCE; when++)
				n += has_eventfd(vector, when);
			if (action && i == in->index && number >= in->start &&
			    number - in->start < in->count)
				n -= has_eventfd(vector, action->when);
		}
	}
	return n;
}

/* ---- the device's side ------------------------------------------------------------------------- */

/* Everybody listens and nobody hears: worth a word, once. Lock held. */
static bool is_first_wait(const struct vfui_irq *irq, struct vfui_vector *vector)
{
	bool waits = vector->pending && vector->fd >= 0 && !vector->masked &&
		     irq->held & VFUI_HELD_NO_MASTER;

	if (!waits || vector->told)
		return false;
	vector->told = true;
	return true;
}

int vfui_irqs_raise(struct vfui_irqs *irqs, unsigned index, unsigned vector)
{
	int rc = -EINVAL, left = DONE;
	struct vfui_irq *irq;

	if (index >= VFU_IRQS)
		return -EINVAL;
	irq = &irqs->index[index];
	vfui_os_lock(&irq->lock);
	if (vector < irq->count) {
		struct vfui_vector *v = &irq->vectors[vector];

		rc = v->fd >= 0 || v->masked || irq->held ? 0 : -ENOENT;
		if (irq->is_deserted)
			rc = -ENOENT;
		/* What waited stays, whoever listens now. */
		v->pending |= !rc || is_level(irq);
		if (!rc)
			rc = deliver(irq, v, &left);
		if (!rc && is_first_wait(irq, v))
			rc = VFUI_IRQ_WAITS;
	}
	vfui_os_unlock(&irq->lock);
	finish(left);
	return rc;
}

int vfui_irqs_lower(struct vfui_irqs *irqs)
{
	struct vfui_irq *irq = &irqs->index[VFU_IRQ_INTX];
	int rc = -EINVAL;

	vfui_os_lock(&irq->lock);
	if (irq->count) {
		irq->vectors[0].pending = false;
		rc = 0;
	}
	vfui_os_unlock(&irq->lock);
	return rc;
}

void vfui_irqs_hold(struct vfui_irqs *irqs, unsigned index, unsigned why)
{
	struct vfui_irq *irq = &irqs->index[index];
	bool was_held;

	vfui_os_lock(&irq->lock);
	was_held = irq->held;
	irq->held = why;
	vfui_os_unlock(&irq->lock);
	if (was_held && !why)
		deliver_all(irq);
}

void vfui_irqs_mask(struct vfui_irqs *irqs, unsigned index, uint32_t vector, bool on)
{
	struct vfui_irq *irq = &irqs->index[index];
	int left = DONE;

	vfui_os_lock(&irq->lock);
	if (vector < irq->count && on) {
		irq->vectors[vector].masked |= VFUI_MASKED_TABLE;
	} else if (vector < irq->count) {
		irq->vectors[vector].masked &= (uint8_t)~VFUI_MASKED_TABLE;
		deliver(irq, &irq->vectors[vector], &left);
	}
	vfui_os_unlock(&irq->lock);
	finish(left);
}

bool vfui_irqs_line(struct vfui_irqs *irqs)
{
	return vfui_irqs_pending(irqs, VFU_IRQ_INTX, 0) & 1;
}

uint8_t vfui_irqs_pending(struct vfui_irqs *irqs, unsigned index, uint32_t byte)
{
	struct vfui_irq *irq = &irqs->index[index];
	uint64_t first = (uint64_t)byte * 8;
	uint8_t bits = 0;

	vfui_os_lock(&irq->lock);
	for (unsigned i = 0; i < 8 && first + i < irq->count; i++)
		bits |= (uint8_t)(irq->vectors[first + i].pending << i);
	vfui_os_unlock(&irq->lock);
	return bits;
}

void vfui_irqs_reset(struct vfui_irqs *irqs)
{
	for (unsigned i = 0; i < VFU_IRQS; i++) {
		struct vfui_irq *irq = &irqs->index[i];

		vfui_os_lock(&irq->lock);
		for (uint32_t v = 0; v < irq->count; v++)
			irq->vectors[v].pending = false;
		vfui_os_unlock(&irq->lock);
	}
}

void vfui_irqs_disconnect(struct vfui_irqs *irqs)
{
	for (unsigned i = 0; i < VFU_IRQS; i++) {
		struct vfui_irq *irq = &irqs->index[i];

		vfui_os_lock(&irq->lock);
		irq->is_deserted = true;
		for (uint32_t v = 0; v < irq->count; v++) {
			disarm(irqs, &irq->vectors[v]);
			irq->vectors[v].masked &= (uint8_t)~VFUI_MASKED_SET_IRQS;
			irq->vectors[v].pending &= is_level(irq);
			irq->vectors[v].told = false;
		}
		vfui_os_unlock(&irq->lock);
	}
}

void vfui_irqs_connect(struct vfui_irqs *irqs)
{
	for (unsigned i = 0; i < VFU_IRQS; i++) {
		vfui_os_lock(&irqs->index[i].lock);
		irqs->index[i].is_deserted = false;
		vfui_os_unlock(&irqs->index[i].lock);
	}
}
