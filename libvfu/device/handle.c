/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.c - the public functions of a device; most pass on to the part that does the work.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device/handle.h"
#include "device/register.h"
#include "base/os.h"
#include "desc.h"
#include "wire-migration.h"
#include "wire-region.h"

/* ---- hooks of the parts ---- */

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

/* ---- answers that wait for message DMA ---- */

static void answer(void *user)
{
	vfu_request_done(user, 0);
}

int vfui_device_answer_after(struct vfu_device *dev, struct vfui_dma_wait *wait,
			     struct vfu_request *req)
{
	struct vfu_request *later = vfu_request_defer(req);

	vfui_dma_wait_start(&dev->dma, wait, later ? answer : NULL, later);
	return later ? VFU_LATER : -ENOMEM;
}

/* ---- resets, and their answers ---- */

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

static int function_reset(void *ctx, struct vfu_request *req)
{
	struct vfu_device *dev = ctx;
	int rc;

	/* Two parts of one access may ask: for one reset, which the device thinks about. */
	if (dev->gate.is_open)
		return 0;
	if (!dev->hooks.gate)
		return vfui_device_reset_for(dev, req);
	/* Before the question: what it is about may happen on another thread before the hook has returned. */
	dev->resetting = vfu_request_defer(req);
	if (!dev->resetting)
		return -ENOMEM;
	rc = vfui_device_ask(dev, VFU_GATE_FLR, flr_decided, dev);
	if (rc != VFU_LATER)
		flr_decided(dev, rc);
	return VFU_LATER;
}

/* ---- life ---- */

/* The process has forked, and this is the copy. */
static bool is_child(const struct vfu_device *dev)
{
	return !*dev->fork_mark;
}

static int init_parts(struct vfu_device *dev)
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
		.written = config_written, .reset = function_reset, .ctx = dev};
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
	if (dev->fork_mark && init_parts(dev) == 0)
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
	if (is_child(dev)) {
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

	if (is_child(dev))
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

	if (is_child(dev))
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

/* ---- who the client is ---- */

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
	int rc = is_child(dev) ? -EOWNERDEAD : -ENOTCONN;

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

int vfu_device_set_no_reentry(struct vfu_device *dev, bool on)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	dev->no_reentry = on;
	vfui_err_clear(&dev->err);
	return 0;
}

int vfu_device_set_command(struct vfu_device *dev, unsigned command, vfu_command_fn *fn, void *user)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	return vfui_commands_set(&dev->commands, command, fn, user, &dev->err);
}

int vfu_device_set_feature(struct vfu_device *dev, unsigned feature,
			   const struct vfu_feature *functions, void *user)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	return vfui_commands_set_feature(&dev->commands, feature, functions, user, &dev->err);
}

/* ---- gate ---- */

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

	if (is_child(dev))
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

/* ---- state ---- */

static const char *name_of_state(uint64_t state)
{
	const struct vfui_desc_name *name =
		vfui_desc_struct("feature_device_state")->fields[0].names;

	while (name->name && name->value != state)
		name++;
	return name->name;
}

int vfu_device_set_state(struct vfu_device *dev, unsigned state)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	if (!name_of_state(state))
		return -EINVAL;
	atomic_store(&dev->state, (uint8_t)state);
	return 0;
}

int vfui_device_check_state(const struct vfu_device *dev, const struct vfui_message *info,
			    struct vfu_err *err)
{
	unsigned state = atomic_load(&dev->state);

	if (!info->states || info->states & 1u << state)
		return 0;
	return vfui_err_set(err, -EINVAL, info->name, 0, "%s %s, and the device is %s", info->name,
			    info->states_rule, name_of_state(state));
}

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

/* ---- what passes on: configuration space, regions, interrupts, DMA ---- */

/* Notes how a call ended that tells no more than its result. */
static int ended(struct vfu_device *dev, int rc, const char *call)
{
	if (rc < 0)
		return vfui_err_set(&dev->err, rc, NULL, 0, "%s: %s", call, strerror(-rc));
	vfui_err_clear(&dev->err);
	return rc;
}

