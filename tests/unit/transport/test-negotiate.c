/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-negotiate.c - VERSION from both sides, against a peer made by hand and against each other.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/wire_peer.h"
#include "transport/negotiate.h"

#define VERSION VFU_WIRE_CMD_VERSION
#define REPLY VFU_WIRE_HEADER_TYPE_REPLY

static struct vfui_conn *conn;
static int peer;
static struct vfui_caps own, agreed;
static struct vfu_err err;
static uint16_t minor;
static int outcome;
static struct peer_msg msg;

static void serve_version(void *ctx, struct vfui_conn *c, struct vfui_msg *m)
{
	(void)ctx;
	outcome = vfui_negotiate_server(c, m, &own, &agreed, &minor, &err);
}

static const struct vfui_conn_ops ops = {.command = serve_version};

static void open_end(bool server, uint8_t minor_policy)
{
	struct vfui_conn_options options;
	int fds[2];

	vfui_conn_options_init(&options);
	options.policy.minor = minor_policy;
	vfui_negotiate_offer(options.values, &own);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	peer = fds[1];
	conn = vfui_conn_new(fds[0], server, &options, &ops, NULL);
	ck_assert_ptr_nonnull(conn);
	outcome = 1;
	memset(&err, 0, sizeof(err));
}

static void close_end(void)
{
	vfui_conn_free(conn);
	close(peer);
}

/* A VERSION message of the peer: text with its NUL, or none. */
static void put_version(uint16_t id, uint32_t flags, uint16_t major, uint16_t minor_said,
			const char *text)
{
	uint8_t payload[1024];
	size_t len = 4;

	memcpy(payload, &major, 2);
	memcpy(payload + 2, &minor_said, 2);
	if (text != NULL) {
		memcpy(payload + 4, text, strlen(text) + 1);
		len += strlen(text) + 1;
	}
	peer_put(peer, id, VERSION, flags, 0, payload, len);
}

/* The server's answer to a client that says this. */
static const char *answer_to(uint16_t minor_said, const char *text)
{
	put_version(5, 0, 0, minor_said, text);
	ck_assert_int_eq(vfui_conn_process(conn, 0), 1);
	ck_assert_uint_gt(peer_get(peer, &msg, NULL, NULL), 20);
	ck_assert_int_eq(outcome, 0);
	ck_assert_uint_eq(msg.hdr.flags, REPLY);
	ck_assert_uint_eq(msg.hdr.id, 5);
	ck_assert_int_eq(msg.payload[msg.hdr.size - 17], '\0');
	return (const char *)msg.payload + 4;
}

START_TEST(server_answers_all_when_nothing_is_said)
{
	open_end(true, VFUI_MINOR_MIN);
	ck_assert_str_eq(answer_to(0, NULL),
			 "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
			 "\"max_dma_maps\":65535,\"pgsizes\":4096}}");
	ck_assert_uint_eq(vfui_conn_peer_limits(conn)->max_msg_fds, 1);
	ck_assert_uint_eq(vfui_conn_peer_limits(conn)->max_data_xfer_size, 1048576);
	ck_assert_uint_eq(vfui_conn_limits(conn)->max_msg_fds, 16);
	ck_assert_uint_eq(vfui_conn_limits(conn)->pgsize, 4096);
	ck_assert(!vfui_conn_limits(conn)->write_multiple);
	close_end();
}
END_TEST

/*
 * What QEMU sends: the answer must not be longer (E17), and repeats what it proposed of migration
 * (E22).
 */
START_TEST(server_answers_qemu)
{
	const char *said =
		"{\"capabilities\": {\"max_msg_fds\": 8, \"max_data_xfer_size\": 1048576, "
		"\"migration\": {\"pgsize\": 4096, \"max_bitmap_size\": 268435456}, "
		"\"max_dma_maps\": 65535, \"pgsizes\": 4096, \"write_multiple\": true}}";
	const char *answer;

	open_end(true, VFUI_MINOR_MIN);
	answer = answer_to(0, said);
	ck_assert_uint_le(strlen(answer), strlen(said));
	ck_assert_ptr_nonnull(strstr(answer, "\"write_multiple\":true"));
	ck_assert_ptr_nonnull(strstr(answer, "\"migration\":{\"pgsize\":4096"));
	ck_assert(vfui_conn_limits(conn)->write_multiple);
	ck_assert_uint_eq(vfui_conn_peer_limits(conn)->max_msg_fds, 8);
	close_end();
}
END_TEST

/* The text may have so many bytes, its NUL included. */
static size_t room_for(const char *said)
{
	size_t request = 16 + 4 + (said != NULL ? strlen(said) + 1 : 0);

	return (request > 128 ? request : 128) - 16 - 4;
}

