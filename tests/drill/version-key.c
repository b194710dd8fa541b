/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * Drill: two keys of VERSION that only spec/ knows: a number that limits a field, and a bool.
 */
#include <errno.h>
#include <string.h>

#include "drill.h"

#define ABSENT 0xffffffffu
#define NOT_SAID UINT64_MAX

struct words {
	uint64_t most, ordered;
};

static uint64_t held_most, held_ordered; /* by the server, when its device saw the client */

static void connected(void *srv)
{
	CHECK(vfu_server_agreed(srv, "max_read", &held_most) == 0);
	CHECK(vfu_server_agreed(srv, "reads_in_order", &held_ordered) == 0);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	a = a == NOT_SAID ? ABSENT : a;
	b = b == NOT_SAID ? ABSENT : b;
	return a < b ? a : b;
}

/* The client's part: what it takes for agreed, and that it keeps to that. */
static void use(struct vfu_client *cl, uint64_t most, uint64_t ordered)
{
	static char data[4096];
	struct vfu_err err;
	uint64_t value;

	CHECK(vfu_client_agreed(cl, "max_read", &value) == 0 && value == most);
	CHECK(vfu_client_agreed(cl, "reads_in_order", &value) == 0 && value == ordered);
	CHECK(vfu_client_agreed(cl, "max_reads", &value) == -ENOENT);
	CHECK(vfu_client_region_read(cl, VFU_REGION_BAR0, 0, data,
				     most < sizeof(data) ? most : sizeof(data)) >= 0);
	if (most < sizeof(data)) {
		CHECK(vfu_client_region_read(cl, VFU_REGION_BAR0, 0, data, most + 1) == -EINVAL);
		vfu_client_err(cl, &err);
		CHECK(strcmp(err.field, "region_read.count") == 0 && strstr(err.text, "max_read"));
	}
	CHECK(vfu_client_status(cl) == 0);
}

static void meet(const struct words *client, const struct words *server)
{
	const struct vfu_region bar = {
		.size = 4096, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1};
	struct drill drill;
	struct vfu_device_hooks hooks = {.size = sizeof(hooks), .connected = connected};
	uint64_t most = least(client->most, server->most);
	uint64_t ordered = client->ordered == 1 && server->ordered == 1;

	drill_init(&drill);
	CHECK(vfu_device_set_region(drill.dev, VFU_REGION_BAR0, &bar) == 0);
	CHECK(vfu_device_set_hooks(drill.dev, &hooks, drill.srv) == 0);
	if (server->most != NOT_SAID)
		CHECK(vfu_server_set_capability(drill.srv, "max_read", server->most) == 0);
	if (server->ordered != NOT_SAID)
		CHECK(vfu_server_set_capability(drill.srv, "reads_in_order", server->ordered) == 0);
	if (client->most != NOT_SAID)
		CHECK(vfu_client_set_capability(drill.cl, "max_read", client->most) == 0);
	if (client->ordered != NOT_SAID)
		CHECK(vfu_client_set_capability(drill.cl, "reads_in_order", client->ordered) == 0);
	drill_connect(&drill);
	use(drill.cl, most, ordered);
	drill_part(&drill);
	CHECK(held_most == most && held_ordered == ordered);
	CHECK(vfu_server_agreed(drill.srv, "max_read", &most) == -ENOTCONN);
	drill_fini(&drill);
}

/* What is out of range is refused by name and rule, and changes nothing. */
static void refuse(void)
{
	struct vfu_client *cl = vfu_client_new();
	struct vfu_err err;

	CHECK(vfu_client_set_capability(cl, "max_read", 7) == -EINVAL);
	vfu_client_err(cl, &err);
	CHECK(strcmp(err.field, "version.capabilities.max_read") == 0);
	CHECK(strstr(err.text, "from 8 to 4294967295"));
	CHECK(vfu_client_set_capability(cl, "reads_in_order", 2) == -EINVAL);
	CHECK(vfu_client_set_capability(cl, "max_reads", 8) == -ENOENT);
	vfu_client_err(cl, &err);
	CHECK(strstr(err.text, "max_reads"));
	vfu_client_free(cl);
}

int main(void)
{
	static const uint64_t most[] = {NOT_SAID, 64, 512}, ordered[] = {NOT_SAID, 0, 1};

	for (int i = 0; i < 81; i++) {
		struct words client = {most[i % 3], ordered[i / 3 % 3]};
		struct words server = {most[i / 9 % 3], ordered[i / 27]};

		meet(&client, &server);
	}
	refuse();
	return 0;
}
