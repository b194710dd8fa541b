/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-server.c - every message of a client, good and bad, by bare bytes over a real socket.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_connect(&rig);
}

static void setup_unconnected(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

/* ---- VERSION ---- */

START_TEST(version_reply_fits_the_request)
{
	static const char qemu[] =
		"{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, \"max_dma_maps\": 65535, "
		"\"max_data_xfer_size\": 1048576, \"migration\": {\"max_bitmap_size\": 268435456, "
		"\"pgsize\": 4096}, \"write_multiple\": true}}";

	rig_attach(&rig);
	rig_version(&rig, qemu);
	ck_assert_uint_le(rig.msg->size, RAW_HEADER + 4 + sizeof(qemu));
	ck_assert_uint_eq(raw_u32(rig.msg, 0), 0);
	ck_assert_uint_eq(rig.msg->payload[rig.msg->len - 1], 0);
	ck_assert_uint_eq(strlen((char *)rig.msg->payload + 4) + 5, rig.msg->len);
	ck_assert_ptr_nonnull(strstr((char *)rig.msg->payload + 4, "\"capabilities\""));
}
END_TEST

START_TEST(version_without_json)
{
	rig_attach(&rig);
	rig_version(&rig, NULL);
	ck_assert_ptr_nonnull(strstr((char *)rig.msg->payload + 4, "\"capabilities\""));
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

START_TEST(version_newer_minor_gets_ours)
{
	static const uint16_t in[2] = {0, 7};
	uint16_t out[2];

	rig_attach(&rig);
	ck_assert_uint_eq(rig_call(&rig, 1, in, sizeof(in)), 0);
	memcpy(out, rig.msg->payload, sizeof(out));
	ck_assert_uint_eq(out[0], 0);
	ck_assert_uint_lt(out[1], 7);
}
END_TEST

static const struct {
	const char *what, *payload;
	size_t len;
} bad_versions[] = {
	{"major 1", "\1\0\0\0", 4},
	{"too short", "\0\0", 2},
	{"no NUL", "\0\0\0\0{}", 6},
	{"no JSON", "\0\0\0\0{", 6},
	{"two NULs", "\0\0\0\0{}\0", 8},
	{"an array", "\0\0\0\0[]", 7},
	{"fds -1", "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":-1}}", 39},
	{"xfer text", "\0\0\0\0{\"capabilities\":{\"max_data_xfer_size\":\"a\"}}", 48},
};

START_TEST(version_refused)
{
	rig_attach(&rig);
	ck_assert_msg(rig_call(&rig, 1, bad_versions[_i].payload, bad_versions[_i].len) == EINVAL,
		      "%s", bad_versions[_i].what);
	rig_gone(&rig);
}
END_TEST

/* A client's command, a server's, one that is retired, and two that nobody knows. */
static const uint16_t not_version[] = {4, 11, 14, 0, 999};

START_TEST(version_must_be_first)
{
	static const uint8_t in[16] = {16};
	struct vfu_stats stats;

	rig_attach(&rig);
	rig_post(&rig, not_version[_i], in, sizeof(in));
	rig_gone(&rig);
	rig_attach(&rig);
	ck_assert_uint_eq(rig_call(&rig, not_version[_i], in, sizeof(in)), EINVAL);
	rig_gone(&rig);
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.violations, 2);
}
END_TEST

START_TEST(reply_is_not_version_either)
{
	rig_attach(&rig);
	raw_send(rig.sock, 1, 1, RAW_REPLY, "\0\0\0\0", 4, NULL, 0);
	rig_gone(&rig);
}
END_TEST

START_TEST(version_only_once)
{
	ck_assert_uint_eq(rig_call(&rig, 1, "\0\0\0\0", 4), EINVAL);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

/* ---- what people are told ---- */

static int fail_access(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req, (void)access;
	return -EIO;
}

START_TEST(failed_handler_logs_one_line)
{
	unsigned before = rig.lines;

	rig.bar0 = fail_access;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), EIO);
	ck_assert_uint_eq(rig.lines, before + 1);
	ck_assert_uint_eq(rig_write(&rig, 0, 0, 4, 1), EIO);
	ck_assert_uint_eq(rig.lines, before + 2);
	rig_send_write(&rig, true, 0, 0, 4, 1);
	rig_silence(&rig);
	ck_assert_uint_eq(rig.lines, before + 3);
}
END_TEST

static struct vfu_request *taken;

static int take_access(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)access;
	taken = vfu_request_defer(req);
	return VFU_LATER;
}

static int fail_and_tell(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	vfu_request_set_told(NULL);
	vfu_request_set_told(req);
	return fail_access(user, req, access);
}

/* Later, too; and none if whoever failed has said why. */
START_TEST(late_failure_logs_one_line)
{
	unsigned before = rig.lines;
	uint16_t id;

	rig.bar0 = take_access;
	for (int told = 0; told < 2; told++) {
		id = rig_send_read(&rig, 0, 0, 4);
		rig_pump(&rig);
		if (told)
			vfu_request_set_told(taken);
		ck_assert_int_eq(vfu_request_done(taken, -EIO), 0);
		ck_assert_uint_eq(rig_reply(&rig, id, 9), EIO);
		ck_assert_uint_eq(rig.lines, before + 1);
	}
	rig.bar0 = fail_and_tell;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), EIO);
	ck_assert_uint_eq(rig.lines, before + 1);
	rig.bar0 = fail_access;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), EIO);
	ck_assert_uint_eq(rig.lines, before + 2);
}
END_TEST

/* Whatever a client does often is counted, and in the log a few times. */
START_TEST(flood_is_not_logged)
{
	static const uint16_t commands[] = {9, 999, 14};
	struct vfu_stats stats;
	unsigned i, before = rig.lines;

	rig.bar0 = fail_access;
	for (i = 0; i < 300; i++) {
		const struct rig_access in = {.count = 4};

		rig_post(&rig, commands[i % 3], &in, 16);
		raw_send(rig.sock, 7, 11, RAW_REPLY, NULL, 0, NULL, 0);
		rig_pump(&rig);
		if (i % 60 == 59) {
			rig_hang_up(&rig);
			rig_connect(&rig);
		}
	}
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.drops, 600);
	/* Refused, failed, a reply to nothing, connected, agreed, ended: six kinds, and the counts. */
	ck_assert_uint_lt(rig.lines - before, 6 * 10 + 3 * 5 + 1);
}
END_TEST

