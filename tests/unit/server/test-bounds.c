/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-bounds.c - what a client can make a server keep: bytes and descriptors of requests that are held
 * back, answered later or not read by it, and what happens at the limit.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_connect(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

static int gate_result;

static int gate(void *user, enum vfu_gate what)
{
	(void)user, (void)what;
	return gate_result;
}

static void use_gate(int result)
{
	gate_result = result;
	rig_set_hooks(&rig, gate);
}

static const struct rig_map one_page = {.argsz = 32, .flags = 3, .address = 0x4000, .size = 4096};

static struct vfu_request *later[1024];
static unsigned nlater;

/* Offsets from 0x100 on are answered later. */
static int defer(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct rig *r = user;

	if (access->offset < 0x100) {
		if (!access->is_write)
			memset(access->data, 0x11, access->count);
		r->writes += access->is_write;
		return 0;
	}
	later[nlater] = vfu_request_defer(req);
	ck_assert_ptr_nonnull(later[nlater++]);
	return VFU_LATER;
}

static void use_defer(void)
{
	nlater = 0;
	rig.bar0 = defer;
}

/* How many of these, at most n, the server takes without an answer to any. */
static unsigned flood(unsigned n, const void *payload, size_t len, uint16_t command)
{
	struct pollfd pfd = {.fd = rig.sock, .events = POLLOUT};
	unsigned i;

	for (i = 0; i < n && poll(&pfd, 1, 0) > 0; i++) {
		rig_send(&rig, command, payload, len);
		rig_pump(&rig);
	}
	return i;
}

/* Descriptors are held with their requests, and they are scarcer than bytes. */
START_TEST(few_descriptors_are_held)
{
	static const struct rig_irqs irqs = {.argsz = 20, .flags = 0x24, .index = 2, .count = 4};
	unsigned before, i;
	int fds[4];

	ck_assert_int_eq(vfu_server_set(rig.srv, VFU_OPT_QUEUE_BYTES, 65536), 0);
	rig_hang_up(&rig);
	rig_connect(&rig);
	use_gate(VFU_LATER);
	for (i = 0; i < 4; i++)
		fds[i] = passed_eventfd(0);
	rig_send(&rig, 2, &one_page, sizeof(one_page));
	rig_pump(&rig);
	before = raw_count_fds();
	for (i = 0; i < 60; i++) {
		rig_send_fds(&rig, 8, &irqs, sizeof(irqs), fds, 4);
		rig_pump(&rig);
	}
	ck_assert_uint_lt(raw_count_fds(), before + 40);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	for (i = 0; i < 61; i++) {
		rig_pump(&rig);
		ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
		ck_assert_uint_eq(rig.msg->flags, RAW_REPLY);
	}
	for (i = 0; i < 4; i++)
		close(fds[i]);
	gate_result = 0;
}
END_TEST

static unsigned map_own_file(unsigned i)
{
	const struct rig_map in = {
		.argsz = 32, .flags = 3 | 8, .address = 0x100000 + i * 4096, .size = 4096};
	int fd = rig_memfd(4096);
	unsigned error = rig_call_fds(&rig, 2, &in, sizeof(in), &fd, 1);

	close(fd);
	return error;
}

static unsigned set_eventfds(unsigned n)
{
	const struct rig_irqs in = {.argsz = 20, .flags = 0x24, .index = 2, .count = n};
	int fd = passed_eventfd(0), fds[] = {fd, fd, fd, fd};
	unsigned error = rig_call_fds(&rig, 8, &in, sizeof(in), fds, n);

	close(fd);
	return error;
}

/* Half of what the process may have, and no more than 1,024. */
START_TEST(few_descriptors_are_kept)
{
	struct rlimit before, few;
	unsigned files = 0, error;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){.rlim_cur = 200, .rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	rig_hang_up(&rig);
	rig_connect(&rig);
	while ((error = map_own_file(files)) == 0)
		files++;
	ck_assert_uint_eq(error, ENOSPC);
	ck_assert_uint_eq(files, 100);
	/* One is freed, and may be used for something else; what takes the place of others may always. */
	ck_assert_uint_eq(set_eventfds(1), ENOSPC);
	ck_assert_uint_eq(rig_unmap(&rig, 0x100000, 8192), 0);
	ck_assert_uint_eq(set_eventfds(3), ENOSPC);
	ck_assert_uint_eq(set_eventfds(2), 0);
	ck_assert_uint_eq(set_eventfds(2), 0);
	ck_assert_uint_eq(map_own_file(0), ENOSPC);
	ck_assert_uint_eq(set_eventfds(0), 0);
	/* The next client has all of it. */
	rig_hang_up(&rig);
	rig_connect(&rig);
	ck_assert_uint_eq(set_eventfds(4), 0);
	for (files = 0; map_own_file(files) == 0; files++)
		;
	ck_assert_uint_eq(files, 96);
	setrlimit(RLIMIT_NOFILE, &before);
}
END_TEST

/* A client that asks for the file of a region time and again and does not read the answers. */
START_TEST(few_descriptors_wait_to_be_sent)
{
	const uint32_t in[8] = {4096, 0, 2};
	unsigned before = raw_count_fds(), i, n;

	n = flood(20000, in, sizeof(in), 5);
	ck_assert_uint_lt(n, 20000);
	ck_assert_uint_lt(raw_count_fds(), before + 100);
	for (i = 0; i < n; i++) {
		rig_pump(&rig);
		ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 100), 1);
		ck_assert_uint_eq(rig.msg->nfds, 1);
		raw_close_fds(rig.msg);
	}
}
END_TEST

