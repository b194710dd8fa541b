/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-conn.c - one end of a connection against a peer made by hand: headers, replies, time,
 * queues, threads.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/end.h"
#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/wire_peer.h"
#include "../../lib/suite.h"
#include "base/fds.h"

/* ---- headers ---- */

START_TEST(commands_are_delivered_and_answered)
{
	/* However slow this runs, no reply grows so old that it goes alone. */
	fault_virtual_time(true);
	end_open_default(true);
	peer_put(end.peer, 7, READ, 0, 0, NULL, 16);
	peer_put(end.peer, 7, READ, NO_REPLY, 0, NULL, 16);
	peer_put(end.peer, 8, VFU_WIRE_CMD_RESET, 0, 0, NULL, 0);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 3);
	end_expect_reply(7, READ, 0, 0);
	end_expect_reply(8, VFU_WIRE_CMD_RESET, 0, 0);
	ck_assert_uint_eq(peer_waiting(end.peer), 0);
	ck_assert_uint_eq(end_stats().requests_in, 3);
	ck_assert_uint_eq(end_stats().replies_out, 2);
	ck_assert_uint_eq(end_stats().batches, 1);
	ck_assert_uint_eq(end_stats().bytes_in, 80);
	ck_assert_uint_eq(end_stats().bytes_out, 32);
	end_close();
}
END_TEST

START_TEST(max_is_kept)
{
	end_open_default(true);
	for (uint16_t i = 0; i < 5; i++)
		peer_put(end.peer, i, READ, 0, 0, NULL, 16);
	ck_assert_int_eq(vfui_conn_process(end.conn, 2), 2);
	ck_assert_int_eq(vfui_conn_timeout(end.conn), 0);
	ck_assert_int_eq(vfui_conn_process(end.conn, 2), 2);
	ck_assert_int_eq(vfui_conn_process(end.conn, 2), 1);
	ck_assert_int_eq(vfui_conn_timeout(end.conn), -1);
	ck_assert_int_eq(vfui_conn_process(end.conn, 2), 0);
	end_close();
}
END_TEST

START_TEST(commands_nobody_knows)
{
	static const uint16_t commands[] = {0, 14, 200, 65535, DMA_READ};
	int fd = peer_fd();

	for (unsigned choice = 0; choice < 2; choice++) {
		vfui_conn_options_init(&end.options);
		end.options.policy.unknown_command = (uint8_t)choice;
		end_open(true);
		for (unsigned i = 0; i < 5; i++) {
			size_t size = peer_build(&end.msg, 3, commands[i], 0, NULL, 100);

			peer_send(end.peer, &end.msg, size, &fd, 1);
			ck_assert_int_eq(vfui_conn_process(end.conn, 0), 1);
			end_expect_reply(3, commands[i], choice == 0 ? ENOSYS : EINVAL, 0);
		}
		ck_assert_uint_eq(end.commands, 0);
		ck_assert_uint_eq(end_stats().drops, 5);
		end_close();
	}
	close(fd);
}
END_TEST

START_TEST(unknown_flags)
{
	for (unsigned choice = 0; choice < 2; choice++) {
		vfui_conn_options_init(&end.options);
		end.options.policy.unknown_flags = (uint8_t)choice;
		end_open(true);
		peer_put(end.peer, 1, READ, 0x40, 0, NULL, 16);
		peer_put(end.peer, 2, READ, VFU_WIRE_HEADER_ERROR, 5, NULL, 16);
		ck_assert_int_eq(vfui_conn_process(end.conn, 0), 2);
		end_expect_reply(1, READ, choice == 0 ? 0 : EINVAL, 0);
		end_expect_reply(2, READ, choice == 0 ? 0 : EINVAL, 0);
		end_close();
	}
}
END_TEST

/* In both roles: only what may be posted comes without wanting an answer, or else by policy (E68). */
START_TEST(posts_of_what_is_answered)
{
	static const uint8_t choices[] = {VFUI_NO_REPLY_ACCEPT, VFUI_NO_REPLY_REFUSE};

	for (unsigned i = 0; i < 4; i++) {
		bool is_server = i < 2;
		bool is_done = choices[i % 2] == VFUI_NO_REPLY_ACCEPT;

		vfui_conn_options_init(&end.options);
		end.options.policy.no_reply = choices[i % 2];
		end_open(is_server);
		peer_put(end.peer, 1, is_server ? READ : DMA_READ, NO_REPLY, 0, NULL, 16);
		ck_assert_int_eq(vfui_conn_process(end.conn, 0), 1);
		ck_assert_uint_eq(end.commands, is_done);
		ck_assert_uint_eq(end_stats().drops, !is_done);
		ck_assert_uint_eq(peer_waiting(end.peer), 0);
		end_close();
	}
}
END_TEST