int vfu_device_set_ids(struct vfu_device *dev, uint16_t vendor, uint16_t device, uint16_t subvendor,
		       uint16_t subdevice)
{
	return ended(dev,
		     is_child(dev)
			     ? -EOWNERDEAD
			     : vfui_pci_set_ids(&dev->pci, vendor, device, subvendor, subdevice),
		     "vfu_device_set_ids");
}

int vfu_device_set_class(struct vfu_device *dev, uint32_t class_code, uint8_t revision)
{
	return ended(dev,
		     is_child(dev) ? -EOWNERDEAD
				   : vfui_pci_set_class(&dev->pci, class_code, revision),
		     "vfu_device_set_class (24 bits)");
}

int vfu_device_set_config_size(struct vfu_device *dev, size_t size)
{
	return ended(dev, is_child(dev) ? -EOWNERDEAD : vfui_pci_set_size(&dev->pci, size),
		     "vfu_device_set_config_size (256 or 4096)");
}

int vfu_device_add_capability(struct vfu_device *dev, uint8_t id, const void *data, size_t len)
{
	return vfu_device_add_capability_at(dev, id, 0, data, len);
}

int vfu_device_add_capability_at(struct vfu_device *dev, uint8_t id, unsigned offset,
				 const void *data, size_t len)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	return vfui_pci_add_capability(&dev->pci, id, offset, data, len, &dev->err);
}

int vfu_device_add_extended_capability(struct vfu_device *dev, uint16_t id, unsigned version,
				       unsigned offset, const void *data, size_t len)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	return vfui_pci_add_extended(&dev->pci, id, version, offset, data, len, &dev->err);
}

int vfu_device_add_power_management(struct vfu_device *dev, unsigned flags, unsigned offset)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	return vfui_pci_add_power(&dev->pci, flags, offset, &dev->err);
}

int vfu_device_add_express(struct vfu_device *dev, const struct vfu_express *express,
			   unsigned offset)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	return vfui_pci_add_express(&dev->pci, express, offset, &dev->err);
}

int vfu_device_find_capability(struct vfu_device *dev, unsigned id, unsigned after)
{
	return ended(dev,
		     is_child(dev) ? -EOWNERDEAD : vfui_pci_find_capability(&dev->pci, id, after),
		     "vfu_device_find_capability");
}

int vfu_device_find_extended_capability(struct vfu_device *dev, unsigned id, unsigned after)
{
	return ended(dev,
		     is_child(dev) ? -EOWNERDEAD : vfui_pci_find_extended(&dev->pci, id, after),
		     "vfu_device_find_extended_capability");
}

int vfu_device_config_state(struct vfu_device *dev, enum vfu_config_state what)
{
	return ended(dev, is_child(dev) ? -EOWNERDEAD : vfui_pci_state(&dev->pci, what),
		     "vfu_device_config_state");
}

int vfu_device_config_read(struct vfu_device *dev, size_t offset, void *buf, size_t len)
{
	return ended(dev, is_child(dev) ? -EOWNERDEAD : vfui_pci_read(&dev->pci, offset, buf, len),
		     "vfu_device_config_read");
}

int vfu_device_config_write(struct vfu_device *dev, size_t offset, const void *buf, size_t len)
{
	return ended(dev, is_child(dev) ? -EOWNERDEAD : vfui_pci_write(&dev->pci, offset, buf, len),
		     "vfu_device_config_write");
}

/* Worth a word: it is as the device said, and yet no client will. */
static void tell_if_unmappable(struct vfu_device *dev, unsigned index)
{
	if (vfui_region_is_unmappable(&dev->regions, index))
		vfui_log(
			&dev->log, VFU_LOG_WARN,
			"region %u can not be mapped: the MSI-X table and its pending bits, which are reached by "
			"messages alone, have all of its pages",
			index);
}

int vfu_device_set_region(struct vfu_device *dev, unsigned index, const struct vfu_region *region)
{
	int rc;

	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	rc = vfui_region_set(&dev->regions, index, region, &dev->err);
	if (rc < 0)
		return rc;
	rc = ended(dev, vfui_pci_region_changed(&dev->pci, index), "vfu_device_set_region");
	tell_if_unmappable(dev, index);
	return rc;
}

