/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-deviating.c - the client and servers that do not keep to the text, but are in use.
 *
 *	by default	replies of MIG_DATA that are longer than their data, error replies with a payload, entries of
 *			48 bytes: they are understood
 *	libvfio-user	a region write of 256 KiB would end the connection: none is sent
 *	one-at-a-time	a second command before the first is answered would be the end, and so would one that the
 *			server does not know, whose payload it takes for the next header: none is sent
 *	options		a server takes less than it says
 *
 * The servers here behave so: each of them ends the connection, or fails the test, where its like would.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"

enum { READS = 200, READERS = 4, BIG = 262144 };

static const char one_mib[] =
	"{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576}}";

static struct script far;
static struct vfu_client *cl;
static uint8_t data[BIG];
static uint32_t largest;  /* payload that the server has got */
static unsigned requests; /* but for VERSION */

static void setup(void)
{
	memset(&far, 0, sizeof(far));
	far.json = one_mib;
	largest = requests = 0;
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

static const char *last_text(void)
{
	static struct vfu_err err;

	vfu_client_err(cl, &err);
	return err.text;
}

/* The next request, whichever it is; false: the end. */
static bool next(struct script *s)
{
	while (s->nfds)
		close(s->fds[--s->nfds]);
	if (!peer_get(s->fd, &s->msg, s->fds, &s->nfds))
		return false;
	requests++;
	if (s->msg.hdr.size > largest)
		largest = s->msg.hdr.size;
	return true;
}

/* Answers an access, or anything whose answer has no payload, or that of the request. */
static void answer(struct script *s)
{
	static uint8_t reply[16 + 131072];
	uint16_t command = s->msg.hdr.command;
	size_t len = command == VFU_WIRE_CMD_DMA_UNMAP ? 24 : 0;

	if (s->msg.hdr.flags & VFU_WIRE_HEADER_NO_REPLY)
		return;
	if (command == VFU_WIRE_CMD_REGION_READ)
		len = 16 + script_u32(s, 12);
	if (command == VFU_WIRE_CMD_REGION_WRITE)
		len = 16;
	memset(reply, 0x5a, len);
	memcpy(reply, s->msg.payload, command == VFU_WIRE_CMD_DMA_UNMAP ? 24 : 16);
	script_reply(s, reply, len);
}

/* ---- understood by default ---- */

static void pads_its_state(struct script *s)
{
	uint32_t reply[32] = {8 + 10, 10};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_MIG_DATA_READ);
	script_reply(s, reply, sizeof(reply));
	script_get(s, VFU_WIRE_CMD_MIG_DATA_WRITE);
	reply[1] = 4;
	script_reply(s, reply, 8);
	script_end(s);
}

START_TEST(state_may_be_padded)
{
	uint32_t in[3] = {8 + 100, 100};
	struct vfu_call call = {.size = sizeof(call),
				.command = VFU_WIRE_CMD_MIG_DATA_READ,
				.request = in,
				.request_len = 8};

	script_connect(&far, cl, pads_its_state);
	ck_assert_int_eq(vfu_client_call(cl, &call), 0);
	ck_assert_uint_ge(call.reply_len, 18);
	vfu_call_fini(&call);
	in[1] = 4;
	call.command = VFU_WIRE_CMD_MIG_DATA_WRITE;
	call.request_len = sizeof(in);
	ck_assert_int_eq(vfu_client_call(cl, &call), 0);
	vfu_call_fini(&call);
	finish();
}
END_TEST

static void explains_errors(struct script *s)
{
	static const uint8_t why[24] = "there is no such region";

	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	peer_put(s->fd, s->msg.hdr.id, s->msg.hdr.command,
		 VFU_WIRE_HEADER_TYPE_REPLY | VFU_WIRE_HEADER_ERROR, EFAULT, why, sizeof(why));
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	answer(s);
	script_end(s);
}

