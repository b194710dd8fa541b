/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-functions.c - ranges whose DMA a function serves, at once or later. Most tests have memory
 * at 0, functions of their own from 0x1000 and from 0x2000 on, and one for all others from 0x3000 on.
 */
#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"

#define SIZE 4096
#define RW (VFU_DMA_READ | VFU_DMA_WRITE)
#define READ VFU_WIRE_CMD_DMA_READ
#define WRITE VFU_WIRE_CMD_DMA_WRITE
#define MOST 4096

static struct script far;
static struct vfu_client *cl;
static uint8_t memory[SIZE];

/* What functions have been asked, and how they answer. */
static struct {
	uint64_t iova;
	size_t len;
	bool is_write;
	struct vfu_client_dma *later;
	uint8_t first; /* byte of a write */
} calls[MOST];
static atomic_uint ncalls;
static bool is_later;
static int result;

static void setup(void)
{
	memset(&far, 0, sizeof(far));
	memset(memory, 'm', sizeof(memory));
	memset(calls, 0, sizeof(calls));
	atomic_store(&ncalls, 0);
	is_later = false;
	result = 0;
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

/* user: the byte that it reads. */
static int serve(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	unsigned n = atomic_load(&ncalls);

	ck_assert_uint_lt(n, MOST);
	calls[n].iova = iova;
	calls[n].len = len;
	calls[n].is_write = is_write;
	if (is_write)
		calls[n].first = *(uint8_t *)data;
	else if (!is_later)
		memset(data, *(char *)user, len);
	if (is_later)
		calls[n].later = vfu_client_dma_later(cl);
	atomic_store(&ncalls, n + 1);
	return is_later && calls[n].later ? VFU_LATER : is_later ? -ENOBUFS : result;
}

static void map_all(void)
{
	static char names[] = "abc";

	vfu_client_set_dma(cl, serve, names + 2);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, SIZE, RW, memory, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map_fn(cl, SIZE, SIZE, RW, serve, names), 0);
	ck_assert_int_eq(vfu_client_dma_map_fn(cl, 2 * SIZE, SIZE, RW, serve, names + 1), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 3 * SIZE, SIZE, RW, NULL, -1, 0), 0);
}

static void await_calls(unsigned n)
{
	while (atomic_load(&ncalls) < n)
		usleep(1000);
}

static const uint8_t *data_of(struct script *s)
{
	return s->msg.payload + 16;
}

/* ---- at once ---- */

static void crosses_ranges(struct script *s)
{
	uint16_t id;

	script_take_maps(s, 4);
	id = script_get_reset(s);
	ck_assert_uint_eq(script_dma(s, READ, SIZE - 1, 2 * SIZE + 2), 0);
	ck_assert_int_eq(memcmp(data_of(s), "ma", 2), 0);
	ck_assert_int_eq(memcmp(data_of(s) + SIZE, "ab", 2), 0);
	ck_assert_int_eq(memcmp(data_of(s) + 2 * SIZE, "bc", 2), 0);
	ck_assert_uint_eq(script_dma(s, WRITE, 2 * SIZE - 8, 16), 0);
	/* Nothing is there: no function is asked about the beginning. */
	ck_assert_uint_eq(script_dma(s, WRITE, 4 * SIZE - 8, 16), EFAULT);
	script_end_reset(s, id);
}

START_TEST(each_range_has_its_own)
{
	static const struct {
		uint64_t iova;
		size_t len;
	} want[] = {
		{SIZE, SIZE}, {2 * SIZE, SIZE}, {3 * SIZE, 1}, {2 * SIZE - 8, 8}, {2 * SIZE, 8}};

	script_connect(&far, cl, crosses_ranges);
	map_all();
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_uint_eq(ncalls, 5);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_uint_eq(calls[i].iova, want[i].iova);
		ck_assert_uint_eq(calls[i].len, want[i].len);
		ck_assert_int_eq(calls[i].is_write, i >= 3);
	}
	finish();
}
END_TEST

static void sees_results(struct script *s)
{
	uint16_t id;

	script_take_maps(s, 4);
	id = script_get_reset(s);
	ck_assert_uint_eq(script_dma(s, READ, SIZE, 8), EIO);
	script_end_reset(s, id);
}

/* Who says so, and has taken nothing out, would never answer. */
START_TEST(later_and_nothing_taken_out)
{
	script_connect(&far, cl, sees_results);
	map_all();
	result = VFU_LATER;
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_ptr_null(vfu_client_dma_later(cl));
	finish();
	ck_assert_ptr_null(vfu_client_dma_later(cl));
}
END_TEST

/* ---- while the socket is full ---- */

#define POSTS 16
static uint8_t much[60000];

/* Reads nothing before its DMA was served. */
static void writes_before_it_reads(struct script *s)
{
	script_take_maps(s, 4);
	script_send_dma(s, 1, WRITE, SIZE, 8);
	await_calls(1);
	while (peer_get(s->fd, &s->msg, s->fds, &s->nfds))
		;
}

