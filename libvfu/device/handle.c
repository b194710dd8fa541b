/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.c - a device: its life, its server and its hooks, and what messages it serves itself.
 */
#include <errno.h>
#include <string.h>

#include "device/handle.h"
#include "base/os.h"
#include "wire-migration.h"

/* ---- life ---- */

struct vfu_device *vfu_device_new(void)
{
	struct vfu_device *dev = vfui_os_calloc(1, sizeof(*dev));

	if (!dev)
		return NULL;
	if (vfui_os_mutex_init(&dev->lock) < 0)
		goto free;
	if (vfui_log_limit_init(&dev->log_limit) < 0)
		goto fini_lock;
	atomic_init(&dev->state, VFU_WIRE_DEVICE_STATE_RUNNING);
	dev->log.limit = &dev->log_limit;
	dev->fork_mark = vfui_os_fork_mark();
	if (dev->fork_mark && vfui_device_init_parts(dev) == 0)
		return dev;
	vfui_log_limit_fini(&dev->log_limit);
fini_lock:
	vfui_os_mutex_fini(&dev->lock);
free:
	vfui_os_free(dev);
	return NULL;
}

/*
 * After fork(): what another thread was changing stays as it is, for that thread is not here and left
 * the lock behind; hooks and callbacks are the parent's.
 */
static void abandon(struct vfu_device *dev)
{
	/* Ours is the parent's too, which goes on watching. */
	vfui_events_restart(&dev->events, -1);
	vfui_regions_fini(&dev->regions);
	vfui_irqs_abandon(&dev->irqs);
	vfui_pci_fini(&dev->pci);
	vfui_commands_fini(&dev->commands);
	vfui_dma_abandon(&dev->dma);
	vfui_os_free(dev);
}

int vfu_device_free(struct vfu_device *dev)
{
	if (!dev)
		return 0;
	if (dev->server.ctx)
		return vfui_err_set(&dev->err, -EBUSY, NULL, 0, "a server uses the device");
	if (vfui_device_is_child(dev)) {
		abandon(dev);
		return 0;
	}
	vfui_pci_fini(&dev->pci);
	vfui_commands_fini(&dev->commands);
	vfui_regions_fini(&dev->regions);
	vfui_irqs_fini(&dev->irqs);
	vfui_dma_fini(&dev->dma);
	vfui_log_flush(&dev->log, true);
	vfui_log_limit_fini(&dev->log_limit);
	vfui_os_mutex_fini(&dev->lock);
	vfui_os_free(dev);
	return 0;
}

int vfui_device_set_server(struct vfu_device *dev, const struct vfui_device_server *server)
{
	int rc = 0;

	if (vfui_device_is_child(dev))
		return -EOWNERDEAD;
	vfui_os_lock(&dev->lock);
	if (!server)
		memset(&dev->server, 0, sizeof(dev->server));
	else if (dev->server.ctx)
		rc = -EBUSY;
	else
		dev->server = *server;
	vfui_os_unlock(&dev->lock);
	/* The client that had eventfds is gone before its server goes. */
	if (!rc)
		vfui_events_restart(&dev->events, server ? server->wake_fd : -1);
	return rc;
}

void vfui_device_take_events(struct vfu_device *dev)
{
	uint64_t keys[VFUI_EVENTS_TAKEN];
	unsigned n = vfui_events_take(&dev->events, keys);
	struct vfui_region *region;

	for (unsigned i = 0; i < n; i++) {
		region = vfui_region_at(&dev->regions, vfui_ioevent_region(keys[i]));
		if (!(keys[i] & VFUI_IOEVENT_KEY))
			vfui_irqs_signalled(&dev->irqs, keys[i]);
		else if (region)
			vfui_ioevents_signalled(&region->ioevents, keys[i]);
	}
}

void vfui_device_drop_eventfds(struct vfu_device *dev)
{
	vfui_irqs_disconnect(&dev->irqs);
	for (unsigned i = 0; i < dev->regions.n; i++)
		vfui_ioevents_disconnect(&vfui_region_at(&dev->regions, i)->ioevents);
}

void vfu_device_err(struct vfu_device *dev, struct vfu_err *err)
{
	*err = dev->err;
}

void vfu_device_set_log(struct vfu_device *dev, vfu_log_fn *fn, void *user)
{
	dev->log.fn = fn;
	dev->log.user = user;
}

int vfu_device_set_hooks(struct vfu_device *dev, const struct vfu_device_hooks *hooks, void *user)
{
	struct vfu_device_hooks all = {0};

	if (vfui_device_is_child(dev))
		return -EOWNERDEAD;
	if (hooks) {
		if (hooks->size < sizeof(hooks->size) || hooks->size > sizeof(all))
			return vfui_err_set(&dev->err, -EINVAL, NULL, 0,
					    "vfu_device_set_hooks: size %zu is not in %zu..%zu",
					    hooks->size, sizeof(hooks->size), sizeof(all));
		memcpy(&all, hooks, hooks->size);
	}
	dev->hooks = all;
	dev->hooks_user = user;
	vfui_err_clear(&dev->err);
	return 0;
}

int vfui_device_ended(struct vfu_device *dev, int rc, const char *call)
{
	if (rc < 0)
		return vfui_err_set(&dev->err, rc, NULL, 0, "%s: %s", call, strerror(-rc));
	vfui_err_clear(&dev->err);
	return rc;
}

/* ---- what it serves itself ---- */

int vfu_device_set_no_reentry(struct vfu_device *dev, bool on)
{
	if (vfui_device_is_child(dev))
		return -EOWNERDEAD;
	dev->no_reentry = on;
	vfui_err_clear(&dev->err);
	return 0;
}

int vfu_device_set_command(struct vfu_device *dev, unsigned command, vfu_command_fn *fn, void *user)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_commands_set(&dev->commands, command, fn, user, &dev->err);
}

int vfu_device_set_feature(struct vfu_device *dev, unsigned feature,
			   const struct vfu_feature *functions, void *user)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_commands_set_feature(&dev->commands, feature, functions, user, &dev->err);
}
