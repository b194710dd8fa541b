/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-twin.c - a server whose client has a twin socket: message DMA goes by that one, and nothing is said on the
 * main one that overtakes it.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/os_fault.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

#define IOVA 0x40000
#define MS UINT64_C(1000000)
#define DMA_READ 11
#define DMA_WRITE 12

static struct rig rig;
static int twin;
static unsigned done;
static int status;
static uint8_t data[8192];

static void connect_twin(void)
{
	rig_attach(&rig);
	rig_version(&rig, "{\"capabilities\": {\"max_msg_fds\": 8, "
			  "\"twin_socket\": {\"supported\": true}}}");
	ck_assert_uint_eq(rig.msg->nfds, 1);
	twin = rig.msg->fds[0];
	rig.msg->nfds = 0;
	ck_assert_uint_eq(rig_map(&rig, IOVA, 8192, -1), 0);
}

static void setup(void)
{
	fault_reset();
	fault_virtual_time(true);
	rig_open(&rig);
	done = 0;
	connect_twin();
}

static void teardown(void)
{
	if (twin >= 0)
		close(twin);
	rig_close(&rig);
	fault_virtual_time(false);
}

static void dma_done(void *user, int s)
{
	(void)user;
	done++;
	status = s;
}

static void start_write(void)
{
	ck_assert_int_eq(vfu_dma_write_async(rig.dev, IOVA + 4096, data, 64, dma_done, NULL), 0);
	rig_silence(&rig);
}

/* The next message on the twin socket is this, and its id. */
static uint16_t dma_comes(uint16_t command)
{
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(twin, rig.msg, 0), 1);
	ck_assert_uint_eq(rig.msg->command, command);
	ck_assert_uint_eq(rig.msg->flags, 0);
	return rig.msg->id;
}

static void answer_write(uint16_t id)
{
	const uint64_t head[2] = {IOVA + 4096, 64};

	raw_send(twin, id, DMA_WRITE, RAW_REPLY, head, sizeof(head), NULL, 0);
}

static uint16_t send_unmap(void)
{
	const struct rig_unmap in = {.argsz = 24, .address = IOVA, .size = 8192};

	return rig_send(&rig, 3, &in, sizeof(in));
}

/* ---- order ---- */

/* The client may give the memory to somebody else once it has read the answer. */
START_TEST(unmap_waits_for_messages)
{
	uint16_t write, unmap;

	start_write();
	write = dma_comes(DMA_WRITE);
	unmap = send_unmap();
	rig_silence(&rig);
	ck_assert_uint_eq(done, 0);
	answer_write(write);
	ck_assert_uint_eq(rig_reply(&rig, unmap, 3), 0);
	ck_assert_uint_eq(rig.msg->len, 24);
	ck_assert_uint_eq(done, 1);
	ck_assert_int_eq(status, -ECANCELED);
	/* Nothing is under way: then nothing is waited for. */
	ck_assert_uint_eq(rig_map(&rig, IOVA, 8192, -1), 0);
	ck_assert_uint_eq(rig_unmap(&rig, IOVA, 8192), 0);
}
END_TEST

/* By one socket the answer comes behind what was sent, and need not wait. */
START_TEST(with_one_socket_nothing_waits)
{
	uint16_t unmap;

	close(twin);
	twin = -1;
	rig_gone(&rig);
	rig_connect(&rig);
	ck_assert_int_eq(vfu_server_twin_fd(rig.srv), -1);
	ck_assert_uint_eq(rig_map(&rig, IOVA, 8192, -1), 0);
	ck_assert_int_eq(vfu_dma_write_async(rig.dev, IOVA, data, 64, dma_done, NULL), 0);
	rig_pump(&rig);
	unmap = send_unmap();
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	ck_assert_uint_eq(rig.msg->command, DMA_WRITE);
	ck_assert_uint_eq(rig_reply(&rig, unmap, 3), 0);
}
END_TEST

START_TEST(reset_waits_for_messages)
{
	uint16_t write, reset;

	rig_set_hooks(&rig, NULL);
	start_write();
	write = dma_comes(DMA_WRITE);
	reset = rig_send(&rig, 13, NULL, 0);
	rig_silence(&rig);
	/* The device is reset already; only the client has not been told. */
	ck_assert_ptr_nonnull(strstr(rig.calls, "reset"));
	answer_write(write);
	ck_assert_uint_eq(rig_reply(&rig, reset, 13), 0);
	ck_assert_uint_eq(rig.msg->len, 0);
	ck_assert_int_eq(status, -ECANCELED);
	/* The range is still there. */
	start_write();
	answer_write(dma_comes(DMA_WRITE));
	rig_silence(&rig);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(rig_call(&rig, 13, NULL, 0), 0);
}
END_TEST

static int later(void *user, enum vfu_gate what)
{
	(void)user;
	return what == VFU_GATE_FLR ? VFU_LATER : 0;
}

