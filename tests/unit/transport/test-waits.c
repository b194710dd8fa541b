/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-waits.c - what waits do meanwhile, and all that must end them: replies, deadlines, signals,
 * the end of the connection; on the thread that reads and on those that leave it to another.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/end.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/wire_peer.h"
#include "../../lib/suite.h"

/*
 * 0: the call says how long, 1: the options do. From the second call on a sleep may be a receive, which lasts a tick: no
 * shorter time may become one.
 */
START_TEST(blocking_calls_time_out)
{
	struct vfu_err err;
	uint8_t data[4];

	fault_virtual_time(true);
	for (unsigned timeout = 1; timeout < 5000; timeout *= 3) {
		vfui_conn_options_init(&end.options);
		if (_i == 1)
			vfui_options_set(&end.options.set, VFU_OPT_TIMEOUT_MS, timeout, NULL);
		end_open(false);
		for (unsigned call = 0; call < 3; call++) {
			uint64_t before = vfui_clock_now(&end.options.clock), took;

			ck_assert_int_eq(end_call_read(4, _i == 0 ? (int)timeout : -1, data, &err),
					 -ETIMEDOUT);
			ck_assert_int_eq(err.code, -ETIMEDOUT);
			took = vfui_clock_now(&end.options.clock) - before;
			ck_assert_uint_ge(took, timeout * VFUI_MS);
			ck_assert_uint_le(took, timeout * VFUI_MS + 50 * VFUI_MS);
		}
		end_close();
	}
}
END_TEST

static struct end_result asked;

/* Each command takes a millisecond; the first also asks something, with ten to answer. */
static int ask_and_dawdle(struct vfui_conn *conn, struct vfui_msg *m)
{
	fault_advance(VFUI_MS);
	if (end.commands == 1)
		ck_assert_int_eq(end_ask(4, 10, NULL, &asked), 0);
	return vfui_conn_reply(conn, &m->hdr, 0, NULL, 0, NULL, 0);
}

static bool is_answered(void *arg)
{
	(void)arg;
	return asked.runs > 0;
}

/* A peer that never falls silent does not stop the clock of what was asked meanwhile. */
START_TEST(requests_time_out_under_load)
{
	fault_virtual_time(true);
	end_open_default(false);
	end.on_command = ask_and_dawdle;
	asked.runs = 0;
	for (uint16_t i = 0; i < 200; i++)
		peer_put(end.peer, i, DMA_READ, 0, 0, NULL, 16);
	ck_assert_int_eq(vfui_conn_wait(end.conn, is_answered, NULL, -1), 0);
	ck_assert_int_eq(asked.status, -ETIMEDOUT);
	ck_assert_uint_lt(end.commands, 100);
	end_close();
}
END_TEST

/* ---- waits, from the peer's side a thread ---- */

/* A peer that answers reads, but sends a command of its own before each answer. */
static void *answer_with_command(void *arg)
{
	static struct peer_msg m, pattern;
	int fd = end.peer;

	(void)arg;
	while (peer_get(fd, &m, NULL, NULL) > 0) {
		uint32_t count;

		if ((m.hdr.flags & 15) == REPLY)
			continue;
		memcpy(&count, m.payload + 12, sizeof(count));
		peer_put(fd, 99, DMA_READ, 0, 0, NULL, 16);
		peer_build(&pattern, m.hdr.id, 0, 0, NULL, count);
		memcpy(m.payload + 16, pattern.payload, count);
		peer_put(fd, m.hdr.id, m.hdr.command, REPLY, 0, m.payload, 16 + count);
	}
	return NULL;
}

START_TEST(calls_serve_commands_meanwhile)
{
	static uint8_t data[65536];
	pthread_t thread;

	end_open_default(false);
	pthread_create(&thread, NULL, answer_with_command, NULL);
	for (uint32_t i = 1; i < 200; i++)
		ck_assert_int_eq(end_call_read(i * 300, -1, data, NULL), 0);
	ck_assert_uint_eq(end.commands, 199);
	shutdown(end.peer, SHUT_RDWR);
	pthread_join(thread, NULL);
	ck_assert_int_eq(end_call_read(4, -1, data, NULL), -ENOTCONN);
	end_close();
}
END_TEST

static uint8_t caller_failed;

static void *many_calls(void *arg)
{
	uint8_t *data = malloc(5000);
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (uint32_t i = 0; i < 500; i++) {
		if (end_call_read(1 + (seed + i * 37) % 5000, -1, data, NULL) != 0)
			caller_failed = 1;
	}
	free(data);
	return NULL;
}

