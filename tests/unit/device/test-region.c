/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-region.c - regions: what may be declared, where accesses go, what GET_REGION_INFO says.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "base/os.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"
#include "checks.h"
#include "policy.h"
#include "device/region-map.h"
#include "parts.h"

#define RW (VFU_REGION_READ | VFU_REGION_WRITE)
#define PAGE 4096

static struct vfui_regions regions;
static struct vfu_err err;

static void setup(void)
{
	vfui_regions_init(&regions);
}

static void teardown(void)
{
	vfui_regions_fini(&regions);
}

static int set(unsigned index, struct vfu_region def)
{
	return vfui_region_set(&regions, index, &def, &err);
}

static int set_plain(unsigned index, uint64_t size)
{
	return set(index, (struct vfu_region){.size = size, .flags = RW, .fd = -1});
}

static int file(uint64_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static int access_region(unsigned index, uint64_t offset, void *data, uint32_t count, bool is_write)
{
	struct vfu_access access = {.offset = offset,
				    .data = data,
				    .count = count,
				    .region = index,
				    .is_write = is_write};

	return vfui_region_access(&regions, (struct vfu_request *)&regions, &access);
}

/* Notes what it was asked. */
struct seen {
	uint64_t offset;
	uint32_t count;
	bool is_write, had_request;
	char name;
};

static struct seen seen[16];
static unsigned nseen;
static int answer;

static int note(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	seen[nseen++] = (struct seen){access->offset, access->count, access->is_write, req != NULL,
				      *(char *)user};
	if (!access->is_write)
		memset(access->data, *(char *)user, access->count);
	return answer;
}

START_TEST(plain_memory_reads_and_writes)
{
	uint8_t data[64], *memory;

	ck_assert_int_eq(set_plain(0, PAGE), 0);
	memory = vfui_region_memory(&regions, 0);
	for (uint32_t count = 1; count <= 16; count++) {
		for (unsigned skew = 0; skew < 8; skew++) {
			memset(data, 0, sizeof(data));
			memset(data + skew, 0xa0 + (int)count, count);
			ck_assert_int_eq(access_region(0, 100 + skew, data + skew, count, true), 0);
			ck_assert_int_eq(memcmp(memory + 100 + skew, data + skew, count), 0);
			memset(data, 0, sizeof(data));
			ck_assert_int_eq(access_region(0, 100 + skew, data + 3, count, false), 0);
			ck_assert_int_eq(memcmp(memory + 100 + skew, data + 3, count), 0);
			ck_assert_int_eq(data[3 + count], 0);
		}
	}
	ck_assert_ptr_null(vfui_region_memory(&regions, 1));
	ck_assert_ptr_null(vfui_region_memory(&regions, 9));
}
END_TEST

START_TEST(accesses_stay_inside)
{
	uint8_t data[8];

	ck_assert_int_eq(set_plain(0, PAGE), 0);
	ck_assert_int_eq(access_region(0, PAGE - 4, data, 4, false), 0);
	ck_assert_int_eq(access_region(0, PAGE - 3, data, 4, false), -EINVAL);
	ck_assert_int_eq(access_region(0, PAGE, data, 1, false), -EINVAL);
	ck_assert_int_eq(access_region(0, UINT64_MAX, data, 2, true), -EINVAL);
	ck_assert_int_eq(access_region(0, UINT64_MAX - 3, data, 4, true), -EINVAL);
	ck_assert_int_eq(access_region(1, 0, data, 1, false), -EINVAL);
	ck_assert_int_eq(access_region(9, 0, data, 1, false), -EINVAL);
	ck_assert_int_eq(access_region(255, 0, data, 1, false), -EINVAL);
	ck_assert_int_eq(access_region(0, PAGE, data, 0, false), 0);
	ck_assert_int_eq(access_region(0, PAGE + 1, data, 0, false), -EINVAL);
}
END_TEST

/* One of the widths, aligned to it; with none said, anything. */
static const struct {
	uint32_t widths, offset, count;
	bool fits;
} widths[] = {
	{0, 3, 13, true},  {0, 1, 4, true},   {4, 8, 4, true},    {4, 10, 4, false},
	{4, 8, 8, false},  {4, 8, 2, false},  {4, 8, 0, true},    {8, 8, 8, true},
	{8, 12, 8, false}, {12, 12, 4, true}, {12, 8, 8, true},   {12, 0, 12, false},
	{12, 8, 1, false}, {1, 7, 1, true},   {1, 8, 2, false},   {2, 2, 2, true},
	{2, 3, 2, false},  {15, 8, 8, true},  {15, 8, 15, false}, {15, 8, 16, false},
	{3, 1, 2, false},  {3, 2, 3, false},
};

START_TEST(widths_are_kept)
{
	uint8_t data[16] = {0};
	int rc = widths[_i].fits ? 0 : -EINVAL;

	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(set(0, (struct vfu_region){.size = PAGE,
							    .flags = RW,
							    .access = i ? note : NULL,
							    .user = (void *)"w",
							    .widths = widths[_i].widths,
							    .fd = -1}),
				 0);
		nseen = 0;
		for (unsigned w = 0; w < 2; w++)
			ck_assert_int_eq(
				access_region(0, widths[_i].offset, data, widths[_i].count, w), rc);
		ck_assert_uint_eq(nseen, i && !rc && widths[_i].count ? 2 : 0);
	}
}
END_TEST

START_TEST(widths_are_of_registers)
{
	for (uint32_t wrong = 16; wrong; wrong <<= 1) {
		ck_assert_int_eq(set(0, (struct vfu_region){.size = PAGE,
							    .flags = RW,
							    .widths = wrong | 4,
							    .fd = -1}),
				 -EINVAL);
		ck_assert_str_eq(err.field, "region.widths");
	}
}
END_TEST

