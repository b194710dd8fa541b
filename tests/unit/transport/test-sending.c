/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-sending.c - large messages on their way to a peer that reads slowly, and what others do then.
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
#include "transport/conn-inside.h"

#define LARGE (16u << 20)

static uint8_t *large;

static int reply_large(struct vfui_conn *conn, struct vfui_msg *m)
{
	struct iovec iov = {large, LARGE};

	return vfui_conn_reply(conn, &m->hdr, 0, &iov, 1, NULL, 0);
}

static void open_large(bool server)
{
	large = calloc(1, LARGE);
	vfui_conn_options_init(&end.options);
	ck_assert_int_eq(
		vfui_options_set(&end.options.set, VFU_OPT_MAX_DATA_XFER_SIZE, LARGE, NULL), 0);
	/* Room for what is copied when the peer stops. */
	ck_assert_int_eq(vfui_options_set(&end.options.set, VFU_OPT_QUEUE_BYTES, 4 * LARGE, NULL),
			 0);
	end_open(server);
}

static void close_large(void)
{
	end_close();
	free(large);
}

/* ---- a peer that reads slowly ---- */

static atomic_size_t nread;
static atomic_size_t needed; /* it reads on when there is a reason to */

/* Reads n bytes to buf (NULL: nowhere), in small pieces and slowly. */
static void read_slowly(uint8_t *buf, size_t n)
{
	static uint8_t piece[65536];
	ssize_t r;

	for (size_t done = 0; done < n; done += (size_t)r) {
		while (nread >= needed)
			poll(NULL, 0, 1);
		r = recv(end.peer, piece, n - done < sizeof(piece) ? n - done : sizeof(piece), 0);
		ck_assert_int_gt(r, 0);
		if (buf != NULL)
			memcpy(buf + done, piece, (size_t)r);
		nread += (size_t)r;
		poll(NULL, 0, 1);
	}
}

static struct vfu_wire_header headers[64];
static atomic_uint nheaders;

/* Counts whole messages, so many. */
static void *count_messages(void *arg)
{
	for (unsigned n = *(unsigned *)arg; nheaders < n;) {
		struct vfu_wire_header *hdr = &headers[nheaders];

		read_slowly((uint8_t *)hdr, sizeof(*hdr));
		ck_assert(hdr->size >= sizeof(*hdr));
		read_slowly(NULL, hdr->size - sizeof(*hdr));
		nheaders++;
	}
	return NULL;
}

static pthread_t start_peer(unsigned *messages, size_t need)
{
	pthread_t peer;

	nread = 0;
	nheaders = 0;
	needed = need;
	pthread_create(&peer, NULL, count_messages, messages);
	return peer;
}

/* ---- */

static atomic_bool may_end;

static void *serve(void *arg)
{
	while (!may_end)
		vfui_conn_process_wait(end.conn, 0, 10);
	return arg;
}

/*
 * A reply of 16 MiB to a peer that reads ever more of it: are another thread's messages on their way
 * before its end?
 */
static bool overtakes(void)
{
	struct end_result results[10];
	unsigned messages = 11;
	bool does;
	pthread_t server, peer;

	open_large(true);
	end.on_command = reply_large;
	may_end = false;
	peer_put(end.peer, 1, READ, 0, 0, NULL, 16);
	pthread_create(&server, NULL, serve, NULL);
	peer = start_peer(&messages, SIZE_MAX);
	while (nread < LARGE / 16)
		poll(NULL, 0, 1);
	for (unsigned i = 0; i < 10; i++) {
		/* No room: the peer did not get to run, and the reply was queued. */
		while (end_ask(4, 0, NULL, &results[i]) == -ENOBUFS)
			poll(NULL, 0, 1);
	}
	does = nread < LARGE / 4 * 3;
	pthread_join(peer, NULL);
	ck_assert_uint_eq(headers[0].size, LARGE + 16);
	for (unsigned i = 1; i < 11; i++)
		ck_assert_uint_eq(headers[i].size, 32);
	may_end = true;
	vfui_conn_wake(end.conn);
	pthread_join(server, NULL);
	close_large();
	return does;
}

START_TEST(a_large_reply_holds_up_nobody)
{
	unsigned tries = 0;

	/* Threads of a busy machine may get to run too late; not each time. */
	while (!overtakes())
		ck_assert_uint_lt(++tries, 20);
}
END_TEST

static atomic_uint sleeps;

/* On the thread that is about to sleep; no other uses the connection. */
static void check_lock(void)
{
	ck_assert_int_eq(pthread_mutex_trylock(&end.conn->lock), 0);
	pthread_mutex_unlock(&end.conn->lock);
	sleeps++;
}

START_TEST(nobody_sleeps_with_the_lock)
{
	unsigned messages = 1;
	pthread_t peer;

	open_large(true);
	end.on_command = reply_large;
	peer_put(end.peer, 1, READ, 0, 0, NULL, 16);
	peer = start_peer(&messages, SIZE_MAX);
	sleeps = 0;
	fault_on_sleep(check_lock);
	while (nread < LARGE)
		ck_assert_int_ge(vfui_conn_process_wait(end.conn, 0, 10), 0);
	fault_on_sleep(NULL);
	ck_assert_uint_gt(sleeps, 0);
	pthread_join(peer, NULL);
	close_large();
}
END_TEST

