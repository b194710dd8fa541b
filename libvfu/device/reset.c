/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * reset.c - what RESET and a reset of the function do, and when they are answered.
 *
 *	RESET: order.c has asked the gate      a write to configuration space
 *	          |                              |            | there is a gate
 *	          |                              |          deferred, and asked --> flr_decided
 *	          v                              v                                   |
 *	        vfui_device_reset_for: what the answer takes (-ENOMEM: no reset)     | the same
 *	          |                                                                  |
 *	        vfui_device_reset: DMA, the device's hook, interrupts, configuration space
 *	          |
 *	        the answer, with a twin socket behind the replies to what was sent
 *
 * A client may take its memory back once it has read the answer, so with a twin socket, by which DMA may still be on its
 * way, that waits for the replies (dma.c). -ENOMEM must mean that nothing was reset, so all memory is taken before. A
 * second reset that is asked for while the gate is open, as by the other half of one access, is the same one.
 */
#include <errno.h>

#include "device/handle.h"
#include "wire-migration.h"

/* ---- answers that wait for messages ---- */

static void answer(void *user)
{
	vfu_request_done(user, 0);
}

void vfui_device_answer_after(struct vfu_device *dev, struct vfui_dma_wait *wait,
			      struct vfu_request *later)
{
	vfui_dma_wait_start(&dev->dma, wait, answer, later);
}

/* ---- the reset, and its answer ---- */

int vfui_device_reset(struct vfu_device *dev)
{
	int rc;

	/* First, so that who hears of an end has not been reset yet. What was sent goes in front of the answer. */
	vfui_dma_reset(&dev->dma);
	rc = dev->hooks.reset ? dev->hooks.reset(dev->hooks_user) : 0;
	if (rc)
		return rc > 0 ? -EIO : rc;
	for (unsigned i = 0; i < dev->regions.n; i++)
		vfui_ioevents_reset(&vfui_region_at(&dev->regions, i)->ioevents);
	/* In this order: what is pending must not fire because a mask goes. */
	vfui_irqs_reset(&dev->irqs);
	vfui_pci_reset(&dev->pci);
	atomic_store(&dev->state, VFU_WIRE_DEVICE_STATE_RUNNING);
	return 0;
}

/* Resets, and answers a deferred request. wait: NULL, or what to wait for first. */
static void reset_and_answer(struct vfu_device *dev, struct vfui_dma_wait *wait,
			     struct vfu_request *later)
{
	int rc = vfui_device_reset(dev);

	if (rc || !wait) {
		vfui_dma_wait_drop(wait);
		vfu_request_done(later, rc);
		return;
	}
	vfui_dma_await_messages(&dev->dma, wait);
	vfui_dma_wait_start(&dev->dma, wait, answer, later);
}

/* All that takes memory comes before the reset: one that is answered with -ENOMEM has not happened. */
int vfui_device_reset_for(struct vfu_device *dev, struct vfu_request *req)
{
	struct vfui_dma_wait *wait;
	struct vfu_request *later;
	int rc = vfui_dma_wait_new(&dev->dma, &wait);

	if (rc || !wait)
		return rc ? rc : vfui_device_reset(dev);
	later = vfu_request_defer(req);
	if (!later) {
		vfui_dma_wait_drop(wait);
		return -ENOMEM;
	}
	reset_and_answer(dev, wait, later);
	return VFU_LATER;
}

/* ---- resets by way of configuration space ---- */

static void flr_decided(void *ctx, int status)
{
	struct vfu_device *dev = ctx;
	struct vfu_request *req = dev->resetting;
	struct vfui_dma_wait *wait = NULL;

	dev->resetting = NULL;
	if (!status)
		status = vfui_dma_wait_new(&dev->dma, &wait);
	if (status)
		vfu_request_done(req, status);
	else
		reset_and_answer(dev, wait, req);
}

int vfui_device_function_reset(void *ctx, struct vfu_request *req)
{
	struct vfu_device *dev = ctx;
	int rc;

	/* Two parts of one access may ask: for one reset, which the device thinks about. */
	if (dev->gate.is_open)
		return 0;
	if (!dev->hooks.gate)
		return vfui_device_reset_for(dev, req);
	/* Before the question, which is not asked in vain: its answer finds the request. */
	dev->resetting = vfu_request_defer(req);
	if (!dev->resetting)
		return -ENOMEM;
	rc = vfui_device_ask(dev, VFU_GATE_FLR, flr_decided, dev);
	if (rc != VFU_LATER)
		flr_decided(dev, rc);
	return VFU_LATER;
}
