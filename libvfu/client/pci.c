/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci.c - what is in a device's configuration space: its capabilities, and MSI-X.
 *
 *	0x06 Status.4: there is a list           0x100  +----------------+
 *	0x34 first --> +----------+                     | id ver next ---|--> ...
 *	               | id next -|--> ...              +----------------+
 *	               +----------+  0x40 to 0xff       extended ones, 0x100 to 0xfff
 *
 * The two lists are walked in one way: what differs is in struct list. Each place is a multiple of 4, and is visited once:
 * a list that comes back to one goes round for ever, and is refused. So is a pointer to where no such capability can be. Callers who
 * look for the next one of a kind have us walk from the start, for only the walk knows where it has been.
 */
#include "client/pci.h"

#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdarg.h>
#include <stdio.h>

#include "client/call.h"

enum { CONFIG_END = 4096, PLACES = CONFIG_END / 4 };

int vfui_client_odd(struct vfu_client *cl, const char *fmt, ...)
{
	char text[sizeof(((struct vfu_err *)0)->text)];
	struct vfu_err err;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	vfui_err_set(&err, -EPROTO, NULL, 0, "%s", text);
	return vfui_client_keep(cl, -EPROTO, &err);
}

int vfui_client_check_pci(struct vfu_client *cl)
{
	struct vfu_device_info info;
	int ret = vfu_client_device_info(cl, &info);

	if (ret)
		return ret;
	if (!info.pci)
		return vfui_client_fail(cl, -ENODEV, "the device is not PCI");
	if (info.num_regions <= VFU_REGION_CONFIG)
		return vfui_client_odd(cl, "the device has %u regions, no configuration space",
				       info.num_regions);
	return 0;
}

/* ---- accesses */

/* Of the widest access of a CPU that begins there and is not longer. */
static size_t cpu_width(unsigned offset, size_t len)
{
	if (offset % 4 == 0 && len >= 4)
		return 4;
	return offset % 2 == 0 && len >= 2 ? 2 : 1;
}

static int access_config(struct vfu_client *cl, bool is_write, unsigned offset, void *buf,
			 size_t len)
{
	int ret = 0;

	for (size_t done = 0, n; done < len && !ret; done += n) {
		struct vfu_client_access a = {.size = sizeof(a),
					      .is_write = is_write,
					      .index = VFU_REGION_CONFIG,
					      .offset = offset + done,
					      .buf = (uint8_t *)buf + done};

		a.len = n = cpu_width(offset + (unsigned)done, len - done);
		ret = vfu_client_region_access(cl, &a);
	}
	return ret;
}

int vfu_client_config_read(struct vfu_client *cl, unsigned offset, void *buf, size_t len)
{
	return access_config(cl, false, offset, buf, len);
}

int vfu_client_config_write(struct vfu_client *cl, unsigned offset, const void *buf, size_t len)
{
	return access_config(cl, true, offset, (void *)(uintptr_t)buf, len);
}

int vfui_client_config_get(struct vfu_client *cl, unsigned offset, unsigned width, uint32_t *value)
{
	uint32_t le = 0;
	int ret = vfu_client_region_read(cl, VFU_REGION_CONFIG, offset, &le, width);

	*value = le32toh(le);
	return ret;
}

int vfui_client_config_put(struct vfu_client *cl, unsigned offset, unsigned width, uint32_t value)
{
	uint32_t le = htole32(value);

	return vfu_client_region_write(cl, VFU_REGION_CONFIG, offset, &le, width);
}

/* ---- the lists */

struct list {
	unsigned first, end; /* where such capabilities may be */
	unsigned width;      /* of their head */
	unsigned id_bits, next_shift;
};
static const struct list plain = {PCI_STD_HEADER_SIZEOF, 256, 2, 8, 8};
static const struct list extended_ones = {256, CONFIG_END, 4, 16, 20};

/* Where the list begins; 0: there is none. */
static int find_start(struct vfu_client *cl, const struct list *list, unsigned *at)
{
	struct vfu_region_info info;
	uint32_t value = 0;
	int ret;

	*at = 0;
	if (list == &extended_ones) {
		ret = vfu_client_region_info(cl, VFU_REGION_CONFIG, &info);
		if (ret)
			return ret;
		*at = info.size >= CONFIG_END ? list->first : 0;
		vfu_region_info_fini(&info);
		return 0;
	}
	ret = vfui_client_config_get(cl, PCI_STATUS, 2, &value);
	if (ret || !(value & PCI_STATUS_CAP_LIST))
		return ret;
	ret = vfui_client_config_get(cl, PCI_CAPABILITY_LIST, 1, &value);
	*at = value & ~3u;
	return ret;
}

/* One at a place where it has to be new, and may be. */
static int visit(struct vfu_client *cl, const struct list *list, unsigned at, uint32_t *seen,
		 uint32_t *head)
{
	if (at < list->first || at >= list->end)
		return vfui_client_odd(
			cl, "the list of capabilities goes on at 0x%x, where none can be", at);
	if (seen[at / 4 / 32] >> at / 4 % 32 & 1)
		return vfui_client_odd(cl, "the list of capabilities comes back to 0x%x", at);
	seen[at / 4 / 32] |= 1u << at / 4 % 32;
	return vfui_client_config_get(cl, at, list->width, head);
}

/* No extended capabilities are told by a head of zeros, or of ones where nobody answers. */
static bool is_nothing(const struct list *list, uint32_t head)
{
	return list == &extended_ones && (head == 0 || head == UINT32_MAX);
}