/* A client that proposes little gets the feature it asks for, and an answer that is not long (E17). */
START_TEST(server_keeps_its_answer_short)
{
	static const char *const texts[] = {
		"{\"capabilities\":{\"write_multiple\":true}}",
		"{\"capabilities\":{\"write_multiple\":true                         }}",
		"{ \"capabilities\" : { \"write_multiple\" : true , \"max_dma_maps\" : 70000 } }",
		"{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true}}",
	};

	for (unsigned i = 0; i < 4; i++) {
		const char *answer;

		open_end(true, VFUI_MINOR_MIN);
		answer = answer_to(0, texts[i]);
		ck_assert_uint_lt(strlen(answer), room_for(texts[i]));
		ck_assert_ptr_nonnull(strstr(answer, "\"max_msg_fds\":16"));
		ck_assert_ptr_nonnull(strstr(answer, "\"write_multiple\":true"));
		ck_assert(vfui_conn_limits(conn)->write_multiple && agreed.write_multiple);
		close_end();
	}
}
END_TEST

/* Whatever we have to say: what states a default goes first, features last; what is left out is off. */
START_TEST(server_leaves_out_in_order)
{
	const char *said = "{\"capabilities\":{\"write_multiple\":true,\"twin_socket\":{},"
			   "\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":268435456}}}";
	const char *answer;

	open_end(true, VFUI_MINOR_MIN);
	own.max_msg_fds = 64;
	own.max_data_xfer_size = 16777216;
	own.max_dma_maps = 1000;
	answer = answer_to(0, said);
	ck_assert_uint_lt(strlen(answer), room_for(said));
	ck_assert_str_eq(answer, "{\"capabilities\":{\"max_msg_fds\":64,"
				 "\"max_data_xfer_size\":16777216,\"write_multiple\":true}}");
	ck_assert(agreed.write_multiple);
	close_end();
	/* Nothing is said: everything fits that is not proposed. */
	open_end(true, VFUI_MINOR_MIN);
	ck_assert_ptr_nonnull(strstr(answer_to(0, "{}"), "pgsizes"));
	close_end();
}
END_TEST

START_TEST(server_minor)
{
	static const struct {
		uint16_t said, min, zero;
	} cases[] = {{0, 0, 0}, {1, 1, 0}, {2, 2, 0}, {3, 2, 0}, {65535, 2, 0}};
	uint16_t answered;

	for (unsigned i = 0; i < 10; i++) {
		open_end(true, i % 2 == 0 ? VFUI_MINOR_MIN : VFUI_MINOR_ZERO);
		answer_to(cases[i / 2].said, NULL);
		ck_assert_uint_eq(minor, i % 2 == 0 ? cases[i / 2].min : cases[i / 2].zero);
		memcpy(&answered, msg.payload + 2, sizeof(answered));
		ck_assert_uint_eq(answered, minor);
		ck_assert_uint_eq(vfui_conn_limits(conn)->minor, minor);
		ck_assert_uint_eq(vfui_conn_peer_limits(conn)->minor, minor);
		close_end();
	}
}
END_TEST

START_TEST(server_refuses)
{
	static const char *const texts[] = {
		"", "x", "{\"capabilities\":{\"max_msg_fds\":-1}}",
		"{\"capabilities\":{\"max_msg_fds\":1,\"max_msg_fds\":1}}"};

	for (unsigned i = 0; i < 6; i++) {
		open_end(true, VFUI_MINOR_MIN);
		if (i == 4)
			put_version(1, 0, 1, 0, NULL); /* another major */
		else if (i == 5)
			peer_put(peer, 1, VERSION, 0, 0, "\0\0\0\0{}", 6); /* no NUL */
		else
			put_version(1, 0, 0, 0, texts[i]);
		ck_assert_int_eq(vfui_conn_process(conn, 0), 1);
		ck_assert_int_eq(outcome, -EINVAL);
		ck_assert_int_eq(err.code, -EINVAL);
		ck_assert_uint_eq(peer_get(peer, &msg, NULL, NULL), 16);
		ck_assert_uint_eq(msg.hdr.flags, REPLY | VFU_WIRE_HEADER_ERROR);
		ck_assert_uint_eq(msg.hdr.error, EINVAL);
		close_end();
	}
}
END_TEST

/* ---- client ---- */

static uint16_t answer_minor;
static const char *answer_text;
static int answer_fd = -1;

/* A server made by hand: answers one VERSION. */
static void *answer_version(void *arg)
{
	static struct peer_msg request, reply;
	uint8_t payload[1024] = {0};
	size_t len = 4;

	(void)arg;
	if (peer_get(peer, &request, NULL, NULL) == 0)
		return NULL;
	memcpy(payload + 2, &answer_minor, 2);
	if (answer_text != NULL) {
		memcpy(payload + 4, answer_text, strlen(answer_text) + 1);
		len += strlen(answer_text) + 1;
	}
	len = peer_build(&reply, request.hdr.id, VERSION, REPLY, payload, len);
	peer_send(peer, &reply, len, &answer_fd, answer_fd >= 0 ? 1 : 0);
	return NULL;
}

