/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * peer.c - who the client is, and whether the device takes it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "device/handle.h"

void vfui_device_set_peer(struct vfu_device *dev, const struct vfu_peer *peer)
{
	vfui_os_lock(&dev->lock);
	dev->has_peer = peer != NULL;
	if (peer)
		dev->peer = *peer;
	vfui_os_unlock(&dev->lock);
}

int vfu_device_peer(struct vfu_device *dev, struct vfu_peer *out)
{
	int rc = vfui_device_is_child(dev) ? -EOWNERDEAD : -ENOTCONN;

	if (rc == -EOWNERDEAD)
		return rc;
	vfui_os_lock(&dev->lock);
	if (dev->has_peer) {
		*out = dev->peer;
		rc = 0;
	}
	vfui_os_unlock(&dev->lock);
	return rc;
}

int vfui_device_accept(struct vfu_device *dev, const struct vfu_peer *peer, char *reason,
		       size_t size)
{
	int rc;

	reason[0] = '\0';
	if (!dev->hooks.accept)
		return 0;
	rc = dev->hooks.accept(dev->hooks_user, peer, reason, size);
	reason[size - 1] = '\0';
	/* What is no answer is no yes. */
	if (rc > 0)
		rc = -EINVAL;
	if (rc < 0 && !reason[0])
		snprintf(reason, size, "%s", strerror(-rc));
	return rc;
}
