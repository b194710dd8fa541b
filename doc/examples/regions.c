/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * regions.c - a region of the device's own, which PCI does not know: a log of what its registers were written.
 *
 *	regions SOCKET
 *
 * BAR 0 has one register. Each value that is written to it also goes into a log, a region behind PCI's that the client
 * finds by what it is for: a type (here: of a vendor) and a subtype.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vfu.h>

enum { VENDOR = 0x1234, LOG = 7, LOG_SIZE = 4096 };

static const uint32_t type = 0x80000000u | VENDOR;

/* ---- the device */

struct logger {
	struct vfu_device *dev;
	int log; /* the region's index */
	uint32_t n;
};

static int registers(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct logger *logger = user;
	uint8_t *log = vfu_device_region_memory(logger->dev, (unsigned)logger->log);

	(void)req;
	if (!access->is_write || !log)
		return -EINVAL;
	memcpy(log + logger->n++ % (LOG_SIZE / 4) * 4, access->data, 4);
	return 0;
}

static struct vfu_server *set_up(struct logger *logger, const char *path)
{
	const struct vfu_region bar = {.size = 4096,
				       .flags = VFU_REGION_READ | VFU_REGION_WRITE,
				       .access = registers,
				       .user = logger,
				       .widths = VFU_WIDTH_4,
				       .fd = -1};
	const struct vfu_region log = {.size = LOG_SIZE, .flags = VFU_REGION_READ, .fd = -1};
	struct vfu_server *server = vfu_server_new(logger->dev);

	logger->log = vfu_device_add_region(logger->dev, type, LOG, &log);
	if (server && logger->log >= 0 &&
	    vfu_device_set_region(logger->dev, VFU_REGION_BAR0, &bar) == 0 &&
	    vfu_server_set(server, VFU_OPT_ONE_CLIENT, 1) == 0 &&
	    vfu_server_listen(server, path) == 0)
		return server;
	vfu_server_free(server);
	return NULL;
}

/* ---- the client, a process of its own */

static int use(const char *path)
{
	struct vfu_client *client = vfu_client_new();
	uint32_t values[3] = {42, 43, 44}, logged[3] = {0};
	int log = -1, r = -1;

	if (client && vfu_client_connect(client, path) == 0)
		log = vfu_client_find_region(client, type, LOG);
	for (unsigned i = 0; log >= 0 && i < 3; i++)
		r = vfu_client_region_write(client, VFU_REGION_BAR0, 0, &values[i], 4);
	if (r >= 0)
		r = vfu_client_region_read(client, (unsigned)log, 0, logged, sizeof(logged));
	printf("region %d: %u %u %u\n", log, logged[0], logged[1], logged[2]);
	fflush(stdout);
	vfu_client_free(client);
	return r < 0;
}

int main(int argc, char **argv)
{
	struct logger logger = {.dev = vfu_device_new()};
	struct vfu_server *server;
	int status = 1;
	pid_t child;

	if (argc != 2 || !logger.dev || !(server = set_up(&logger, argv[1]))) {
		fprintf(stderr, "usage: regions SOCKET\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		_exit(use(argv[1]));
	if (child < 0 || vfu_server_run(server) < 0 || waitpid(child, &status, 0) != child)
		fprintf(stderr, "regions: it can not be served\n");
	vfu_server_free(server);
	vfu_device_free(logger.dev);
	return status != 0;
}
