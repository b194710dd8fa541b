/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-pci.c - what a client finds in configuration space, and where it puts BARs; of servers that say what can not be, too.
 *
 * The server is a thread with 4 KiB of configuration space, of which only the bits in `writable` take what is written, and
 * whose BARs answer -EINVAL until Command says that they are decoded, as there are some.
 */
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"

enum { MSIX_AT = 0x50, VENDOR_AT = 0x60, PENDING_AT = 0x800 };

static struct script far;
static struct vfu_client *cl;
static uint8_t config[4096], writable[4096], memory[4096];
static unsigned config_size, info_flags, writes, refused_from;
static bool has_rom;

/* ---- the server */

static void put(uint8_t *bytes, unsigned at, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *bytes, unsigned at, unsigned width)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < width; i++)
		value |= (uint64_t)bytes[at + i] << 8 * i;
	return value;
}

static void config_access(struct script *s, bool is_write)
{
	unsigned at = (unsigned)script_u64(s, 0), n = script_u32(s, 12);

	ck_assert(n == 1 || n == 2 || n == 4);
	ck_assert_uint_eq(at % n, 0);
	writes += is_write;
	if (is_write && refused_from && writes >= refused_from) {
		script_error(s, EPERM);
		return;
	}
	for (unsigned i = 0; i < n && is_write; i++)
		config[at + i] = (config[at + i] & ~writable[at + i]) |
				 (s->msg.payload[16 + i] & writable[at + i]);
	memcpy(s->msg.payload + 16, config + at, n);
	script_reply(s, s->msg.payload, is_write ? 16 : 16 + n);
}

static void access_region(struct script *s, bool is_write)
{
	unsigned at = (unsigned)script_u64(s, 0), n = script_u32(s, 12);

	if (script_u32(s, 8) == VFU_REGION_CONFIG) {
		config_access(s, is_write);
	} else if (!(config[PCI_COMMAND] & PCI_COMMAND_MEMORY) || at + n > sizeof(memory)) {
		script_error(s, EINVAL);
	} else {
		memcpy(s->msg.payload + 16, memory + at, n);
		script_reply(s, s->msg.payload, 16 + n);
	}
}

static void answer(struct script *s)
{
	const uint32_t info[4] = {16, info_flags, VFU_REGIONS, VFU_IRQS};
	struct vfu_wire_get_region_info_reply region = {
		.argsz = 32, .flags = 3, .index = script_u32(s, 8), .size = config_size};

	if (region.index == VFU_REGION_ROM && !has_rom)
		region.size = 0;
	switch (s->msg.hdr.command) {
	case VFU_WIRE_CMD_GET_INFO:
		script_reply(s, info, sizeof(info));
		break;
	case VFU_WIRE_CMD_GET_REGION_INFO:
		script_reply(s, &region, sizeof(region));
		break;
	default:
		access_region(s, s->msg.hdr.command == VFU_WIRE_CMD_REGION_WRITE);
	}
}

static void serve(struct script *s)
{
	script_version(s);
	while (peer_get(s->fd, &s->msg, s->fds, &s->nfds))
		answer(s);
}

/* A device with MSI-X in BAR 4 and a vendor's capability; its BARs come in the tests. */
static void setup(void)
{
	memset(config, 0, sizeof(config));
	memset(writable, 0, sizeof(writable));
	memset(memory, 0, sizeof(memory));
	config_size = 4096;
	info_flags = 3;
	writes = refused_from = 0;
	has_rom = true;
	put(writable, PCI_COMMAND, 2, 0x507);
	put(config, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	put(config, PCI_CAPABILITY_LIST, 1, MSIX_AT | 3); /* the low bits are none of it */
	put(config, MSIX_AT, 4, PCI_CAP_ID_MSIX | VENDOR_AT << 8 | 0x8003u << 16);
	put(config, MSIX_AT + PCI_MSIX_TABLE, 4, 4);
	put(config, MSIX_AT + PCI_MSIX_PBA, 4, PENDING_AT | 4);
	put(config, VENDOR_AT, 2, PCI_CAP_ID_VNDR);
	memset(&far, 0, sizeof(far));
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 0), 0);
	script_connect(&far, cl, serve);
}

static void teardown(void)
{
	vfu_client_disconnect(cl);
	script_join(&far);
	vfu_client_free(cl);
}

/* A BAR of a size: its kind, and the bits that can be written. */
static void add_bar(unsigned i, uint64_t size, unsigned kind)
{
	unsigned width = kind & PCI_BASE_ADDRESS_MEM_TYPE_64 ? 8 : 4;

	put(config, PCI_BASE_ADDRESS_0 + 4 * i, width, kind);
	put(writable, PCI_BASE_ADDRESS_0 + 4 * i, width, -size);
}

