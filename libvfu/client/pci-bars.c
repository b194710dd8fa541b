/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-bars.c - finding and placing BARs and the ROM, as firmware does.
 *
 *	Command: decoding off         a BAR that moves answers nowhere meanwhile
 *	    BAR <- ones, read back    the bits that stay zero below the first one are its size
 *	    BAR <- what it held       or where it goes, which is read back too
 *	Command: as it was            or with decoding on
 *
 * A size is the lowest bit that can be written, so a power of two whatever a device says. The largest is placed first, each
 * at the lowest multiple of its size that is free in its window: such a packing wastes nothing but what the
 * window's own ends are off. Whoever fails in the middle writes back what was there. The expansion ROM is one more of them, behind
 * the others: a register of 32 bits, elsewhere, with a bit of its own that enables it.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "client/call.h"
#include "client/pci.h"

enum { DECODE = PCI_COMMAND_IO | PCI_COMMAND_MEMORY, ROM = VFU_REGION_ROM };

/* What the registers held before, and what they are found to be. */
struct space {
	struct vfu_client *cl;
	unsigned n;   /* registers of BARs: 6, or 2 of a bridge; 0: nothing is known yet */
	unsigned rom; /* where that of the ROM is; 0: there is none */
	uint32_t command, held[VFU_BARS];
	struct vfu_client_bar *bars;
};

static bool is_there(const struct space *s, unsigned i)
{
	return i == ROM ? s->rom != 0 : i < s->n;
}

static unsigned offset_of(const struct space *s, unsigned i)
{
	return i == ROM ? s->rom : PCI_BASE_ADDRESS_0 + 4 * i;
}

static int get(struct space *s, unsigned i, uint32_t *value)
{
	return vfui_client_config_get(s->cl, offset_of(s, i), 4, value);
}

static int put(struct space *s, unsigned i, uint32_t value)
{
	return vfui_client_config_put(s->cl, offset_of(s, i), 4, value);
}

/* To write back what was there would wait again, for nothing; but not if it was the caller who did not wait. */
static bool is_deaf(int ret)
{
	return ret != -EINTR && vfui_client_is_unanswered(ret);
}

/* ---- sizes */

/* The bits of a register that can be written; it then holds again what it did. */
static int probe(struct space *s, unsigned i, uint32_t *bits)
{
	int back, ret = put(s, i, i == ROM ? ~(uint32_t)PCI_ROM_ADDRESS_ENABLE : UINT32_MAX);

	if (!ret)
		ret = get(s, i, bits);
	back = is_deaf(ret) ? ret : put(s, i, s->held[i]);
	return ret ? ret : back;
}

