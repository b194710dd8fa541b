/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * parts.c - the parts of a device, and what they tell it: the user's hooks, and the log.
 */
#include <errno.h>
#include <string.h>

#include "device/handle.h"

static void dma_mapped(void *ctx, const struct vfu_dma_range *range)
{
	struct vfu_device *dev = ctx;

	if (dev->hooks.dma_mapped)
		dev->hooks.dma_mapped(dev->hooks_user, range);
}

static void dma_unmapping(void *ctx, const struct vfu_dma_range *range)
{
	struct vfu_device *dev = ctx;

	if (dev->hooks.dma_unmapping)
		dev->hooks.dma_unmapping(dev->hooks_user, range);
}

static void dma_exposed(void *ctx)
{
	struct vfu_device *dev = ctx;

	if (!dev->is_exposed)
		vfui_log(&dev->log, VFU_LOG_INFO,
			 "a client that cuts the file behind its memory can end this process: see "
			 "vfu_sigbus_guard()");
	dev->is_exposed = true;
}

static void dma_lost(void *ctx, const struct vfu_dma_range *range)
{
	struct vfu_device *dev = ctx;

	vfui_log(&dev->log, VFU_LOG_WARN,
		 "DMA range %#llx, %#llx bytes: its file was cut, it has no memory any more",
		 (unsigned long long)range->iova, (unsigned long long)range->size);
}

static void dma_held(void *ctx, uint64_t iova, size_t len, unsigned pins)
{
	struct vfu_device *dev = ctx;

	if (!pins)
		vfui_log(&dev->log, VFU_LOG_WARN, "a copy holds up an unmap for a second");
	else
		vfui_log(&dev->log, VFU_LOG_WARN,
			 "a pin of %#zx bytes at %#llx, the first of %u, holds up an unmap for a "
			 "second",
			 len, (unsigned long long)iova, pins);
}

static void dma_unwritten(void *ctx, uint64_t iova, size_t len, int status)
{
	struct vfu_device *dev = ctx;

	vfui_log(&dev->log, VFU_LOG_WARN,
		 "a pin of %#zx bytes at %#llx was given back, and not written back: %s", len,
		 (unsigned long long)iova, strerror(-status));
}

static int dma_wait(void *ctx, bool (*ready)(void *arg), void *arg)
{
	struct vfu_device *dev = ctx;

	if (!dev->server.wait)
		return -ENOTCONN;
	return dev->server.wait(dev->server.ctx, ready, arg);
}

static void config_written(void *ctx, size_t offset, size_t len)
{
	struct vfu_device *dev = ctx;

	if (dev->hooks.config_written)
		dev->hooks.config_written(dev->hooks_user, offset, len);
}

/* ---- beginning and end ---- */

int vfui_device_init_parts(struct vfu_device *dev)
{
	const struct vfui_dma_hooks dma_hooks = {.mapped = dma_mapped,
						 .unmapping = dma_unmapping,
						 .exposed = dma_exposed,
						 .lost = dma_lost,
						 .held = dma_held,
						 .unwritten = dma_unwritten,
						 .wait = dma_wait,
						 .ctx = dev};
	const struct vfui_pci_hooks pci_hooks = {
		.written = config_written, .reset = vfui_device_function_reset, .ctx = dev};
	int rc;

	rc = vfui_dma_init(&dev->dma, &dma_hooks);
	if (rc < 0)
		return rc;
	vfui_events_init(&dev->events);
	rc = vfui_irqs_init(&dev->irqs, &dev->events);
	if (rc < 0)
		goto fini_dma;
	vfui_irqs_disconnect(&dev->irqs); /* nobody is there yet */
	vfui_regions_init(&dev->regions);
	rc = vfui_pci_init(&dev->pci, &dev->dma, &dev->irqs, &dev->regions, &pci_hooks);
	if (!rc)
		return 0;
	vfui_regions_fini(&dev->regions);
	vfui_irqs_fini(&dev->irqs);
fini_dma:
	vfui_dma_fini(&dev->dma);
	return rc;
}
