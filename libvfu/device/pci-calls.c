/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-calls.c - the public functions of configuration space.
 */
#include <errno.h>

#include "device/handle.h"

int vfu_device_set_ids(struct vfu_device *dev, uint16_t vendor, uint16_t device, uint16_t subvendor,
		       uint16_t subdevice)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev,
				 vfui_pci_set_ids(&dev->pci, vendor, device, subvendor, subdevice),
				 "vfu_device_set_ids");
}

int vfu_device_set_class(struct vfu_device *dev, uint32_t class_code, uint8_t revision)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev, vfui_pci_set_class(&dev->pci, class_code, revision),
				 "vfu_device_set_class (24 bits)");
}

int vfu_device_set_config_size(struct vfu_device *dev, size_t size)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev, vfui_pci_set_size(&dev->pci, size),
				 "vfu_device_set_config_size (256 or 4096)");
}

int vfu_device_add_capability(struct vfu_device *dev, uint8_t id, const void *data, size_t len)
{
	return vfu_device_add_capability_at(dev, id, 0, data, len);
}

int vfu_device_add_capability_at(struct vfu_device *dev, uint8_t id, unsigned offset,
				 const void *data, size_t len)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_pci_add_capability(&dev->pci, id, offset, data, len, &dev->err);
}

int vfu_device_add_extended_capability(struct vfu_device *dev, uint16_t id, unsigned version,
				       unsigned offset, const void *data, size_t len)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_pci_add_extended(&dev->pci, id, version, offset, data, len, &dev->err);
}

int vfu_device_add_power_management(struct vfu_device *dev, unsigned flags, unsigned offset)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_pci_add_power(&dev->pci, flags, offset, &dev->err);
}

int vfu_device_add_express(struct vfu_device *dev, const struct vfu_express *express,
			   unsigned offset)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_pci_add_express(&dev->pci, express, offset, &dev->err);
}

int vfu_device_find_capability(struct vfu_device *dev, unsigned id, unsigned after)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev, vfui_pci_find_capability(&dev->pci, id, after),
				 "vfu_device_find_capability");
}

int vfu_device_find_extended_capability(struct vfu_device *dev, unsigned id, unsigned after)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev, vfui_pci_find_extended(&dev->pci, id, after),
				 "vfu_device_find_extended_capability");
}

int vfu_device_config_state(struct vfu_device *dev, enum vfu_config_state what)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev, vfui_pci_state(&dev->pci, what), "vfu_device_config_state");
}

int vfu_device_config_read(struct vfu_device *dev, size_t offset, void *buf, size_t len)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev, vfui_pci_read(&dev->pci, offset, buf, len),
				 "vfu_device_config_read");
}

int vfu_device_config_write(struct vfu_device *dev, size_t offset, const void *buf, size_t len)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev, vfui_pci_write(&dev->pci, offset, buf, len),
				 "vfu_device_config_write");
}