static const char *last_text(void)
{
	static struct vfu_err err;

	vfu_client_err(cl, &err);
	return err.text;
}

#define odd(call, words)                                                                           \
	do {                                                                                       \
		ck_assert_int_eq(call, -EPROTO);                                                   \
		ck_assert_ptr_nonnull(strstr(last_text(), words));                                 \
	} while (0)

/* ---- capabilities */

START_TEST(both_lists)
{
	struct vfu_client_capability list[8];

	put(config, 0x100, 4, 0x2a020003);
	put(config, 0x2a0, 4, 0x0001000b);
	ck_assert_int_eq(vfu_client_capabilities(cl, false, list, 8), 2);
	ck_assert_uint_eq(list[0].id, PCI_CAP_ID_MSIX);
	ck_assert_uint_eq(list[1].offset, VENDOR_AT);
	ck_assert_int_eq(vfu_client_capabilities(cl, true, list, 1),
			 2); /* more than there is room for */
	ck_assert_uint_eq(list[0].id, 3);
	ck_assert_uint_eq(list[0].version, 2);
	ck_assert_int_eq(vfu_client_find_extended_capability(cl, 0x0b, 0), 0x2a0);
	ck_assert_int_eq(vfu_client_find_extended_capability(cl, 0x0b, 0x2a0), -ENOENT);
	ck_assert_int_eq(vfu_client_find_capability(cl, PCI_CAP_ID_VNDR, 0), VENDOR_AT);
	put(config, VENDOR_AT + 1, 1, 0x80);
	put(config, 0x80, 2, PCI_CAP_ID_VNDR);
	ck_assert_int_eq(vfu_client_find_capability(cl, PCI_CAP_ID_VNDR, VENDOR_AT), 0x80);
	ck_assert_int_eq(vfu_client_find_capability(cl, PCI_CAP_ID_VNDR, 0x80), -ENOENT);
	ck_assert_int_eq(vfu_client_find_capability(cl, PCI_CAP_ID_PM, 0), -ENOENT);
}
END_TEST

START_TEST(no_lists)
{
	struct vfu_client_capability list[1];

	put(config, PCI_STATUS, 2, 0);
	ck_assert_int_eq(vfu_client_capabilities(cl, false, list, 1), 0);
	ck_assert_int_eq(vfu_client_capabilities(cl, true, list, 1), 0); /* zeros */
	put(config, 0x100, 4, UINT32_MAX);
	ck_assert_int_eq(vfu_client_capabilities(cl, true, list, 1), 0);
	config_size = 256;
	put(config, 0x100, 4, 3);
	vfu_client_disconnect(cl);
	script_join(&far);
	script_connect(&far, cl, serve);
	ck_assert_int_eq(vfu_client_capabilities(cl, true, list, 1), 0);
	info_flags = 1;
	vfu_client_disconnect(cl);
	script_join(&far);
	script_connect(&far, cl, serve);
	ck_assert_int_eq(vfu_client_capabilities(cl, false, list, 1), -ENODEV);
	ck_assert_int_eq(vfu_client_assign_bars(cl, NULL, NULL), -ENODEV);
}
END_TEST

START_TEST(lists_that_can_not_be)
{
	struct vfu_client_capability list[4];

	put(config, VENDOR_AT + 1, 1, MSIX_AT);
	odd(vfu_client_capabilities(cl, false, list, 4), "comes back to 0x50");
	/* Who asks for one after the other would go round for ever. */
	ck_assert_int_eq(vfu_client_find_capability(cl, PCI_CAP_ID_MSIX, 0), MSIX_AT);
	odd(vfu_client_find_capability(cl, PCI_CAP_ID_MSIX, MSIX_AT), "comes back");
	put(config, VENDOR_AT + 1, 1, VENDOR_AT);
	odd(vfu_client_capabilities(cl, false, list, 4), "comes back to 0x60");
	put(config, VENDOR_AT + 1, 1, 0x3c);
	odd(vfu_client_find_capability(cl, PCI_CAP_ID_PM, 0), "0x3c, where none can be");
	put(config, 0x100, 4, 0x10010003);
	odd(vfu_client_capabilities(cl, true, list, 4), "comes back to 0x100");
	put(config, 0x100, 4, 0x0f010003);
	odd(vfu_client_capabilities(cl, true, list, 4), "0xf0, where none can be");
	/* The longest there is ends. */
	for (unsigned at = 0x100; at < 4096; at += 4)
		put(config, at, 4, 1 | (at + 4) % 4096 << 20);
	ck_assert_int_eq(vfu_client_capabilities(cl, true, list, 4), 960);
}
END_TEST

