/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * Drill: DMA_MAP's flag "cold", which only spec/ knows, goes from the client to the device, and what breaks its
 * rules does not.
 */
#include <errno.h>
#include <string.h>

#include <vfu/wire.h>

#include "drill.h"

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
	struct drill drill;

	drill_init(&drill);
	CHECK(vfu_device_set_hooks(drill.dev, &hooks, NULL) == 0);
	drill_connect(&drill);
	use(drill.cl, drill.dev);
	drill_part(&drill);
	drill_fini(&drill);
	return 0;
}