START_TEST(threads_share_the_reading)
{
	pthread_t peer, callers[4];

	end_open_default(false);
	pthread_create(&peer, NULL, answer_with_command, NULL);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&callers[i], NULL, many_calls, (void *)(i * 1000));
	for (unsigned i = 0; i < 4; i++)
		pthread_join(callers[i], NULL);
	ck_assert_uint_eq(caller_failed, 0);
	ck_assert_uint_eq(end.commands, 2000);
	shutdown(end.peer, SHUT_RDWR);
	pthread_join(peer, NULL);
	end_close();
}
END_TEST

/*
 * Waits in the callback of every command but the last, and checks that its own message stayed
 * whole.
 */
static int nest(struct vfui_conn *conn, struct vfui_msg *m)
{
	static atomic_bool innermost;
	uint16_t id = m->hdr.id;

	if (id == 7) {
		innermost = true;
	} else {
		innermost = false;
		ck_assert_int_eq(vfui_conn_wait(conn, end_is_true, &innermost, -1), 0);
		ck_assert(peer_is_pattern(m->payload, m->len, id));
		ck_assert(vfui_conn_is_reader(conn));
	}
	return vfui_conn_reply(conn, &m->hdr, 0, NULL, 0, NULL, 0);
}

START_TEST(nested_waits_keep_messages)
{
	end_open_default(true);
	end.on_command = nest;
	for (uint16_t i = 0; i < 8; i++)
		peer_put(end.peer, i, VFU_WIRE_CMD_REGION_WRITE, 0, 0, NULL,
			 i % 3 == 1 ? 50000 : 20);
	while (end.commands < 8)
		ck_assert_int_ge(vfui_conn_process(end.conn, 0), 0);
	for (int i = 7; i >= 0; i--)
		end_expect_reply((uint16_t)i, VFU_WIRE_CMD_REGION_WRITE, 0, 0);
	end_close();
}
END_TEST

/* ---- signals ---- */

static atomic_uint unasked; /* so often the hook says no on the thread that gets signals */
static pthread_t signalled;

static int interrupt(void *user)
{
	(void)user;
	return pthread_equal(pthread_self(), signalled) && (unasked == 0 || --unasked == 0);
}

static void open_interruptible(unsigned so_often)
{
	unasked = so_often;
	signalled = pthread_self();
	vfui_conn_options_init(&end.options);
	end.options.interrupt = interrupt;
	end_open(false);
}

START_TEST(signals_end_waits_if_asked)
{
	struct end_result result;
	uint8_t data[4];

	fault_virtual_time(true);
	open_interruptible(1000);
	/* Two signals that do not matter, and two that do. */
	for (unsigned i = 0; i < 4; i++) {
		unasked = i < 2 ? 1000 : 1;
		fault_fail(i % 2 == 0 ? FAULT_RECV : FAULT_POLL, 1, EINTR);
		ck_assert_int_eq(end_call_read(4, i % 2 == 0 ? 1000 : 100, data, NULL),
				 i < 2 ? -ETIMEDOUT : -EINTR);
		end_get_request();
	}
	/* Its reply is late now, and dropped. */
	end_answer_read(4);
	ck_assert_int_eq(end_ask(4, -1, NULL, &result), 0);
	end_get_request();
	end_answer_read(4);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 2);
	ck_assert_uint_eq(end_stats().late_replies, 1);
	ck_assert_int_eq(result.status, 0);
	end_close();
}
END_TEST

/* One that came just before a system call interrupts nothing: it is asked for all the same. */
START_TEST(signals_before_the_sleep_end_it)
{
	uint8_t data[4];

	fault_virtual_time(true);
	open_interruptible(3);
	ck_assert_int_eq(end_call_read(4, 0, data, NULL), -EINTR);
	end_close();
}
END_TEST

/* The peer does not let the wait sleep: 0: it sends one command after another, 1: bytes. */
START_TEST(signals_end_waits_under_load)
{
	uint8_t data[4];

	fault_virtual_time(true);
	open_interruptible(1);
	for (uint16_t i = 0; i < 200 && _i == 0; i++)
		peer_put(end.peer, i, DMA_READ, 0, 0, NULL, 16);
	if (_i == 1)
		peer_put(end.peer, 1, VFU_WIRE_CMD_DMA_WRITE, 0, 0, NULL, 10000);
	fault_limit(FAULT_RECV, _i == 1 ? 1 : 0);
	ck_assert_int_eq(end_call_read(4, 0, data, NULL), -EINTR);
	ck_assert_uint_lt(end.commands, _i == 0 ? 100 : 1);
	fault_reset();
	end_close();
}
END_TEST

/* ---- the reading is left to another thread ---- */

static atomic_bool is_in_callback, may_return;

static int stay_in_callback(struct vfui_conn *conn, struct vfui_msg *m)
{
	is_in_callback = true;
	while (!may_return)
		poll(NULL, 0, 1);
	return vfui_conn_reply(conn, &m->hdr, 0, NULL, 0, NULL, 0);
}

