/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-gather.c - posted writes that wait in the queue to go together.
 *
 *	queue:  | ... | region_write | region_write_multi: write write write |
 *	                                the last message, if no byte of it is sent yet: one more write joins it
 *
 * Nothing is kept beside the queue. So whatever is said after a write goes after it, all that sends the queue or
 * ends it (a sleep, an event loop, the end of the connection, of the reader role) sees to gathered writes as to any
 * others, and no byte can be stranded that would not be stranded else. A message is joined only where it lies
 * (vfui_outq_grow): once its first byte is sent, or another message is behind it, the next write begins a new one.
 *
 * The first is an ordinary region_write, and becomes a region_write_multi when a second joins it; larger ones, and
 * all where the peer did not agree to write_multiple, are messages of their own, and go in one send all the same.
 *
 * Two leave it there: who has said that more will follow (a batch of the client), and who posts while so much waits that
 * it can not be sent anyhow, with somebody there who will (is_crowded): from HIGH writes on, until LOW are left. All
 * others send the queue at once, and what the socket does not take of it is joined by what comes next.
 */
#include <errno.h>

#include "base/os.h"
#include "transport/conn-gather.h"
#include "transport/conn-inside.h"
#include "transport/conn-out.h"
#include "transport/conn-send.h"
#include "transport/conn-wait.h"
#include "transport/trace.h"
#include "wire-region.h"

/* Most writes of a message. */
#define JOINED 200

#define ENTRY sizeof(struct vfu_wire_write_multi_entry)
#define HEADER sizeof(struct vfu_wire_header)
#define MULTI (HEADER + sizeof(struct vfu_wire_region_write_multi_request))

typedef struct vfu_wire_region_write_request write_request;

/* How many writes the peer takes in one message: below 2 there is no use in it. */
static unsigned joined_max(const struct vfui_conn *conn)
{
	if (!conn->peers.write_multiple ||
	    vfui_conn_is_withheld(conn, vfui_message(VFU_WIRE_CMD_REGION_WRITE_MULTI)))
		return 0;
	return (unsigned)vfui_min(JOINED, conn->peers.max_data_xfer_size / ENTRY);
}

static void put_header(uint8_t *msg, uint16_t command, size_t size)
{
	const struct vfu_wire_header hdr = {.id = VFUI_PEND_POSTED,
					    .command = command,
					    .size = (uint32_t)size,
					    .flags = VFU_WIRE_HEADER_NO_REPLY};

	memcpy(msg, &hdr, sizeof(hdr));
}

static void put_entry(uint8_t *place, const write_request *in, const void *data)
{
	struct vfu_wire_write_multi_entry entry = {
		.offset = in->offset, .region = in->region, .count = in->count};

	memcpy(&entry.data, data, in->count);
	memcpy(place, &entry, sizeof(entry));
}

/* A region_write, behind which there is room now, becomes a region_write_multi of one. */
static void become_multi(uint8_t *msg)
{
	uint8_t data[sizeof(uint64_t)];
	write_request in;

	memcpy(&in, msg + HEADER, sizeof(in));
	memcpy(data, msg + HEADER + sizeof(in), in.count);
	put_entry(msg + MULTI, &in, data);
}

/* Makes the write one more of the message that is last in the queue. False: there is none such. */
static bool join(struct vfui_conn *conn, const write_request *in, const void *data)
{
	struct vfui_gather *g = &conn->gather;
	size_t len = MULTI + (g->n + 1) * ENTRY;
	struct vfu_wire_region_write_multi_request count = {g->n + 1};
	uint8_t *msg;

	if (g->n == 0 || in->count > sizeof(uint64_t) || g->n >= joined_max(conn))
		return false;
	msg = vfui_outq_grow(&conn->main.out, g->at, g->len, len - g->len);
	if (msg == NULL)
		return false;
	if (g->n == 1)
		become_multi(msg);
	put_entry(msg + len - ENTRY, in, data);
	put_header(msg, VFU_WIRE_CMD_REGION_WRITE_MULTI, len);
	memcpy(msg + HEADER, &count, sizeof(count));
	g->len = len;
	g->n++;
	return true;
}

