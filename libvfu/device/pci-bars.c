/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-bars.c - BAR and ROM registers, from which a client reads sizes.
 */
#include "device/pci-bars.h"

#include <linux/pci_regs.h>

#include "device/region.h"

/* A BAR register: the low bits of its kind, then address bits from the size up. */
static void set_bar(struct vfui_pci *pci, unsigned offset, unsigned width, uint64_t size,
		    unsigned kind, unsigned writable)
{
	uint64_t mask = size ? ~(size - 1) : 0;
	uint8_t *config = pci->config + offset;

	vfui_pci_put(pci->write_mask + offset, width, mask | (size ? writable : 0));
	for (unsigned i = 0; i < width; i++)
		config[i] &= pci->write_mask[offset + i];
	config[0] |= (uint8_t)kind;
}

void vfui_pci_set_bars(struct vfui_pci *pci)
{
	for (unsigned i = 0, width; i <= VFU_REGION_BAR5; i += width / 4) {
		const struct vfu_region *def = &pci->regions->region[i].def;
		bool wide = def->size && def->bar_flags & VFU_BAR_64;
		unsigned kind = 0;

		if (def->size)
			kind = (def->bar_flags & VFU_BAR_IO ? PCI_BASE_ADDRESS_SPACE_IO : 0) |
			       (wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
			       (def->bar_flags & VFU_BAR_PREFETCH ? PCI_BASE_ADDRESS_MEM_PREFETCH
								  : 0);
		width = wide ? 8 : 4;
		set_bar(pci, PCI_BASE_ADDRESS_0 + i * 4, width, def->size, kind, 0);
	}
	set_bar(pci, PCI_ROM_ADDRESS, 4, pci->regions->region[VFU_REGION_ROM].def.size, 0,
		PCI_ROM_ADDRESS_ENABLE);
}