static void *write_then_read(void *arg)
{
	static struct {
		struct vfu_wire_header hdr;
		struct vfu_wire_region_write_request in;
		uint8_t data[LARGE / 4];
	} message = {{.id = 2, .command = VFU_WIRE_CMD_REGION_WRITE, .size = sizeof(message)},
		     {.count = LARGE / 4}};

	peer_put(end.peer, 1, READ, 0, 0, NULL, 16);
	/* Our reply to that is under way, and sleeps. */
	while (recv(end.peer, &message.data, 1, MSG_PEEK) != 1)
		;
	poll(NULL, 0, 2);
	ck_assert(send(end.peer, &message, sizeof(message), 0) == sizeof(message));
	return count_messages(arg);
}

static int reply_to_reads(struct vfui_conn *conn, struct vfui_msg *m)
{
	return m->hdr.command == READ ? reply_large(conn, m)
				      : vfui_conn_reply(conn, &m->hdr, 0, NULL, 0, NULL, 0);
}

/* A peer that reads nothing until we have read what it sends: we notice, and remember. */
START_TEST(both_send_much)
{
	unsigned messages = 2;
	pthread_t peer;

	open_large(true);
	end.on_command = reply_to_reads;
	nread = 0;
	nheaders = 0;
	needed = SIZE_MAX;
	pthread_create(&peer, NULL, write_then_read, &messages);
	while (nread < LARGE)
		ck_assert_int_ge(vfui_conn_process_wait(end.conn, 0, 10), 0);
	pthread_join(peer, NULL);
	ck_assert(end.conn->is_slow);
	close_large();
}
END_TEST

static void *write_large(void *arg)
{
	struct vfu_wire_region_write_request in = {.count = LARGE};
	struct vfu_wire_region_write_reply out;
	struct vfui_call call = {.tail = large, .tail_len = LARGE, .timeout_ms = 0};

	*(int *)arg = vfui_conn_call(end.conn, VFU_WIRE_CMD_REGION_WRITE, &call, &in, sizeof(in),
				     &out, sizeof(out));
	return NULL;
}

/* It answers what it has not got, which is its own affair, while another thread reads. */
START_TEST(answered_too_early)
{
	struct vfu_wire_region_write_reply out = {.count = LARGE};
	int status = 1, written = 1;
	unsigned messages = 1;
	pthread_t reader, writer, peer;

	open_large(false);
	reader = end_start_reader(&status);
	peer = start_peer(&messages, LARGE / 4);
	pthread_create(&writer, NULL, write_large, &written);
	while (nread < LARGE / 4)
		poll(NULL, 0, 1);
	peer_put(end.peer, headers[0].id, VFU_WIRE_CMD_REGION_WRITE, REPLY, 0, &out, sizeof(out));
	while (end_stats().replies_in == 0)
		poll(NULL, 0, 1);
	needed = SIZE_MAX;
	pthread_join(writer, NULL);
	ck_assert_int_eq(written, 0);
	pthread_join(peer, NULL);
	end_stop_reader(reader, &status);
	close_large();
}
END_TEST

/* The connection fails in the middle: the request ends once, one way or the other. */
START_TEST(failed_in_the_middle)
{
	struct vfu_err cause = {.code = -ECANCELED};
	unsigned messages = 1;
	pthread_t writer, peer;
	int written = 1;

	open_large(false);
	peer = start_peer(&messages, LARGE / 4);
	pthread_create(&writer, NULL, write_large, &written);
	while (nread < LARGE / 4)
		poll(NULL, 0, 1);
	vfui_conn_fail(end.conn, &cause);
	pthread_join(writer, NULL);
	ck_assert_int_eq(written, -ENOTCONN);
	ck_assert_uint_eq(vfui_conn_pending(end.conn), 0);
	pthread_cancel(peer);
	pthread_join(peer, NULL);
	close_large();
}
END_TEST

/* ---- what waits until it is sent ---- */

static void *post_one(void *arg)
{
	static uint8_t data[100000];
	struct vfu_wire_region_write_request in = {.region = 1, .count = sizeof(data)};
	struct iovec iov[2] = {{&in, sizeof(in)}, {data, sizeof(data)}};
	struct vfui_out out = {.command = VFU_WIRE_CMD_REGION_WRITE,
			       .iov = iov,
			       .niov = 2,
			       .no_reply = true,
			       .timeout_ms = -1};

	*(int *)arg = vfui_conn_post(end.conn, &out);
	return NULL;
}

