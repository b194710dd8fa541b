/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-pci.c - configuration space as a client meets it: header, BAR sizing, capabilities, resets, interrupts.
 */
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/dma.h"
#include "device/events.h"
#include "device/irq.h"
#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"
#include "device/pci.h"
#include "policy.h"
#include "device/region.h"
#include "wire.h"

#define RW (VFU_REGION_READ | VFU_REGION_WRITE)

static struct vfui_dma dma;
static struct vfui_events events = {.epoll_fd = -1, .wake_fd = -1};
static struct vfui_irqs irqs;
static struct vfui_regions regions;
static struct vfui_pci pci;
static size_t written_offset, written_len;
static unsigned resets;
static int reset_answer;

static void written(void *ctx, size_t offset, size_t len)
{
	ck_assert_ptr_eq(ctx, &pci);
	written_offset = offset;
	written_len = len;
}

static int reset(void *ctx, struct vfu_request *req)
{
	ck_assert_ptr_eq(ctx, &pci);
	ck_assert_ptr_eq(req, (struct vfu_request *)&pci);
	resets++;
	return reset_answer;
}

static void setup(void)
{
	const struct vfui_pci_hooks hooks = {written, reset, &pci};

	resets = 0;
	reset_answer = 0;
	ck_assert_int_eq(vfui_dma_init(&dma, NULL), 0);
	ck_assert_int_eq(vfui_irqs_init(&irqs, &events), 0);
	vfui_regions_init(&regions);
	ck_assert_int_eq(vfui_pci_init(&pci, &dma, &irqs, &regions, &hooks), 0);
}

static void teardown(void)
{
	vfui_pci_fini(&pci);
	vfui_regions_fini(&regions);
	vfui_irqs_fini(&irqs);
	vfui_dma_fini(&dma);
}

static int client(uint64_t offset, void *data, uint32_t count, bool is_write)
{
	struct vfu_access access = {.offset = offset,
				    .data = data,
				    .count = count,
				    .region = VFU_REGION_CONFIG,
				    .is_write = is_write};

	return vfui_region_access(&regions, (struct vfu_request *)&pci, &access);
}

/* What the client reads and writes: little-endian values of 1 to 4 bytes. */
static uint32_t get(unsigned offset, unsigned size)
{
	uint8_t bytes[4] = {0};

	ck_assert_int_eq(client(offset, bytes, size, false), 0);
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static int put(unsigned offset, unsigned size, uint32_t value)
{
	uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
			    (uint8_t)(value >> 24)};

	return client(offset, bytes, size, true);
}

static int add_cap(uint8_t id, const void *data, size_t len)
{
	return vfui_pci_add_capability(&pci, id, 0, data, len, NULL);
}

static int access_nothing(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	(void)req;
	if (!access->is_write)
		memset(access->data, 0xee, access->count);
	return 0;
}

static void set_bar(unsigned index, uint64_t size, uint32_t bar_flags)
{
	const struct vfu_region def = {.size = size,
				       .flags = RW,
				       .bar_flags = bar_flags,
				       .access = access_nothing,
				       .fd = -1};

	ck_assert_int_eq(vfui_region_set(&regions, index, &def, NULL), 0);
	ck_assert_int_eq(vfui_pci_region_changed(&pci, index), 0);
}

START_TEST(e53_identity_is_little_endian_and_read_only)
{
	static const uint8_t expected[] = {0x34, 0x12, 0x78, 0x56};
	uint8_t bytes[4];

	vfui_pci_set_ids(&pci, 0x1234, 0x5678, 0x9abc, 0xdef0);
	ck_assert_int_eq(vfui_pci_set_class(&pci, 0x010802, 0x07), 0);
	ck_assert_int_eq(vfui_pci_set_class(&pci, 0x1000000, 0), -EINVAL);
	ck_assert_int_eq(client(0, bytes, 4, false), 0);
	ck_assert_int_eq(memcmp(bytes, expected, 4), 0);
	ck_assert_uint_eq(get(0x08, 4), 0x01080207);
	ck_assert_uint_eq(get(0x2c, 4), 0xdef09abc);
	ck_assert_uint_eq(get(0x0e, 1), 0);
	for (unsigned at = 0; at < 256; at += 4)
		ck_assert_int_eq(put(at, 4, 0xffffffff), 0);
	ck_assert_uint_eq(get(0x00, 4), 0x56781234);
	ck_assert_uint_eq(get(0x08, 4), 0x01080207);
	ck_assert_uint_eq(get(0x2c, 4), 0xdef09abc);
	/* What is writable, and nothing else. */
	ck_assert_uint_eq(get(0x04, 4), 0x0547);
	ck_assert_uint_eq(get(0x0c, 4), 0xffff);
	ck_assert_uint_eq(get(0x3c, 4), 0xff);
	for (unsigned at = 0x10; at < 0x3c; at += 4) {
		if (at != 0x2c)
			ck_assert_uint_eq(get(at, 4), 0);
	}
	for (unsigned at = 0x40; at < 0x100; at += 4)
		ck_assert_uint_eq(get(at, 4), 0);
}
END_TEST

