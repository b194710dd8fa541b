/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-twin.c - the twin socket: how both roles agree on it, which message goes by which socket, what ends it. The
 * other end is made by hand; test-storm has traffic of two real ones.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"
#include "../../lib/wire_peer.h"
#include "transport/negotiate.h"
#include "transport/sock.h"

#define REPLY VFU_WIRE_HEADER_TYPE_REPLY
#define ERROR VFU_WIRE_HEADER_ERROR
#define PROPOSED "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}"
#define GRANTED(index) "{\"capabilities\":{\"twin_socket\":{\"supported\":true" index "}}}"

enum { MAIN, TWIN };

static struct vfui_conn *conn;
static struct vfui_conn_options options;
static int peer[2]; /* the other end's main socket and twin, -1: none */
static struct peer_msg msg;
static struct vfui_caps agreed;
static struct vfu_err err;
static uint16_t minor;
static unsigned served;

static void nothing_wakes(void *user, int status, struct vfui_msg *reply)
{
	int *result = user;

	(void)reply;
	*result = status;
}

static void serve(void *ctx, struct vfui_conn *c, struct vfui_msg *m)
{
	struct vfu_err e;

	(void)ctx;
	served++;
	if (m->hdr.command == VFU_WIRE_CMD_VERSION)
		vfui_negotiate_server(c, m, &agreed, &minor, &err);
	else if (vfui_conn_check(c, m, &e) < 0)
		vfui_conn_reply(c, &m->hdr, -EINVAL, NULL, 0, NULL, 0);
	else
		vfui_conn_reply(c, &m->hdr, 0, &(struct iovec){(void *)(uintptr_t)m->payload, 16},
				1, NULL, 0);
}

static uint8_t *place; /* of what large commands carry; NULL: as others */

static void *place_command(void *ctx, struct vfui_conn *c, const struct vfui_msg *m)
{
	(void)ctx, (void)c, (void)m;
	return place;
}

static const struct vfui_conn_ops ops = {.command = serve, .sink = place_command};

static void propose(bool on)
{
	ck_assert_int_eq(vfui_options_set(&options.set, VFU_OPT_TWIN_SOCKET, on, NULL), 0);
}

static void open_main(bool is_server)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	conn = vfui_conn_new(fds[0], is_server, &options, &ops, NULL);
	ck_assert_ptr_nonnull(conn);
	peer[MAIN] = fds[1];
	peer[TWIN] = -1;
	served = 0;
	memset(&err, 0, sizeof(err));
}

/* One that has a twin socket, agreed before the test looks. */
static void open_both(bool is_server)
{
	int fds[2];

	open_main(is_server);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(vfui_conn_set_twin(conn, fds[0]), 0);
	peer[TWIN] = fds[1];
}

static void close_peer(unsigned which)
{
	if (peer[which] >= 0)
		close(peer[which]);
	peer[which] = -1;
}

static void close_end(void)
{
	vfui_conn_free(conn);
	close_peer(MAIN);
	close_peer(TWIN);
}

static void set_up(void)
{
	vfui_conn_options_init(&options);
	fault_reset();
}

/* ---- the server grants ---- */

/* Its answer to a client that says text; the descriptor that came goes to *fd, -1: none. */
static const char *answer_to(const char *text, int *fd)
{
	static const uint8_t zero[4];
	uint8_t payload[512];
	unsigned nfds = 0;
	int fds[64];

	memcpy(payload, zero, 4);
	memcpy(payload + 4, text, strlen(text) + 1);
	peer_put(peer[MAIN], 1, VFU_WIRE_CMD_VERSION, 0, 0, payload, 4 + strlen(text) + 1);
	ck_assert_int_eq(vfui_conn_process(conn, 0), 1);
	ck_assert_uint_gt(peer_get(peer[MAIN], &msg, fds, &nfds), 20);
	ck_assert_uint_eq(msg.hdr.flags, REPLY);
	ck_assert_uint_le(nfds, 1);
	*fd = nfds ? fds[0] : -1;
	return (const char *)msg.payload + 4;
}

START_TEST(server_grants)
{
	int fd;

	propose(true);
	open_main(true);
	ck_assert_ptr_nonnull(strstr(answer_to(PROPOSED, &fd),
				     "\"twin_socket\":{\"supported\":true,\"fd_index\":0}"));
	ck_assert_int_ge(fd, 0);
	peer[TWIN] = fd;
	ck_assert_int_ge(vfui_conn_twin_fd(conn), 0);
	ck_assert(agreed.value[VFUI_KEY_TWIN_SOCKET_SUPPORTED]);
	ck_assert(vfui_conn_limits(conn)->twin_socket);
	/* It is the other end of ours, and no program that is started gets either. */
	ck_assert_ptr_null(vfui_sock_why_no_twin(fd, peer[MAIN]));
	close_end();
}
END_TEST

