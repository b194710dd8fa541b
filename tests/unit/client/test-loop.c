/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-loop.c - a client in somebody else's event loop: calls that end in a callback, and one thread that
 * reads for all others.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"
#include "vfu.h"

enum { ECHO = 4242, SILENT = 4243, REFUSED = 4244, CALLERS = 4, CALLS = 200 };
enum { PAGE = 4096, AT = 0x100000 };

static struct vfu_device *dev;
static struct vfu_server *srv;
static struct vfu_client *cl;
static pthread_t server_thread, main_thread;
static struct vfu_request *kept; /* of SILENT: answered never */
static atomic_uint silent;
static atomic_uint copies,
	elsewhere; /* DMA that was served, and what of it by another thread than main's */
static uint8_t data[16];

/* ---- the device ---- */

/* The payload comes back, with the descriptors. */
static int echo(void *user, struct vfu_request *req)
{
	int fds[4];
	unsigned n = vfu_request_fds(req);
	struct vfu_err err;
	size_t len;
	const void *payload = vfu_request_payload(req, &len);
	int ret;

	(void)user;
	for (unsigned i = 0; i < n; i++)
		fds[i] = vfu_request_take_fd(req, i);
	ret = vfu_request_reply(req, payload, len, fds, n, &err);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	return ret;
}

static int say_nothing(void *user, struct vfu_request *req)
{
	(void)user;
	kept = vfu_request_defer(req);
	atomic_fetch_add(&silent, 1);
	return VFU_LATER;
}

static int refuse(void *user, struct vfu_request *req)
{
	(void)user;
	(void)req;
	return -EDOM;
}

static void copied(void *user, int status)
{
	(void)user;
	ck_assert_int_eq(status, 0);
	atomic_fetch_add(&copies, 1);
}

/* A write has the device write to the client's memory. */
static int bar0(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	(void)user;
	(void)req;
	if (!a->is_write)
		memset(a->data, 0x5a, a->count);
	else
		ck_assert_int_eq(vfu_dma_write_async(dev, AT, data, sizeof(data), copied, NULL), 0);
	return 0;
}

static void *serve(void *arg)
{
	(void)arg;
	ck_assert(vfu_server_run(srv) == 0);
	return NULL;
}

static void make_device(int fd)
{
	struct vfu_region regs = {.size = PAGE,
				  .flags = VFU_REGION_READ | VFU_REGION_WRITE,
				  .access = bar0,
				  .fd = -1};

	dev = vfu_device_new();
	ck_assert_ptr_nonnull(dev);
	ck_assert_int_eq(vfu_device_set_region(dev, 0, &regs), 0);
	ck_assert_int_eq(vfu_device_set_command(dev, ECHO, echo, NULL), 0);
	ck_assert_int_eq(vfu_device_set_command(dev, SILENT, say_nothing, NULL), 0);
	ck_assert_int_eq(vfu_device_set_command(dev, REFUSED, refuse, NULL), 0);
	srv = vfu_server_new(dev);
	ck_assert_ptr_nonnull(srv);
	ck_assert_int_eq(vfu_server_listen_inherited(srv, fd), 0);
	ck_assert_int_eq(pthread_create(&server_thread, NULL, serve, NULL), 0);
}

/* ---- the client ---- */

static int serve_dma(void *user, bool is_write, uint64_t iova, void *bytes, size_t len)
{
	(void)user;
	(void)iova;
	(void)bytes;
	(void)len;
	if (!is_write || !pthread_equal(pthread_self(), main_thread))
		atomic_fetch_add(&elsewhere, 1);
	return 0;
}

static void setup(void)
{
	int fds[2];

	main_thread = pthread_self();
	kept = NULL;
	atomic_store(&silent, 0);
	atomic_store(&copies, 0);
	atomic_store(&elsewhere, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	make_device(fds[1]);
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 100000), 0);
	ck_assert_int_eq(vfu_client_attach(cl, fds[0]), 0);
	vfu_client_set_dma(cl, serve_dma, NULL);
	ck_assert_int_eq(vfu_client_dma_map(cl, AT, PAGE, VFU_DMA_WRITE, NULL, -1, 0), 0);
}

