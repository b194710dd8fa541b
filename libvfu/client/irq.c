/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * irq.c - interrupts: eventfds, masks, loopback.
 */
#include <errno.h>

#include "client/call.h"
#include "client/link.h"
#include "client/master.h"
#include "client/refusal.h"
#include "vfu-calls.h"
#include "wire-irq.h"

static int set_irqs(struct vfui_conn *conn, uint32_t flags, unsigned index, unsigned start,
		    unsigned count, const int *fds, struct vfu_err *err)
{
	struct vfu_wire_set_irqs_request in = {.argsz = sizeof(in),
					       .flags = flags,
					       .index = index,
					       .start = start,
					       .count = count};
	struct vfui_call call = vfui_client_new_call(err);

	if (fds) {
		call.fds = fds;
		call.nfds = count;
	}
	return vfui_call_set_irqs(conn, &call, &in);
}

/* How many from the first on go into one message: all with a descriptor, or all without (E32). */
static unsigned run_length(const int *fds, unsigned count, unsigned most)
{
	unsigned n = 1;

	if (fds[0] < 0)
		most = count;
	while (n < count && n < most && (fds[n] < 0) == (fds[0] < 0))
		n++;
	return n;
}

/* INTx is a line, and what takes eventfds away sends nothing. */
static bool needs_master(unsigned index, unsigned count, const int *fds)
{
	bool any = false;

	for (unsigned i = 0; i < count && !any; i++)
		any = fds[i] >= 0;
	return any && (index == VFU_IRQ_MSI || index == VFU_IRQ_MSIX);
}

/* Gives each vector its eventfd for an action. */
static int give(struct vfu_client *cl, uint32_t action, unsigned index, unsigned start,
		unsigned count, const int *fds)
{
	uint32_t flags = VFU_WIRE_IRQ_SET_DATA_EVENTFD | action;
	unsigned kind = action == VFU_WIRE_IRQ_SET_ACTION_TRIGGER ? VFUI_RECALL_TRIGGER
			: action == VFU_WIRE_IRQ_SET_ACTION_MASK  ? VFUI_RECALL_MASK
								  : VFUI_RECALL_UNMASK;
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);
	unsigned most, n;

	if (!conn)
		return ret;
	if (action == VFU_WIRE_IRQ_SET_ACTION_TRIGGER && needs_master(index, count, fds))
		ret = vfui_client_use_master(cl, conn, &err);
	most = vfui_conn_max_fds(conn);
	for (unsigned i = 0; i < count && !ret; i += n) {
		n = run_length(fds + i, count - i, most);
		if (fds[i] >= 0 && !most)
			ret = vfui_err_set(&err, -EMSGSIZE, "set_irqs.fds", 0,
					   "the server takes no descriptors");
		else
			ret = set_irqs(conn, flags, index, start + i, n,
				       fds[i] >= 0 ? fds + i : NULL, &err);
		if (!ret)
			ret = vfui_recall_eventfds(cl, kind, index, start + i, n, fds + i);
	}
	if (ret == -EINVAL)
		vfui_refusal_of_irqs(cl, index, start, count,
				     action != VFU_WIRE_IRQ_SET_ACTION_TRIGGER, &err);
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_irq_set_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				unsigned count, const int *fds)
{
	return give(cl, VFU_WIRE_IRQ_SET_ACTION_TRIGGER, index, start, count, fds);
}

int vfu_client_irq_set_mask_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				     unsigned count, const int *fds)
{
	return give(cl, VFU_WIRE_IRQ_SET_ACTION_MASK, index, start, count, fds);
}

int vfu_client_irq_set_unmask_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				       unsigned count, const int *fds)
{
	return give(cl, VFU_WIRE_IRQ_SET_ACTION_UNMASK, index, start, count, fds);
}

