/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci.c - PCI configuration space as tables: which bits a client writes, which it clears, what a write sets off.
 *
 * Register names and layouts are those of the PCI specifications.
 */
#include "device/pci.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "device/dma.h"
#include "device/irq.h"
#include "device/masks.h"
#include "device/region.h"
#include "policy.h"

enum {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09,
	PCI_BAR0 = 0x10,
	PCI_SUBVENDOR = 0x2c,
	PCI_SUBDEVICE = 0x2e,
	PCI_ROM = 0x30,
	PCI_CAP_LIST = 0x34,
	PCI_PIN = 0x3d,
	PCI_CAPS = 0x40, /* where the list may begin */
	PCI_CAPS_END = 0x100,
};

enum { COMMAND_BUS_MASTER = 0x0004, COMMAND_INTX_OFF = 0x0400 };
enum { STATUS_INTERRUPT = 0x08, STATUS_CAPS = 0x10 }; /* of the low byte */
enum { BAR_IO = 1, BAR_64 = 4, BAR_PREFETCH = 8 };
enum { ROM_ENABLE = 1 };
enum {
	CAP_HEADER = 0,
	CAP_PM = 0x01,
	CAP_MSI = 0x05,
	CAP_EXPRESS = 0x10,
	CAP_MSIX = 0x11,
	CAP_AF = 0x13
};
enum { PM_STATE = 3, PM_D3HOT = 3, PM_NO_SOFT_RESET = 8 };
enum { MSI_64 = 0x0080, MSIX_ENABLE = 0x8000, MSIX_MASK = 0x4000, MSI_LEN = 14, MSIX_LEN = 12 };

/*
 * What a client can change: bits it writes, and bits it clears by writing ones. Offsets count from the
 * capability. What is in no line is read-only, so are all other capabilities.
 */
static const struct mask {
	uint8_t cap, offset, size;
	uint32_t write, w1c;
} masks[] = {
	/* Command: I/O, memory, bus master, parity, SERR, DisINTx. Status: the error bits. */
	{CAP_HEADER, PCI_COMMAND, 2, 0x0547, 0},
	{CAP_HEADER, PCI_STATUS, 2, 0, 0xf900},
	/* Cache line size, latency timer; interrupt line. */
	{CAP_HEADER, 0x0c, 2, 0xffff, 0},
	{CAP_HEADER, 0x3c, 1, 0xff, 0},
	/* PMCSR: state, PME enable, data select; PME status. */
	{CAP_PM, 4, 2, 0x1f03, 0x8000},
	/* Control: enable, multiple message enable; address, data (64-bit layout, which is ours). */
	{CAP_MSI, 2, 2, 0x0071, 0},
	{CAP_MSI, 4, 4, 0xfffffffc, 0},
	{CAP_MSI, 8, 4, 0xffffffff, 0},
	{CAP_MSI, 12, 2, 0xffff, 0},
	{CAP_MSIX, 2, 2, MSIX_ENABLE | MSIX_MASK, 0},
	/* Device control but its reset bit, device status, link control, and both second controls. */
	{CAP_EXPRESS, 0x08, 2, 0x7fff, 0},
	{CAP_EXPRESS, 0x0a, 2, 0, 0x000f},
	{CAP_EXPRESS, 0x10, 2, 0x03cb, 0},
	{CAP_EXPRESS, 0x28, 2, 0xffff, 0},
	{CAP_EXPRESS, 0x30, 2, 0xffff, 0},
};

/* Bits that reset the function when written as one, if the capability says that it can. Bytes from the capability. */
static const struct trigger {
	uint8_t cap, offset, bit, can_offset, can_bit;
} flr_triggers[] = {
	{CAP_EXPRESS, 0x09, 0x80, 0x07, 0x10},
	{CAP_AF, 0x04, 0x01, 0x03, 0x02},
};

/* Fewest bytes after id and next of capabilities whose registers we look at. */
static const struct {
	uint8_t id, len;
} cap_lengths[] = {{CAP_PM, 6}, {CAP_EXPRESS, 0x12}, {CAP_AF, 4}};

/* ---- bytes, little-endian on any host ---------------------------------------------------------- */

