/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * doorbell.c - a doorbell without messages: an ioeventfd, as KVM uses it for its guests.
 *
 *	doorbell SOCKET
 *
 * The device counts how often BAR 0, 0x40 was rung, which 0x00 tells. The client asks for the eventfd that stands for
 * writes to it, and signals that; a monitor would give it to KVM. With VFU_OPT_IOEVENTS the library asks, and a write to
 * it signals by itself; else that is a message.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vfu.h>

enum { COUNT = 0x00, BELL = 0x40, RINGS = 3 };

/* ---- the device */

static uint32_t rung;

static void ring(void *user)
{
	(void)user;
	rung++;
}

static int registers(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req;
	if (access->is_write && access->offset == BELL)
		rung++;
	else if (!access->is_write && access->offset == COUNT)
		memcpy(access->data, &rung, 4);
	else
		return -EINVAL;
	return 0;
}

static struct vfu_server *set_up(struct vfu_device *dev, const char *path)
{
	const struct vfu_region region = {.size = 4096,
					  .flags = VFU_REGION_READ | VFU_REGION_WRITE,
					  .access = registers,
					  .widths = VFU_WIDTH_4,
					  .fd = -1};
	const struct vfu_ioevent_place bell = {.offset = BELL, .size = 4};
	struct vfu_server *server = vfu_server_new(dev);

	if (server && vfu_device_set_region(dev, VFU_REGION_BAR0, &region) == 0 &&
	    vfu_device_add_ioevent(dev, VFU_REGION_BAR0, &bell, 1, ring, NULL) == 0 &&
	    vfu_server_set(server, VFU_OPT_ONE_CLIENT, 1) == 0 &&
	    vfu_server_listen(server, path) == 0)
		return server;
	vfu_server_free(server);
	return NULL;
}

/* ---- the client, a process of its own */

/* The eventfd of the first entry, or -1. */
static int ask_for_bell(struct vfu_client *client)
{
	struct vfu_io_fds fds;
	int fd = -1;

	if (vfu_client_io_fds(client, VFU_REGION_BAR0, &fds) < 0)
		return -1;
	if (fds.n && fds.list[0].type == VFU_IO_EVENTFD && fds.list[0].offset == BELL)
		fd = dup(fds.list[0].fd);
	vfu_io_fds_fini(&fds);
	return fd;
}

/* Writes to it. The one message asks for the eventfds of the region. */
static int write_to_bell(struct vfu_client *client, uint64_t *messages)
{
	const uint32_t one = 1;
	struct vfu_stats before, after;
	int r = 0;

	vfu_client_stats(client, &before);
	for (unsigned i = 0; i < RINGS && r == 0; i++)
		r = vfu_client_region_write(client, VFU_REGION_BAR0, BELL, &one, 4);
	vfu_client_stats(client, &after);
	*messages = after.requests_out - before.requests_out;
	return r;
}

static int use(const char *path)
{
	struct vfu_client *client = vfu_client_new();
	uint32_t before = 0, count = 0;
	uint64_t messages = 0;
	int fd = -1, r = 1;

	if (client && vfu_client_set(client, VFU_OPT_IOEVENTS, 1) == 0 &&
	    vfu_client_connect(client, path) == 0)
		fd = ask_for_bell(client);
	while (fd >= 0 && count < RINGS) {
		before = count;
		if (eventfd_write(fd, 1) < 0)
			break;
		/* The device hears of it soon: not before or after a message, but soon. */
		while (count == before &&
		       (r = vfu_client_region_read(client, VFU_REGION_BAR0, COUNT, &count, 4)) >= 0)
			;
		if (r < 0)
			break;
	}
	printf("rung: %u", count);
	if (r >= 0 && write_to_bell(client, &messages) == 0)
		printf(", by writes: %d, messages: %u", RINGS, (unsigned)messages);
	printf("\n");
	fflush(stdout);
	vfu_client_free(client);
	close(fd);
	return count != RINGS || messages != 1;
}

int main(int argc, char **argv)
{
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *server;
	int status = 1;
	pid_t child;

	if (argc != 2 || !dev || !(server = set_up(dev, argv[1]))) {
		fprintf(stderr, "usage: doorbell SOCKET\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		_exit(use(argv[1]));
	if (child < 0 || vfu_server_run(server) < 0 || waitpid(child, &status, 0) != child)
		fprintf(stderr, "doorbell: it can not be served\n");
	vfu_server_free(server);
	vfu_device_free(dev);
	return status != 0;
}
