/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-register.c - registers of regions: what masks make of accesses of any bytes, views, arrays, functions.
 *
 * Registers are little-endian on any host, so values go in and out as bytes.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "base/os.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"
#include "base/util.h"
#include "device/register.h"

#define RW (VFU_REGION_READ | VFU_REGION_WRITE)
#define SIZE sizeof(struct vfu_register)

static struct vfui_regions regions;
static struct vfu_err err;

static int set_plain(void)
{
	struct vfu_region def = {.size = 4096, .flags = RW, .fd = -1};

	return vfui_region_set(&regions, 0, &def, &err);
}

static void setup(void)
{
	vfui_regions_init(&regions);
	ck_assert_int_eq(set_plain(), 0);
}

static void teardown(void)
{
	vfui_regions_fini(&regions);
}

static int add(struct vfu_register reg)
{
	reg.size = reg.size ? reg.size : SIZE;
	return vfui_register_add(&regions, 0, &reg, &err);
}

static void put(void *at, uint64_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		((uint8_t *)at)[i] = (uint8_t)(value >> i * 8);
}

static uint64_t get(const void *at, unsigned len)
{
	uint64_t value = 0;

	while (len--)
		value = value << 8 | ((const uint8_t *)at)[len];
	return value;
}

/* The device's view. */
static void hold(uint64_t offset, uint64_t value, unsigned len)
{
	put((uint8_t *)vfui_region_memory(&regions, 0) + offset, value, len);
}

static uint64_t held(uint64_t offset, unsigned len)
{
	return get((uint8_t *)vfui_region_memory(&regions, 0) + offset, len);
}

/* The client's. */
static int access_bytes(uint64_t offset, void *data, uint32_t count, bool is_write)
{
	struct vfu_access access = {
		.offset = offset, .data = data, .count = count, .is_write = is_write};

	return vfui_region_access(&regions, NULL, &access);
}

static int write_value(uint64_t offset, uint64_t value, unsigned len)
{
	uint8_t data[8];

	put(data, value, len);
	return access_bytes(offset, data, len, true);
}

static uint64_t read_value(uint64_t offset, unsigned len)
{
	uint8_t data[8];

	ck_assert_int_eq(access_bytes(offset, data, len, false), 0);
	return get(data, len);
}

static uint64_t ones(unsigned bytes)
{
	return bytes == 8 ? UINT64_MAX : (UINT64_C(1) << bytes * 8) - 1;
}

static uint64_t some_bits(void)
{
	return (uint64_t)random() << 40 ^ (uint64_t)random() << 20 ^ (uint64_t)random();
}

/* What vfu.h says of each bit, one by one. */
static uint64_t model_write(const struct vfu_register *reg, uint64_t old, uint64_t data,
			    uint64_t lane)
{
	for (unsigned i = 0; i < reg->width * 8; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (!(lane & bit))
			continue;
		if (reg->write & bit)
			old = (old & ~bit) | (data & bit);
		else if (reg->w1c & bit && data & bit)
			old &= ~bit;
		else if (reg->w1s & bit && data & bit)
			old |= bit;
	}
	return old;
}

/* All widths, all parts of them, masks and values by chance: as the model has it. */
START_TEST(bits_are_as_the_masks_say)
{
	for (unsigned round = 0; round < 2000; round++) {
		unsigned width = 1u << random() % 4;
		unsigned skip = (unsigned)random() % width;
		unsigned len = 1 + (unsigned)random() % (width - skip);
		uint64_t all = ones(width), lane = ones(len) << skip * 8;
		uint64_t write = some_bits() & all, w1c = some_bits() & all & ~write;
		struct vfu_register reg = {
			.offset = 64, .width = width, .write = write, .w1c = w1c};
		uint64_t old = some_bits() & all, data = some_bits() & ones(len), now;

		reg.w1s = all & ~write & ~w1c & some_bits();
		reg.hidden = some_bits() & all;
		reg.rc = some_bits() & all;
		ck_assert_int_eq(add(reg), 0);
		hold(64, 0, 8);
		hold(64, old, width);
		ck_assert_int_eq(write_value(64 + skip, data, len), 0);
		now = model_write(&reg, old, data << skip * 8, lane);
		ck_assert_uint_eq(held(64, width), now);
		ck_assert_uint_eq(read_value(64 + skip, len),
				  (now & ~reg.hidden & lane) >> skip * 8);
		ck_assert_uint_eq(held(64, width), now & ~(reg.rc & lane));
		ck_assert_uint_eq(held(56, 8) | held(64 + width, 8), 0);
		ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 64, width, NULL, NULL, &err),
				 0);
	}
}
END_TEST