/* ---- MSI-X */

START_TEST(msix_table)
{
	struct vfu_client_msix msix;
	struct vfu_client_msix_entry entry;

	add_bar(4, 4096, 0);
	put(memory, 16, 8, 0x1122334455667788);
	put(memory, 24, 4, 0x42);
	put(memory, 28, 4, 1);
	put(memory, PENDING_AT, 4, 2);
	ck_assert_int_eq(vfu_client_msix(cl, &msix), 0);
	ck_assert_uint_eq(msix.count, 4);
	ck_assert(msix.is_enabled && !msix.is_masked);
	ck_assert_int_eq(vfu_client_msix_entry(cl, &msix, 1, &entry), -EINVAL); /* not decoded */
	ck_assert_int_eq(vfu_client_assign_bars(cl, NULL, NULL), 0);
	ck_assert_int_eq(vfu_client_msix_entry(cl, &msix, 1, &entry), 0);
	ck_assert_uint_eq(entry.address, 0x1122334455667788);
	ck_assert_uint_eq(entry.data, 0x42);
	ck_assert(entry.is_masked && entry.is_pending);
	ck_assert_int_eq(vfu_client_msix_entry(cl, &msix, 0, &entry), 0);
	ck_assert(!entry.is_masked && !entry.is_pending);
	ck_assert_int_eq(vfu_client_msix_entry(cl, &msix, 4, &entry), -EINVAL);
	put(config, MSIX_AT + PCI_MSIX_TABLE, 4, 6);
	odd(vfu_client_msix(cl, &msix), "BAR 6");
	put(config, PCI_CAPABILITY_LIST, 1, VENDOR_AT);
	ck_assert_int_eq(vfu_client_msix(cl, &msix), -ENOENT);
}
END_TEST

/* ---- BARs */

static void is_bar(const struct vfu_client_bar *bar, uint64_t size, uint64_t address,
		   uint32_t flags)
{
	ck_assert_uint_eq(bar->size, size);
	ck_assert_uint_eq(bar->address, address);
	ck_assert_uint_eq(bar->flags, flags);
}

START_TEST(sizes)
{
	struct vfu_client_bar bars[VFU_BARS];

	add_bar(0, 4096, 0);
	put(config, PCI_BASE_ADDRESS_0, 4, 0xfebf1000);
	add_bar(1, 32, 1);
	put(writable, PCI_BASE_ADDRESS_1, 4, 0xffe0); /* 16 bits of address, as some have */
	put(config, PCI_BASE_ADDRESS_1, 4, 0xc001);
	add_bar(2, 1ull << 34, 12);
	put(config, PCI_BASE_ADDRESS_2, 8, 0x40000000c);
	add_bar(5, 16, 8);
	put(config, PCI_COMMAND, 2, 0x107);
	ck_assert_int_eq(vfu_client_bars(cl, bars), 0);
	is_bar(&bars[0], 4096, 0xfebf1000, 0);
	is_bar(&bars[1], 32, 0xc000, VFU_BAR_IO);
	is_bar(&bars[2], 1ull << 34, 1ull << 34, VFU_BAR_64 | VFU_BAR_PREFETCH);
	is_bar(&bars[3], 0, 0, 0);
	is_bar(&bars[4], 0, 0, 0);
	is_bar(&bars[5], 16, 0, VFU_BAR_PREFETCH);
	/* All is as it was. */
	ck_assert_uint_eq(get(config, PCI_BASE_ADDRESS_0, 4), 0xfebf1000);
	ck_assert_uint_eq(get(config, PCI_BASE_ADDRESS_1, 4), 0xc001);
	ck_assert_uint_eq(get(config, PCI_BASE_ADDRESS_2, 8), 0x40000000c);
	ck_assert_uint_eq(get(config, PCI_COMMAND, 2), 0x107);
}
END_TEST