static void is_not_granted(const char *text)
{
	int fd;

	ck_assert_ptr_null(strstr(answer_to(text, &fd), "twin_socket"));
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(vfui_conn_twin_fd(conn), -1);
	ck_assert(!agreed.value[VFUI_KEY_TWIN_SOCKET_SUPPORTED]);
	ck_assert(!vfui_conn_limits(conn)->twin_socket);
	ck_assert_int_eq(vfui_conn_status(conn, NULL), 0);
	close_end();
}

/* Who does not ask, takes no descriptors (E59) or has a server that does not want it has one socket. */
START_TEST(server_does_not_grant)
{
	propose(true);
	open_main(true);
	is_not_granted("{\"capabilities\":{}}");
	open_main(true);
	is_not_granted("{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}");
	open_main(true);
	is_not_granted("{\"capabilities\":{\"max_msg_fds\":0,"
		       "\"twin_socket\":{\"supported\":true}}}");
	propose(false);
	open_main(true);
	is_not_granted(PROPOSED);
}
END_TEST

START_TEST(server_that_has_no_descriptors_goes_on_with_one)
{
	propose(true);
	open_main(true);
	fault_fail(FAULT_FD, 1, EMFILE);
	is_not_granted(PROPOSED);
	open_main(true);
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	is_not_granted(PROPOSED);
}
END_TEST

/* ---- the client looks at what it is given ---- */

enum given { NO_FD, GOOD, PIPE, DGRAM, LISTENER, LONELY, DESERTED, MAIN_AGAIN, OTHER_END };

static int make_given(enum given what, int *mine)
{
	int fds[2] = {-1, -1};

	*mine = -1;
	switch (what) {
	case NO_FD:
		return -1;
	case MAIN_AGAIN: /* the end that the client has: who started it may have kept one */
		return dup(vfui_conn_fd(conn));
	case OTHER_END:
		return dup(peer[MAIN]);
	case LISTENER:
	case LONELY:
		fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (what == LISTENER)
			ck_assert_int_eq(bind(fds[0], &(struct sockaddr){.sa_family = AF_UNIX},
					      sizeof(sa_family_t)) |
						 listen(fds[0], 1),
					 0);
		return fds[0];
	case PIPE:
		ck_assert_int_eq(pipe(fds), 0);
		break;
	default:
		ck_assert_int_eq(
			socketpair(AF_UNIX, what == DGRAM ? SOCK_DGRAM : SOCK_STREAM, 0, fds), 0);
	}
	*mine = fds[1];
	if (what == DESERTED) {
		close(fds[1]);
		*mine = -1;
	}
	return fds[0];
}

struct reply {
	const char *text;
	enum given given;
};

