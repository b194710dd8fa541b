/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-access.c - accesses to configuration space: the client's, with what a write sets off, and the device's.
 */
#include "device/pci-access.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/util.h"
#include "device/dma.h"
#include "device/irq.h"
#include "device/masks.h"
#include "device/pci-caps.h"
#include "device/pci-masks.h"
#include "device/region.h"

enum { PM_D3HOT = 3 };

/* Bits that reset the function when written as one, if the capability says that it can. Bytes from the capability. */
static const struct trigger {
	uint8_t cap, offset, bit, can_offset, can_bit;
} flr_triggers[] = {
	{PCI_CAP_ID_EXP, PCI_EXP_DEVCTL + 1, PCI_EXP_DEVCTL_BCR_FLR >> 8, PCI_EXP_DEVCAP + 3,
	 PCI_EXP_DEVCAP_FLR >> 24},
	{PCI_CAP_ID_AF, PCI_AF_CTRL, PCI_AF_CTRL_FLR, PCI_AF_CAP, PCI_AF_CAP_FLR},
};

/* The byte that a write puts at offset, -1: it does not. */
static int written_byte(unsigned offset, const struct vfu_access *access)
{
	if (offset < access->offset || offset - access->offset >= access->count)
		return -1;
	return ((const uint8_t *)access->data)[offset - access->offset];
}

static bool asks_flr(const struct vfui_pci *pci, const struct vfu_access *access)
{
	for (size_t i = 0; i < VFUI_ARRAY_SIZE(flr_triggers); i++) {
		const struct trigger *t = &flr_triggers[i];
		unsigned cap = vfui_pci_find_cap(pci, t->cap);
		int byte = cap ? written_byte(cap + t->offset, access) : -1;

		if (byte >= 0 && byte & t->bit && pci->config[cap + t->can_offset] & t->can_bit)
			return true;
	}
	return false;
}

/* From D3hot to D0 a function resets, unless it says that it does not. */
static bool asks_pm_reset(const struct vfui_pci *pci, const struct vfu_access *access)
{
	unsigned cap = vfui_pci_find_cap(pci, PCI_CAP_ID_PM),
		 now = cap ? pci->config[cap + PCI_PM_CTRL] : 0;
	int byte = cap ? written_byte(cap + PCI_PM_CTRL, access) : -1;

	return byte >= 0 && (now & PCI_PM_CTRL_STATE_MASK) == PM_D3HOT &&
	       !(byte & PCI_PM_CTRL_STATE_MASK) && !(now & PCI_PM_CTRL_NO_SOFT_RESET);
}

/*
 * A vector whose bit is set waits; what it waits with fires when the bit is cleared. Few writes change one, so the
 * others take no vector's lock.
 */
static void apply_msi_masks(struct vfui_pci *pci, bool ours)
{
	uint32_t bits = ours && pci->msi_mask ? vfui_pci_get(pci->config + pci->msi_mask, 4) : 0;
	uint32_t changed = bits ^ pci->msi_masked;

	pci->msi_masked = bits;
	for (uint32_t i = 0; changed; i++, changed >>= 1)
		if (changed & 1)
			vfui_irqs_mask(pci->irqs, VFU_IRQ_MSI, i, bits >> i & 1);
}

void vfui_pci_apply(struct vfui_pci *pci)
{
	unsigned command = vfui_pci_get(pci->config + PCI_COMMAND, 2);
	/* With a configuration space of the device's own, ours says nothing. */
	bool ours = vfui_pci_is_ours(pci);
	bool no_master = ours && pci->bus_master_matters && !(command & PCI_COMMAND_MASTER);
	unsigned messages = no_master ? VFUI_HELD_NO_MASTER : 0;
	unsigned msix = pci->msix ? vfui_pci_get(pci->config + pci->msix + 2, 2) : 0;
	bool masked = ours && (msix & PCI_MSIX_FLAGS_ENABLE) && (msix & PCI_MSIX_FLAGS_MASKALL);

	vfui_dma_set_blocked(pci->dma, no_master);
	vfui_irqs_hold(pci->irqs, VFU_IRQ_INTX,
		       ours && command & PCI_COMMAND_INTX_DISABLE ? VFUI_HELD_MASKED : 0);
	vfui_irqs_hold(pci->irqs, VFU_IRQ_MSI, messages);
	vfui_irqs_hold(pci->irqs, VFU_IRQ_MSIX, messages | (masked ? VFUI_HELD_MASKED : 0));
	apply_msi_masks(pci, ours);
}

