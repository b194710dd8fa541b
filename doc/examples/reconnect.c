/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * reconnect.c - a client that outlives its server.
 *
 *	reconnect SOCKET
 *
 * The device adds what its register SUM is given to what it has (and forgets that when it ends), and puts the result
 * into the client's memory. A write to END ends its server, after which there is a new one. The client maps its memory
 * once: each server is told of it. What the device has forgotten the client's function gives it again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vfu.h>

enum { SUM = 0, END = 4, MEMORY = 0x10000, SIZE = 4096, SERVERS = 3 };

/* ---- the device */

struct adder {
	struct vfu_device *dev;
	struct vfu_server *server;
	uint32_t sum;
};

static int add(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct adder *adder = user;
	uint32_t value;

	(void)req;
	if (!access->is_write)
		return -EINVAL;
	memcpy(&value, access->data, sizeof(value));
	adder->sum += value;
	return vfu_dma_write(adder->dev, MEMORY, &adder->sum, sizeof(adder->sum));
}

static int end(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct adder *adder = user;

	(void)req, (void)access;
	vfu_server_stop(adder->server);
	return 0;
}

static int set_up(struct adder *adder, const char *path)
{
	const struct vfu_region region = {
		.size = SIZE, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1};

	adder->dev = vfu_device_new();
	if (!adder->dev || vfu_device_set_ids(adder->dev, 0x1234, 0xADD, 0, 0) < 0 ||
	    vfu_device_set_region(adder->dev, VFU_REGION_BAR0, &region) < 0 ||
	    vfu_device_set_handler(adder->dev, VFU_REGION_BAR0, SUM, 4, add, adder) < 0 ||
	    vfu_device_set_handler(adder->dev, VFU_REGION_BAR0, END, 4, end, adder) < 0)
		return -1;
	adder->server = vfu_server_new(adder->dev);
	if (!adder->server || vfu_server_set(adder->server, VFU_OPT_ONE_CLIENT, 1) < 0)
		return -1;
	return vfu_server_listen(adder->server, path);
}

static int serve(const char *path)
{
	struct adder adder = {0};
	int r = set_up(&adder, path);

	if (r == 0)
		r = vfu_server_run(adder.server);
	vfu_server_free(adder.server);
	vfu_device_free(adder.dev);
	return r;
}

/* ---- the client, a process of its own */

struct user {
	struct vfu_client *client;
	uint32_t memory[SIZE / 4]; /* the device writes it: [0] is the sum */
	uint32_t sum;              /* what it should be */
};

static int write_register(struct vfu_client *client, uint64_t offset, uint32_t value)
{
	return vfu_client_region_write(client, VFU_REGION_BAR0, offset, &value, sizeof(value));
}

/* Before other calls have the new connection. */
static void told(void *arg, const struct vfu_link *link)
{
	struct user *user = arg;

	if (link->event == VFU_LINK_LOST)
		printf("lost\n");
	if (link->event == VFU_LINK_ENDED)
		printf("given up: %s\n", link->cause.text);
	if (link->event != VFU_LINK_RESTORED)
		return;
	printf("server %u, %s\n", (unsigned)link->restored + 1,
	       link->state == VFU_DEVICE_STATE_KEPT ? "the same device" : "a new device");
	if (link->state != VFU_DEVICE_STATE_KEPT)
		write_register(user->client, SUM, user->sum);
}

/* A request that was under way when the connection ended is -ENOTCONN: asking again is up to us. It ends the
 * server, unless it is a new one. */
static int end_server(struct vfu_client *client)
{
	struct vfu_link before, now;
	int r;

	vfu_client_link(client, &before);
	write_register(client, END, 1);
	do {
		uint32_t value;

		vfu_client_link(client, &now);
		if (now.restored > before.restored)
			return 0;
		r = vfu_client_region_read(client, VFU_REGION_BAR0, 8, &value, sizeof(value));
	} while (r == 0 || (r == -ENOTCONN && vfu_client_status(client) == -EINPROGRESS));
	return r;
}

static int use(struct user *user)
{
	struct vfu_client *client = user->client;
	int r = vfu_client_dma_map(client, MEMORY, SIZE, VFU_DMA_WRITE, user->memory, -1, 0);

	for (int i = 1; i <= SERVERS && r == 0; i++) {
		user->sum += i;
		r = write_register(client, SUM, i);
		printf("sum: %u\n", (unsigned)user->memory[0]);
		if (r == 0 && i < SERVERS)
			r = end_server(client);
	}
	return r;
}

static int run_client(const char *path)
{
	static struct user user;
	int r = -ENOMEM;

	user.client = vfu_client_new();
	if (user.client) {
		vfu_client_set_link(user.client, told, &user);
		vfu_client_set(user.client, VFU_OPT_CONNECT_WAIT_MS, 10000);
		vfu_client_set(user.client, VFU_OPT_RECONNECT_MS, 10000);
		r = vfu_client_connect(user.client, path);
	}
	if (r == 0)
		r = use(&user);
	if (r < 0)
		fprintf(stderr, "reconnect: %s\n", strerror(-r));
	fflush(stdout);
	vfu_client_free(user.client);
	return r < 0;
}

int main(int argc, char **argv)
{
	int status = 1;
	pid_t child;

	if (argc != 2) {
		fprintf(stderr, "usage: reconnect SOCKET\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		_exit(run_client(argv[1]));
	for (int i = 0; i < SERVERS && child > 0; i++)
		if (serve(argv[1]) < 0)
			fprintf(stderr, "reconnect: it can not be served\n");
	return waitpid(child, &status, 0) != child || status;
}