static void *answer_version(void *arg)
{
	const struct reply *reply = arg;
	size_t len = strlen(reply->text) + 1;
	uint8_t payload[512] = {0};
	struct peer_msg request;
	int fd = make_given(reply->given, &peer[TWIN]);

	ck_assert(peer_get(peer[MAIN], &request, NULL, NULL) > 0);
	memcpy(payload + 4, reply->text, len);
	len = peer_build(&msg, request.hdr.id, VFU_WIRE_CMD_VERSION, REPLY, payload, len + 4);
	peer_send(peer[MAIN], &msg, len, &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int negotiate(const struct reply *reply)
{
	pthread_t thread;
	int r;

	open_main(false);
	pthread_create(&thread, NULL, answer_version, (void *)(uintptr_t)reply);
	r = vfui_negotiate_client(conn, &agreed, &minor, &err);
	pthread_join(thread, NULL);
	return r;
}

START_TEST(client_takes_what_it_asked_for)
{
	const struct reply good = {GRANTED(",\"fd_index\":0"), GOOD};
	const struct reply none[] = {{"{}", NO_FD},
				     {"{\"capabilities\":{\"twin_socket\":{\"supported\":false,"
				      "\"fd_index\":0}}}",
				      GOOD}};

	propose(true);
	ck_assert_msg(negotiate(&good) == 0, "%s", err.text);
	ck_assert_int_ge(vfui_conn_twin_fd(conn), 0);
	ck_assert(agreed.value[VFUI_KEY_TWIN_SOCKET_SUPPORTED]);
	close_end();
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_msg(negotiate(&none[i]) == 0, "%s", err.text);
		ck_assert_int_eq(vfui_conn_twin_fd(conn), -1);
		ck_assert(!agreed.value[VFUI_KEY_TWIN_SOCKET_SUPPORTED]);
		close_end();
	}
	/* What it did not ask for it closes. */
	propose(false);
	ck_assert_int_eq(negotiate(&good), 0);
	ck_assert_int_eq(vfui_conn_twin_fd(conn), -1);
	close_end();
}
END_TEST

static const struct bad {
	struct reply reply;
	const char *why;
} bad[] = {
	{{GRANTED(""), GOOD}, "must be there"},
	{{GRANTED(""), NO_FD}, "must be there"},
	{{GRANTED(",\"fd_index\":0"), NO_FD}, "names no descriptor"},
	{{GRANTED(",\"fd_index\":1"), GOOD}, "names no descriptor"},
	{{GRANTED(",\"fd_index\":1023"), GOOD}, "names no descriptor"},
	{{GRANTED(",\"fd_index\":0"), PIPE}, "no connected stream socket"},
	{{GRANTED(",\"fd_index\":0"), DGRAM}, "no connected stream socket"},
	{{GRANTED(",\"fd_index\":0"), LISTENER}, "no connected stream socket"},
	{{GRANTED(",\"fd_index\":0"), LONELY}, "has no other end"},
	{{GRANTED(",\"fd_index\":0"), DESERTED}, "has no other end"},
	{{GRANTED(",\"fd_index\":0"), MAIN_AGAIN}, "is the socket that it came by"},
	{{GRANTED(",\"fd_index\":0"), OTHER_END}, "is the other end of the socket that it came by"},
};

START_TEST(client_refuses)
{
	propose(true);
	ck_assert_int_eq(negotiate(&bad[_i].reply), -EPROTO);
	ck_assert_str_eq(err.field, "version.capabilities.twin_socket.fd_index");
	ck_assert_msg(strstr(err.text, bad[_i].why) != NULL, "%s", err.text);
	ck_assert_int_eq(vfui_conn_status(conn, NULL), -EPROTO);
	close_end();
}
END_TEST

/* Numbers that are none, or below and above what the key may be, never get so far. */
START_TEST(client_refuses_numbers)
{
	static const struct reply replies[] = {{GRANTED(",\"fd_index\":1024"), GOOD},
					       {GRANTED(",\"fd_index\":-1"), GOOD},
					       {GRANTED(",\"fd_index\":0.5"), GOOD},
					       {GRANTED(",\"fd_index\":true"), GOOD}};

	propose(true);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_lt(negotiate(&replies[i]), 0);
		ck_assert_int_lt(vfui_conn_status(conn, NULL), 0);
		close_end();
	}
}
END_TEST

START_TEST(client_without_memory)
{
	const struct reply good = {GRANTED(",\"fd_index\":0"), GOOD};
	bool has_failed = false;

	propose(true);
	for (unsigned nth = 1; nth < 40; nth++) {
		int r;

		fault_fail(FAULT_ALLOC, nth, ENOMEM);
		conn = NULL;
		r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peer);
		ck_assert_int_eq(r, 0);
		conn = vfui_conn_new(peer[0], false, &options, &ops, NULL);
		close(peer[1]);
		peer[0] = peer[1] = -1;
		has_failed |= conn == NULL;
		vfui_conn_free(conn);
		fault_reset();
		if (r == 0 && conn != NULL)
			break;
	}
	ck_assert(has_failed);
	ck_assert_int_eq(negotiate(&good), 0);
	close_end();
}
END_TEST

/* ---- which message goes by which socket ---- */

/* Sends a command on that socket; the errno it is refused with there, 0: served. */
static unsigned command_by(unsigned which, uint16_t command)
{
	struct vfu_wire_dma_read_request dma = {.count = 8};
	struct vfu_wire_region_read_request region = {.count = 8};
	bool is_dma = command == VFU_WIRE_CMD_DMA_READ;

	peer_put(peer[which], 7, command, 0, 0, is_dma ? (const void *)&dma : &region, 16);
	ck_assert_int_eq(vfui_conn_process(conn, 0), 1);
	ck_assert_uint_eq(peer_waiting(peer[!which]), 0);
	ck_assert_uint_ge(peer_get(peer[which], &msg, NULL, NULL), 16);
	ck_assert_uint_eq(msg.hdr.id, 7);
	ck_assert_uint_eq(msg.hdr.flags & ~(uint32_t)ERROR, REPLY);
	return msg.hdr.error;
}