START_TEST(plain_read_only_write_only)
{
	ck_assert_int_eq(add((struct vfu_register){.offset = 0, .width = 4}), 0);
	ck_assert_int_eq(
		add((struct vfu_register){.offset = 4, .width = 4, .write = ~0u, .hidden = ~0u}),
		0);
	hold(0, 0x11223344, 4);
	ck_assert_int_eq(write_value(0, UINT64_MAX, 8), 0);
	ck_assert_uint_eq(read_value(0, 8), 0x11223344);
	ck_assert_uint_eq(held(0, 8), 0xffffffff11223344);
}
END_TEST

START_TEST(views_are_of_another_register)
{
	struct vfu_register view = {.width = 4, .flags = VFU_REGISTER_VIEW, .target = 8};

	ck_assert_int_eq(add((struct vfu_register){.offset = 8, .width = 4, .w1c = 0xf}), 0);
	view.offset = 16;
	view.w1s = 0xffff;
	ck_assert_int_eq(add(view), 0);
	view.offset = 20;
	view.w1s = 0;
	view.w1c = ~0u;
	view.hidden = ~0u;
	ck_assert_int_eq(add(view), 0);
	ck_assert_int_eq(write_value(16, 0x12345678, 4), 0);
	ck_assert_uint_eq(held(8, 4), 0x5678);
	ck_assert_uint_eq(read_value(16, 4), 0x5678);
	ck_assert_int_eq(write_value(21, 0x50, 1), 0);
	ck_assert_uint_eq(read_value(8, 4), 0x0678);
	ck_assert_uint_eq(read_value(20, 4), 0);
	ck_assert_uint_eq(held(16, 8), 0);
}
END_TEST

static struct vfu_register array(uint32_t count, uint64_t stride)
{
	return (struct vfu_register){
		.offset = 0x100, .width = 4, .count = count, .stride = stride, .w1c = 0xff};
}

START_TEST(arrays)
{
	uint8_t data[64];

	/* Without gaps it is one handler. */
	ck_assert_int_eq(add(array(16, 0)), 0);
	ck_assert_uint_eq(regions.region[0].nhandlers, 1);
	memset((uint8_t *)vfui_region_memory(&regions, 0) + 0x100, 0xff, 64);
	memset(data, 0x0f, sizeof(data));
	ck_assert_int_eq(access_bytes(0x103, data, 58, true), 0);
	ck_assert_uint_eq(held(0x100, 8), 0xfffffff0ffffffff);
	ck_assert_uint_eq(held(0x138, 8), 0xfffffff0fffffff0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 0x100, 64, NULL, NULL, &err), 0);

	/* With gaps, which are memory, each is one. */
	ck_assert_int_eq(add(array(4, 16)), 0);
	ck_assert_uint_eq(regions.region[0].nhandlers, 4);
	memset((uint8_t *)vfui_region_memory(&regions, 0) + 0x100, 0xff, 64);
	ck_assert_int_eq(access_bytes(0x100, data, 64, true), 0);
	for (uint64_t at = 0x100; at < 0x140; at += 16) {
		ck_assert_uint_eq(held(at, 4), 0xfffffff0);
		ck_assert_uint_eq(held(at + 4, 4), 0x0f0f0f0f);
	}
}
END_TEST

START_TEST(views_of_arrays)
{
	struct vfu_register view = array(3, 8);

	ck_assert_int_eq(add(array(3, 8)), 0);
	view.flags = VFU_REGISTER_VIEW;
	view.target = 0x100;
	view.offset = 0x200;
	view.w1c = 0;
	view.w1s = 0xffff;
	ck_assert_int_eq(add(view), 0);
	ck_assert_int_eq(write_value(0x210, 0x77, 4), 0);
	ck_assert_uint_eq(held(0x110, 4), 0x77);
	ck_assert_uint_eq(held(0x210, 4), 0);
}
END_TEST

START_TEST(an_access_over_several)
{
	uint8_t data[12];

	ck_assert_int_eq(add((struct vfu_register){.offset = 4, .width = 2, .w1c = 0xffff}), 0);
	ck_assert_int_eq(add((struct vfu_register){.offset = 6, .width = 2, .rc = 0xff}), 0);
	ck_assert_int_eq(
		add((struct vfu_register){.offset = 8, .width = 1, .write = 0xf, .hidden = 2}), 0);
	memset(vfui_region_memory(&regions, 0), 0xff, 12);
	memset(data, 0x55, sizeof(data));
	ck_assert_int_eq(access_bytes(0, data, 12, true), 0);
	ck_assert_uint_eq(held(0, 8), 0xffffaaaa55555555);
	ck_assert_uint_eq(held(8, 4), 0x555555f5);
	ck_assert_int_eq(access_bytes(2, data, 8, false), 0);
	ck_assert_uint_eq(get(data, 8), 0x55f5ffffaaaa5555);
	ck_assert_uint_eq(held(6, 2), 0xff00);
}
END_TEST