START_TEST(flags_are_permissions)
{
	uint8_t data[4] = {0};

	ck_assert_int_eq(
		set(0, (struct vfu_region){.size = PAGE, .flags = VFU_REGION_READ, .fd = -1}), 0);
	ck_assert_int_eq(
		set(1, (struct vfu_region){.size = PAGE, .flags = VFU_REGION_WRITE, .fd = -1}), 0);
	ck_assert_int_eq(access_region(0, 0, data, 4, true), -EACCES);
	ck_assert_int_eq(access_region(0, 0, data, 4, false), 0);
	ck_assert_int_eq(access_region(1, 0, data, 4, false), -EACCES);
	ck_assert_int_eq(access_region(1, 0, data, 4, true), 0);
	ck_assert_int_eq(set(2, (struct vfu_region){.size = PAGE, .flags = 16, .fd = -1}), -EINVAL);
}
END_TEST

START_TEST(bars_have_sizes_that_registers_can_say)
{
	static const struct {
		unsigned index;
		uint64_t size;
		uint32_t bar_flags;
		int rc;
	} cases[] = {
		{0, 16, 0, 0},
		{0, 8, 0, -EINVAL},
		{0, 24, 0, -EINVAL},
		{0, 1ull << 31, 0, 0},
		{0, 1ull << 32, 0, -EINVAL},
		{0, 1ull << 32, VFU_BAR_64, 0},
		{0, 1ull << 63, VFU_BAR_64 | VFU_BAR_PREFETCH, 0},
		{0, (1ull << 63) + 1, VFU_BAR_64, -EINVAL},
		{0, UINT64_MAX, VFU_BAR_64, -EINVAL},
		{5, 4096, VFU_BAR_64, -EINVAL},
		{0, 4, VFU_BAR_IO, 0},
		{0, 2, VFU_BAR_IO, -EINVAL},
		{0, 4096, VFU_BAR_IO | VFU_BAR_64, -EINVAL},
		{0, 4096, 8, -EINVAL},
		{VFU_REGION_ROM, 2048, 0, 0},
		{VFU_REGION_ROM, 1024, 0, -EINVAL},
		{VFU_REGION_ROM, 1 << 24, 0, 0},
		{VFU_REGION_ROM, 1 << 25, 0, -EINVAL},
		{VFU_REGION_ROM, 4096, VFU_BAR_IO, -EINVAL},
		{VFU_REGION_CONFIG, 256, 0, 0},
		{VFU_REGION_CONFIG, 4096, 0, 0},
		{VFU_REGION_CONFIG, 512, 0, -EINVAL},
		{VFU_REGION_VGA, 0xc0000, 0, 0},
		{VFU_REGIONS, 4096, 0, 0},
		{VFU_REGIONS_MAX - 1, 1, 0, 0},
		{VFU_REGIONS, 4096, VFU_BAR_64, -EINVAL},
		{VFU_REGIONS_MAX, 4096, 0, -EINVAL},
		{UINT32_MAX, 4096, 0, -EINVAL},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = set(cases[i].index, (struct vfu_region){.size = cases[i].size,
								 .flags = RW,
								 .bar_flags = cases[i].bar_flags,
								 .access = note,
								 .user = (void *)"x",
								 .fd = -1});

		ck_assert_msg(rc == cases[i].rc, "case %u: %d", i, rc);
		if (!rc)
			ck_assert_int_eq(set_plain(cases[i].index, 0), 0);
	}
	/* Without a callback region 7 would not be configuration space. */
	ck_assert_int_eq(set_plain(VFU_REGION_CONFIG, 256), -EINVAL);
}
END_TEST

START_TEST(a_64_bit_bar_takes_two)
{
	struct vfu_region wide = {.size = PAGE, .flags = RW, .bar_flags = VFU_BAR_64, .fd = -1};

	ck_assert_int_eq(set(2, wide), 0);
	ck_assert_int_eq(set_plain(3, PAGE), -EINVAL);
	ck_assert_int_eq(set(1, wide), -EINVAL);
	ck_assert_int_eq(set_plain(4, PAGE), 0);
	ck_assert_int_eq(set_plain(2, PAGE), 0);
	ck_assert_int_eq(set_plain(3, PAGE), 0);
}
END_TEST

START_TEST(handlers_take_their_ranges)
{
	uint8_t data[64];

	ck_assert_int_eq(set_plain(0, PAGE), 0);
	memset(vfui_region_memory(&regions, 0), '.', PAGE);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 16, 4, note, (void *)"a", &err), 0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 24, 8, note, (void *)"c", &err), 0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 20, 4, note, (void *)"b", &err), 0);
	/* In the middle of one: whole, with its request. */
	nseen = 0;
	ck_assert_int_eq(access_region(0, 26, data, 2, false), 0);
	ck_assert_uint_eq(nseen, 1);
	ck_assert(seen[0].had_request && seen[0].offset == 26 && seen[0].count == 2);
	/* Over all of them. */
	nseen = 0;
	ck_assert_int_eq(access_region(0, 14, data, 22, false), 0);
	ck_assert_int_eq(memcmp(data, "..aaaabbbbcccccccc....", 22), 0);
	ck_assert_uint_eq(nseen, 3);
	ck_assert(seen[0].had_request && seen[1].offset == 20 && seen[2].count == 8);
	/* None. */
	nseen = 0;
	ck_assert_int_eq(access_region(0, 32, data, 4, true), 0);
	ck_assert_uint_eq(nseen, 0);
}
END_TEST

