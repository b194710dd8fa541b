/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-storm.c - both ends of a connection send 10,000 requests each that cross, from several threads; by one
 * socket, and by two.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/conn.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/wire_peer.h"
#include "../../lib/suite.h"

#define REQUESTS 10000
#define WINDOW 64
#define CALLERS 3
#define TICK 20 /* milliseconds; a caller may answer what the other thread waits for */

/* Data of request number i: mostly small, some larger than the socket takes at once. */
static uint32_t size_of(unsigned i)
{
	return i % 97 == 0 ? 100000 : i % 7 * 500 + 4;
}

struct end {
	struct vfui_conn *conn;
	bool is_server;
	unsigned sent;
	atomic_uint answered, served, failed;
	atomic_bool *stop;
};

struct ask {
	struct end *end;
	uint32_t count;
	uint16_t seed;
	uint8_t data[100000];
};

/* Answers REGION_READ or DMA_READ with a pattern that the address tells. */
static void serve(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg)
{
	static _Thread_local struct peer_msg answer;
	struct end *end = ctx;
	struct vfu_err err;
	struct iovec iov[2];
	struct vfu_wire_dma_read_request dma;
	struct vfu_wire_region_read_request region;
	uint32_t count;

	ck_assert_int_eq(vfui_conn_check(conn, msg, &err), 0);
	memcpy(&dma, msg->payload, sizeof(dma));
	memcpy(&region, msg->payload, sizeof(region));
	count = end->is_server ? region.count : (uint32_t)dma.count;
	peer_build(&answer, (uint16_t)dma.address, 0, 0, NULL, count);
	iov[0] = (struct iovec){(void *)(uintptr_t)msg->payload, 16};
	iov[1] = (struct iovec){answer.payload, count};
	ck_assert_int_eq(vfui_conn_reply(conn, &msg->hdr, 0, iov, 2, NULL, 0), 0);
	end->served++;
}

static const struct vfui_conn_ops ops = {.command = serve};

static unsigned command_of(const struct end *end)
{
	return end->is_server ? VFU_WIRE_CMD_DMA_READ : VFU_WIRE_CMD_REGION_READ;
}

/* The fixed part of either kind of read. */
static void fill(const struct end *end, uint8_t in[16], uint64_t address, uint32_t count)
{
	const struct vfu_wire_dma_read_request dma = {.address = address, .count = count};
	const struct vfu_wire_region_read_request region = {.offset = address, .count = count};

	memcpy(in, end->is_server ? (const void *)&dma : &region, 16);
}

static void ask_done(void *user, int status, struct vfui_msg *reply)
{
	struct ask *ask = user;

	if (status != 0 || reply == NULL || !peer_is_pattern(ask->data, ask->count, ask->seed))
		ask->end->failed++;
	ask->end->answered++;
	free(ask);
}

static bool send_one(struct end *end)
{
	struct ask *ask = malloc(sizeof(*ask));
	uint8_t in[16];
	struct iovec iov = {in, sizeof(in)};
	struct vfui_out out = {.command = command_of(end),
			       .iov = &iov,
			       .niov = 1,
			       .timeout_ms = 0,
			       .done = ask_done,
			       .user = ask};
	int r;

	ck_assert_ptr_nonnull(ask);
	ask->end = end;
	ask->seed = (uint16_t)end->sent;
	ask->count = size_of(end->sent);
	fill(end, in, ask->seed, ask->count);
	out.sink = ask->data;
	out.sink_skip = 16;
	out.sink_len = sizeof(ask->data);
	r = vfui_conn_send(end->conn, &out);
	if (r == 0) {
		end->sent++;
		return true;
	}
	ck_assert_int_eq(r, -ENOBUFS);
	free(ask);
	return false;
}

/* One thread of an end: keeps a window of requests in flight until all are answered, and serves. */
static void *run_end(void *arg)
{
	struct end *end = arg;

	while (end->answered < REQUESTS || !*end->stop) {
		int r;

		while (end->sent < REQUESTS && end->sent - end->answered < WINDOW &&
		       send_one(end)) {}
		if (end->is_server) {
			r = vfui_conn_process_wait(end->conn, 0, TICK);
		} else {
			struct pollfd pfds[VFUI_CONN_PFDS];
			int n = vfui_conn_pollfds(end->conn, pfds, VFUI_CONN_PFDS);
			int timeout = vfui_conn_timeout(end->conn);

			poll(pfds, (nfds_t)n, timeout < 0 || timeout > TICK ? TICK : timeout);
			r = vfui_conn_process(end->conn, 0);
		}
		ck_assert(r >= 0 || r == -EINTR);
	}
	return NULL;
}

/* A thread that only makes blocking calls, on the same connection. */
static void *run_caller(void *arg)
{
	static _Thread_local uint8_t data[100000];
	struct end *end = arg;

	for (unsigned i = 0; i < REQUESTS / 10; i++) {
		uint32_t count = size_of(i * 13);
		struct vfui_call call = {.reply_tail = data,
					 .reply_room = sizeof(data),
					 .plain_tail = true,
					 .timeout_ms = 0};
		uint8_t in[16], out[16];

		fill(end, in, i, count);
		ck_assert(vfui_conn_call(end->conn, command_of(end), &call, in, sizeof(in), out,
					 sizeof(out)) == 0);
		ck_assert(call.reply_len == count);
		ck_assert(peer_is_pattern(data, count, (uint16_t)i));
	}
	return NULL;
}

static struct vfui_conn *make_conn(int fd, bool server, void *ctx)
{
	struct vfui_conn_options options;
	struct vfui_conn *conn;

	vfui_conn_options_init(&options);
	conn = vfui_conn_new(fd, server, &options, &ops, ctx);
	ck_assert_ptr_nonnull(conn);
	return conn;
}

START_TEST(crossing_requests)
{
	bool has_twin = _i == 1;
	atomic_bool stop = false;
	struct end ends[2] = {{.stop = &stop}, {.is_server = true, .stop = &stop}};
	pthread_t threads[2], callers[CALLERS];
	int fds[2], twins[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, twins), 0);
	for (unsigned i = 0; i < 2; i++) {
		ends[i].conn = make_conn(fds[i], ends[i].is_server, &ends[i]);
		if (has_twin)
			ck_assert_int_eq(vfui_conn_set_twin(ends[i].conn, twins[i]), 0);
		else
			close(twins[i]);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_end, &ends[i]), 0);
	}
	for (unsigned i = 0; i < CALLERS; i++)
		pthread_create(&callers[i], NULL, run_caller, &ends[0]);
	for (unsigned i = 0; i < CALLERS; i++)
		pthread_join(callers[i], NULL);
	while (ends[0].answered < REQUESTS || ends[1].answered < REQUESTS)
		poll(NULL, 0, 5);
	stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	ck_assert_uint_eq(ends[0].failed, 0);
	ck_assert_uint_eq(ends[1].failed, 0);
	ck_assert_uint_eq(ends[0].served, REQUESTS);
	ck_assert_uint_eq(ends[1].served, REQUESTS + CALLERS * (REQUESTS / 10));
	vfui_conn_free(ends[0].conn);
	vfui_conn_free(ends[1].conn);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storm");
	TCase *tcase = tcase_create("storm");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, crossing_requests, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