int vfu_device_add_region(struct vfu_device *dev, uint32_t type, uint32_t subtype,
			  const struct vfu_region *region)
{
	const struct vfu_wire_cap_type what = {.type = type, .subtype = subtype};
	const size_t head = sizeof(struct vfu_wire_region_cap_header);
	const struct vfu_region_capability cap = {.id = VFU_WIRE_REGION_CAP_TYPE,
						  .version = 1,
						  .data = (const uint8_t *)&what + head,
						  .len = sizeof(what) - head};
	unsigned index;
	int rc;

	if (is_child(dev))
		return -EOWNERDEAD;
	index = vfui_regions_free_index(&dev->regions);
	if (index == VFU_REGIONS_MAX) {
		vfui_os_close(region->fd);
		return vfui_err_set(&dev->err, -ENOSPC, "region.index", 0,
				    "a device has at most %d regions", VFU_REGIONS_MAX);
	}
	rc = vfu_device_set_region(dev, index, region);
	if (!rc)
		rc = vfu_device_add_region_capability(dev, index, &cap);
	if (!rc)
		return (int)index;
	vfui_region_set(&dev->regions, index, &(struct vfu_region){.fd = -1}, NULL);
	return rc;
}

int vfu_device_set_rom(struct vfu_device *dev, const void *data, size_t len)
{
	enum { LEAST = 2048, MOST = 1 << 24 };
	struct vfu_region rom = {.size = LEAST, .flags = VFU_REGION_READ, .fd = -1};
	int rc;

	if (is_child(dev))
		return -EOWNERDEAD;
	if (!len || len > MOST)
		return vfui_err_set(&dev->err, -EINVAL, "rom.len", 0, "1 byte to 16 MiB, not %zu",
				    len);
	while (rom.size < len)
		rom.size *= 2;
	rc = vfu_device_set_region(dev, VFU_REGION_ROM, &rom);
	if (rc < 0)
		return rc;
	if (!vfui_region_memory(&dev->regions, VFU_REGION_ROM))
		return vfui_err_set(&dev->err, -ENOMEM, NULL, 0, "no memory for the ROM");
	memcpy(vfui_region_memory(&dev->regions, VFU_REGION_ROM), data, len);
	return 0;
}

int vfu_device_add_region_capability(struct vfu_device *dev, unsigned index,
				     const struct vfu_region_capability *cap)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	return vfui_region_add_capability(&dev->regions, index, cap, &dev->err);
}

static int add_ioevent(struct vfu_device *dev, unsigned index, const struct vfui_ioevent *one)
{
	struct vfui_region *region;

	if (is_child(dev))
		return -EOWNERDEAD;
	region = vfui_region_at(&dev->regions, index);
	vfui_err_clear(&dev->err);
	if (!region || !region->def.size)
		return vfui_err_set(&dev->err, -EINVAL, "region.index", 0, "no region %u", index);
	region->ioevents.events = &dev->events;
	return vfui_ioevents_add(&region->ioevents, region->def.size, one, &dev->err);
}

int vfu_device_add_ioevent(struct vfu_device *dev, unsigned index,
			   const struct vfu_ioevent_place *places, unsigned n, vfu_ioevent_fn *fn,
			   void *user)
{
	const struct vfui_ioevent one = {.type = VFU_WIRE_IO_FD_TYPE_IOEVENTFD,
					 .places = (struct vfu_ioevent_place *)places,
					 .nplaces = n,
					 .fn = fn,
					 .user = user,
					 .file = -1};

	return add_ioevent(dev, index, &one);
}

int vfu_device_add_shadow_ioevent(struct vfu_device *dev, unsigned index,
				  const struct vfu_ioevent_place *place, int fd, uint64_t offset,
				  vfu_ioevent_fn *fn, void *user)
{
	const struct vfui_ioevent one = {.type = VFU_WIRE_IO_FD_TYPE_SHADOW,
					 .places = (struct vfu_ioevent_place *)place,
					 .nplaces = 1,
					 .fn = fn,
					 .user = user,
					 .file = fd,
					 .shadow = offset};

	return add_ioevent(dev, index, &one);
}