static void teardown(void)
{
	vfu_client_free(cl);
	pthread_join(server_thread, NULL);
	if (kept)
		vfu_request_done(kept, 0);
	vfu_server_free(srv);
	ck_assert_int_eq(vfu_device_free(dev), 0);
}

/* One round of the loop. */
static int turn(void)
{
	struct pollfd pfds[4];
	int n = vfu_client_pollfds(cl, pfds, 4);
	int timeout = vfu_client_timeout(cl);

	ck_assert_int_gt(n, 0);
	poll(pfds, (nfds_t)n, timeout < 0 || timeout > 20 ? 20 : timeout);
	return vfu_client_process(cl, 0);
}

/* ---- calls with a callback ---- */

struct end {
	unsigned n; /* how often it was told */
	int status, fd;
	size_t len;
	uint8_t said[8];
	bool takes;
};

static void ended(void *user, int status, struct vfu_call *answer)
{
	struct end *end = user;

	ck_assert(pthread_equal(pthread_self(), main_thread));
	end->n++;
	end->status = status;
	end->len = answer->reply_len;
	if (answer->reply)
		memcpy(end->said, answer->reply, answer->reply_len < 8 ? answer->reply_len : 8);
	end->fd = -1;
	if (end->takes && answer->reply_nfds) {
		end->fd = answer->reply_fds[0];
		answer->reply_fds[0] = -1;
	}
}

static int start(unsigned command, struct end *end)
{
	struct vfu_call call = {
		.size = sizeof(call), .command = command, .request = "what?", .request_len = 5};

	return vfu_client_call_async(cl, &call, ended, end);
}

static void run_until(struct end *end)
{
	while (!end->n)
		ck_assert_int_ge(turn(), 0);
}

START_TEST(answered)
{
	struct end end[3] = {{0}};

	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(start(i < 2 ? ECHO : REFUSED, &end[i]), 0);
	ck_assert_uint_eq(end[0].n, 0);
	for (unsigned i = 0; i < 3; i++)
		run_until(&end[i]);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(end[i].status, 0);
		ck_assert_uint_eq(end[i].len, 5);
		ck_assert_mem_eq(end[i].said, "what?", 5);
	}
	ck_assert_int_eq(end[2].status, -EDOM);
	ck_assert_uint_eq(end[2].len, 0);
	ck_assert_uint_eq(end[0].n + end[1].n + end[2].n, 3);
}
END_TEST

/* They are closed if nobody takes them: leaks_watch. */
START_TEST(descriptors)
{
	int fd = dup(2);
	struct end end[2] = {{0}, {.takes = true}};
	struct vfu_call call = {.size = sizeof(call), .command = ECHO, .fds = &fd, .nfds = 1};

	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(vfu_client_call_async(cl, &call, ended, &end[i]), 0);
	close(fd);
	run_until(&end[0]);
	run_until(&end[1]);
	ck_assert_int_eq(end[0].status | end[1].status, 0);
	ck_assert_int_ge(end[1].fd, 0);
	close(end[1].fd);
}
END_TEST

START_TEST(never_sent)
{
	struct vfu_call call = {.size = sizeof(call), .command = 2};
	struct end end = {0};
	struct vfu_err err;

	ck_assert_int_eq(vfu_client_call_async(cl, &call, ended, &end), -EOPNOTSUPP);
	call.command = 5; /* GET_REGION_INFO, which is longer */
	ck_assert_int_eq(vfu_client_call_async(cl, &call, ended, &end), -EINVAL);
	vfu_client_err(cl, &err);
	ck_assert_int_eq(err.code, -EINVAL);
	ck_assert(err.text[0]);
	call.size = 1;
	ck_assert_int_eq(vfu_client_call_async(cl, &call, ended, &end), -EINVAL);
	vfu_client_disconnect(cl);
	ck_assert_int_eq(start(ECHO, &end), -ENOTCONN);
	ck_assert_uint_eq(end.n, 0);
}
END_TEST