START_TEST(places)
{
	struct vfu_client_bar bars[VFU_BARS];

	add_bar(0, 4096, 0);
	add_bar(1, 1 << 20, 0);
	add_bar(2, 64, 1);
	add_bar(3, 8, 1);
	add_bar(4, 1ull << 36, 12);
	put(config, PCI_COMMAND, 2, 4);
	ck_assert_int_eq(vfu_client_assign_bars(cl, NULL, bars), 0);
	is_bar(&bars[1], 1 << 20, 0xe0000000, 0);
	is_bar(&bars[0], 4096, 0xe0100000, 0);
	is_bar(&bars[2], 64, 0x1000, VFU_BAR_IO);
	is_bar(&bars[3], 8, 0x1040, VFU_BAR_IO);
	is_bar(&bars[4], 1ull << 36, 1ull << 39, VFU_BAR_64 | VFU_BAR_PREFETCH);
	ck_assert_uint_eq(get(config, PCI_BASE_ADDRESS_0, 4), 0xe0100000);
	ck_assert_uint_eq(get(config, PCI_BASE_ADDRESS_3, 4), 0x1041);
	ck_assert_uint_eq(get(config, PCI_BASE_ADDRESS_4, 8), 1ull << 39 | 12);
	ck_assert_uint_eq(get(config, PCI_COMMAND, 2), 7);
}
END_TEST

/* It has a place of its own, and does not answer there unless that is asked for. */
START_TEST(rom)
{
	struct vfu_client_windows windows = {.size = sizeof(windows),
					     .memory = {0x100000, 0x40000}};
	struct vfu_client_bar bars[VFU_BARS];

	add_bar(0, 0x20000, 0);
	put(writable, PCI_ROM_ADDRESS, 4, 0xffff0001);
	put(config, PCI_ROM_ADDRESS, 4, 0xfeb00001);
	ck_assert_int_eq(vfu_client_bars(cl, bars), 0);
	is_bar(&bars[VFU_REGION_ROM], 0x10000, 0xfeb00000, VFU_BAR_ROM_ON);
	ck_assert_uint_eq(get(config, PCI_ROM_ADDRESS, 4), 0xfeb00001);
	ck_assert_int_eq(vfu_client_assign_bars(cl, &windows, bars), 0);
	is_bar(&bars[0], 0x20000, 0x100000, 0);
	is_bar(&bars[VFU_REGION_ROM], 0x10000, 0x120000, 0);
	ck_assert_uint_eq(get(config, PCI_ROM_ADDRESS, 4), 0x120000);
	windows.is_rom_on = true;
	ck_assert_int_eq(vfu_client_assign_bars(cl, &windows, bars), 0);
	is_bar(&bars[VFU_REGION_ROM], 0x10000, 0x120000, VFU_BAR_ROM_ON);
	ck_assert_uint_eq(get(config, PCI_ROM_ADDRESS, 4), 0x120001);
	windows.memory.size = 0x20000;
	ck_assert_int_eq(vfu_client_assign_bars(cl, &windows, bars), -ENOSPC);
	ck_assert_str_eq(last_text(), "no room for the ROM of 0x10000 bytes");
	ck_assert_uint_eq(get(config, PCI_ROM_ADDRESS, 4), 0x120001);
	put(writable, PCI_ROM_ADDRESS, 4, 0x10000);
	odd(vfu_client_assign_bars(cl, NULL, bars), "ROM register 6 was written");
}
END_TEST

/* A bridge has its own elsewhere; and there are servers which take a write to that of a ROM they lack for a fault. */
START_TEST(rom_of_a_bridge_and_none)
{
	struct vfu_client_bar bars[VFU_BARS];

	config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	put(writable, PCI_ROM_ADDRESS1, 4, 0xfffff801);
	ck_assert_int_eq(vfu_client_assign_bars(cl, NULL, bars), 0);
	is_bar(&bars[VFU_REGION_ROM], 2048, 0xe0000000, 0);
	ck_assert_uint_eq(get(config, PCI_ROM_ADDRESS1, 4), 0xe0000000);
	vfu_client_disconnect(cl);
	script_join(&far);
	has_rom = false;
	put(config, PCI_ROM_ADDRESS1, 4, 0);
	script_connect(&far, cl, serve);
	ck_assert_int_eq(vfu_client_assign_bars(cl, NULL, bars), 0);
	is_bar(&bars[VFU_REGION_ROM], 0, 0, 0);
	ck_assert_uint_eq(get(config, PCI_ROM_ADDRESS1, 4), 0);
}
END_TEST