int vfu_device_add_ioregion(struct vfu_device *dev, unsigned index, uint64_t offset, uint64_t size,
			    uint32_t flags, uint64_t user_data, int fd)
{
	struct vfu_ioevent_place place = {.offset = offset, .datamatch = user_data, .flags = flags};
	const struct vfui_ioevent one = {.type = VFU_WIRE_IO_FD_TYPE_IOREGIONFD,
					 .places = &place,
					 .nplaces = 1,
					 .size = size,
					 .file = fd};

	return add_ioevent(dev, index, &one);
}

int vfu_device_set_handler(struct vfu_device *dev, unsigned index, uint64_t offset, uint64_t size,
			   vfu_access_fn *fn, void *user)
{
	int rc;

	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	rc = vfui_pci_check_handler(&dev->pci, index, offset, size, &dev->err);
	return rc ? rc
		  : vfui_region_set_handler(&dev->regions, index, offset, size, fn, user,
					    &dev->err);
}

int vfu_device_add_register(struct vfu_device *dev, unsigned index, const struct vfu_register *reg)
{
	int rc = 0;

	if (is_child(dev))
		return -EOWNERDEAD;
	vfui_err_clear(&dev->err);
	if (index == VFU_REGION_CONFIG)
		rc = vfui_pci_check_register(&dev->pci, reg, &dev->err);
	return rc ? rc : vfui_register_add(&dev->regions, index, reg, &dev->err);
}

int vfu_device_update_register(struct vfu_device *dev, unsigned index, uint64_t offset,
			       unsigned width, uint64_t mask, uint64_t value)
{
	if (is_child(dev))
		return -EOWNERDEAD;
	/* There the owner writes, one byte after the other. */
	if (index == VFU_REGION_CONFIG &&
	    vfui_pci_check_handler(&dev->pci, index, offset, width, NULL))
		return -EINVAL;
	return vfui_register_update(&dev->regions, index, offset, width, mask, value);
}

void *vfu_device_region_memory(struct vfu_device *dev, unsigned index)
{
	return is_child(dev) ? NULL : vfui_region_memory(&dev->regions, index);
}

int vfu_device_set_intx(struct vfu_device *dev, unsigned pin)
{
	return ended(dev, is_child(dev) ? -EOWNERDEAD : vfui_pci_set_intx(&dev->pci, pin),
		     "vfu_device_set_intx (pin 0 to 4)");
}

int vfu_device_set_msi(struct vfu_device *dev, unsigned vectors)
{
	return vfu_device_set_msi_layout(dev, vectors, VFU_MSI_64);
}

int vfu_device_set_msi_layout(struct vfu_device *dev, unsigned vectors, unsigned flags)
{
	return ended(dev, is_child(dev) ? -EOWNERDEAD : vfui_pci_set_msi(&dev->pci, vectors, flags),
		     "vfu_device_set_msi (1, 2, 4, 8, 16 or 32 vectors)");
}

int vfu_device_set_msix(struct vfu_device *dev, unsigned vectors, unsigned bar,
			uint32_t table_offset, uint32_t pba_offset)
{
	int rc = is_child(dev)
			 ? -EOWNERDEAD
			 : vfui_pci_set_msix(&dev->pci, vectors, bar, table_offset, pba_offset);

	if (!rc && vectors)
		tell_if_unmappable(dev, bar);
	return ended(dev, rc,
		     "vfu_device_set_msix (1 to 2048 vectors; table and pending bits apart, in a "
		     "BAR that there is)");
}

/* These may be called by any thread, so they leave no detail behind. */

int vfu_irq_raise(struct vfu_device *dev, unsigned index, unsigned vector)
{
	int rc = is_child(dev) ? -EOWNERDEAD : vfui_irqs_raise(&dev->irqs, index, vector);

	if (rc != VFUI_IRQ_WAITS)
		return rc;
	vfui_log(&dev->log, VFU_LOG_WARN,
		 "%s %u waits: the client has not turned bus mastering on (E63)",
		 index == VFU_IRQ_MSI ? "MSI" : "MSI-X", vector);
	return 0;
}

static void raise_late(void *user, unsigned index, unsigned vector)
{
	struct vfu_device *dev = user;
	int rc = vfu_irq_raise(dev, index, vector);

	if (rc < 0)
		vfui_log(&dev->log, VFU_LOG_WARN, "interrupt %u/%u after DMA: %s", index, vector,
			 strerror(-rc));
}