START_TEST(handlers_are_set_replaced_dropped)
{
	uint8_t data[4];

	ck_assert_int_eq(set_plain(0, PAGE), 0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 0, PAGE + 1, note, (void *)"a", &err),
			 -EINVAL);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 8, UINT64_MAX, note, (void *)"a",
						 &err),
			 -EINVAL);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 8, 0, note, (void *)"a", &err),
			 -EINVAL);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 9, 8, 4, note, (void *)"a", &err),
			 -EINVAL);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 1, 8, 4, note, (void *)"a", &err),
			 -EINVAL);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 0, 16, NULL, NULL, &err), 0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 8, 4, note, (void *)"a", &err), 0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 8, 4, note, (void *)"b", &err), 0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 4, 8, note, (void *)"c", &err),
			 -EEXIST);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 10, 8, note, (void *)"c", &err),
			 -EINVAL);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 10, 1, NULL, NULL, &err), -EINVAL);
	ck_assert_int_eq(access_region(0, 8, data, 4, false), 0);
	ck_assert_int_eq(data[0], 'b');
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 0, PAGE, NULL, NULL, &err), 0);
	ck_assert_int_eq(access_region(0, 8, data, 4, false), 0);
	ck_assert_int_eq(data[0], 0);
}
END_TEST

START_TEST(thousands_of_handlers)
{
	char data;

	ck_assert_int_eq(set_plain(0, 1 << 16), 0);
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t at = i * 7919u % 4000 * 16;

		ck_assert_int_eq(vfui_region_set_handler(&regions, 0, at, 8, note,
							 (void *)(i & 1 ? "o" : "e"), &err),
				 0);
	}
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t at = i * 7919u % 4000 * 16;

		nseen = 0;
		ck_assert_int_eq(access_region(0, at + 7, &data, 1, false), 0);
		ck_assert_int_eq(data, i & 1 ? 'o' : 'e');
		ck_assert_int_eq(access_region(0, at + 8, &data, 1, false), 0);
		ck_assert_int_eq(data, 0);
	}
}
END_TEST

START_TEST(answers_of_callbacks_come_through)
{
	uint8_t data[8];

	ck_assert_int_eq(set_plain(0, PAGE), 0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 4, 4, note, (void *)"a", &err), 0);
	answer = VFU_LATER;
	nseen = 0;
	ck_assert_int_eq(access_region(0, 4, data, 4, false), VFU_LATER);
	/* Who says so without deferring the part is told by whoever gets this. */
	ck_assert_int_eq(access_region(0, 0, data, 8, false), VFU_LATER);
	answer = -EPERM;
	ck_assert_int_eq(access_region(0, 4, data, 4, true), -EPERM);
	ck_assert_int_eq(access_region(0, 2, data, 4, true), -EPERM);
	answer = 0;
}
END_TEST

static int replace_region(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	(void)req;
	(void)access;
	return set_plain(0, 16);
}

START_TEST(a_handler_may_replace_its_region)
{
	uint8_t data[64];

	ck_assert_int_eq(set_plain(0, PAGE), 0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 8, 8, replace_region, NULL, &err), 0);
	ck_assert_int_eq(access_region(0, 0, data, 64, false), -EINVAL);
	ck_assert_int_eq(access_region(0, 0, data, 16, false), 0);
}
END_TEST

START_TEST(files_are_looked_at)
{
	struct vfu_area bad[] = {{0, PAGE}, {100, PAGE}}, order[] = {{PAGE, PAGE}, {0, PAGE}};
	struct vfu_area over[] = {{0, 2 * PAGE}, {PAGE, PAGE}}, beyond[] = {{3 * PAGE, 2 * PAGE}};
	struct vfu_area empty[] = {{0, 0}}, wrap[] = {{UINT64_MAX - PAGE + 1, 2 * PAGE}};
	struct {
		const struct vfu_area *areas;
		unsigned n;
	} lists[] = {{bad, 2},   {order, 2}, {over, 2}, {beyond, 1},
		     {empty, 1}, {wrap, 1},  {NULL, 1}, {bad, 1 << 20}};
	struct vfu_region def = {.size = 4 * PAGE, .flags = RW | VFU_REGION_MMAP};
	int pipes[2];
	unsigned i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		def.fd = file(4 * PAGE);
		def.areas = lists[i].areas;
		def.nareas = lists[i].n;
		ck_assert_int_eq(set(2, def), -EINVAL);
	}
	def.areas = NULL;
	def.nareas = 0;
	def.fd = file(4 * PAGE - 1);
	ck_assert_int_eq(set(2, def), -EINVAL);
	def.fd = file(8 * PAGE);
	def.fd_offset = 5 * PAGE;
	ck_assert_int_eq(set(2, def), -EINVAL);
	def.fd = file(8 * PAGE);
	def.fd_offset = 100;
	ck_assert_int_eq(set(2, def), -EINVAL);
	def.fd = -1;
	ck_assert_int_eq(set(2, def), -EINVAL);
	def.fd = 12345;
	def.fd_offset = 0;
	ck_assert_int_eq(set(2, def), -EBADF);
	/* Past what a file can hold. */
	def.fd = file(8 * PAGE);
	def.fd_offset = (UINT64_C(1) << 63) - PAGE;
	ck_assert_int_eq(set(2, def), -EINVAL);
	ck_assert_str_eq(err.field, "region.fd_offset");
	def.fd = file(8 * PAGE);
	def.fd_offset = UINT64_MAX - PAGE + 1;
	ck_assert_int_eq(set(2, def), -EINVAL);
	ck_assert_str_eq(err.field, "region.fd_offset");
	def.fd_offset = 0;
	/* What has no pages. */
	ck_assert_int_eq(pipe(pipes), 0);
	close(pipes[1]);
	def.fd = pipes[0];
	ck_assert_int_eq(set(2, def), -EINVAL);
	ck_assert_str_eq(err.field, "region.fd");
	def.fd = epoll_create1(0);
	ck_assert_int_eq(set(2, def), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "can not be mapped"));
	def.fd = file(8 * PAGE);
	def.fd_offset = 4 * PAGE;
	ck_assert_int_eq(set(2, def), 0);
}
END_TEST