START_TEST(little_more_than_the_limit_is_held)
{
	static uint8_t write[16 + 16384];
	const uint32_t where[4] = {0, 0, 1, 16384};
	size_t sent = 0;
	unsigned i;

	ck_assert_int_eq(vfu_server_set(rig.srv, VFU_OPT_QUEUE_BYTES, 65536), 0);
	rig_hang_up(&rig);
	rig_connect(&rig);
	use_gate(VFU_LATER);
	rig_send(&rig, 2, &one_page, sizeof(one_page));
	rig_pump(&rig);
	memcpy(write, where, sizeof(where));
	for (i = 0; i < 200; i++) {
		struct pollfd pfd = {.fd = rig.sock, .events = POLLOUT};

		if (poll(&pfd, 1, 0) == 0)
			break;
		raw_send(rig.sock, (uint16_t)i, 10, 0, write, sizeof(write), NULL, 0);
		sent += sizeof(write);
		rig_pump(&rig);
	}
	/* What a socket and the limit hold, and not 3 MiB. */
	ck_assert_uint_lt(sent, 1500000);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	while (i-- > 0) {
		rig_pump(&rig);
		ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 100), 1);
	}
	gate_result = 0;
}
END_TEST

static void use_small_queue(void)
{
	ck_assert_int_eq(vfu_server_set(rig.srv, VFU_OPT_QUEUE_BYTES, 65536), 0);
	rig_hang_up(&rig);
	rig_connect(&rig);
}

static void answer_all(void)
{
	while (nlater)
		vfu_request_done(later[--nlater], 0);
}

/* A request of 32 bytes buys 3 KiB each; they start as there is room again, in order. */
START_TEST(few_are_answered_later_at_once)
{
	unsigned i, started = 0, answered = 0;

	use_small_queue();
	use_defer();
	for (i = 0; i < 100; i++)
		rig_send_read(&rig, 0, 0x100, 3072);
	rig_send_write(&rig, false, 0, 0, 4, 1);
	rig_silence(&rig);
	while (nlater) {
		ck_assert_uint_le(nlater, 32768 / 3072 + 1);
		started += nlater;
		ck_assert_uint_eq(rig.writes, started == 100);
		answer_all();
		rig_pump(&rig);
		while (raw_recv(rig.sock, rig.msg, 0) == 1)
			answered++;
	}
	ck_assert_uint_eq(started, 100);
	ck_assert_uint_eq(answered, 101);
}
END_TEST