/* Functions note what they were asked, and what the register held. */
static struct {
	char name;
	uint64_t offset, held;
	uint32_t count;
} seen[8];
static unsigned nseen;
static int answer;

static int note(char name, const struct vfu_access *access)
{
	seen[nseen].name = name;
	seen[nseen].offset = access->offset;
	seen[nseen].count = access->count;
	seen[nseen++].held = held(access->offset & ~UINT64_C(3), 4);
	return answer;
}

static int on_read(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)req;
	ck_assert_ptr_eq(user, &regions);
	memset(access->data, 0x77, access->count);
	return note('r', access);
}

static int on_write(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)req;
	ck_assert_ptr_eq(user, &regions);
	return note('w', access);
}

static int on_written(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)req;
	ck_assert_ptr_eq(user, &regions);
	return note('d', access);
}

START_TEST(functions_are_called)
{
	struct vfu_register reg = {.offset = 8, .width = 4, .w1c = 0xff, .user = &regions};

	nseen = 0;
	answer = 0;
	reg.on_written = on_written;
	ck_assert_int_eq(add(reg), 0);
	reg.offset = 12;
	reg.on_read = on_read;
	reg.on_write = on_write;
	ck_assert_int_eq(add(reg), 0);
	hold(8, 0xff, 4);
	hold(12, 0xff, 4);
	ck_assert_int_eq(write_value(8, 0x0f, 1), 0);
	ck_assert_int_eq(write_value(8, UINT64_C(0x0f) << 32 | 0xf0, 8), 0);
	ck_assert_uint_eq(read_value(10, 4), 0x77770000);
	ck_assert_uint_eq(nseen, 4);
	ck_assert(seen[0].name == 'd' && seen[0].held == 0xf0 && seen[0].count == 1);
	ck_assert(seen[1].name == 'd' && seen[1].held == 0 && seen[1].count == 4);
	ck_assert(seen[2].name == 'w' && seen[2].held == 0xff && seen[2].offset == 12);
	ck_assert(seen[3].name == 'r' && seen[3].offset == 12 && seen[3].count == 2);
	answer = -EBUSY;
	ck_assert_int_eq(write_value(8, 0, 4), -EBUSY);
	ck_assert_int_eq(write_value(12, 0, 4), -EBUSY);
}
END_TEST

/* Never more than one register, also where there are no gaps. */
START_TEST(functions_of_arrays)
{
	struct vfu_register reg = array(3, 0);
	uint8_t data[10] = {0};

	nseen = 0;
	answer = 0;
	reg.on_written = on_written;
	reg.user = &regions;
	ck_assert_int_eq(add(reg), 0);
	ck_assert_int_eq(access_bytes(0x102, data, 10, true), 0);
	ck_assert_uint_eq(nseen, 3);
	ck_assert(seen[0].offset == 0x102 && seen[0].count == 2);
	ck_assert(seen[1].offset == 0x104 && seen[1].count == 4);
	ck_assert(seen[2].offset == 0x108 && seen[2].count == 4);
}
END_TEST

static int remove_all(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	(void)req;
	(void)access;
	return vfui_region_set_handler(&regions, 0, 0, 4096, NULL, NULL, &err);
}

static int replace_region(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	(void)req;
	(void)access;
	return set_plain();
}

START_TEST(a_function_may_take_its_register_away)
{
	struct vfu_register reg = array(3, 0);
	uint8_t data[12] = {0};

	reg.on_written = remove_all;
	ck_assert_int_eq(add(reg), 0);
	ck_assert_int_eq(access_bytes(0x100, data, 12, true), 0);
	ck_assert_uint_eq(regions.region[0].nhandlers, 0);
	reg.on_written = replace_region;
	ck_assert_int_eq(add(reg), 0);
	ck_assert_int_eq(access_bytes(0x100, data, 12, true), 0);
	ck_assert_uint_eq(regions.region[0].nhandlers, 0);
}
END_TEST

