/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * replay.c - what a new connection is asked and told, one request after another.
 *
 *	                 first connection         later ones
 *	VERSION          (connect.c)              nothing may be less than it was
 *	info, regions,   remembered               must be the same: else it is another device, and
 *	interrupts                                what the user knows of the first is wrong
 *	Command                                   was bus mastering on and is off? The device was reset:
 *	                                          its state is lost. It is on: it was kept. It is on again.
 *	memory                                    each range of the table
 *	interrupts                                eventfds, of all three kinds, then masks
 *	the end          the user's first call    the user's function, then all calls
 *
 * A step's `next` sends one request (1), or has none left (0); its `got` looks at the answer, and the next one is
 * sent from there, on whichever thread reads. One at a time but for memory, of which there may be thousands of ranges.
 * What the server refuses of what it had taken before ends the attempts (different); what fails otherwise ends this
 * one. All of it has to be done in a time (vfui_link_begin_replay).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "base/fds.h"
#include "base/os.h"
#include "client/dma-table.h"
#include "client/replay.h"
#include "transport/negotiate.h"
#include "wire-device.h"
#include "wire-irq.h"
#include "wire-region.h"

/* Maps on their way at once. */
#define WINDOW 64

/* Sends a request with a callback. 1, or why not. */
static int ask(struct vfu_client *cl, unsigned command, const void *in, size_t len, const int *fds,
	       unsigned nfds);

/* The device, or what was agreed with it, is not what it was: there is no use in trying again. */
static int different(struct vfu_client *cl, struct vfu_err *err, const char *what,
		     unsigned long long was, unsigned long long is)
{
	vfui_os_lock(&cl->lock);
	cl->link->is_different = true;
	vfui_os_unlock(&cl->lock);
	return vfui_err_set(err, -ESTALE, NULL, 0,
			    "connected again, but %s is %llu and was %llu: not the same device",
			    what, is, was);
}

/* The server does not take again what it had. */
static int refused(struct vfu_client *cl, struct vfu_err *err, const char *what,
		   unsigned long long which, int status)
{
	if (vfui_client_is_unanswered(status))
		return vfui_err_set(err, status, NULL, 0, "connecting again: no answer");
	vfui_os_lock(&cl->lock);
	cl->link->is_different = true;
	vfui_os_unlock(&cl->lock);
	return vfui_err_set(err, -ESTALE, NULL, 0, "connected again, but %s %llu is refused: %s",
			    what, which, strerror(-status));
}

static void copy_reply(void *to, size_t size, const struct vfui_msg *reply)
{
	memset(to, 0, size);
	if (reply)
		memcpy(to, reply->payload, vfui_min(size, reply->len));
}

/* ---- VERSION ---- */

static int check_caps(struct vfu_client *cl, const struct vfui_caps *now, struct vfu_err *err)
{
	for (unsigned key = 0; key < VFUI_CAPS; key++) {
		uint64_t was = cl->caps.value[key], is = now->value[key];
		bool is_less =
			vfui_caps_table[key].as == VFUI_AS_LOWEST_BIT ? (was & ~is) != 0 : is < was;

		if (is_less && key != VFUI_KEY_TWIN_SOCKET_FD_INDEX)
			return different(cl, err, vfui_caps_table[key].name, was, is);
	}
	return 0;
}

/* Has the step look at the answer, and goes on. */
static void answered(void *user, int status, struct vfui_msg *reply);

static int next_version(struct vfu_client *cl)
{
	struct vfui_link_replay *r = &cl->link->replay;
	int ret;

	if (r->at++)
		return 0;
	ret = vfui_negotiate_offer(r->conn, r->timeout_ms, answered, cl);
	return ret ? ret : 1;
}

static int got_version(struct vfu_client *cl, int status, struct vfui_msg *reply,
		       struct vfu_err *err)
{
	struct vfui_caps now;
	uint16_t minor;
	int ret = status ? refused(cl, err, "VERSION", 0, status)
			 : vfui_negotiate_accept(cl->link->replay.conn, reply, &now, &minor, err);

	if (!ret && minor < cl->minor)
		ret = different(cl, err, "minor version", cl->minor, minor);
	if (!ret)
		ret = check_caps(cl, &now, err);
	if (!ret) {
		cl->caps = now;
		cl->minor = minor;
	}
	return ret;
}

/* ---- what the device is ---- */