START_TEST(broken_headers_end_the_connection)
{
	static const struct vfu_wire_header headers[] = {
		{.command = READ, .size = 16, .flags = 2},
		{.command = READ, .size = 16, .flags = 15},
		{.command = READ, .size = 15},
		{.command = READ, .size = 0},
		{.command = READ, .size = UINT32_MAX},
		{.command = READ, .size = (1 << 20) + 65536 + 1},
		{.command = READ, .size = (1 << 20) + 65536 + 1, .flags = REPLY},
	};

	for (unsigned i = 0; i < VFUI_ARRAY_SIZE(headers); i++) {
		struct vfu_err err;

		end_open_default(true);
		peer_put(end.peer, 1, READ, 0, 0, NULL, 16);
		peer_send(end.peer, &headers[i], 16, NULL, 0);
		ck_assert_int_eq(vfui_conn_process(end.conn, 0), 1);
		ck_assert_int_eq(vfui_conn_process(end.conn, 0), -EPROTO);
		ck_assert_int_eq(vfui_conn_status(end.conn, &err), -EPROTO);
		ck_assert_int_eq(err.code, -EPROTO);
		ck_assert_uint_eq(end_stats().violations, 1);
		/* What came before was answered; then the end, at once (E65). */
		end_expect_reply(1, READ, 0, 0);
		ck_assert_uint_eq(peer_get(end.peer, &end.msg, NULL, NULL), 0);
		end_close();
	}
}
END_TEST

START_TEST(too_many_fds_end_the_connection)
{
	int many[80], fd;
	size_t size = peer_build(&end.msg, 1, VFU_WIRE_CMD_SET_IRQS, 0, NULL, 20);

	if (lacks(LACKS_CTRUNC, __func__))
		return;
	fd = peer_fd();
	for (unsigned i = 0; i < 80; i++)
		many[i] = fd;
	end_open_default(true);
	peer_send(end.peer, &end.msg, size, many, 80);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), -EPROTO);
	end_close();
	close(fd);
}
END_TEST

/* ---- the peer leaves ---- */

START_TEST(all_before_the_end_is_handled)
{
	end_open_default(true);
	peer_put(end.peer, 1, READ, 0, 0, NULL, 16);
	peer_put(end.peer, 2, VFU_WIRE_CMD_REGION_WRITE, NO_REPLY, 0, NULL, 20);
	peer_put(end.peer, 3, VFU_WIRE_CMD_REGION_WRITE, NO_REPLY, 0, NULL, 20);
	close(end.peer);
	end.peer = -1;
	ck_assert_int_eq(vfui_conn_process(end.conn, 1), 1);
	ck_assert_int_eq(vfui_conn_process(end.conn, 1), 1);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 1);
	ck_assert_uint_eq(end.commands, 3);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), -ENOTCONN);
	ck_assert_int_eq(vfui_conn_status(end.conn, NULL), -ENOTCONN);
	end_close();
}
END_TEST

/* ---- requests ---- */

START_TEST(replies_find_their_requests)
{
	struct end_result results[3];
	uint8_t sinks[3][64];
	uint16_t ids[3];

	end_open_default(false);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(end_ask(64, -1, sinks[i], &results[i]), 0);
		end_get_request();
		ids[i] = end.msg.hdr.id;
	}
	ck_assert_uint_eq(vfui_conn_pending(end.conn), 3);
	/* The last first; an error with a payload; an error without a number. */
	end_answer_read(64);
	peer_put(end.peer, ids[0], READ, ERROR, ENXIO, NULL, 20);
	peer_put(end.peer, ids[1], READ, ERROR, 0, NULL, 0);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 3);
	ck_assert_int_eq(results[2].status, 0);
	ck_assert_uint_eq(results[2].len, 80);
	ck_assert(peer_is_pattern(sinks[2], 64, ids[2]));
	ck_assert_int_eq(results[0].status, -ENXIO);
	ck_assert_int_eq(results[1].status, -EIO);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(results[i].runs, 1);
	ck_assert_uint_eq(vfui_conn_pending(end.conn), 0);
	end_close();
}
END_TEST

/* A reply that comes in two pieces cut anywhere, small and large. */
START_TEST(split_replies)
{
	static uint8_t sink[100000], payload[100016];
	static const uint32_t counts[] = {40, 100000};

	end_open_default(false);
	for (unsigned k = 0; k < 2; k++) {
		size_t size = 32 + counts[k];

		for (size_t cut = 1; cut < size; cut += cut < 60 ? 1 : 9973) {
			struct peer_msg *reply = malloc(sizeof(*reply));
			struct end_result result;

			memset(sink, 0, sizeof(sink));
			ck_assert_int_eq(end_ask(counts[k], -1, sink, &result), 0);
			end_get_request();
			peer_build(reply, 77, 0, 0, NULL, counts[k]);
			memcpy(payload, end.msg.payload, 16);
			memcpy(payload + 16, reply->payload, counts[k]);
			peer_build(reply, end.msg.hdr.id, READ, REPLY, payload, 16 + counts[k]);
			peer_send(end.peer, reply, cut, NULL, 0);
			ck_assert_int_eq(vfui_conn_process(end.conn, 0), 0);
			peer_send(end.peer, (uint8_t *)reply + cut, size - cut, NULL, 0);
			while (result.runs == 0)
				ck_assert_int_ge(vfui_conn_process(end.conn, 0), 0);
			ck_assert_int_eq(result.status, 0);
			ck_assert_uint_eq(result.len, counts[k] + 16);
			ck_assert(peer_is_pattern(sink, counts[k], 77));
			free(reply);
		}
	}
	end_close();
}
END_TEST