START_TEST(both_sizes)
{
	uint8_t data[4096];

	ck_assert_uint_eq(regions.region[VFU_REGION_CONFIG].def.size, 256);
	ck_assert_int_eq(client(0, data, 256, false), 0);
	ck_assert_int_eq(client(0, data, 257, false), -EINVAL);
	ck_assert_int_eq(client(255, data, 2, true), -EINVAL);
	ck_assert_int_eq(vfui_pci_set_size(&pci, 512), -EINVAL);
	ck_assert_int_eq(vfui_pci_set_size(&pci, 4096), 0);
	ck_assert_int_eq(client(0, data, 4096, false), 0);
	ck_assert_int_eq(vfui_pci_write(&pci, 0x100, "\1\2\3\4", 4), 0);
	ck_assert_uint_eq(get(0x100, 4), 0x04030201);
	ck_assert_int_eq(vfui_pci_write(&pci, 4095, data, 2), -EINVAL);
	ck_assert_int_eq(vfui_pci_read(&pci, SIZE_MAX, data, 2), -EINVAL);
}
END_TEST

START_TEST(bars_of_every_size)
{
	for (unsigned log = 4; log < 64; log++) {
		uint64_t size = UINT64_C(1) << log, mask = ~(size - 1);
		uint32_t prefetch = log & 1 ? VFU_BAR_PREFETCH : 0, low = 4 | (prefetch ? 8 : 0);

		if (log < 32) {
			set_bar(1, size, prefetch);
			ck_assert_int_eq(put(0x14, 4, 0xffffffff), 0);
			ck_assert_uint_eq(get(0x14, 4), (uint32_t)mask | (prefetch ? 8 : 0));
			/* By bytes, as some clients do. */
			for (unsigned i = 0; i < 4; i++)
				put(0x14 + i, 1, 0);
			ck_assert_uint_eq(get(0x14, 4), prefetch ? 8 : 0);
			set_bar(1, 0, 0);
		}
		set_bar(2, size, VFU_BAR_64 | prefetch);
		ck_assert_int_eq(put(0x18, 4, 0xffffffff), 0);
		ck_assert_int_eq(put(0x1c, 4, 0xffffffff), 0);
		ck_assert_uint_eq(get(0x18, 4), (uint32_t)mask | low);
		ck_assert_uint_eq(get(0x1c, 4), (uint32_t)(mask >> 32));
		/* An address is kept as far as the size lets it. */
		put(0x18, 4, 0x12345678);
		put(0x1c, 4, 0x9abcdef0);
		ck_assert_uint_eq(get(0x18, 4), (0x12345678 & (uint32_t)mask) | low);
		ck_assert_uint_eq(get(0x1c, 4), 0x9abcdef0 & (uint32_t)(mask >> 32));
		set_bar(2, 0, 0);
		ck_assert_uint_eq(get(0x18, 4), 0);
		ck_assert_uint_eq(get(0x1c, 4), 0);
	}
}
END_TEST

START_TEST(io_bars_and_rom)
{
	for (unsigned log = 2; log < 32; log++) {
		set_bar(0, UINT64_C(1) << log, VFU_BAR_IO);
		put(0x10, 4, 0xffffffff);
		ck_assert_uint_eq(get(0x10, 4), (0xffffffffu << log) | 1);
	}
	for (unsigned log = 11; log <= 24; log++) {
		set_bar(VFU_REGION_ROM, UINT64_C(1) << log, 0);
		put(0x30, 4, 0xfffff800);
		ck_assert_uint_eq(get(0x30, 4), 0xffffffffu << log);
		put(0x30, 4, 0xffffffff);
		ck_assert_uint_eq(get(0x30, 4), (0xffffffffu << log) | 1);
		put(0x30, 4, 0);
	}
	set_bar(VFU_REGION_ROM, 0, 0);
	put(0x30, 4, 0xffffffff);
	ck_assert_uint_eq(get(0x30, 4), 0);
}
END_TEST

START_TEST(status_is_cleared_by_ones)
{
	static const uint8_t all[] = {0xff, 0xff};

	vfui_pci_write(&pci, 0x06, all, 2);
	ck_assert_uint_eq(get(0x06, 2), 0xfff7);
	put(0x06, 2, 0);
	ck_assert_uint_eq(get(0x06, 2), 0xfff7);
	put(0x06, 2, 0x8000);
	ck_assert_uint_eq(get(0x06, 2), 0x7ff7);
	put(0x06, 2, 0xffff);
	ck_assert_uint_eq(get(0x06, 2), 0x06f7);
}
END_TEST

