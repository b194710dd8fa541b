/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * gate.c - the question before a change, and who goes on when it is answered.
 *
 *	server, reset.c                        the device                  any thread
 *	vfui_device_ask -- gate is open -->    hook gate
 *	       <------------ 0, -errno ------  knows at once
 *	       <------------ VFU_LATER ------  thinks about it ........... vfu_device_gate_done
 *	  nothing else starts (server/order.c)                                is_decided, wakes the owner
 *	vfui_device_gate_run: closed, then()  <----------------------------------
 *
 * There is one gate, and what asks when it is open has a fault: order.c starts nothing meanwhile. It is open before the hook is
 * called, so that an answer from another thread that is quicker than the hook finds it. then() runs on the owner, and never
 * under the lock, once for each gate: when the device has decided, or with -ECANCELED when the connection ends first.
 * What the device says after that is -EALREADY.
 */
#include <errno.h>

#include "base/os.h"
#include "device/handle.h"

int vfui_device_ask(struct vfu_device *dev, enum vfu_gate what, void (*then)(void *ctx, int status),
		    void *ctx)
{
	int rc;

	if (!dev->hooks.gate)
		return 0;
	/* Open before the question: another thread may answer before the hook has returned. */
	vfui_os_lock(&dev->lock);
	dev->gate = (struct vfui_gate){.is_open = true, .then = then, .ctx = ctx};
	vfui_os_unlock(&dev->lock);
	rc = dev->hooks.gate(dev->hooks_user, what);
	if (rc == VFU_LATER)
		return rc;
	vfui_os_lock(&dev->lock);
	dev->gate.is_open = false;
	vfui_os_unlock(&dev->lock);
	return rc > 0 ? -EIO : rc;
}

/* Closes the gate if the device has decided, or in any case; then what waited for it goes on. */
static void close_gate(struct vfu_device *dev, bool force)
{
	struct vfui_gate gate;
	bool is_over;

	vfui_os_lock(&dev->lock);
	gate = dev->gate;
	is_over = gate.is_open && (gate.is_decided || force);
	if (is_over)
		dev->gate.is_open = false;
	vfui_os_unlock(&dev->lock);
	if (is_over)
		gate.then(gate.ctx, gate.is_decided ? gate.status : -ECANCELED);
}

void vfui_device_gate_run(struct vfu_device *dev)
{
	close_gate(dev, false);
}

void vfui_device_gate_cancel(struct vfu_device *dev)
{
	close_gate(dev, true);
}

int vfu_device_gate_done(struct vfu_device *dev, int status)
{
	int rc = -EALREADY;

	if (vfui_device_is_child(dev))
		return -EOWNERDEAD;
	vfui_os_lock(&dev->lock);
	if (dev->gate.is_open && !dev->gate.is_decided) {
		dev->gate.is_decided = true;
		dev->gate.status = status > 0 ? -EIO : status;
		if (dev->server.wake)
			dev->server.wake(dev->server.ctx);
		rc = 0;
	}
	vfui_os_unlock(&dev->lock);
	return rc;
}
