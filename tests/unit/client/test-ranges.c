/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-ranges.c - which memory a client lets its device reach, and how: files or messages, all of it
 * taken back at once.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"

#define SIZE 4096
#define RW (VFU_DMA_READ | VFU_DMA_WRITE)

static struct script far;
static struct vfu_client *cl;
static uint8_t memory[4 * SIZE];

static void setup(void)
{
	memset(&far, 0, sizeof(far));
	memset(memory, 'm', sizeof(memory));
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 0), 0);
}

static void teardown(void)
{
	vfu_client_free(cl);
}

static void finish(void)
{
	vfu_client_disconnect(cl);
	script_join(&far);
}

static int map(uint64_t iova)
{
	return vfu_client_dma_map(cl, iova, SIZE, RW, memory, -1, 0);
}

static size_t count(void)
{
	return vfu_client_dma_ranges(cl, NULL, 0);
}

static void script_version_only(struct script *s)
{
	script_version(s);
	script_end(s);
}

/* ---- taking all back ---- */

static void get_unmap(struct script *s, uint32_t flags, uint64_t iova, uint64_t size)
{
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	ck_assert_uint_eq(script_u32(s, 4), flags);
	ck_assert_uint_eq(script_u64(s, 8), iova);
	ck_assert_uint_eq(script_u64(s, 16), size);
}

static void unmaps_each(struct script *s)
{
	static const uint64_t at[] = {0, 0x5000, -(uint64_t)SIZE};
	uint16_t id;

	script_take_maps(s, 3);
	for (unsigned i = 0; i < 3; i++) {
		get_unmap(s, 0, at[i], SIZE);
		if (i == 1)
			script_error(s, EBUSY);
		else
			script_reply(s, s->msg.payload, 24);
	}
	id = script_get_reset(s);
	/* What was refused is there, what was not is not. */
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_READ, 0x5000, 8), 0);
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_READ, 0, 8), EFAULT);
	script_end_reset(s, id);
}

START_TEST(each_range_is_unmapped)
{
	struct vfu_dma_range ranges[3];

	script_connect(&far, cl, unmaps_each);
	ck_assert_int_eq(map(-(uint64_t)SIZE), 0);
	ck_assert_int_eq(map(0x5000), 0);
	ck_assert_int_eq(map(0), 0);
	ck_assert_uint_eq(vfu_client_dma_ranges(cl, ranges, 3), 3);
	ck_assert_uint_eq(ranges[1].iova, 0x5000);
	ck_assert_uint_eq(ranges[2].iova, -(uint64_t)SIZE);
	ck_assert_uint_eq(ranges[2].size, SIZE);
	ck_assert_uint_eq(ranges[2].flags, RW);
	ck_assert(!ranges[2].mapped);
	ck_assert_int_eq(vfu_client_dma_unmap_all(cl), -EBUSY);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_uint_eq(vfu_client_dma_ranges(cl, ranges, 1), 1);
	ck_assert_uint_eq(ranges[0].iova, 0x5000);
	finish();
	ck_assert_uint_eq(count(), 0);
	ck_assert_int_eq(vfu_client_dma_unmap_all(cl), -ENOTCONN);
}
END_TEST

static void knows_the_flag(struct script *s)
{
	script_take_maps(s, 3);
	get_unmap(s, 2, 0, 0);
	script_reply(s, s->msg.payload, 24);
	script_end(s);
}

static void refuses_the_flag(struct script *s)
{
	script_take_maps(s, 2);
	get_unmap(s, 2, 0, 0);
	script_error(s, EINVAL);
	for (unsigned i = 0; i < 2; i++) {
		get_unmap(s, 0, 0x1000 * i, SIZE);
		script_reply(s, s->msg.payload, 24);
	}
	script_end(s);
}

START_TEST(one_message_where_the_policy_says_so)
{
	ck_assert_int_eq(vfu_client_set_policy(cl, "unmap_all", "flag"), 0);
	script_connect(&far, cl, knows_the_flag);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(map(0x1000 * i), 0);
	ck_assert_int_eq(vfu_client_dma_unmap_all(cl), 0);
	ck_assert_uint_eq(count(), 0);
	finish();
	script_connect(&far, cl, refuses_the_flag);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(map(0x1000 * i), 0);
	ck_assert_int_eq(vfu_client_dma_unmap_all(cl), 0);
	ck_assert_uint_eq(count(), 0);
	finish();
}
END_TEST