START_TEST(the_hook_hears_of_writes)
{
	put(0x0c, 1, 8);
	ck_assert_uint_eq(written_offset, 0x0c);
	ck_assert_uint_eq(written_len, 1);
	get(0, 4);
	ck_assert_uint_eq(written_offset, 0x0c);
}
END_TEST

START_TEST(e64_status_shows_the_line)
{
	ck_assert_int_eq(vfui_pci_set_intx(&pci, 5), -EINVAL);
	ck_assert_int_eq(vfui_pci_set_intx(&pci, 2), 0);
	ck_assert_uint_eq(get(0x3d, 1), 2);
	ck_assert_uint_eq(get(0x06, 2) & 8, 0);
	vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0);
	ck_assert_uint_eq(get(0x04, 4) >> 16 & 8, 8);
	/* DisINTx keeps the message back, not the bit. */
	put(0x04, 2, 0x0400);
	ck_assert_uint_eq(get(0x06, 2) & 8, 8);
	ck_assert(irqs.index[VFU_IRQ_INTX].held);
	put(0x04, 2, 0);
	ck_assert(!irqs.index[VFU_IRQ_INTX].held);
	vfui_irqs_lower(&irqs);
	ck_assert_uint_eq(get(0x06, 2) & 8, 0);
	ck_assert_int_eq(vfui_pci_set_intx(&pci, 0), 0);
	ck_assert_uint_eq(get(0x3d, 1), 0);
}
END_TEST

START_TEST(e63_bus_mastering_counts_if_told_so)
{
	ck_assert(!dma.blocked);
	vfui_pci_set_policy(&pci, &(struct vfui_policy){.bus_master = VFUI_BUS_MASTER_ENFORCE});
	ck_assert(dma.blocked && irqs.index[VFU_IRQ_MSI].held && irqs.index[VFU_IRQ_MSIX].held);
	ck_assert(!irqs.index[VFU_IRQ_INTX].held);
	put(0x04, 2, 4);
	ck_assert(!dma.blocked && !irqs.index[VFU_IRQ_MSI].held && !irqs.index[VFU_IRQ_MSIX].held);
	put(0x04, 2, 0);
	ck_assert(dma.blocked);
	/* A device with its own configuration space is on its own. */
	set_bar(VFU_REGION_CONFIG, 256, 0);
	ck_assert(!dma.blocked);
	ck_assert_uint_eq(get(0, 1), 0xee);
	set_bar(VFU_REGION_CONFIG, 0, 0);
	ck_assert(dma.blocked);
	ck_assert_uint_eq(get(0, 1), 0);
	vfui_pci_set_policy(&pci, &(struct vfui_policy){0});
	ck_assert(!dma.blocked);
}
END_TEST

/* ---- capabilities ------------------------------------------------------------------------------ */

START_TEST(capabilities_are_a_list)
{
	static const uint8_t version2[0x39] = {2};
	static const uint8_t data[200] = {1, 2, 3, 4, 5};
	int a, b;

	ck_assert_uint_eq(get(0x06, 2) & 0x10, 0);
	a = add_cap(0x09, data, 5);
	b = add_cap(0x03, data, 2);
	ck_assert_int_eq(a, 0x40);
	ck_assert_int_eq(b, 0x48);
	ck_assert_uint_eq(get(0x06, 2) & 0x10, 0x10);
	ck_assert_uint_eq(get(0x34, 1), 0x40);
	ck_assert_uint_eq(get(0x40, 4), 0x02014809);
	ck_assert_uint_eq(get(0x48, 4), 0x02010003);
	put(0x42, 1, 0xff);
	ck_assert_uint_eq(get(0x42, 1), 1);
	ck_assert_int_eq(add_cap(0x09, data, 200), -EINVAL);
	ck_assert_int_eq(add_cap(0x09, data, 190), -ENOSPC);
	ck_assert_int_eq(add_cap(0, data, 4), -EINVAL);
	ck_assert_int_eq(add_cap(0x05, data, 12), -EINVAL);
	ck_assert_int_eq(add_cap(0x11, data, 10), -EINVAL);
	ck_assert_int_eq(add_cap(0x10, data, 0x11), -EINVAL);
	/* Of version 2, without that version's registers. */
	ck_assert_int_eq(add_cap(0x10, version2, 0x39), -EINVAL);
	ck_assert_int_eq(add_cap(0x01, data, 6), 0x4c);
	ck_assert_int_eq(add_cap(0x01, data, 6), -EEXIST);
}
END_TEST

START_TEST(the_whole_room_can_be_used)
{
	unsigned n = 0, at;

	while (add_cap(0x09, "\0\0", 2) > 0)
		n++;
	ck_assert_uint_eq(n, 48);
	for (at = get(0x34, 1), n = 0; at; at = get(at + 1, 1))
		n++;
	ck_assert_uint_eq(n, 48);
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 1, VFU_MSI_64), -ENOSPC);
	ck_assert_uint_eq(irqs.index[VFU_IRQ_MSI].count, 0);
}
END_TEST