START_TEST(stray_replies)
{
	struct end_result result;

	end_open_default(false);
	ck_assert_int_eq(end_ask(4, -1, NULL, &result), 0);
	end_get_request();
	/* Another id, another command. */
	peer_put(end.peer, (uint16_t)(end.msg.hdr.id + 1), READ, REPLY, 0, NULL, 20);
	peer_put(end.peer, end.msg.hdr.id, VFU_WIRE_CMD_RESET, REPLY, 0, NULL, 0);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 2);
	ck_assert_uint_eq(result.runs, 0);
	ck_assert_uint_eq(end_stats().drops, 2);
	end_answer_read(4);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 1);
	ck_assert_int_eq(result.status, 0);
	for (unsigned i = 0; i < 100; i++)
		peer_put(end.peer, 1, READ, REPLY, 0, NULL, 0);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 62);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), -EPROTO);
	end_close();
}
END_TEST

/* Some servers answer failed writes that nobody wanted an answer to (E27): they are let be. */
START_TEST(answers_to_posted_writes)
{
	struct vfu_wire_region_write_request in = {.count = 4};
	struct iovec iov[2] = {{&in, sizeof(in)}, {(uint8_t[4]){0}, 4}};
	struct vfui_out posted = {
		.command = VFU_WIRE_CMD_REGION_WRITE, .iov = iov, .niov = 2, .no_reply = true};
	struct vfui_out waited = posted;
	struct end_result result = {.status = 1};

	waited.no_reply = false;
	waited.done = end_note;
	waited.user = &result;
	end_open_default(false);
	ck_assert_int_eq(vfui_conn_send(end.conn, &waited), 0);
	ck_assert_uint_eq(peer_get(end.peer, &end.msg, NULL, NULL), 36);
	for (unsigned i = 0; i < 200; i++) {
		ck_assert_int_eq(vfui_conn_send(end.conn, &posted), 0);
		ck_assert_uint_eq(peer_get(end.peer, &end.msg, NULL, NULL), 36);
		peer_put(end.peer, end.msg.hdr.id, end.msg.hdr.command, ERROR, EINVAL, NULL, 0);
		ck_assert_int_eq(vfui_conn_process(end.conn, 0), 1);
	}
	ck_assert_uint_eq(result.runs, 0);
	ck_assert_uint_eq(end_stats().drops, 200);
	end_close();
}
END_TEST

START_TEST(malformed_reply_is_a_violation)
{
	struct end_result first, second;

	end_open_default(false);
	ck_assert_int_eq(end_ask(64, -1, NULL, &first), 0);
	ck_assert_int_eq(end_ask(64, -1, NULL, &second), 0);
	end_get_request();
	end_answer_read(60);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), -EPROTO);
	ck_assert_int_eq(first.status, -EPROTO);
	ck_assert_int_eq(second.status, -ENOTCONN);
	ck_assert_uint_eq(first.runs + second.runs, 2);
	ck_assert_int_eq(end_ask(64, -1, NULL, &first), -ENOTCONN);
	end_close();
}
END_TEST

static uint8_t sinks[2][100000];

static void spoil_sinks(void)
{
	memset(sinks, 0xee, sizeof(sinks));
}

static bool is_spoiled(const uint8_t *sink)
{
	for (size_t i = 0; i < sizeof(sinks[0]); i++) {
		if (sink[i] != 0xee)
			return false;
	}
	return true;
}

/* Sends the peer's message, which is in end.msg, and has it handled; its first half before the rest. */
static void put_halves(size_t size)
{
	peer_send(end.peer, &end.msg, size / 2, NULL, 0);
	for (unsigned i = 0; i < 4; i++)
		vfui_conn_process(end.conn, 0);
	ck_assert(is_spoiled(sinks[0]));
	peer_send(end.peer, (uint8_t *)&end.msg + size / 2, size - size / 2, NULL, 0);
	for (unsigned i = 0; i < 20; i++)
		vfui_conn_process(end.conn, 0);
}

