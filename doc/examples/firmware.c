/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * firmware.c - what firmware does to a device before a driver uses it, and what a driver then finds.
 *
 *	firmware SOCKET
 *
 * The device answers no access to BAR 0 before Command says that memory is decoded, as some do. The client places its BARs,
 * looks for MSI-X, and writes to a page of BAR 0 that may be mapped: that is memory then, and no message.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vfu.h>

enum { SIZE = 8192, PAGE = 4096, READY = 0x600d };

/* ---- the device */

static int registers(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	const uint32_t ready = htole32(READY); /* as all of PCI */

	(void)req;
	if (access->is_write || access->count != 4 ||
	    vfu_device_config_state(user, VFU_CONFIG_MEMORY) != 1)
		return -EIO;
	memcpy(access->data, &ready, 4);
	return 0;
}

static struct vfu_server *set_up(struct vfu_device *dev, const char *path)
{
	const struct vfu_area mapped = {PAGE, PAGE};
	const struct vfu_region region = {.size = SIZE,
					  .flags = VFU_REGION_READ | VFU_REGION_WRITE |
						   VFU_REGION_MMAP,
					  .access = registers,
					  .user = dev,
					  .fd = memfd_create("bar0", MFD_CLOEXEC),
					  .areas = &mapped,
					  .nareas = 1};
	const struct vfu_region tables = {
		.size = PAGE, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1};
	struct vfu_server *server = vfu_server_new(dev);

	if (server && region.fd >= 0 && ftruncate(region.fd, SIZE) == 0 &&
	    vfu_device_set_region(dev, VFU_REGION_BAR0, &region) == 0 &&
	    vfu_device_set_region(dev, 4, &tables) == 0 &&
	    vfu_device_set_msix(dev, 4, 4, 0, 2048) == 0 &&
	    vfu_server_set(server, VFU_OPT_ONE_CLIENT, 1) == 0 &&
	    vfu_server_listen(server, path) == 0)
		return server;
	vfu_server_free(server);
	return NULL;
}

/* ---- the client, a process of its own */

static int use(struct vfu_client *cl)
{
	struct vfu_client_bar bars[VFU_BARS];
	struct vfu_client_msix msix;
	struct vfu_stats before, after;
	uint32_t value = 0;
	int r;

	if (vfu_client_region_read32(cl, VFU_REGION_BAR0, 0, &value) != -EIO)
		return -EPROTO;
	if ((r = vfu_client_assign_bars(cl, NULL, bars)) < 0 ||
	    (r = vfu_client_region_read32(cl, VFU_REGION_BAR0, 0, &value)) < 0 ||
	    (r = vfu_client_msix(cl, &msix)) < 0)
		return r;
	printf("BAR 0: %llu bytes at 0x%llx, reads 0x%x; MSI-X: %u vectors\n",
	       (unsigned long long)bars[0].size, (unsigned long long)bars[0].address, value,
	       msix.count);
	vfu_client_stats(cl, &before);
	if ((r = vfu_client_region_write32(cl, VFU_REGION_BAR0, PAGE, 42)) < 0 ||
	    (r = vfu_client_region_read32(cl, VFU_REGION_BAR0, PAGE, &value)) < 0)
		return r;
	vfu_client_stats(cl, &after);
	printf("memory: %u, messages: %u\n", value,
	       (unsigned)(after.requests_out - before.requests_out));
	return 0;
}

static int run_client(const char *path)
{
	struct vfu_client *cl = vfu_client_new();
	struct vfu_err err;
	int r = -1;

	vfu_sigbus_guard(); /* the file behind the memory is the server's, who could cut it */
	if (cl && vfu_client_set(cl, VFU_OPT_MAPPED, 1) == 0 && vfu_client_connect(cl, path) == 0)
		r = use(cl);
	if (cl && r < 0) {
		vfu_client_err(cl, &err);
		fprintf(stderr, "firmware: %s\n", err.text);
	}
	fflush(stdout);
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
		fprintf(stderr, "usage: firmware SOCKET\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		_exit(run_client(argv[1]));
	if (child < 0 || vfu_server_run(server) < 0 || waitpid(child, &status, 0) != child)
		fprintf(stderr, "firmware: it can not be served\n");
	vfu_server_free(server);
	vfu_device_free(dev);
	return status != 0;
}
