/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-caps.c - the two lists of capabilities in configuration space: where they are, how they are linked.
 *
 *	 0x34 |50|    0x50 |id|next|data...     next: 0x64    0x64 |id| 0|data...      plain: below 0x100
 *	        \_______^       \__________________________________^
 *
 *	 0x100 | id | version, next | data...                      extended: 2 bytes of id, 4 bits of version,
 *	                        \______ 0x180 | id | ...           12 bits of next
 *
 * A new one goes to the end of its list, wherever it lies. The extended list has no pointer in front: it begins at
 * 0x100, and while nothing lies there but something behind, there is a header without id, which PCI Express knows as
 * the null capability. What is taken is noted by words of 4 bytes. A capability that nobody has given a place goes where
 * neither another one is nor a handler of the device's.
 */
#include "device/pci-caps.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/err.h"
#include "base/util.h"
#include "device/pci-masks.h"
#include "device/region.h"

/* A list: its headers, and where they may be. */
struct list {
	unsigned first, end, header; /* bytes of a header */
	uint16_t none;               /* an id that nothing has, besides 0 */
};

static const struct list plain = {PCI_STD_HEADER_SIZEOF, PCI_CFG_SPACE_SIZE, 2, 0};
static const struct list extended = {PCI_CFG_SPACE_SIZE, PCI_CFG_SPACE_EXP_SIZE, 4, 0xffff};

/* ---- links -------------------------------------------------------------------------------------- */

static unsigned id_at(const struct vfui_pci *pci, const struct list *list, unsigned at)
{
	return vfui_pci_get(pci->config + at, list->header / 2);
}

/* Where a list begins, or what follows the capability at an offset; 0: nothing. */
static unsigned next_of(const struct vfui_pci *pci, const struct list *list, unsigned at)
{
	unsigned next;

	if (list == &plain)
		next = pci->config[at ? at + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST];
	else
		next = at ? vfui_pci_get(pci->config + at + 2, 2) >> 4 : extended.first;
	return next < list->first ? 0 : next & ~3u;
}

static void set_next(struct vfui_pci *pci, const struct list *list, unsigned at, unsigned next)
{
	if (list == &plain)
		pci->config[at ? at + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] = (uint8_t)next;
	else if (at)
		vfui_pci_put(pci->config + at + 2, 2, next << 4 | (pci->config[at + 2] & 0xf));
}

/* The capability that the one at offset follows, or the last (0). The device may write nonsense: never loops. */
static unsigned find_before(const struct vfui_pci *pci, const struct list *list, unsigned offset)
{
	unsigned at = 0, next;

	for (unsigned i = 0; i < list->end / 4; i++) {
		next = next_of(pci, list, at);
		if (!next || next == offset)
			break;
		at = next;
	}
	return at;
}

static int find(const struct vfui_pci *pci, const struct list *list, unsigned id, unsigned after)
{
	unsigned at = next_of(pci, list, after);

	for (unsigned i = 0; i < list->end / 4 && at; i++) {
		if (id_at(pci, list, at) == id)
			return (int)at;
		at = next_of(pci, list, at);
	}
	return -ENOENT;
}

int vfui_pci_find_capability(const struct vfui_pci *pci, unsigned id, unsigned after)
{
	if (!id || id > UINT8_MAX || (after && (after < plain.first || after >= plain.end)))
		return -ENOENT;
	return find(pci, &plain, id, after & ~3u);
}

int vfui_pci_find_extended(const struct vfui_pci *pci, unsigned id, unsigned after)
{
	if (!id || (after && (after < extended.first || after >= extended.end)))
		return -ENOENT;
	return find(pci, &extended, id, after & ~3u);
}

unsigned vfui_pci_find_cap(const struct vfui_pci *pci, uint8_t id)
{
	int at = find(pci, &plain, id, 0);

	return at < 0 ? 0 : (unsigned)at;
}

/* ---- room --------------------------------------------------------------------------------------- */