static void put(uint8_t *at, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static unsigned get16(const uint8_t *at)
{
	return at[0] | (unsigned)at[1] << 8;
}

static void set_masks(struct vfui_pci *pci, uint8_t cap, unsigned base, unsigned len)
{
	for (size_t i = 0; i < VFUI_ARRAY_SIZE(masks); i++) {
		const struct mask *mask = &masks[i];

		if (mask->cap != cap || !vfui_is_inside(mask->offset, mask->size, len))
			continue;
		put(pci->write_mask + base + mask->offset, mask->size, mask->write);
		put(pci->w1c_mask + base + mask->offset, mask->size, mask->w1c);
	}
}

/* ---- what a write of the client does ----------------------------------------------------------- */

/* Offset of a capability, 0: none. The device may have written nonsense into the list: never loops. */
static unsigned find_cap(const struct vfui_pci *pci, uint8_t id)
{
	unsigned at = pci->config[PCI_CAP_LIST] & ~3u;

	for (unsigned i = 0; i < (PCI_CAPS_END - PCI_CAPS) / 4 && at >= PCI_CAPS; i++) {
		if (pci->config[at] == id)
			return at;
		at = pci->config[at + 1] & ~3u;
	}
	return 0;
}

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
		unsigned cap = find_cap(pci, t->cap);
		int byte = cap ? written_byte(cap + t->offset, access) : -1;

		if (byte >= 0 && byte & t->bit && pci->config[cap + t->can_offset] & t->can_bit)
			return true;
	}
	return false;
}

/* From D3hot to D0 a function resets, unless it says that it does not. */
static bool asks_pm_reset(const struct vfui_pci *pci, const struct vfu_access *access)
{
	unsigned cap = find_cap(pci, CAP_PM), now = cap ? pci->config[cap + 4] : 0;
	int byte = cap ? written_byte(cap + 4, access) : -1;

	return byte >= 0 && (now & PM_STATE) == PM_D3HOT && !(byte & PM_STATE) &&
	       !(now & PM_NO_SOFT_RESET);
}

/* Tells interrupts and DMA what Command and MSI-X control have to say about them. */
static void apply(struct vfui_pci *pci)
{
	unsigned command = get16(pci->config + PCI_COMMAND);
	const struct vfu_region *region = &pci->regions->region[VFU_REGION_CONFIG].def;
	/* With a configuration space of the device's own, ours says nothing. */
	bool ours = region->user == pci;
	bool no_master = ours && pci->bus_master_matters && !(command & COMMAND_BUS_MASTER);
	unsigned messages = no_master ? VFUI_HELD_NO_MASTER : 0;
	unsigned msix = pci->msix ? get16(pci->config + pci->msix + 2) : 0;
	bool masked = ours && (msix & MSIX_ENABLE) && (msix & MSIX_MASK);

	vfui_dma_set_blocked(pci->dma, no_master);
	vfui_irqs_hold(pci->irqs, VFU_IRQ_INTX,
		       ours && command & COMMAND_INTX_OFF ? VFUI_HELD_MASKED : 0);
	vfui_irqs_hold(pci->irqs, VFU_IRQ_MSI, messages);
	vfui_irqs_hold(pci->irqs, VFU_IRQ_MSIX, messages | (masked ? VFUI_HELD_MASKED : 0));
}

static int client_write(struct vfui_pci *pci, struct vfu_request *req,
			const struct vfu_access *access)
{
	const uint8_t *data = access->data;
	bool resets = asks_flr(pci, access) || asks_pm_reset(pci, access);

	for (uint32_t i = 0; i < access->count; i++) {
		size_t at = (size_t)access->offset + i;
		struct vfui_masks bits = {pci->write_mask[at], pci->w1c_mask[at], 0};

		pci->config[at] = (uint8_t)vfui_masks_apply(bits, pci->config[at], data[i]);
	}
	apply(pci);
	if (pci->hooks.written)
		pci->hooks.written(pci->hooks.ctx, (size_t)access->offset, access->count);
	if (!resets)
		return 0;
	if (pci->hooks.reset)
		return pci->hooks.reset(pci->hooks.ctx, req);
	vfui_pci_reset(pci);
	return 0;
}

/* Callback of region 7; bounds are checked by then. */
static int config_access(void *user, struct vfu_request *req, const struct vfu_access *access)
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

		pci->config[i] = (uint8_t)((pci->config[i] & ~mask) | (pci->reset_value[i] & mask));
	}
	vfui_msix_reset(&pci->tables);
	apply(pci);
}

/* ---- the device's view ------------------------------------------------------------------------- */