/* Hears all before it answers one, the last first. */
static void hears_all(struct script *s)
{
	struct peer_msg asked[3];
	uint16_t id;

	script_take_maps(s, 3);
	for (unsigned i = 0; i < 3; i++) {
		get_unmap(s, 0, 0x1000 * i, SIZE);
		asked[i] = s->msg;
	}
	/* They are served until then. */
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_READ, 0x1000, 8), 0);
	for (unsigned i = 3; i-- > 0;) {
		s->msg = asked[i];
		if (i == 1)
			script_error(s, EBUSY);
		else
			script_reply(s, s->msg.payload, 24);
	}
	id = script_get_reset(s);
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_READ, 0x1000, 8), 0);
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_READ, 0, 8), EFAULT);
	script_end_reset(s, id);
}

START_TEST(none_waits_for_the_one_before)
{
	struct vfu_dma_range range;

	script_connect(&far, cl, hears_all);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(map(0x1000 * i), 0);
	ck_assert_int_eq(vfu_client_dma_unmap_all(cl), -EBUSY);
	ck_assert_uint_eq(vfu_client_dma_ranges(cl, &range, 1), 1);
	ck_assert_uint_eq(range.iova, 0x1000);
	ck_assert_int_eq(vfu_client_fence(cl), 0); /* it is no map that was refused */
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
}
END_TEST

static void has_an_access_before(struct script *s)
{
	uint8_t reply[24] = {0};

	script_take_maps(s, 3);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	memcpy(reply, s->msg.payload, 16);
	script_reply(s, reply, sizeof(reply));
	for (unsigned i = 0; i < 3; i++) {
		get_unmap(s, 0, 0x1000 * i, SIZE);
		script_reply(s, s->msg.payload, 24);
	}
	script_end(s);
}

static void note(void *status, int result)
{
	*(int *)status = result;
}

/* Where there is no room for a request because of others', each waits for its own. */
START_TEST(each_waits_for_room)
{
	int status = -1;
	uint64_t value;

	if (_i)
		ck_assert_int_eq(vfu_client_set_policy(cl, "outstanding", "one"), 0);
	else
		ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAX_REQUESTS, 1), 0);
	script_connect(&far, cl, has_an_access_before);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(map(0x1000 * i), 0);
	ck_assert_int_eq(vfu_client_region_read_async(cl, 0, 0, &value, 8, note, &status), 0);
	ck_assert_int_eq(vfu_client_dma_unmap_all(cl), 0);
	ck_assert_int_eq(status, 8);
	ck_assert_uint_eq(count(), 0);
	finish();
}
END_TEST

/* Answers one of them, and that late. */
static void answers_the_second(struct script *s)
{
	script_take_maps(s, 3);
	for (unsigned i = 0; i < 3; i++) {
		get_unmap(s, 0, 0x1000 * i, SIZE);
		if (i == 1)
			script_error(s, EBUSY);
	}
	script_end(s);
}

static int give_up(void *user)
{
	struct vfu_stats stats;

	(void)user;
	vfu_client_stats(cl, &stats);
	return stats.requests_out >= 7; /* VERSION, three of each */
}

/* What was not answered in time, or until a signal, leaves; what was refused does not. */
START_TEST(not_all_are_answered)
{
	struct vfu_dma_range range;

	if (_i)
		vfu_client_set_interrupt(cl, give_up, NULL);
	else
		ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 1500), 0);
	script_connect(&far, cl, answers_the_second);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(map(0x1000 * i), 0);
	ck_assert_int_lt(vfu_client_dma_unmap_all(cl), 0);
	ck_assert_uint_le(count(), 1);
	if (!_i) {
		ck_assert_uint_eq(vfu_client_dma_ranges(cl, &range, 1), 1);
		ck_assert_uint_eq(range.iova, 0x1000);
	}
	finish();
	ck_assert_uint_eq(count(), 0);
}
END_TEST

static void ends_while_unmapping(struct script *s)
{
	script_take_maps(s, 3);
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	script_reply(s, s->msg.payload, 24);
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
}

START_TEST(the_server_ends_meanwhile)
{
	script_connect(&far, cl, ends_while_unmapping);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(map(0x1000 * i), 0);
	ck_assert_int_eq(vfu_client_dma_unmap_all(cl), -ENOTCONN);
	finish();
}
END_TEST