START_TEST(commands_go_by_their_socket)
{
	open_both(true);
	ck_assert_uint_eq(command_by(MAIN, VFU_WIRE_CMD_REGION_READ), 0);
	ck_assert_uint_eq(command_by(TWIN, VFU_WIRE_CMD_REGION_READ), ENOSYS);
	ck_assert_uint_eq(command_by(MAIN, VFU_WIRE_CMD_DMA_READ), ENOSYS);
	ck_assert_uint_eq(command_by(TWIN, VFU_WIRE_CMD_DMA_READ), ENOSYS);
	ck_assert_uint_eq(command_by(TWIN, 14), ENOSYS);
	ck_assert_uint_eq(command_by(TWIN, 4711), ENOSYS);
	ck_assert_uint_eq(served, 1);
	ck_assert_int_eq(vfui_conn_status(conn, NULL), 0);
	close_end();
	open_both(false);
	ck_assert_uint_eq(command_by(TWIN, VFU_WIRE_CMD_DMA_READ), 0);
	ck_assert_uint_eq(command_by(MAIN, VFU_WIRE_CMD_DMA_READ), ENOSYS);
	ck_assert_uint_eq(command_by(TWIN, VFU_WIRE_CMD_REGION_READ), ENOSYS);
	ck_assert_uint_eq(command_by(MAIN, VFU_WIRE_CMD_REGION_READ), ENOSYS);
	ck_assert_uint_eq(served, 1);
	close_end();
	options.policy.unknown_command = VFUI_UNKNOWN_COMMAND_EINVAL;
	open_both(false);
	ck_assert_uint_eq(command_by(MAIN, VFU_WIRE_CMD_DMA_READ), EINVAL);
	close_end();
}
END_TEST

/* Sends a request of this side; its socket, and the id. */
static unsigned ask(uint16_t command, int *result)
{
	struct vfu_wire_dma_read_request dma = {.count = 8};
	struct vfu_wire_region_read_request region = {.count = 8};
	bool is_dma = command == VFU_WIRE_CMD_DMA_READ;
	struct iovec iov = {is_dma ? (void *)&dma : &region, 16};
	struct vfui_out out = {.command = command,
			       .iov = &iov,
			       .niov = 1,
			       .timeout_ms = 0,
			       .done = nothing_wakes,
			       .user = result};
	unsigned which;

	*result = 1;
	ck_assert_int_eq(vfui_conn_send(conn, &out), 0);
	which = peer_waiting(peer[TWIN]) > 0 ? TWIN : MAIN;
	ck_assert_uint_eq(peer_waiting(peer[!which]), 0);
	ck_assert_uint_eq(peer_get(peer[which], &msg, NULL, NULL), 32);
	return which;
}

static void answer_by(unsigned which, uint16_t id, uint16_t command)
{
	const uint64_t count = 8;
	const uint32_t small = 8;
	uint8_t payload[24] = {0};

	if (command == VFU_WIRE_CMD_DMA_READ)
		memcpy(payload + 8, &count, sizeof(count));
	else
		memcpy(payload + 12, &small, sizeof(small));
	peer_put(peer[which], id, command, REPLY, 0, payload, sizeof(payload));
	ck_assert_int_eq(vfui_conn_process(conn, 0), 1);
}

START_TEST(replies_go_by_their_socket)
{
	uint16_t command = _i ? VFU_WIRE_CMD_DMA_READ : VFU_WIRE_CMD_REGION_READ;
	unsigned right = _i ? TWIN : MAIN;
	struct vfu_stats stats;
	uint16_t id;
	int result;

	open_both(_i);
	ck_assert_uint_eq(ask(command, &result), right);
	id = msg.hdr.id;
	answer_by(!right, id, command);
	ck_assert_int_eq(result, 1);
	vfui_conn_stats(conn, &stats);
	ck_assert_uint_eq(stats.drops, 1);
	answer_by(right, id, command);
	ck_assert_int_eq(result, 0);
	/* A peer that goes on so is broken (E28): there as on the right one. */
	for (unsigned i = 0; i < 80 && !vfui_conn_status(conn, NULL); i++) {
		peer_put(peer[!right], 9, command, REPLY, 0, NULL, 0);
		vfui_conn_process(conn, 0);
	}
	ck_assert_int_eq(vfui_conn_status(conn, NULL), -EPROTO);
	close_end();
}
END_TEST