static int next_info(struct vfu_client *cl)
{
	const struct vfu_wire_get_info_request in = {.argsz = sizeof(in)};

	if (cl->link->replay.at++)
		return 0;
	return ask(cl, VFU_WIRE_CMD_GET_INFO, &in, sizeof(in), NULL, 0);
}

static int got_info(struct vfu_client *cl, int status, struct vfui_msg *reply, struct vfu_err *err)
{
	struct vfu_wire_get_info_reply *was = &cl->link->device.info, is;

	if (status)
		return cl->link->replay.is_first ? status : refused(cl, err, "GET_INFO", 0, status);
	copy_reply(&is, sizeof(is), reply);
	if (cl->link->replay.is_first)
		*was = is;
	if (is.num_regions != was->num_regions)
		return different(cl, err, "the number of regions", was->num_regions,
				 is.num_regions);
	if (is.num_irqs != was->num_irqs)
		return different(cl, err, "the number of interrupts", was->num_irqs, is.num_irqs);
	return is.flags == was->flags
		       ? 0
		       : different(cl, err, "flags of the device", was->flags, is.flags);
}

static int next_region(struct vfu_client *cl)
{
	struct vfu_wire_get_region_info_request in = {
		.argsz = sizeof(struct vfu_wire_get_region_info_reply)};

	in.index = cl->link->replay.at++;
	if (in.index >= vfui_min(cl->link->device.info.num_regions, VFUI_LINK_REGIONS))
		return 0;
	return ask(cl, VFU_WIRE_CMD_GET_REGION_INFO, &in, sizeof(in), NULL, 0);
}

static int got_region(struct vfu_client *cl, int status, struct vfui_msg *reply,
		      struct vfu_err *err)
{
	unsigned i = cl->link->replay.at - 1;
	struct vfu_wire_get_region_info_reply is;
	char what[32];

	copy_reply(&is, sizeof(is), reply);
	if (cl->link->replay.is_first) {
		cl->link->device.regions[i].status = status;
		cl->link->device.regions[i].size = is.size;
		cl->link->device.regions[i].flags = is.flags;
	}
	if (status != cl->link->device.regions[i].status)
		return refused(cl, err, "GET_REGION_INFO of region", i, status ? status : -EEXIST);
	snprintf(what, sizeof(what), "the size of region %u", i);
	if (is.size != cl->link->device.regions[i].size)
		return different(cl, err, what, cl->link->device.regions[i].size, is.size);
	snprintf(what, sizeof(what), "the flags of region %u", i);
	if (is.flags != cl->link->device.regions[i].flags)
		return different(cl, err, what, cl->link->device.regions[i].flags, is.flags);
	return 0;
}

static int next_irq(struct vfu_client *cl)
{
	struct vfu_wire_get_irq_info_request in = {.argsz = sizeof(in)};

	in.index = cl->link->replay.at++;
	if (in.index >= vfui_min(cl->link->device.info.num_irqs, VFUI_LINK_IRQS))
		return 0;
	return ask(cl, VFU_WIRE_CMD_GET_IRQ_INFO, &in, sizeof(in), NULL, 0);
}

static int got_irq(struct vfu_client *cl, int status, struct vfui_msg *reply, struct vfu_err *err)
{
	unsigned i = cl->link->replay.at - 1;
	struct vfu_wire_get_irq_info_reply is;
	char what[40];

	copy_reply(&is, sizeof(is), reply);
	if (cl->link->replay.is_first) {
		cl->link->device.irqs[i].status = status;
		cl->link->device.irqs[i].count = is.count;
		cl->link->device.irqs[i].flags = is.flags;
	}
	if (status != cl->link->device.irqs[i].status)
		return refused(cl, err, "GET_IRQ_INFO of interrupt", i, status ? status : -EEXIST);
	snprintf(what, sizeof(what), "the vectors of interrupt %u", i);
	if (is.count != cl->link->device.irqs[i].count)
		return different(cl, err, what, cl->link->device.irqs[i].count, is.count);
	snprintf(what, sizeof(what), "the flags of interrupt %u", i);
	if (is.flags != cl->link->device.irqs[i].flags)
		return different(cl, err, what, cl->link->device.irqs[i].flags, is.flags);
	return 0;
}

/* ---- bus mastering, which tells of a reset ---- */

static bool had_master(struct vfu_client *cl)
{
	return atomic_load(&cl->is_master) &&
	       cl->link->device.info.flags & VFU_WIRE_DEVICE_INFO_PCI;
}