/* ---- asking about the device ---- */

START_TEST(info)
{
	static const uint32_t in[4] = {16};

	ck_assert_uint_eq(rig_call(&rig, 4, in, sizeof(in)), 0);
	ck_assert_uint_eq(rig.msg->len, 16);
	ck_assert_uint_eq(raw_u32(rig.msg, 0), 16);
	ck_assert_uint_eq(raw_u32(rig.msg, 4), 3);
	ck_assert_uint_eq(raw_u32(rig.msg, 8), 9);
	ck_assert_uint_eq(raw_u32(rig.msg, 12), 5);
	ck_assert_uint_eq(rig_call(&rig, 4, in, 12), EINVAL);
}
END_TEST

static unsigned region_info(uint32_t index, uint32_t argsz)
{
	const uint32_t in[8] = {argsz, 0, index};

	return rig_call(&rig, 5, in, sizeof(in));
}

START_TEST(region_infos)
{
	ck_assert_uint_eq(region_info(0, 32), 0);
	ck_assert_uint_eq(rig.msg->len, 32);
	ck_assert_uint_eq(raw_u32(rig.msg, 4), 3);
	ck_assert_uint_eq(raw_u64(rig.msg, 16), 4096);
	ck_assert_uint_eq(region_info(3, 32), 0);
	ck_assert_uint_eq(raw_u32(rig.msg, 4), 0);
	ck_assert_uint_eq(raw_u64(rig.msg, 16), 0);
	ck_assert_uint_eq(region_info(7, 4096), 0);
	ck_assert_uint_eq(raw_u32(rig.msg, 4), 3);
	ck_assert_uint_eq(raw_u64(rig.msg, 16), 256);
	ck_assert_uint_eq(region_info(9, 32), EINVAL);
	ck_assert_uint_eq(region_info(UINT32_MAX, 32), EINVAL);
	ck_assert_uint_eq(region_info(0, 31), EINVAL);
}
END_TEST

START_TEST(region_info_that_is_sparse)
{
	ck_assert_uint_eq(region_info(2, 32), 0);
	ck_assert_uint_eq(rig.msg->len, 32);
	ck_assert_uint_eq(raw_u32(rig.msg, 0), 32 + 16 + 32);
	ck_assert_uint_eq(raw_u32(rig.msg, 4), 7);
	ck_assert_uint_eq(raw_u32(rig.msg, 12), 0);
	ck_assert_uint_eq(rig.msg->nfds, 0);

	ck_assert_uint_eq(region_info(2, 80), 0);
	ck_assert_uint_eq(rig.msg->len, 80);
	ck_assert_uint_eq(raw_u32(rig.msg, 4), 15);
	ck_assert_uint_eq(raw_u32(rig.msg, 12), 32);
	ck_assert_uint_eq(raw_u32(rig.msg, 40), 2);
	ck_assert_uint_eq(raw_u64(rig.msg, 64), 61440);
	ck_assert_uint_eq(rig.msg->nfds, 1);
	raw_close_fds(rig.msg);
}
END_TEST

/* A client has the file of a region that it may map: what it does to it is no concern of ours. */
START_TEST(a_region_whose_file_is_cut)
{
	volatile uint8_t *memory = vfu_device_region_memory(rig.dev, 2);
	unsigned lines;

	if (lacks(LACKS_FAULTS, __func__))
		return;
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	ck_assert_uint_eq(rig_write(&rig, 2, 8, 4, 0x55), 0);
	ck_assert_uint_eq(region_info(2, 80), 0);
	ck_assert_int_eq(ftruncate(rig.msg->fds[0], _i < 3 ? 4096 : 0), 0);
	raw_close_fds(rig.msg);
	lines = rig.lines;
	/* Read from its place, by copy, written, touched by the device. */
	if (_i == 0)
		ck_assert_uint_eq(rig_read(&rig, 2, 0, 65536), EFAULT);
	else if (_i == 1)
		ck_assert_uint_eq(rig_read(&rig, 2, 4096, 4), EFAULT);
	else if (_i == 2)
		ck_assert_uint_eq(rig_write(&rig, 2, 4096, 8, 1), EFAULT);
	else
		ck_assert_uint_eq(memory[9], 0);
	ck_assert_uint_eq(rig_read(&rig, 2, 8, 4), EFAULT);
	ck_assert_uint_eq(rig_write(&rig, 2, 8, 4, 1), EFAULT);
	/* Each that failed, and once why. */
	ck_assert_uint_eq(rig.lines - lines, _i == 3 ? 3 : 4);
	ck_assert_uint_eq(memory[8], 1);
	ck_assert_uint_eq(rig_read(&rig, 1, 8, 4), 0);
}
END_TEST

START_TEST(region_io_fds_are_none)
{
	static const uint32_t in[4] = {4096, 0, 1}, beyond[4] = {4096, 0, VFU_REGIONS};

	ck_assert_uint_eq(rig_call(&rig, 6, in, sizeof(in)), 0);
	ck_assert_uint_eq(rig.msg->len, 16);
	ck_assert_uint_eq(raw_u32(rig.msg, 12), 0);
	ck_assert_uint_eq(rig.msg->nfds, 0);
	/* E55. */
	ck_assert_uint_eq(rig_call(&rig, 6, beyond, sizeof(beyond)), EINVAL);
}
END_TEST

/* ---- regions of the device's own ---- */

static unsigned told_regions(void)
{
	static const uint32_t in[4] = {16};

	ck_assert_uint_eq(rig_call(&rig, 4, in, sizeof(in)), 0);
	return raw_u32(rig.msg, 8);
}