/* The rules are looked at before a byte of it is received there. */
START_TEST(a_reply_that_breaks_a_rule_leaves_the_sink_alone)
{
	static const struct {
		const char *what;
		size_t at; /* of the payload's byte that is wrong */
		size_t more;
		uint16_t command;
		uint32_t error;
		int status;
	} cases[] = {
		{"offset", 0, 0, READ, 0, -EPROTO},
		{"region", 8, 0, READ, 0, -EPROTO},
		{"count", 12, 0, READ, 0, -EPROTO},
		{"too long", 16, 8, READ, 0, -EPROTO},
		{"an error", 16, 0, READ, EACCES, -EACCES},
		{"of another request", 16, 0, VFU_WIRE_CMD_REGION_WRITE, 0, -ENOTCONN},
	};

	for (unsigned i = 0; i < VFUI_ARRAY_SIZE(cases); i++) {
		size_t len = 100016 + cases[i].more;
		struct end_result result;
		uint8_t head[16];
		uint16_t id;

		end_open_default(false);
		spoil_sinks();
		ck_assert_int_eq(end_ask(100000, -1, sinks[0], &result), 0);
		end_get_request();
		id = end.msg.hdr.id;
		memcpy(head, end.msg.payload, 16);
		peer_build(&end.msg, id, cases[i].command,
			   cases[i].error ? REPLY | VFU_WIRE_HEADER_ERROR : REPLY, NULL, len);
		end.msg.hdr.error = cases[i].error;
		memcpy(end.msg.payload, head, 16);
		end.msg.payload[cases[i].at] ^= cases[i].at < 16;
		put_halves(32 + len);
		ck_assert_msg(is_spoiled(sinks[0]), "%s", cases[i].what);
		end_close();
		ck_assert_msg(result.status == cases[i].status, "%s: %d", cases[i].what,
			      result.status);
		ck_assert_uint_eq(result.runs, 1);
	}
}
END_TEST

static void answer(uint16_t id, const uint8_t *head, uint32_t count)
{
	static uint8_t payload[100016];

	memcpy(payload, head, 16);
	peer_build(&end.msg, id, READ, REPLY, payload, 16 + count);
}

/* Of two requests one has half of its reply when their memory goes, the other none. */
START_TEST(memory_that_goes_gets_nothing)
{
	struct end_result results[2], small;
	uint8_t heads[2][16], kept[4] = {0xee, 0xee, 0xee, 0xee};
	uint16_t ids[2];

	end_open_default(false);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(end_ask(100000, -1, sinks[i], &results[i]), 0);
		end_get_request();
		ids[i] = end.msg.hdr.id;
		memcpy(heads[i], end.msg.payload, 16);
	}
	answer(ids[0], heads[0], 100000);
	peer_send(end.peer, &end.msg, 50000, NULL, 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_ge(vfui_conn_process(end.conn, 0), 0);
	vfui_conn_drop_sink(end.conn, sinks, sizeof(sinks));
	spoil_sinks();
	peer_send(end.peer, (uint8_t *)&end.msg + 50000, 50032, NULL, 0);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_ge(vfui_conn_process(end.conn, 0), 0);
	ck_assert_int_eq(results[0].status, -ECANCELED);
	answer(ids[1], heads[1], 100000);
	put_halves(100032);
	ck_assert_int_eq(results[1].status, -ECANCELED);
	ck_assert(is_spoiled(sinks[0]) && is_spoiled(sinks[1]));
	ck_assert_uint_eq(results[0].runs + results[1].runs, 2);
	/* The stream is in step; of a small reply it is the same. */
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(end_ask(4, -1, kept, &small), 0);
		end_get_request();
		if (i == 0)
			vfui_conn_drop_sink(end.conn, kept, sizeof(kept));
		end_answer_read(4);
		ck_assert_int_eq(vfui_conn_process(end.conn, 0), 1);
		ck_assert_int_eq(small.status, i == 0 ? -ECANCELED : 0);
		ck_assert((kept[0] == 0xee && kept[3] == 0xee) == (i == 0));
	}
	end_close();
}
END_TEST

START_TEST(free_ends_what_is_pending)
{
	struct end_result results[4];

	end_open_default(false);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(end_ask(64, -1, NULL, &results[i]), 0);
	end_close();
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(results[i].status, -ENOTCONN);
		ck_assert_uint_eq(results[i].runs, 1);
	}
}
END_TEST

/* ---- time ---- */

START_TEST(timeouts_and_late_replies)
{
	struct end_result slow, none, fast;
	static uint8_t sink[100000];
	uint16_t late;

	fault_virtual_time(true);
	end_open_default(false);
	ck_assert_int_eq(end_ask(100000, 100, sink, &slow), 0);
	end_get_request();
	late = end.msg.hdr.id;
	ck_assert_int_eq(end_ask(4, 0, NULL, &none), 0);
	end_get_request();
	ck_assert_int_eq(vfui_conn_timeout(end.conn), 100);
	fault_advance(99 * VFUI_MS);
	ck_assert_int_eq(vfui_conn_timeout(end.conn), 1);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 0);
	ck_assert_uint_eq(slow.runs, 0);
	/* Half of the reply is on its way into the sink when time is up. */
	peer_build(&end.msg, late, READ, REPLY, NULL, 100016);
	peer_send(end.peer, &end.msg, 50000, NULL, 0);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 0);
	fault_advance(1 * VFUI_MS);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 0);
	ck_assert_int_eq(slow.status, -ETIMEDOUT);
	ck_assert_uint_eq(slow.runs, 1);
	ck_assert_int_eq(vfui_conn_timeout(end.conn), -1);
	memset(sink, 0xee, sizeof(sink));
	peer_send(end.peer, (uint8_t *)&end.msg + 50000, 50032, NULL, 0);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_ge(vfui_conn_process(end.conn, 0), 0);
	ck_assert_uint_eq(end_stats().late_replies, 1);
	ck_assert_uint_eq(slow.runs, 1);
	for (size_t i = 0; i < sizeof(sink); i++) {
		if (sink[i] != 0xee)
			ck_abort_msg("the sink was written to after the request ended");
	}
	/* The stream is in step. */
	ck_assert_int_eq(end_ask(4, 100, NULL, &fast), 0);
	end_get_request();
	end_answer_read(4);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 1);
	ck_assert_int_eq(fast.status, 0);
	ck_assert_uint_eq(none.runs, 0);
	end_close();
}
END_TEST