START_TEST(a_list_in_a_loop_ends)
{
	ck_assert_int_eq(add_cap(0x09, "\0\0", 2), 0x40);
	vfui_pci_write(&pci, 0x41, "\x40", 1);
	ck_assert_int_eq(put(0x40, 4, 0xffffffff), 0);
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 4, VFU_MSI_64), 0);
	vfui_pci_write(&pci, 0x34, "\xff", 1);
	ck_assert_int_eq(put(0x40, 4, 0xffffffff), 0);
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 0, VFU_MSI_64), 0);
}
END_TEST

START_TEST(msi)
{
	for (unsigned log = 0; log <= 5; log++) {
		ck_assert_int_eq(vfui_pci_set_msi(&pci, 1u << log, VFU_MSI_64), 0);
		ck_assert_uint_eq(irqs.index[VFU_IRQ_MSI].count, 1u << log);
		ck_assert_uint_eq(get(0x34, 1), 0x40);
		ck_assert_uint_eq(get(0x40, 4), 0x00800005 | log << 17);
	}
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 3, VFU_MSI_64), -EINVAL);
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 64, VFU_MSI_64), -EINVAL);
	put(0x42, 2, 0xffff);
	ck_assert_uint_eq(get(0x42, 2), 0x00fb);
	put(0x44, 4, 0xfee01003);
	put(0x48, 4, 0x12345678);
	put(0x4c, 4, 0xffffffff);
	ck_assert_uint_eq(get(0x44, 4), 0xfee01000);
	ck_assert_uint_eq(get(0x48, 4), 0x12345678);
	ck_assert_uint_eq(get(0x4c, 4), 0x0000ffff);
	vfui_pci_reset(&pci);
	ck_assert_uint_eq(get(0x42, 2), 0x008a);
	ck_assert_uint_eq(get(0x4c, 4), 0);
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 0, VFU_MSI_64), 0);
	ck_assert_uint_eq(get(0x34, 1), 0);
	ck_assert_uint_eq(get(0x06, 2) & 0x10, 0);
	ck_assert_uint_eq(irqs.index[VFU_IRQ_MSI].count, 0);
	put(0x44, 4, 0xffffffff);
	ck_assert_uint_eq(get(0x44, 4), 0);
}
END_TEST

START_TEST(removing_keeps_the_others)
{
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 1, VFU_MSI_64), 0);
	ck_assert_int_eq(add_cap(0x09, "ab", 2), 0x50);
	set_bar(0, 4096, 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 4, 0, 0, 2048, NULL), 0);
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 0, VFU_MSI_64), 0);
	ck_assert_uint_eq(get(0x34, 1), 0x50);
	ck_assert_uint_eq(get(0x51, 1), 0x54);
	ck_assert_uint_eq(get(0x54, 2), 0x0011);
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 1, VFU_MSI_64), 0);
	ck_assert_uint_eq(get(0x55, 1), 0x40);
	ck_assert_uint_eq(get(0x41, 1), 0);
}
END_TEST

START_TEST(msix)
{
	static const struct {
		unsigned vectors, bar;
		uint32_t table, pba;
	} bad[] = {{2049, 0, 0, 65536},      {4, 1, 0, 2048},        {4, 6, 0, 2048},
		   {4, 3, 0, 2048},          {4, 0, 4, 2048},        {4, 0, 0, 2044},
		   {4, 0, 131072 - 56, 0},   {4, 0, 0, 131072},      {4, 0, 0, 56},
		   {4, 0, 64, 64},           {4, 0, 0xfffffff8, 0},  {4, 0, 0, 0xfffffff8},
		   {UINT32_MAX, 0, 0, 8192}, {4, UINT32_MAX, 0, 64}, {65, 0, 8, 0}};

	set_bar(0, 131072, 0);
	set_bar(3, 256, VFU_BAR_IO);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(vfui_pci_set_msix(&pci, bad[i].vectors, bad[i].bar, bad[i].table,
						   bad[i].pba, NULL),
				 -EINVAL);
	ck_assert_uint_eq(get(0x34, 1), 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 2048, 0, 32768, 65536, NULL), 0);
	ck_assert_uint_eq(get(0x40, 4), 0x07ff0011);
	ck_assert_uint_eq(get(0x44, 4), 32768);
	ck_assert_uint_eq(get(0x48, 4), 65536);
	put(0x40, 4, 0xffffffff);
	put(0x44, 4, 0xffffffff);
	ck_assert_uint_eq(get(0x40, 4), 0xc7ff0011);
	ck_assert_uint_eq(get(0x44, 4), 32768);
	ck_assert(irqs.index[VFU_IRQ_MSIX].held);
	put(0x42, 2, 0x4000);
	ck_assert(!irqs.index[VFU_IRQ_MSIX].held);
	put(0x42, 2, 0xc000);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 0, 0, 0, 0, NULL), 0);
	ck_assert(!irqs.index[VFU_IRQ_MSIX].held);
	ck_assert_uint_eq(get(0x34, 1), 0);
}
END_TEST