START_TEST(errors_may_have_a_payload)
{
	script_connect(&far, cl, explains_errors);
	ck_assert_int_eq(vfu_client_region_read(cl, 9, 0, data, 4), -EFAULT);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, data, 4), 0);
	ck_assert_uint_eq(data[3], 0x5a);
	finish();
}
END_TEST

static void has_long_entries(struct script *s)
{
	const struct vfu_wire_get_region_info_reply info = {
		.argsz = sizeof(info), .flags = VFU_REGION_WRITE, .size = 4096};
	struct {
		struct vfu_wire_get_region_io_fds_reply head;
		struct vfu_wire_io_fd_shadow entry[2];
	} reply = {{.argsz = sizeof(reply), .count = 2},
		   {{.gpa_offset = 16, .size = 4, .datamatch = 0x77, .flags = 1},
		    {.gpa_offset = 32, .size = 8, .type = 2, .shadow_offset = 64, .datamatch = 1}}};
	int fd = peer_fd();

	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_REGION_INFO);
	script_reply(s, &info, sizeof(info));
	script_get(s, VFU_WIRE_CMD_GET_REGION_IO_FDS);
	script_reply_fds(s, &reply, sizeof(reply), &fd, 1);
	close(fd);
	script_end(s);
}

START_TEST(entries_may_be_longer)
{
	struct vfu_io_fds fds;

	script_connect(&far, cl, has_long_entries);
	ck_assert_int_eq(vfu_client_io_fds(cl, 0, &fds), 0);
	ck_assert_uint_eq(fds.n, 2);
	ck_assert_uint_eq(fds.list[0].datamatch, 0x77);
	ck_assert_int_eq(fds.list[0].shadow_fd, -1);
	ck_assert_uint_eq(fds.list[1].shadow_offset, 64);
	ck_assert_int_ge(fds.list[1].shadow_fd, 0);
	vfu_io_fds_fini(&fds);
	finish();
}
END_TEST

/* ---- less than it says ---- */

/* The end comes at messages that it can not take in one piece, though it said 1 MiB. */
static void chokes(struct script *s)
{
	struct vfu_wire_header hdr;

	script_version(s);
	while (recv(s->fd, &hdr, sizeof(hdr), MSG_PEEK | MSG_WAITALL) == sizeof(hdr) &&
	       hdr.size <= sizeof(s->msg) && next(s))
		answer(s);
}

START_TEST(one_write_is_too_large)
{
	script_connect(&far, cl, chokes);
	ck_assert_int_eq(vfu_client_region_write(cl, 0, 0, data, BIG), -ENOTCONN);
	finish();
}
END_TEST

START_TEST(profile_moves_less)
{
	ck_assert_int_eq(vfu_client_set_profile(cl, "libvfio-user"), 0);
	script_connect(&far, cl, chokes);
	ck_assert_int_eq(vfu_client_region_write(cl, 0, 0, data, BIG), 0);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, data, BIG), 0);
	ck_assert_int_eq(vfu_client_region_write_async(cl, 0, 0, data, BIG, NULL, NULL), -EINVAL);
	ck_assert_int_eq(vfu_client_region_post(cl, 0, 0, data, BIG), 0);
	finish();
	ck_assert_uint_eq(largest, 16 + 16 + 131072);
	ck_assert_uint_eq(requests, 6);
}
END_TEST

START_TEST(option_moves_less)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAX_DATA_XFER_SIZE, 65536), 0);
	script_connect(&far, cl, chokes);
	ck_assert_int_eq(vfu_client_region_write(cl, 0, 0, data, BIG), 0);
	finish();
	ck_assert_uint_eq(largest, 16 + 16 + 65536);
}
END_TEST

static void takes_four(struct script *s)
{
	script_version(s);
	while (next(s)) {
		ck_assert_uint_le(s->nfds, 4);
		script_reply(s, NULL, 0);
	}
}