/* ---- many threads ---- */

static atomic_int stage;

static void reach(int want)
{
	while (stage < want)
		poll(NULL, 0, 1);
}

/* Refuses the first of two while the other is not answered, and then the second thread comes. */
static void refuses_the_first(struct script *s)
{
	struct peer_msg second;

	script_take_maps(s, 2);
	get_unmap(s, 0, 0x1000, SIZE);
	script_error(s, EBUSY);
	get_unmap(s, 0, 0x2000, SIZE);
	second = s->msg;
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_READ, 0x1000, 8), 0);
	stage = 1;
	get_unmap(s, 0, 0x1000, SIZE);
	script_error(s, EBUSY);
	s->msg = second;
	script_reply(s, s->msg.payload, 24);
	script_end(s);
}

static void *unmap_later(void *result)
{
	reach(1);
	*(int *)result = vfu_client_dma_unmap_all(cl);
	return NULL;
}

/* What one was refused is not told the other, and what one has asked for is not asked for twice at once. */
START_TEST(two_threads_take_all_back)
{
	pthread_t other;
	int result = 0;

	stage = 0;
	script_connect(&far, cl, refuses_the_first);
	ck_assert_int_eq(map(0x1000), 0);
	ck_assert_int_eq(map(0x2000), 0);
	ck_assert_int_eq(pthread_create(&other, NULL, unmap_later, &result), 0);
	ck_assert_int_eq(vfu_client_dma_unmap_all(cl), -EBUSY);
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	ck_assert_int_eq(result, -EBUSY);
	ck_assert_uint_eq(count(), 1);
	finish();
}
END_TEST

static void has_an_access_before_a_map(struct script *s)
{
	uint8_t reply[24] = {0};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	memcpy(reply, s->msg.payload, 16);
	script_reply(s, reply, sizeof(reply));
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	script_end(s);
}

/* All the room is others', who do not wait for maps. */
START_TEST(a_map_waits_for_room)
{
	int status = -1;
	uint64_t value;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAX_REQUESTS, 1), 0);
	script_connect(&far, cl, has_an_access_before_a_map);
	ck_assert_int_eq(vfu_client_region_read_async(cl, 0, 0, &value, 8, note, &status), 0);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 0, SIZE, RW, memory, -1, 0), 0);
	ck_assert_int_eq(status, 8);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
	ck_assert_uint_eq(count(), 1);
	finish();
}
END_TEST

/* ---- memory that the library makes ---- */

/* How much of it there is here. */
static unsigned owned(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, "memfd:vfu-dma") != NULL;
	fclose(file);
	return n;
}

static void get_file(struct script *s)
{
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	ck_assert_uint_eq(script_u64(s, 24), SIZE);
	ck_assert_uint_eq(s->nfds, 1);
	ck_assert_int_eq(pwrite(s->fds[0], "device", 6, 0), 6);
}

static void takes_the_file(struct script *s)
{
	script_version(s);
	get_file(s);
	script_reply(s, NULL, 0);
	get_unmap(s, 0, 0x1000, SIZE);
	script_reply(s, s->msg.payload, 24);
	get_file(s);
	script_error(s, ENOSPC);
	get_file(s);
	script_reply(s, NULL, 0);
	script_end(s);
}

static void *alloc(int expected)
{
	void *host = cl;

	ck_assert_int_eq(vfu_client_dma_alloc(cl, 0x1000, SIZE, RW, &host), expected);
	if (expected)
		ck_assert_ptr_null(host);
	else
		ck_assert_mem_eq(host, "device\0", 8);
	return host;
}

/* It goes with its range; else it stays for the end of the client, or its next connection. */
START_TEST(own_memory)
{
	void *host;

	script_connect(&far, cl, takes_the_file);
	alloc(0);
	ck_assert_uint_eq(owned(), 1);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, 0x1000, SIZE), 0);
	ck_assert_uint_eq(owned(), 0);
	alloc(-ENOSPC);
	ck_assert_uint_eq(owned(), 0);
	host = alloc(0);
	finish();
	ck_assert_uint_eq(count(), 0);
	ck_assert_mem_eq(host, "device", 7);
	if (_i) {
		vfu_client_free(cl);
		cl = NULL;
	} else {
		script_connect(&far, cl, script_version_only);
		ck_assert_uint_eq(owned(), 0);
		finish();
	}
	ck_assert_uint_eq(owned(), 0);
}
END_TEST