/* Windows that are no multiples of anything: a small one fills the gap that a large one leaves. */
START_TEST(places_in_windows)
{
	struct vfu_client_windows windows = {.size = sizeof(windows),
					     .memory = {0x1f000, 0x31000},
					     .memory64 = {(1ull << 40) - 4096, 0x12000}};
	struct vfu_client_bar bars[VFU_BARS];

	add_bar(0, 4096, 0);
	add_bar(1, 0x20000, 0);
	add_bar(2, 0x10000, 4); /* of 64 bits: there is no room left for it below */
	add_bar(4, 4096, 12);
	ck_assert_int_eq(vfu_client_assign_bars(cl, &windows, bars), 0);
	is_bar(&bars[0], 4096, 0x1f000, 0);
	is_bar(&bars[1], 0x20000, 0x20000, 0);
	is_bar(&bars[2], 0x10000, 0x40000, VFU_BAR_64);
	is_bar(&bars[4], 4096, (1ull << 40) - 4096, VFU_BAR_64 | VFU_BAR_PREFETCH);
	ck_assert_uint_eq(get(config, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	windows.memory.size = 0x30fff;
	ck_assert_int_eq(vfu_client_assign_bars(cl, &windows, bars), 0);
	is_bar(&bars[2], 0x10000, 1ull << 40, VFU_BAR_64);
	windows.memory64.size = 0;
	ck_assert_int_eq(vfu_client_assign_bars(cl, &windows, bars), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(last_text(), "BAR 2"));
	ck_assert_uint_eq(get(config, PCI_BASE_ADDRESS_2, 8), 1ull << 40 | 4);
	ck_assert_uint_eq(get(config, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	windows.size--;
	ck_assert_int_eq(vfu_client_assign_bars(cl, &windows, bars), -EINVAL);
	windows.size++;
	windows.io = (struct vfu_area){0xffffffff, 2};
	ck_assert_int_eq(vfu_client_assign_bars(cl, &windows, bars), -EINVAL);
}
END_TEST

START_TEST(bars_that_can_not_be)
{
	struct vfu_client_bar bars[VFU_BARS];

	add_bar(5, 1 << 20, 4);
	odd(vfu_client_bars(cl, bars), "BAR 5 has 64 bits");
	add_bar(5, 0, 0);
	add_bar(0, 1ull << 63, 4); /* larger than any window */
	ck_assert_int_eq(vfu_client_assign_bars(cl, NULL, bars), -ENOSPC);
	put(config, PCI_BASE_ADDRESS_0, 4, 0);
	put(writable, PCI_BASE_ADDRESS_1, 4, 0);
	put(writable, PCI_BASE_ADDRESS_0, 4, 0x1000); /* and no bit above */
	odd(vfu_client_assign_bars(cl, NULL, bars), "was written 0xe0000000, and reads 0x0");
	ck_assert_uint_eq(get(config, PCI_COMMAND, 2), 0);
	memset(config + PCI_BASE_ADDRESS_0, 0xff, 24);
	memset(writable + PCI_BASE_ADDRESS_0, 0, 24);
	ck_assert_int_eq(vfu_client_bars(cl, bars), 0); /* all ones: I/O, as far as one can tell */
	config[PCI_HEADER_TYPE] = 0x7f;
	odd(vfu_client_bars(cl, bars), "header of type 127");
	config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE | 0x80;
	put(config, PCI_PRIMARY_BUS, 4, 0x00020100); /* is no BAR */
	put(writable, PCI_PRIMARY_BUS, 4, 0xffffffff);
	ck_assert_int_eq(vfu_client_bars(cl, bars), 0);
	is_bar(&bars[2], 0, 0, 0);
	ck_assert_uint_eq(get(config, PCI_PRIMARY_BUS, 4), 0x00020100);
}
END_TEST

/* Whichever write it refuses, and all that follow: an error each, its own. */
START_TEST(writes_that_are_refused)
{
	unsigned all;

	add_bar(0, 4096, 0);
	add_bar(2, 1ull << 33, 4);
	put(config, PCI_COMMAND, 2, 2);
	ck_assert_int_eq(vfu_client_assign_bars(cl, NULL, NULL), 0);
	all = writes;
	for (refused_from = 1; refused_from <= all; refused_from++) {
		writes = 0;
		ck_assert_int_eq(vfu_client_assign_bars(cl, NULL, NULL), -EPERM);
		config[PCI_COMMAND] = 2;
	}
}
END_TEST

/* ---- */

int main(void)
{
	Suite *suite = suite_create("client-pci");
	TCase *tcase = tcase_create("pci");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, both_lists);
	tcase_add_test(tcase, no_lists);
	tcase_add_test(tcase, lists_that_can_not_be);
	tcase_add_test(tcase, msix_table);
	tcase_add_test(tcase, sizes);
	tcase_add_test(tcase, places);
	tcase_add_test(tcase, rom);
	tcase_add_test(tcase, rom_of_a_bridge_and_none);
	tcase_add_test(tcase, places_in_windows);
	tcase_add_test(tcase, bars_that_can_not_be);
	tcase_add_test(tcase, writes_that_are_refused);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