/* E38, E55: they count, are found by their type, and are served as others are; what is behind them is refused. */
START_TEST(e55_regions_of_the_devices_own)
{
	const struct vfu_region plain = {.size = 4096, .flags = 3, .fd = -1};
	uint32_t in[8] = {4096, 0, 9};

	ck_assert_uint_eq(told_regions(), 9);
	ck_assert_uint_eq(rig_call(&rig, 5, in, sizeof(in)), EINVAL);
	ck_assert_int_eq(vfu_device_add_region(rig.dev, 0x80001234, 7, &plain), 9);
	ck_assert_int_eq(vfu_device_set_region(rig.dev, 11, &plain), 0);
	ck_assert_uint_eq(told_regions(), 12);
	ck_assert_uint_eq(rig_call(&rig, 5, in, sizeof(in)), 0);
	ck_assert_uint_eq(rig.msg->len, 32 + 16);
	ck_assert_uint_eq(raw_u32(rig.msg, 4), 3 | 8);
	ck_assert_uint_eq(raw_u32(rig.msg, 12), 32);
	ck_assert_uint_eq(raw_u64(rig.msg, 16), 4096);
	ck_assert_mem_eq(rig.msg->payload + 32, ((uint16_t[]){2, 1}), 4);
	ck_assert_uint_eq(raw_u32(rig.msg, 40), 0x80001234);
	ck_assert_uint_eq(raw_u32(rig.msg, 44), 7);
	/* One between them is empty. */
	in[2] = 10;
	ck_assert_uint_eq(rig_call(&rig, 5, in, sizeof(in)), 0);
	ck_assert_uint_eq(raw_u64(rig.msg, 16), 0);
	ck_assert_uint_eq(rig_write(&rig, 9, 8, 4, 0x11223344), 0);
	ck_assert_uint_eq(rig_read(&rig, 9, 8, 4), 0);
	ck_assert_uint_eq(rig_data(&rig), 0x11223344);
	ck_assert_uint_eq(rig_read(&rig, 10, 0, 4), EINVAL);
	ck_assert_uint_eq(rig_read(&rig, 12, 0, 4), EINVAL);
	ck_assert_uint_eq(rig_read(&rig, 256 + 9, 0, 4), EINVAL);
	/* The number follows what is taken away. */
	ck_assert_int_eq(vfu_device_set_region(rig.dev, 11, &(struct vfu_region){.fd = -1}), 0);
	ck_assert_uint_eq(told_regions(), 10);
	ck_assert_uint_eq(rig_read(&rig, 10, 0, 4), EINVAL);
}
END_TEST

START_TEST(as_many_regions_as_there_can_be)
{
	const struct vfu_region plain = {.size = 1, .flags = 3, .fd = -1};
	struct vfu_region file = {.size = 4096, .flags = 3};
	struct vfu_err err;

	for (int i = VFU_REGIONS; i < VFU_REGIONS_MAX; i++)
		ck_assert_int_eq(vfu_device_add_region(rig.dev, 1, 0, &plain), i);
	/* One more fails, and its descriptor is closed: rig_close counts. */
	file.fd = memfd_create("region", 0);
	ck_assert_int_eq(vfu_device_add_region(rig.dev, 1, 0, &file), -ENOSPC);
	vfu_device_err(rig.dev, &err);
	ck_assert_str_eq(err.field, "region.index");
	ck_assert_uint_eq(told_regions(), VFU_REGIONS_MAX);
	ck_assert_uint_eq(rig_read(&rig, VFU_REGIONS_MAX - 1, 0, 1), 0);
	ck_assert_uint_eq(rig_read(&rig, VFU_REGIONS_MAX, 0, 1), EINVAL);
	ck_assert_int_eq(vfu_device_set_region(rig.dev, 20, &(struct vfu_region){.fd = -1}), 0);
	ck_assert_int_eq(vfu_device_add_region(rig.dev, 1, 0, &plain), 20);
	/* One that can not be leaves none behind. */
	ck_assert_int_eq(vfu_device_set_region(rig.dev, 20, &(struct vfu_region){.fd = -1}), 0);
	ck_assert_int_eq(vfu_device_add_region(rig.dev, 1, 0, &(struct vfu_region){.fd = -1}),
			 -EINVAL);
	ck_assert_uint_eq(rig_read(&rig, 20, 0, 1), EINVAL);
}
END_TEST

static int take_away(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req;
	memset(access->data, 7, access->count);
	return vfu_device_set_region(rig.dev, access->region, &(struct vfu_region){.fd = -1});
}

/* The callback takes away what it serves: with it goes what comes behind it in one access. */
START_TEST(a_region_takes_itself_away)
{
	const struct vfu_region plain = {.size = 4096, .flags = 3, .fd = -1};

	ck_assert_int_eq(vfu_device_add_region(rig.dev, 1, 0, &plain), 9);
	ck_assert_int_eq(vfu_device_set_handler(rig.dev, 9, 16, 4, take_away, NULL), 0);
	ck_assert_uint_eq(rig_read(&rig, 9, 8, 16), EINVAL);
	ck_assert_uint_eq(told_regions(), 9);
}
END_TEST

/* The log names the region that was meant, not what is left of its number in 8 bits. */
START_TEST(write_multi_names_the_region)
{
	const struct vfu_region plain = {.size = 4096, .flags = 3, .fd = -1};
	struct rig_many many = {1, {{0, 256 + 9, 4, {0}}}};

	ck_assert_int_eq(vfu_device_add_region(rig.dev, 1, 0, &plain), 9);
	ck_assert_uint_eq(rig_call(&rig, 15, &many, 8 + 24), EINVAL);
	ck_assert_ptr_nonnull(strstr(rig.last, "of region 265"));
}
END_TEST