static void *wait_for_end(void *arg)
{
	(void)arg;
	vfui_conn_wait(end.conn, end_is_true, &end.is_over, -1);
	return NULL;
}

static pthread_t start_stuck_reader(void)
{
	pthread_t reader;

	end.is_over = is_in_callback = may_return = false;
	end.on_command = stay_in_callback;
	peer_put(end.peer, 1, DMA_READ, 0, 0, NULL, 16);
	pthread_create(&reader, NULL, wait_for_end, NULL);
	while (!is_in_callback)
		poll(NULL, 0, 1);
	return reader;
}

/* A failure from another thread. */
static void *fail_it(void *arg)
{
	struct vfu_err cause = {.code = -ECANCELED};

	(void)arg;
	poll(NULL, 0, 50);
	vfui_conn_fail(end.conn, &cause);
	return NULL;
}

/* It is in a callback that does not return: what ends a wait ends it. */
START_TEST(a_reader_that_is_stuck_holds_up_nobody)
{
	static const int results[] = {-ETIMEDOUT, -ENOTCONN, -EINTR};
	pthread_t reader, other;
	uint8_t data[4];

	open_interruptible(1000000);
	reader = start_stuck_reader();
	if (_i == 1)
		pthread_create(&other, NULL, fail_it, NULL);
	if (_i == 2)
		unasked = 2;
	ck_assert_int_eq(end_call_read(4, _i == 0 ? 50 : 0, data, NULL), results[_i]);
	ck_assert_uint_eq(end.commands, 1);
	if (_i == 1)
		pthread_join(other, NULL);
	may_return = end.is_over = true;
	vfui_conn_wake(end.conn);
	pthread_join(reader, NULL);
	end_close();
}
END_TEST

/* A peer that sends half of its answer, and the rest when it is told. */
static void *answer_by_halves(void *arg)
{
	static struct peer_msg reply;
	uint8_t *bytes = (uint8_t *)&reply;

	end_get_request();
	peer_build(&reply, end.msg.hdr.id, READ, REPLY, NULL, 60016);
	memcpy(reply.payload, end.msg.payload, 16);
	peer_send(end.peer, bytes, 30000, NULL, 0);
	poll(NULL, 0, 50);
	unasked = 1;
	while (!end.is_over)
		poll(NULL, 0, 1);
	peer_send(end.peer, bytes + 30000, 30032, NULL, 0);
	(void)arg;
	return NULL;
}

/* The other thread fills the caller's buffer just now: the caller gets it back all the same, and soon: that one goes on. */
START_TEST(a_buffer_that_is_filled_is_given_back)
{
	static uint8_t data[60000], zero[60000];
	pthread_t reader, peer;
	int status = 1;

	open_interruptible(1000000);
	reader = end_start_reader(&status);
	pthread_create(&peer, NULL, answer_by_halves, NULL);
	fault_reset();
	ck_assert_int_eq(end_call_read(sizeof(data), 0, data, NULL), -EINTR);
	ck_assert_uint_le(fault_calls(FAULT_RECV), 10);
	memset(data, 0, sizeof(data));
	end.is_over = true;
	pthread_join(peer, NULL);
	end_stop_reader(reader, &status);
	while (end_stats().late_replies == 0)
		ck_assert_int_ge(vfui_conn_process(end.conn, 0), 0);
	ck_assert_int_eq(memcmp(data, zero, sizeof(data)), 0);
	end_close();
}
END_TEST

/* ---- the end of the connection ---- */

START_TEST(failing_ends_sleeps)
{
	struct vfu_err err;
	pthread_t thread;
	uint8_t data[4];

	end_open_default(false);
	pthread_create(&thread, NULL, fail_it, NULL);
	ck_assert_int_eq(end_call_read(4, 0, data, &err), -ENOTCONN);
	pthread_join(thread, NULL);
	ck_assert_int_eq(vfui_conn_status(end.conn, &err), -ECANCELED);
	end_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("waits");
	TCase *tcase = tcase_create("waits");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, blocking_calls_time_out, 0, 2);
	tcase_add_test(tcase, requests_time_out_under_load);
	tcase_add_test(tcase, calls_serve_commands_meanwhile);
	tcase_add_test(tcase, threads_share_the_reading);
	tcase_add_test(tcase, nested_waits_keep_messages);
	tcase_add_test(tcase, signals_end_waits_if_asked);
	tcase_add_test(tcase, signals_before_the_sleep_end_it);
	tcase_add_loop_test(tcase, signals_end_waits_under_load, 0, 2);
	tcase_add_loop_test(tcase, a_reader_that_is_stuck_holds_up_nobody, 0, 3);
	tcase_add_loop_test(tcase, a_buffer_that_is_filled_is_given_back, 0, 4);
	tcase_add_test(tcase, failing_ends_sleeps);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
