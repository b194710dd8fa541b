/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * irq-calls.c - the public functions of interrupts: which there are, and raising them.
 */
#include <errno.h>
#include <string.h>

#include "device/handle.h"

int vfu_device_set_intx(struct vfu_device *dev, unsigned pin)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev, vfui_pci_set_intx(&dev->pci, pin),
				 "vfu_device_set_intx (pin 0 to 4)");
}

int vfu_device_set_msi(struct vfu_device *dev, unsigned vectors)
{
	return vfu_device_set_msi_layout(dev, vectors, VFU_MSI_64);
}

int vfu_device_set_msi_layout(struct vfu_device *dev, unsigned vectors, unsigned flags)
{
	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	return vfui_device_ended(dev, vfui_pci_set_msi(&dev->pci, vectors, flags),
				 "vfu_device_set_msi (1, 2, 4, 8, 16 or 32 vectors)");
}

int vfu_device_set_msix(struct vfu_device *dev, unsigned vectors, unsigned bar,
			uint32_t table_offset, uint32_t pba_offset)
{
	int rc;

	if (!vfui_device_begin(dev))
		return -EOWNERDEAD;
	rc = vfui_pci_set_msix(&dev->pci, vectors, bar, table_offset, pba_offset, &dev->err);
	if (!rc && vectors)
		vfui_device_tell_unmappable(dev, bar);
	return rc && dev->err.code ? rc : vfui_device_ended(dev, rc, "vfu_device_set_msix");
}

/* These may be called by any thread, so they leave no detail behind. */

int vfu_irq_raise(struct vfu_device *dev, unsigned index, unsigned vector)
{
	int rc = vfui_device_is_child(dev) ? -EOWNERDEAD
					   : vfui_irqs_raise(&dev->irqs, index, vector);

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
	if (vfui_device_is_child(dev) || !vfui_dma_is_busy(&dev->dma))
		return vfu_irq_raise(dev, index, vector);
	return vfui_dma_after(&dev->dma, raise_late, dev, index, vector);
}

int vfu_irq_lower(struct vfu_device *dev)
{
	return vfui_device_is_child(dev) ? -EOWNERDEAD : vfui_irqs_lower(&dev->irqs);
}
