/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-large.c - reads and writes of much, whose bytes are not to be touched more often than they must: buffers that
 * are not cleared. BAR3 is 1 MiB; whatever is allocated begins as 0xaa.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/os_fault.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

enum { BAR = 3, SIZE = 1 << 20 };

static struct rig rig;
static long blocks;

static void set_bar(uint32_t flags, vfu_access_fn *fn)
{
	const struct vfu_region region = {.size = SIZE,
					  .flags = VFU_REGION_READ | VFU_REGION_WRITE | flags,
					  .access = fn,
					  .fd = -1};

	ck_assert_int_eq(vfu_device_set_region(rig.dev, BAR, &region), 0);
}

static void setup(void)
{
	fault_reset();
	blocks = fault_blocks();
	mallopt(M_PERTURB, 0x55);
	rig_open(&rig);
	rig_connect(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
	ck_assert_int_eq(fault_blocks(), blocks);
}

/* ---- buffers that are not cleared ---- */

static uint32_t fills; /* bytes that the device writes, and says so */
static bool says, defers;
static struct vfu_request *later;

static void fill(struct vfu_request *req, const struct vfu_access *access)
{
	uint32_t n = fills < access->count ? fills : access->count;

	memset(access->data, 'f', n);
	ck_assert_int_eq(vfu_request_set_filled(req, access->count + 1), -EINVAL);
	if (says)
		ck_assert_int_eq(vfu_request_set_filled(req, n), 0);
}

static int fill_some(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	if (access->is_write)
		return vfu_request_set_filled(req, 0) == -EINVAL ? 0 : -EIO;
	if (!defers) {
		fill(req, access);
		return 0;
	}
	later = vfu_request_defer(req);
	return later ? VFU_LATER : -ENOMEM;
}

/* As a device that was told nothing of it. */
static int fill_nothing(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req, (void)access;
	return 0;
}

/* Fills the buffers of reads with what must not leave. */
static int spoil(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req;
	memset(access->data, 0xaa, access->count);
	return 0;
}

static const uint8_t *read_bar(uint64_t offset, uint32_t count)
{
	uint16_t id = rig_send_read(&rig, BAR, offset, count);

	if (defers) {
		rig_silence(&rig);
		fill(later, vfu_request_access(later));
		ck_assert_int_eq(vfu_request_done(later, 0), 0);
	}
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
	ck_assert_uint_eq(rig.msg->len, 16 + count);
	return rig.msg->payload + 16;
}

static void expect(const uint8_t *data, size_t n, uint8_t byte)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(data[i] == byte, "byte %zu is %#x", i, data[i]);
}

static void check_filled(uint32_t count, uint32_t n)
{
	const uint8_t *data;

	rig.bar0 = spoil;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4096), 0);
	fills = n;
	data = read_bar(5, count);
	if (!says)
		n = 0;
	expect(data, n, 'f');
	expect(data + n, count - n, 0);
}

/* _i: at once or later; saying so or not. */
START_TEST(what_is_not_filled_is_zeros)
{
	static const uint32_t counts[] = {1, 4, 8, 9, 100, 4096, 65536};

	defers = _i & 1;
	says = !(_i & 2);
	set_bar(VFU_REGION_UNCLEARED, fill_some);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		check_filled(counts[i], 0);
		check_filled(counts[i], 1);
		check_filled(counts[i], counts[i] / 2);
		check_filled(counts[i], counts[i]);
	}
	ck_assert_uint_eq(rig_write(&rig, BAR, 0, 4, 1), 0);
	/* The client knows nothing of it. */
	ck_assert_uint_eq(rig_call(&rig, 5, (const uint32_t[8]){32, 0, BAR}, 32), 0);
	ck_assert_uint_eq(raw_u32(rig.msg, 4), VFU_REGION_READ | VFU_REGION_WRITE);
}
END_TEST

/* Of parts each has its own: memory, a handler of the device, a register of the library's. */
START_TEST(parts_are_not_cleared_either)
{
	const struct vfu_register reg = {
		.size = sizeof(reg), .offset = 0x20, .width = 8, .on_read = fill_nothing};
	const uint8_t *data;

	defers = _i;
	says = true;
	set_bar(VFU_REGION_UNCLEARED, NULL);
	memset(vfu_device_region_memory(rig.dev, BAR), '.', SIZE);
	ck_assert_int_eq(vfu_device_set_handler(rig.dev, BAR, 0x10, 16, fill_some, NULL), 0);
	ck_assert_int_eq(vfu_device_add_register(rig.dev, BAR, &reg), 0);
	rig.bar0 = spoil;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4096), 0);
	fills = 3;
	data = read_bar(0, 0x30);
	expect(data, 0x10, '.');
	expect(data + 0x10, 3, 'f');
	expect(data + 0x13, 13, 0);
	expect(data + 0x20, 8, 0);
	expect(data + 0x28, 8, '.');
	/* The handler alone, and the register. */
	data = read_bar(0x10, 16);
	expect(data, 3, 'f');
	expect(data + 3, 13, 0);
	defers = false;
	expect(read_bar(0x20, 8), 8, 0);
}
END_TEST

/* Where the region did not ask for it all is as ever, whatever is said. */
START_TEST(cleared_buffers_stay_cleared)
{
	defers = _i;
	says = true;
	set_bar(0, fill_some);
	check_filled(100, 50);
	check_filled(4096, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("large");
	TCase *tcase = tcase_create("large");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, what_is_not_filled_is_zeros, 0, 4);
	tcase_add_loop_test(tcase, parts_are_not_cleared_either, 0, 2);
	tcase_add_loop_test(tcase, cleared_buffers_stay_cleared, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