static uint64_t read_pba(unsigned bar, uint64_t offset, uint32_t count)
{
	uint64_t value = 0;
	struct vfu_access access = {
		.offset = offset, .data = &value, .count = count, .region = (uint8_t)bar};

	ck_assert_int_eq(vfui_region_access(&regions, NULL, &access), 0);
	return le64toh(value);
}

START_TEST(the_pba_shows_what_is_pending)
{
	uint64_t ones = UINT64_MAX;
	struct vfu_access write = {
		.offset = 0x800, .data = &ones, .count = 8, .region = 0, .is_write = true};

	set_bar(0, 4096, 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 70, 0, 0, 0x800, NULL), 0);
	ck_assert_uint_eq(read_pba(0, 0x7f8, 8), 0xeeeeeeeeeeeeeeee);
	put(0x42, 2, 0xc000);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 1), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 63), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 69), 0);
	ck_assert_uint_eq(read_pba(0, 0x800, 8), 0x8000000000000002);
	ck_assert_uint_eq(read_pba(0, 0x808, 8), 0x20);
	ck_assert_uint_eq(read_pba(0, 0x804, 4), 0x80000000);
	ck_assert_uint_eq(read_pba(0, 0x807, 1), 0x80);
	ck_assert_uint_eq(read_pba(0, 0x810, 1), 0xee);
	ck_assert_int_eq(vfui_region_access(&regions, NULL, &write), 0);
	ck_assert_uint_eq(read_pba(0, 0x800, 8), 0x8000000000000002);
	/* It survives another BAR in its place, and moves when told. */
	set_bar(0, 8192, 0);
	ck_assert_uint_eq(read_pba(0, 0x800, 8), 0x8000000000000002);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 70, 0, 0, 0x1800, NULL), 0);
	ck_assert_uint_eq(read_pba(0, 0x800, 8), 0xeeeeeeeeeeeeeeee);
	ck_assert_uint_eq(read_pba(0, 0x1800, 8), 0x8000000000000002);
	set_bar(0, 0, 0);
	set_bar(0, 4096, 0);
	ck_assert_uint_eq(read_pba(0, 0x800, 8), 0xeeeeeeeeeeeeeeee);
}
END_TEST

START_TEST(the_pba_does_not_push_others_away)
{
	set_bar(0, 4096, 0);
	ck_assert_int_eq(
		vfui_region_set_handler(&regions, 0, 0x800, 64, access_nothing, NULL, NULL), 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 4, 0, 0, 0x808, NULL), -EINVAL);
	ck_assert_uint_eq(get(0x34, 1), 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 4, 0, 0, 0x900, NULL), 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 8, 0, 0, 0x808, NULL), -EINVAL);
	ck_assert_uint_eq(irqs.index[VFU_IRQ_MSIX].count, 4);
	ck_assert_uint_eq(read_pba(0, 0x900, 8), 0);
	ck_assert_uint_eq(read_pba(0, 0x808, 8), 0xeeeeeeeeeeeeeeee);
}
END_TEST