START_TEST(a_file_is_the_memory)
{
	struct vfu_region def = {
		.size = 2 * PAGE, .flags = RW | VFU_REGION_MMAP, .fd_offset = PAGE};
	uint32_t word = 0x12345678;
	int fd = file(4 * PAGE);
	uint8_t *mine = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	def.fd = dup(fd);
	ck_assert_int_eq(set(2, def), 0);
	ck_assert_int_eq(access_region(2, PAGE, &word, 4, true), 0);
	ck_assert_int_eq(memcmp(mine + 2 * PAGE, &word, 4), 0);
	mine[PAGE] = 77;
	ck_assert_int_eq(((uint8_t *)vfui_region_memory(&regions, 2))[0], 77);
	munmap(mine, 4 * PAGE);
	close(fd);
}
END_TEST

START_TEST(a_failed_change_changes_nothing)
{
	uint8_t data = 5;

	ck_assert_int_eq(set_plain(0, PAGE), 0);
	ck_assert_int_eq(access_region(0, 0, &data, 1, true), 0);
	ck_assert_int_eq(set_plain(0, PAGE + 1), -EINVAL);
	data = 0;
	ck_assert_int_eq(access_region(0, 0, &data, 1, false), 0);
	ck_assert_int_eq(data, 5);
}
END_TEST

static int set_large(uint64_t size)
{
	return set(0, (struct vfu_region){
			      .size = size, .flags = RW, .bar_flags = VFU_BAR_64, .fd = -1});
}

START_TEST(large_memory_costs_what_is_touched)
{
	uint64_t size = sizeof(void *) == 8 ? UINT64_C(1) << 34 : 1 << 28;
	uint32_t word = 0x12345678, back = 0;

	ck_assert_int_eq(set_large(size), 0);
	ck_assert_int_eq(access_region(0, size - 4, &word, 4, true), 0);
	ck_assert_int_eq(access_region(0, size - 4, &back, 4, false), 0);
	ck_assert_uint_eq(back, word);
	ck_assert_int_eq(access_region(0, size / 2, &back, 4, false), 0);
	ck_assert_uint_eq(back, 0);
}
END_TEST

START_TEST(handlers_need_no_memory)
{
	uint64_t size = UINT64_C(1) << 63;
	char data[4];

	ck_assert_int_eq(set_large(size), 0);
	ck_assert_ptr_null(vfui_region_memory(&regions, 0));
	ck_assert_int_eq(access_region(0, 0, data, 4, false), -ENOMEM);
	ck_assert_int_eq(access_region(0, 0, data, 4, true), -ENOMEM);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 0, size, note, (void *)"a", &err), 0);
	ck_assert_int_eq(access_region(0, size - 4, data, 4, false), 0);
	ck_assert_mem_eq(data, "aaaa", 4);
	ck_assert_int_eq(access_region(0, 0, data, 4, true), 0);
	/* Any memory may be refused. */
	fault_fail(FAULT_MMAP, 1, ENOMEM);
	ck_assert_int_eq(set_large(4096), 0);
	ck_assert_int_eq(access_region(0, 0, data, 4, false), -ENOMEM);
}
END_TEST

/* ---- GET_REGION_INFO --------------------------------------------------------------------------- */

static struct vfui_region_reply info(unsigned index, uint32_t argsz, uint8_t short_info)
{
	struct vfui_policy policy = {.short_region_info = short_info};
	struct vfui_region_reply reply;

	ck_assert_int_eq(
		vfui_region_info(&regions, index, argsz, &vfui_limits_widest, &policy, &reply), 0);
	return reply;
}

START_TEST(info_of_plain_regions)
{
	struct vfu_wire_get_region_info_reply head;
	struct vfui_policy policy = {0};
	struct vfui_region_reply reply;

	ck_assert_int_eq(set_plain(1, PAGE), 0);
	for (uint32_t argsz = 32; argsz; argsz *= 4) {
		reply = info(1, argsz, 0);
		memcpy(&head, reply.payload, sizeof(head));
		ck_assert_uint_eq(reply.len, 32);
		ck_assert_uint_eq(reply.fds.n, 0);
		ck_assert_uint_eq(head.argsz, 32);
		ck_assert_uint_eq(head.flags, 3);
		ck_assert_uint_eq(head.index, 1);
		ck_assert_uint_eq(head.cap_offset, 0);
		ck_assert_uint_eq(head.size, PAGE);
		ck_assert_uint_eq(head.offset, 0);
		vfui_os_free(reply.payload);
	}
	/* One that is not there: size 0, no error. */
	reply = info(5, 32, 0);
	memcpy(&head, reply.payload, sizeof(head));
	ck_assert_uint_eq(head.size, 0);
	ck_assert_uint_eq(head.flags, 0);
	vfui_os_free(reply.payload);
	ck_assert_int_eq(vfui_region_info(&regions, 9, 31, &vfui_limits_widest, &policy, &reply),
			 -EINVAL);
	ck_assert_int_eq(vfui_region_info(&regions, 9, 32, &vfui_limits_widest, &policy, &reply),
			 -EINVAL);
	ck_assert_int_eq(vfui_region_info(&regions, UINT32_MAX, 32, &vfui_limits_widest, &policy,
					  &reply),
			 -EINVAL);
}
END_TEST

