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
#include "../../lib/suite.h"
#include "base/fds.h"
#include "transport/negotiate.h"

#define VERSION VFU_WIRE_CMD_VERSION
#define REPLY VFU_WIRE_HEADER_TYPE_REPLY

static struct vfui_conn *conn;
static int peer;
static struct vfui_conn_options options;
static struct vfui_caps agreed;
static struct vfu_err err;
static uint16_t minor;
static int outcome;
static struct peer_msg msg;

static void serve_version(void *ctx, struct vfui_conn *c, struct vfui_msg *m)
{
	(void)ctx;
	outcome = vfui_negotiate_server(c, m, &agreed, &minor, &err);
}

static const struct vfui_conn_ops ops = {.command = serve_version};

/* An end with the present options. */
static void open_with_options(bool server)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	peer = fds[1];
	conn = vfui_conn_new(fds[0], server, &options, &ops, NULL);
	ck_assert_ptr_nonnull(conn);
	outcome = 1;
	memset(&err, 0, sizeof(err));
}

static void open_end(bool server, uint8_t minor_policy)
{
	vfui_conn_options_init(&options);
	options.policy.minor = minor_policy;
	open_with_options(server);
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
		ck_assert(vfui_conn_limits(conn)->write_multiple &&
			  agreed.value[VFUI_KEY_WRITE_MULTIPLE]);
		close_end();
	}
}
END_TEST

static void choose(const char *name, uint64_t value)
{
	ck_assert_int_eq(vfui_caps_choose(&options.set.own, name, value, true, &err), 0);
}

/* Whatever we have to say: what states a default goes first, features last; what is left out is off. */
START_TEST(server_leaves_out_in_order)
{
	const char *said = "{\"capabilities\":{\"write_multiple\":true,\"twin_socket\":{},"
			   "\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":268435456}}}";
	const char *answer;

	vfui_conn_options_init(&options);
	choose("max_msg_fds", 64);
	choose("max_data_xfer_size", 16777216);
	choose("max_dma_maps", 1000);
	open_with_options(true);
	answer = answer_to(0, said);
	ck_assert_uint_lt(strlen(answer), room_for(said));
	ck_assert_str_eq(answer, "{\"capabilities\":{\"max_msg_fds\":64,"
				 "\"max_data_xfer_size\":16777216,\"write_multiple\":true}}");
	ck_assert(agreed.value[VFUI_KEY_WRITE_MULTIPLE]);
	ck_assert_uint_eq(vfui_conn_limits(conn)->max_dma_maps, 1000);
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
	r = vfui_negotiate_client(conn, &agreed, &minor, &err);
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
	ck_assert(vfui_conn_peer_limits(conn)->write_multiple &&
		  agreed.value[VFUI_KEY_WRITE_MULTIPLE]);
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
	ck_assert(!agreed.value[VFUI_KEY_TWIN_SOCKET_SUPPORTED]);
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

/* A client that says this and the server that open options have: what each takes to be agreed. */
static void meet(const struct vfui_caps *client_says, const struct vfui_caps *server_says,
		 struct vfui_caps *by_client, struct vfui_limits limits[2])
{
	struct vfui_conn *client;
	pthread_t thread;
	uint16_t m;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	vfui_conn_options_init(&options);
	options.set.own = *server_says;
	conn = vfui_conn_new(fds[0], true, &options, &ops, NULL);
	options.set.own = *client_says;
	client = vfui_conn_new(fds[1], false, &options, &ops, NULL);
	ck_assert(conn && client);
	pthread_create(&thread, NULL, run_server, conn);
	ck_assert_msg(vfui_negotiate_client(client, by_client, &m, &err) == 0, "%s", err.text);
	limits[0] = *vfui_conn_limits(client);
	limits[1] = *vfui_conn_peer_limits(client);
	vfui_conn_free(client);
	pthread_join(thread, NULL);
	ck_assert_int_eq(outcome, 0);
}