/* Queues the write as a message, which the next may join. */
static int begin(struct vfui_conn *conn, const write_request *in, const void *data)
{
	struct vfui_gather *g = &conn->gather;
	size_t len = HEADER + sizeof(*in) + in->count;
	uint64_t at = conn->main.out.gone + conn->main.out.bytes;
	uint8_t *msg = vfui_outq_extend(&conn->main.out, len);

	if (msg == NULL)
		return -ENOMEM;
	put_header(msg, VFU_WIRE_CMD_REGION_WRITE, len);
	memcpy(msg + HEADER, in, sizeof(*in));
	memcpy(msg + HEADER + sizeof(*in), data, in->count);
	g->at = at;
	g->len = len;
	g->n = in->count <= sizeof(uint64_t);
	conn->stats->requests_out++;
	return 0;
}

static int add(struct vfui_conn *conn, const write_request *in, const void *data)
{
	int r = vfui_conn_may_send(conn, HEADER + sizeof(*in) + in->count);

	return r == 0 && !join(conn, in, data) ? begin(conn, in, data) : r;
}

/* Each write by itself: what it travels in is complete only when it is sent. */
VFUI_APART static void trace_gathered(struct vfui_conn *conn, const write_request *in,
				      const void *data)
{
	struct iovec iov[] = {{(void *)(uintptr_t)in, sizeof(*in)},
			      {(void *)(uintptr_t)data, in->count}};
	const struct vfu_wire_header hdr = {.id = VFUI_PEND_POSTED,
					    .command = VFU_WIRE_CMD_REGION_WRITE,
					    .size = (uint32_t)(HEADER + sizeof(*in) + in->count),
					    .flags = VFU_WIRE_HEADER_NO_REPLY};

	vfui_trace(&conn->options.log, conn->options.set.values[VFU_OPT_TRACE] > 1, "gathered",
		   &hdr, iov, 2, 0);
}

/*
 * So much is queued, by somebody who has told those who send it: they are there at this moment, and none of them goes
 * without a look at the queue, for which it needs the lock.
 */
static bool is_crowded(struct vfui_conn *conn)
{
	struct vfui_gather *g = &conn->gather;

	if (conn->main.out.bytes >= VFUI_GATHER_SIZE(VFUI_GATHER_HIGH))
		g->is_crowded = true;
	else if (conn->main.out.bytes <= VFUI_GATHER_SIZE(VFUI_GATHER_LOW))
		g->is_crowded = false;
	return g->is_crowded && !g->is_untold && vfui_conn_is_watched(conn);
}

/* The thread that reads sends what it says together: before it sleeps, or gives up the role. */
static bool is_of_batch(struct vfui_conn *conn)
{
	if (!vfui_conn_has_role(conn) || conn->main.out.bytes >= VFUI_OUT_BLOCK)
		return false;
	conn->has_batch = true;
	return true;
}

/* Of a write that is in the queue now. Gives up the lock. */
static int pass_on(struct vfui_conn *conn, bool more)
{
	/* Nobody is told of the bytes before they are to be sent. */
	conn->gather.is_untold |= more;
	if (!more && !is_of_batch(conn) && !is_crowded(conn))
		return vfui_conn_send_and_unlock(conn);
	vfui_conn_account(conn);
	vfui_os_unlock(&conn->lock);
	return 0;
}

int vfui_conn_gather(struct vfui_conn *conn, const write_request *in, const void *data, bool more)
{
	int r;

	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	vfui_os_lock(&conn->lock);
	r = add(conn, in, data);
	if (r == 0)
		r = pass_on(conn, more);
	else
		vfui_os_unlock(&conn->lock);
	if (r == 0 && conn->options.set.values[VFU_OPT_TRACE] != 0)
		trace_gathered(conn, in, data);
	return r;
}
