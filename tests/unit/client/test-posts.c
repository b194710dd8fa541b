/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-posts.c - posted writes get to a device that is slower than their writer, who does nothing more.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"
#include "client/state.h"
#include "transport/conn-inside.h"

enum { POSTS = 6000 };

static struct script far;
static struct vfu_client *cl;
static atomic_uint got;
static atomic_bool is_posted; /* all of them, as far as the writer knows */

static void setup(void)
{
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	got = 0;
	is_posted = false;
}

static void teardown(void)
{
	vfu_client_free(cl);
}

static void post_all(void)
{
	for (unsigned i = 0; i < POSTS; i++)
		ck_assert_int_eq(vfu_client_region_post(cl, 0, 0, &i, sizeof(i)), 0);
	is_posted = true;
}

/* The writer does nothing more. */
static void await_all(void)
{
	while (got < POSTS)
		poll(NULL, 0, 1);
	vfu_client_disconnect(cl);
	script_join(&far);
}

static void take_posts(struct script *s)
{
	while (got < POSTS) {
		script_get(s, VFU_WIRE_CMD_REGION_WRITE);
		ck_assert_uint_ne(s->msg.hdr.flags & VFU_WIRE_HEADER_NO_REPLY, 0);
		ck_assert_uint_eq(script_u32(s, 16), got);
		got++;
		if (got % 16 == 0)
			poll(NULL, 0, 1);
	}
	script_end(s);
}

static void is_slow(struct script *s)
{
	script_version(s);
	take_posts(s);
}

START_TEST(the_writer_waits_for_room)
{
	script_connect(&far, cl, is_slow);
	post_all();
	await_all();
}
END_TEST

/* It reads nothing before all are posted. */
static void reads_late(struct script *s)
{
	script_version(s);
	while (!is_posted)
		poll(NULL, 0, 1);
	take_posts(s);
}

START_TEST(a_loop_sees_to_it)
{
	struct pollfd pfds[4];
	int n;

	script_connect(&far, cl, reads_late);
	ck_assert_int_gt(vfu_client_pollfds(cl, pfds, 4), 0);
	post_all();
	while (got < POSTS) {
		n = vfu_client_pollfds(cl, pfds, 4);
		ck_assert_int_gt(n, 0);
		poll(pfds, (nfds_t)n, 10);
		ck_assert_int_ge(vfu_client_process(cl, 0), 0);
	}
	await_all();
}
END_TEST

/* A loop that comes to its end with bytes left for it. */
START_TEST(a_loop_ends)
{
	struct pollfd pfds[4];

	script_connect(&far, cl, reads_late);
	ck_assert_int_gt(vfu_client_pollfds(cl, pfds, 4), 0);
	post_all();
	if (_i)
		ck_assert_int_ge(vfu_client_process(cl, 0), 0);
	ck_assert_int_eq(vfu_client_flush(cl), 0);
	await_all();
}
END_TEST

static void *serves(void *arg)
{
	vfu_client_serve(cl, -1);
	return arg;
}

START_TEST(a_thread_that_serves_sees_to_it)
{
	pthread_t other;

	script_connect(&far, cl, reads_late);
	pthread_create(&other, NULL, serves, NULL);
	while (!atomic_load(&cl->conn->serving))
		poll(NULL, 0, 1);
	post_all();
	await_all();
	pthread_join(other, NULL);
}
END_TEST

static atomic_bool is_reset;

/* It reads on once the answered call has returned. */
static void answers_first(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_RESET);
	got = 0;
	poll(NULL, 0, 50); /* the socket is full by then */
	script_reply(s, NULL, 0);
	while (!is_reset)
		poll(NULL, 0, 1);
	take_posts(s);
}

static void *resets(void *arg)
{
	ck_assert(vfu_client_reset(cl) == 0);
	is_reset = true;
	return arg;
}

/* Who has its answer does not wait for the bytes of others, which would be for ever here. */
START_TEST(a_call_owes_nothing)
{
	struct vfu_stats stats;
	pthread_t other;

	is_reset = false;
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 0), 0);
	script_connect(&far, cl, answers_first);
	pthread_create(&other, NULL, resets, NULL);
	do {
		poll(NULL, 0, 1);
		vfu_client_stats(cl, &stats);
	} while (stats.requests_out < 2);
	post_all();
	await_all();
	pthread_join(other, NULL);
}
END_TEST

static void reads_nothing(struct script *s)
{
	script_version(s);
	while (!is_posted)
		poll(NULL, 0, 1);
}

START_TEST(a_device_that_reads_nothing)
{
	int ret = 0;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 500), 0);
	script_connect(&far, cl, reads_nothing);
	for (unsigned i = 0; i < POSTS && !ret; i++)
		ret = vfu_client_region_post(cl, 0, 0, &i, sizeof(i));
	ck_assert_int_eq(ret, -ETIMEDOUT);
	ck_assert_int_eq(vfu_client_status(cl), 0);
	is_posted = true;
	script_join(&far);
	ck_assert_int_eq(vfu_client_flush(cl), -ENOTCONN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("posts");
	TCase *tcase = tcase_create("posts");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, the_writer_waits_for_room);
	tcase_add_test(tcase, a_loop_sees_to_it);
	tcase_add_loop_test(tcase, a_loop_ends, 0, 2);
	tcase_add_test(tcase, a_thread_that_serves_sees_to_it);
	tcase_add_test(tcase, a_call_owes_nothing);
	tcase_add_test(tcase, a_device_that_reads_nothing);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
