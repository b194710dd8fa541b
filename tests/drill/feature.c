/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * Drill: the feature rate, with a layout that only spec/ knows, read, set and asked for.
 */
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <vfu.h>
#include <vfu/wire.h>

#include "check.h"

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

static void *serve(void *srv)
{
	CHECK(vfu_server_run(srv) == 0);
	return NULL;
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
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *srv = vfu_server_new(dev);
	struct vfu_client *cl = vfu_client_new();
	pthread_t thread;
	int pair[2];

	CHECK(vfu_device_set_feature(dev, RATE, &feature, &rate) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	CHECK(vfu_server_attach(srv, pair[0]) == 0);
	CHECK(pthread_create(&thread, NULL, serve, srv) == 0);
	CHECK(vfu_client_attach(cl, pair[1]) == 0);
	drive(cl);
	vfu_client_free(cl);
	pthread_join(thread, NULL);
	vfu_server_free(srv);
	CHECK(vfu_device_free(dev) == 0);
	return 0;
}