static unsigned power_state(const struct vfui_pci *pci)
{
	unsigned cap = vfui_pci_find_cap(pci, PCI_CAP_ID_PM);

	return cap ? pci->config[cap + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK : 0;
}

/* A write of a state that the function has not, D1 or D2, changes none: old is what it was in. */
static void refuse_power_state(struct vfui_pci *pci, unsigned old)
{
	static const uint16_t has[] = {[1] = PCI_PM_CAP_D1, [2] = PCI_PM_CAP_D2};
	unsigned cap = vfui_pci_find_cap(pci, PCI_CAP_ID_PM), state = power_state(pci);

	if (state == old || !state || state == PM_D3HOT ||
	    vfui_pci_get(pci->config + cap + PCI_PM_PMC, 2) & has[state])
		return;
	pci->config[cap + PCI_PM_CTRL] &= (uint8_t)~PCI_PM_CTRL_STATE_MASK;
	pci->config[cap + PCI_PM_CTRL] |= (uint8_t)old;
}

static int client_write(struct vfui_pci *pci, struct vfu_request *req,
			const struct vfu_access *access)
{
	const uint8_t *data = access->data;
	bool resets = asks_flr(pci, access) || asks_pm_reset(pci, access);
	unsigned state = power_state(pci);

	for (uint32_t i = 0; i < access->count; i++) {
		size_t at = (size_t)access->offset + i;
		struct vfui_masks bits = {pci->write_mask[at], pci->w1c_mask[at], 0};

		pci->config[at] = (uint8_t)vfui_masks_apply(bits, pci->config[at], data[i]);
	}
	refuse_power_state(pci, state);
	vfui_pci_apply(pci);
	if (pci->hooks.written)
		pci->hooks.written(pci->hooks.ctx, (size_t)access->offset, access->count);
	if (!resets)
		return 0;
	if (pci->hooks.reset)
		return pci->hooks.reset(pci->hooks.ctx, req);
	vfui_pci_reset(pci);
	return 0;
}

int vfui_pci_access(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct vfui_pci *pci = user;

	if (access->is_write)
		return client_write(pci, req, access);
	return vfui_pci_read(pci, (size_t)access->offset, access->data, access->count);
}

void vfui_pci_reset(struct vfui_pci *pci)
{
	for (size_t i = 0; i < pci->size; i++) {
		uint8_t mask = pci->write_mask[i] | pci->w1c_mask[i];

		/* The others are not even read: another thread may write a register's (vfu_device_update_register). */
		if (mask)
			pci->config[i] =
				(uint8_t)((pci->config[i] & ~mask) | (pci->reset_value[i] & mask));
	}
	vfui_msix_reset(&pci->tables);
	vfui_pci_apply(pci);
}

/* ---- the device's view ------------------------------------------------------------------------- */

/* What is read as it is just now: Status follows the line, E64; pending bits of MSI. */
static void show_interrupts(struct vfui_pci *pci)
{
	pci->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
	if (vfui_irqs_line(pci->irqs))
		pci->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	for (unsigned i = 0; pci->msi_mask && i < 4; i++)
		pci->config[pci->msi_mask + 4 + i] = vfui_irqs_pending(pci->irqs, VFU_IRQ_MSI, i);
}

int vfui_pci_read(struct vfui_pci *pci, size_t offset, void *buf, size_t len)
{
	if (!vfui_is_inside(offset, len, pci->size))
		return -EINVAL;
	if (!len)
		return 0;
	show_interrupts(pci);
	vfui_memory_read(buf, pci->config + offset, len);
	return 0;
}

int vfui_pci_write(struct vfui_pci *pci, size_t offset, const void *buf, size_t len)
{
	if (!vfui_is_inside(offset, len, pci->size))
		return -EINVAL;
	if (len)
		vfui_memory_write(pci->config + offset, buf, len);
	vfui_pci_apply(pci);
	return 0;
}

/* Where the client says what: bits of 16-bit registers. */
static const struct {
	uint8_t cap, offset, shift, bits;
} states[] = {
	[VFU_CONFIG_IO] = {VFUI_PCI_HEADER, PCI_COMMAND, 0, 1},
	[VFU_CONFIG_MEMORY] = {VFUI_PCI_HEADER, PCI_COMMAND, 1, 1},
	[VFU_CONFIG_BUS_MASTER] = {VFUI_PCI_HEADER, PCI_COMMAND, 2, 1},
	[VFU_CONFIG_INTX_OFF] = {VFUI_PCI_HEADER, PCI_COMMAND, 10, 1},
	[VFU_CONFIG_POWER_STATE] = {PCI_CAP_ID_PM, PCI_PM_CTRL, 0, 2},
	[VFU_CONFIG_MSI] = {PCI_CAP_ID_MSI, PCI_MSI_FLAGS, 0, 1},
	[VFU_CONFIG_MSI_VECTORS] = {PCI_CAP_ID_MSI, PCI_MSI_FLAGS, 4, 3},
	[VFU_CONFIG_MSIX] = {PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, 15, 1},
	[VFU_CONFIG_MSIX_MASKED] = {PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, 14, 1},
};

int vfui_pci_state(const struct vfui_pci *pci, unsigned what)
{
	unsigned at, value;

	if (what >= VFUI_ARRAY_SIZE(states))
		return -EINVAL;
	at = states[what].cap == VFUI_PCI_HEADER ? 0 : vfui_pci_find_cap(pci, states[what].cap);
	if (!at && states[what].cap != VFUI_PCI_HEADER)
		return 0;
	value = vfui_pci_get(pci->config + at + states[what].offset, 2) >> states[what].shift;
	value &= (1u << states[what].bits) - 1;
	/* A driver must not enable more than there are. */
	if (what == VFU_CONFIG_MSI_VECTORS)
		return (int)vfui_min(UINT64_C(1) << value, pci->irqs->index[VFU_IRQ_MSI].count);
	return (int)value;
}