/* A function's reset by way of configuration space, that the device agrees to at once or later. */
START_TEST(flr_waits_for_messages)
{
	static const uint8_t express[58] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x10};
	int at = vfu_device_add_capability(rig.dev, 0x10, express, sizeof(express));
	uint16_t write, flr;

	ck_assert_int_gt(at, 0);
	rig_set_hooks(&rig, _i ? later : NULL);
	start_write();
	write = dma_comes(DMA_WRITE);
	flr = rig_send_write(&rig, false, 7, (uint64_t)at + 8, 2, 0x8000);
	rig_silence(&rig);
	if (_i) {
		ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
		rig_silence(&rig);
	}
	ck_assert_ptr_nonnull(strstr(rig.calls, "reset"));
	answer_write(write);
	ck_assert_uint_eq(rig_reply(&rig, flr, 10), 0);
	ck_assert_int_eq(status, -ECANCELED);
}
END_TEST

/* Whichever ends last. */
START_TEST(unmap_waits_for_pins_and_messages)
{
	struct vfu_dma_pin pin;
	int fd = rig_memfd(4096);
	uint16_t write, unmap;
	const struct rig_unmap all = {.argsz = 24, .flags = 2};

	ck_assert_uint_eq(rig_map(&rig, 0x100000, 4096, fd), 0);
	close(fd);
	ck_assert_int_eq(vfu_dma_pin(rig.dev, 0x100000, 8, VFU_DMA_READ, &pin), 0);
	start_write();
	write = dma_comes(DMA_WRITE);
	unmap = rig_send(&rig, 3, &all, sizeof(all));
	rig_silence(&rig);
	if (_i)
		answer_write(write);
	else
		ck_assert_int_eq(vfu_dma_unpin(rig.dev, &pin), 0);
	rig_silence(&rig);
	if (_i)
		ck_assert_int_eq(vfu_dma_unpin(rig.dev, &pin), 0);
	else
		answer_write(write);
	ck_assert_uint_eq(rig_reply(&rig, unmap, 3), 0);
}
END_TEST

/* A client that answers nothing by the twin is not left without an answer for ever. */
START_TEST(waits_end_when_the_time_of_messages_is_up)
{
	uint16_t write, reset;
	int timeout;

	start_write();
	write = dma_comes(DMA_WRITE);
	reset = rig_send(&rig, 13, NULL, 0);
	rig_silence(&rig);
	timeout = vfu_server_timeout(rig.srv);
	ck_assert(timeout > 0 && timeout <= 5000);
	fault_advance((uint64_t)timeout * MS);
	ck_assert_int_eq(vfu_server_timeout(rig.srv), 0);
	ck_assert_uint_eq(rig_reply(&rig, reset, 13), 0);
	/* Late, and dropped. */
	answer_write(write);
	rig_silence(&rig);
	ck_assert_uint_eq(rig_call(&rig, 13, NULL, 0), 0);
}
END_TEST

/* The rest goes on: what changes nothing is answered while messages are under way, but nothing behind a fence. */
START_TEST(others_are_served_meanwhile)
{
	uint16_t write, unmap, read;

	start_write();
	write = dma_comes(DMA_WRITE);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
	ck_assert_uint_eq(rig_map(&rig, 0x100000, 4096, -1), 0);
	unmap = send_unmap();
	read = rig_send_read(&rig, 0, 0, 4);
	rig_silence(&rig);
	answer_write(write);
	ck_assert_uint_eq(rig_reply(&rig, unmap, 3), 0);
	ck_assert_uint_eq(rig_reply(&rig, read, 9), 0);
}
END_TEST

START_TEST(the_end_of_a_wait_without_an_answer)
{
	start_write();
	dma_comes(DMA_WRITE);
	if (_i & 1)
		send_unmap();
	else
		rig_send(&rig, 13, NULL, 0);
	rig_silence(&rig);
	if (_i & 2) {
		close(twin);
		twin = -1;
		rig_gone(&rig);
	} else {
		rig_hang_up(&rig);
	}
	ck_assert_uint_eq(done, 1);
	ck_assert_int_eq(status, -ECANCELED);
}
END_TEST

/* RESET, a function's reset, and one that the gate thinks about: *command is the message's. */
static uint16_t send_reset(unsigned kind, unsigned express, uint16_t *command)
{
	*command = kind ? 10 : 13;
	return kind ? rig_send_write(&rig, false, 7, express + 8, 2, 0x8000)
		    : rig_send(&rig, 13, NULL, 0);
}