int vfui_pci_read(struct vfui_pci *pci, size_t offset, void *buf, size_t len)
{
	if (!vfui_is_inside(offset, len, pci->size))
		return -EINVAL;
	if (!len)
		return 0;
	/* Status follows the line, E64. */
	pci->config[PCI_STATUS] &= (uint8_t)~STATUS_INTERRUPT;
	if (vfui_irqs_line(pci->irqs))
		pci->config[PCI_STATUS] |= STATUS_INTERRUPT;
	memcpy(buf, pci->config + offset, len);
	return 0;
}

int vfui_pci_write(struct vfui_pci *pci, size_t offset, const void *buf, size_t len)
{
	if (!vfui_is_inside(offset, len, pci->size))
		return -EINVAL;
	if (len)
		memcpy(pci->config + offset, buf, len);
	apply(pci);
	return 0;
}

int vfui_pci_set_ids(struct vfui_pci *pci, uint16_t vendor, uint16_t device, uint16_t subvendor,
		     uint16_t subdevice)
{
	put(pci->config + PCI_VENDOR, 2, vendor);
	put(pci->config + PCI_DEVICE, 2, device);
	put(pci->config + PCI_SUBVENDOR, 2, subvendor);
	put(pci->config + PCI_SUBDEVICE, 2, subdevice);
	return 0;
}

int vfui_pci_set_class(struct vfui_pci *pci, uint32_t class_code, uint8_t revision)
{
	if (class_code > 0xffffff)
		return -EINVAL;
	pci->config[PCI_REVISION] = revision;
	put(pci->config + PCI_CLASS, 3, class_code);
	return 0;
}

/* ---- capabilities ------------------------------------------------------------------------------ */

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
	uint8_t *link = &pci->config[PCI_CAP_LIST];

	for (unsigned i = 0; i < (PCI_CAPS_END - PCI_CAPS) / 4 && *link && *link != offset; i++)
		link = &pci->config[(*link & ~3u) + 1];
	return link;
}

static int add_cap(struct vfui_pci *pci, uint8_t id, const void *data, size_t len)
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
	set_masks(pci, id, at, (unsigned)len + 2);
	pci->config[PCI_STATUS] |= STATUS_CAPS;
	return (int)at;
}

static void remove_cap(struct vfui_pci *pci, unsigned at, size_t len)
{
	*find_link(pci, at) = pci->config[at + 1];
	pci->caps_used &= ~room_bits(at, len);
	memset(pci->config + at, 0, len);
	memset(pci->write_mask + at, 0, len);
	memset(pci->w1c_mask + at, 0, len);
	memset(pci->reset_value + at, 0, len);
	if (!pci->config[PCI_CAP_LIST])
		pci->config[PCI_STATUS] &= (uint8_t)~STATUS_CAPS;
}

int vfui_pci_add_capability(struct vfui_pci *pci, uint8_t id, const void *data, size_t len)
{
	/* These two are more than bytes: set_msi and set_msix. One with reset bits is enough of a kind. */
	if (id == CAP_HEADER || id == CAP_MSI || id == CAP_MSIX || len > PCI_CAPS_END - PCI_CAPS)
		return -EINVAL;
	for (size_t i = 0; i < VFUI_ARRAY_SIZE(cap_lengths); i++) {
		if (id == cap_lengths[i].id && len < cap_lengths[i].len)
			return -EINVAL;
		if (id == cap_lengths[i].id && find_cap(pci, id))
			return -EEXIST;
	}
	return add_cap(pci, id, data, len);
}

/* ---- interrupts -------------------------------------------------------------------------------- */

int vfui_pci_set_intx(struct vfui_pci *pci, unsigned pin)
{
	int rc = pin > 4 ? -EINVAL : vfui_irqs_set_count(pci->irqs, VFU_IRQ_INTX, pin ? 1 : 0);

	if (!rc)
		pci->config[PCI_PIN] = (uint8_t)pin;
	return rc;
}

/* Puts a capability in place of the old one at *where (0: none); then the index has its vectors. */
static int replace_cap(struct vfui_pci *pci, uint8_t *where, uint8_t id, const uint8_t *data,
		       size_t len, unsigned index, unsigned vectors)
{
	uint64_t used = pci->caps_used & ~(*where ? room_bits(*where, len) : 0);
	int rc;

	if (vectors && !find_room(used, len))
		return -ENOSPC;
	rc = vfui_irqs_set_count(pci->irqs, index, vectors);
	if (rc)
		return rc;
	if (*where)
		remove_cap(pci, *where, len);
	*where = vectors ? (uint8_t)add_cap(pci, id, data, len - 2) : 0;
	apply(pci);
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
	put(data, 2, MSI_64 | log << 1);
	return replace_cap(pci, &pci->msi, CAP_MSI, data, MSI_LEN, VFU_IRQ_MSI, vectors);
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
	put(data, 2, vectors - 1);
	put(data + 2, 4, table_offset | bar);
	put(data + 6, 4, pba_offset | bar);
	rc = replace_cap(pci, &pci->msix, CAP_MSIX, data, MSIX_LEN, VFU_IRQ_MSIX, vectors);
	if (rc)
		vfui_msix_move(&pci->tables, &old);
	else
		vfui_msix_reset(&pci->tables);
	return rc;
}