START_TEST(info_of_sparse_regions)
{
	static const struct vfu_area areas[] = {{0, PAGE}, {3 * PAGE, PAGE}};
	struct vfu_region def = {.size = 4 * PAGE,
				 .flags = RW | VFU_REGION_MMAP,
				 .fd_offset = PAGE,
				 .areas = areas,
				 .nareas = 2};
	static const struct {
		uint32_t argsz;
		uint8_t policy;
		size_t len;
		uint32_t flags, cap_offset;
	} cases[] = {
		{32, VFUI_SHORT_REGION_INFO_CAPS_CLEAR, 32, 7, 0},
		{79, VFUI_SHORT_REGION_INFO_CAPS_CLEAR, 32, 7, 0},
		{32, VFUI_SHORT_REGION_INFO_CAPS_OFFSET, 32, 15, 32},
		{80, VFUI_SHORT_REGION_INFO_CAPS_CLEAR, 80, 15, 32},
		{4096, VFUI_SHORT_REGION_INFO_CAPS_OFFSET, 80, 15, 32},
	};
	static const struct {
		uint16_t id, version;
		uint32_t next, nareas, reserved;
		uint64_t areas[4];
	} tail = {1, 1, 0, 2, 0, {0, PAGE, 3 * PAGE, PAGE}};

	def.fd = file(8 * PAGE);
	ck_assert_int_eq(set(2, def), 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vfui_region_reply reply = info(2, cases[i].argsz, cases[i].policy);
		struct vfu_wire_get_region_info_reply head;

		memcpy(&head, reply.payload, sizeof(head));
		ck_assert_uint_eq(reply.len, cases[i].len);
		ck_assert_uint_eq(reply.fds.n, reply.len > 32);
		if (reply.fds.n)
			ck_assert_int_eq(reply.fds.fd[0], def.fd);
		ck_assert_uint_eq(head.argsz, 80);
		ck_assert_uint_eq(head.flags, cases[i].flags);
		ck_assert_uint_eq(head.cap_offset, cases[i].cap_offset);
		ck_assert_uint_eq(head.offset, PAGE);
		if (reply.len > 32)
			ck_assert_int_eq(memcmp((uint8_t *)reply.payload + 32, &tail, sizeof(tail)),
					 0);
		vfui_os_free(reply.payload);
	}
}
END_TEST

/* What a client is told: how many areas, its flags; -1 in *fd: no descriptor comes. */
static unsigned areas_told(unsigned index, struct vfu_area *areas, uint32_t *flags, int *fd)
{
	struct vfui_region_reply reply = info(index, UINT32_MAX, 0);
	struct vfu_wire_get_region_info_reply head;
	uint32_t n = 0;

	memcpy(&head, reply.payload, sizeof(head));
	if (head.flags & VFU_WIRE_REGION_INFO_CAPS) {
		memcpy(&n, (uint8_t *)reply.payload + 40, sizeof(n));
		memcpy(areas, (uint8_t *)reply.payload + 48, n * sizeof(*areas));
	}
	*flags = head.flags & 7;
	*fd = reply.fds.n ? reply.fds.fd[0] : -1;
	vfui_os_free(reply.payload);
	return n;
}

/* Of 8 pages: what the device says can be mapped, what is kept (offset and length), what is left, in pages. */
static const struct {
	unsigned nareas, nkept, nleft;
	struct vfu_area areas[3], kept[3], left[5];
} cuts[] = {
	{0, 1, 1, {{0}}, {{0, 16}}, {{1, 7}}},
	{0, 1, 1, {{0}}, {{7 * PAGE, PAGE}}, {{0, 7}}},
	{0, 1, 2, {{0}}, {{3 * PAGE + 8, 8}}, {{0, 3}, {4, 4}}},
	{0, 2, 3, {{0}}, {{PAGE - 8, 8}, {5 * PAGE, 8}}, {{1, 4}, {6, 2}}},
	{0, 2, 1, {{0}}, {{0, 8}, {2 * PAGE - 8, 8}}, {{2, 6}}},
	{0, 2, 1, {{0}}, {{8, 8}, {24, 8}}, {{1, 7}}},
	{0, 1, 0, {{0}}, {{0, 8 * PAGE}}, {{0}}},
	{0, 2, 1, {{0}}, {{0, 4 * PAGE}, {5 * PAGE, 3 * PAGE}}, {{4, 1}}},
	{2, 1, 2, {{0, 2}, {4, 4}}, {{2 * PAGE, 2 * PAGE}}, {{0, 2}, {4, 4}}},
	{2, 1, 2, {{0, 2}, {4, 4}}, {{PAGE, 4 * PAGE}}, {{0, 1}, {5, 3}}},
	{2, 1, 1, {{0, 2}, {4, 4}}, {{0, 8}}, {{1, 1}, {4, 4}}},
	{1, 1, 0, {{3, 1}}, {{3 * PAGE + 64, 8}}, {{0}}},
	{3,
	 3,
	 5,
	 {{0, 3}, {3, 2}, {5, 3}},
	 {{PAGE, 8}, {4 * PAGE, 8}, {6 * PAGE, 8}},
	 {{0, 1}, {2, 1}, {3, 1}, {5, 1}, {7, 1}}},
};

START_TEST(kept_pages_are_in_no_area)
{
	struct vfu_area areas[3], told[8] = {{0}};
	struct vfu_region def = {.size = 8 * PAGE,
				 .flags = RW | VFU_REGION_MMAP,
				 .areas = cuts[_i].nareas ? areas : NULL,
				 .nareas = cuts[_i].nareas,
				 .fd = file(8 * PAGE)};
	unsigned n = 0, expected = 0;
	uint32_t flags;
	int fd;

	for (unsigned i = 0; i < def.nareas; i++)
		areas[i] = (struct vfu_area){cuts[_i].areas[i].offset * PAGE,
					     cuts[_i].areas[i].size * PAGE};
	ck_assert_int_eq(set(2, def), 0);
	for (unsigned i = 0; i < cuts[_i].nkept; i++)
		ck_assert_int_eq(vfui_region_keep_handler(&regions, 2, cuts[_i].kept[i].offset,
							  cuts[_i].kept[i].size, note, (void *)"k"),
				 0);
	n = areas_told(2, told, &flags, &fd);
	while (expected < 5 && cuts[_i].left[expected].size)
		expected++;
	ck_assert_uint_eq(n, expected);
	ck_assert_uint_eq(flags, n ? 7 : 3);
	ck_assert_int_eq(fd, n ? def.fd : -1);
	ck_assert_int_eq(vfui_region_is_unmappable(&regions, 2), !n);
	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_eq(told[i].offset, cuts[_i].left[i].offset * PAGE);
		ck_assert_uint_eq(told[i].size, cuts[_i].left[i].size * PAGE);
	}
	/* Nothing is kept any more. */
	ck_assert_int_eq(vfui_region_set_handler(&regions, 2, 0, 8 * PAGE, NULL, NULL, &err), 0);
	ck_assert_uint_eq(areas_told(2, told, &flags, &fd), def.nareas);
	ck_assert_uint_eq(flags, 7);
	ck_assert(!vfui_region_is_unmappable(&regions, 2));
}
END_TEST