START_TEST(both_ends_agree)
{
	struct vfui_caps offer, mine, said;
	struct vfui_limits limits[2];

	vfui_caps_init_own(&mine);
	offer = mine;
	ck_assert_int_eq(vfui_caps_choose(&offer, "max_data_xfer_size", 8192, false, &err), 0);
	meet(&offer, &mine, &said, limits);
	ck_assert_uint_eq(said.value[VFUI_KEY_MAX_DATA_XFER_SIZE], 1048576);
	ck_assert_uint_eq(agreed.value[VFUI_KEY_MAX_DATA_XFER_SIZE], 8192);
	ck_assert(said.value[VFUI_KEY_WRITE_MULTIPLE] && agreed.value[VFUI_KEY_WRITE_MULTIPLE]);
	vfui_conn_free(conn);
}
END_TEST

/* ---- every key of the table, in every combination ---- */

enum { SILENT, LOW, HIGH, SAYINGS };

/* A side that says this of one key, and nothing else. */
static struct vfui_caps say(unsigned key, int saying)
{
	const struct vfui_cap *cap = &vfui_caps_table[key];
	uint64_t value = saying == HIGH ? cap->own_max : cap->own_min;
	struct vfui_caps caps;

	vfui_caps_init(&caps);
	if (saying == SILENT)
		return caps;
	caps.value[key] = cap->multiple_of ? value / cap->multiple_of * cap->multiple_of : value;
	caps.said = VFUI_CAP_BIT(key);
	return caps;
}

/* What the table means: of what came over the wire this holds for the side that took theirs. */
static uint64_t meaning(const struct vfui_cap *cap, uint64_t mine, uint64_t theirs,
			uint64_t clients, bool both)
{
	if (cap->feature && !both)
		return cap->dflt;
	switch (cap->combine) {
	case VFUI_COMBINE_OWN:
		return theirs;
	case VFUI_COMBINE_MIN:
		return mine < theirs ? mine : theirs;
	case VFUI_COMBINE_AND:
		return mine && theirs;
	default:
		return clients;
	}
}

static uint64_t limit_of(const struct vfui_limits *limits, const struct vfui_cap *cap)
{
	const char *at = (const char *)limits + cap->limit;
	uint32_t u32;
	uint64_t u64;

	if (cap->limit_size == 1)
		return *at != 0;
	memcpy(&u32, at, sizeof(u32));
	memcpy(&u64, at, cap->limit_size == sizeof(u64) ? sizeof(u64) : 0);
	return cap->limit_size == sizeof(u64) ? u64 : u32;
}

static void check_limit(const struct vfui_limits *limits, const struct vfui_cap *cap,
			uint64_t value)
{
	if (cap->limit == VFUI_CAP_NO_LIMIT)
		return;
	ck_assert_uint_eq(limit_of(limits, cap),
			  cap->as == VFUI_AS_LOWEST_BIT ? value & -value : value);
}

static void check_key(unsigned key, int client_says, int server_says)
{
	const struct vfui_cap *cap = &vfui_caps_table[key];
	struct vfui_caps client = say(key, client_says), server = say(key, server_says), by_client;
	struct vfui_limits limits[2];
	uint64_t c, s, c_agreed, s_agreed;
	bool both;

	meet(&client, &server, &by_client, limits);
	if (!cap->in_request)
		client = say(key, SILENT);
	c = client.value[key];
	s = server.value[key];
	both = client.said && (server.said || cap->combine == VFUI_COMBINE_ECHO);
	c_agreed = meaning(cap, c, s, c, both);
	s_agreed = meaning(cap, s, c, c, both);
	ck_assert_msg(by_client.value[key] == c_agreed && agreed.value[key] == s_agreed,
		      "%s, client %d, server %d: %llu and %llu", cap->name, client_says,
		      server_says, (unsigned long long)by_client.value[key],
		      (unsigned long long)agreed.value[key]);
	check_limit(&limits[1], cap, c_agreed);
	check_limit(vfui_conn_peer_limits(conn), cap, s_agreed);
	/* As a receiver: what one said, where each has its own; else what is agreed. */
	check_limit(&limits[0], cap, cap->combine == VFUI_COMBINE_OWN ? c : c_agreed);
	check_limit(vfui_conn_limits(conn), cap, cap->combine == VFUI_COMBINE_OWN ? s : s_agreed);
	vfui_conn_free(conn);
}

START_TEST(every_key_combines_as_the_table_says)
{
	for (unsigned key = 0; key < VFUI_CAPS; key++)
		for (int i = 0; i < SAYINGS * SAYINGS; i++)
			check_key(key, i / SAYINGS, i % SAYINGS);
}
END_TEST