static uint32_t flags_of(uint32_t bits)
{
	if (bits & PCI_BASE_ADDRESS_SPACE_IO)
		return VFU_BAR_IO;
	return ((bits & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64 ? VFU_BAR_64
											: 0) |
	       (bits & PCI_BASE_ADDRESS_MEM_PREFETCH ? VFU_BAR_PREFETCH : 0);
}

/* Register i, and the next one if they are one BAR. Returns how many that were. */
static int size_one(struct space *s, unsigned i)
{
	struct vfu_client_bar *bar = &s->bars[i];
	uint32_t low = 0, high = 0, kind;
	uint64_t bits;
	int n, ret = probe(s, i, &low);

	if (ret)
		return ret;
	bar->flags = flags_of(low);
	if (bar->flags & VFU_BAR_64 && i + 1 == s->n)
		return vfui_client_odd(s->cl, "BAR %u has 64 bits, but is the last one", i);
	if (bar->flags & VFU_BAR_64)
		ret = probe(s, i + 1, &high);
	if (ret)
		return ret;
	kind = bar->flags & VFU_BAR_IO ? ~(uint32_t)PCI_BASE_ADDRESS_IO_MASK
				       : ~(uint32_t)PCI_BASE_ADDRESS_MEM_MASK;
	bits = (uint64_t)high << 32 | (low & ~kind);
	bar->size = bits & -bits;
	bar->address = s->held[i] & ~kind;
	if (bar->flags & VFU_BAR_64)
		bar->address |= (uint64_t)s->held[i + 1] << 32;
	n = bar->flags & VFU_BAR_64 ? 2 : 1;
	if (!bar->size)
		*bar = (struct vfu_client_bar){0};
	return n;
}

static int size_rom(struct space *s)
{
	struct vfu_client_bar *rom = &s->bars[ROM];
	uint32_t bits = 0;
	int ret = is_there(s, ROM) ? probe(s, ROM, &bits) : 0;

	bits &= PCI_ROM_ADDRESS_MASK;
	if (!ret && bits)
		*rom = (struct vfu_client_bar){
			.size = bits & -bits,
			.address = s->held[ROM] & PCI_ROM_ADDRESS_MASK,
			.flags = s->held[ROM] & PCI_ROM_ADDRESS_ENABLE ? VFU_BAR_ROM_ON : 0};
	return ret;
}

/* ---- begin and end */

static int count_registers(struct space *s)
{
	uint32_t type = 0;
	int ret = vfui_client_config_get(s->cl, PCI_HEADER_TYPE, 1, &type);

	if (ret)
		return ret;
	type &= 0x7f;
	s->n = type == PCI_HEADER_TYPE_NORMAL ? 6 : type == PCI_HEADER_TYPE_BRIDGE ? 2 : 0;
	return s->n ? 0 : vfui_client_odd(s->cl, "a header of type %u has no BARs", type);
}

/* A server without a ROM may take it for a fault that its register is written: that it has none its region says. */
static int find_rom(struct space *s)
{
	struct vfu_region_info info = {0};
	int ret = vfu_client_region_info(s->cl, VFU_REGION_ROM, &info);

	if (!ret && info.size)
		s->rom = s->n == 2 ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS;
	if (!ret)
		vfu_region_info_fini(&info);
	return ret == -EINVAL ? 0 : ret;
}

static int set_command(struct space *s, uint32_t value)
{
	return vfui_client_config_put(s->cl, PCI_COMMAND, 2, value);
}

/* Notes what there is, turns decoding off, and finds the sizes. */
static int begin(struct space *s)
{
	int ret = vfui_client_check_pci(s->cl);

	memset(s->bars, 0, VFU_BARS * sizeof(*s->bars));
	if (!ret)
		ret = count_registers(s);
	if (!ret)
		ret = find_rom(s);
	if (!ret)
		ret = vfui_client_config_get(s->cl, PCI_COMMAND, 2, &s->command);
	for (unsigned i = 0; i < VFU_BARS && !ret; i++)
		if (is_there(s, i))
			ret = get(s, i, &s->held[i]);
	if (!ret && s->command & DECODE)
		ret = set_command(s, s->command & ~(uint32_t)DECODE);
	for (unsigned i = 0; i < s->n && ret >= 0; i += (unsigned)ret)
		ret = size_one(s, i);
	return ret < 0 ? ret : size_rom(s);
}

/* Command comes last. What failed before is what counts, and what the caller is told. */
static int end(struct space *s, uint32_t command, int ret)
{
	struct vfu_err err;
	int last;

	vfu_client_err(s->cl, &err);
	last = is_deaf(ret) || command == (s->command & ~(uint32_t)DECODE)
		       ? ret
		       : set_command(s, command);
	return ret ? vfui_client_keep(s->cl, ret, &err) : last;
}

int vfu_client_bars(struct vfu_client *cl, struct vfu_client_bar bars[VFU_BARS])
{
	struct space s = {.cl = cl, .bars = bars};
	int ret = begin(&s);

	return s.n ? end(&s, s.command, ret) : ret;
}

/* ---- places */

static const struct vfu_client_windows usual = {.size = sizeof(usual),
						.io = {0x1000, 0xf000},
						.memory = {0xe0000000, 0x1ec00000},
						.memory64 = {1ull << 39,
							     (1ull << 47) - (1ull << 39)}};

static bool overlaps(const struct vfu_client_bar *a, const struct vfu_client_bar *b)
{
	return (a->flags & VFU_BAR_IO) == (b->flags & VFU_BAR_IO) &&
	       a->address < b->address + b->size && b->address < a->address + a->size;
}

/* One of those that have a place, in the way of this one; NULL: none. */
static const struct vfu_client_bar *in_the_way(const struct space *s, unsigned placed,
					       const struct vfu_client_bar *bar)
{
	for (unsigned i = 0; i < VFU_BARS; i++)
		if (placed >> i & 1 && overlaps(&s->bars[i], bar))
			return &s->bars[i];
	return NULL;
}

/* The lowest free place of a window, if there is one. */
static bool place_in(const struct space *s, unsigned placed, struct vfu_client_bar *bar,
		     const struct vfu_area *window)
{
	const struct vfu_client_bar *other;
	uint64_t at = window->offset;

	for (;;) {
		if (at > UINT64_MAX - (bar->size - 1))
			return false;
		at = (at + bar->size - 1) & -bar->size;
		if (at < window->offset ||
		    !vfui_is_inside(at - window->offset, bar->size, window->size))
			return false;
		bar->address = at;
		other = in_the_way(s, placed, bar);
		if (!other)
			return true;
		at = other->address + other->size;
	}
}

static bool place(const struct space *s, unsigned placed, struct vfu_client_bar *bar,
		  const struct vfu_client_windows *windows)
{
	bool is_far = bar->flags & VFU_BAR_64 && bar->flags & VFU_BAR_PREFETCH;

	if (bar->flags & VFU_BAR_IO)
		return place_in(s, placed, bar, &windows->io);
	if (is_far && place_in(s, placed, bar, &windows->memory64))
		return true;
	if (place_in(s, placed, bar, &windows->memory))
		return true;
	return bar->flags & VFU_BAR_64 && !is_far && place_in(s, placed, bar, &windows->memory64);
}

/* The largest that has no place yet; VFU_BARS: none. */
static unsigned next_largest(const struct space *s, unsigned placed)
{
	unsigned found = VFU_BARS;

	for (unsigned i = 0; i < VFU_BARS; i++)
		if (s->bars[i].size && !(placed >> i & 1) &&
		    (found == VFU_BARS || s->bars[i].size > s->bars[found].size))
			found = i;
	return found;
}

static int no_room(struct space *s, unsigned i)
{
	char name[16] = "the ROM";
	struct vfu_err err;

	if (i != ROM)
		snprintf(name, sizeof(name), "BAR %u", i);
	vfui_err_set(&err, -ENOSPC, NULL, 0, "no room for %s of %#llx bytes", name,
		     (unsigned long long)s->bars[i].size);
	return vfui_client_keep(s->cl, -ENOSPC, &err);
}

static int place_all(struct space *s, const struct vfu_client_windows *windows)
{
	unsigned placed = 0, i;

	while ((i = next_largest(s, placed)) < VFU_BARS) {
		if (!place(s, placed, &s->bars[i], windows))
			return no_room(s, i);
		placed |= 1u << i;
	}
	s->bars[ROM].flags = s->bars[ROM].size && windows->is_rom_on ? VFU_BAR_ROM_ON : 0;
	return 0;
}

/* ---- writing them */

/* A half of a BAR; the bits of its kind read as they are. */
static int set_register(struct space *s, unsigned i, uint32_t value, uint32_t kind)
{
	uint32_t now = 0;
	int ret = put(s, i, value);

	if (!ret)
		ret = get(s, i, &now);
	if (!ret && (now & ~kind) != value)
		ret = vfui_client_odd(s->cl, "%s register %u was written 0x%x, and reads 0x%x",
				      i == ROM ? "ROM" : "BAR", i, value, now & ~kind);
	return ret;
}

static int write_one(struct space *s, unsigned i)
{
	const struct vfu_client_bar *bar = &s->bars[i];
	uint32_t low = (uint32_t)bar->address;
	int ret;

	if (i == ROM)
		return set_register(
			s, i, low | (bar->flags & VFU_BAR_ROM_ON ? PCI_ROM_ADDRESS_ENABLE : 0),
			~(uint32_t)PCI_ROM_ADDRESS_MASK & ~(uint32_t)PCI_ROM_ADDRESS_ENABLE);
	ret = set_register(s, i, low, bar->flags & VFU_BAR_IO ? 3 : 15);
	if (!ret && bar->flags & VFU_BAR_64)
		ret = set_register(s, i + 1, (uint32_t)(bar->address >> 32), 0);
	return ret;
}

static int write_all(struct space *s)
{
	int ret = 0;

	for (unsigned i = 0; i < VFU_BARS && !ret; i++)
		if (s->bars[i].size)
			ret = write_one(s, i);
	return ret;
}

/* What they held, as far as that goes. */
static int write_back(struct space *s, int ret)
{
	struct vfu_err err;

	vfu_client_err(s->cl, &err);
	for (unsigned i = 0; i < VFU_BARS && !is_deaf(ret); i++) {
		int back = is_there(s, i) ? put(s, i, s->held[i]) : 0;

		ret = is_deaf(back) ? back : ret;
	}
	return vfui_client_keep(s->cl, err.code, &err);
}

/* Decoding of what there is. */
static uint32_t wanted_command(const struct space *s)
{
	uint32_t command = s->command;

	for (unsigned i = 0; i < VFU_BARS; i++)
		if (s->bars[i].size)
			command |=
				s->bars[i].flags & VFU_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	return command;
}

/* The registers hold 32 bits of I/O, and of memory that has no more. */
static int check_windows(struct vfu_client *cl, const struct vfu_client_windows *w)
{
	const uint64_t end = 1ull << 32;

	if (w->size != sizeof(*w) || !vfui_is_inside(w->io.offset, w->io.size, end) ||
	    !vfui_is_inside(w->memory.offset, w->memory.size, end) ||
	    w->memory64.size > UINT64_MAX - w->memory64.offset)
		return vfui_client_fail(cl, -EINVAL,
					"struct vfu_client_windows: a window ends too high, or "
					"its size is another");
	return 0;
}

int vfu_client_assign_bars(struct vfu_client *cl, const struct vfu_client_windows *windows,
			   struct vfu_client_bar bars[VFU_BARS])
{
	struct vfu_client_bar own[VFU_BARS];
	struct space s = {.cl = cl, .bars = bars ? bars : own};
	int ret = check_windows(cl, windows ? windows : &usual);

	if (!ret)
		ret = begin(&s);
	if (!ret)
		ret = place_all(&s, windows ? windows : &usual);
	if (!ret) {
		ret = write_all(&s);
		if (ret)
			write_back(&s, ret);
	}
	return s.n ? end(&s, ret ? s.command : wanted_command(&s), ret) : ret;
}