/* A client's access to BAR 0: a value of 1 to 8 bytes, little-endian. */
static uint64_t bar_get(uint64_t offset, uint32_t count)
{
	uint8_t bytes[8] = {0};
	uint64_t value = 0;
	struct vfu_access access = {.offset = offset, .data = bytes, .count = count};

	ck_assert_int_eq(vfui_region_access(&regions, NULL, &access), 0);
	for (uint32_t i = 0; i < count; i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	return value;
}

static void bar_put(uint64_t offset, uint32_t count, uint64_t value)
{
	uint8_t bytes[8];
	struct vfu_access access = {
		.offset = offset, .data = bytes, .count = count, .is_write = true};

	for (uint32_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	ck_assert_int_eq(vfui_region_access(&regions, NULL, &access), 0);
}

/* Arms a vector as SET_IRQS does; returns a copy of its eventfd. */
static int arm(uint32_t vector)
{
	const struct vfui_policy policy = {0};
	struct vfu_wire_set_irqs_request in = {20, 0x24, VFU_IRQ_MSIX, vector, 1};
	int fd = passed_eventfd(EFD_NONBLOCK), mine = dup(fd);

	ck_assert_int_eq(vfui_irqs_set(&irqs, &in, NULL, &fd, 1, &policy, NULL), 0);
	return mine;
}

static unsigned fired(int fd)
{
	eventfd_t count = 0;

	return eventfd_read(fd, &count) ? 0 : (unsigned)count;
}

#define TABLE 0x100
#define ENTRY(i) (TABLE + 16 * (i))

static void set_table(void)
{
	set_bar(0, 4096, 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 20, 0, TABLE, 0x800, NULL), 0);
}

START_TEST(the_table_is_written_as_far_as_hardware_has_it)
{
	set_table();
	ck_assert_uint_eq(bar_get(TABLE - 4, 4), 0xeeeeeeee);
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_uint_eq(bar_get(ENTRY(i), 8), 0);
		ck_assert_uint_eq(bar_get(ENTRY(i) + 8, 8), UINT64_C(1) << 32);
	}
	ck_assert_uint_eq(bar_get(ENTRY(20), 4), 0xeeeeeeee);
	bar_put(ENTRY(3), 8, UINT64_MAX);
	bar_put(ENTRY(3) + 8, 8, UINT64_MAX);
	ck_assert_uint_eq(bar_get(ENTRY(3), 8), UINT64_MAX - 3);
	ck_assert_uint_eq(bar_get(ENTRY(3) + 8, 8), UINT64_C(0x1ffffffff));
	bar_put(ENTRY(3) + 12, 1, 0);
	ck_assert_uint_eq(bar_get(ENTRY(3) + 12, 4), 0);
	ck_assert_uint_eq(bar_get(ENTRY(4) + 12, 4), 1);
	/* Bytes, and across entries. */
	bar_put(ENTRY(6) - 2, 8, UINT64_C(0x8877665544330000));
	ck_assert_uint_eq(bar_get(ENTRY(6), 4), 0x66554430);
	vfui_pci_reset(&pci);
	ck_assert_uint_eq(bar_get(ENTRY(3), 8), 0);
	ck_assert_uint_eq(bar_get(ENTRY(3) + 8, 8), UINT64_C(1) << 32);
}
END_TEST

START_TEST(e66_entries_that_nobody_wrote_mask_nothing)
{
	int fd;

	set_table();
	fd = arm(2);
	ck_assert_uint_eq(bar_get(ENTRY(2) + 12, 4), 1);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(fired(fd), 1);
	/* Of another vector. */
	bar_put(ENTRY(3) + 12, 4, 1);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(fired(fd), 1);
	/* The address, and with it the mask bit that was there all along. */
	bar_put(ENTRY(2), 4, 0xfee00000);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(fired(fd), 0);
	ck_assert_uint_eq(bar_get(0x800, 4), 4);
	bar_put(ENTRY(2) + 12, 4, 0);
	ck_assert_uint_eq(fired(fd), 1);
	ck_assert_uint_eq(bar_get(0x800, 4), 0);
	bar_put(ENTRY(2) + 12, 4, 1);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(fired(fd), 0);
	/* A reset forgets the interrupt and the mask. */
	vfui_irqs_reset(&irqs);
	vfui_pci_reset(&pci);
	ck_assert_uint_eq(fired(fd), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

START_TEST(the_next_client_has_written_nothing)
{
	int fd;

	set_table();
	bar_put(ENTRY(2) + 8, 4, 77);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(bar_get(0x800, 4), 4);
	vfui_irqs_disconnect(&irqs);
	vfui_pci_disconnect(&pci);
	/* What it says stays, as all of the device's state (E47), but an interrupt was the last client's. */
	ck_assert_uint_eq(bar_get(ENTRY(2) + 8, 4), 77);
	ck_assert_uint_eq(bar_get(0x800, 4), 0);
	vfui_irqs_connect(&irqs);
	fd = arm(2);
	ck_assert_uint_eq(fired(fd), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(fired(fd), 1);
	bar_put(ENTRY(2), 4, 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(fired(fd), 0);
	close(fd);
}
END_TEST

START_TEST(by_policy_all_are_masked_at_first)
{
	int fd;

	vfui_pci_set_policy(&pci, &(struct vfui_policy){.msix_mask = VFUI_MSIX_MASK_ALWAYS});
	set_table();
	fd = arm(19);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 19), 0);
	ck_assert_uint_eq(fired(fd), 0);
	bar_put(ENTRY(19) + 12, 4, 0);
	ck_assert_uint_eq(fired(fd), 1);
	vfui_pci_disconnect(&pci);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 19), 0);
	ck_assert_uint_eq(fired(fd), 1);
	vfui_pci_reset(&pci);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 19), 0);
	ck_assert_uint_eq(fired(fd), 0);
	vfui_pci_set_policy(&pci, &(struct vfui_policy){0});
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