static int start_echo(void)
{
	static struct end end;
	int ret;

	end.n = 0;
	ret = start(ECHO, &end);
	if (!ret)
		run_until(&end);
	return ret;
}

START_TEST(memory)
{
	static struct end silent_end;

	/* What is needed once is there, and what is used again is in use. */
	ck_assert_int_eq(start_echo(), 0);
	ck_assert_int_eq(start(SILENT, &silent_end), 0);
	while (!atomic_load(&silent)) /* the server's memory is none of it */
		sched_yield();
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	ck_assert_int_eq(start_echo(), -ENOMEM);
	fault_reset();
	ck_assert_int_eq(start_echo(), 0);
}
END_TEST

START_TEST(late)
{
	struct vfu_call call = {.size = sizeof(call), .command = SILENT, .timeout_ms = 1};
	struct end end = {0};

	ck_assert_int_eq(vfu_client_call_async(cl, &call, ended, &end), 0);
	run_until(&end);
	ck_assert_int_eq(end.status, -ETIMEDOUT);
}
END_TEST

/* What the device answers all the same is dropped, and those behind it have theirs. */
START_TEST(cancelled)
{
	struct vfu_call call = {.size = sizeof(call), .command = SILENT};
	struct end end = {0}, other = {0};
	struct vfu_stats stats;

	ck_assert_int_eq(vfu_client_call_async(cl, &call, ended, &end), 0);
	ck_assert_uint_ne(call.id, 0);
	while (!atomic_load(&silent))
		ck_assert_int_ge(turn(), 0);
	ck_assert_int_eq(vfu_client_cancel(cl, call.id), 0);
	ck_assert_int_eq(vfu_client_cancel(cl, call.id), -ENOENT);
	vfu_request_done(kept, 0);
	kept = NULL;
	ck_assert_int_eq(start(ECHO, &other), 0);
	run_until(&other);
	ck_assert_uint_eq(end.n, 0);
	vfu_client_stats(cl, &stats);
	ck_assert_uint_eq(stats.late_replies, 1);
	call.command = ECHO;
	ck_assert_int_eq(vfu_client_call_async(cl, &call, ended, &end), 0);
	run_until(&end);
	ck_assert_int_eq(end.status, 0);
	ck_assert_int_eq(vfu_client_cancel(cl, call.id), -ENOENT);
}
END_TEST

/* Each is told of the end of the connection, once. */
START_TEST(ends_with_the_connection)
{
	struct end end = {0};

	ck_assert_int_eq(start(SILENT, &end), 0);
	while (!atomic_load(&silent))
		turn();
	vfu_client_disconnect(cl);
	ck_assert_uint_eq(end.n, 1);
	ck_assert_int_eq(end.status, -ENOTCONN);
}
END_TEST

/* ---- one thread reads ---- */

static atomic_uint finished;

/* Calls that wait, and one that makes the device use memory. */
static void *call(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < CALLS; i++) {
		uint32_t value = 0;

		ck_assert(vfu_client_region_read(cl, 0, 0, &value, 4) == 0);
		ck_assert(value == 0x5a5a5a5a);
		ck_assert(vfu_client_region_write(cl, 0, 0, &value, 4) == 0);
	}
	atomic_fetch_add(&finished, 1);
	return NULL;
}

static void start_callers(pthread_t *threads)
{
	atomic_store(&finished, 0);
	for (unsigned i = 0; i < CALLERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, call, NULL), 0);
}

static void join_callers(const pthread_t *threads)
{
	for (unsigned i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
}

START_TEST(one_reader)
{
	pthread_t threads[CALLERS];
	uint32_t value;

	ck_assert_int_eq(vfu_client_set_reader(cl, true), 0);
	start_callers(threads);
	while (atomic_load(&finished) < CALLERS || atomic_load(&copies) < CALLERS * CALLS)
		ck_assert_int_ge(turn(), 0);
	join_callers(threads);
	ck_assert_uint_eq(atomic_load(&elsewhere), 0);
	/* Its own calls read, too. */
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &value, 4), 0);
}
END_TEST

