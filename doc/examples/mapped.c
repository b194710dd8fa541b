/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * mapped.c - a region in memory that both sides map: by an option, and by hand.
 *
 *	mapped SOCKET
 *
 * The device has a file behind BAR 0. With VFU_OPT_MAPPED the usual calls reach it without a message, as long as
 * vfu_sigbus_guard looks after files that the other side cuts; who draws pictures wants a pointer (vfu_client_region_map).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vfu.h>

enum { SIZE = 0x10000, WORDS = 1000 };

static struct vfu_server *set_up(struct vfu_device *dev, const char *path)
{
	const struct vfu_region region = {.size = SIZE,
					  .flags = VFU_REGION_READ | VFU_REGION_WRITE |
						   VFU_REGION_MMAP,
					  .fd = memfd_create("bar0", MFD_CLOEXEC)};
	struct vfu_server *server = vfu_server_new(dev);

	if (server && region.fd >= 0 && ftruncate(region.fd, SIZE) == 0 &&
	    vfu_device_set_region(dev, VFU_REGION_BAR0, &region) == 0 &&
	    vfu_server_set(server, VFU_OPT_ONE_CLIENT, 1) == 0 &&
	    vfu_server_listen(server, path) == 0)
		return server;
	vfu_server_free(server);
	return NULL;
}

/* Writes with the usual calls, and looks at what that did through a pointer. */
static int use(struct vfu_client *cl)
{
	struct vfu_region_map map = {0};
	struct vfu_stats before, after;
	uint32_t last;
	int r = vfu_client_region_read32(cl, VFU_REGION_BAR0, 0,
					 &last); /* asks what can be mapped */

	vfu_client_stats(cl, &before);
	for (uint32_t i = 0; i < WORDS && r == 0; i++)
		r = vfu_client_region_write32(cl, VFU_REGION_BAR0, 4 * i, i);
	vfu_client_stats(cl, &after);
	if (r == 0)
		r = vfu_client_region_map(cl, VFU_REGION_BAR0, 0, 0, &map);
	if (r < 0)
		return r;
	/* registers are little-endian */
	memcpy(&last, (const uint8_t *)map.addr + 4 * (WORDS - 1), sizeof(last));
	printf("mapped: %u bytes, last: %u, messages: %u\n", (unsigned)map.len, le32toh(last),
	       (unsigned)(after.requests_out - before.requests_out));
	fflush(stdout);
	vfu_region_map_fini(&map);
	return 0;
}

static int client(const char *path)
{
	struct vfu_client *cl = vfu_client_new();
	int r = -1;

	vfu_sigbus_guard();
	if (cl && vfu_client_set(cl, VFU_OPT_MAPPED, 1) == 0 && vfu_client_connect(cl, path) == 0)
		r = use(cl);
	vfu_client_free(cl);
	return r < 0;
}

int main(int argc, char **argv)
{
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *server;
	int status = 1;
	pid_t child;

	if (argc != 2 || !dev || !(server = set_up(dev, argv[1]))) {
		fprintf(stderr, "usage: mapped SOCKET\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		_exit(client(argv[1]));
	if (child < 0 || vfu_server_run(server) < 0 || waitpid(child, &status, 0) != child)
		fprintf(stderr, "mapped: it can not be served\n");
	vfu_server_free(server);
	vfu_device_free(dev);
	return status != 0;
}