/* ---- queues ---- */

START_TEST(full_queue_stops_reading)
{
	struct pollfd pfds[2];
	unsigned answered = 0;

	vfui_conn_options_init(&end.options);
	ck_assert_int_eq(vfui_options_set(&end.options.set, VFU_OPT_QUEUE_BYTES, 65536, NULL), 0);
	end_open(true);
	end.on_command = end_big_reply;
	for (uint16_t i = 0; i < 100; i++)
		peer_put(end.peer, i, READ, 0, 0, NULL, 16);
	ck_assert_int_lt(vfui_conn_process(end.conn, 0), 20);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 0);
	ck_assert_int_eq(vfui_conn_pollfds(end.conn, pfds, 2), 2);
	ck_assert_int_eq(pfds[0].events, POLLOUT);
	/* Complete messages are there, but there is no use in running. */
	ck_assert_int_eq(vfui_conn_timeout(end.conn), -1);
	while (answered < 100) {
		end_expect_reply((uint16_t)answered++, READ, 0, 60000);
		vfui_conn_process(end.conn, 0);
	}
	vfui_conn_pollfds(end.conn, pfds, 2);
	ck_assert_int_eq(pfds[0].events, POLLIN);
	ck_assert_uint_eq(end.commands, 100);
	end_close();
}
END_TEST

static int wait_result;

/* The first command waits; those that come meanwhile are answered with much. */
static int wait_then_reply(struct vfui_conn *conn, struct vfui_msg *m)
{
	static atomic_bool never;

	if (m->hdr.id == 0)
		wait_result = vfui_conn_wait(conn, end_is_true, &never, 10000);
	return end_big_reply(conn, m);
}

START_TEST(full_queue_ends_a_wait)
{
	vfui_conn_options_init(&end.options);
	vfui_options_set(&end.options.set, VFU_OPT_QUEUE_BYTES, 65536, NULL);
	end_open(true);
	end.on_command = wait_then_reply;
	for (uint16_t i = 0; i < 20; i++)
		peer_put(end.peer, i, READ, 0, 0, NULL, 16);
	ck_assert_int_gt(vfui_conn_process(end.conn, 0), 0);
	ck_assert_int_eq(wait_result, -EDEADLK);
	ck_assert_int_eq(vfui_conn_status(end.conn, NULL), 0);
	/* It lives on. */
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_uint_eq(peer_get(end.peer, &end.msg, NULL, NULL), 60016);
		vfui_conn_process(end.conn, 0);
	}
	ck_assert_uint_eq(end.commands, 20);
	end_close();
}
END_TEST

START_TEST(full_queue_refuses_requests)
{
	static uint8_t data[50000];
	static struct end_result results[100];
	struct iovec iov[2] = {{&(struct vfu_wire_region_write_request){.count = 50000}, 16},
			       {data, sizeof(data)}};
	struct vfui_out out = {.command = VFU_WIRE_CMD_REGION_WRITE,
			       .iov = iov,
			       .niov = 2,
			       .timeout_ms = -1,
			       .done = end_note};
	unsigned n = 0;
	int r = 0;

	vfui_conn_options_init(&end.options);
	vfui_options_set(&end.options.set, VFU_OPT_QUEUE_BYTES, 200000, NULL);
	end_open(false);
	while (n < 100 && r == 0) {
		out.user = &results[n];
		r = vfui_conn_send(end.conn, &out);
		n += r == 0;
	}
	ck_assert_int_eq(r, -ENOBUFS);
	ck_assert_uint_eq(vfui_conn_pending(end.conn), n);
	ck_assert_int_eq(vfui_conn_flush(end.conn), -EAGAIN);
	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_eq(peer_get(end.peer, &end.msg, NULL, NULL), 50032);
		vfui_conn_flush(end.conn);
	}
	ck_assert_int_eq(vfui_conn_send(end.conn, &out), 0);
	end_close();
}
END_TEST