START_TEST(bad_registers_are_refused)
{
	static const struct {
		struct vfu_register reg;
		const char *field;
	} bad[] = {
		{{.width = 4, .size = 8}, "register.size"},
		{{.width = 4, .size = SIZE + 8}, "register.size"},
		{{.width = 0}, "register.width"},
		{{.width = 3}, "register.width"},
		{{.width = 16}, "register.width"},
		{{.width = 4, .flags = 2}, "register.flags"},
		{{.width = 4, .offset = 2}, "register.offset"},
		{{.width = 4, .offset = 4096}, "register.offset"},
		{{.width = 8, .offset = 4092}, "register.offset"},
		{{.width = 8, .offset = UINT64_MAX - 7}, "register.offset"},
		{{.width = 4, .offset = 4088, .count = 3}, "register.offset"},
		{{.width = 4, .count = 3, .stride = UINT64_C(1) << 63}, "register.offset"},
		{{.width = 4, .count = UINT32_MAX}, "register.offset"},
		{{.width = 4, .stride = 2}, "register.stride"},
		{{.width = 4, .stride = 6}, "register.stride"},
		{{.width = 4, .flags = VFU_REGISTER_VIEW, .target = 1}, "register.target"},
		{{.width = 4, .flags = VFU_REGISTER_VIEW, .target = 4096}, "register.target"},
		{{.width = 1, .write = 0x100}, "register.write"},
		{{.width = 4, .w1c = UINT64_C(1) << 32}, "register.w1c"},
		{{.width = 2, .w1s = 0x10000}, "register.w1s"},
		{{.width = 2, .hidden = 0x10000}, "register.hidden"},
		{{.width = 2, .rc = 0x10000}, "register.rc"},
		{{.width = 2, .write = 3, .w1c = 1}, "register.write"},
		{{.width = 2, .write = 3, .w1s = 2}, "register.write"},
		{{.width = 2, .w1c = 3, .w1s = 2}, "register.w1c"},
	};

	for (size_t i = 0; i < VFUI_ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(add(bad[i].reg), -EINVAL);
		ck_assert_str_eq(err.field, bad[i].field);
		ck_assert_uint_eq(regions.region[0].nhandlers, 0);
	}
}
END_TEST

START_TEST(only_memory_has_registers)
{
	struct vfu_register reg = {.size = SIZE, .width = 4};
	struct vfu_region def = {.size = 4096, .flags = RW, .fd = -1, .access = on_read};

	ck_assert_int_eq(vfui_register_add(&regions, 9, &reg, &err), -EINVAL);
	ck_assert_int_eq(vfui_register_add(&regions, 1, &reg, &err), -EINVAL);
	ck_assert_int_eq(vfui_region_set(&regions, 1, &def, &err), 0);
	ck_assert_int_eq(vfui_register_add(&regions, 1, &reg, &err), -EINVAL);
	ck_assert_str_eq(err.field, "register.offset");
}
END_TEST

START_TEST(overlaps_are_refused)
{
	struct vfu_register reg = array(4, 8);

	ck_assert_int_eq(add((struct vfu_register){.offset = 0x110, .width = 2}), 0);
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 0, 16, on_read, NULL, &err), 0);
	ck_assert_int_eq(add((struct vfu_register){.offset = 0x110, .width = 2}), -EEXIST);
	ck_assert_int_eq(add((struct vfu_register){.offset = 0x110, .width = 4}), -EEXIST);
	ck_assert_int_eq(add((struct vfu_register){.offset = 8, .width = 1}), -EEXIST);
	ck_assert_str_eq(err.field, "register.offset");
	/* Of an array that does not fit nothing stays. */
	ck_assert_int_eq(add(reg), -EEXIST);
	ck_assert_uint_eq(regions.region[0].nhandlers, 2);
	reg.count = 2;
	ck_assert_int_eq(add(reg), 0);
	ck_assert_uint_eq(regions.region[0].nhandlers, 4);
	/* A function may take a register's place, as another handler's. */
	ck_assert_int_eq(vfui_region_set_handler(&regions, 0, 0x110, 2, on_read, &regions, &err),
			 0);
	ck_assert_uint_eq(regions.region[0].nhandlers, 4);
}
END_TEST

static int add_array(void)
{
	int rc = add(array(4, 8));

	if (rc)
		ck_assert_uint_eq(regions.region[0].nhandlers, 0);
	return rc;
}

START_TEST(out_of_memory)
{
	fault_each_alloc(add_array);
}
END_TEST

