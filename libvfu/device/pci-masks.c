/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-masks.c - what a client can change in configuration space: tables by capability.
 */
#include "device/pci-masks.h"

#include <linux/pci_regs.h>

#include "base/util.h"

/*
 * What a client can change: bits it writes, and bits it clears by writing ones; with can_bits only if the
 * capability says in that byte that it has what they are for. Offsets count from the capability. What is in no line is
 * read-only, so are all other capabilities.
 */
static const struct mask {
	uint16_t cap;
	uint8_t offset, size;
	uint32_t write, w1c;
	uint8_t can_offset, can_bits;
} masks[] = {
	/* Command: I/O, memory, bus master, parity, SERR, DisINTx. Status: the error bits. */
	{VFUI_PCI_HEADER, PCI_COMMAND, 2, 0x0547, 0},
	{VFUI_PCI_HEADER, PCI_STATUS, 2, 0, 0xf900},
	/* Cache line size, latency timer; interrupt line. */
	{VFUI_PCI_HEADER, PCI_CACHE_LINE_SIZE, 2, 0xffff, 0},
	{VFUI_PCI_HEADER, PCI_INTERRUPT_LINE, 1, 0xff, 0},
	/* PMCSR: state; with events PME enable, data select, PME status. */
	{PCI_CAP_ID_PM, PCI_PM_CTRL, 2, 0x0003, 0},
	{PCI_CAP_ID_PM, PCI_PM_CTRL, 2, 0x1f03, 0x8000, PCI_PM_PMC + 1, PCI_PM_CAP_PME_MASK >> 8},
	/* Control: enable, multiple message enable; address, data. Mask bits are as many as vectors: pci-irq.c. */
	{PCI_CAP_ID_MSI, PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, 0},
	{PCI_CAP_ID_MSI, PCI_MSI_ADDRESS_LO, 4, 0xfffffffc, 0},
	{VFUI_PCI_MSI_LAYOUT(0), PCI_MSI_DATA_32, 2, 0xffff, 0},
	{VFUI_PCI_MSI_LAYOUT(VFU_MSI_64), PCI_MSI_ADDRESS_HI, 4, 0xffffffff, 0},
	{VFUI_PCI_MSI_LAYOUT(VFU_MSI_64), PCI_MSI_DATA_64, 2, 0xffff, 0},
	{PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0},
	/* Device control but its reset bit, device status, second control; if there is a link the same of that. */
	{PCI_CAP_ID_EXP, PCI_EXP_DEVCTL, 2, 0x7fff, 0},
	{PCI_CAP_ID_EXP, PCI_EXP_DEVSTA, 2, 0, 0x000f},
	{PCI_CAP_ID_EXP, PCI_EXP_DEVCTL2, 2, 0xffff, 0},
	{PCI_CAP_ID_EXP, PCI_EXP_LNKCTL, 2, 0x03cb, 0, PCI_EXP_LNKCAP, PCI_EXP_LNKCAP_SLS},
	{PCI_CAP_ID_EXP, PCI_EXP_LNKCTL2, 2, 0xffff, 0, PCI_EXP_LNKCAP, PCI_EXP_LNKCAP_SLS},
};

void vfui_pci_set_masks(struct vfui_pci *pci, unsigned cap, unsigned base, unsigned len)
{
	for (size_t i = 0; i < VFUI_ARRAY_SIZE(masks); i++) {
		const struct mask *mask = &masks[i];

		if (mask->cap != cap || !vfui_is_inside(mask->offset, mask->size, len) ||
		    (mask->can_bits && !(pci->config[base + mask->can_offset] & mask->can_bits)))
			continue;
		vfui_pci_put(pci->write_mask + base + mask->offset, mask->size, mask->write);
		vfui_pci_put(pci->w1c_mask + base + mask->offset, mask->size, mask->w1c);
	}
}