static int next_command(struct vfu_client *cl)
{
	const struct vfu_wire_region_read_request in = {PCI_COMMAND, VFU_REGION_CONFIG, 2};

	if (cl->link->replay.at++ || !had_master(cl))
		return 0;
	return ask(cl, VFU_WIRE_CMD_REGION_READ, &in, sizeof(in), NULL, 0);
}

/* A device that refuses has no such register, and nothing is known. */
static int got_command(struct vfu_client *cl, int status, struct vfui_msg *reply,
		       struct vfu_err *err)
{
	const size_t fixed = sizeof(struct vfu_wire_region_read_reply);
	struct vfui_link_replay *r = &cl->link->replay;

	(void)err;
	if (status == 0 && reply->len >= fixed + 2) {
		memcpy(r->command, reply->payload + fixed, 2);
		r->state = r->command[0] & PCI_COMMAND_MASTER ? VFU_DEVICE_STATE_KEPT
							      : VFU_DEVICE_STATE_LOST;
	}
	return 0;
}

static int next_master(struct vfu_client *cl)
{
	struct vfui_link_replay *r = &cl->link->replay;
	struct {
		struct vfu_wire_region_write_request head;
		uint8_t data[2];
	} in = {{PCI_COMMAND, VFU_REGION_CONFIG, 2},
		{(uint8_t)(r->command[0] | PCI_COMMAND_MASTER), r->command[1]}};

	if (r->at++ || r->state != VFU_DEVICE_STATE_LOST)
		return 0;
	return ask(cl, VFU_WIRE_CMD_REGION_WRITE, &in, sizeof(in.head) + sizeof(in.data), NULL, 0);
}

static int got_master(struct vfu_client *cl, int status, struct vfui_msg *reply,
		      struct vfu_err *err)
{
	(void)cl, (void)status, (void)reply, (void)err;
	return 0;
}

/* ---- memory ---- */

/* The next range of the table, held. NULL: there are no more. */
static struct vfui_client_range *hold_range(struct vfu_client *cl)
{
	struct vfui_link_replay *r = &cl->link->replay;
	struct vfui_client_range *range =
		r->is_past_last ? NULL : vfui_client_table_hold(cl, r->iova);

	if (range) {
		r->is_past_last = range->range.last == UINT64_MAX;
		r->iova = range->range.last + 1;
	}
	return range;
}

static void range_answered(void *user, int status, struct vfui_msg *reply);

static int send_range(struct vfu_client *cl, struct vfui_client_range *range)
{
	const struct iovec iov = {&range->map, sizeof(range->map)};
	struct vfui_link_replay *r = &cl->link->replay;
	const struct vfui_out out = {.command = VFU_WIRE_CMD_DMA_MAP,
				     .iov = &iov,
				     .niov = 1,
				     .fds = range->file ? &range->file->fd : NULL,
				     .nfds = range->file ? 1 : 0,
				     .timeout_ms = r->timeout_ms,
				     .done = range_answered,
				     .user = range};

	return vfui_conn_send(r->conn, &out);
}

/* Sends as many as may be on their way. */
static int next_range(struct vfu_client *cl)
{
	struct vfui_link_replay *r = &cl->link->replay;
	bool is_one = vfui_client_is_one_by_one(r->conn);
	struct vfui_client_range *range;
	int ret = 0;

	while (!ret && r->in_flight < (is_one ? 1 : WINDOW) && (range = hold_range(cl))) {
		ret = send_range(cl, range);
		if (!ret) {
			r->in_flight++;
			continue;
		}
		r->iova = range->range.first;
		r->is_past_last = false;
		vfui_client_table_release(range);
	}
	/* The limit of requests is the user's to choose, and may be 1. */
	if (ret && (ret != -ENOBUFS || !r->in_flight))
		return ret;
	return r->in_flight != 0;
}

static int got_range(struct vfu_client *cl, uint64_t iova, bool is_gone, int status,
		     struct vfu_err *err)
{
	if (status)
		return refused(cl, err, "the memory at", iova, status);
	/* Nobody could tell the device. */
	return is_gone ? vfui_err_set(err, -ENOTCONN, NULL, 0, "memory was unmapped meanwhile") : 0;
}

static void go_on(struct vfu_client *cl, int ret, struct vfu_err *err);