static int defer_command(void *user, struct vfu_request *req)
{
	(void)user;
	later[nlater] = vfu_request_defer(req);
	ck_assert_ptr_nonnull(later[nlater++]);
	return VFU_LATER;
}

/* Descriptors are scarcer than bytes here, too: those of a command stay until it is answered. */
START_TEST(few_descriptors_are_answered_later)
{
	unsigned before, i, started = 0;
	int fds[4];

	ck_assert_int_eq(vfu_device_set_command(rig.dev, 4242, defer_command, NULL), 0);
	use_small_queue();
	nlater = 0;
	for (i = 0; i < 4; i++)
		fds[i] = passed_eventfd(0);
	before = raw_count_fds();
	for (i = 0; i < 40; i++) {
		rig_send_fds(&rig, 4242, NULL, 0, fds, 4);
		rig_pump(&rig);
	}
	ck_assert_uint_lt(raw_count_fds(), before + 40);
	while (nlater) {
		started += nlater;
		answer_all();
		rig_pump(&rig);
		while (raw_recv(rig.sock, rig.msg, 0) == 1)
			ck_assert_uint_eq(rig.msg->flags, RAW_REPLY);
	}
	ck_assert_uint_eq(started, 40);
	ck_assert_uint_eq(raw_count_fds(), before);
	for (i = 0; i < 4; i++)
		close(fds[i]);
}
END_TEST

/* So do the writes of one message. */
START_TEST(few_of_many_writes_are_answered_later_at_once)
{
	const struct rig_write one = {.offset = 0x100, .count = 4};
	static uint8_t in[8 + 2000 * sizeof(one)];
	const uint64_t n = 2000;
	size_t at = raw_put(in, 0, &n, sizeof(n));
	unsigned started = 0;

	while (at < sizeof(in))
		at = raw_put(in, at, &one, sizeof(one));
	use_small_queue();
	use_defer();
	rig_post(&rig, 15, in, sizeof(in));
	rig_silence(&rig);
	while (nlater) {
		ck_assert_uint_le(nlater, 500);
		started += nlater;
		answer_all();
		rig_pump(&rig);
	}
	ck_assert_uint_eq(started, 2000);
}
END_TEST

/* Nothing is read any more; and it is again once there is room, though nobody sends anything. */
START_TEST(reading_stops_and_goes_on)
{
	const struct rig_access in = {.offset = 0x100, .count = 3072};
	unsigned n, answered = 0;

	use_small_queue();
	use_defer();
	n = flood(100000, &in, 16, 9);
	ck_assert_uint_lt(n, 100000);
	/* Not even the loop turns. */
	ck_assert_int_ne(vfu_server_timeout(rig.srv), 0);
	while (nlater) {
		answer_all();
		rig_pump(&rig);
		while (raw_recv(rig.sock, rig.msg, 0) == 1) {
			ck_assert_uint_eq(rig.msg->flags, RAW_REPLY);
			answered++;
		}
	}
	ck_assert_uint_eq(answered, n);
}
END_TEST

/* A client that has gone is seen to be although nothing is read. */
START_TEST(gone_while_nothing_is_read)
{
	const struct rig_access in = {.offset = 0x100, .count = 3072};

	use_small_queue();
	use_defer();
	ck_assert_uint_lt(flood(100000, &in, 16, 9), 100000);
	rig_hang_up(&rig);
	ck_assert_int_eq(vfu_server_conn_fd(rig.srv), -1);
	/* The next is served once the device has let go of what the last one left. */
	rig_connect(&rig);
	rig_send_read(&rig, 0, 0, 4);
	rig_silence(&rig);
	ck_assert_int_gt(vfu_server_timeout(rig.srv), 0);
	answer_all();
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	ck_assert_uint_eq(rig.msg->flags, RAW_REPLY);
}
END_TEST