/* The client hears of it, and then nothing was reset. */
START_TEST(no_memory_to_wait)
{
	static const uint8_t express[58] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x10};
	int at = vfu_device_add_capability(rig.dev, 0x10, express, sizeof(express));
	unsigned error = 1, failures = 0;

	ck_assert_int_gt(at, 0);
	rig_set_hooks(&rig, _i == 2 ? later : NULL);
	for (unsigned nth = 1; error; nth++) {
		uint16_t write, reset, command;

		ck_assert_uint_lt(nth, 50);
		rig.calls[0] = '\0';
		start_write();
		write = dma_comes(DMA_WRITE);
		reset = send_reset((unsigned)_i, (unsigned)at, &command);
		fault_fail(FAULT_ALLOC, nth, ENOMEM);
		rig_pump(&rig);
		if (_i == 2 && vfu_device_gate_done(rig.dev, 0) == 0)
			rig_pump(&rig);
		fault_reset();
		answer_write(write);
		error = rig_reply(&rig, reset, command);
		ck_assert(error == 0 || error == ENOMEM);
		failures += error != 0;
		ck_assert_int_eq(strstr(rig.calls, "reset") != NULL, !error);
		rig_silence(&rig);
		ck_assert_int_eq(status, error ? 0 : -ECANCELED);
	}
	ck_assert_uint_gt(failures, 1);
}
END_TEST

/* Nor was anything unmapped: neither where the answer would have to wait, nor where not. */
START_TEST(no_memory_to_unmap)
{
	unsigned error = 1, failures = 0;

	for (unsigned nth = 1; error; nth++) {
		uint16_t write = 0, unmap;

		ck_assert_uint_lt(nth, 50);
		if (_i) {
			start_write();
			write = dma_comes(DMA_WRITE);
		}
		unmap = send_unmap();
		fault_fail(FAULT_ALLOC, nth, ENOMEM);
		rig_pump(&rig);
		fault_reset();
		if (_i)
			answer_write(write);
		error = rig_reply(&rig, unmap, 3);
		ck_assert(error == 0 || error == ENOMEM);
		ck_assert_uint_eq(vfu_dma_ranges(rig.dev, NULL, 0), error ? 1 : 0);
		failures += error != 0;
	}
	ck_assert_uint_gt(failures, 1);
}
END_TEST

/* ---- a loop, and waits ---- */

START_TEST(one_descriptor_stands_for_both)
{
	struct pollfd pfd = {.events = POLLIN};
	uint16_t write;

	pfd.fd = vfu_server_fd(rig.srv);
	start_write();
	write = dma_comes(DMA_WRITE);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	answer_write(write);
	ck_assert_int_eq(poll(&pfd, 1, 0), 1);
	ck_assert_int_eq(vfu_server_process(rig.srv, 0), 1);
	ck_assert_uint_eq(done, 1);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	close(twin);
	twin = -1;
	ck_assert_int_eq(poll(&pfd, 1, 0), 1);
	rig_gone(&rig);
	ck_assert_int_eq(vfu_server_twin_fd(rig.srv), -1);
}
END_TEST

static void answer_in_a_wait(void)
{
	static const uint64_t reply[3] = {IOVA, 8, 0x1122334455667788};
	struct raw_msg *msg = rig.msg;

	if (raw_recv(twin, msg, 0) != 1)
		return;
	ck_assert_uint_eq(msg->command, DMA_READ);
	/* A request by the main one is served while the device waits. */
	rig_send_read(&rig, 1, 0, 4);
	raw_send(twin, msg->id, DMA_READ, RAW_REPLY, reply, sizeof(reply), NULL, 0);
}

static int read_memory(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	uint64_t value = 0;

	(void)user, (void)req;
	ck_assert_int_eq(vfu_dma_read(rig.dev, IOVA, &value, sizeof(value)), 0);
	memcpy(access->data, &value, access->count);
	return 0;
}

START_TEST(a_callback_waits_on_both)
{
	uint16_t id;

	rig.bar0 = read_memory;
	id = rig_send_read(&rig, 0, 0, 8);
	fault_on_sleep(answer_in_a_wait);
	rig_pump(&rig);
	fault_on_sleep(NULL);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	if (rig.msg->id != id)
		ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	else
		ck_assert_uint_eq(raw_u64(rig.msg, 16), 0x1122334455667788);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("server twin");
	TCase *tcase = tcase_create("twin");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, unmap_waits_for_messages);
	tcase_add_test(tcase, with_one_socket_nothing_waits);
	tcase_add_test(tcase, reset_waits_for_messages);
	tcase_add_loop_test(tcase, flr_waits_for_messages, 0, 2);
	tcase_add_loop_test(tcase, unmap_waits_for_pins_and_messages, 0, 2);
	tcase_add_test(tcase, waits_end_when_the_time_of_messages_is_up);
	tcase_add_test(tcase, others_are_served_meanwhile);
	tcase_add_loop_test(tcase, the_end_of_a_wait_without_an_answer, 0, 4);
	tcase_add_loop_test(tcase, no_memory_to_wait, 0, 3);
	tcase_add_loop_test(tcase, no_memory_to_unmap, 0, 2);
	tcase_add_test(tcase, one_descriptor_stands_for_both);
	tcase_add_test(tcase, a_callback_waits_on_both);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