/* The peer does not read, and then it is over: nothing is left to wait for. */
START_TEST(failing_empties_a_full_queue)
{
	struct vfu_err cause = {.code = -ECANCELED};
	struct pollfd pfds[2];

	vfui_conn_options_init(&end.options);
	vfui_options_set(&end.options.set, VFU_OPT_QUEUE_BYTES, 65536, NULL);
	end_open(true);
	end.on_command = end_big_reply;
	for (uint16_t i = 0; i < 20; i++)
		peer_put(end.peer, i, READ, 0, 0, NULL, 16);
	ck_assert_int_gt(vfui_conn_process(end.conn, 0), 0);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 0);
	vfui_conn_fail(end.conn, &cause);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), -ECANCELED);
	vfui_conn_pollfds(end.conn, pfds, 2);
	ck_assert_int_eq(pfds[0].events, POLLIN);
	end_close();
}
END_TEST

static int write_much(size_t len, int timeout_ms)
{
	static uint8_t data[100000];
	struct vfu_wire_region_write_request in = {.count = (uint32_t)len};
	struct vfu_wire_region_write_reply out;
	struct vfui_call call = {.tail = data, .tail_len = len, .timeout_ms = timeout_ms};

	return vfui_conn_call(end.conn, VFU_WIRE_CMD_REGION_WRITE, &call, &in, sizeof(in), &out,
			      sizeof(out));
}

/* A peer that takes its time, then reads all and answers what wants an answer. */
static void *answer_late(void *arg)
{
	static struct peer_msg m;

	(void)arg;
	poll(NULL, 0, 400);
	while (peer_get(end.peer, &m, NULL, NULL) > 0) {
		if (m.hdr.flags == 0)
			peer_put(end.peer, m.hdr.id, m.hdr.command, REPLY, 0, m.payload, 16);
	}
	return NULL;
}

/* One message may be larger than the queue: then it is waited for, not given up. */
START_TEST(message_larger_than_the_queue)
{
	pthread_t peer;

	vfui_conn_options_init(&end.options);
	vfui_options_set(&end.options.set, VFU_OPT_QUEUE_BYTES, 65536, NULL);
	end_open(false);
	end_small_buffer();
	pthread_create(&peer, NULL, answer_late, NULL);
	ck_assert_int_eq(write_much(100000, -1), 0);
	shutdown(end.peer, SHUT_RDWR);
	pthread_join(peer, NULL);
	end_close();
}
END_TEST

/* The thread that reads also sends what waits for room: those who wait for it are told. */
START_TEST(room_is_told_to_those_who_wait)
{
	struct vfu_wire_region_write_request in = {.count = 30000};
	static uint8_t data[30000];
	struct iovec iov[2] = {{&in, sizeof(in)}, {data, sizeof(data)}};
	struct vfui_out out = {
		.command = VFU_WIRE_CMD_REGION_WRITE, .iov = iov, .niov = 2, .no_reply = true};
	pthread_t reader, peer;
	int status = 1, r = 0;

	vfui_conn_options_init(&end.options);
	vfui_options_set(&end.options.set, VFU_OPT_QUEUE_BYTES, 65536, NULL);
	end_open(false);
	end_small_buffer();
	reader = end_start_reader(&status);
	while (r == 0)
		r = vfui_conn_send(end.conn, &out);
	ck_assert_int_eq(r, -ENOBUFS);
	pthread_create(&peer, NULL, answer_late, NULL);
	ck_assert_int_eq(write_much(60000, 0), 0);
	end_stop_reader(reader, &status);
	shutdown(end.peer, SHUT_RDWR);
	pthread_join(peer, NULL);
	end_close();
}
END_TEST

/* ---- fork, failures ---- */

START_TEST(a_child_can_only_free)
{
	struct end_result result;
	pid_t child;
	int status;

	if (lacks(LACKS_WIPEONFORK, __func__))
		return;
	end_open_default(true);
	peer_put(end.peer, 1, READ, 0, 0, NULL, 16);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		bool good = vfui_conn_process(end.conn, 0) == -EOWNERDEAD &&
			    end_ask(4, -1, NULL, &result) == -EOWNERDEAD &&
			    vfui_conn_status(end.conn, NULL) == -EOWNERDEAD &&
			    vfui_conn_flush(end.conn) == -EOWNERDEAD;

		vfui_conn_free(end.conn);
		_exit(good ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 1);
	end_expect_reply(1, READ, 0, 0);
	end_close();
}
END_TEST

/*
 * Every allocation fails once: whatever is said, nothing leaks and each request ends exactly once.
 */