static void says_yes(struct script *s)
{
	script_version(s);
	while (peer_get(s->fd, &s->msg, s->fds, &s->nfds)) {
		script_reply(s, s->msg.payload,
			     s->msg.hdr.command == VFU_WIRE_CMD_DMA_UNMAP ? 24 : 0);
		while (s->nfds)
			close(s->fds[--s->nfds]);
	}
}

static void *take_all_back(void *arg)
{
	while (!stage)
		ck_assert_int_eq(vfu_client_dma_unmap_all(cl), 0);
	return arg;
}

/* Another thread takes it back at once: it is there from the first moment, or has been. */
START_TEST(own_memory_taken_back_at_once)
{
	pthread_t other;
	void *host;

	stage = 0;
	script_connect(&far, cl, says_yes);
	ck_assert_int_eq(pthread_create(&other, NULL, take_all_back, NULL), 0);
	for (unsigned i = 0; i < 500; i++)
		ck_assert_int_eq(vfu_client_dma_alloc(cl, 0x1000 * i, SIZE, RW, &host), 0);
	stage = 1;
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	ck_assert_int_eq(vfu_client_dma_unmap_all(cl), 0);
	ck_assert_uint_eq(owned() + count(), 0);
	finish();
}
END_TEST

START_TEST(no_own_memory)
{
	struct vfu_err err;
	void *host = cl;

	ck_assert_int_eq(vfu_client_dma_alloc(cl, 0x1000, SIZE, RW, &host), -ENOTCONN);
	ck_assert_ptr_null(host);
	script_connect(&far, cl, script_version_only);
	ck_assert_int_eq(vfu_client_dma_alloc(cl, 0x1000, 0, RW, &host), -EINVAL);
	vfu_client_err(cl, &err);
	ck_assert_str_eq(err.field, "dma_map.size");
	ck_assert_int_eq(vfu_client_dma_alloc(cl, 0x1000, SIZE + 1, RW, &host), -EINVAL);
	ck_assert_int_lt(vfu_client_dma_alloc(cl, 0, UINT64_MAX, RW, &host), 0);
	fault_fail(FAULT_MMAP, 1, ENOMEM);
	ck_assert_int_eq(vfu_client_dma_alloc(cl, 0x1000, SIZE, RW, &host), -ENOMEM);
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	ck_assert_int_eq(vfu_client_dma_alloc(cl, 0x1000, SIZE, RW, &host), -ENOMEM);
	fault_reset();
	ck_assert_uint_eq(owned() + count(), 0);
	finish();
}
END_TEST

/* ---- the file stays here ---- */

static void gets_no_file(struct script *s)
{
	uint16_t id;

	script_version(s);
	for (unsigned i = 0; i < 2; i++) {
		script_get(s, VFU_WIRE_CMD_DMA_MAP);
		ck_assert_uint_eq(s->nfds, 0);
		ck_assert_uint_eq(script_u32(s, 4), i ? RW : VFU_DMA_READ);
		ck_assert_uint_eq(script_u64(s, 8), 0);
		script_reply(s, NULL, 0);
	}
	id = script_get_reset(s);
	/* Each access is held to what its range allows, and is done whole or not at all. */
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_WRITE, 16, 8), EACCES);
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_WRITE, SIZE - 4, 8), EACCES);
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_READ, SIZE - 4, 8), 0);
	ck_assert_uint_eq(s->msg.payload[16], 'm');
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_WRITE, SIZE, 8), 0);
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_WRITE, 2 * SIZE - 4, 8), EFAULT);
	script_end_reset(s, id);
}

START_TEST(no_file_is_shared)
{
	int file = memfd_create("test", MFD_CLOEXEC);
	struct vfu_dma_range range;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_DMA_SHARE, 2), -EINVAL);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_DMA_SHARE, 0), 0);
	script_connect(&far, cl, gets_no_file);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, SIZE, VFU_DMA_READ | 4, memory, file, SIZE), 0);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, SIZE, SIZE, RW | 8, memory + SIZE, file, 0),
			 0);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
	ck_assert_uint_eq(vfu_client_dma_ranges(cl, &range, 1), 2);
	ck_assert(!range.mapped);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
	close(file);
	for (unsigned i = 0; i < sizeof(memory); i++)
		ck_assert_uint_eq(memory[i], i >= SIZE && i < SIZE + 8 ? 'd' : 'm');
}
END_TEST