START_TEST(irq_infos)
{
	static const uint32_t counts[5] = {1, 0, 4, 1, 1};
	uint32_t in[4] = {16};

	for (in[2] = 0; in[2] < 5; in[2]++) {
		ck_assert_uint_eq(rig_call(&rig, 7, in, sizeof(in)), 0);
		ck_assert_uint_eq(rig.msg->len, 16);
		ck_assert_uint_eq(raw_u32(rig.msg, 8), in[2]);
		ck_assert_uint_eq(raw_u32(rig.msg, 12), counts[in[2]]);
	}
	ck_assert_uint_eq(rig_call(&rig, 7, in, sizeof(in)), EINVAL);
}
END_TEST

/* ---- accesses ---- */

START_TEST(reads_and_writes)
{
	ck_assert_uint_eq(rig_read(&rig, 0, 8, 4), 0);
	ck_assert_uint_eq(rig.msg->len, 20);
	ck_assert_uint_eq(raw_u64(rig.msg, 0), 8);
	ck_assert_uint_eq(raw_u32(rig.msg, 8), 0);
	ck_assert_uint_eq(raw_u32(rig.msg, 12), 4);
	ck_assert_uint_eq(rig_data(&rig), 0x5a5a5a5a);

	ck_assert_uint_eq(rig_write(&rig, 1, 100, 8, 0x1122334455667788), 0);
	ck_assert_uint_eq(rig.msg->len, 16);
	ck_assert_uint_eq(raw_u32(rig.msg, 12), 8);
	ck_assert_uint_eq(rig_read(&rig, 1, 101, 4), 0);
	ck_assert_uint_eq(rig_data(&rig), 0x44556677);
	ck_assert_uint_eq(rig_read(&rig, 1, 0, RIG_BAR1_SIZE), 0);
	ck_assert_uint_eq(rig.msg->len, 16 + RIG_BAR1_SIZE);
	ck_assert_uint_eq(rig.msg->payload[16 + 100], 0x88);

	ck_assert_uint_eq(rig_read(&rig, 7, 0, 256), 0);
	ck_assert_uint_eq(rig_data(&rig), 0x56781234);
}
END_TEST

START_TEST(large_writes)
{
	static struct {
		uint64_t offset;
		uint32_t region, count;
		uint8_t data[RIG_BAR1_SIZE];
	} in = {.region = 1, .count = RIG_BAR1_SIZE};

	memset(in.data, 0xc3, sizeof(in.data));
	ck_assert_uint_eq(rig_call(&rig, 10, &in, sizeof(in)), 0);
	ck_assert_uint_eq(((uint8_t *)vfu_device_region_memory(rig.dev, 1))[RIG_BAR1_SIZE - 1],
			  0xc3);
}
END_TEST

static int leave_buffer(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req;
	if (access->offset)
		memset(access->data, 0xff, access->count);
	return 0;
}

START_TEST(reads_never_show_what_was_there)
{
	unsigned i;

	rig.bar0 = leave_buffer;
	ck_assert_uint_eq(rig_read(&rig, 0, 8, 64), 0);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 64), 0);
	for (i = 0; i < 64; i++)
		ck_assert_uint_eq(rig.msg->payload[16 + i], 0);
}
END_TEST

static const struct {
	uint32_t region, count;
	uint64_t offset;
} bad_accesses[] = {
	{0, 4, 4093},       {0, 4, 4096}, {0, 4, UINT64_MAX - 2}, {0, 0, 0},
	{3, 1, 0},          {9, 4, 0},    {UINT32_MAX, 4, 0},     {0, 1048577, 0},
	{0, UINT32_MAX, 0}, {7, 8, 252},  {1, 65536, 1},
};

START_TEST(reads_outside)
{
	ck_assert_uint_eq(rig_read(&rig, bad_accesses[_i].region, bad_accesses[_i].offset,
				   bad_accesses[_i].count),
			  EINVAL);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

START_TEST(writes_outside)
{
	struct rig_access in = {.offset = bad_accesses[_i].offset,
				.region = bad_accesses[_i].region,
				.count = bad_accesses[_i].count};

	/* With too little data too. */
	ck_assert_uint_eq(rig_call(&rig, 10, &in, 16 + (in.count > 16 ? 16 : in.count)), EINVAL);
	ck_assert_uint_eq(rig.writes, 0);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

START_TEST(no_bytes_if_the_policy_says_so)
{
	ck_assert_int_eq(vfu_server_set_policy(rig.srv, "zero_count", "reply"), 0);
	rig_hang_up(&rig);
	rig_connect(&rig);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 0), 0);
	ck_assert_uint_eq(rig.msg->len, 16);
}
END_TEST

static int refuse(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req, (void)access;
	return -ENXIO;
}

START_TEST(a_callback_may_fail)
{
	rig.bar0 = refuse;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), ENXIO);
	ck_assert_uint_eq(rig_write(&rig, 0, 0, 4, 0), ENXIO);
}
END_TEST

static int answer_oddly(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req;
	return access->offset ? 17 : VFU_LATER;
}

START_TEST(a_callback_may_err)
{
	rig.bar0 = answer_oddly;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), EIO);
	ck_assert_uint_eq(rig_read(&rig, 0, 8, 4), EIO);
}
END_TEST

START_TEST(posted_writes_are_not_answered)
{
	struct vfu_stats stats;

	rig_send_write(&rig, true, 0, 0, 4, 1);
	rig_send_write(&rig, true, 0, 5000, 4, 1); /* outside */
	rig_send_write(&rig, true, 0, 4, 4, 1);
	rig_silence(&rig);
	ck_assert_uint_eq(rig.writes, 2);
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.drops, 1);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

struct multi {
	uint64_t n;
	struct rig_multi_entry {
		uint64_t offset;
		uint32_t region, count;
		uint64_t data;
	} entry[3];
};

