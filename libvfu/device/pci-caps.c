/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-caps.c - the list of capabilities in configuration space: where they are, how they are linked.
 */
#include "device/pci-caps.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/util.h"
#include "device/pci-masks.h"

enum {
	PCI_CAPS = 0x40, /* where the list may begin */
	PCI_CAPS_END = PCI_CFG_SPACE_SIZE,
};

/* Offset of a capability, 0: none. The device may have written nonsense into the list: never loops. */
unsigned vfui_pci_find_cap(const struct vfui_pci *pci, uint8_t id)
{
	unsigned at = pci->config[PCI_CAPABILITY_LIST] & ~3u;

	for (unsigned i = 0; i < (PCI_CAPS_END - PCI_CAPS) / 4 && at >= PCI_CAPS; i++) {
		if (pci->config[at] == id)
			return at;
		at = pci->config[at + 1] & ~3u;
	}
	return 0;
}

/* Where len bytes fit into the 192 for capabilities, 0: nowhere. */
static unsigned find_room(uint64_t used, size_t len)
{
	unsigned words = (unsigned)(len + 3) / 4, all = (PCI_CAPS_END - PCI_CAPS) / 4;

	if (len > PCI_CAPS_END - PCI_CAPS)
		return 0;
	for (unsigned at = 0; at + words <= all; at++) {
		uint64_t bits = ((UINT64_C(1) << words) - 1) << at;

		if (!(used & bits))
			return PCI_CAPS + at * 4;
	}
	return 0;
}

static uint64_t room_bits(unsigned at, size_t len)
{
	return ((UINT64_C(1) << (len + 3) / 4) - 1) << (at - PCI_CAPS) / 4;
}

/* The byte that points to the capability at offset, or ends the list (0). */
static uint8_t *find_link(struct vfui_pci *pci, unsigned offset)
{
	uint8_t *link = &pci->config[PCI_CAPABILITY_LIST];

	for (unsigned i = 0; i < (PCI_CAPS_END - PCI_CAPS) / 4 && *link && *link != offset; i++)
		link = &pci->config[(*link & ~3u) + 1];
	return link;
}

int vfui_pci_add_cap(struct vfui_pci *pci, uint8_t id, const void *data, size_t len)
{
	unsigned at = find_room(pci->caps_used, len + 2);
	uint8_t *cap = pci->config + at;

	if (!at)
		return -ENOSPC;
	*find_link(pci, 0) = (uint8_t)at;
	pci->caps_used |= room_bits(at, len + 2);
	cap[0] = id;
	cap[1] = 0;
	if (len)
		memcpy(cap + 2, data, len);
	memcpy(pci->reset_value + at, cap, len + 2);
	vfui_pci_set_masks(pci, id, at, (unsigned)len + 2);
	pci->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	return (int)at;
}

void vfui_pci_remove_cap(struct vfui_pci *pci, unsigned at, size_t len)
{
	*find_link(pci, at) = pci->config[at + 1];
	pci->caps_used &= ~room_bits(at, len);
	memset(pci->config + at, 0, len);
	memset(pci->write_mask + at, 0, len);
	memset(pci->w1c_mask + at, 0, len);
	memset(pci->reset_value + at, 0, len);
	if (!pci->config[PCI_CAPABILITY_LIST])
		pci->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_CAP_LIST;
}

bool vfui_pci_has_room(const struct vfui_pci *pci, unsigned old, size_t len)
{
	return find_room(pci->caps_used & ~(old ? room_bits(old, len) : 0), len);
}

/* Fewest bytes after id and next of capabilities whose registers we look at. */
static const struct {
	uint8_t id, len;
} cap_lengths[] = {{PCI_CAP_ID_PM, 6}, {PCI_CAP_ID_EXP, 0x12}, {PCI_CAP_ID_AF, 4}};

int vfui_pci_add_capability(struct vfui_pci *pci, uint8_t id, const void *data, size_t len)
{
	/* These two are more than bytes: set_msi and set_msix. One with reset bits is enough of a kind. */
	if (id == VFUI_PCI_HEADER || id == PCI_CAP_ID_MSI || id == PCI_CAP_ID_MSIX ||
	    len > PCI_CAPS_END - PCI_CAPS)
		return -EINVAL;
	for (size_t i = 0; i < VFUI_ARRAY_SIZE(cap_lengths); i++) {
		if (id == cap_lengths[i].id && len < cap_lengths[i].len)
			return -EINVAL;
		if (id == cap_lengths[i].id && vfui_pci_find_cap(pci, id))
			return -EEXIST;
	}
	return vfui_pci_add_cap(pci, id, data, len);
}
