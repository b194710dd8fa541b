/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * Drill: the feature rate, with a layout that only spec/ knows, read, set and asked for.
 */
#include <string.h>
#include <vfu/wire.h>

#include "drill.h"

enum { RATE = VFU_WIRE_FEATURE_INDEX_RATE };

static struct vfu_wire_feature_rate rate = {.bytes = 1000, .burst = 8};

static int get(void *user, struct vfu_request *req)
{
	return vfu_request_reply(req, user, sizeof(rate), NULL, 0, NULL);
}

static int set(void *user, struct vfu_request *req)
{
	size_t len;
	const struct vfu_wire_feature_rate *in = vfu_request_payload(req, &len);

	if (in->bytes > 5000)
		return -EINVAL;
	memcpy(user, in, len);
	return 0;
}

static int call(struct vfu_client *cl, uint32_t flags, const struct vfu_wire_feature_rate *data,
		struct vfu_wire_feature_rate *out)
{
	struct {
		struct vfu_wire_device_feature_request head;
		struct vfu_wire_feature_rate data;
	} in = {.head = {.argsz = sizeof(in), .flags = flags | RATE}};
	struct vfu_call c = {.size = sizeof(c),
			     .command = VFU_WIRE_CMD_DEVICE_FEATURE,
			     .request = &in,
			     .request_len = data ? sizeof(in) : sizeof(in.head)};
	int rc;

	if (data)
		in.data = *data;
	rc = vfu_client_call(cl, &c);
	if (!rc && out) {
		CHECK(c.reply_len == sizeof(in));
		memcpy(out, (const char *)c.reply + sizeof(in.head), sizeof(*out));
	}
	if (!rc)
		vfu_call_fini(&c);
	return rc;
}

static void drive(struct vfu_client *cl)
{
	const uint32_t gets = VFU_WIRE_FEATURE_GET, sets = VFU_WIRE_FEATURE_SET,
		       probes = VFU_WIRE_FEATURE_PROBE;
	struct vfu_wire_feature_rate new = {.bytes = 4000, .burst = 4000}, out;
	struct vfu_err err;

	CHECK(call(cl, probes | gets | sets, NULL, NULL) == 0);
	CHECK(call(cl, gets, NULL, &out) == 0 && out.bytes == 1000 && out.burst == 8);
	CHECK(call(cl, sets, &new, &out) == 0 && out.bytes == 4000);
	CHECK(rate.bytes == 4000);
	new.burst = 4001;
	CHECK(call(cl, sets, &new, NULL) == -EINVAL);
	vfu_client_err(cl, &err);
	CHECK(strcmp(err.field, "device_feature.feature_rate.burst") == 0);
	new.bytes = 5001;
	CHECK(call(cl, sets, &new, NULL) == -EINVAL && rate.bytes == 4000);
	rate.burst = 5000; /* more than its bytes: the device's own fault */
	CHECK(call(cl, gets, NULL, NULL) == -EIO);
	CHECK(vfu_client_status(cl) == 0);
}

int main(void)
{
	const struct vfu_feature feature = {.size = sizeof(feature), .get = get, .set = set};
	struct drill drill;

	drill_init(&drill);
	CHECK(vfu_device_set_feature(drill.dev, RATE, &feature, &rate) == 0);
	drill_connect(&drill);
	drive(drill.cl);
	drill_part(&drill);
	drill_fini(&drill);
	return 0;
}