/* A client without room for areas gets no descriptor: it can not map the table by mistake (E12). */
START_TEST(e12_who_is_not_told_of_areas_maps_nothing)
{
	struct vfui_region_reply reply;

	ck_assert_int_eq(set(2, (struct vfu_region){.size = 8 * PAGE,
						    .flags = RW | VFU_REGION_MMAP,
						    .fd = file(8 * PAGE)}),
			 0);
	ck_assert_int_eq(vfui_region_keep_handler(&regions, 2, PAGE, 8, note, (void *)"k"), 0);
	reply = info(2, 32, 0);
	ck_assert_uint_eq(reply.len, 32);
	ck_assert_uint_eq(reply.fds.n, 0);
	vfui_os_free(reply.payload);
}
END_TEST

/* ---- areas with files of their own ---- */

static const struct vfu_area two_areas[] = {{0, PAGE}, {2 * PAGE, 2 * PAGE}};

/* A region of 8 pages, areas of which are in two files; those are the caller's. */
static struct vfu_region with_files(struct vfu_area_file files[2])
{
	files[0] = (struct vfu_area_file){file(4 * PAGE), PAGE};
	files[1] = (struct vfu_area_file){file(2 * PAGE), 0};
	return (struct vfu_region){.size = 8 * PAGE,
				   .flags = RW | VFU_REGION_MMAP,
				   .areas = two_areas,
				   .nareas = 2,
				   .files = files,
				   .fd = -1};
}

static void close_both(const struct vfu_area_file files[2])
{
	close(files[0].fd);
	close(files[1].fd);
}

static struct vfui_region_reply info_for(uint32_t argsz, unsigned max_fds, bool agreed)
{
	struct vfui_limits limits = vfui_limits_widest;
	struct vfui_policy policy = {0};
	struct vfui_region_reply reply;

	limits.max_msg_fds = max_fds;
	limits.sparse_mmap_fds = agreed;
	ck_assert_int_eq(vfui_region_info(&regions, 2, argsz, &limits, &policy, &reply), 0);
	return reply;
}

/* E14 without SPARSE_MMAP_FDS: one file; with it one for each area that says so, at most as many as go into a message. */
START_TEST(e14_areas_with_files_of_their_own)
{
	static const struct {
		uint32_t argsz;
		unsigned max_fds;
		bool agreed;
		size_t len;
		uint32_t flags, nareas;
		unsigned nfds;
	} cases[] = {
		{4096, 8, true, 32 + 16 + 64, 15, 2, 2}, {4096, 2, true, 32 + 16 + 64, 15, 2, 2},
		{4096, 1, true, 32 + 16 + 32, 15, 1, 1}, {4096, 0, true, 32, 3, 0, 0},
		{4096, 8, false, 32, 3, 0, 0},           {111, 8, true, 32, 7, 0, 0},
	};
	static const uint64_t area[2][4] = {{0, PAGE, PAGE, 0}, {2 * PAGE, 0, 2 * PAGE, 1}};
	struct vfu_area_file files[2];

	ck_assert_int_eq(set(2, with_files(files)), 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vfui_region_reply reply =
			info_for(cases[i].argsz, cases[i].max_fds, cases[i].agreed);
		struct vfu_wire_get_region_info_reply head;
		struct vfu_wire_sparse_mmap_fds cap = {0};

		memcpy(&head, reply.payload, sizeof(head));
		ck_assert_uint_eq(reply.len, cases[i].len);
		ck_assert_uint_eq(head.flags, cases[i].flags);
		ck_assert_uint_eq(head.offset, 0);
		ck_assert_uint_eq(reply.fds.n, cases[i].nfds);
		if (reply.len > 32)
			memcpy(&cap, (uint8_t *)reply.payload + 32, sizeof(cap));
		ck_assert_uint_eq(cap.id, cases[i].nareas ? 16 : 0);
		ck_assert_uint_eq(cap.nr_areas, cases[i].nareas);
		for (unsigned k = 0; k < cap.nr_areas; k++) {
			struct vfu_wire_sparse_fd_area one;

			memcpy(&one, (uint8_t *)reply.payload + 48 + 32 * k, sizeof(one));
			ck_assert_uint_eq(one.offset, area[k][0]);
			ck_assert_uint_eq(one.fd_offset, area[k][1]);
			ck_assert_uint_eq(one.size, area[k][2]);
			ck_assert_uint_eq(one.fd_index, area[k][3]);
		}
		vfui_os_free(reply.payload);
	}
	close_both(files);
}
END_TEST

/* One file behind both areas goes along once, and the pages that are kept are cut out of its areas. */
START_TEST(areas_may_share_a_file)
{
	struct vfu_area_file files[2], mine;
	struct vfu_region def = with_files(files);
	struct vfui_region_reply reply;
	struct vfu_wire_sparse_fd_area one;

	mine = files[1];
	files[1] = (struct vfu_area_file){files[0].fd, 2 * PAGE};
	ck_assert_int_eq(set(2, def), 0);
	ck_assert_int_eq(vfui_region_keep_handler(&regions, 2, 2 * PAGE, 8, note, (void *)"k"), 0);
	reply = info_for(4096, 1, true);
	ck_assert_uint_eq(reply.fds.n, 1);
	ck_assert_uint_eq(reply.len, 32 + 16 + 64);
	memcpy(&one, (uint8_t *)reply.payload + 48 + 32, sizeof(one));
	ck_assert_uint_eq(one.offset, 3 * PAGE);
	ck_assert_uint_eq(one.fd_offset, 3 * PAGE);
	ck_assert_uint_eq(one.size, PAGE);
	ck_assert_uint_eq(one.fd_index, 0);
	vfui_os_free(reply.payload);
	close(files[0].fd);
	close(mine.fd);
}
END_TEST