START_TEST(memory_that_none_may_write)
{
	struct vfu_register reg = {.size = SIZE, .width = 4, .w1c = 1};
	struct vfu_region def = {.size = 4096, .flags = VFU_REGION_READ};
	uint8_t data[4];
	struct vfu_access access = {.data = data, .count = 4, .region = 1};

	def.fd = memfd_create("test", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(def.fd, 4096), 0);
	fault_fail(FAULT_MMAP, 1, EACCES); /* as a descriptor that may only be read does */
	ck_assert_int_eq(vfui_region_set(&regions, 1, &def, &err), 0);
	reg.rc = 1;
	ck_assert_int_eq(vfui_register_add(&regions, 1, &reg, &err), -EINVAL);
	ck_assert_str_eq(err.field, "register.rc");
	reg.rc = 0;
	ck_assert_int_eq(vfui_register_add(&regions, 1, &reg, &err), 0);
	ck_assert_int_eq(vfui_region_access(&regions, NULL, &access), 0);
	access.is_write = true;
	ck_assert_int_eq(vfui_region_access(&regions, NULL, &access), -EACCES);
	ck_assert_int_eq(vfui_register_update(&regions, 1, 0, 4, 1, 1), -EINVAL);
}
END_TEST

START_TEST(the_device_sets_bits)
{
	for (unsigned width = 1; width <= 8; width *= 2) {
		hold(16, UINT64_C(0x1122334455667788), 8);
		ck_assert_int_eq(vfui_register_update(&regions, 0, 16, width, 0xf0, 0xff5f), 0);
		ck_assert_uint_eq(held(16, 8), 0x1122334455667758);
		ck_assert_int_eq(
			vfui_register_update(&regions, 0, 16, width, UINT64_MAX, UINT64_MAX), 0);
		ck_assert_uint_eq(held(16, width), ones(width));
		ck_assert_int_eq(vfui_register_update(&regions, 0, 4096, width, 1, 1), -EINVAL);
		if (width > 1)
			ck_assert_int_eq(vfui_register_update(&regions, 0, width / 2, width, 1, 1),
					 -EINVAL);
	}
	ck_assert_int_eq(vfui_register_update(&regions, 0, 0, 3, 1, 1), -EINVAL);
	ck_assert_int_eq(vfui_register_update(&regions, 1, 0, 4, 1, 1), -EINVAL);
	ck_assert_int_eq(vfui_register_update(&regions, 99, 0, 4, 1, 1), -EINVAL);
}
END_TEST

/* A thread of the device turns a bit on and off, of a register of each width. */
static void *turn(void *arg)
{
	for (unsigned i = 0; i < 20000; i++)
		for (unsigned width = 1; width <= sizeof(void *); width *= 2)
			vfui_register_update(&regions, 0, 64 * width, width, 1, i & 1);
	return arg;
}

START_TEST(threads_lose_no_bits)
{
	pthread_t thread;

	for (unsigned width = 1; width <= sizeof(void *); width *= 2) {
		struct vfu_register reg = {.offset = 64 * width, .width = width, .w1c = 0xf0};

		ck_assert_int_eq(add(reg), 0);
		reg.offset += width;
		reg.flags = VFU_REGISTER_VIEW;
		reg.target = 64 * width;
		reg.w1c = 0;
		reg.w1s = 0xf0;
		ck_assert_int_eq(add(reg), 0);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, turn, NULL), 0);
	for (unsigned i = 0; i < 5000; i++) {
		for (unsigned width = 1; width <= sizeof(void *); width *= 2) {
			ck_assert_int_eq(write_value(65 * width, 0xff, width), 0);
			ck_assert_uint_eq(read_value(64 * width, width) & ~UINT64_C(1), 0xf0);
			ck_assert_int_eq(write_value(64 * width, 0xff, width), 0);
			ck_assert_uint_eq(read_value(64 * width, width) & ~UINT64_C(1), 0);
		}
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("register");
	TCase *tcase = tcase_create("register");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, bits_are_as_the_masks_say);
	tcase_add_test(tcase, plain_read_only_write_only);
	tcase_add_test(tcase, views_are_of_another_register);
	tcase_add_test(tcase, arrays);
	tcase_add_test(tcase, views_of_arrays);
	tcase_add_test(tcase, an_access_over_several);
	tcase_add_test(tcase, functions_are_called);
	tcase_add_test(tcase, functions_of_arrays);
	tcase_add_test(tcase, a_function_may_take_its_register_away);
	tcase_add_test(tcase, bad_registers_are_refused);
	tcase_add_test(tcase, only_memory_has_registers);
	tcase_add_test(tcase, overlaps_are_refused);
	tcase_add_test(tcase, out_of_memory);
	tcase_add_test(tcase, memory_that_none_may_write);
	tcase_add_test(tcase, the_device_sets_bits);
	tcase_add_test(tcase, threads_lose_no_bits);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
