/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-batches.c - posted writes that go together: how they travel, and that none is left behind.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"
#include "client/state.h"
#include "transport/conn-inside.h"

static struct script far;
static struct vfu_client *cl;
static atomic_uint got;      /* writes that the device has */
static atomic_uint messages; /* in which they came */
static atomic_uint longest;  /* most of them in one */
static atomic_uint step;     /* how far the test lets the device go */

static const char gathers[] =
	"{\"capabilities\":{\"max_data_xfer_size\":1048576,\"write_multiple\":true}}";

static void setup(void)
{
	memset(&far, 0, sizeof(far));
	far.json = gathers;
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	got = messages = longest = step = 0;
}

static void teardown(void)
{
	vfu_client_free(cl);
}

static void await(atomic_uint *what, unsigned n)
{
	while (*what < n)
		poll(NULL, 0, 1);
}

static void finish(void)
{
	vfu_client_disconnect(cl);
	script_join(&far);
}

/*
 * ---- the device: each write says which it is. Check notes each assertion, and not of two threads at once:
 * here, beside a thread that posts, are none but those that fail ----
 */

static void take_write(const uint8_t *payload, uint32_t count, const void *data)
{
	uint64_t offset;
	uint32_t value;

	memcpy(&offset, payload, sizeof(offset));
	memcpy(&value, data, sizeof(value));
	if (offset != got * UINT64_C(8) || count < sizeof(value) || value != got)
		ck_abort_msg("write %u is of %u to %#llx", got, value, (unsigned long long)offset);
	got++;
}

/* The last message, which is one of writes. */
static void take_message(struct script *s)
{
	bool is_multi = s->msg.hdr.command == VFU_WIRE_CMD_REGION_WRITE_MULTI;
	unsigned n = is_multi ? (unsigned)script_u64(s, 0) : 1;

	if (s->msg.hdr.flags != VFU_WIRE_HEADER_NO_REPLY ||
	    (is_multi ? s->msg.hdr.size != 16 + 8 + n * 24
		      : s->msg.hdr.command != VFU_WIRE_CMD_REGION_WRITE))
		ck_abort_msg("no post: command %u, size %u", s->msg.hdr.command, s->msg.hdr.size);
	for (unsigned i = 0; i < n && is_multi; i++)
		take_write(s->msg.payload + 8 + i * 24, script_u32(s, 8 + i * 24 + 12),
			   s->msg.payload + 8 + i * 24 + 16);
	if (!is_multi)
		take_write(s->msg.payload, script_u32(s, 12), s->msg.payload + 16);
	messages++;
	longest = n > longest ? n : longest;
}

/* Takes writes until something else comes: its size, 0 at the end of the stream. */
static size_t take_posts(struct script *s)
{
	size_t size;

	while ((size = peer_get(s->fd, &s->msg, s->fds, &s->nfds)) &&
	       s->msg.hdr.flags & VFU_WIRE_HEADER_NO_REPLY)
		take_message(s);
	return size;
}

/* A device that answers reads with how many writes it has. */
static void counts(struct script *s)
{
	uint8_t reply[20];
	uint32_t n;

	while (take_posts(s)) {
		ck_assert_uint_eq(s->msg.hdr.command, VFU_WIRE_CMD_REGION_READ);
		memcpy(reply, s->msg.payload, 16);
		n = got;
		memcpy(reply + 16, &n, 4);
		script_reply(s, reply, 20);
	}
}

static void is_quick(struct script *s)
{
	script_version(s);
	counts(s);
}

/* It reads nothing for a while. */
static void is_late(struct script *s)
{
	script_version(s);
	await(&step, 1);
	counts(s);
}

/* ---- the client ---- */

static void post(uint32_t i, size_t size)
{
	static uint8_t bytes[8192];

	memcpy(bytes, &i, sizeof(i));
	ck_assert_int_eq(vfu_client_region_post(cl, 0, i * UINT64_C(8), bytes, size), 0);
}