static void expect_bad_fd(int ret)
{
	struct vfu_err err;

	ck_assert_int_eq(ret, -EBADF);
	vfu_client_err(cl, &err);
	ck_assert_str_eq(err.field, "dma_map.fds");
	ck_assert_str_eq(err.text, "dma_map.fds: 1000 is no open descriptor here");
}

static void refuses_the_file(struct script *s)
{
	script_version(s);
	get_file(s);
	script_error(s, EBADF);
	script_end(s);
}

/* Said of a descriptor that is none; not of one that the server can not use. */
START_TEST(no_descriptor)
{
	struct vfu_err err;
	int file = memfd_create("test", MFD_CLOEXEC);

	script_connect(&far, cl, refuses_the_file);
	expect_bad_fd(vfu_client_dma_map(cl, 0, SIZE, RW, memory, 1000, SIZE));
	expect_bad_fd(vfu_client_dma_map_nowait(cl, 0, SIZE, RW, memory, 1000, SIZE));
	ck_assert_int_eq(ftruncate(file, SIZE), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, SIZE, RW, memory, file, 0), -EBADF);
	vfu_client_err(cl, &err);
	ck_assert_str_eq(err.field, "");
	ck_assert_uint_eq(count(), 0);
	finish();
	close(file);
}
END_TEST

/* ---- served in whatever waits ---- */

static uint8_t scratch[64];

static int reads(void)
{
	return vfu_client_region_read(cl, 0, 0, scratch, 4);
}

static int writes(void)
{
	return vfu_client_region_write(cl, 0, 0, scratch, 4);
}

static int resets(void)
{
	return vfu_client_reset(cl);
}

static int asks_device(void)
{
	struct vfu_device_info info;

	return vfu_client_device_info(cl, &info);
}

static int asks_region(void)
{
	struct vfu_region_info info;

	return vfu_client_region_info(cl, 1, &info);
}

static int asks_irq(void)
{
	struct vfu_irq_info info;

	return vfu_client_irq_info(cl, 0, &info);
}

static int asks_io_fds(void)
{
	struct vfu_io_fds fds;

	return vfu_client_io_fds(cl, 0, &fds);
}

static int masks(void)
{
	return vfu_client_irq_mask(cl, 0, 0, 1);
}

static int maps(void)
{
	return map(0x10000);
}

static int maps_and_fences(void)
{
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 0x20000, SIZE, RW, memory + SIZE, -1, 0), 0);
	return vfu_client_fence(cl);
}

static int unmaps(void)
{
	return vfu_client_dma_unmap(cl, 0, SIZE);
}

static int unmaps_all(void)
{
	return vfu_client_dma_unmap_all(cl);
}

static int asks_feature(void)
{
	size_t len = sizeof(scratch);

	return vfu_client_feature(cl, 1 | 1 << 16, scratch, &len);
}

static int calls(void)
{
	struct vfu_call call = {.size = sizeof(call), .command = 200};

	return vfu_client_call(cl, &call);
}

static int (*const waits[])(void) = {
	reads,       writes, resets,          asks_device, asks_region, asks_irq,     masks,
	asks_io_fds, maps,   maps_and_fences, unmaps,      unmaps_all,  asks_feature, calls};
#define WAITS (sizeof(waits) / sizeof(waits[0]))

/* Whatever comes, its answer comes after all that the device does before, of which it makes it depend. */
static void does_dma_first(struct script *s)
{
	script_take_maps(s, 1);
	for (unsigned i = 0; i < WAITS; i++) {
		struct vfu_wire_header asked;

		ck_assert_uint_ne(peer_get(s->fd, &s->msg, s->fds, &s->nfds), 0);
		asked = s->msg.hdr;
		ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_WRITE, 8 * i, 8), 0);
		ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_READ, 8 * i, 16), 0);
		ck_assert_int_eq(memcmp(s->msg.payload + 16, "ddddddddmmmmmmmm", 16), 0);
		s->msg.hdr = asked;
		script_error(s, ENXIO);
	}
	script_end(s);
}

