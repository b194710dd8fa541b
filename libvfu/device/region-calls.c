/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region-calls.c - the public functions of regions: what they are, and what is inside of them.
 */
#include <errno.h>
#include <string.h>

#include "device/handle.h"
#include "device/register.h"
#include "base/os.h"
#include "wire-region.h"

/* Worth a word: it is as the device said, and yet no client will. */
void vfui_device_tell_unmappable(struct vfu_device *dev, unsigned index)
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

	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	rc = vfui_msix_check_bar(&dev->pci.tables, index, region, &dev->err);
	if (rc < 0)
		vfui_os_close(region->fd);
	else
		rc = vfui_region_set(&dev->regions, index, region, &dev->err);
	if (rc < 0)
		return rc;
	rc = vfui_device_ended(dev, vfui_pci_region_changed(&dev->pci, index),
			       "vfu_device_set_region");
	vfui_device_tell_unmappable(dev, index);
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

	if (vfui_device_is_child(dev))
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

	if (vfui_device_is_child(dev))
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
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_region_add_capability(&dev->regions, index, cap, &dev->err);
}

static int add_ioevent(struct vfu_device *dev, unsigned index, const struct vfui_ioevent *one)
{
	struct vfui_region *region;

	if (vfui_device_is_child(dev))
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

	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	rc = vfui_pci_check_handler(&dev->pci, index, offset, size, &dev->err);
	return rc ? rc
		  : vfui_region_set_handler(&dev->regions, index, offset, size, fn, user,
					    &dev->err);
}

int vfu_device_add_register(struct vfu_device *dev, unsigned index, const struct vfu_register *reg)
{
	int rc = 0;

	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	if (index == VFU_REGION_CONFIG)
		rc = vfui_pci_check_register(&dev->pci, reg, &dev->err);
	return rc ? rc : vfui_register_add(&dev->regions, index, reg, &dev->err);
}

int vfu_device_update_register(struct vfu_device *dev, unsigned index, uint64_t offset,
			       unsigned width, uint64_t mask, uint64_t value)
{
	if (vfui_device_is_child(dev))
		return -EOWNERDEAD;
	/* There the owner writes, one byte after the other. */
	if (index == VFU_REGION_CONFIG &&
	    vfui_pci_check_handler(&dev->pci, index, offset, width, NULL))
		return -EINVAL;
	return vfui_register_update(&dev->regions, index, offset, width, mask, value);
}

void *vfu_device_region_memory(struct vfu_device *dev, unsigned index)
{
	return vfui_device_is_child(dev) ? NULL : vfui_region_memory(&dev->regions, index);
}