START_TEST(option_sends_fewer_descriptors)
{
	int fds[16];

	for (unsigned i = 0; i < 16; i++)
		fds[i] = peer_fd();
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAX_MSG_FDS, 4), 0);
	script_connect(&far, cl, takes_four);
	ck_assert_int_eq(vfu_client_irq_set_eventfds(cl, VFU_IRQ_MSIX, 0, 16, fds), 0);
	finish();
	for (unsigned i = 0; i < 16; i++)
		close(fds[i]);
	ck_assert_uint_eq(requests, 4);
}
END_TEST

/* ---- one at a time ---- */

static void connect_one(void (*run)(struct script *s))
{
	ck_assert_int_eq(vfu_client_set_profile(cl, "one-at-a-time"), 0);
	script_connect(&far, cl, run);
}

/* Nothing may come for a while. */
static void expect_silence(struct script *s, int ms)
{
	struct pollfd pfd = {.fd = s->fd, .events = POLLIN};

	ck_assert_int_eq(poll(&pfd, 1, ms), 0);
}

static bool is_basic(unsigned command)
{
	return command < VFU_WIRE_CMD_GET_REGION_IO_FDS || command == VFU_WIRE_CMD_GET_IRQ_INFO ||
	       (command >= VFU_WIRE_CMD_SET_IRQS && command <= VFU_WIRE_CMD_REGION_WRITE) ||
	       command == VFU_WIRE_CMD_RESET;
}

/* Fails where its like would lose the stream. */
static void is_simple(struct script *s)
{
	script_version(s);
	while (next(s)) {
		ck_assert(is_basic(s->msg.hdr.command));
		ck_assert_uint_eq(s->msg.hdr.flags, 0);
		if (s->msg.hdr.command == VFU_WIRE_CMD_SET_IRQS)
			ck_assert_uint_eq(script_u32(s, 4) & VFU_WIRE_IRQ_SET_DATA_BOOL, 0);
		if (requests % 16 == 0)
			expect_silence(s, 1);
		ck_assert_uint_eq(peer_waiting(s->fd), 0);
		answer(s);
	}
}

static void *read_often(void *arg)
{
	uint32_t value;

	(void)arg;
	for (unsigned i = 0; i < READS; i++)
		ck_assert(vfu_client_region_read(cl, 0, 0, &value, sizeof(value)) == 0);
	return NULL;
}

START_TEST(threads_take_turns)
{
	pthread_t threads[READERS];

	connect_one(is_simple);
	for (unsigned i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, read_often, NULL), 0);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	finish();
	ck_assert_uint_eq(requests, READERS * READS);
}
END_TEST

START_TEST(nothing_goes_in_numbers)
{
	static const uint8_t which[8] = {1, 1, 0, 0, 1, 0, 1, 1};
	struct vfu_call post = {.size = sizeof(post),
				.command = 1000,
				.request = which,
				.request_len = sizeof(which),
				.post = true};

	connect_one(is_simple);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(vfu_client_region_post(cl, 0, 0, &i, sizeof(i)), 0);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(vfu_client_dma_map_nowait(cl, i * 4096, 4096, VFU_DMA_READ, data,
							   -1, 0),
				 0);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, 0, 4096), 0);
	ck_assert_int_eq(vfu_client_irq_do(cl, VFU_IRQ_MSIX, VFU_IRQ_DO_TRIGGER, 0, 8, which), 0);
	ck_assert_int_eq(vfu_client_call(cl, &post), -ENOSYS);
	finish();
	ck_assert_uint_eq(requests, 20 + 20 + 1 + 3);
}
END_TEST

static void count(void *user, int status)
{
	ck_assert_int_eq(status, 4);
	++*(unsigned *)user;
}

START_TEST(another_has_no_room)
{
	unsigned done = 0;
	uint32_t value;
	struct vfu_call post = {.size = sizeof(post),
				.command = 1000,
				.request = &value,
				.request_len = sizeof(value),
				.post = true};

	connect_one(is_simple);
	ck_assert_int_eq(vfu_client_call_async(cl, &post, NULL, NULL), -ENOSYS);
	ck_assert_ptr_nonnull(strstr(last_text(), "not sent"));
	ck_assert_int_eq(vfu_client_region_read_async(cl, 0, 0, &value, 4, count, &done), 0);
	ck_assert_int_eq(vfu_client_region_read_async(cl, 0, 0, &value, 4, count, &done), -ENOBUFS);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &value, 4), 0);
	ck_assert_uint_eq(done, 1);
	finish();
	ck_assert_uint_eq(requests, 2);
}
END_TEST