START_TEST(loopback_does_not_ask_the_table)
{
	const struct vfui_policy policy = {0};
	struct vfu_wire_set_irqs_request in = {20, 0x21, VFU_IRQ_MSIX, 2, 1};
	int fd;

	set_table();
	fd = arm(2);
	bar_put(ENTRY(2) + 12, 4, 1);
	ck_assert_int_eq(vfui_irqs_set(&irqs, &in, NULL, NULL, 0, &policy, NULL), 0);
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

START_TEST(a_new_table_is_empty)
{
	int fd;

	set_table();
	fd = arm(2);
	bar_put(ENTRY(2) + 12, 4, 1);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 20, 0, 0x400, 0x900, NULL), 0);
	ck_assert_uint_eq(bar_get(ENTRY(2) + 12, 4), 0xeeeeeeee);
	ck_assert_uint_eq(bar_get(0x400 + 16 * 2 + 12, 4), 1);
	ck_assert_uint_eq(fired(fd), 1);
	/* Where a handler is there is no room, and nothing has changed. */
	ck_assert_int_eq(
		vfui_region_set_handler(&regions, 0, 0x800, 16, access_nothing, NULL, NULL), 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 20, 0, 0x700, 0x900, NULL), -EEXIST);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 20, 0, 0x400, 0x808, NULL), -EINVAL);
	ck_assert_uint_eq(bar_get(0x400 + 12, 4), 1);
	ck_assert_uint_eq(bar_get(0x900, 4), 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 0, 0, 0, 0, NULL), 0);
	ck_assert_uint_eq(bar_get(0x400 + 12, 4), 0xeeeeeeee);
	close(fd);
}
END_TEST

/* ---- resets ------------------------------------------------------------------------------------ */

/* PCI Express: endpoint, with or without FLR. */
static int add_express(bool flr)
{
	uint8_t data[58] = {2, 0, 0, 0x80, 0, (uint8_t)(flr ? 0x10 : 0), 0x10, 0x28};

	return add_cap(0x10, data, sizeof(data));
}

START_TEST(e56_flr_by_express)
{
	ck_assert_int_eq(add_express(true), 0x40);
	put(0x48, 2, 0x7fff);
	ck_assert_uint_eq(get(0x48, 2), 0x7fff);
	ck_assert_uint_eq(resets, 0);
	reset_answer = VFU_LATER;
	ck_assert_int_eq(put(0x48, 2, 0xffff), VFU_LATER);
	ck_assert_uint_eq(resets, 1);
	ck_assert_uint_eq(get(0x48, 2), 0x7fff);
	reset_answer = -EBUSY;
	ck_assert_int_eq(put(0x49, 1, 0x80), -EBUSY);
	ck_assert_int_eq(put(0x48, 1, 0x80), 0);
	ck_assert_int_eq(put(0x4a, 2, 0x8000), 0);
	ck_assert_uint_eq(resets, 2);
	vfui_pci_reset(&pci);
	/* The capability's own initial value. */
	ck_assert_uint_eq(get(0x48, 2), 0x2810);
}
END_TEST

START_TEST(no_flr_without_the_capability)
{
	ck_assert_int_eq(add_express(false), 0x40);
	ck_assert_int_eq(put(0x48, 2, 0x8000), 0);
	ck_assert_uint_eq(resets, 0);
	ck_assert_uint_eq(get(0x48, 2), 0);
}
END_TEST

START_TEST(e56_flr_by_advanced_features)
{
	static const uint8_t with[] = {6, 3, 0, 0}, without[] = {6, 1, 0, 0};

	reset_answer = 0;
	ck_assert_int_eq(add_cap(0x13, with, 4), 0x40);
	ck_assert_int_eq(put(0x44, 1, 1), 0);
	ck_assert_uint_eq(resets, 1);
	ck_assert_uint_eq(get(0x44, 1), 0);
	vfui_pci_write(&pci, 0x42, without, 4);
	ck_assert_int_eq(put(0x44, 1, 1), 0);
	ck_assert_uint_eq(resets, 1);
}
END_TEST

START_TEST(power_states)
{
	uint8_t data[] = {3, 0xc8, 0, 0, 0, 0}; /* it sends events */

	reset_answer = 0;
	ck_assert_int_eq(add_cap(0x01, data, 6), 0x40);
	put(0x44, 2, 3);
	ck_assert_uint_eq(get(0x44, 2), 3);
	put(0x44, 2, 3);
	ck_assert_uint_eq(resets, 0);
	put(0x44, 2, 0);
	ck_assert_uint_eq(resets, 1);
	put(0x44, 2, 0);
	ck_assert_uint_eq(resets, 1);
	/* No_Soft_Reset. */
	vfui_pci_write(&pci, 0x44, "\x08\x80", 2);
	put(0x44, 2, 3);
	ck_assert_uint_eq(get(0x44, 2), 0x800b);
	put(0x44, 2, 0x8000);
	ck_assert_uint_eq(get(0x44, 2), 0x0008);
	ck_assert_uint_eq(resets, 1);
}
END_TEST

