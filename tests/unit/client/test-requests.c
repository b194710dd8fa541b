/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-requests.c - requests that are given up, by their caller or by the clock, and what comes of them later.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"
#include "client/state.h"
#include "transport/conn-inside.h"

enum { LEN = 64, LARGE = 100000 };

static struct script far;
static struct vfu_client *cl;
static uint8_t buf[LARGE];
static int results[256];
static unsigned nresults;
static atomic_uint step; /* how far the test lets the script go */
static atomic_uint got;  /* requests that the script has */

static void setup(void)
{
	memset(&far, 0, sizeof(far));
	memset(buf, 0xee, sizeof(buf));
	nresults = 0;
	step = got = 0;
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
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

static void await(atomic_uint *what, unsigned n)
{
	while (*what < n)
		poll(NULL, 0, 1);
}

static void note(void *user, int status)
{
	(void)user;
	results[nresults++] = status;
}

static struct vfu_client_access access_of(void *to, size_t len, vfu_client_fn *fn)
{
	return (struct vfu_client_access){
		.size = sizeof(struct vfu_client_access), .buf = to, .len = len, .fn = fn};
}

/* Runs callbacks until there have been n. */
static void process_until(unsigned n)
{
	struct pollfd pfds[4];

	while (nresults < n) {
		int count = vfu_client_pollfds(cl, pfds, 4);

		poll(pfds, (nfds_t)count, 100);
		ck_assert_int_ge(vfu_client_process(cl, 0), 0);
	}
}

static bool is_untouched(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != 0xee)
			return false;
	return true;
}

/* ---- scripts ---- */

static const char large_json[] =
	"{\"capabilities\":{\"max_data_xfer_size\":1048576,\"max_msg_fds\":1}}";

/* Answers a read with zeros. */
static void answer(struct script *s)
{
	static uint8_t reply[16 + LARGE];

	memcpy(reply, s->msg.payload, 16);
	script_reply(s, reply, 16 + script_u32(s, 12));
}

/* The first is answered late, the second at once. */
static void answers_late(struct script *s)
{
	struct peer_msg first;

	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	first = s->msg;
	got++;
	await(&step, 1);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	answer(s);
	s->msg = first;
	answer(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	answer(s);
	script_end(s);
}

/* The late answer is dropped, and its message id not used before. */
static void read_on(void)
{
	struct vfu_stats stats;
	uint32_t value = 1;

	step = 1;
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &value, 4), 0);
	ck_assert_uint_eq(value, 0);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &value, 4), 0);
	vfu_client_stats(cl, &stats);
	ck_assert_uint_eq(stats.late_replies, 1);
	ck_assert(is_untouched(buf, LEN));
	finish();
}

START_TEST(one_is_given_up)
{
	struct vfu_client_access a = access_of(buf, LEN, note);

	script_connect(&far, cl, answers_late);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
	ck_assert_uint_ne(a.id, 0);
	await(&got, 1);
	ck_assert_int_eq(vfu_client_cancel(cl, a.id ^ UINT64_C(1) << 20), -ENOENT);
	ck_assert_int_eq(vfu_client_cancel(cl, 0), -ENOENT);
	ck_assert_int_eq(vfu_client_cancel(cl, a.id), 0);
	ck_assert_int_eq(vfu_client_cancel(cl, a.id), -ENOENT);
	read_on();
	ck_assert_uint_eq(nresults, 0);
}
END_TEST

START_TEST(a_call_has_its_own_time)
{
	struct vfu_client_access a = access_of(buf, LEN, NULL);

	a.timeout_ms = 20;
	script_connect(&far, cl, answers_late);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), -ETIMEDOUT);
	read_on();
}
END_TEST

static void answers_another(struct script *s)
{
	script_version(s);
	peer_put(s->fd, 4711, VFU_WIRE_CMD_REGION_READ, VFU_WIRE_HEADER_TYPE_REPLY, 0, NULL, 0);
	got++;
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	script_end(s);
}

/* Who waits in vain is told what came; a callback's access is explained likewise. */
START_TEST(a_reply_to_nothing)
{
	struct vfu_client_access a = access_of(buf, LEN, NULL);
	struct vfu_err err, again;

	a.timeout_ms = 20;
	script_connect(&far, cl, answers_another);
	await(&got, 1);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), -ETIMEDOUT);
	vfu_client_err(cl, &err);
	ck_assert_ptr_nonnull(strstr(err.text, "; but 1 reply came to what was not asked, at last "
					       "region_read(9) id=4711"));
	vfu_client_explain(cl, &a, -ETIMEDOUT, &again);
	ck_assert_str_eq(again.text, err.text);
	vfu_client_explain(cl, &a, 0, &again);
	ck_assert_int_eq(again.code, 0);
	finish();
	vfu_client_explain(cl, &a, -EINVAL, &again);
	ck_assert_int_eq(again.code, -EINVAL);
}
END_TEST