static void claim(struct vfui_pci *pci, unsigned at, size_t len, bool on)
{
	for (size_t word = at / 4; word < (at + len + 3) / 4; word++)
		pci->is_taken[word] = on;
}

static bool is_free(const struct vfui_pci *pci, unsigned at, size_t len)
{
	for (size_t word = at / 4; word < (at + len + 3) / 4; word++)
		if (pci->is_taken[word])
			return false;
	return true;
}

static bool is_handled(const struct vfui_pci *pci, unsigned at, size_t len)
{
	const struct vfui_region *region = &pci->regions->region[VFU_REGION_CONFIG];

	for (unsigned i = 0; i < region->nhandlers; i++)
		if (region->handlers[i].first < at + len && region->handlers[i].last >= at)
			return true;
	return false;
}

/* Where len bytes fit, 0: nowhere. */
static unsigned find_room(const struct vfui_pci *pci, const struct list *list, size_t len)
{
	for (unsigned at = list->first; len <= list->end && at <= list->end - len; at += 4)
		if (is_free(pci, at, len) && !is_handled(pci, at, len))
			return at;
	return 0;
}

bool vfui_pci_has_room(struct vfui_pci *pci, unsigned old, size_t old_len, size_t len)
{
	bool has;

	claim(pci, old, old_len, false);
	has = find_room(pci, &plain, len);
	claim(pci, old, old_len, true);
	return has;
}

/* A place for len bytes: the one that is wanted, or any (0). */
static int choose(const struct vfui_pci *pci, const struct list *list, unsigned offset, size_t len,
		  struct vfu_err *err)
{
	if (!offset)
		offset = find_room(pci, list, len);
	if (!offset)
		return vfui_err_set(err, -ENOSPC, "capability.len", 0,
				    "no room for %zu bytes between 0x%x and 0x%x", len, list->first,
				    list->end);
	if (offset < list->first || offset & 3 || !vfui_is_inside(offset, len, list->end))
		return vfui_err_set(err, -EINVAL, "capability.offset", 0,
				    "%zu bytes at 0x%x: not a multiple of 4 between 0x%x and 0x%x",
				    len, offset, list->first, list->end);
	if (!is_free(pci, offset, len))
		return vfui_err_set(err, -EEXIST, "capability.offset", 0,
				    "%zu bytes at 0x%x overlap another capability", len, offset);
	return (int)offset;
}

/* ---- adding and removing ------------------------------------------------------------------------ */

/* Puts a header and what follows to where choose() has said. */
static void put_cap(struct vfui_pci *pci, const struct list *list, unsigned at, uint32_t header,
		    const void *data, size_t len)
{
	uint8_t *cap = pci->config + at;
	unsigned next = list == &extended && at == extended.first ? next_of(pci, list, at) : 0;
	unsigned last = find_before(pci, list, at);

	claim(pci, at, list->header + len, true);
	vfui_pci_put(cap, list->header, header);
	if (len)
		memcpy(cap + list->header, data, len);
	memcpy(pci->reset_value + at, cap, list->header + len);
	set_next(pci, list, last, at);
	set_next(pci, list, at, next);
}

int vfui_pci_add_cap(struct vfui_pci *pci, uint8_t id, unsigned offset, const void *data,
		     size_t len, struct vfu_err *err)
{
	int at = choose(pci, &plain, offset, len + plain.header, err);

	if (at < 0)
		return at;
	put_cap(pci, &plain, (unsigned)at, id, data, len);
	vfui_pci_set_masks(pci, id, (unsigned)at, (unsigned)len + plain.header);
	pci->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	return at;
}

void vfui_pci_remove_cap(struct vfui_pci *pci, unsigned at, size_t len)
{
	set_next(pci, &plain, find_before(pci, &plain, at), next_of(pci, &plain, at));
	claim(pci, at, len, false);
	memset(pci->config + at, 0, len);
	memset(pci->write_mask + at, 0, len);
	memset(pci->w1c_mask + at, 0, len);
	memset(pci->reset_value + at, 0, len);
	if (!pci->config[PCI_CAPABILITY_LIST])
		pci->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_CAP_LIST;
}