START_TEST(reset_takes_back_what_the_client_wrote)
{
	vfui_pci_set_ids(&pci, 1, 2, 3, 4);
	vfui_pci_set_intx(&pci, 1);
	set_bar(0, 4096, VFU_BAR_64);
	put(0x04, 2, 0xffff);
	put(0x10, 4, 0xfe000000);
	put(0x14, 4, 0x12);
	put(0x3c, 1, 11);
	vfui_pci_reset(&pci);
	ck_assert_uint_eq(get(0x00, 4), 0x00020001);
	ck_assert_uint_eq(get(0x04, 2), 0);
	ck_assert_uint_eq(get(0x10, 4), 4);
	ck_assert_uint_eq(get(0x14, 4), 0);
	ck_assert_uint_eq(get(0x3c, 2), 0x0100);
	ck_assert(!irqs.index[VFU_IRQ_INTX].held);
}
END_TEST

START_TEST(resets_itself_if_nobody_else_does)
{
	static const uint8_t with[] = {6, 3, 0, 0};

	pci.hooks = (struct vfui_pci_hooks){0};
	ck_assert_int_eq(add_cap(0x13, with, 4), 0x40);
	put(0x04, 2, 7);
	ck_assert_int_eq(put(0x44, 1, 1), 0);
	ck_assert_uint_eq(get(0x04, 2), 0);
}
END_TEST

static int more_msi(void)
{
	return vfui_pci_set_msi(&pci, 8, VFU_MSI_64);
}

static int more_msix(void)
{
	return vfui_pci_set_msix(&pci, 64, 0, 0, 0xc00, NULL);
}

static int pin(void)
{
	return vfui_pci_set_intx(&pci, 1);
}

static int write_entry(void)
{
	uint8_t byte = 1;
	struct vfu_access access = {.offset = 16 + 12, .data = &byte, .count = 1, .is_write = true};

	return vfui_region_access(&regions, NULL, &access);
}

START_TEST(out_of_memory)
{
	set_bar(0, 4096, 0);
	ck_assert_int_eq(vfui_pci_set_msix(&pci, 16, 0, 0, 0x800, NULL), 0);
	ck_assert_int_eq(vfui_pci_set_msi(&pci, 2, VFU_MSI_64), 0);
	fault_each_alloc(pin);
	fault_each_alloc(more_msi);
	/* What was there stays. */
	fault_fail(FAULT_ALLOC, 2, ENOMEM);
	ck_assert_int_eq(more_msix(), -ENOMEM);
	fault_reset();
	ck_assert_uint_eq(get(0x42, 2), 15);
	ck_assert_uint_eq(irqs.index[VFU_IRQ_MSIX].count, 16);
	ck_assert_uint_eq(read_pba(0, 0x800, 2), 0);
	ck_assert_uint_eq(read_pba(0, 0xc00, 2), 0xeeee);
	fault_each_alloc(write_entry);
	fault_each_alloc(more_msix);
	ck_assert_uint_eq(read_pba(0, 0xc00, 8), 0);
	ck_assert_uint_eq(read_pba(0, 0x800, 2), 0xeeee);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pci");
	TCase *tcase = tcase_create("pci");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, e53_identity_is_little_endian_and_read_only);
	tcase_add_test(tcase, both_sizes);
	tcase_add_test(tcase, bars_of_every_size);
	tcase_add_test(tcase, io_bars_and_rom);
	tcase_add_test(tcase, status_is_cleared_by_ones);
	tcase_add_test(tcase, the_hook_hears_of_writes);
	tcase_add_test(tcase, e64_status_shows_the_line);
	tcase_add_test(tcase, e63_bus_mastering_counts_if_told_so);
	tcase_add_test(tcase, capabilities_are_a_list);
	tcase_add_test(tcase, the_whole_room_can_be_used);
	tcase_add_test(tcase, a_list_in_a_loop_ends);
	tcase_add_test(tcase, msi);
	tcase_add_test(tcase, removing_keeps_the_others);
	tcase_add_test(tcase, msix);
	tcase_add_test(tcase, the_pba_shows_what_is_pending);
	tcase_add_test(tcase, the_pba_does_not_push_others_away);
	tcase_add_test(tcase, the_table_is_written_as_far_as_hardware_has_it);
	tcase_add_test(tcase, e66_entries_that_nobody_wrote_mask_nothing);
	tcase_add_test(tcase, the_next_client_has_written_nothing);
	tcase_add_test(tcase, by_policy_all_are_masked_at_first);
	tcase_add_test(tcase, loopback_does_not_ask_the_table);
	tcase_add_test(tcase, a_new_table_is_empty);
	tcase_add_test(tcase, e56_flr_by_express);
	tcase_add_test(tcase, no_flr_without_the_capability);
	tcase_add_test(tcase, e56_flr_by_advanced_features);
	tcase_add_test(tcase, power_states);
	tcase_add_test(tcase, reset_takes_back_what_the_client_wrote);
	tcase_add_test(tcase, resets_itself_if_nobody_else_does);
	tcase_add_test(tcase, out_of_memory);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