START_TEST(a_callback_has_its_own_time)
{
	struct vfu_client_access a = access_of(buf, LEN, note);

	a.timeout_ms = 20;
	script_connect(&far, cl, answers_late);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
	ck_assert_int_le(vfu_client_timeout(cl), 20);
	process_until(1);
	ck_assert_int_eq(results[0], -ETIMEDOUT);
	ck_assert_int_eq(vfu_client_cancel(cl, a.id), -ENOENT);
	read_on();
}
END_TEST

static void answers_the_second(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	answer(s);
	script_end(s);
}

/* None at all, and the usual one. */
START_TEST(no_time_and_the_usual)
{
	struct vfu_client_access a = access_of(buf, LEN, note);

	script_connect(&far, cl, answers_the_second);
	a.timeout_ms = -1;
	ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
	ck_assert_int_eq(vfu_client_timeout(cl), -1);
	ck_assert_int_eq(vfu_client_cancel(cl, a.id), 0);
	a.timeout_ms = 0;
	ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
	ck_assert_int_gt(vfu_client_timeout(cl), 4000);
	ck_assert_int_le(vfu_client_timeout(cl), 5000);
	process_until(1);
	ck_assert_int_eq(results[0], LEN);
	finish();
	ck_assert_int_eq(vfu_client_cancel(cl, a.id), -ENOENT);
}
END_TEST

/* ---- what is half received ---- */

/* Sends a part of a large answer, and the rest when it may. */
static void answers_in_halves(struct script *s)
{
	static struct peer_msg reply;
	size_t half = LARGE / 2;

	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	peer_build(&reply, s->msg.hdr.id, VFU_WIRE_CMD_REGION_READ, VFU_WIRE_HEADER_TYPE_REPLY,
		   NULL, 16 + LARGE);
	memcpy(reply.payload, s->msg.payload, 16);
	peer_send(s->fd, &reply, half, NULL, 0);
	got++;
	await(&step, 1);
	peer_send(s->fd, (uint8_t *)&reply + half, 32 + LARGE - half, NULL, 0);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	answer(s);
	script_end(s);
}

static void *serves(void *arg)
{
	vfu_client_serve(cl, -1);
	return arg;
}

/* Its memory is the caller's again at once, whether another thread receives or nobody does. */
START_TEST(one_that_is_half_received)
{
	struct vfu_client_access a = access_of(buf, LARGE, note);
	pthread_t other;
	uint32_t value;

	far.json = large_json;
	script_connect(&far, cl, answers_in_halves);
	if (_i)
		pthread_create(&other, NULL, serves, NULL);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
	await(&got, 1);
	for (unsigned i = 0; i < 50 && !_i; i++)
		ck_assert_int_ge(vfu_client_process(cl, 0), 0);
	ck_assert_int_eq(vfu_client_cancel(cl, a.id), 0);
	memset(buf, 0xee, LARGE);
	step = 1;
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &value, 4), 0);
	ck_assert(is_untouched(buf, LARGE));
	ck_assert_uint_eq(nresults, 0);
	finish();
	if (_i)
		pthread_join(other, NULL);
}
END_TEST

static void answers_none(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	script_end(s);
}

/* Message ids begin anew with each, what an access is called does not. */
START_TEST(of_another_connection)
{
	struct vfu_client_access first = access_of(buf, LEN, note), a = first;

	script_connect(&far, cl, answers_none);
	ck_assert_int_eq(vfu_client_region_access(cl, &first), 0);
	finish();
	ck_assert_uint_eq(nresults, 1);
	ck_assert_int_eq(results[0], -ENOTCONN);
	memset(&far, 0, sizeof(far));
	script_connect(&far, cl, answers_none);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
	ck_assert_int_eq(vfu_client_cancel(cl, first.id), -ENOENT);
	ck_assert_int_eq(vfu_client_cancel(cl, a.id), 0);
	finish();
	ck_assert_uint_eq(nresults, 1);
}
END_TEST

/* ---- in callbacks ---- */

static uint64_t ids[8];

/* The first that ends gives up all that have not. */
static void give_up_the_rest(void *user, int status)
{
	note(user, status);
	ck_assert_int_eq(vfu_client_cancel(cl, ids[0]), -ENOENT);
	for (unsigned i = 1; i < 8; i++)
		ck_assert_int_eq(vfu_client_cancel(cl, ids[i]), 0);
}

static void answers_all(struct script *s)
{
	script_version(s);
	for (unsigned i = 0; i < 9; i++) {
		script_get(s, VFU_WIRE_CMD_REGION_READ);
		answer(s);
	}
	script_end(s);
}