START_TEST(files_of_areas_are_the_memory)
{
	struct vfu_area_file files[2];
	uint8_t data[3 * PAGE], *memory;

	ck_assert_int_eq(set(2, with_files(files)), 0);
	memory = vfui_region_memory(&regions, 2);
	ck_assert_int_eq(pwrite(files[0].fd, "file", 4, PAGE), 4);
	ck_assert_mem_eq(memory, "file", 4);
	/* Over the end of the first, what is between them, and the second. */
	memset(data, 7, sizeof(data));
	ck_assert_int_eq(access_region(2, PAGE - 1, data, PAGE + 2, true), 0);
	ck_assert_int_eq(pread(files[1].fd, data, 2, 0), 2);
	ck_assert_uint_eq(data[0], 7);
	ck_assert_uint_eq(data[1], 0);
	ck_assert_uint_eq(memory[PAGE + 5], 7);
	ck_assert_uint_eq(memory[2 * PAGE], 7);
	close_both(files);
}
END_TEST

START_TEST(files_of_areas_are_looked_at)
{
	static struct vfu_area many[65];
	struct vfu_area_file files[2], good[2], all[65];
	struct vfu_region def = with_files(files);
	int pipe_fds[2];

	memcpy(good, files, sizeof(good));
	for (unsigned how = 0; how < 6; how++) {
		struct vfu_region wrong = def;

		memcpy(files, good, sizeof(files));
		if (how == 0)
			wrong.fd = file(8 * PAGE);
		else if (how == 1)
			wrong.nareas = 0;
		else if (how == 2)
			files[0].offset = 8;
		else if (how == 3)
			files[1].offset = PAGE; /* the file ends */
		else if (how == 4)
			files[1].fd = -1;
		else
			wrong.flags = RW;
		ck_assert_int_lt(set(2, wrong), 0);
	}
	ck_assert_int_eq(pipe(pipe_fds), 0);
	memcpy(files, good, sizeof(files));
	files[1].fd = pipe_fds[0];
	ck_assert_int_eq(set(2, def), -EINVAL);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	/* More than go into a message. */
	for (unsigned i = 0; i < 65; i++) {
		many[i] = (struct vfu_area){(uint64_t)i * PAGE, PAGE};
		all[i] = (struct vfu_area_file){dup(good[1].fd), 0};
	}
	def.areas = many;
	def.files = all;
	def.size = 128 * PAGE;
	def.nareas = 65;
	ck_assert_int_eq(set(2, def), -EINVAL);
	ck_assert_str_eq(err.field, "region.files");
	def.nareas = 64;
	ck_assert_int_eq(set(2, def), 0);
	for (unsigned i = 0; i < 65; i++)
		close(all[i].fd);
	close_both(good);
}
END_TEST

static int replace_files(void)
{
	struct vfu_area_file files[2];
	int rc = set(2, with_files(files));

	close_both(files);
	return rc;
}

START_TEST(more_areas_than_can_be_told)
{
	struct vfu_area *areas = calloc(VFUI_AREAS_MAX + 1, sizeof(*areas));
	struct vfu_region def = {.size = 8192 * PAGE,
				 .flags = RW | VFU_REGION_MMAP,
				 .areas = areas,
				 .nareas = VFUI_AREAS_MAX + 1};

	for (unsigned i = 0; i <= VFUI_AREAS_MAX; i++)
		areas[i] = (struct vfu_area){2ull * i * PAGE, PAGE};
	def.fd = file(8192 * PAGE);
	ck_assert_int_eq(set(2, def), -EINVAL);
	ck_assert_str_eq(err.field, "region.areas");
	def.nareas--;
	def.fd = file(8192 * PAGE);
	ck_assert_int_eq(set(2, def), 0);
	free(areas);
}
END_TEST

/* ---- capabilities ------------------------------------------------------------------------------ */

static int add(unsigned index, uint16_t id, const void *bytes, size_t len)
{
	const struct vfu_region_capability cap = {id, 1, bytes, len};

	return vfui_region_add_capability(&regions, index, &cap, &err);
}

/* The ids of all capabilities, one digit each; the answer has all the room it wants. */
static unsigned ids(unsigned index, const struct vfui_limits *limits)
{
	struct vfui_policy policy = {0};
	struct vfu_wire_get_region_info_reply_caps cap;
	struct vfui_region_reply reply;
	struct vfu_wire_items items;
	unsigned all = 0;

	ck_assert_int_eq(vfui_region_info(&regions, index, UINT32_MAX, limits, &policy, &reply), 0);
	items = vfu_wire_get_region_info_reply_caps_parse(reply.payload, reply.len);
	while (vfu_wire_get_region_info_reply_caps_next(&items, &cap))
		all = all * 100 + cap.head.id;
	vfui_os_free(reply.payload);
	return all;
}

START_TEST(capabilities_of_the_device)
{
	static const uint32_t type[] = {0x80001234, 7};
	struct vfui_limits bare = {.max_msg_fds = 1};

	ck_assert_int_eq(add(1, 2, type, sizeof(type)), -EINVAL);
	ck_assert_int_eq(set_plain(1, PAGE), 0);
	ck_assert_uint_eq(ids(1, &bare), 0);
	ck_assert_int_eq(add(1, 2, type, sizeof(type)), 0);
	/* One that nobody knows, of an odd length. */
	ck_assert_int_eq(add(1, 77, "bytes", 5), 0);
	ck_assert_int_eq(add(1, 88, NULL, 0), 0);
	ck_assert_uint_eq(ids(1, &bare), 27788);
	/* They belong to this region, and to what it is now. */
	ck_assert_int_eq(set_plain(0, PAGE), 0);
	ck_assert_uint_eq(ids(0, &bare), 0);
	ck_assert_int_eq(set_plain(1, PAGE), 0);
	ck_assert_uint_eq(ids(1, &bare), 0);
	ck_assert_int_eq(add(VFU_REGIONS, 2, type, sizeof(type)), -EINVAL);
}
END_TEST