static void takes_a_post(struct script *s)
{
	script_version(s);
	script_get(s, 1000);
	ck_assert_uint_eq(s->msg.hdr.flags, 0);
	script_end(s);
}

/* It is a request there, but not one that its caller knows of. */
START_TEST(a_post_can_not_be_given_up)
{
	struct vfu_call post = {.size = sizeof(post), .command = 1000, .post = true, .id = 1};

	ck_assert_int_eq(vfu_client_set_policy(cl, "outstanding", "one"), 0);
	script_connect(&far, cl, takes_a_post);
	ck_assert_int_eq(vfu_client_call_async(cl, &post, NULL, NULL), 0);
	ck_assert_uint_eq(post.id, 0);
	finish();
}
END_TEST

START_TEST(what_it_may_not_know_is_not_sent)
{
	struct vfu_call call = {.size = sizeof(call), .command = 1000};
	uint8_t feature[64];
	size_t len = sizeof(feature);

	connect_one(is_simple);
	ck_assert_int_eq(vfu_client_feature(cl, VFU_WIRE_FEATURE_GET | 1, feature, &len), -ENOSYS);
	ck_assert_ptr_nonnull(strstr(last_text(), "device_feature: not sent"));
	ck_assert_int_eq(vfu_client_call(cl, &call), -ENOSYS);
	ck_assert_ptr_nonnull(strstr(last_text(), "unknown_command: not sent"));
	call.command = VFU_WIRE_CMD_GET_REGION_IO_FDS;
	call.request = &(struct vfu_wire_get_region_io_fds_request){.argsz = 4096};
	call.request_len = sizeof(struct vfu_wire_get_region_io_fds_request);
	ck_assert_int_eq(vfu_client_call(cl, &call), -ENOSYS);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
	ck_assert_uint_eq(requests, 1);
}
END_TEST

static void is_late(struct script *s)
{
	script_version(s);
	ck_assert(next(s));
	expect_silence(s, 200);
	answer(s);
	ck_assert(next(s));
	answer(s);
	script_end(s);
}

/* An answer that nobody waits for any more is one to wait for. */
START_TEST(late_answers_count)
{
	struct vfu_stats stats;
	uint32_t value;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 5000), 0);
	connect_one(is_late);
	{
		struct vfu_call call = {.size = sizeof(call),
					.command = VFU_WIRE_CMD_GET_INFO,
					.request = &(struct vfu_wire_get_info_request){.argsz = 16},
					.request_len = 16,
					.timeout_ms = 20};

		ck_assert_int_eq(vfu_client_call(cl, &call), -ETIMEDOUT);
	}
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &value, 4), 0);
	vfu_client_stats(cl, &stats);
	ck_assert_uint_eq(stats.late_replies, 1);
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("deviating");
	TCase *tcase = tcase_create("deviating");

	tcase_set_timeout(tcase, 60);
	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, state_may_be_padded);
	tcase_add_test(tcase, errors_may_have_a_payload);
	tcase_add_test(tcase, entries_may_be_longer);
	tcase_add_test(tcase, one_write_is_too_large);
	tcase_add_test(tcase, profile_moves_less);
	tcase_add_test(tcase, option_moves_less);
	tcase_add_test(tcase, option_sends_fewer_descriptors);
	tcase_add_test(tcase, threads_take_turns);
	tcase_add_test(tcase, nothing_goes_in_numbers);
	tcase_add_test(tcase, another_has_no_room);
	tcase_add_test(tcase, a_post_can_not_be_given_up);
	tcase_add_test(tcase, what_it_may_not_know_is_not_sent);
	tcase_add_test(tcase, late_answers_count);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