/* 0: posts that wait themselves; 1: those that leave it to a loop, and then to flush. */
START_TEST(served_while_it_sends)
{
	struct pollfd pfds[4];

	script_connect(&far, cl, writes_before_it_reads);
	map_all();
	for (unsigned i = 0; i < POSTS; i++) {
		if (_i)
			ck_assert_int_gt(vfu_client_pollfds(cl, pfds, 4), 0);
		ck_assert_int_eq(vfu_client_region_post(cl, 0, 0, much, sizeof(much)), 0);
	}
	ck_assert_int_eq(vfu_client_flush(cl), 0);
	ck_assert_uint_eq(ncalls, 1);
	finish();
}
END_TEST

/* ---- later ---- */

/* Answers from the end on, when the device has been served something else meanwhile. */
static void *answers(void *arg)
{
	unsigned n = *(unsigned *)arg;

	await_calls(n);
	while (n-- > 0) {
		uint8_t *data = vfu_client_dma_data(calls[n].later);

		ck_assert(*data == (calls[n].is_write ? 'd' : 0));
		memset(data, 'A' + (int)n, calls[n].len);
		ck_assert(vfu_client_dma_answer(calls[n].later, 0) == 0);
	}
	return NULL;
}

static void is_answered_later(struct script *s)
{
	uint16_t id;

	script_take_maps(s, 4);
	id = script_get_reset(s);
	script_send_dma(s, 1, READ, SIZE - 4, SIZE + 8);
	script_send_dma(s, 2, READ, 0, 16);
	script_get(s, READ);
	ck_assert_uint_eq(s->msg.hdr.id, 2);
	script_send_dma(s, 3, WRITE, 2 * SIZE, 8);
	/* Of the writes the last, and of the read both pieces, in the order in which they are answered. */
	script_get(s, WRITE);
	ck_assert_uint_eq(s->msg.hdr.id, 3);
	ck_assert_uint_eq(s->msg.hdr.error, 0);
	script_get(s, READ);
	ck_assert_uint_eq(s->msg.hdr.id, 1);
	ck_assert_uint_eq(s->msg.hdr.size, 32 + SIZE + 8);
	ck_assert_int_eq(memcmp(data_of(s), "mmmmAA", 6), 0);
	ck_assert_int_eq(memcmp(data_of(s) + SIZE + 2, "AABBBB", 6), 0);
	script_end_reset(s, id);
}

START_TEST(answered_by_another_thread)
{
	unsigned n = 3;
	pthread_t thread;

	is_later = true;
	script_connect(&far, cl, is_answered_later);
	map_all();
	ck_assert_int_eq(pthread_create(&thread, NULL, answers, &n), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(ncalls, 3);
	finish();
}
END_TEST

/* In the function itself, which is no use, and must do no harm. */
static int serve_now(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	struct vfu_client_dma *dma = vfu_client_dma_later(cl);

	(void)data, (void)iova, (void)is_write;
	ck_assert_ptr_nonnull(dma);
	ck_assert_ptr_null(vfu_client_dma_later(cl));
	memset(vfu_client_dma_data(dma), *(char *)user, len);
	ck_assert_int_eq(vfu_client_dma_answer(dma, result), 0);
	return VFU_LATER;
}

static void is_answered_in_place(struct script *s)
{
	uint16_t id;

	script_take_maps(s, 2);
	id = script_get_reset(s);
	ck_assert_uint_eq(script_dma(s, READ, SIZE - 1, 2), result ? -result : 0);
	if (!result)
		ck_assert_int_eq(memcmp(data_of(s), "xy", 2), 0);
	script_end_reset(s, id);
}

START_TEST(answered_in_the_function)
{
	char names[] = "xy";

	result = _i ? -ENXIO : 0;
	script_connect(&far, cl, is_answered_in_place);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(
			vfu_client_dma_map_fn(cl, SIZE * i, SIZE, RW, serve_now, names + i), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
}
END_TEST

static void asks_and_goes(struct script *s)
{
	script_take_maps(s, 4);
	script_get_reset(s);
	script_send_dma(s, 1, READ, SIZE, 8);
	while (!atomic_load(&ncalls))
		usleep(1000);
}

static void asks_nothing(struct script *s)
{
	script_version(s);
	script_end(s);
}

/* The next connection has requests of the same id. */
START_TEST(answered_after_the_end)
{
	is_later = true;
	script_connect(&far, cl, asks_and_goes);
	map_all();
	ck_assert_int_lt(vfu_client_reset(cl), 0);
	finish();
	if (_i)
		script_connect(&far, cl, asks_nothing);
	ck_assert_int_eq(vfu_client_dma_answer(calls[0].later, 0), -ENOTCONN);
	if (_i)
		finish();
}
END_TEST

static void asks_over_the_end(struct script *s)
{
	script_take_maps(s, 3);
	script_get_reset(s);
	script_send_dma(s, 1, WRITE, SIZE - 8, SIZE + 16);
	script_end(s);
}

static int disconnects(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	(void)user, (void)is_write, (void)iova, (void)data, (void)len;
	return vfu_client_disconnect(cl);
}

/* What is behind the piece whose function disconnects may be freed by then, so it is left alone. */
START_TEST(disconnected_in_the_function)
{
	static char a[] = "a";

	script_connect(&far, cl, asks_over_the_end);
	ck_assert_int_eq(vfu_client_dma_map_fn(cl, 0, SIZE, RW, disconnects, NULL), 0);
	ck_assert_int_eq(vfu_client_dma_map_fn(cl, SIZE, SIZE, RW, serve, a), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 2 * SIZE, SIZE, RW, memory, -1, 0), 0);
	ck_assert_int_eq(vfu_client_reset(cl), -ENOTCONN);
	ck_assert_uint_eq(ncalls, 0);
	ck_assert_uint_eq(memory[0], 'm');
	finish();
}
END_TEST

static void unmaps_meanwhile(struct script *s)
{
	script_take_maps(s, 4);
	script_send_dma(s, 1, READ, SIZE, 8);
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	script_reply(s, s->msg.payload, 24);
	script_get(s, READ);
	ck_assert_uint_eq(s->msg.hdr.id, 1);
	ck_assert_uint_eq(s->msg.hdr.error, ECANCELED);
	script_end(s);
}

START_TEST(unmapped_meanwhile)
{
	is_later = true;
	script_connect(&far, cl, unmaps_meanwhile);
	map_all();
	while (!atomic_load(&ncalls))
		ck_assert_int_ge(vfu_client_serve(cl, 1), 0);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, SIZE, SIZE), 0);
	ck_assert_int_eq(vfu_client_dma_answer(calls[0].later, -ECANCELED), 0);
	finish();
}
END_TEST