static void post_some(unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		post(i, 4 + i % 5);
}

static uint32_t count(void)
{
	uint32_t n;

	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &n, sizeof(n)), 0);
	return n;
}

static uint64_t sends(void)
{
	struct vfu_stats stats;

	vfu_client_stats(cl, &stats);
	return stats.batches;
}

static void begin(void)
{
	ck_assert_int_eq(vfu_client_post_begin(cl), 0);
}

static void end(void)
{
	ck_assert_int_eq(vfu_client_post_end(cl), 0);
}

/* ---- how they travel ---- */

START_TEST(they_go_together)
{
	static const unsigned sizes[][3] = {/* writes, messages, most in one */
					    {1, 1, 1},
					    {2, 1, 2},
					    {200, 1, 200},
					    {201, 2, 200},
					    {1000, 5, 200}};
	uint64_t before;

	script_connect(&far, cl, is_quick);
	before = sends();
	begin();
	ck_assert(vfu_client_is_posting(cl));
	post_some(0, sizes[_i][0]);
	ck_assert_uint_eq(sends(), before);
	end();
	ck_assert(!vfu_client_is_posting(cl));
	ck_assert_uint_eq(sends(), before + 1);
	ck_assert_uint_eq(count(), sizes[_i][0]);
	ck_assert_uint_eq(messages, sizes[_i][1]);
	ck_assert_uint_eq(longest, sizes[_i][2]);
	finish();
}
END_TEST

/* To a device that did not agree to REGION_WRITE_MULTI, or was not asked: in one send all the same. */
START_TEST(they_go_one_by_one)
{
	uint64_t before;

	if (_i)
		far.json = "{\"capabilities\":{}}";
	else
		ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_WRITE_MULTIPLE, 0), 0);
	if (!_i)
		far.json = "{\"capabilities\":{\"max_data_xfer_size\":1048576}}";
	script_connect(&far, cl, is_quick);
	before = sends();
	begin();
	post_some(0, 500);
	end();
	ck_assert_uint_eq(sends(), before + 1);
	ck_assert_uint_eq(count(), 500);
	ck_assert_uint_eq(messages, 500);
	finish();
}
END_TEST

/* A message of writes is no longer than the data that the device takes of one. */
START_TEST(messages_are_as_short_as_agreed)
{
	far.json = "{\"capabilities\":{\"max_data_xfer_size\":100,\"write_multiple\":true}}";
	script_connect(&far, cl, is_quick);
	begin();
	post_some(0, 10);
	end();
	ck_assert_uint_eq(count(), 10);
	ck_assert_uint_eq(longest, 4);
	finish();
}
END_TEST

/* Larger ones are messages of their own, in their place. */
START_TEST(sizes_are_mixed)
{
	static const size_t sizes[] = {4, 8, 9, 4, 5, 6, 4096, 4, 4097, 8000, 7, 8};

	script_connect(&far, cl, is_quick);
	begin();
	for (unsigned i = 0; i < 12 * 40; i++)
		post(i, sizes[i % 12]);
	end();
	ck_assert_uint_eq(count(), 12 * 40);
	ck_assert_uint_eq(longest, 4);
	finish();
}
END_TEST

START_TEST(many_do_not_wait_for_the_end)
{
	script_connect(&far, cl, is_quick);
	begin();
	post_some(0, 1024);
	await(&got, 1024);
	post_some(1024, 1000);
	poll(NULL, 0, 20);
	ck_assert_uint_eq(got, 1024);
	end();
	await(&got, 2024);
	finish();
}
END_TEST

START_TEST(a_call_takes_them_along)
{
	script_connect(&far, cl, is_quick);
	begin();
	begin();
	post_some(0, 3);
	ck_assert_uint_eq(count(), 3);
	post_some(3, 3);
	end();
	poll(NULL, 0, 20);
	ck_assert_uint_eq(got, 3);
	end();
	await(&got, 6);
	ck_assert_int_eq(vfu_client_post_end(cl), -EINVAL);
	finish();
}
END_TEST

