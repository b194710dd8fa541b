/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * end.c - one end of a connection, its peer made by hand.
 */
#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "end.h"

struct end end;

static void command(void *ctx, struct vfui_conn *conn, struct vfui_msg *m)
{
	ck_assert_ptr_eq(ctx, &end);
	end.commands++;
	if (end.on_command != NULL) {
		end.on_command(conn, m);
		return;
	}
	ck_assert(vfui_conn_is_reader(conn));
	vfui_conn_reply(conn, &m->hdr, 0, NULL, 0, NULL, 0);
}

const struct vfui_conn_ops end_ops = {.command = command};

void end_open(bool server)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	end.peer = fds[1];
	end.commands = 0;
	end.on_command = NULL;
	end.conn = vfui_conn_new(fds[0], server, &end.options, &end_ops, &end);
	ck_assert_ptr_nonnull(end.conn);
}

void end_open_default(bool server)
{
	vfui_conn_options_init(&end.options);
	end_open(server);
}

void end_close(void)
{
	vfui_conn_free(end.conn);
	if (end.peer >= 0)
		close(end.peer);
}

struct vfu_stats end_stats(void)
{
	struct vfu_stats out;

	vfui_conn_stats(end.conn, &out);
	return out;
}

void end_expect_reply(uint16_t id, uint16_t cmd, uint32_t error, size_t len)
{
	ck_assert_uint_eq(peer_get(end.peer, &end.msg, NULL, NULL), 16 + len);
	ck_assert_uint_eq(end.msg.hdr.id, id);
	ck_assert_uint_eq(end.msg.hdr.command, cmd);
	ck_assert_uint_eq(end.msg.hdr.flags, error != 0 ? ERROR : REPLY);
	ck_assert_uint_eq(end.msg.hdr.error, error);
}

void end_note(void *user, int status, struct vfui_msg *reply)
{
	struct end_result *result = user;

	ck_assert((reply != NULL) == (status == 0));
	result->status = status;
	result->len = reply != NULL ? reply->len : 0;
	result->runs++;
}

/* A region read of count bytes; data goes to sink if there is one. */
int end_ask(uint32_t count, int timeout_ms, void *sink, struct end_result *result)
{
	struct vfu_wire_region_read_request in = {.offset = 0, .region = 1, .count = count};
	struct iovec iov = {&in, sizeof(in)};
	struct vfui_out out = {.command = READ,
			       .iov = &iov,
			       .niov = 1,
			       .sink = sink,
			       .sink_skip = sizeof(in),
			       .sink_len = count,
			       .timeout_ms = timeout_ms,
			       .done = end_note,
			       .user = result};

	*result = (struct end_result){.status = 1};
	return vfui_conn_send(end.conn, &out);
}

/* The peer's answer to the request it got last: the pattern of its id. */
void end_answer_read(uint32_t count)
{
	static uint8_t payload[100016];
	struct peer_msg *pattern = malloc(sizeof(*pattern));

	peer_build(pattern, end.msg.hdr.id, 0, 0, NULL, count);
	memcpy(payload, end.msg.payload, 16);
	memcpy(payload + 16, pattern->payload, count);
	peer_put(end.peer, end.msg.hdr.id, READ, REPLY, 0, payload, 16 + count);
	free(pattern);
}

void end_get_request(void)
{
	ck_assert_uint_eq(peer_get(end.peer, &end.msg, NULL, NULL), 32);
	ck_assert_uint_eq(end.msg.hdr.command, READ);
	ck_assert_uint_eq(end.msg.hdr.flags, 0);
}

int end_call_read(uint32_t count, int timeout_ms, void *data, struct vfu_err *err)
{
	struct vfu_wire_region_read_request in = {.region = 1, .count = count};
	struct vfu_wire_region_read_reply out;
	struct vfui_call call = {.reply_tail = data,
				 .reply_room = count,
				 .plain_tail = true,
				 .timeout_ms = timeout_ms,
				 .err = err};
	int r = vfui_conn_call(end.conn, READ, &call, &in, sizeof(in), &out, sizeof(out));

	ck_assert(r != 0 || call.reply_len == count);
	return r;
}

bool end_is_true(void *arg)
{
	return atomic_load((atomic_bool *)arg);
}

/* A server whose peer asks for more than it reads, until the queue is full. */
int end_big_reply(struct vfui_conn *conn, struct vfui_msg *m)
{
	static uint8_t data[60000];
	struct iovec iov = {data, sizeof(data)};

	return vfui_conn_reply(conn, &m->hdr, 0, &iov, 1, NULL, 0);
}

void end_small_buffer(void)
{
	int size = 4096;

	ck_assert_int_eq(
		setsockopt(vfui_conn_fd(end.conn), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

static void *read_on(void *arg)
{
	*(int *)arg = vfui_conn_wait(end.conn, end_is_true, &end.is_over, -1);
	return NULL;
}

/* Starts a thread that reads until end.is_over; it does when this returns. */
pthread_t end_start_reader(int *status)
{
	pthread_t reader;

	end.is_over = false;
	peer_put(end.peer, 1, DMA_READ, 0, 0, NULL, 16);
	pthread_create(&reader, NULL, read_on, status);
	end_expect_reply(1, DMA_READ, 0, 0);
	return reader;
}

void end_stop_reader(pthread_t reader, const int *status)
{
	end.is_over = true;
	vfui_conn_wake(end.conn);
	pthread_join(reader, NULL);
	ck_assert_int_eq(*status, 0);
}
