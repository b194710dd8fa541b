/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * lend.c - large reads without copies. Both ends in one process: the device in a thread, its client in main().
 *
 * BAR 0 is a camera. Its pictures are made in memory of the device, which lends one for a read: the bytes go to the
 * socket from there. As long as a picture is lent the camera leaves it alone, and takes another one.
 *
 * BAR 1 is a log that is shorter than its window. The region wants no cleared buffers: the device says how
 * much of one it has filled, and the library clears the rest.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <vfu.h>

#define PICTURE 0x100000u
#define LOG 0x10000u

/* ---- device */

struct picture {
	unsigned readers; /* that it is lent to */
	unsigned char data[PICTURE];
};

static struct picture pictures[2], *newest = &pictures[0];
static unsigned given_back;

/* The socket has it, or the client has gone. On the owner, like read_picture: nothing else answers or sends here. */
static void release(void *user, const void *data)
{
	struct picture *picture = user;

	(void)data;
	picture->readers--;
	given_back++;
}

static void take_picture(unsigned char shade)
{
	struct picture *other = newest == pictures ? &pictures[1] : &pictures[0];

	if (other->readers)
		return; /* somebody is slow: the one there is will do */
	memset(other->data, shade, PICTURE);
	newest = other;
}

static int read_picture(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct picture *picture = newest;
	int r;

	(void)user;
	r = vfu_request_lend(req, picture->data + access->offset, 0, release, picture);
	if (r == 0)
		picture->readers++;
	return r;
}

static int read_log(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	static const char text[] = "ready";
	size_t len = access->offset < strlen(text) ? strlen(text) - access->offset : 0;

	(void)user;
	if (len > access->count)
		len = access->count;
	memcpy(access->data, text + (len ? access->offset : 0), len);
	return vfu_request_set_filled(req, (uint32_t)len);
}

static void *serve(void *arg)
{
	const struct vfu_region camera = {
		.size = PICTURE, .flags = VFU_REGION_READ, .access = read_picture, .fd = -1};
	const struct vfu_region log = {.size = LOG,
				       .flags = VFU_REGION_READ | VFU_REGION_UNCLEARED,
				       .access = read_log,
				       .fd = -1};
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *srv = dev ? vfu_server_new(dev) : NULL;

	take_picture(1);
	if (!srv || vfu_device_set_region(dev, VFU_REGION_BAR0, &camera) < 0 ||
	    vfu_device_set_region(dev, VFU_REGION_BAR0 + 1, &log) < 0 ||
	    vfu_server_set(srv, VFU_OPT_ONE_CLIENT, 1) < 0 ||
	    vfu_server_attach(srv, *(int *)arg) < 0 || vfu_server_run(srv) < 0)
		fprintf(stderr, "device: can not be served\n");
	vfu_server_free(srv);
	vfu_device_free(dev);
	return NULL;
}

/* ---- client */

static unsigned count(const unsigned char *data, size_t len, unsigned char byte)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += data[i] == byte;
	return n;
}

static int use(struct vfu_client *cl, unsigned char *buf, unsigned *bright)
{
	int r = vfu_client_region_read(cl, VFU_REGION_BAR0, 0, buf, PICTURE);

	*bright = count(buf, PICTURE, 1);
	if (r < 0)
		return r;
	return vfu_client_region_read(cl, VFU_REGION_BAR0 + 1, 0, buf, LOG);
}

int main(void)
{
	struct vfu_client *cl = vfu_client_new();
	unsigned char *buf = malloc(PICTURE);
	unsigned bright = 0;
	struct vfu_err err;
	pthread_t thread;
	int ends[2], r;

	if (!cl || !buf || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
	    pthread_create(&thread, NULL, serve, &ends[0]))
		return 2;
	r = vfu_client_attach(cl, ends[1]);
	if (r == 0)
		r = use(cl, buf, &bright);
	if (r < 0) {
		vfu_client_err(cl, &err);
		fprintf(stderr, "client: %s: %s\n", strerror(-r), err.text);
	}
	vfu_client_free(cl);
	pthread_join(thread, NULL);
	if (r == 0)
		printf("picture: %u bytes of 1, given back: %u\nlog: \"%.5s\", then %u zeros\n",
		       bright, given_back, (char *)buf, count(buf + 5, LOG - 5, 0));
	free(buf);
	return r < 0;
}