START_TEST(capabilities_keep_the_rules)
{
	struct {
		uint32_t nr_areas, reserved;
		struct vfu_wire_sparse_fd_area area;
	} fds = {1, 0, {.size = PAGE}};
	struct vfu_region def = {.size = PAGE, .flags = RW | VFU_REGION_MMAP, .fd = file(PAGE)};
	static uint8_t many[65536];

	ck_assert_int_eq(set(2, def), 0);
	ck_assert_int_eq(add(2, 1, many, 8), -EINVAL);
	ck_assert_int_eq(add(2, 2, many, 4), -EINVAL);
	ck_assert_str_eq(err.field, "get_region_info.cap_type");
	ck_assert_int_eq(add(2, 16, &fds, sizeof(fds)), -EINVAL);
	ck_assert_str_eq(err.field, "region_capability.id");
	/* Together they are too long; what was refused leaves nothing behind. */
	ck_assert_int_eq(add(2, 77, many, 40000), 0);
	ck_assert_int_eq(add(2, 78, many, 40000), -EINVAL);
	ck_assert_str_eq(err.field, "get_region_info.payload");
	ck_assert_int_eq(add(2, 78, many, SIZE_MAX), -EINVAL);
	ck_assert_uint_eq(ids(2, &vfui_limits_widest), 77);
}
END_TEST

static int add_one(void)
{
	return add(1, 77, "12345678", 8);
}

static int replace_sparse(void)
{
	static const struct vfu_area areas[] = {{0, PAGE}};
	struct vfu_region def = {
		.size = 4 * PAGE, .flags = RW | VFU_REGION_MMAP, .areas = areas, .nareas = 1};

	def.fd = file(4 * PAGE);
	return set(2, def);
}

static int replace_plain(void)
{
	return set_plain(0, PAGE);
}

static int add_handler(void)
{
	return vfui_region_set_handler(&regions, 0, 0, 4, note, (void *)"a", &err);
}

static int ask_info(void)
{
	struct vfui_policy policy = {0};
	struct vfui_region_reply reply;
	int rc = vfui_region_info(&regions, 2, 4096, &vfui_limits_widest, &policy, &reply);

	if (!rc)
		vfui_os_free(reply.payload);
	return rc;
}

START_TEST(out_of_memory)
{
	struct vfu_region def = {.size = PAGE, .flags = VFU_REGION_READ};

	fault_each_alloc(replace_plain);
	fault_each_alloc(replace_sparse);
	fault_each_alloc(add_handler);
	fault_each_alloc(ask_info);
	fault_each_alloc(replace_files);
	fault_each_alloc(ask_info);
	ck_assert_int_eq(set_plain(1, PAGE), 0);
	fault_each_alloc(add_one);
	fault_fail(FAULT_MMAP, 2, EAGAIN);
	ck_assert_int_eq(replace_files(), -EAGAIN);
	/* A failed map, and one that may only be read. */
	def.fd = file(PAGE);
	fault_fail(FAULT_MMAP, 1, EAGAIN);
	ck_assert_int_eq(set(3, def), -EAGAIN);
	def.fd = file(PAGE);
	fault_fail(FAULT_MMAP, 1, EACCES);
	ck_assert_int_eq(set(3, def), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("region");
	TCase *tcase = tcase_create("region");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, plain_memory_reads_and_writes);
	tcase_add_test(tcase, accesses_stay_inside);
	tcase_add_loop_test(tcase, widths_are_kept, 0, sizeof(widths) / sizeof(widths[0]));
	tcase_add_test(tcase, widths_are_of_registers);
	tcase_add_test(tcase, flags_are_permissions);
	tcase_add_test(tcase, bars_have_sizes_that_registers_can_say);
	tcase_add_test(tcase, a_64_bit_bar_takes_two);
	tcase_add_test(tcase, handlers_take_their_ranges);
	tcase_add_test(tcase, handlers_are_set_replaced_dropped);
	tcase_add_test(tcase, thousands_of_handlers);
	tcase_add_test(tcase, answers_of_callbacks_come_through);
	tcase_add_test(tcase, a_handler_may_replace_its_region);
	tcase_add_test(tcase, files_are_looked_at);
	tcase_add_test(tcase, a_file_is_the_memory);
	tcase_add_test(tcase, a_failed_change_changes_nothing);
	tcase_add_test(tcase, info_of_plain_regions);
	tcase_add_test(tcase, info_of_sparse_regions);
	tcase_add_loop_test(tcase, kept_pages_are_in_no_area, 0, sizeof(cuts) / sizeof(cuts[0]));
	tcase_add_test(tcase, e12_who_is_not_told_of_areas_maps_nothing);
	tcase_add_test(tcase, more_areas_than_can_be_told);
	tcase_add_test(tcase, e14_areas_with_files_of_their_own);
	tcase_add_test(tcase, areas_may_share_a_file);
	tcase_add_test(tcase, files_of_areas_are_the_memory);
	tcase_add_test(tcase, files_of_areas_are_looked_at);
	tcase_add_test(tcase, capabilities_of_the_device);
	tcase_add_test(tcase, capabilities_keep_the_rules);
	tcase_add_test(tcase, large_memory_costs_what_is_touched);
	tcase_add_test(tcase, handlers_need_no_memory);
	tcase_add_test(tcase, out_of_memory);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
