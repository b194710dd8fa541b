/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * Drill: DMA_MAP's flag "cold", which only spec/ knows, goes from the client to the device, and what breaks its
 * rules does not.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include <vfu.h>
#include <vfu/wire.h>

#include "check.h"

#define COLD VFU_WIRE_DMA_MAP_COLD

static uint32_t mapped, unmapped; /* flags that the device has seen */

static void on_mapped(void *user, const struct vfu_dma_range *range)
{
	(void)user;
	mapped = range->flags;
}

static void on_unmapping(void *user, const struct vfu_dma_range *range)
{
	(void)user;
	unmapped = range->flags;
}

static void *run(void *srv)
{
	CHECK(vfu_server_run(srv) == 0);
	return NULL;
}

static void refuse(struct vfu_client *cl, int rc, const char *rule)
{
	struct vfu_err err;

	CHECK(rc == -EINVAL);
	vfu_client_err(cl, &err);
	CHECK(strcmp(err.field, "dma_map.flags") == 0);
	CHECK(strstr(err.text, rule));
	CHECK(mapped == 0);
}

static void use(struct vfu_client *cl, struct vfu_device *dev)
{
	static char data[4096];
	struct vfu_dma_range range;

	refuse(cl, vfu_client_dma_map(cl, 0, 4096, COLD, data, -1, 0), "has readable set");
	refuse(cl,
	       vfu_client_dma_map(cl, 0, 4096, COLD | VFU_DMA_READ | VFU_DMA_WRITE, data, -1, 0),
	       "has at most one of cold and writeable");
	refuse(cl, vfu_client_dma_map_nowait(cl, 0, 4096, COLD << 1, data, -1, 0), "");
	CHECK(vfu_client_dma_map(cl, 0, 4096, COLD | VFU_DMA_READ, data, -1, 0) == 0);
	CHECK(mapped == (COLD | VFU_DMA_READ));
	CHECK(vfu_dma_ranges(dev, &range, 1) == 1 && range.flags == mapped);
	CHECK(vfu_client_dma_unmap(cl, 0, 4096) == 0);
	CHECK(unmapped == mapped);
}

int main(void)
{
	const struct vfu_device_hooks hooks = {
		.size = sizeof(hooks), .dma_mapped = on_mapped, .dma_unmapping = on_unmapping};
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *srv = vfu_server_new(dev);
	struct vfu_client *cl = vfu_client_new();
	pthread_t thread;
	int fds[2];

	CHECK(vfu_device_set_hooks(dev, &hooks, NULL) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	CHECK(vfu_server_attach(srv, fds[0]) == 0);
	CHECK(pthread_create(&thread, NULL, run, srv) == 0);
	CHECK(vfu_client_attach(cl, fds[1]) == 0);
	use(cl, dev);
	vfu_client_free(cl);
	pthread_join(thread, NULL);
	vfu_server_free(srv);
	CHECK(vfu_device_free(dev) == 0);
	return 0;
}