static void *counts_elsewhere(void *arg)
{
	ck_assert(!vfu_client_is_posting(cl));
	ck_assert(vfu_client_post_end(cl) == -EINVAL);
	if (arg)
		post(3, 4);
	else
		ck_assert(count() == 3);
	return NULL;
}

/* Nor has another thread this batch; what it says goes behind what there is, at once. */
START_TEST(another_thread_takes_them_along)
{
	pthread_t other;

	script_connect(&far, cl, is_quick);
	begin();
	post_some(0, 3);
	pthread_create(&other, NULL, counts_elsewhere, _i ? &got : NULL);
	pthread_join(other, NULL);
	await(&got, 3 + (unsigned)_i);
	end();
	finish();
}
END_TEST

/* ---- where they could be left behind ---- */

START_TEST(the_connection_ends)
{
	script_connect(&far, cl, is_quick);
	begin();
	post_some(0, 700);
	finish();
	ck_assert_uint_eq(got, 700);
	ck_assert_int_eq(vfu_client_post_end(cl), -ENOTCONN);
	begin();
	ck_assert_int_eq(vfu_client_region_post(cl, 0, 0, &got, 4), -ENOTCONN);
	end();
	begin(); /* and the client goes with it */
}
END_TEST

/* The device's end is noticed when they are sent. */
static void ends_early(struct script *s)
{
	script_version(s);
	await(&step, 1);
}

START_TEST(the_device_is_gone)
{
	script_connect(&far, cl, ends_early);
	begin();
	post_some(0, 10);
	step = 1;
	script_join(&far);
	ck_assert_int_eq(vfu_client_post_end(cl), -ENOTCONN);
}
END_TEST

START_TEST(the_device_reads_nothing)
{
	unsigned n = 0;
	int ret = 0;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 500), 0);
	script_connect(&far, cl, is_late);
	begin();
	for (uint32_t i = 0; i < 100000 && !ret; i++, n++)
		ret = vfu_client_region_post(cl, 0, i * UINT64_C(8), &i, 4);
	ck_assert_int_eq(ret, -ETIMEDOUT);
	begin();
	ck_assert_int_eq(vfu_client_post_end(cl), 0);
	ck_assert_int_eq(_i ? vfu_client_post_leave(cl) : vfu_client_post_end(cl),
			 _i ? 0 : -ETIMEDOUT);
	ck_assert(!vfu_client_is_posting(cl));
	/* All that was posted is still there, the last one too. */
	step = 1;
	while ((ret = vfu_client_flush(cl)) == -ETIMEDOUT)
		;
	ck_assert_int_eq(ret, 0);
	await(&got, n);
	ck_assert_uint_eq(count(), n);
	finish();
}
END_TEST

static void in_child(void)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		bool is_right = vfu_client_post_begin(cl) == -EOWNERDEAD &&
				vfu_client_post_end(cl) == -EOWNERDEAD &&
				!vfu_client_is_posting(cl);

		vfu_client_free(cl);
		_exit(!is_right);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(a_child_sends_none)
{
	if (lacks(LACKS_WIPEONFORK, __func__))
		return;
	script_connect(&far, cl, is_quick);
	begin();
	post_some(0, 10);
	in_child();
	ck_assert_uint_eq(got, 0);
	end();
	ck_assert_uint_eq(count(), 10);
	finish();
}
END_TEST

static atomic_bool is_serving;

static void *serves(void *arg)
{
	is_serving = true;
	vfu_client_serve(cl, *(int *)arg);
	return NULL;
}