START_TEST(memory_runs_out_anywhere)
{
	int fd = peer_fd();

	for (unsigned nth = 1; nth < 16; nth++) {
		struct end_result results[20];
		unsigned sent = 0;
		int fds[2];

		vfui_conn_options_init(&end.options);
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		end.peer = fds[1];
		end.on_command = end_big_reply;
		fault_fail(FAULT_ALLOC, nth, ENOMEM);
		end.conn = vfui_conn_new(fds[0], true, &end.options, &end_ops, &end);
		for (uint16_t i = 0; end.conn != NULL && i < 10; i++) {
			size_t size = peer_build(&end.msg, i, VFU_WIRE_CMD_SET_IRQS, 0, NULL,
						 i == 5 ? 70000 : 20);

			if (vfui_conn_status(end.conn, NULL) != 0)
				break;
			peer_send(end.peer, &end.msg, size, &fd, 1);
			results[sent].runs = 0;
			sent += end_ask(4, -1, NULL, &results[sent]) == 0;
			vfui_conn_process(end.conn, 0);
		}
		end_close();
		for (unsigned i = 0; i < sent; i++)
			ck_assert_uint_eq(results[i].runs, 1);
		fault_reset();
	}
	close(fd);
}
END_TEST

START_TEST(descriptors_run_out_anywhere)
{
	for (unsigned nth = 1; nth < 6; nth++) {
		int fds[2], fd = peer_fd();
		struct vfu_wire_header request = {.id = 4, .command = READ};
		int r;

		vfui_conn_options_init(&end.options);
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		end.peer = fds[1];
		fault_fail(FAULT_FD, nth, EMFILE);
		end.conn = vfui_conn_new(fds[0], true, &end.options, &end_ops, &end);
		ck_assert((end.conn == NULL) == (nth == 1));
		if (end.conn != NULL) {
			/* A full socket: the descriptor has to be copied. */
			fault_fail(FAULT_FD, 1, EMFILE);
			fault_fail(FAULT_SEND, 1, EAGAIN);
			r = vfui_conn_reply(end.conn, &request, 0, NULL, 0, &fd, 1);
			ck_assert_int_eq(r, -EMFILE);
			/* The peer is told. */
			ck_assert_int_eq(vfui_conn_flush(end.conn), 0);
			end_expect_reply(4, READ, EMFILE, 0);
		}
		end_close();
		close(fd);
		fault_reset();
	}
}
END_TEST

static int set_option(struct vfui_options *options, enum vfu_option option, uint64_t value)
{
	struct vfu_err err = {0};
	int r = vfui_options_set(options, option, value, &err);

	ck_assert_int_eq(err.code, r);
	return r;
}

START_TEST(options_have_ranges)
{
	struct vfui_options options;

	vfui_options_init(&options);
	ck_assert_uint_eq(options.values[VFU_OPT_TIMEOUT_MS], 5000);
	ck_assert_int_eq(set_option(&options, VFU_OPT_BUSY_POLL_US, 1001), -EINVAL);
	ck_assert_int_eq(set_option(&options, VFU_OPT_BUSY_POLL_US, 1000), 0);
	ck_assert_uint_eq(options.values[VFU_OPT_BUSY_POLL_US], 1000);
	ck_assert_int_eq(set_option(&options, VFU_OPTIONS, 1), -EINVAL);
	/* Capabilities by another name. */
	ck_assert_int_eq(set_option(&options, VFU_OPT_MAX_MSG_FDS, 0), -EINVAL);
	ck_assert_int_eq(set_option(&options, VFU_OPT_MAX_MSG_FDS, VFUI_FDS_MAX + 1), -EINVAL);
	ck_assert_int_eq(set_option(&options, VFU_OPT_MAX_MSG_FDS, VFUI_FDS_MAX), 0);
	ck_assert_uint_eq(options.own.value[VFUI_KEY_MAX_MSG_FDS], VFUI_FDS_MAX);
	ck_assert_int_eq(set_option(&options, VFU_OPT_MAX_DATA_XFER_SIZE, 4095), -EINVAL);
	ck_assert_int_eq(set_option(&options, VFU_OPT_MAX_DATA_XFER_SIZE, (16 << 20) + 1), -EINVAL);
	ck_assert_int_eq(set_option(&options, VFU_OPT_MAX_DMA_MAPS, 65536), -EINVAL);
	ck_assert_int_eq(set_option(&options, VFU_OPT_WRITE_MULTIPLE, 0), 0);
	ck_assert_uint_eq(options.own.said & VFUI_CAP_BIT(VFUI_KEY_WRITE_MULTIPLE), 0);
}
END_TEST

/* ---- event loops ---- */

/* Another thread leaves bytes, or a deadline: the loop that sleeps must wake. */
static void *send_from_thread(void *arg)
{
	ck_assert(end_ask(4, 1000, NULL, arg) == 0);
	return NULL;
}