/* ---- bounds ---- */

#define EACH 1024

/* Until one is refused at once; then all others have their answer, and one more is taken. */
static void asks_without_end(struct script *s)
{
	unsigned n = 0;
	uint16_t id;

	script_take_maps(s, 4);
	id = script_get_reset(s);
	for (;; n++) {
		unsigned seen = atomic_load(&ncalls);

		script_send_dma(s, (uint16_t)n, WRITE, SIZE, EACH);
		while (atomic_load(&ncalls) == seen)
			usleep(100);
		if (!calls[n].later)
			break;
	}
	script_get(s, WRITE);
	ck_assert_uint_eq(s->msg.hdr.id, n);
	ck_assert_uint_eq(s->msg.hdr.error, ENOBUFS);
	ck_assert_uint_le(n, 65536 / EACH);
	ck_assert_uint_ge(n, 65536 / EACH / 2);
	for (unsigned i = 0; i < n; i++) {
		ck_assert_int_eq(vfu_client_dma_answer(calls[i].later, 0), 0);
		script_get(s, WRITE);
		ck_assert_uint_eq(s->msg.hdr.id, i);
		ck_assert_uint_eq(s->msg.hdr.error, 0);
	}
	script_send_dma(s, 0, WRITE, SIZE, EACH);
	await_calls(n + 2);
	ck_assert_int_eq(vfu_client_dma_answer(calls[n + 1].later, 0), 0);
	script_get(s, WRITE);
	script_end_reset(s, id);
}

START_TEST(so_many_wait)
{
	is_later = true;
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_QUEUE_BYTES, 65536), 0);
	script_connect(&far, cl, asks_without_end);
	map_all();
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
}
END_TEST

static int serve_without_memory(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	struct vfu_client_dma *dma;

	(void)user, (void)is_write, (void)iova, (void)data, (void)len;
	for (unsigned i = 1; i <= 2; i++) {
		fault_fail(FAULT_ALLOC, i, ENOMEM);
		ck_assert_ptr_null(vfu_client_dma_later(cl));
	}
	dma = vfu_client_dma_later(cl);
	ck_assert_ptr_nonnull(dma);
	ck_assert_int_eq(vfu_client_dma_answer(dma, -ENOMEM), 0);
	return VFU_LATER;
}

static void is_told(struct script *s)
{
	uint16_t id;

	script_take_maps(s, 1);
	id = script_get_reset(s);
	ck_assert_uint_eq(script_dma(s, WRITE, 0, 8), ENOMEM);
	script_end_reset(s, id);
}

START_TEST(without_memory)
{
	script_connect(&far, cl, is_told);
	ck_assert_int_eq(vfu_client_dma_map_fn(cl, 0, SIZE, RW, serve_without_memory, NULL), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("functions");
	TCase *tcase = tcase_create("functions");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, each_range_has_its_own);
	tcase_add_test(tcase, later_and_nothing_taken_out);
	tcase_add_loop_test(tcase, served_while_it_sends, 0, 2);
	tcase_add_test(tcase, answered_by_another_thread);
	tcase_add_loop_test(tcase, answered_in_the_function, 0, 2);
	tcase_add_loop_test(tcase, answered_after_the_end, 0, 2);
	tcase_add_test(tcase, disconnected_in_the_function);
	tcase_add_test(tcase, unmapped_meanwhile);
	tcase_add_test(tcase, so_many_wait);
	tcase_add_test(tcase, without_memory);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