/* ---- regions ----------------------------------------------------------------------------------- */

/* A BAR register: the low bits of its kind, then address bits from the size up. */
static void set_bar(struct vfui_pci *pci, unsigned offset, unsigned width, uint64_t size,
		    unsigned kind, unsigned writable)
{
	uint64_t mask = size ? ~(size - 1) : 0;
	uint8_t *config = pci->config + offset;

	put(pci->write_mask + offset, width, mask | (size ? writable : 0));
	for (unsigned i = 0; i < width; i++)
		config[i] &= pci->write_mask[offset + i];
	config[0] |= (uint8_t)kind;
}

static void set_bars(struct vfui_pci *pci)
{
	for (unsigned i = 0, width; i <= VFU_REGION_BAR5; i += width / 4) {
		const struct vfu_region *def = &pci->regions->region[i].def;
		bool wide = def->size && def->bar_flags & VFU_BAR_64;
		unsigned kind = 0;

		if (def->size)
			kind = (def->bar_flags & VFU_BAR_IO ? BAR_IO : 0) | (wide ? BAR_64 : 0) |
			       (def->bar_flags & VFU_BAR_PREFETCH ? BAR_PREFETCH : 0);
		width = wide ? 8 : 4;
		set_bar(pci, PCI_BAR0 + i * 4, width, def->size, kind, 0);
	}
	set_bar(pci, PCI_ROM, 4, pci->regions->region[VFU_REGION_ROM].def.size, 0, ROM_ENABLE);
}

static int set_config_region(struct vfui_pci *pci)
{
	struct vfu_region def = {
		.size = pci->size,
		.flags = VFU_REGION_READ | VFU_REGION_WRITE,
		.access = config_access,
		.user = pci,
		.fd = -1,
	};

	return vfui_region_set(pci->regions, VFU_REGION_CONFIG, &def, NULL);
}

int vfui_pci_region_changed(struct vfui_pci *pci, unsigned index)
{
	const struct vfu_region *config = &pci->regions->region[VFU_REGION_CONFIG].def;
	int rc = 0;

	set_bars(pci);
	if (index == pci->tables.place.bar)
		rc = vfui_msix_route(&pci->tables);
	if (!rc && !config->size)
		rc = set_config_region(pci);
	apply(pci);
	return rc;
}

int vfui_pci_set_size(struct vfui_pci *pci, size_t size)
{
	if (size != 256 && size != 4096)
		return -EINVAL;
	pci->size = size;
	return pci->regions->region[VFU_REGION_CONFIG].def.user == pci ? set_config_region(pci) : 0;
}

void vfui_pci_set_policy(struct vfui_pci *pci, const struct vfui_policy *policy)
{
	pci->bus_master_matters = policy->bus_master == VFUI_BUS_MASTER_ENFORCE;
	vfui_msix_set_always(&pci->tables, policy->msix_mask == VFUI_MSIX_MASK_ALWAYS);
	apply(pci);
}

void vfui_pci_disconnect(struct vfui_pci *pci)
{
	vfui_msix_disconnect(&pci->tables);
}

int vfui_pci_init(struct vfui_pci *pci, struct vfui_dma *dma, struct vfui_irqs *irqs,
		  struct vfui_regions *regions, const struct vfui_pci_hooks *hooks)
{
	memset(pci, 0, sizeof(*pci));
	pci->size = 256;
	pci->dma = dma;
	pci->irqs = irqs;
	pci->regions = regions;
	if (hooks)
		pci->hooks = *hooks;
	vfui_msix_init(&pci->tables, irqs, regions);
	set_masks(pci, CAP_HEADER, 0, PCI_CAPS);
	return set_config_region(pci);
}

void vfui_pci_fini(struct vfui_pci *pci)
{
	vfui_msix_fini(&pci->tables);
}