START_TEST(other_threads_wake_the_loop)
{
	struct pollfd pfds[2];
	struct end_result result;
	pthread_t thread;

	end_open_default(false);
	ck_assert_int_eq(vfui_conn_pollfds(end.conn, pfds, 2), 2);
	ck_assert_int_eq(vfui_conn_timeout(end.conn), -1);
	pthread_create(&thread, NULL, send_from_thread, &result);
	ck_assert_int_eq(poll(pfds, 2, 5000), 1);
	ck_assert_int_ne(pfds[1].revents, 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(vfui_conn_process(end.conn, 0), 0);
	ck_assert_int_eq(poll(pfds, 2, 0), 0);
	ck_assert_int_gt(vfui_conn_timeout(end.conn), 0);
	end_close();
}
END_TEST

/* A peer that answers a read and sends two commands in the same breath. */
static void *answer_and_more(void *arg)
{
	struct peer_msg *all = malloc(2 * sizeof(*all)), *m = all + 1;
	size_t size;

	(void)arg;
	do {
		ck_assert(peer_get(end.peer, m, NULL, NULL) > 0);
	} while (m->hdr.flags == REPLY);
	memset(m->payload + 16, 0, 4);
	size = peer_build(all, m->hdr.id, READ, REPLY, m->payload, 20);
	size += peer_build(m, 1, DMA_READ, 0, NULL, 16);
	memmove((uint8_t *)all + 36, m, 32);
	memmove((uint8_t *)all + 68, m, 32);
	peer_send(end.peer, all, size + 32, NULL, 0);
	free(all);
	return NULL;
}

static void *one_call(void *arg)
{
	*(int *)arg = end_call_read(4, -1, (uint8_t[4]){0}, NULL);
	return NULL;
}

/* A caller's thread takes its reply and leaves what came behind it to the loop, which sleeps. */
START_TEST(what_a_caller_leaves_wakes_the_loop)
{
	pthread_t peer, caller;
	int status = 1;

	end_open_default(false);
	for (unsigned i = 0; i < 20; i++) {
		struct pollfd pfds[2];

		vfui_conn_pollfds(end.conn, pfds, 2);
		ck_assert_int_eq(vfui_conn_timeout(end.conn), -1);
		pthread_create(&peer, NULL, answer_and_more, NULL);
		pthread_create(&caller, NULL, one_call, &status);
		while (end.commands < 2 * i + 2) {
			/* Without the socket, which would hide a wake-up that is missing. */
			ck_assert_int_eq(poll(pfds + 1, 1, 2000), 1);
			ck_assert_int_ge(vfui_conn_process(end.conn, 0), 0);
			vfui_conn_pollfds(end.conn, pfds, 2);
		}
		pthread_join(caller, NULL);
		pthread_join(peer, NULL);
		ck_assert_int_eq(status, 0);
		ck_assert_uint_eq(end.commands, 2 * i + 2);
		vfui_conn_process(end.conn, 0);
	}
	end_close();
}
END_TEST

/* A loop that was woken, but finds that another thread reads, is not woken again and again. */
START_TEST(loop_rests_while_another_reads)
{
	struct pollfd pfds[2];
	pthread_t reader;
	int status = 1;

	end_open_default(false);
	reader = end_start_reader(&status);
	vfui_conn_wake(end.conn);
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_int_eq(vfui_conn_pollfds(end.conn, pfds, 2), 2);
		if (poll(pfds + 1, 1, 1) == 0)
			break;
		ck_assert_int_eq(vfui_conn_process(end.conn, 0), 0);
	}
	ck_assert_int_eq(poll(pfds + 1, 1, 0), 0);
	end_stop_reader(reader, &status);
	end_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn");
	TCase *tcase = tcase_create("conn");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, commands_are_delivered_and_answered);
	tcase_add_test(tcase, max_is_kept);
	tcase_add_test(tcase, commands_nobody_knows);
	tcase_add_test(tcase, unknown_flags);
	tcase_add_test(tcase, posts_of_what_is_answered);
	tcase_add_test(tcase, broken_headers_end_the_connection);
	tcase_add_test(tcase, too_many_fds_end_the_connection);
	tcase_add_test(tcase, all_before_the_end_is_handled);
	tcase_add_test(tcase, replies_find_their_requests);
	tcase_add_test(tcase, split_replies);
	tcase_add_test(tcase, stray_replies);
	tcase_add_test(tcase, answers_to_posted_writes);
	tcase_add_test(tcase, malformed_reply_is_a_violation);
	tcase_add_test(tcase, a_reply_that_breaks_a_rule_leaves_the_sink_alone);
	tcase_add_test(tcase, memory_that_goes_gets_nothing);
	tcase_add_test(tcase, free_ends_what_is_pending);
	tcase_add_test(tcase, timeouts_and_late_replies);
	tcase_add_test(tcase, full_queue_stops_reading);
	tcase_add_test(tcase, full_queue_ends_a_wait);
	tcase_add_test(tcase, full_queue_refuses_requests);
	tcase_add_test(tcase, failing_empties_a_full_queue);
	tcase_add_test(tcase, message_larger_than_the_queue);
	tcase_add_test(tcase, room_is_told_to_those_who_wait);
	tcase_add_test(tcase, a_child_can_only_free);
	tcase_add_test(tcase, memory_runs_out_anywhere);
	tcase_add_test(tcase, descriptors_run_out_anywhere);
	tcase_add_test(tcase, options_have_ranges);
	tcase_add_test(tcase, other_threads_wake_the_loop);
	tcase_add_test(tcase, what_a_caller_leaves_wakes_the_loop);
	tcase_add_test(tcase, loop_rests_while_another_reads);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