/* A reply that is large enough to be received in place is not by the wrong one. */
START_TEST(large_replies_go_by_their_socket)
{
	struct vfu_wire_dma_read_request dma = {.count = 100000};
	struct iovec iov = {&dma, sizeof(dma)};
	static uint8_t sink[100000];
	int result = 1;
	struct vfui_out out = {.command = VFU_WIRE_CMD_DMA_READ,
			       .iov = &iov,
			       .niov = 1,
			       .sink = sink,
			       .sink_skip = 16,
			       .sink_len = sizeof(sink),
			       .timeout_ms = 0,
			       .done = nothing_wakes,
			       .user = &result};
	static struct peer_msg reply;

	open_both(true);
	ck_assert_int_eq(vfui_conn_send(conn, &out), 0);
	ck_assert_uint_eq(peer_get(peer[TWIN], &msg, NULL, NULL), 32);
	memset(reply.payload, 0x5a, sizeof(reply.payload));
	memcpy(reply.payload, &dma, sizeof(dma));
	reply.hdr = (struct vfu_wire_header){.id = msg.hdr.id,
					     .command = VFU_WIRE_CMD_DMA_READ,
					     .size = 16 + 16 + 100000,
					     .flags = REPLY};
	for (int which = MAIN; which <= TWIN; which++) {
		ck_assert_int_eq(result, 1);
		ck_assert_uint_eq(sink[0] | sink[99999], 0);
		for (size_t at = 0, n; at < reply.hdr.size; at += n) {
			n = reply.hdr.size - at < 30000 ? reply.hdr.size - at : 30000;
			peer_send(peer[which], (uint8_t *)&reply + at, n, NULL, 0);
			ck_assert_int_ge(vfui_conn_process(conn, 0), 0);
		}
	}
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(sink[0] & sink[99999], 0x5a);
	close_end();
}
END_TEST

static uint64_t name;
static atomic_bool is_cancelled;

static void *cancel(void *arg)
{
	ck_assert_int_eq(vfui_conn_cancel(conn, name), 0);
	is_cancelled = true;
	return arg;
}

/* While the thread that reads is in a receive from the main socket. */
static void cancel_meanwhile(void)
{
	pthread_t thread;

	fault_on_recv(NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel, NULL), 0);
	for (unsigned i = 0; i < 10000 && !is_cancelled; i++)
		poll(NULL, 0, 1);
	ck_assert(is_cancelled);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* One half of a message whose data are 100,000 bytes. */
static void send_half(unsigned which, unsigned half, uint16_t id, uint16_t command, uint32_t flags)
{
	struct vfu_wire_dma_read_reply dma = {.count = 100000};
	struct vfu_wire_region_write_request region = {.count = 100000};
	static struct peer_msg whole;

	memset(whole.payload, 0x5a, sizeof(whole.payload));
	memcpy(whole.payload, flags ? (const void *)&dma : &region, 16);
	whole.hdr = (struct vfu_wire_header){
		.id = id, .command = command, .size = 32 + 100000, .flags = flags};
	peer_send(peer[which], (uint8_t *)&whole + half * 50016, 50016, NULL, 0);
}

static void process_all(void)
{
	for (int i = 0; i < 4; i++)
		ck_assert_int_ge(vfui_conn_process(conn, 0), 0);
}

/* A command that is being received in place is nothing to who gives up a request, whose reply comes by the other. */
START_TEST(one_sink_is_not_the_other)
{
	static uint8_t sink[100000], placed[100000];
	struct vfu_wire_dma_read_request dma = {.count = sizeof(sink)};
	struct iovec iov = {&dma, sizeof(dma)};
	int result = 1;
	struct vfui_end end = {.done = nothing_wakes, .user = &result};
	struct vfui_out out = {.command = VFU_WIRE_CMD_DMA_READ,
			       .iov = &iov,
			       .niov = 1,
			       .sink = sink,
			       .sink_skip = 16,
			       .sink_len = sizeof(sink),
			       .end = &end};
	uint16_t id;

	place = placed;
	open_both(true);
	ck_assert_int_eq(vfui_conn_start(conn, &out, &name), 0);
	ck_assert_uint_eq(peer_get(peer[TWIN], &msg, NULL, NULL), 32);
	id = msg.hdr.id;
	send_half(TWIN, 0, id, VFU_WIRE_CMD_DMA_READ, REPLY);
	send_half(MAIN, 0, 7, VFU_WIRE_CMD_REGION_WRITE, 0);
	process_all();
	ck_assert_uint_eq(sink[0] & placed[0], 0x5a);
	fault_on_recv(cancel_meanwhile);
	send_half(MAIN, 1, 7, VFU_WIRE_CMD_REGION_WRITE, 0);
	process_all();
	ck_assert_uint_eq(served, 1);
	ck_assert_uint_eq(placed[99999], 0x5a);
	memset(sink, 0, sizeof(sink));
	send_half(TWIN, 1, id, VFU_WIRE_CMD_DMA_READ, REPLY);
	process_all();
	ck_assert_uint_eq(sink[99999], 0);
	ck_assert_int_eq(result, 1);
	place = NULL;
	close_end();
}
END_TEST