/* Fewest bytes after id and next of capabilities whose registers we look at. */
static const struct {
	uint8_t id, len;
} cap_lengths[] = {{PCI_CAP_ID_PM, 6}, {PCI_CAP_ID_EXP, 0x12}, {PCI_CAP_ID_AF, 4}};

/* One of PCI Express has more from version 2 on: what a guest took for it would be the next capability. */
static unsigned least_len(size_t i, const uint8_t *data, size_t len)
{
	if (cap_lengths[i].id == PCI_CAP_ID_EXP && len && (data[0] & PCI_EXP_FLAGS_VERS) > 1)
		return PCI_EXP_SLTSTA2;
	return cap_lengths[i].len;
}

int vfui_pci_add_capability(struct vfui_pci *pci, uint8_t id, unsigned offset, const void *data,
			    size_t len, struct vfu_err *err)
{
	if (id == VFUI_PCI_HEADER || id == PCI_CAP_ID_MSI || id == PCI_CAP_ID_MSIX)
		return vfui_err_set(
			err, -EINVAL, "capability.id", 0,
			"0x%02x is not for vfu_device_add_capability: no capability, or "
			"one that vfu_device_set_msi and _set_msix make",
			id);
	if (len > plain.end - plain.first - plain.header)
		return vfui_err_set(err, -EINVAL, "capability.len", 0, "at most 190 bytes, not %zu",
				    len);
	/* One with reset bits is enough of a kind. */
	for (size_t i = 0; i < VFUI_ARRAY_SIZE(cap_lengths); i++) {
		unsigned least = id == cap_lengths[i].id ? least_len(i, data, len) : 0;

		if (len < least)
			return vfui_err_set(err, -EINVAL, "capability.len", 0,
					    "capability 0x%02x has at least %u bytes, not %zu", id,
					    least, len);
		if (least && vfui_pci_find_cap(pci, id))
			return vfui_err_set(err, -EEXIST, "capability.id", 0,
					    "there is a capability 0x%02x", id);
	}
	return vfui_pci_add_cap(pci, id, offset, data, len, err);
}

int vfui_pci_add_extended(struct vfui_pci *pci, uint16_t id, unsigned version, unsigned offset,
			  const void *data, size_t len, struct vfu_err *err)
{
	int at;

	if (!id || id == extended.none)
		return vfui_err_set(err, -EINVAL, "capability.id", 0,
				    "0x%04x means that there is none", id);
	if (version > 15)
		return vfui_err_set(err, -EINVAL, "capability.version", 0, "4 bits, not %u",
				    version);
	if (len > extended.end - extended.first - extended.header)
		return vfui_err_set(err, -EINVAL, "capability.len", 0, "at most %u bytes, not %zu",
				    extended.end - extended.first - extended.header, len);
	at = choose(pci, &extended, offset, len + extended.header, err);
	if (at < 0)
		return at;
	put_cap(pci, &extended, (unsigned)at, id | version << 16, data, len);
	vfui_pci_set_size(pci, PCI_CFG_SPACE_EXP_SIZE);
	return at;
}

/* ---- the space itself --------------------------------------------------------------------------- */

bool vfui_pci_is_ours(const struct vfui_pci *pci)
{
	return pci->regions->region[VFU_REGION_CONFIG].def.user == pci;
}

int vfui_pci_set_size(struct vfui_pci *pci, size_t size)
{
	if (size != PCI_CFG_SPACE_SIZE && size != PCI_CFG_SPACE_EXP_SIZE)
		return -EINVAL;
	if (size < pci->size && (!is_free(pci, extended.first, extended.end - extended.first) ||
				 is_handled(pci, extended.first, extended.end - extended.first)))
		return -EBUSY;
	pci->size = size;
	if (vfui_pci_is_ours(pci))
		pci->regions->region[VFU_REGION_CONFIG].def.size = size;
	return 0;
}