int vfu_irq_raise_after(struct vfu_device *dev, unsigned index, unsigned vector)
{
	if (is_child(dev) || !vfui_dma_is_busy(&dev->dma))
		return vfu_irq_raise(dev, index, vector);
	return vfui_dma_after(&dev->dma, raise_late, dev, index, vector);
}

int vfu_irq_lower(struct vfu_device *dev)
{
	return is_child(dev) ? -EOWNERDEAD : vfui_irqs_lower(&dev->irqs);
}

int vfu_dma_read_async(struct vfu_device *dev, uint64_t iova, void *buf, size_t len, vfu_dma_fn *fn,
		       void *user)
{
	return is_child(dev) ? -EOWNERDEAD
			     : vfui_dma_read_async(&dev->dma, iova, buf, len, fn, user);
}

int vfu_dma_write_async(struct vfu_device *dev, uint64_t iova, const void *buf, size_t len,
			vfu_dma_fn *fn, void *user)
{
	return is_child(dev) ? -EOWNERDEAD
			     : vfui_dma_write_async(&dev->dma, iova, buf, len, fn, user);
}

int vfu_dma_read(struct vfu_device *dev, uint64_t iova, void *buf, size_t len)
{
	return is_child(dev) ? -EOWNERDEAD : vfui_dma_read(&dev->dma, iova, buf, len);
}

int vfu_dma_write(struct vfu_device *dev, uint64_t iova, const void *buf, size_t len)
{
	return is_child(dev) ? -EOWNERDEAD : vfui_dma_write(&dev->dma, iova, buf, len);
}

int vfu_dma_readv_async(struct vfu_device *dev, const struct vfu_dma_piece *pieces, size_t n,
			void *buf, vfu_dma_fn *fn, void *user)
{
	return is_child(dev) ? -EOWNERDEAD
			     : vfui_dma_list_async(&dev->dma, pieces, n, buf, false, fn, user);
}

int vfu_dma_writev_async(struct vfu_device *dev, const struct vfu_dma_piece *pieces, size_t n,
			 const void *buf, vfu_dma_fn *fn, void *user)
{
	return is_child(dev) ? -EOWNERDEAD
			     : vfui_dma_list_async(&dev->dma, pieces, n, (uint8_t *)(uintptr_t)buf,
						   true, fn, user);
}

int vfu_dma_fill_async(struct vfu_device *dev, uint64_t iova, size_t len, uint8_t byte,
		       vfu_dma_fn *fn, void *user)
{
	return is_child(dev) ? -EOWNERDEAD
			     : vfui_dma_fill_async(&dev->dma, iova, len, byte, fn, user);
}

int vfu_dma_pin(struct vfu_device *dev, uint64_t iova, size_t len, unsigned flags,
		struct vfu_dma_pin *pin)
{
	return is_child(dev) ? -EOWNERDEAD : vfui_dma_pin(&dev->dma, iova, len, flags, pin);
}

int vfu_dma_pin_async(struct vfu_device *dev, uint64_t iova, size_t len, unsigned flags,
		      struct vfu_dma_pin *pin, vfu_dma_fn *fn, void *user)
{
	return is_child(dev) ? -EOWNERDEAD
			     : vfui_dma_pin_async(&dev->dma, iova, len, flags, pin, fn, user);
}

int vfu_dma_unpin_async(struct vfu_device *dev, struct vfu_dma_pin *pin, vfu_dma_fn *fn, void *user)
{
	return is_child(dev) ? -EOWNERDEAD : vfui_dma_unpin_async(&dev->dma, pin, fn, user);
}

int vfu_dma_unpin(struct vfu_device *dev, struct vfu_dma_pin *pin)
{
	return is_child(dev) ? -EOWNERDEAD : vfui_dma_unpin(&dev->dma, pin);
}

size_t vfu_dma_ranges(struct vfu_device *dev, struct vfu_dma_range *out, size_t n)
{
	return is_child(dev) ? 0 : vfui_dma_list(&dev->dma, out, n);
}