/* Another thread reads, and waits for something else: when it has sent the post its caller is told, who has no other end. */
START_TEST(another_thread_sends_the_rest)
{
	int status = 1, posted = 1;
	pthread_t reader, writer;

	vfui_conn_options_init(&end.options);
	ck_assert_int_eq(vfui_options_set(&end.options.set, VFU_OPT_TIMEOUT_MS, 0, NULL), 0);
	end_open(false);
	end_small_buffer();
	reader = end_start_reader(&status);
	pthread_create(&writer, NULL, post_one, &posted);
	while (atomic_load(&end.conn->sleepers) == 0)
		poll(NULL, 0, 1);
	ck_assert_uint_eq(peer_get(end.peer, &end.msg, NULL, NULL), 16 + 16 + 100000);
	pthread_join(writer, NULL);
	ck_assert_int_eq(posted, 0);
	end_stop_reader(reader, &status);
	end_close();
}
END_TEST

static void *write_often(void *arg)
{
	static uint8_t data[40000];
	struct vfu_wire_region_write_request in = {.region = *(unsigned *)arg};
	struct vfui_out out = {.command = VFU_WIRE_CMD_REGION_WRITE, .no_reply = true};
	struct iovec iov[2] = {{&in, sizeof(in)}, {data, 0}};

	out.iov = iov;
	out.niov = 2;
	for (unsigned i = 0; i < 60; i++) {
		in.count = i % 3 == 2 ? sizeof(data) : i;
		in.offset = i;
		iov[1].iov_len = in.count;
		ck_assert(vfui_conn_post(end.conn, &out) == 0);
	}
	return NULL;
}

/* Each message arrives whole, and each thread's in their order. */
START_TEST(many_threads_send_much)
{
	pthread_t threads[4];
	unsigned regions[4], next[4] = {0};

	vfui_conn_options_init(&end.options);
	ck_assert_int_eq(vfui_options_set(&end.options.set, VFU_OPT_QUEUE_BYTES, 65536, NULL), 0);
	end_open(false);
	end_small_buffer();
	for (unsigned i = 0; i < 4; i++) {
		regions[i] = i;
		pthread_create(&threads[i], NULL, write_often, &regions[i]);
	}
	for (unsigned i = 0; i < 240; i++) {
		struct vfu_wire_region_write_request in;

		ck_assert_uint_gt(peer_get(end.peer, &end.msg, NULL, NULL), 0);
		memcpy(&in, end.msg.payload, sizeof(in));
		ck_assert_uint_lt(in.region, 4);
		ck_assert_uint_eq(in.offset, next[in.region]);
		ck_assert_uint_eq(end.msg.hdr.size, 32 + in.count);
		next[in.region]++;
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(vfui_conn_flush(end.conn), 0);
	end_close();
}
END_TEST

/* ---- what is said while lent memory is given back ---- */

static struct vfu_wire_header waiting;
static uint8_t lent_bytes[65536], drained[65536];

static void answer_other(void *user, const void *data)
{
	(void)user, (void)data;
	ck_assert_int_eq(vfui_conn_reply(end.conn, &waiting, 0, NULL, 0, NULL, 0), 0);
}

/* The first request waits for the second's memory to be given back. */
static int lend_or_wait(struct vfui_conn *conn, struct vfui_msg *m)
{
	struct vfui_lent lent = {.release = answer_other, .data = lent_bytes};
	const struct iovec iov = {lent_bytes, sizeof(lent_bytes)};

	if (m->hdr.id == 1)
		waiting = m->hdr;
	return m->hdr.id == 1 ? 0 : vfui_conn_reply_lent(conn, &m->hdr, &iov, 1, &lent);
}

static size_t nlooks;

static bool is_all_there(void *arg)
{
	size_t *n = arg;
	ssize_t len;

	nlooks++;
	while ((len = recv(end.peer, drained, sizeof(drained), MSG_DONTWAIT)) > 0)
		*n += (size_t)len;
	return *n == 16 + 65536 + 16;
}

/* Nobody sleeps on it. */
START_TEST(said_before_a_sleep)
{
	size_t n = 0;

	fault_reset();
	fault_virtual_time(true);
	end_open_default(true);
	end.on_command = lend_or_wait;
	peer_put(end.peer, 1, READ, 0, 0, NULL, 16);
	peer_put(end.peer, 2, READ, 0, 0, NULL, 16);
	fault_limit(FAULT_SEND, 20000);
	fault_fail(FAULT_SEND, 2, EAGAIN);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 2);
	fault_reset();
	ck_assert(!is_all_there(&n));
	ck_assert_uint_eq(n, 20000);
	nlooks = 0;
	ck_assert_int_eq(vfui_conn_wait(end.conn, is_all_there, &n, 10000), 0);
	ck_assert_uint_eq(nlooks, 3); /* without the role, with it, and after one sleep */
	end_close();
	fault_virtual_time(false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sending");
	TCase *tcase = tcase_create("sending");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, a_large_reply_holds_up_nobody);
	tcase_add_test(tcase, nobody_sleeps_with_the_lock);
	tcase_add_test(tcase, both_send_much);
	tcase_add_test(tcase, answered_too_early);
	tcase_add_test(tcase, another_thread_sends_the_rest);
	tcase_add_test(tcase, failed_in_the_middle);
	tcase_add_test(tcase, many_threads_send_much);
	tcase_add_test(tcase, said_before_a_sleep);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