/* An action without data. No vectors would mean something else on the wire: disable the index. */
static int act(struct vfu_client *cl, uint32_t action, unsigned index, unsigned start,
	       unsigned count)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	if (count)
		ret = set_irqs(conn, VFU_WIRE_IRQ_SET_DATA_NONE | action, index, start, count, NULL,
			       &err);
	else
		ret = vfui_err_set(&err, -EINVAL, "set_irqs.count", 16, "no vectors");
	if (!ret && action != VFU_WIRE_IRQ_SET_ACTION_TRIGGER)
		vfui_recall_mask(cl, index, start, count, NULL,
				 action == VFU_WIRE_IRQ_SET_ACTION_MASK);
	if (ret == -EINVAL)
		vfui_refusal_of_irqs(cl, index, start, count,
				     action != VFU_WIRE_IRQ_SET_ACTION_TRIGGER, &err);
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_irq_disable(struct vfu_client *cl, unsigned index)
{
	uint32_t flags = VFU_WIRE_IRQ_SET_DATA_NONE | VFU_WIRE_IRQ_SET_ACTION_TRIGGER;
	struct vfu_err err;
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	ret = set_irqs(conn, flags, index, 0, 0, NULL, &err);
	if (!ret)
		vfui_recall_disable(cl, index);
	return vfui_client_end(cl, ret, &err);
}

/* For a server that may not know bools (E71): each run of vectors with a request without data. */
static int do_runs(struct vfui_conn *conn, const struct vfu_wire_set_irqs_request *in,
		   uint32_t what, const uint8_t *which, struct vfu_err *err)
{
	unsigned n;
	int ret = 0;

	for (unsigned i = 0; i < in->count && !ret; i += n) {
		for (n = 1; i + n < in->count && !which[i + n] == !which[i];)
			n++;
		if (which[i])
			ret = set_irqs(conn, VFU_WIRE_IRQ_SET_DATA_NONE | what, in->index,
				       in->start + i, n, NULL, err);
	}
	return ret;
}

int vfu_client_irq_do(struct vfu_client *cl, unsigned index, unsigned what, unsigned start,
		      unsigned count, const uint8_t *which)
{
	struct vfu_wire_set_irqs_request in = {.argsz = (uint32_t)sizeof(in) + count,
					       .flags = VFU_WIRE_IRQ_SET_DATA_BOOL | what,
					       .index = index,
					       .start = start,
					       .count = count};
	struct vfu_err err;
	struct vfui_call call = vfui_client_new_call(&err);
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	call.tail = which;
	call.tail_len = count;
	if (what != VFU_IRQ_DO_MASK && what != VFU_IRQ_DO_UNMASK && what != VFU_IRQ_DO_TRIGGER)
		ret = vfui_err_set(&err, -EINVAL, "set_irqs.flags", 4, "no action 0x%x", what);
	else if (!count)
		ret = vfui_err_set(&err, -EINVAL, "set_irqs.count", 16, "no vectors");
	else if (vfui_conn_policy(conn)->sent_commands == VFUI_SENT_COMMANDS_BASIC)
		ret = do_runs(conn, &in, what, which, &err);
	else
		ret = vfui_call_set_irqs(conn, &call, &in);
	if (!ret && what != VFU_IRQ_DO_TRIGGER)
		vfui_recall_mask(cl, index, start, count, which, what == VFU_IRQ_DO_MASK);
	if (ret == -EINVAL)
		vfui_refusal_of_irqs(cl, index, start, count, what != VFU_IRQ_DO_TRIGGER, &err);
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_irq_mask(struct vfu_client *cl, unsigned index, unsigned start, unsigned count)
{
	return act(cl, VFU_WIRE_IRQ_SET_ACTION_MASK, index, start, count);
}

int vfu_client_irq_unmask(struct vfu_client *cl, unsigned index, unsigned start, unsigned count)
{
	return act(cl, VFU_WIRE_IRQ_SET_ACTION_UNMASK, index, start, count);
}

int vfu_client_irq_trigger(struct vfu_client *cl, unsigned index, unsigned start, unsigned count)
{
	return act(cl, VFU_WIRE_IRQ_SET_ACTION_TRIGGER, index, start, count);
}