/* Those who sleep meanwhile read when it gives that up. */
START_TEST(given_up)
{
	pthread_t threads[CALLERS];

	ck_assert_int_eq(vfu_client_set_reader(cl, true), 0);
	start_callers(threads);
	turn();
	ck_assert_uint_eq(atomic_load(&finished), 0);
	ck_assert_int_eq(vfu_client_set_reader(cl, false), 0);
	join_callers(threads);
	ck_assert_uint_eq(atomic_load(&finished), CALLERS);
}
END_TEST

/* Of the loop's descriptor nothing is left once the connection has ended; the next has one, too. */
START_TEST(descriptor)
{
	int fd = vfu_client_fd(cl);
	unsigned open_fds = leaks_open_fds();

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(vfu_client_fd(cl), fd);
	vfu_client_disconnect(cl);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_uint_lt(leaks_open_fds(), open_fds);
	ck_assert_int_eq(vfu_client_fd(cl), -ENOTCONN);
}
END_TEST

static void *call_in_vain(void *arg)
{
	uint32_t value;

	*(int *)arg = vfu_client_region_read(cl, 0, 0, &value, 4);
	return NULL;
}

/* The end of the connection reaches them without the one that reads. */
START_TEST(ended_meanwhile)
{
	struct vfu_stats stats;
	pthread_t thread;
	int status = 0;
	uint64_t before;

	ck_assert_int_eq(vfu_client_set_reader(cl, true), 0);
	vfu_client_stats(cl, &stats);
	before = stats.requests_out;
	ck_assert_int_eq(pthread_create(&thread, NULL, call_in_vain, &status), 0);
	do
		vfu_client_stats(cl, &stats);
	while (stats.requests_out == before);
	vfu_client_disconnect(cl);
	pthread_join(thread, NULL);
	ck_assert_int_eq(status, -ENOTCONN);
}
END_TEST

/* It is the client's, not the connection's. */
START_TEST(next_connection)
{
	struct vfu_stats stats;
	pthread_t thread;
	int fds[2], status = 1;
	uint64_t before;

	ck_assert_int_eq(vfu_client_set_reader(cl, true), 0);
	vfu_client_disconnect(cl);
	pthread_join(server_thread, NULL);
	vfu_server_free(srv);
	vfu_device_free(dev);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	make_device(fds[1]);
	ck_assert_int_eq(vfu_client_attach(cl, fds[0]), 0);
	vfu_client_stats(cl, &stats);
	before = stats.requests_out;
	ck_assert_int_eq(pthread_create(&thread, NULL, call_in_vain, &status), 0);
	do
		vfu_client_stats(cl, &stats);
	while (stats.requests_out == before);
	while (turn() == 0) {}
	pthread_join(thread, NULL);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loop");
	TCase *calls = tcase_create("calls with a callback");
	TCase *reader = tcase_create("one thread reads");

	leaks_watch(calls);
	tcase_add_checked_fixture(calls, setup, teardown);
	tcase_add_test(calls, answered);
	tcase_add_test(calls, descriptors);
	tcase_add_test(calls, never_sent);
	tcase_add_test(calls, memory);
	tcase_add_test(calls, late);
	tcase_add_test(calls, cancelled);
	tcase_add_test(calls, ends_with_the_connection);
	leaks_watch(reader);
	tcase_add_checked_fixture(reader, setup, teardown);
	tcase_set_timeout(reader, 60);
	tcase_add_test(reader, one_reader);
	tcase_add_test(reader, descriptor);
	tcase_add_test(reader, given_up);
	tcase_add_test(reader, ended_meanwhile);
	tcase_add_test(reader, next_connection);
	suite_add_tcase(suite, calls);
	suite_add_tcase(suite, reader);
	return run_suite(suite);
}