/* A reply to DMA_READ of 4 bytes: 20 of these. */
struct dma_data {
	uint64_t address, count;
	char data[8];
};

/* A device that copies from the client's memory before it answers: the data comes behind requests. */
static void copied(void *user, int status)
{
	vfu_request_done(user, status);
}

static int copy_first(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct rig *r = user;
	struct vfu_request *mine = vfu_request_defer(req);
	int rc;

	(void)access;
	ck_assert_ptr_nonnull(mine);
	rc = vfu_dma_read_async(r->dev, 0x40000, vfu_request_access(mine)->data, 4, copied, mine);
	if (rc)
		vfu_request_done(mine, rc);
	return VFU_LATER;
}

START_TEST(requests_in_front_of_dma_replies)
{
	static const struct dma_data reply = {.address = 0x40000, .count = 4};
	unsigned i, answered = 0;

	use_small_queue();
	ck_assert_uint_eq(rig_map(&rig, 0x40000, 4096, -1), 0);
	rig.bar0 = copy_first;
	/* More than may start at once, and than may be read at once if it had started. */
	for (i = 0; i < 150; i++)
		rig_send_read(&rig, 0, 0, 4096);
	rig_pump(&rig);
	while (answered < 150) {
		ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 100), 1);
		if (rig.msg->command == 11)
			raw_send(rig.sock, rig.msg->id, 11, RAW_REPLY, &reply, 20, NULL, 0);
		else
			answered++;
		ck_assert_uint_ne(rig.msg->flags, RAW_ERROR_REPLY);
		rig_pump(&rig);
	}
}
END_TEST

/* Works as a loop does that sleeps when nothing says otherwise. */
static void work_if_woken(void)
{
	struct pollfd pfds[4];
	int n;

	do {
		n = vfu_server_pollfds(rig.srv, pfds, 4);
		n = poll(pfds, (nfds_t)n, 0) > 0 || vfu_server_timeout(rig.srv) == 0;
		if (n)
			ck_assert_int_ge(vfu_server_process(rig.srv, 0), 0);
	} while (n);
}

/*
 * Requests of 32 bytes that wait for a gate, and a client that does not read the answers: a few, or so
 * many that nothing is read any more.
 */
START_TEST(held_requests_start_as_their_answers_go)
{
	const struct rig_access in = {.count = 4096};
	unsigned n, many = _i ? 100000 : 300;

	use_small_queue();
	use_gate(VFU_LATER);
	rig_send(&rig, 2, &one_page, sizeof(one_page));
	n = flood(many, &in, 16, 9);
	ck_assert_int_eq(n < many, _i);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	work_if_woken();
	/* As many as the queue and a socket hold. */
	ck_assert_uint_lt(rig.reads, 200);
	for (unsigned i = 0; i < n + 1; i++) {
		work_if_woken();
		ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 100), 1);
	}
	ck_assert_uint_eq(rig.reads, n);
	gate_result = 0;
}
END_TEST

#define ADD(test) tcase_add_test(tcase, test)

static void add_bounds(TCase *tcase)
{
	ADD(few_descriptors_are_held);
	ADD(few_descriptors_are_kept);
	ADD(few_descriptors_wait_to_be_sent);
	ADD(little_more_than_the_limit_is_held);
	ADD(few_are_answered_later_at_once);
	ADD(few_descriptors_are_answered_later);
	ADD(few_of_many_writes_are_answered_later_at_once);
	ADD(reading_stops_and_goes_on);
	ADD(gone_while_nothing_is_read);
	ADD(requests_in_front_of_dma_replies);
	tcase_add_loop_test(tcase, held_requests_start_as_their_answers_go, 0, 2);
}

int main(void)
{
	Suite *suite = suite_create("bounds");
	TCase *tcase = tcase_create("bounds");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	add_bounds(tcase);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