/* A peer that can take more than we are made for is given no more. */
START_TEST(limits_do_not_pass_ours)
{
	for (unsigned key = 0; key < VFUI_CAPS; key++) {
		const struct vfui_cap *cap = &vfui_caps_table[key];
		struct vfui_caps mine = say(key, HIGH), theirs = say(key, SILENT);
		struct vfui_limits limits;

		theirs.value[key] = cap->max;
		vfui_caps_agree(&mine, &theirs, VFUI_CAP_BIT(key), &agreed);
		vfui_caps_limits(&agreed, &agreed, &limits);
		if (cap->limit != VFUI_CAP_NO_LIMIT)
			ck_assert_uint_le(limit_of(&limits, cap), cap->own_max);
	}
	ck_assert_uint_eq(vfui_caps_table[VFUI_KEY_MAX_MSG_FDS].own_max, VFUI_FDS_MAX);
}
END_TEST

/* A key that no request has is proposed with the object it lies in. */
START_TEST(object_proposes_what_requests_lack)
{
	struct vfui_caps request, own = say(VFUI_KEY_TWIN_SOCKET_FD_INDEX, HIGH), answer;

	vfui_caps_init(&request);
	vfui_caps_answer(&own, &request, &answer);
	ck_assert_uint_eq(answer.said, 0);
	request.said = VFUI_CAP_OBJECT_BIT(VFUI_OBJECT_TWIN_SOCKET);
	vfui_caps_answer(&own, &request, &answer);
	ck_assert_uint_eq(answer.said, own.said);
}
END_TEST

/* ---- what the user says ---- */

static int try(const char *name, uint64_t value, bool is_server)
{
	struct vfui_caps before = options.set.own;
	int r;

	memset(&err, 0, sizeof(err));
	r = vfui_caps_choose(&options.set.own, name, value, is_server, &err);
	ck_assert_int_eq(err.code, r);
	if (r < 0)
		ck_assert(memcmp(&before, &options.set.own, sizeof(before)) == 0);
	return r;
}

static void check_choices(const struct vfui_cap *cap, bool is_server)
{
	bool may = !cap->kept && (is_server ? cap->in_reply : cap->in_request) &&
		   !(is_server && cap->combine == VFUI_COMBINE_ECHO);
	char field[64] = "version.capabilities.";
	uint64_t low = cap->own_min, high = cap->own_max, got;

	strcat(field, cap->name);
	if (cap->multiple_of) {
		low = (low + cap->multiple_of - 1) / cap->multiple_of * cap->multiple_of;
		high = high / cap->multiple_of * cap->multiple_of;
	}
	vfui_conn_options_init(&options);
	ck_assert_int_eq(try(cap->name, high, is_server), may ? 0 : -EINVAL);
	ck_assert_int_eq(try(cap->name, low, is_server), may ? 0 : -EINVAL);
	ck_assert_int_eq(vfui_caps_get(&options.set.own, cap->name, &got, &err), 0);
	ck_assert(!may || got == low);
	ck_assert_int_eq(try(cap->name, cap->own_max + 1, is_server), -EINVAL);
	ck_assert_str_eq(err.field, field);
	if (cap->own_min > 0)
		ck_assert_int_eq(try(cap->name, cap->own_min - 1, is_server), -EINVAL);
	if (cap->multiple_of)
		ck_assert_int_eq(try(cap->name, low + 1, is_server), -EINVAL);
}

START_TEST(choices_keep_to_the_table)
{
	uint64_t value;

	for (unsigned key = 0; key < VFUI_CAPS; key++)
		for (int is_server = 0; is_server < 2; is_server++)
			check_choices(&vfui_caps_table[key], is_server);
	ck_assert_int_eq(try("max_msg_fd", 8, false), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "max_msg_fd"));
	ck_assert_int_eq(try("migration", 8, false), -ENOENT);
	ck_assert_int_eq(try("pgsize", 4096, false), -ENOENT);
	ck_assert_int_eq(vfui_caps_get(&options.set.own, "", &value, &err), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("negotiate");
	TCase *tcase = tcase_create("negotiate");

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
	tcase_add_test(tcase, every_key_combines_as_the_table_says);
	tcase_add_test(tcase, limits_do_not_pass_ours);
	tcase_add_test(tcase, object_proposes_what_requests_lack);
	tcase_add_test(tcase, choices_keep_to_the_table);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
