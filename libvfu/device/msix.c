/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * msix.c - the two tables of MSI-X in a BAR: vectors, and what is pending.
 *
 *	 BAR           entry of the table
 *	+-------+     0             8       12       15
 *	| table |--> +-------------+-------+----------+    the client's driver writes it; address and
 *	|       |    | address     | data  |1: masked |    data mean nothing here, a vector's message is
 *	+-------+    +-------------+-------+----------+    its eventfd
 *	| PBA   |--> 1 bit a vector: raised, but masked or held; read only, straight from irq.c
 *	+-------+
 *
 * Whose table counts? A simulator's driver writes this one. A machine monitor keeps a table for its
 * guest and never touches ours: it tells of vectors by SET_IRQS alone, and masks by keeping their
 * messages to itself. PCI has all entries masked after reset, so a table that always counted would
 * silence such clients for good. Hence E66: an entry reads as masked from the start, but masks its
 * vector only once the client has written to that entry, be it the address alone; until the next
 * reset, or the next client. So irq.c is told of masks when they are written, and not before. A policy
 * (msix_mask) has entries count always, for clients that are drivers and want what hardware does.
 *
 * What a client maps of a BAR it reads and writes behind our back, so it never maps the pages of these two
 * (region-map.c), whatever the device says of the BAR.
 */
#include "device/msix.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/os.h"
#include "base/util.h"
#include "device/irq.h"
#include "device/region-map.h"

enum { ENTRY = 16, CONTROL = 12, MASKED = 1, VECTORS_MAX = 2048 };

/* What of an entry can be written: addresses are of 4 bytes, of the control word there is one bit. */
static const uint8_t write_mask[ENTRY] = {
	0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [CONTROL] = MASKED};

void vfui_msix_init(struct vfui_msix *msix, struct vfui_irqs *irqs, struct vfui_regions *regions)
{
	*msix = (struct vfui_msix){.irqs = irqs, .regions = regions};
}

void vfui_msix_fini(struct vfui_msix *msix)
{
	vfui_os_free(msix->entries);
	msix->entries = NULL;
}

static bool is_masked(const struct vfui_msix *msix, uint32_t vector)
{
	return !msix->entries || msix->entries[vector][CONTROL] & MASKED;
}

/* What the entries mask before the client writes to them. */
static void begin_anew(struct vfui_msix *msix)
{
	for (uint32_t i = 0; i < msix->place.vectors; i++)
		vfui_irqs_mask(msix->irqs, VFU_IRQ_MSIX, i, msix->always && is_masked(msix, i));
}

void vfui_msix_reset(struct vfui_msix *msix)
{
	vfui_msix_fini(msix);
	begin_anew(msix);
}

void vfui_msix_disconnect(struct vfui_msix *msix)
{
	begin_anew(msix);
}

void vfui_msix_set_always(struct vfui_msix *msix, bool on)
{
	if (msix->always == on)
		return;
	msix->always = on;
	begin_anew(msix);
}

/* ---- accesses ---- */

static int make_entries(struct vfui_msix *msix)
{
	uint8_t(*entries)[ENTRY] = vfui_os_calloc(msix->place.vectors, ENTRY);

	if (!entries)
		return -ENOMEM;
	for (uint32_t i = 0; i < msix->place.vectors; i++)
		entries[i][CONTROL] = MASKED;
	msix->entries = entries;
	return 0;
}

static int write_table(struct vfui_msix *msix, uint32_t at, const uint8_t *data, uint32_t count)
{
	if (!msix->entries && make_entries(msix))
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t vector = (at + i) / ENTRY, byte = (at + i) % ENTRY;
		uint8_t *entry = msix->entries[vector], mask = write_mask[byte];

		entry[byte] = (uint8_t)((entry[byte] & ~mask) | (data[i] & mask));
		/* The entry as it is now, when all of the access that concerns it is in. */
		if (byte == ENTRY - 1 || i == count - 1)
			vfui_irqs_mask(msix->irqs, VFU_IRQ_MSIX, vector, is_masked(msix, vector));
	}
	return 0;
}

static void read_table(const struct vfui_msix *msix, uint32_t at, uint8_t *data, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t vector = (at + i) / ENTRY, byte = (at + i) % ENTRY;

		data[i] = msix->entries ? msix->entries[vector][byte] : byte == CONTROL;
	}
}

static int access_table(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct vfui_msix *msix = user;
	uint32_t at = (uint32_t)(access->offset - msix->place.table);

	(void)req;
	if (access->is_write)
		return write_table(msix, at, access->data, access->count);
	read_table(msix, at, access->data, access->count);
	return 0;
}