/* What came by the twin was sent before a reply that came meanwhile: it is served first. */
START_TEST(twin_comes_first)
{
	struct vfu_wire_dma_read_request dma = {.count = 8};
	int result;

	open_both(false);
	ck_assert_uint_eq(ask(VFU_WIRE_CMD_REGION_READ, &result), MAIN);
	peer_put(peer[TWIN], 1, VFU_WIRE_CMD_DMA_READ, 0, 0, &dma, sizeof(dma));
	peer_put(peer[MAIN], msg.hdr.id, VFU_WIRE_CMD_REGION_READ, REPLY | ERROR, 5, NULL, 0);
	ck_assert_int_eq(vfui_conn_process(conn, 1), 1);
	ck_assert_uint_eq(served, 1);
	ck_assert_int_eq(result, 1);
	ck_assert_int_eq(vfui_conn_timeout(conn), 0);
	ck_assert_int_eq(vfui_conn_process(conn, 1), 1);
	ck_assert_int_eq(result, -5);
	close_end();
}
END_TEST

/* ---- the end ---- */

/* Handles all there is, as a loop or as one that waits. */
static int run(bool is_loop)
{
	int r;

	for (unsigned i = 0; i < 100; i++) {
		r = is_loop ? vfui_conn_process(conn, 0)
			    : vfui_conn_wait(conn, NULL, NULL, i < 3 ? 1 : 100);
		if (r < 0 && r != -ETIMEDOUT)
			return r;
	}
	return r;
}

/* bit 0: server; bit 1: the twin ends; bit 2: in a loop. What came before is handled, and the first reason stays. */
START_TEST(either_end_is_the_end)
{
	bool is_server = _i & 1, is_loop = _i & 4;
	unsigned which = _i & 2 ? TWIN : MAIN;
	uint16_t theirs = is_server ? VFU_WIRE_CMD_REGION_READ : VFU_WIRE_CMD_DMA_READ;
	uint16_t ours = is_server ? VFU_WIRE_CMD_DMA_READ : VFU_WIRE_CMD_REGION_READ;
	struct vfu_wire_dma_read_request dma = {.count = 8};
	struct vfu_err cause;
	int answered, lost;
	unsigned asked;
	uint16_t id;

	open_both(is_server);
	asked = ask(ours, &lost);
	ck_assert_uint_eq(ask(ours, &answered), asked);
	id = msg.hdr.id;
	peer_put(peer[asked], id, ours, REPLY | ERROR, 5, NULL, 0);
	dma.count = is_server ? UINT64_C(8) << 32 : 8;
	peer_put(peer[!asked], 1, theirs, 0, 0, &dma, sizeof(dma));
	close_peer(which);
	ck_assert_int_eq(run(is_loop), -ENOTCONN);
	ck_assert_int_eq(answered, -5);
	ck_assert_int_eq(lost, -ENOTCONN);
	ck_assert_uint_eq(served, 1);
	close_peer(!which);
	ck_assert_int_eq(vfui_conn_status(conn, &cause), -ENOTCONN);
	ck_assert_str_eq(cause.text, which == TWIN ? "the peer closed the twin socket"
						   : "the peer closed the connection");
	close_end();
}
END_TEST

/* All that was sent before the end is handled, however many reads it takes. */
START_TEST(much_came_before_the_end)
{
	enum { MUCH = 20 };
	int results[MUCH];

	open_both(false);
	for (unsigned i = 0; i < MUCH; i++) {
		ck_assert_uint_eq(ask(VFU_WIRE_CMD_REGION_READ, &results[i]), MAIN);
		peer_put(peer[MAIN], msg.hdr.id, VFU_WIRE_CMD_REGION_READ, REPLY | ERROR, 5, NULL,
			 0);
	}
	close_peer(TWIN);
	if (_i & 1)
		close_peer(MAIN);
	fault_limit(FAULT_RECV, 24);
	ck_assert_int_eq(run(_i & 2), -ENOTCONN);
	for (unsigned i = 0; i < MUCH; i++)
		ck_assert_int_eq(results[i], -5);
	fault_reset();
	close_end();
}
END_TEST