START_TEST(a_callback_gives_others_up)
{
	uint32_t value;

	script_connect(&far, cl, answers_all);
	for (unsigned i = 0; i < 8; i++) {
		struct vfu_client_access a = access_of(buf + i * LEN, LEN, give_up_the_rest);

		ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
		ids[i] = a.id;
	}
	process_until(1);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &value, 4), 0);
	ck_assert_uint_eq(nresults, 1);
	ck_assert(is_untouched(buf + LEN, 7 * LEN));
	finish();
}
END_TEST

/* ---- message ids ---- */

enum { KEPT = 5, MORE = 100 };

/* Leaves the first ones unanswered, and then sees whether any of their ids comes again. */
static void keeps_some(struct script *s)
{
	uint16_t kept[KEPT];

	script_version(s);
	for (unsigned i = 0; i < KEPT + MORE; i++) {
		script_get(s, VFU_WIRE_CMD_REGION_READ);
		for (unsigned k = 0; k < KEPT && k < i; k++)
			ck_assert_uint_ne(s->msg.hdr.id, kept[k]);
		ck_assert_uint_ne(s->msg.hdr.id, VFUI_PEND_POSTED);
		if (i < KEPT)
			kept[i] = s->msg.hdr.id;
		else
			answer(s);
	}
	script_end(s);
}

static void set_next_id(uint16_t id)
{
	cl->conn->pending.next_id = id;
}

/* Ids wrap around, and come to those of requests that wait, and of such as were given up and may be answered yet. */
START_TEST(ids_are_unique)
{
	uint32_t value;

	script_connect(&far, cl, keeps_some);
	set_next_id(UINT16_MAX - 2);
	for (unsigned i = 0; i < KEPT; i++) {
		struct vfu_client_access a = access_of(buf, LEN, note);

		ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
		if (i % 2)
			ck_assert_int_eq(vfu_client_cancel(cl, a.id), 0);
	}
	for (unsigned i = 0; i < MORE; i++) {
		if (i % 50 == 0)
			set_next_id((uint16_t)(UINT16_MAX - 20));
		ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &value, 4), 0);
	}
	ck_assert_uint_eq(nresults, 0);
	finish();
	ck_assert_uint_eq(nresults, (KEPT + 1) / 2);
	ck_assert_int_eq(results[0], -ENOTCONN);
}
END_TEST

/* ---- so many at once ---- */

/* Answers two when a while has passed, and the next; and no more. */
static void answers_slowly(struct script *s)
{
	struct peer_msg first;

	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	first = s->msg;
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	got = 2;
	await(&step, 1);
	poll(NULL, 0, 20);
	answer(s);
	s->msg = first;
	answer(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	answer(s);
	for (unsigned i = 0; i < 3; i++)
		script_get(s, VFU_WIRE_CMD_REGION_READ);
	script_end(s);
}

/* What has a function is refused, a call waits for its turn, and one that is given up makes room. */
START_TEST(so_many_at_once)
{
	struct vfu_client_access a = access_of(buf, LEN, note);
	uint32_t value;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAX_REQUESTS, 0), -EINVAL);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAX_REQUESTS, 2), 0);
	script_connect(&far, cl, answers_slowly);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
	await(&got, 2);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), -ENOBUFS);
	step = 1;
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &value, 4), 0);
	ck_assert_uint_eq(nresults, 2);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), -ENOBUFS);
	ck_assert_int_eq(vfu_client_cancel(cl, a.id), 0);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), 0);
	vfu_client_disconnect(cl);
	script_join(&far);
}
END_TEST

START_TEST(its_size_is_looked_at)
{
	struct vfu_client_access a = access_of(buf, LEN, NULL);

	a.size--;
	ck_assert_int_eq(vfu_client_region_access(cl, &a), -EINVAL);
	a = access_of(buf, LEN, NULL);
	ck_assert_int_eq(vfu_client_region_access(cl, &a), -ENOTCONN);
	a.fn = note;
	ck_assert_int_eq(vfu_client_region_access(cl, &a), -ENOTCONN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("requests");
	TCase *tcase = tcase_create("requests");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, one_is_given_up);
	tcase_add_test(tcase, of_another_connection);
	tcase_add_test(tcase, a_call_has_its_own_time);
	tcase_add_test(tcase, a_reply_to_nothing);
	tcase_add_test(tcase, a_callback_has_its_own_time);
	tcase_add_test(tcase, no_time_and_the_usual);
	tcase_add_loop_test(tcase, one_that_is_half_received, 0, 2);
	tcase_add_test(tcase, a_callback_gives_others_up);
	tcase_add_test(tcase, ids_are_unique);
	tcase_add_test(tcase, so_many_at_once);
	tcase_add_test(tcase, its_size_is_looked_at);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
