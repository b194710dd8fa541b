/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * Drill: what was not agreed is neither sent nor served: a message of a later minor version, and a bit that
 * requires a capability.
 */
#include <errno.h>
#include <string.h>

#include <vfu/wire.h>

#include "drill.h"

static unsigned moods; /* that arrived */

static int set_mood(void *user, struct vfu_request *req)
{
	(void)user, (void)req;
	moods++;
	return 0;
}

/* NULL: it arrives; else what the client says of it, which it does not send. */
static void say(struct vfu_client *cl, uint32_t flags, uint32_t volume, int rc, const char *why)
{
	const struct vfu_wire_set_mood_request in = {
		.argsz = sizeof(in), .flags = flags, .volume = volume};
	struct vfu_call call = {.size = sizeof(call),
				.command = VFU_WIRE_CMD_SET_MOOD,
				.request = &in,
				.request_len = sizeof(in)};
	unsigned before = moods;
	struct vfu_err err;

	CHECK(vfu_client_call(cl, &call) == rc);
	CHECK(moods == before + !why);
	if (!why) {
		vfu_call_fini(&call);
		return;
	}
	vfu_client_err(cl, &err);
	CHECK(strstr(err.text, why));
}

static void meet(bool is_later, bool client_loud, bool server_loud)
{
	struct drill drill;
	struct vfu_client_limits limits;
	const char *loud =
		client_loud && server_loud
			? NULL
			: "set_mood.flags.loud: value 3 breaks the rule: needs loud_moods, which was not agreed";

	drill_init(&drill);
	CHECK(vfu_device_set_command(drill.dev, VFU_WIRE_CMD_SET_MOOD, set_mood, NULL) == 0);
	CHECK(vfu_server_set_policy(drill.srv, "minor", is_later ? "min" : "zero") == 0);
	CHECK(vfu_client_set_capability(drill.cl, "loud_moods", client_loud) == 0);
	CHECK(vfu_server_set_capability(drill.srv, "loud_moods", server_loud) == 0);
	drill_connect(&drill);
	CHECK(vfu_client_limits(drill.cl, &limits) == 0 && limits.minor == is_later);
	if (is_later) {
		say(drill.cl, VFU_WIRE_MOOD_GOOD, 0, 0, NULL);
		say(drill.cl, VFU_WIRE_MOOD_GOOD | VFU_WIRE_MOOD_LOUD, 0, loud ? -EINVAL : 0, loud);
		say(drill.cl, 0, 9, loud ? -EINVAL : 0, loud ? "set_mood.volume" : NULL);
	} else {
		say(drill.cl, VFU_WIRE_MOOD_GOOD, 0, -ENOSYS,
		    "set_mood.command: value 60 breaks the rule: is of 0.1, later than the minor version agreed");
	}
	drill_part(&drill);
	drill_fini(&drill);
}

int main(void)
{
	for (unsigned i = 0; i < 8; i++)
		meet(i & 1, i & 2, i & 4);
	return 0;
}