static int negotiate(uint16_t minor_said, const char *text)
{
	pthread_t thread;
	int r;

	open_end(false, VFUI_MINOR_MIN);
	answer_minor = minor_said;
	answer_text = text;
	pthread_create(&thread, NULL, answer_version, NULL);
	r = vfui_negotiate_client(conn, &own, &agreed, &minor, &err);
	pthread_join(thread, NULL);
	return r;
}

START_TEST(client_takes_what_servers_say)
{
	ck_assert_msg(negotiate(0, NULL) == 0, "%s", err.text);
	ck_assert_uint_eq(vfui_conn_peer_limits(conn)->max_msg_fds, 1);
	ck_assert(!vfui_conn_peer_limits(conn)->write_multiple);
	close_end();
	ck_assert_int_eq(negotiate(0,
				   "{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true,"
				   "\"max_data_xfer_size\":65536,\"migration\":{}}}"),
			 0);
	ck_assert_uint_eq(vfui_conn_peer_limits(conn)->max_msg_fds, 8);
	ck_assert_uint_eq(vfui_conn_peer_limits(conn)->max_data_xfer_size, 65536);
	ck_assert_uint_eq(vfui_conn_limits(conn)->max_data_xfer_size, 1048576);
	ck_assert(vfui_conn_peer_limits(conn)->write_multiple && agreed.write_multiple);
	ck_assert_uint_eq(minor, 0);
	close_end();
}
END_TEST

START_TEST(client_closes_what_it_did_not_ask_for)
{
	answer_fd = peer_fd();
	ck_assert_int_eq(negotiate(0, "{\"capabilities\":{\"twin_socket\":{\"supported\":true,"
				      "\"fd_index\":0}}}"),
			 0);
	ck_assert(!agreed.twin_socket_supported);
	close_end();
	close(answer_fd);
}
END_TEST

START_TEST(client_refuses)
{
	ck_assert_int_eq(negotiate(1, NULL), -EPROTO); /* more than we proposed */
	ck_assert_int_eq(vfui_conn_status(conn, NULL), -EPROTO);
	close_end();
	ck_assert_int_eq(negotiate(0, "{\"capabilities\":{\"max_data_xfer_size\":0}}"), -EINVAL);
	ck_assert_str_eq(err.field, "version.capabilities.max_data_xfer_size");
	ck_assert_int_eq(vfui_conn_status(conn, NULL), -EINVAL);
	close_end();
}
END_TEST

/* ---- both ---- */

static void *run_server(void *arg)
{
	while (vfui_conn_process_wait(arg, 0, 1000) >= 0) {}
	return NULL;
}

START_TEST(both_ends_agree)
{
	struct vfui_conn_options options;
	struct vfui_conn *client;
	struct vfui_caps offer, said;
	pthread_t thread;
	uint16_t m;
	int fds[2];

	vfui_conn_options_init(&options);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	vfui_negotiate_offer(options.values, &own);
	conn = vfui_conn_new(fds[0], true, &options, &ops, NULL);
	vfui_options_set(options.values, VFU_OPT_MAX_DATA_XFER_SIZE, 8192);
	vfui_negotiate_offer(options.values, &offer);
	client = vfui_conn_new(fds[1], false, &options, &ops, NULL);
	pthread_create(&thread, NULL, run_server, conn);
	ck_assert_msg(vfui_negotiate_client(client, &offer, &said, &m, &err) == 0, "%s", err.text);
	vfui_conn_free(client);
	pthread_join(thread, NULL);
	ck_assert_int_eq(outcome, 0);
	ck_assert_uint_eq(said.max_data_xfer_size, 1048576);
	ck_assert_uint_eq(agreed.max_data_xfer_size, 8192);
	ck_assert(said.write_multiple && agreed.write_multiple);
	vfui_conn_free(conn);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("negotiate");
	TCase *tcase = tcase_create("negotiate");
	SRunner *runner = srunner_create(suite);
	int failed;

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, server_answers_all_when_nothing_is_said);
	tcase_add_test(tcase, server_answers_qemu);
	tcase_add_test(tcase, server_keeps_its_answer_short);
	tcase_add_test(tcase, server_leaves_out_in_order);
	tcase_add_test(tcase, server_minor);
	tcase_add_test(tcase, server_refuses);
	tcase_add_test(tcase, client_takes_what_servers_say);
	tcase_add_test(tcase, client_closes_what_it_did_not_ask_for);
	tcase_add_test(tcase, client_refuses);
	tcase_add_test(tcase, both_ends_agree);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
