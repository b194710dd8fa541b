/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-parts.c - one access over several handlers, some of which answer later. BAR1 is memory of '.',
 * with handlers of 4 bytes each:
 *
 *	0x100  a at once    0x104  b later    0x108  memory    0x10c  c later    0x110  d at once
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/os_fault.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

static struct rig rig;
static struct vfu_request *later[8];
static unsigned nlater, nwritten;
static int result; /* of d */
static uint8_t written[64];
static long blocks;

static void note_write(const struct vfu_access *access)
{
	memcpy(written + nwritten, access->data, access->count);
	nwritten += access->count;
}

static int at_once(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	const char *name = user;

	(void)req;
	if (access->is_write)
		note_write(access);
	else
		memset(access->data, *name, access->count);
	return *name == 'd' ? result : 0;
}

static int answer_later(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	if (access->is_write)
		note_write(access);
	else
		memset(access->data, 'x', access->count); /* is not what the request then holds */
	later[nlater] = vfu_request_defer(req);
	vfu_request_set_told(req); /* tells for the whole */
	return later[nlater] ? (nlater++, VFU_LATER) : -ENOMEM;
}

static int without_request(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req, (void)access;
	return VFU_LATER;
}

static void handle(uint64_t offset, vfu_access_fn *fn, const char *name)
{
	ck_assert_int_eq(vfu_device_set_handler(rig.dev, 1, offset, 4, fn, (void *)name), 0);
}

static void setup(void)
{
	fault_reset();
	blocks = fault_blocks();
	rig_open(&rig);
	rig_connect(&rig);
	memset(vfu_device_region_memory(rig.dev, 1), '.', RIG_BAR1_SIZE);
	handle(0x100, at_once, "a");
	handle(0x104, answer_later, "b");
	handle(0x10c, answer_later, "c");
	handle(0x110, at_once, "d");
	nlater = nwritten = 0;
	result = 0;
}

static void teardown(void)
{
	rig_close(&rig);
	ck_assert_int_eq(fault_blocks(), blocks);
}

/* Answers a read that was deferred. */
static int done(unsigned i, int status)
{
	const struct vfu_access *access = vfu_request_access(later[i]);
	char name = access->offset == 0x104 ? 'b' : 'c';

	ck_assert_uint_eq(access->count, 4);
	if (!access->is_write) {
		ck_assert_mem_eq(access->data, "\0\0\0\0", 4);
		memset(access->data, name, 4);
	}
	return vfu_request_done(later[i], status);
}

static const char all[] = "....aaaabbbb....ccccdddd....";

