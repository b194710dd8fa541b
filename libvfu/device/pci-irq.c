/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-irq.c - the pin and the capabilities of interrupts in configuration space.
 */
#include "device/pci-irq.h"

#include <errno.h>
#include <linux/pci_regs.h>

#include "device/irq.h"
#include "device/pci-access.h"
#include "device/pci-caps.h"

enum { MSI_LEN = 14, MSIX_LEN = 12 };

int vfui_pci_set_intx(struct vfui_pci *pci, unsigned pin)
{
	int rc = pin > 4 ? -EINVAL : vfui_irqs_set_count(pci->irqs, VFU_IRQ_INTX, pin ? 1 : 0);

	if (!rc)
		pci->config[PCI_INTERRUPT_PIN] = (uint8_t)pin;
	return rc;
}

/* Puts a capability in place of the old one at *where (0: none); then the index has its vectors. */
static int replace_cap(struct vfui_pci *pci, uint8_t *where, uint8_t id, const uint8_t *data,
		       size_t len, unsigned index, unsigned vectors)
{
	int rc;

	if (vectors && !vfui_pci_has_room(pci, *where, len))
		return -ENOSPC;
	rc = vfui_irqs_set_count(pci->irqs, index, vectors);
	if (rc)
		return rc;
	if (*where)
		vfui_pci_remove_cap(pci, *where, len);
	*where = vectors ? (uint8_t)vfui_pci_add_cap(pci, id, data, len - 2) : 0;
	vfui_pci_apply(pci);
	return 0;
}

int vfui_pci_set_msi(struct vfui_pci *pci, unsigned vectors)
{
	uint8_t data[MSI_LEN - 2] = {0};
	unsigned log = 0;

	if (vectors > 32 || vectors & (vectors - 1))
		return -EINVAL;
	while (1u << log < vectors)
		log++;
	vfui_pci_put(data, 2, PCI_MSI_FLAGS_64BIT | log << 1);
	return replace_cap(pci, &pci->msi, PCI_CAP_ID_MSI, data, MSI_LEN, VFU_IRQ_MSI, vectors);
}

int vfui_pci_set_msix(struct vfui_pci *pci, unsigned vectors, unsigned bar, uint32_t table_offset,
		      uint32_t pba_offset)
{
	struct vfui_msix_place old = pci->tables.place, place = {0};
	uint8_t data[MSIX_LEN - 2];
	int rc;

	if (vectors)
		place = (struct vfui_msix_place){bar, table_offset, pba_offset, vectors};
	rc = vfui_msix_move(&pci->tables, &place);
	if (rc)
		return rc;
	vfui_pci_put(data, 2, vectors - 1);
	vfui_pci_put(data + 2, 4, table_offset | bar);
	vfui_pci_put(data + 6, 4, pba_offset | bar);
	rc = replace_cap(pci, &pci->msix, PCI_CAP_ID_MSIX, data, MSIX_LEN, VFU_IRQ_MSIX, vectors);
	if (rc)
		vfui_msix_move(&pci->tables, &old);
	else
		vfui_msix_reset(&pci->tables);
	return rc;
}