static void range_answered(void *user, int status, struct vfui_msg *reply)
{
	struct vfui_client_range *range = user;
	struct vfu_client *cl = range->cl;
	struct vfu_err err = {0};
	uint64_t iova = range->range.first;
	bool is_gone = vfui_client_table_release(range);

	(void)reply;
	cl->link->replay.in_flight--;
	/* Those that end with the connection have no part in it any more. */
	if (!cl->link->replay.has_failed)
		go_on(cl, got_range(cl, iova, is_gone, status, &err), &err);
}

/* ---- interrupts ---- */

/* A run of vectors that have an eventfd of this kind, or are masked. */
static bool is_wanted(const struct vfui_recall_vector *v, unsigned kind)
{
	return kind < VFUI_RECALL_KINDS ? v->fd[kind] >= 0 : v->is_masked;
}

/* The next run: its length, and copies of its descriptors. 0: there are no more of this index and kind. */
static int take_run(struct vfu_client *cl, unsigned index, unsigned kind, unsigned most,
		    unsigned *start, struct vfui_fds *fds)
{
	const struct vfui_recall *recall = &cl->link->recall;
	const struct vfui_recall_vector *v = recall->irqs[index].vector;
	unsigned i = *start, n = 0;
	int from[VFUI_FDS_MAX], ret = 0;

	while (i < recall->irqs[index].n && !is_wanted(&v[i], kind))
		i++;
	*start = i;
	while (n < most && i + n < recall->irqs[index].n && is_wanted(&v[i + n], kind)) {
		from[n] = kind < VFUI_RECALL_KINDS ? v[i + n].fd[kind] : -1;
		n++;
	}
	fds->n = 0;
	if (kind < VFUI_RECALL_KINDS)
		ret = vfui_fds_dup(fds, from, n);
	return ret ? ret : (int)n;
}

static int send_run(struct vfu_client *cl, unsigned index, unsigned kind, unsigned start,
		    unsigned n, const struct vfui_fds *fds)
{
	static const uint32_t action[] = {VFU_WIRE_IRQ_SET_ACTION_TRIGGER,
					  VFU_WIRE_IRQ_SET_ACTION_MASK,
					  VFU_WIRE_IRQ_SET_ACTION_UNMASK,
					  VFU_WIRE_IRQ_SET_ACTION_MASK};
	const struct vfu_wire_set_irqs_request in = {
		.argsz = sizeof(in),
		.flags = action[kind] |
			 (fds->n ? VFU_WIRE_IRQ_SET_DATA_EVENTFD : VFU_WIRE_IRQ_SET_DATA_NONE),
		.index = index,
		.start = start,
		.count = n};

	return ask(cl, VFU_WIRE_CMD_SET_IRQS, &in, sizeof(in), fds->fd, fds->n);
}

static int next_run(struct vfu_client *cl)
{
	struct vfui_link_replay *r = &cl->link->replay;
	unsigned fds_most = vfui_conn_max_fds(r->conn);

	for (; r->at < VFUI_RECALL_IRQS; r->at++, r->kind = 0) {
		for (; r->kind <= VFUI_RECALL_KINDS; r->kind++, r->vector = 0) {
			bool has_fds = r->kind < VFUI_RECALL_KINDS;
			unsigned most = has_fds ? fds_most : VFUI_FDS_MAX, start = r->vector;
			struct vfui_fds fds;
			int n, ret;

			vfui_os_lock(&cl->lock);
			n = take_run(cl, r->at, r->kind, most, &start, &fds);
			vfui_os_unlock(&cl->lock);
			if (n == 0)
				continue;
			ret = n < 0 ? n : send_run(cl, r->at, r->kind, start, (unsigned)n, &fds);
			vfui_fds_close(&fds);
			r->vector = start + (unsigned)(n > 0 ? n : 0);
			return ret;
		}
	}
	return 0;
}

static int got_run(struct vfu_client *cl, int status, struct vfui_msg *reply, struct vfu_err *err)
{
	(void)reply;
	return status ? refused(cl, err, "interrupt", cl->link->replay.at, status) : 0;
}

/* ---- one after another ---- */

static const struct {
	int (*next)(struct vfu_client *cl);
	int (*got)(struct vfu_client *cl, int status, struct vfui_msg *reply, struct vfu_err *err);
} steps[] = {
	{next_version, got_version}, {next_info, got_info},       {next_region, got_region},
	{next_irq, got_irq},         {next_command, got_command}, {next_master, got_master},
	{next_range, NULL},          {next_run, got_run},
};
enum { VERSION, INFO, REGIONS, IRQS, SURVEYED, STEPS = VFUI_ARRAY_SIZE(steps) };