/* Nothing can be written to it. */
static int access_pba(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct vfui_msix *msix = user;
	uint32_t at = (uint32_t)(access->offset - msix->place.pba);
	uint8_t *data = access->data;

	(void)req;
	for (uint32_t i = 0; i < access->count && !access->is_write; i++)
		data[i] = vfui_irqs_pending(msix->irqs, VFU_IRQ_MSIX, at + i);
	return 0;
}

/* ---- where they are ---- */

uint32_t vfui_msix_table_size(uint32_t vectors)
{
	return vectors * ENTRY;
}

uint32_t vfui_msix_pba_size(uint32_t vectors)
{
	return (vectors + 63) / 64 * 8;
}

/* One of the two: that it begins as PCI wants it, and is inside. */
static int check_one(const char *field, uint64_t offset, uint32_t size, uint64_t room,
		     struct vfu_err *err)
{
	if (offset & 7)
		return vfui_err_set(err, -EINVAL, field, 0, "%s is a multiple of 8, not %#llx",
				    field, (unsigned long long)offset);
	if (!vfui_is_inside(offset, size, room))
		return vfui_err_set(err, -EINVAL, field, 0,
				    "%s %#llx: its %u bytes are not in a BAR of %#llx bytes", field,
				    (unsigned long long)offset, size, (unsigned long long)room);
	return 0;
}

static int check_place(const struct vfui_msix_place *place, const struct vfu_region *def,
		       struct vfu_err *err)
{
	uint32_t table_size = vfui_msix_table_size(place->vectors);
	uint32_t pba_size = vfui_msix_pba_size(place->vectors);
	uint64_t table = place->table, pba = place->pba;
	int rc;

	if (!def || !def->size || def->bar_flags & VFU_BAR_IO)
		return vfui_err_set(err, -EINVAL, "msix.bar", 0,
				    "msix.bar: there is no BAR %u of memory", place->bar);
	rc = check_one("msix.table_offset", table, table_size, def->size, err);
	if (!rc)
		rc = check_one("msix.pba_offset", pba, pba_size, def->size, err);
	if (!rc && table < pba + pba_size && pba < table + table_size)
		rc = vfui_err_set(err, -EINVAL, "msix.pba_offset", 0,
				  "msix.pba_offset %#llx: the pending bits overlap the table, "
				  "which has %u bytes from %#llx on",
				  (unsigned long long)pba, table_size, (unsigned long long)table);
	return rc;
}

int vfui_msix_check_bar(const struct vfui_msix *msix, unsigned bar, const struct vfu_region *def,
			struct vfu_err *err)
{
	const struct vfui_msix_place *place = &msix->place;
	struct vfu_err why;

	if (!place->vectors || place->bar != bar || !def->size || !check_place(place, def, &why))
		return 0;
	return vfui_err_set(err, -EINVAL, "region.size", 0,
			    "BAR %u has the MSI-X table, which goes elsewhere first "
			    "(vfu_device_set_msix): %s",
			    bar, why.text);
}

/* Routes one of them, or no longer (fn NULL), if the BAR still reaches so far. */
static int route_one(struct vfui_msix *msix, uint32_t offset, uint32_t size, vfu_access_fn *fn)
{
	unsigned bar = msix->place.bar;

	if (!size || !vfui_is_inside(offset, size, msix->regions->region[bar].def.size))
		return 0;
	return vfui_region_keep_handler(msix->regions, bar, offset, size, fn, msix);
}

static int route(struct vfui_msix *msix, bool on)
{
	const struct vfui_msix_place *place = &msix->place;
	int rc;

	rc = route_one(msix, place->table, vfui_msix_table_size(place->vectors),
		       on ? access_table : NULL);
	if (rc)
		return rc;
	rc = route_one(msix, place->pba, vfui_msix_pba_size(place->vectors),
		       on ? access_pba : NULL);
	if (rc)
		route_one(msix, place->table, vfui_msix_table_size(place->vectors), NULL);
	return rc;
}

int vfui_msix_route(struct vfui_msix *msix)
{
	return route(msix, true);
}

static int check_move(const struct vfui_msix *msix, const struct vfui_msix_place *place,
		      struct vfu_err *err)
{
	if (place->vectors > VECTORS_MAX)
		return vfui_err_set(err, -EINVAL, "msix.vectors", 0,
				    "msix.vectors is 1 to %u, or 0 for none, not %u", VECTORS_MAX,
				    place->vectors);
	return check_place(
		place,
		place->bar <= VFU_REGION_BAR5 ? &msix->regions->region[place->bar].def : NULL, err);
}

int vfui_msix_move(struct vfui_msix *msix, const struct vfui_msix_place *place, struct vfu_err *err)
{
	struct vfui_msix_place old = msix->place;
	int rc = place->vectors ? check_move(msix, place, err) : 0;

	if (rc)
		return rc;
	route(msix, false);
	msix->place = *place;
	rc = route(msix, true);
	if (rc) {
		msix->place = old;
		route(msix, true);
	}
	return rc;
}