/* Nobody is listened to for ever who has closed one of them and talks on. */
START_TEST(talk_goes_on_after_the_end)
{
	struct vfu_wire_dma_read_request dma = {.count = UINT64_C(8) << 32};
	struct vfu_wire_header hdr = {.size = 32, .command = VFU_WIRE_CMD_REGION_READ};
	uint8_t bytes[32];
	int r = 0;

	memcpy(bytes, &hdr, sizeof(hdr));
	memcpy(bytes + 16, &dma, 16);
	open_both(true);
	close_peer(TWIN);
	for (unsigned i = 0; i < 100 && r >= 0; i++) {
		send(peer[MAIN], bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
		r = vfui_conn_process(conn, 1);
	}
	ck_assert_int_eq(r, -ENOTCONN);
	ck_assert_uint_le(served, 2);
	close_end();
}
END_TEST

/* The other socket is shut too: who still talks there is told. */
START_TEST(the_peer_is_told)
{
	char byte;

	open_both(_i);
	close_peer(TWIN);
	ck_assert_int_eq(run(true), -ENOTCONN);
	ck_assert_int_eq(recv(peer[MAIN], &byte, 1, MSG_DONTWAIT), 0);
	close_end();
	open_both(_i);
	close_peer(MAIN);
	ck_assert_int_eq(run(true), -ENOTCONN);
	ck_assert_int_eq(recv(peer[TWIN], &byte, 1, MSG_DONTWAIT), 0);
	close_end();
}
END_TEST

/* What breaks the protocol by one ends both, and says why. */
START_TEST(a_violation_is_the_end)
{
	struct vfu_wire_header wrong = {.size = 3};
	struct vfu_err cause;
	char byte;

	for (unsigned which = MAIN; which <= TWIN; which++) {
		open_both(_i);
		peer_send(peer[which], &wrong, sizeof(wrong), NULL, 0);
		ck_assert_int_eq(run(true), -EPROTO);
		ck_assert_int_eq(vfui_conn_status(conn, &cause), -EPROTO);
		ck_assert_ptr_nonnull(strstr(cause.text, "less than a header"));
		ck_assert_int_eq(recv(peer[!which], &byte, 1, MSG_DONTWAIT), 0);
		close_end();
	}
}
END_TEST

/* Nothing is read while so much is queued for a peer that reads nothing; that it has gone is seen all the same. */
START_TEST(a_full_queue_sees_the_end)
{
	static const uint8_t zeros[60000];
	struct vfu_wire_header hdr = {.command = VFU_WIRE_CMD_REGION_READ};
	struct iovec iov = {(void *)(uintptr_t)zeros, sizeof(zeros)};

	ck_assert_int_eq(vfui_options_set(&options.set, VFU_OPT_QUEUE_BYTES, 65536, NULL), 0);
	open_both(true);
	for (unsigned i = 0; i < 64; i++)
		ck_assert_int_eq(vfui_conn_reply(conn, &hdr, 0, &iov, 1, NULL, 0), 0);
	ck_assert_int_eq(vfui_conn_process(conn, 0), 0);
	close_peer(TWIN);
	ck_assert_int_eq(run(_i), -ENOTCONN);
	close_end();
}
END_TEST

/* ---- cut anywhere ---- */

/* Both sockets' bytes come one at a time, and the connection ends after so many of each: no more, no less is done. */
static unsigned deliver(const void *main_bytes, const void *twin_bytes, size_t len, size_t end)
{
	for (size_t i = 0; i < end; i++) {
		const void *from[2] = {(const uint8_t *)main_bytes + i,
				       (const uint8_t *)twin_bytes + i};

		for (unsigned which = MAIN; which <= TWIN; which++) {
			peer_send(peer[which], from[which], 1, NULL, 0);
			ck_assert_int_ge(vfui_conn_process(conn, 0), 0);
		}
	}
	return end == len ? 0 : 1;
}

START_TEST(cut_anywhere)
{
	bool is_server = _i & 1;
	uint16_t ours = is_server ? VFU_WIRE_CMD_DMA_READ : VFU_WIRE_CMD_REGION_READ;
	static struct peer_msg command, reply;
	struct vfu_wire_dma_read_request in = {.count = is_server ? UINT64_C(8) << 32 : 8};
	const size_t len = 32;
	int result;

	peer_build(&command, 3, is_server ? VFU_WIRE_CMD_REGION_READ : VFU_WIRE_CMD_DMA_READ, 0,
		   &in, 16);
	for (size_t end = 0; end <= len; end++) {
		unsigned asked, is_short;

		open_both(is_server);
		asked = ask(ours, &result);
		peer_build(&reply, msg.hdr.id, ours, REPLY | ERROR, NULL, 16);
		reply.hdr.error = 7;
		is_short = deliver(asked == MAIN ? &reply : &command,
				   asked == MAIN ? &command : &reply, len, end);
		close_peer(_i & 2 ? TWIN : MAIN);
		ck_assert_int_eq(run(true), -ENOTCONN);
		ck_assert_int_eq(result, is_short ? -ENOTCONN : -7);
		ck_assert_uint_eq(served, !is_short);
		close_end();
	}
}
END_TEST

/* ---- hostile ---- */

static uint32_t state;

static uint32_t any(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % below;
}

/* A message that may be anything, mostly sound as far as its header goes. */
static size_t make_any(uint8_t *out)
{
	static const uint16_t commands[] = {1, 2, 3, 8, 9, 10, 11, 11, 12, 12, 13, 14, 16, 4711};
	struct vfu_wire_header hdr = {.id = (uint16_t)any(6),
				      .command = commands[any(14)],
				      .size = 16 + 4 * any(12),
				      .flags = any(3) ? any(2) : any(64),
				      .error = any(3) ? 0 : any(200)};

	if (!any(400))
		hdr.size = any(1u << 31);
	memcpy(out, &hdr, sizeof(hdr));
	for (unsigned i = 16; i < 64; i++)
		out[i] = any(4) ? 0 : (uint8_t)any(256);
	return hdr.size <= 64 ? hdr.size : 16;
}

/* One connection that lasts until the peer has broken it, or it had enough. */
static void storm(bool is_server)
{
	static int results[64];
	unsigned sent = 0;
	uint8_t bytes[64];

	open_both(is_server);
	for (unsigned i = 0; i < 300 && !vfui_conn_status(conn, NULL); i++) {
		size_t len = make_any(bytes), cut = any(3) ? len : 1 + any((uint32_t)len);

		if (sent < 64 && !any(8))
			ask(is_server ? VFU_WIRE_CMD_DMA_READ : VFU_WIRE_CMD_REGION_READ,
			    &results[sent++]);
		if (send(peer[any(2)], bytes, cut, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		vfui_conn_process(conn, any(4));
		for (unsigned which = MAIN; which <= TWIN; which++)
			while (peer_waiting(peer[which]) >= 16 && any(2))
				peer_get(peer[which], &msg, NULL, NULL);
		while (sent < 64 && peer_waiting(peer[MAIN]) + peer_waiting(peer[TWIN]) > 0)
			peer_get(peer[peer_waiting(peer[MAIN]) > 0 ? MAIN : TWIN], &msg, NULL,
				 NULL);
	}
	if (any(2))
		close_peer(any(2) ? TWIN : MAIN);
	vfui_conn_process(conn, 0);
	close_end();
	for (unsigned i = 0; i < sent; i++)
		ck_assert_int_le(results[i], 0);
}

START_TEST(hostile_traffic)
{
	unsigned rounds = getenv("FULL") ? 3000 : 150;

	for (unsigned seed = 1; seed <= rounds; seed++) {
		state = seed * 2654435761u + (uint32_t)_i;
		storm(_i);
	}
}
END_TEST

static void add_agreement(TCase *tcase)
{
	tcase_add_test(tcase, server_grants);
	tcase_add_test(tcase, server_does_not_grant);
	tcase_add_test(tcase, server_that_has_no_descriptors_goes_on_with_one);
	tcase_add_test(tcase, client_takes_what_it_asked_for);
	tcase_add_loop_test(tcase, client_refuses, 0, sizeof(bad) / sizeof(*bad));
	tcase_add_test(tcase, client_refuses_numbers);
	tcase_add_test(tcase, client_without_memory);
}

int main(void)
{
	Suite *suite = suite_create("twin");
	TCase *tcase = tcase_create("twin");

	tcase_add_checked_fixture(tcase, set_up, NULL);
	leaks_watch(tcase);
	tcase_set_timeout(tcase, 300);
	add_agreement(tcase);
	tcase_add_test(tcase, commands_go_by_their_socket);
	tcase_add_loop_test(tcase, replies_go_by_their_socket, 0, 2);
	tcase_add_test(tcase, large_replies_go_by_their_socket);
	tcase_add_test(tcase, one_sink_is_not_the_other);
	tcase_add_test(tcase, twin_comes_first);
	tcase_add_loop_test(tcase, either_end_is_the_end, 0, 8);
	tcase_add_loop_test(tcase, much_came_before_the_end, 0, 4);
	tcase_add_test(tcase, talk_goes_on_after_the_end);
	tcase_add_loop_test(tcase, the_peer_is_told, 0, 2);
	tcase_add_loop_test(tcase, a_violation_is_the_end, 0, 2);
	tcase_add_loop_test(tcase, a_full_queue_sees_the_end, 0, 2);
	tcase_add_loop_test(tcase, cut_anywhere, 0, 4);
	tcase_add_loop_test(tcase, hostile_traffic, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
