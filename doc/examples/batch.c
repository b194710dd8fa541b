/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * batch.c - many registers written at once, and an answer that is waited for no longer.
 *
 *	batch SOCKET
 *
 * The device is a palette of 256 colours at BAR 0, and a register at 0x1000 whose reads it never answers. The client
 * writes all colours in one batch, reads one back, and asks for the register until it has had enough.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vfu.h>

enum { COLOURS = 256, BAR_SIZE = 0x2000, NEVER = 0x1000 };

/* ---- the device */

/* Nobody ever answers it. */
static int sleepy(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)access;
	return vfu_request_defer(req) ? VFU_LATER : -1;
}

static struct vfu_server *set_up(struct vfu_device *dev, const char *path)
{
	const struct vfu_region region = {
		.size = BAR_SIZE, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1};
	struct vfu_server *server = vfu_server_new(dev);

	if (server && vfu_device_set_region(dev, VFU_REGION_BAR0, &region) == 0 &&
	    vfu_device_set_handler(dev, VFU_REGION_BAR0, NEVER, 4, sleepy, NULL) == 0 &&
	    vfu_server_set(server, VFU_OPT_ONE_CLIENT, 1) == 0 &&
	    vfu_server_listen(server, path) == 0)
		return server;
	vfu_server_free(server);
	return NULL;
}

/* ---- the client, a process of its own */

static int write_palette(struct vfu_client *client)
{
	int r = vfu_client_post_begin(client);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < COLOURS && r == 0; i++) {
		uint32_t colour = i << 16 | i << 8 | i;

		r = vfu_client_region_post(client, VFU_REGION_BAR0, 4 * i, &colour, 4);
	}
	if (r < 0)
		vfu_client_post_end(client);
	else
		r = vfu_client_post_end(client);
	return r;
}

static void told(void *user, int status)
{
	(void)user;
	printf("answered: %d\n", status); /* which is not so */
}

/* Asks for what never comes, and takes the buffer back. */
static int give_up(struct vfu_client *client)
{
	uint32_t value;
	struct vfu_client_access access = {.size = sizeof(access),
					   .index = VFU_REGION_BAR0,
					   .offset = NEVER,
					   .buf = &value,
					   .len = sizeof(value),
					   .timeout_ms = -1,
					   .fn = told};
	int r = vfu_client_region_access(client, &access);

	return r < 0 ? r : vfu_client_cancel(client, access.id);
}

static int use(const char *path)
{
	struct vfu_client *client = vfu_client_new();
	struct vfu_stats before = {0}, after = {0};
	uint32_t colour = 0;
	int r = client ? vfu_client_connect(client, path) : -1;

	if (r == 0) {
		vfu_client_stats(client, &before);
		r = write_palette(client);
		vfu_client_stats(client, &after);
	}
	if (r == 0)
		r = vfu_client_region_read(client, VFU_REGION_BAR0, 4 * 100, &colour, 4);
	if (r == 0)
		r = give_up(client);
	printf("messages: %u, colour 100: %06x\n",
	       (unsigned)(after.requests_out - before.requests_out), colour);
	fflush(stdout);
	vfu_client_free(client);
	return r < 0;
}

int main(int argc, char **argv)
{
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *server;
	int status = 1;
	pid_t child;

	if (argc != 2 || !dev || !(server = set_up(dev, argv[1]))) {
		fprintf(stderr, "usage: batch SOCKET\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		_exit(use(argv[1]));
	if (child < 0 || vfu_server_run(server) < 0 || waitpid(child, &status, 0) != child)
		fprintf(stderr, "batch: it can not be served\n");
	vfu_server_free(server);
	vfu_device_free(dev);
	return status != 0;
}
