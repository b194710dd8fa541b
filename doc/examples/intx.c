/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * intx.c - an interrupt line, and a client that has it come again as KVM does.
 *
 *	intx SOCKET
 *
 * The device has a queue of jobs: BAR 0, 0x00 how many are done and not yet taken; a write takes one. The line is up
 * while there are any. INTx is a level: it fires once and is masked by that, and fires again when the client, done with
 * one, unmasks it and the line is still up. Here the client does so by an eventfd, without a message: one write.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vfu.h>

enum { JOBS = 3 };

/* ---- the device */

struct queue {
	struct vfu_device *dev;
	uint32_t done;
};

static int jobs(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct queue *queue = user;

	(void)req;
	if (access->offset)
		return -EINVAL;
	if (!access->is_write) {
		memcpy(access->data, &queue->done, 4);
	} else if (queue->done && !--queue->done) {
		vfu_irq_lower(queue->dev);
	}
	return 0;
}

static void connected(void *user)
{
	struct queue *queue = user;

	/* -ENOENT says that nobody listens yet: the line is up all the same, and fires once somebody does. */
	queue->done = JOBS;
	vfu_irq_raise(queue->dev, VFU_IRQ_INTX, 0);
}

static struct vfu_server *set_up(struct queue *queue, const char *path)
{
	const struct vfu_region registers = {.size = 4096,
					     .flags = VFU_REGION_READ | VFU_REGION_WRITE,
					     .access = jobs,
					     .user = queue,
					     .widths = VFU_WIDTH_4,
					     .fd = -1};
	const struct vfu_device_hooks hooks = {.size = sizeof(hooks), .connected = connected};
	struct vfu_server *server = vfu_server_new(queue->dev);

	if (server && vfu_device_set_region(queue->dev, VFU_REGION_BAR0, &registers) == 0 &&
	    vfu_device_set_intx(queue->dev, 1) == 0 &&
	    vfu_device_set_hooks(queue->dev, &hooks, queue) == 0 &&
	    vfu_server_set(server, VFU_OPT_ONE_CLIENT, 1) == 0 &&
	    vfu_server_listen(server, path) == 0)
		return server;
	vfu_server_free(server);
	return NULL;
}

/* ---- the client, a process of its own */

/* Takes one job for each interrupt; how many there were. */
static int drive(struct vfu_client *client, int line, int resample)
{
	struct pollfd pfd = {.fd = line, .events = POLLIN};
	uint32_t left = JOBS;
	eventfd_t count;
	int n = 0;

	while (left && poll(&pfd, 1, 10000) == 1 && eventfd_read(line, &count) == 0) {
		n++;
		if (vfu_client_region_write(client, VFU_REGION_BAR0, 0, &left, 4) < 0 ||
		    vfu_client_region_read(client, VFU_REGION_BAR0, 0, &left, 4) < 0 ||
		    eventfd_write(resample, 1) < 0)
			return -1;
	}
	return n;
}

static int use(const char *path)
{
	struct vfu_client *client = vfu_client_new();
	int line = eventfd(0, EFD_CLOEXEC), resample = eventfd(0, EFD_CLOEXEC), n = -1;
	struct vfu_err err = {0};

	if (client && vfu_client_connect(client, path) == 0 &&
	    vfu_client_irq_set_unmask_eventfds(client, VFU_IRQ_INTX, 0, 1, &resample) == 0 &&
	    vfu_client_irq_set_eventfds(client, VFU_IRQ_INTX, 0, 1, &line) == 0)
		n = drive(client, line, resample);
	if (client)
		vfu_client_err(client, &err);
	if (n == JOBS)
		printf("interrupts: %d\n", n), fflush(stdout);
	else
		fprintf(stderr, "intx: %d interrupts: %s\n", n, err.text);
	vfu_client_free(client);
	close(line);
	close(resample);
	return n != JOBS;
}

int main(int argc, char **argv)
{
	struct queue queue = {.dev = vfu_device_new()};
	struct vfu_server *server;
	int status = 1;
	pid_t child;

	if (argc != 2 || !queue.dev || !(server = set_up(&queue, argv[1]))) {
		fprintf(stderr, "usage: intx SOCKET\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		_exit(use(argv[1]));
	if (child < 0 || vfu_server_run(server) < 0 || waitpid(child, &status, 0) != child)
		fprintf(stderr, "intx: it can not be served\n");
	vfu_server_free(server);
	vfu_device_free(queue.dev);
	return status != 0;
}