START_TEST(served_in_each_wait)
{
	script_connect(&far, cl, does_dma_first);
	ck_assert_int_eq(map(0), 0);
	for (unsigned i = 0; i < WAITS; i++)
		ck_assert_msg(waits[i]() == -ENXIO, "the %u. does not say what the device does", i);
	finish();
}
END_TEST

/* ---- what no device may ask ---- */

static const struct {
	uint16_t command;
	uint64_t iova, count;
	size_t len; /* of the payload */
	unsigned error;
} hostile[] = {
	{VFU_WIRE_CMD_DMA_READ, 0, UINT64_MAX, 16, EINVAL},
	{VFU_WIRE_CMD_DMA_READ, UINT64_MAX, UINT64_MAX, 16, EINVAL},
	{VFU_WIRE_CMD_DMA_READ, SIZE, (uint64_t)1 << 32, 16, EINVAL},
	{VFU_WIRE_CMD_DMA_READ, UINT64_MAX, 2, 16, EINVAL},
	{VFU_WIRE_CMD_DMA_WRITE, UINT64_MAX - 7, 16, 32, EINVAL},
	{VFU_WIRE_CMD_DMA_WRITE, UINT64_MAX - 7, 8, 24, EFAULT},
	{VFU_WIRE_CMD_DMA_WRITE, 0, UINT64_MAX, 24, EINVAL},
	{VFU_WIRE_CMD_DMA_WRITE, 0, 16, 24, EINVAL},
	{VFU_WIRE_CMD_DMA_WRITE, 0, 0, 16, EINVAL},
	{VFU_WIRE_CMD_DMA_WRITE, 0, 8, 8, EINVAL},
	{VFU_WIRE_CMD_DMA_READ, 0, 8, 0, EINVAL},
	{VFU_WIRE_CMD_DMA_READ, 0, 1 << 20, 16, EFAULT},
	{VFU_WIRE_CMD_DMA_WRITE, SIZE - 4, 8, 24, EFAULT},
	{VFU_WIRE_CMD_DMA_READ, UINT64_MAX - SIZE, SIZE, 16, EFAULT},
};

static void asks_what_it_may_not(struct script *s)
{
	uint8_t payload[64] = {0};
	uint16_t id;

	script_take_maps(s, 1);
	id = script_get_reset(s);
	for (unsigned i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		memcpy(payload, &hostile[i].iova, 8);
		memcpy(payload + 8, &hostile[i].count, 8);
		peer_put(s->fd, 7, hostile[i].command, 0, 0, payload, hostile[i].len);
		script_get(s, hostile[i].command);
		ck_assert_msg(s->msg.hdr.error == hostile[i].error, "the %u.: %u", i,
			      s->msg.hdr.error);
		ck_assert_uint_eq(s->msg.hdr.size, 16);
	}
	/* And it is served on. */
	ck_assert_uint_eq(script_dma(s, VFU_WIRE_CMD_DMA_READ, 0, 8), 0);
	script_end_reset(s, id);
}

START_TEST(hostile_requests)
{
	script_connect(&far, cl, asks_what_it_may_not);
	ck_assert_int_eq(map(0), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
	for (unsigned i = 0; i < sizeof(memory); i++)
		ck_assert_uint_eq(memory[i], 'm');
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ranges");
	TCase *tcase = tcase_create("ranges");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, each_range_is_unmapped);
	tcase_add_test(tcase, one_message_where_the_policy_says_so);
	tcase_add_test(tcase, none_waits_for_the_one_before);
	tcase_add_loop_test(tcase, each_waits_for_room, 0, 2);
	tcase_add_test(tcase, two_threads_take_all_back);
	tcase_add_test(tcase, a_map_waits_for_room);
	tcase_add_loop_test(tcase, not_all_are_answered, 0, 2);
	tcase_add_test(tcase, the_server_ends_meanwhile);
	tcase_add_loop_test(tcase, own_memory, 0, 2);
	tcase_add_test(tcase, own_memory_taken_back_at_once);
	tcase_add_test(tcase, no_own_memory);
	tcase_add_test(tcase, no_file_is_shared);
	tcase_add_test(tcase, no_descriptor);
	tcase_add_test(tcase, served_in_each_wait);
	tcase_add_test(tcase, hostile_requests);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