static void begin(struct vfu_client *cl, struct vfui_conn *conn, unsigned step, unsigned end)
{
	cl->link->replay = (struct vfui_link_replay){.conn = conn, .step = step, .end = end};
}

/* Sends the next request. 1; 0: all is said; or why not. */
static int advance(struct vfu_client *cl, struct vfu_err *err)
{
	struct vfui_link_replay *r = &cl->link->replay;

	r->timeout_ms = r->is_first ? -1 : vfui_link_time(cl);
	if (!r->timeout_ms)
		return vfui_err_set(err, -ETIMEDOUT, NULL, 0, "connecting again takes too long");
	for (; r->step < r->end; r->step++, r->at = 0) {
		int ret = steps[r->step].next(cl);

		if (ret)
			return ret;
	}
	return 0;
}

/* All was said: the user's function has the connection first, then everybody. */
static void finish(struct vfu_client *cl)
{
	struct vfui_link *link = cl->link;
	struct vfui_conn *conn = link->replay.conn;
	bool is_awaited;

	vfui_os_lock(&cl->lock);
	is_awaited = vfui_link_state(cl) == VFUI_LINK_REPLAY && !cl->is_closing;
	if (is_awaited) {
		atomic_store(&link->state, VFUI_LINK_TOLD);
		link->report.state = link->replay.state;
		link->report.restored++;
		vfui_link_note(cl, VFU_LINK_RESTORED);
	}
	vfui_os_unlock(&cl->lock);
	if (!is_awaited)
		return;
	vfui_link_tell(cl);
	vfui_os_lock(&cl->lock);
	if (vfui_link_state(cl) == VFUI_LINK_TOLD && !cl->is_closing &&
	    !vfui_conn_status(conn, NULL)) {
		atomic_store(&link->state, VFUI_LINK_UP);
		link->up_since = vfui_clock_now(&cl->options.clock);
		cl->usable = conn;
	}
	vfui_os_cond_broadcast(&cl->cond);
	vfui_os_unlock(&cl->lock);
	vfui_link_wake(cl);
}

/* ret: 0, or what has failed. */
static void go_on(struct vfu_client *cl, int ret, struct vfu_err *err)
{
	struct vfui_link_replay *r = &cl->link->replay;

	if (!ret)
		ret = advance(cl, err);
	if (ret > 0)
		return;
	r->has_failed = ret;
	if (ret < 0) {
		if (err->code != ret)
			vfui_err_set(err, ret, NULL, 0, "connecting again: %s", strerror(-ret));
		vfui_conn_fail(r->conn, err);
	}
	if (!r->is_first && !ret)
		finish(cl);
	atomic_store(&r->is_done, true);
}

static void answered(void *user, int status, struct vfui_msg *reply)
{
	struct vfu_client *cl = user;
	struct vfu_err err = {0};
	int ret = steps[cl->link->replay.step].got(cl, status, reply, &err);

	if (!ret && vfui_client_is_unanswered(status))
		ret = status;
	go_on(cl, ret, &err);
}

static int ask(struct vfu_client *cl, unsigned command, const void *in, size_t len, const int *fds,
	       unsigned nfds)
{
	const struct iovec iov = {(void *)(uintptr_t)in, len};
	const struct vfui_out out = {.command = command,
				     .iov = &iov,
				     .niov = 1,
				     .fds = fds,
				     .nfds = nfds,
				     .timeout_ms = cl->link->replay.timeout_ms,
				     .done = answered,
				     .user = cl};
	int ret = vfui_conn_send(cl->link->replay.conn, &out);

	return ret ? ret : 1;
}

void vfui_replay_start(struct vfu_client *cl, struct vfui_conn *conn)
{
	struct vfu_err err = {0};

	begin(cl, conn, VERSION, STEPS);
	go_on(cl, 0, &err);
}

static bool is_done(void *arg)
{
	const struct vfui_link_replay *r = arg;

	return atomic_load(&r->is_done);
}

int vfui_replay_survey(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_err *err)
{
	int ret;

	begin(cl, conn, INFO, SURVEYED);
	cl->link->replay.is_first = true;
	go_on(cl, 0, err);
	ret = vfui_conn_wait(conn, is_done, &cl->link->replay, -1);
	if (!ret)
		ret = vfui_conn_status(conn, err);
	if (ret) {
		err->code = ret;
		vfui_conn_fail(conn, err);
	}
	return ret;
}
