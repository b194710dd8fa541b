/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-irq.c - the pin and the capabilities of interrupts in configuration space.
 */
#include "device/pci-irq.h"

#include <errno.h>
#include <linux/pci_regs.h>

#include "base/util.h"
#include "device/irq.h"
#include "device/pci-access.h"
#include "device/pci-caps.h"
#include "device/pci-masks.h"

int vfui_pci_set_intx(struct vfui_pci *pci, unsigned pin)
{
	int rc = pin > 4 ? -EINVAL : vfui_irqs_set_count(pci->irqs, VFU_IRQ_INTX, pin ? 1 : 0);

	if (!rc)
		pci->config[PCI_INTERRUPT_PIN] = (uint8_t)pin;
	return rc;
}

/* Puts a capability, its id first, in place of the old one at *where (0: none); then the index has its vectors. */
static int replace_cap(struct vfui_pci *pci, uint8_t *where, size_t old_len, const uint8_t *cap,
		       size_t len, unsigned index, unsigned vectors)
{
	int rc;

	if (vectors && !vfui_pci_has_room(pci, *where, old_len, len))
		return -ENOSPC;
	rc = vfui_irqs_set_count(pci->irqs, index, vectors);
	if (rc)
		return rc;
	if (*where)
		vfui_pci_remove_cap(pci, *where, old_len);
	*where = vectors ? (uint8_t)vfui_pci_add_cap(pci, cap[0], 0, cap + 2, len - 2, NULL) : 0;
	return 0;
}

/* The four layouts of MSI, by VFU_MSI_*: how long, and where the mask bits are. */
static const struct {
	uint8_t len, mask;
} msi_layouts[] = {
	[0] = {PCI_MSI_DATA_32 + 2, 0},
	[VFU_MSI_64] = {PCI_MSI_DATA_64 + 2, 0},
	[VFU_MSI_MASKABLE] = {PCI_MSI_PENDING_32 + 4, PCI_MSI_MASK_32},
	[VFU_MSI_64 | VFU_MSI_MASKABLE] = {PCI_MSI_PENDING_64 + 4, PCI_MSI_MASK_64},
};

int vfui_pci_set_msi(struct vfui_pci *pci, unsigned vectors, unsigned flags)
{
	uint8_t cap[PCI_MSI_PENDING_64 + 4] = {PCI_CAP_ID_MSI};
	unsigned log = 0, mask;
	int rc;

	if (vectors > 32 || vectors & (vectors - 1) || flags >= VFUI_ARRAY_SIZE(msi_layouts))
		return -EINVAL;
	while (1u << log < vectors)
		log++;
	vfui_pci_put(cap + PCI_MSI_FLAGS, 2,
		     (flags & VFU_MSI_64 ? PCI_MSI_FLAGS_64BIT : 0) |
			     (flags & VFU_MSI_MASKABLE ? PCI_MSI_FLAGS_MASKBIT : 0) | log << 1);
	rc = replace_cap(pci, &pci->msi, pci->msi_len, cap, msi_layouts[flags].len, VFU_IRQ_MSI,
			 vectors);
	if (rc)
		return rc;
	pci->msi_len = pci->msi ? msi_layouts[flags].len : 0;
	mask = pci->msi ? msi_layouts[flags].mask : 0;
	pci->msi_mask = mask ? (uint8_t)(pci->msi + mask) : 0;
	if (pci->msi)
		vfui_pci_set_masks(pci, VFUI_PCI_MSI_LAYOUT(flags & VFU_MSI_64), pci->msi,
				   pci->msi_len);
	if (mask)
		vfui_pci_put(pci->write_mask + pci->msi_mask, 4, (UINT64_C(1) << vectors) - 1);
	vfui_pci_apply(pci);
	return 0;
}

int vfui_pci_set_msix(struct vfui_pci *pci, unsigned vectors, unsigned bar, uint32_t table_offset,
		      uint32_t pba_offset, struct vfu_err *err)
{
	struct vfui_msix_place old = pci->tables.place, place = {0};
	uint8_t cap[PCI_CAP_MSIX_SIZEOF] = {PCI_CAP_ID_MSIX};
	int rc;

	if (vectors)
		place = (struct vfui_msix_place){bar, table_offset, pba_offset, vectors};
	rc = vfui_msix_move(&pci->tables, &place, err);
	if (rc)
		return rc;
	vfui_pci_put(cap + PCI_MSIX_FLAGS, 2, vectors - 1);
	vfui_pci_put(cap + PCI_MSIX_TABLE, 4, table_offset | bar);
	vfui_pci_put(cap + PCI_MSIX_PBA, 4, pba_offset | bar);
	rc = replace_cap(pci, &pci->msix, sizeof(cap), cap, sizeof(cap), VFU_IRQ_MSIX, vectors);
	if (rc) {
		vfui_msix_move(&pci->tables, &old, NULL);
		return rc;
	}
	vfui_pci_apply(pci);
	vfui_msix_reset(&pci->tables);
	return 0;
}