START_TEST(write_multi)
{
	struct multi in = {3, {{0, 1, 4, 1}, {4, 1, 8, 2}, {12, 1, 1, 3}}};

	ck_assert_uint_eq(rig_call(&rig, 15, &in, sizeof(in)), 0);
	ck_assert_uint_eq(rig.msg->len, 8);
	ck_assert_uint_eq(raw_u64(rig.msg, 0), 3);
	ck_assert_uint_eq(rig_read(&rig, 1, 4, 8), 0);
	ck_assert_uint_eq(raw_u64(rig.msg, 16), 2);

	in.entry[1].offset = RIG_BAR1_SIZE;
	ck_assert_uint_eq(rig_call(&rig, 15, &in, sizeof(in)), 0);
	ck_assert_uint_eq(raw_u64(rig.msg, 0), 1);
	in.entry[0].region = 9;
	ck_assert_uint_eq(rig_call(&rig, 15, &in, sizeof(in)), EINVAL);
	in.n = 4;
	ck_assert_uint_eq(rig_call(&rig, 15, &in, sizeof(in)), EINVAL);
	in.n = UINT64_MAX / 24 + 2;
	ck_assert_uint_eq(rig_call(&rig, 15, &in, sizeof(in)), EINVAL);
	in.n = 1;
	in.entry[0].count = 9;
	ck_assert_uint_eq(rig_call(&rig, 15, &in, 8 + 24), EINVAL);
}
END_TEST

/* Each write of a message has the effect that it has alone, and one request over two registers theirs. */
START_TEST(write_multi_reaches_registers)
{
	struct vfu_register status = {.size = sizeof(status), .offset = 8, .width = 4, .w1c = 7};
	struct vfu_register count = {.size = sizeof(count), .offset = 12, .width = 4, .rc = ~0u};
	struct rig_many in = {
		3, {{8, 1, 1, {1}}, {10, 1, 4, {0xff, 0xff, 0xff, 0xff}}, {8, 1, 8, {4}}}};
	struct vfu_err err;
	uint8_t *bar;

	ck_assert_int_eq(vfu_device_add_register(rig.dev, 1, &status), 0);
	ck_assert_int_eq(vfu_device_add_register(rig.dev, 1, &count), 0);
	bar = vfu_device_region_memory(rig.dev, 1);
	memset(bar + 8, 0xff, 8);
	ck_assert_uint_eq(rig_call(&rig, 15, &in, 8 + 3 * 24), 0);
	ck_assert_uint_eq(raw_u64(rig.msg, 0), 3);
	ck_assert_uint_eq(bar[8], 0xfa);
	ck_assert_uint_eq(bar[12], 0xff);
	ck_assert_uint_eq(rig_read(&rig, 1, 11, 2), 0);
	ck_assert(bar[11] == 0xff && bar[12] == 0 && bar[13] == 0xff);
	ck_assert_int_eq(vfu_device_update_register(rig.dev, 1, 8, 4, 5, 1), 0);
	ck_assert_uint_eq(bar[8], 0xfb);
	ck_assert_int_eq(vfu_device_add_register(rig.dev, 1, &count), -EEXIST);
	vfu_device_err(rig.dev, &err);
	ck_assert_str_eq(err.field, "register.offset");
	ck_assert_int_eq(vfu_device_add_register(rig.dev, 7, &count), -EINVAL);
}
END_TEST

/* The error tells whose word is missing. */
static void write_multi_refused(const char *said, const char *unsaid)
{
	const struct multi in = {1, {{0, 1, 4, 1}}};

	rig_attach(&rig);
	rig_version(&rig, said);
	ck_assert_uint_eq(rig_call(&rig, 15, &in, 8 + 24), ENOSYS);
	ck_assert_ptr_nonnull(strstr(rig.last, "region_write_multi.command"));
	ck_assert_ptr_nonnull(strstr(rig.last, "needs write_multiple, which was not agreed"));
	ck_assert_ptr_nonnull(strstr(rig.last, unsaid));
}

START_TEST(write_multi_must_be_agreed)
{
	write_multi_refused("{\"capabilities\":{}}", "agreed: the peer did not say it");
}
END_TEST

START_TEST(write_multi_must_be_said)
{
	ck_assert_int_eq(vfu_server_set_capability(rig.srv, "write_multiple", 0), 0);
	write_multi_refused("{\"capabilities\":{\"write_multiple\":true}}",
			    "agreed: this side did not say it");
}
END_TEST

/* ---- interrupts ---- */

static unsigned set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
			 const int *fds, unsigned nfds)
{
	const struct rig_irqs in = {20, flags, index, start, count};

	return rig_call_fds(&rig, 8, &in, sizeof(in), fds, nfds);
}