/* In either order; the last one answers for all. */
START_TEST(read_comes_together)
{
	unsigned first = (unsigned)_i;
	uint16_t id = rig_send_read(&rig, 1, 0xfc, 28);

	rig_silence(&rig);
	ck_assert_uint_eq(nlater, 2);
	ck_assert(!vfu_request_is_dead(later[0]));
	ck_assert_int_eq(done(first, 0), 0);
	rig_silence(&rig);
	ck_assert_uint_eq(rig_read(&rig, 1, 0, 4), 0); /* holds up nobody */
	ck_assert_int_eq(done(!first, 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
	ck_assert_uint_eq(rig.msg->len, 16 + 28);
	ck_assert_uint_eq(raw_u64(rig.msg, 0), 0xfc);
	ck_assert_mem_eq(rig.msg->payload + 16, all, 28);
}
END_TEST

/* A part of a register too. */
START_TEST(parts_need_not_be_whole)
{
	uint16_t id = rig_send_read(&rig, 1, 0x102, 4);
	const struct vfu_access *access;

	rig_silence(&rig);
	access = vfu_request_access(later[0]);
	ck_assert_uint_eq(access->offset, 0x104);
	ck_assert_uint_eq(access->count, 2);
	memset(access->data, 'b', 2);
	ck_assert_int_eq(vfu_request_done(later[0], 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
	ck_assert_mem_eq(rig.msg->payload + 16, "aabb", 4);
}
END_TEST

/* The client hears of the first failure, and only when nobody works on its request any more. */
START_TEST(one_failure_fails_all)
{
	unsigned first = (unsigned)_i;
	uint16_t id = rig_send_read(&rig, 1, 0x100, 20);

	rig_silence(&rig);
	ck_assert_int_eq(done(first, -ENODEV), 0);
	rig_silence(&rig);
	ck_assert_int_eq(done(!first, first ? -EBUSY : 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 9), ENODEV);
}
END_TEST

START_TEST(failure_at_once_waits_for_the_rest)
{
	uint16_t id;

	result = -ENXIO;
	id = rig_send_read(&rig, 1, 0x100, 20);
	rig_silence(&rig);
	ck_assert_int_eq(done(1, 0), 0);
	rig_silence(&rig);
	ck_assert_int_eq(done(0, 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 9), ENXIO);
	/* Nothing starts behind it, and nobody is waited for that has not started. */
	handle(0x100, at_once, "d");
	ck_assert_uint_eq(rig_read(&rig, 1, 0x100, 20), ENXIO);
	ck_assert_uint_eq(nlater, 2);
}
END_TEST

START_TEST(later_without_a_request)
{
	uint16_t id;

	handle(0x110, without_request, "");
	id = rig_send_read(&rig, 1, 0x10c, 8);
	rig_silence(&rig);
	ck_assert_int_eq(done(0, 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 9), EIO);
	ck_assert_uint_eq(rig_read(&rig, 1, 0x110, 8), EIO);
}
END_TEST

/* Writes start in order of addresses, whenever they are answered. */
START_TEST(write_in_order)
{
	struct {
		uint64_t offset;
		uint32_t region, count;
		char data[20];
	} in = {0x100, 1, 20, "AAAABBBBmmmmCCCCDDD"};
	uint16_t id = rig_send(&rig, 10, &in, 36);

	rig_silence(&rig);
	ck_assert_uint_eq(nlater, 2);
	ck_assert_mem_eq(written, "AAAABBBBCCCCDDD", 16);
	ck_assert_mem_eq((char *)vfu_device_region_memory(rig.dev, 1) + 0x108, "mmmm", 4);
	ck_assert_mem_eq(vfu_request_access(later[0])->data, "BBBB", 4);
	ck_assert_mem_eq(vfu_request_access(later[1])->data, "CCCC", 4);
	ck_assert_int_eq(done(1, 0), 0);
	rig_silence(&rig);
	ck_assert_int_eq(done(0, 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 10), 0);
	ck_assert_uint_eq(rig.msg->len, 16);
}
END_TEST

START_TEST(posted_write)
{
	struct vfu_stats stats;
	unsigned lines = rig.lines;

	rig_send_write(&rig, true, 1, 0x100, 8, 0);
	rig_silence(&rig);
	ck_assert_int_eq(done(0, -EIO), 0);
	rig_silence(&rig);
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.drops, 1);
	ck_assert_uint_eq(rig.lines, lines);
}
END_TEST

static void *done_elsewhere(void *arg)
{
	done(*(unsigned *)arg, 0);
	return NULL;
}

START_TEST(by_several_threads)
{
	static unsigned number[2] = {0, 1};
	pthread_t threads[2];
	uint16_t id = rig_send_read(&rig, 1, 0xfc, 28);

	rig_silence(&rig);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, done_elsewhere, &number[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
	ck_assert_mem_eq(rig.msg->payload + 16, all, 28);
}
END_TEST

/* Answered before the parts behind it have started. */
static int done_at_once(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	int rc = answer_later(user, req, access);

	return rc < 0 ? rc : (done(nlater - 1, 0), VFU_LATER);
}

START_TEST(answered_inside_the_callback)
{
	handle(0x104, done_at_once, "b");
	handle(0x10c, done_at_once, "c");
	ck_assert_uint_eq(rig_read(&rig, 1, 0xfc, 28), 0);
	ck_assert_mem_eq(rig.msg->payload + 16, all, 28);
}
END_TEST

START_TEST(client_gone)
{
	rig_send_read(&rig, 1, 0xfc, 28);
	rig_silence(&rig);
	ck_assert_int_eq(done(0, 0), 0);
	rig_hang_up(&rig);
	ck_assert(vfu_request_is_dead(later[1]));
	ck_assert_int_eq(done(1, 0), -ENOTCONN);
	rig_connect(&rig);
	rig_silence(&rig);
}
END_TEST

/* Whatever fails, the client gets one answer and nothing is left. */
START_TEST(out_of_memory)
{
	unsigned calls, n, failed = 0;
	uint16_t id;

	rig_send_read(&rig, 1, 0xfc, 28);
	rig_pump(&rig);
	done(0, 0);
	done(1, 0);
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 5000), 1);
	calls = 3; /* the whole and two parts */
	for (n = 1; n <= calls; n++) {
		nlater = 0;
		fault_reset();
		fault_fail(FAULT_ALLOC, n, ENOMEM);
		id = rig_send_read(&rig, 1, 0xfc, 28);
		rig_pump(&rig);
		for (unsigned i = 0; i < nlater; i++)
			ck_assert_int_eq(done(i, 0), 0);
		failed += rig_reply(&rig, id, 9) == ENOMEM;
	}
	ck_assert_uint_eq(failed, calls);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parts");
	TCase *tcase = tcase_create("parts");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, read_comes_together, 0, 2);
	tcase_add_test(tcase, parts_need_not_be_whole);
	tcase_add_loop_test(tcase, one_failure_fails_all, 0, 2);
	tcase_add_test(tcase, failure_at_once_waits_for_the_rest);
	tcase_add_test(tcase, later_without_a_request);
	tcase_add_test(tcase, write_in_order);
	tcase_add_test(tcase, posted_write);
	tcase_add_test(tcase, by_several_threads);
	tcase_add_test(tcase, answered_inside_the_callback);
	tcase_add_test(tcase, client_gone);
	tcase_add_test(tcase, out_of_memory);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