/* The walk. found is told of each, and ends it with a value that is not 0. */
static int walk(struct vfu_client *cl, const struct list *list,
		int (*found)(void *user, const struct vfu_client_capability *cap), void *user)
{
	uint32_t seen[PLACES / 32] = {0}, head = 0;
	unsigned at = 0;
	int ret = vfui_client_check_pci(cl);

	if (!ret)
		ret = find_start(cl, list, &at);
	while (!ret && at) {
		ret = visit(cl, list, at, seen, &head);
		if (ret || is_nothing(list, head))
			break;
		ret = found(user, &(struct vfu_client_capability){
					  .id = (uint16_t)(head & ((1u << list->id_bits) - 1)),
					  .version = list->width == 4 ? head >> 16 & 15 : 0,
					  .offset = (uint16_t)at});
		at = head >> list->next_shift & ~3u;
	}
	return ret;
}

/* What a walk is for: all of them, or the next with an id. */
struct goal {
	struct vfu_client_capability *list;
	unsigned room, n;
	unsigned id, after, offset;
};

static int keep(void *user, const struct vfu_client_capability *cap)
{
	struct goal *goal = user;

	if (goal->n < goal->room)
		goal->list[goal->n] = *cap;
	goal->n++;
	return 0;
}

int vfu_client_capabilities(struct vfu_client *cl, bool extended,
			    struct vfu_client_capability *list, unsigned room)
{
	struct goal goal = {.list = list, .room = room};
	int ret = walk(cl, extended ? &extended_ones : &plain, keep, &goal);

	return ret ? ret : (int)goal.n;
}

static int is_wanted(void *user, const struct vfu_client_capability *cap)
{
	struct goal *goal = user;

	if (!goal->after && cap->id == goal->id)
		goal->offset = cap->offset;
	if (cap->offset == goal->after)
		goal->after = 0;
	return goal->offset != 0;
}

static int find(struct vfu_client *cl, const struct list *list, unsigned id, unsigned after)
{
	struct goal goal = {.id = id, .after = after};
	int ret = walk(cl, list, is_wanted, &goal);

	if (ret < 0)
		return ret;
	return goal.offset ? (int)goal.offset
			   : vfui_client_fail(cl, -ENOENT, "the device has no such capability");
}

int vfu_client_find_capability(struct vfu_client *cl, unsigned id, unsigned after)
{
	return find(cl, &plain, id, after);
}

int vfu_client_find_extended_capability(struct vfu_client *cl, unsigned id, unsigned after)
{
	return find(cl, &extended_ones, id, after);
}

/* ---- MSI-X */

int vfu_client_msix(struct vfu_client *cl, struct vfu_client_msix *out)
{
	int at = vfu_client_find_capability(cl, PCI_CAP_ID_MSIX, 0);
	uint32_t control = 0, table = 0, pending = 0;
	int ret;

	if (at < 0)
		return at;
	ret = vfui_client_config_get(cl, (unsigned)at + PCI_MSIX_FLAGS, 2, &control);
	if (!ret)
		ret = vfui_client_config_get(cl, (unsigned)at + PCI_MSIX_TABLE, 4, &table);
	if (!ret)
		ret = vfui_client_config_get(cl, (unsigned)at + PCI_MSIX_PBA, 4, &pending);
	if (ret)
		return ret;
	*out = (struct vfu_client_msix){.count = (control & PCI_MSIX_FLAGS_QSIZE) + 1,
					.offset = (unsigned)at,
					.table_bar = table & PCI_MSIX_TABLE_BIR,
					.table_offset = table & PCI_MSIX_TABLE_OFFSET,
					.pending_bar = pending & PCI_MSIX_PBA_BIR,
					.pending_offset = pending & PCI_MSIX_PBA_OFFSET,
					.is_enabled = control & PCI_MSIX_FLAGS_ENABLE,
					.is_masked = control & PCI_MSIX_FLAGS_MASKALL};
	if (out->table_bar > VFU_REGION_BAR5 || out->pending_bar > VFU_REGION_BAR5)
		return vfui_client_odd(cl, "MSI-X has its table in BAR %u, pending bits in BAR %u",
				       out->table_bar, out->pending_bar);
	return 0;
}

int vfu_client_msix_entry(struct vfu_client *cl, const struct vfu_client_msix *msix,
			  unsigned vector, struct vfu_client_msix_entry *out)
{
	uint64_t at = (uint64_t)msix->table_offset + (uint64_t)vector * PCI_MSIX_ENTRY_SIZE;
	uint32_t word[PCI_MSIX_ENTRY_SIZE / 4], pending = 0;
	int ret = 0;

	if (vector >= msix->count)
		return vfui_client_fail(cl, -EINVAL, "the device has no such vector of MSI-X");
	for (unsigned i = 0; i < VFUI_ARRAY_SIZE(word) && !ret; i++)
		ret = vfu_client_region_read32(cl, msix->table_bar, at + 4ull * i, &word[i]);
	if (!ret)
		ret = vfu_client_region_read32(cl, msix->pending_bar,
					       (uint64_t)msix->pending_offset + vector / 32 * 4ull,
					       &pending);
	if (ret)
		return ret;
	*out = (struct vfu_client_msix_entry){.address = word[0] | (uint64_t)word[1] << 32,
					      .data = word[2],
					      .is_masked = word[3] & PCI_MSIX_ENTRY_CTRL_MASKBIT,
					      .is_pending = pending >> vector % 32 & 1};
	return 0;
}
