/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * Drill: get_counters, a message that only spec/ knows, served by a thread and sent, built and read with what
 * was generated of it.
 */
#include <string.h>
#include <unistd.h>

#include <vfu/parts.h>

#include "drill.h"

static int gates;

static int gate(void *user, enum vfu_gate what)
{
	(void)user;
	gates += what == VFU_GATE_COMMAND;
	return 0;
}

static int get_counters(void *user, struct vfu_request *req)
{
	size_t len;
	const struct vfu_wire_get_counters_request *in = vfu_request_payload(req, &len);
	struct vfu_wire_get_counters_reply head = {.argsz = sizeof(head), .first = in->first};
	struct vfu_wire_counter one = {.kind = VFU_WIRE_COUNTER_KIND_FAULTS};
	struct vfu_wire_builder b;
	uint8_t buf[300];
	struct vfu_err err;
	int fd = vfu_request_take_fd(req, 0), rc;

	(void)user;
	vfu_wire_get_counters_reply_build(&b, buf, sizeof(buf), &head);
	if (in->first == 50)
		one.kind = 3;
	for (uint32_t i = 0; i < in->most; i++) {
		one.value = in->first + i;
		vfu_wire_get_counters_reply_counters_add(&b, &one);
	}
	rc = vfu_request_reply(req, buf, b.len, &fd, fd >= 0, &err);
	if (in->first == 50)
		CHECK(rc == -EINVAL && strcmp(err.field, "get_counters.counter.kind") == 0);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* What the call gave; field: which one the client says is wrong. */
static int call(struct vfu_client *cl, uint32_t first, uint32_t most, struct vfu_call *call, int fd,
		const char *field)
{
	struct vfu_wire_get_counters_request in = {.argsz = 300, .first = first, .most = most};
	struct vfu_err err;
	int number = vfu_command_number("get_counters"), rc;

	CHECK(number == VFU_WIRE_CMD_GET_COUNTERS);
	*call = (struct vfu_call){.size = sizeof(*call),
				  .command = (unsigned)number,
				  .request = &in,
				  .request_len = sizeof(in),
				  .fds = &fd,
				  .nfds = fd >= 0};
	rc = vfu_client_call(cl, call);
	vfu_client_err(cl, &err);
	CHECK(!field || strcmp(err.field, field) == 0);
	return rc;
}

static void drive(struct vfu_client *cl)
{
	struct vfu_wire_counter one;
	struct vfu_wire_items items;
	struct vfu_call c;
	unsigned n = 0;

	CHECK(call(cl, 7, 16, &c, 0, NULL) == 0);
	items = vfu_wire_get_counters_reply_counters_parse(c.reply, c.reply_len);
	for (; vfu_wire_get_counters_reply_counters_next(&items, &one); n++)
		CHECK(one.value == 7 + n && one.kind == VFU_WIRE_COUNTER_KIND_FAULTS);
	CHECK(n == 16 && c.reply_nfds == 1 && c.reply_fds[0] > 2);
	vfu_call_fini(&c);
	CHECK(call(cl, 7, 17, &c, -1, "get_counters.most") == -EINVAL);
	CHECK(call(cl, 100, 1, &c, -1, "get_counters.first") == -EINVAL);
	CHECK(gates == 1);
	CHECK(call(cl, 50, 1, &c, -1, NULL) == -EIO);
	CHECK(vfu_client_status(cl) == 0);
}

int main(void)
{
	const struct vfu_device_hooks hooks = {.size = sizeof(hooks), .gate = gate};
	struct drill drill;

	drill_init(&drill);
	CHECK(vfu_device_set_hooks(drill.dev, &hooks, NULL) == 0);
	CHECK(vfu_device_set_command(drill.dev, VFU_WIRE_CMD_GET_COUNTERS, get_counters, NULL) ==
	      0);
	drill_connect(&drill);
	drive(drill.cl);
	drill_part(&drill);
	drill_fini(&drill);
	return 0;
}