/* The thread that read leaves while they wait; another one reads on, or none. */
START_TEST(who_reads_leaves)
{
	static int times[] = {30, -1};
	pthread_t other;

	is_serving = false;
	script_connect(&far, cl, is_late);
	pthread_create(&other, NULL, serves, &times[_i]);
	while (!is_serving)
		poll(NULL, 0, 1);
	begin();
	for (unsigned i = 0; i < 30; i++) {
		post_some(i * 300, 300);
		poll(NULL, 0, 1);
		step = i > 15;
	}
	end();
	await(&got, 9000);
	finish();
	pthread_join(other, NULL);
}
END_TEST

/* ---- without a batch ---- */

enum { CROWD = 30000 };

/* A loop is there, but late: what it finds are a few long messages. */
START_TEST(a_crowd_goes_together)
{
	struct pollfd pfds[4];
	int n;

	if (_i)
		far.json = "{\"capabilities\":{}}";
	script_connect(&far, cl, is_late);
	ck_assert_int_gt(vfu_client_pollfds(cl, pfds, 4), 0);
	post_some(0, CROWD);
	step = 1;
	while (got < CROWD) {
		n = vfu_client_pollfds(cl, pfds, 4);
		poll(pfds, (nfds_t)n, 10);
		ck_assert_int_ge(vfu_client_process(cl, 0), 0);
	}
	if (_i)
		ck_assert_uint_eq(messages, CROWD);
	else
		ck_assert_uint_eq(longest, 200);
	finish();
}
END_TEST

static int forever = -1;

START_TEST(a_crowd_that_another_thread_sends)
{
	pthread_t other;

	is_serving = false;
	script_connect(&far, cl, is_late);
	pthread_create(&other, NULL, serves, &forever);
	while (!is_serving || !atomic_load(&cl->conn->serving))
		poll(NULL, 0, 1);
	post_some(0, CROWD);
	step = 1;
	await(&got, CROWD);
	ck_assert_uint_lt(messages, CROWD);
	finish();
	pthread_join(other, NULL);
}
END_TEST

/* ---- where nothing is posted ---- */

static void wants_answers(struct script *s)
{
	script_version(s);
	for (unsigned i = 0; i < 3; i++) {
		script_get(s, VFU_WIRE_CMD_REGION_WRITE);
		ck_assert_uint_eq(s->msg.hdr.flags, 0);
		script_reply(s, s->msg.payload, 16);
	}
	script_end(s);
}

START_TEST(posting_can_be_off)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_POSTED, 0), 0);
	script_connect(&far, cl, wants_answers);
	begin();
	post_some(0, 3);
	end();
	finish();
}
END_TEST

static void refuses_none(struct script *s)
{
	script_version(s);
	script_end(s);
}

/* One that breaks a rule is refused by itself. */
START_TEST(a_wrong_write)
{
	script_connect(&far, cl, refuses_none);
	begin();
	ck_assert_int_eq(vfu_client_region_post(cl, 0, UINT64_MAX - 1, &got, 4), -EINVAL);
	end();
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("batches");
	TCase *tcase = tcase_create("batches");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, they_go_together, 0, 5);
	tcase_add_loop_test(tcase, they_go_one_by_one, 0, 2);
	tcase_add_test(tcase, messages_are_as_short_as_agreed);
	tcase_add_test(tcase, sizes_are_mixed);
	tcase_add_test(tcase, many_do_not_wait_for_the_end);
	tcase_add_test(tcase, a_call_takes_them_along);
	tcase_add_loop_test(tcase, another_thread_takes_them_along, 0, 2);
	tcase_add_test(tcase, the_connection_ends);
	tcase_add_test(tcase, the_device_is_gone);
	tcase_add_loop_test(tcase, the_device_reads_nothing, 0, 2);
	tcase_add_test(tcase, a_child_sends_none);
	tcase_add_loop_test(tcase, who_reads_leaves, 0, 2);
	tcase_add_loop_test(tcase, a_crowd_goes_together, 0, 2);
	tcase_add_test(tcase, a_crowd_that_another_thread_sends);
	tcase_add_test(tcase, posting_can_be_off);
	tcase_add_test(tcase, a_wrong_write);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