static uint64_t fired(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint64_t count = 0;

	if (poll(&pfd, 1, 0) == 1)
		ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

START_TEST(interrupts)
{
	int fds[2] = {passed_eventfd(0), passed_eventfd(0)};

	ck_assert_uint_eq(set_irqs(0x24, 2, 1, 2, fds, 2), 0);
	ck_assert_uint_eq(rig.msg->len, 0);
	ck_assert_int_eq(vfu_irq_raise(rig.dev, 2, 1), 0);
	ck_assert_int_eq(vfu_irq_raise_after(rig.dev, 2, 2), 0);
	ck_assert_int_eq(vfu_irq_raise(rig.dev, 2, 0), -ENOENT);
	ck_assert_uint_eq(fired(fds[0]), 1);
	ck_assert_uint_eq(fired(fds[1]), 1);
	/* The client's own trigger, then off. */
	ck_assert_uint_eq(set_irqs(0x21, 2, 2, 1, NULL, 0), 0);
	ck_assert_uint_eq(fired(fds[1]), 1);
	ck_assert_uint_eq(set_irqs(0x21, 2, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(vfu_irq_raise(rig.dev, 2, 1), -ENOENT);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(interrupts_refused)
{
	int fds[2] = {passed_eventfd(0), rig_memfd(4096)};

	ck_assert_uint_eq(set_irqs(0x24, 2, 3, 2, fds, 2), EINVAL);
	ck_assert_uint_eq(set_irqs(0x24, 2, 0, 2, fds, 1), EINVAL);
	ck_assert_uint_eq(set_irqs(0x24, 2, 0, 1, fds + 1, 1), EINVAL);
	ck_assert_uint_eq(set_irqs(0x24, 9, 0, 1, fds, 1), EINVAL);
	ck_assert_uint_eq(set_irqs(0x26, 2, 0, 1, fds, 1), EINVAL);
	ck_assert_uint_eq(set_irqs(0x22, 2, 0, 1, NULL, 0), EINVAL);
	ck_assert_uint_eq(set_irqs(0x24, 2, UINT32_MAX, 1, fds, 1), EINVAL);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* ---- DMA ranges ---- */

START_TEST(dma_ranges)
{
	struct vfu_dma_range ranges[4];
	int fd = rig_memfd(8192);
	char buf[4] = {0};
	uint8_t *ram = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(ram, MAP_FAILED);
	rig_set_hooks(&rig, NULL);
	ck_assert_uint_eq(rig_map(&rig, 0x10000, 8192, fd), 0);
	ck_assert_uint_eq(rig.msg->len, 0);
	ck_assert_uint_eq(rig_map(&rig, 0x4000, 4096, -1), 0);
	ck_assert_uint_eq(rig_map(&rig, 0x11000, 4096, -1), EEXIST);
	ck_assert_uint_eq(rig_map(&rig, 0x20000, 0, -1), EINVAL);
	ck_assert_uint_eq(rig_map(&rig, 0x20001, 4096, -1), EINVAL);
	ck_assert_uint_eq(rig_map(&rig, UINT64_MAX - 4095, 8192, -1), EINVAL);
	ck_assert_uint_eq(vfu_dma_ranges(rig.dev, ranges, 4), 2);
	ck_assert_uint_eq(ranges[0].iova, 0x4000);
	ck_assert_uint_eq(ranges[1].mapped, 1);

	memcpy(ram + 4096, "abcd", 4);
	ck_assert_int_eq(vfu_dma_read(rig.dev, 0x11000, buf, 4), 0);
	ck_assert_mem_eq(buf, "abcd", 4);

	ck_assert_uint_eq(rig_unmap(&rig, 0x10000, 4096), EINVAL);
	ck_assert_uint_eq(rig_unmap(&rig, 0x100000, 4096), 0);
	ck_assert_uint_eq(rig_unmap(&rig, 0, 0x80000000), 0);
	ck_assert_uint_eq(rig.msg->len, 24);
	ck_assert_uint_eq(raw_u64(rig.msg, 16), 0x80000000);
	ck_assert_uint_eq(vfu_dma_ranges(rig.dev, ranges, 4), 0);
	ck_assert_str_eq(rig.calls, "map:10000 map:4000 unmap:4000 unmap:10000");
	munmap(ram, 8192);
	close(fd);
}
END_TEST

START_TEST(unmap_all)
{
	const struct rig_unmap in = {.argsz = 24, .flags = 2};

	ck_assert_uint_eq(rig_map(&rig, 0x4000, 4096, -1), 0);
	ck_assert_uint_eq(rig_call(&rig, 3, &in, sizeof(in)), 0);
	ck_assert_uint_eq(vfu_dma_ranges(rig.dev, NULL, 0), 0);
	ck_assert_uint_eq(rig_unmap(&rig, 0, 0), EINVAL);
}
END_TEST

START_TEST(unmap_waits_for_pins)
{
	const struct rig_unmap in = {.argsz = 24, .address = 0x10000, .size = 8192};
	int fd = rig_memfd(8192);
	struct vfu_dma_pin pin;
	uint16_t unmap, read;

	ck_assert_uint_eq(rig_map(&rig, 0x10000, 8192, fd), 0);
	close(fd);
	ck_assert_int_eq(vfu_dma_pin(rig.dev, 0x10000, 16, VFU_DMA_WRITE, &pin), 0);
	unmap = rig_send(&rig, 3, &in, sizeof(in));
	read = rig_send_read(&rig, 0, 0, 4);
	rig_silence(&rig);
	memset(pin.addr, 1, pin.len);
	ck_assert_int_eq(vfu_dma_unpin(rig.dev, &pin), 0);
	ck_assert_uint_eq(rig_reply(&rig, unmap, 3), 0);
	ck_assert_mem_eq(rig.msg->payload, &in, sizeof(in));
	ck_assert_uint_eq(rig_reply(&rig, read, 9), 0);
}
END_TEST

START_TEST(pins_outlive_the_connection)
{
	const struct rig_unmap in = {.argsz = 24, .address = 0x10000, .size = 8192};
	int fd = rig_memfd(8192);
	struct vfu_dma_pin pin;

	ck_assert_uint_eq(rig_map(&rig, 0x10000, 8192, fd), 0);
	close(fd);
	ck_assert_int_eq(vfu_dma_pin(rig.dev, 0x10000, 16, VFU_DMA_WRITE, &pin), 0);
	rig_send(&rig, 3, &in, sizeof(in));
	rig_silence(&rig);
	rig_hang_up(&rig);
	memset(pin.addr, 1, pin.len);
	rig_connect(&rig);
	ck_assert_int_eq(vfu_dma_unpin(rig.dev, &pin), 0);
	rig_silence(&rig);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

/* Raised and armed, but the client has forgotten its part: worth a line for each vector. */
START_TEST(interrupts_wait_for_bus_mastering_and_say_so_once)
{
	int fds[2] = {passed_eventfd(EFD_NONBLOCK), passed_eventfd(EFD_NONBLOCK)};
	unsigned lines = rig.lines;
	eventfd_t count;

	ck_assert_int_eq(vfu_server_set_policy(rig.srv, "bus_master", "enforce"), 0);
	ck_assert_uint_eq(set_irqs(0x24, 2, 0, 2, fds, 2), 0);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_int_eq(vfu_irq_raise(rig.dev, VFU_IRQ_MSIX, i % 2), 0);
	/* Nobody listens to this one. */
	ck_assert_int_eq(vfu_irq_raise(rig.dev, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(rig.lines, lines + 2);
	ck_assert_int_lt(eventfd_read(fds[0], &count), 0);
	ck_assert_uint_eq(rig_write(&rig, 7, 4, 2, 4), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(eventfd_read(fds[i], &count), 0);
		ck_assert_uint_eq(count, 1);
		close(fds[i]);
	}
}
END_TEST

/* What waits is forgotten before what kept it is. */
START_TEST(a_reset_fires_nothing)
{
	int fds[2] = {passed_eventfd(0), passed_eventfd(0)};

	ck_assert_uint_eq(set_irqs(0x24, 0, 0, 1, fds, 1), 0);
	ck_assert_uint_eq(set_irqs(0x24, 2, 0, 1, fds + 1, 1), 0);
	ck_assert_uint_eq(rig_write(&rig, 7, 4, 2, 0x0400), 0);
	ck_assert_uint_eq(rig_write(&rig, 4, 12, 4, 1), 0);
	ck_assert_int_eq(vfu_irq_raise(rig.dev, VFU_IRQ_INTX, 0), 0);
	ck_assert_int_eq(vfu_irq_raise(rig.dev, VFU_IRQ_MSIX, 0), 0);
	ck_assert_uint_eq(rig_call(&rig, 13, NULL, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(fired(fds[i]), 0);
		ck_assert_int_eq(vfu_irq_raise(rig.dev, i ? VFU_IRQ_MSIX : VFU_IRQ_INTX, 0), 0);
		ck_assert_uint_eq(fired(fds[i]), 1);
		close(fds[i]);
	}
}
END_TEST

/* The next server of a device has policies of its own. */
START_TEST(policies_end_with_their_server)
{
	int fd = rig_memfd(4096);
	struct vfu_dma_pin pin;
	unsigned i;

	ck_assert_int_eq(vfu_server_set_policy(rig.srv, "bus_master", "enforce"), 0);
	for (i = 0; i < 2; i++) {
		ck_assert_uint_eq(rig_map(&rig, 0x10000, 4096, fd), 0);
		ck_assert_int_eq(vfu_dma_pin(rig.dev, 0x10000, 16, VFU_DMA_WRITE, &pin),
				 i ? 0 : -EIO);
		vfu_dma_unpin(rig.dev, &pin);
		if (i)
			break;
		close(rig.sock);
		vfu_server_free(rig.srv);
		rig.srv = vfu_server_new(rig.dev);
		rig_connect(&rig);
	}
	close(fd);
}
END_TEST

/* ---- the rest ---- */

START_TEST(reset)
{
	rig_set_hooks(&rig, NULL);
	ck_assert_uint_eq(rig_write(&rig, 7, 4, 2, 0x0406), 0);
	ck_assert_uint_eq(rig_call(&rig, 13, NULL, 0), 0);
	ck_assert_uint_eq(rig.msg->len, 0);
	ck_assert_str_eq(rig.calls, "config:4+2 reset");
	ck_assert_uint_eq(rig_read(&rig, 7, 4, 4), 0);
	ck_assert_uint_eq(rig_data(&rig) & 0x406, 0);
	ck_assert_uint_eq(rig_call(&rig, 13, "x", 1), EINVAL);
}
END_TEST

/* What is always answered says that it wants no reply: remarked, and done or not (E68). */
START_TEST(reset_without_reply)
{
	const char *sentence = "header.flags: no_reply is for messages that may be posted";
	struct vfu_stats stats;

	rig_set_hooks(&rig, NULL);
	rig_post(&rig, 13, NULL, 0);
	rig_pump(&rig);
	ck_assert_str_eq(rig.calls, "reset");
	ck_assert_msg(strstr(rig.last, sentence) != NULL, "%s", rig.last);
	ck_assert_ptr_nonnull(strstr(rig.last, "reset(13) id="));
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.drops, 0);

	rig_hang_up(&rig);
	rig.calls[0] = '\0';
	ck_assert_int_eq(vfu_server_set_policy(rig.srv, "no_reply", "refuse"), 0);
	rig_connect(&rig);
	rig_post(&rig, 13, NULL, 0);
	rig_post(&rig, 13, NULL, 0);
	rig_pump(&rig);
	ck_assert_ptr_null(strstr(rig.calls, "reset"));
	ck_assert_msg(strstr(rig.last, sentence) != NULL, "%s", rig.last);
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.drops, 2);
	/* Writes are posted as ever, and nothing was answered. */
	rig_send_write(&rig, true, 1, 0, 4, 77);
	ck_assert_uint_eq(rig_read(&rig, 1, 0, 4), 0);
	ck_assert_uint_eq(rig_data(&rig), 77);
}
END_TEST

static const struct {
	uint16_t command;
	uint32_t payload[6];
	size_t len;
	unsigned error;
} unsupported[] = {
	{16, {8, 1 << 16 | 1}, 8, ENOTTY}, /* GET migration */
	{16, {8, 1 << 18 | 2}, 8, ENOTTY}, /* PROBE */
	{16, {16, 1 << 17 | 2, 1, 0}, 16, ENOTTY},
	{16, {8, 3 << 16 | 2}, 8, EINVAL}, /* GET and SET */
	{16, {8}, 4, EINVAL},
	{17, {16, 8}, 8, EINVAL},
	{18, {16, 8, 1, 2}, 16, EINVAL},
	{14, {8}, 8, ENOSYS},   /* retired */
	{19, {24}, 24, EINVAL}, /* as 17 and 18: not in this state of migration */
	{99, {1}, 16, ENOSYS},
	{11, {0}, 16, EINVAL}, /* ours to send */
	{0, {0}, 0, ENOSYS},
	{65535, {0}, 16, ENOSYS},
};

START_TEST(what_is_not_supported)
{
	unsigned error = rig_call(&rig, unsupported[_i].command, unsupported[_i].payload,
				  unsupported[_i].len);

	if (unsupported[_i].command == 11)
		ck_assert(error == ENOSYS || error == EINVAL);
	else
		ck_assert_uint_eq(error, unsupported[_i].error);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

static int pass(void *user, struct vfu_request *req)
{
	(void)user, (void)req;
	return VFU_PASS;
}

/* A message of the table that nobody serves, and one that is passed on, are answered as one that it lacks. */
START_TEST(unserved_commands_by_policy)
{
	static const uint32_t in[2] = {8, 8};
	static const unsigned commands[] = {777, 4242, 17};

	ck_assert_int_eq(vfu_device_set_command(rig.dev, 4242, pass, NULL), 0);
	/* STOP_COPY, where 17 is lawful. */
	ck_assert_int_eq(vfu_device_set_state(rig.dev, 3), 0);
	rig_connect(&rig);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(rig_call(&rig, (uint16_t)commands[i], in, i == 2 ? 8 : 0),
				  ENOSYS);
	rig_hang_up(&rig);
	ck_assert_int_eq(vfu_server_set_profile(rig.srv, "libvfio-user"), 0);
	rig_connect(&rig);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(rig_call(&rig, (uint16_t)commands[i], in, i == 2 ? 8 : 0),
				  EINVAL);
}
END_TEST

START_TEST(unsupported_features_by_policy)
{
	static const uint32_t in[2] = {8, 1 << 16 | 1};

	ck_assert_int_eq(vfu_server_set_policy(rig.srv, "unsupported_feature", "einval"), 0);
	rig_attach(&rig);
	rig_version(&rig, NULL);
	ck_assert_uint_eq(rig_call(&rig, 16, in, sizeof(in)), EINVAL);
}
END_TEST

START_TEST(descriptors_nobody_wants_are_closed)
{
	static const uint32_t in[4] = {16};
	int fds[3] = {rig_memfd(1), rig_memfd(1), rig_memfd(1)};
	unsigned before = raw_count_fds();

	rig_call_fds(&rig, 4, in, sizeof(in), fds, 3);
	ck_assert_uint_eq(raw_count_fds(), before);
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
}
END_TEST

START_TEST(statistics)
{
	struct vfu_stats stats;

	rig_read(&rig, 0, 0, 4);
	rig_hang_up(&rig);
	rig_connect(&rig);
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.requests_in, 3);
	ck_assert_uint_eq(stats.replies_out, 3);
	ck_assert_uint_eq(stats.violations, 0);
}
END_TEST

static void add_messages(Suite *suite)
{
	TCase *tcase = tcase_create("messages");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, version_only_once);
	tcase_add_test(tcase, failed_handler_logs_one_line);
	tcase_add_test(tcase, late_failure_logs_one_line);
	tcase_add_test(tcase, flood_is_not_logged);
	tcase_add_test(tcase, info);
	tcase_add_test(tcase, region_infos);
	tcase_add_test(tcase, region_info_that_is_sparse);
	tcase_add_loop_test(tcase, a_region_whose_file_is_cut, 0, 4);
	tcase_add_test(tcase, region_io_fds_are_none);
	tcase_add_test(tcase, e55_regions_of_the_devices_own);
	tcase_add_test(tcase, as_many_regions_as_there_can_be);
	tcase_add_test(tcase, a_region_takes_itself_away);
	tcase_add_test(tcase, write_multi_names_the_region);
	tcase_add_test(tcase, irq_infos);
	tcase_add_test(tcase, reads_and_writes);
	tcase_add_test(tcase, large_writes);
	tcase_add_test(tcase, reads_never_show_what_was_there);
	tcase_add_loop_test(tcase, reads_outside, 0,
			    sizeof(bad_accesses) / sizeof(bad_accesses[0]));
	tcase_add_loop_test(tcase, writes_outside, 0,
			    sizeof(bad_accesses) / sizeof(bad_accesses[0]));
	tcase_add_test(tcase, no_bytes_if_the_policy_says_so);
	tcase_add_test(tcase, a_callback_may_fail);
	tcase_add_test(tcase, a_callback_may_err);
	tcase_add_test(tcase, posted_writes_are_not_answered);
	tcase_add_test(tcase, write_multi);
	tcase_add_test(tcase, write_multi_reaches_registers);
	tcase_add_test(tcase, interrupts);
	tcase_add_test(tcase, interrupts_refused);
	tcase_add_test(tcase, dma_ranges);
	tcase_add_test(tcase, unmap_all);
	tcase_add_test(tcase, unmap_waits_for_pins);
	tcase_add_test(tcase, pins_outlive_the_connection);
	tcase_add_test(tcase, interrupts_wait_for_bus_mastering_and_say_so_once);
	tcase_add_test(tcase, a_reset_fires_nothing);
	tcase_add_test(tcase, policies_end_with_their_server);
	tcase_add_test(tcase, reset);
	tcase_add_test(tcase, reset_without_reply);
	tcase_add_loop_test(tcase, what_is_not_supported, 0,
			    sizeof(unsupported) / sizeof(unsupported[0]));
	tcase_add_test(tcase, descriptors_nobody_wants_are_closed);
	tcase_add_test(tcase, statistics);
	suite_add_tcase(suite, tcase);
}

static void add_greetings(Suite *suite)
{
	TCase *tcase = tcase_create("greetings");

	tcase_add_checked_fixture(tcase, setup_unconnected, teardown);
	tcase_add_test(tcase, version_reply_fits_the_request);
	tcase_add_test(tcase, version_without_json);
	tcase_add_test(tcase, version_newer_minor_gets_ours);
	tcase_add_loop_test(tcase, version_refused, 0,
			    sizeof(bad_versions) / sizeof(bad_versions[0]));
	tcase_add_loop_test(tcase, version_must_be_first, 0,
			    sizeof(not_version) / sizeof(not_version[0]));
	tcase_add_test(tcase, reply_is_not_version_either);
	tcase_add_test(tcase, write_multi_must_be_agreed);
	tcase_add_test(tcase, write_multi_must_be_said);
	tcase_add_test(tcase, unserved_commands_by_policy);
	tcase_add_test(tcase, unsupported_features_by_policy);
	suite_add_tcase(suite, tcase);
}

int main(void)
{
	Suite *suite = suite_create("server");

	add_greetings(suite);
	add_messages(suite);
	return run_suite(suite);
}
