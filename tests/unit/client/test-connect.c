/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-connect.c - connecting to who does not answer, and all that ends it.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"

static struct vfu_client *cl;
static atomic_bool is_in_callback, may_return, is_signalled;

static int interrupted(void *user)
{
	(void)user;
	return is_signalled;
}

static void setup(void)
{
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 0), 0);
	vfu_client_set_interrupt(cl, interrupted, NULL);
	is_in_callback = may_return = is_signalled = false;
}

static void teardown(void)
{
	vfu_client_free(cl);
}

/* ---- who does not answer ---- */

/* Where connecting hangs: begin makes it so, hang connects, end cleans up. */
struct place {
	void (*begin)(void);
	int (*hang)(void);
	void (*end)(void);
};

static char dir[32], path[64];
static int listener, waiting[8];

/* A server that accepts nobody, and its queue is full. */
static void fill_queue(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	unsigned n = 0;

	strcpy(dir, "/tmp/vfu-connect-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	strcpy(addr.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	do {
		waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (!connect(waiting[n++], (struct sockaddr *)&addr, sizeof(addr)) && n < 8);
	memset(waiting + n, -1, sizeof(waiting) - n * sizeof(waiting[0]));
}

/* No server, but one is expected. */
static void expect_server(void)
{
	strcpy(dir, "/tmp/vfu-connect-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
}

static int await_server(void)
{
	int ret;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_CONNECT_WAIT_MS, 60000), 0);
	ret = vfu_client_connect(cl, path);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_CONNECT_WAIT_MS, 0), 0);
	return ret;
}

static void stop_expecting(void)
{
	rmdir(dir);
}

static int connect_to_queue(void)
{
	return vfu_client_connect(cl, path);
}

static void drop_queue(void)
{
	for (unsigned i = 0; i < 8 && waiting[i] >= 0; i++)
		close(waiting[i]);
	close(listener);
	unlink(path);
	rmdir(dir);
}

/* A server that does not answer VERSION. */
static void make_silence(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, waiting), 0);
}

static int attach_to_silence(void)
{
	return vfu_client_attach(cl, waiting[0]);
}

static void drop_silence(void)
{
	close(waiting[1]);
}

/* A call of the last connection is in a callback that does not return. */
static struct script far;
static pthread_t server_of_dma;

static void asks_for_memory(struct script *s)
{
	uint64_t payload[2] = {0x1000, 4};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	peer_put(s->fd, 1, VFU_WIRE_CMD_DMA_READ, 0, 0, payload, sizeof(payload));
	while (!is_in_callback)
		poll(NULL, 0, 1);
}

static int stay(void *user, bool is_write, uint64_t iova, void *buf, size_t len)
{
	(void)user, (void)is_write, (void)iova, (void)buf, (void)len;
	is_in_callback = true;
	while (!may_return)
		poll(NULL, 0, 1);
	return 0;
}

static void *serve(void *arg)
{
	(void)arg;
	/* The hook is for the thread that connects. */
	vfu_client_serve(cl, -1);
	return NULL;
}

static void leave_call(void)
{
	script_connect(&far, cl, asks_for_memory);
	vfu_client_set_dma(cl, stay, NULL);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x1000, 0x1000, VFU_DMA_READ, NULL, -1, 0), 0);
	pthread_create(&server_of_dma, NULL, serve, NULL);
	script_join(&far);
	is_signalled = true;
	ck_assert_int_eq(vfu_client_disconnect(cl), -EINTR);
	is_signalled = false;
}

static int attach_anew(void)
{
	int fds[2], ret;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ret = vfu_client_attach(cl, fds[0]);
	close(fds[1]);
	return ret;
}

static void return_from_call(void)
{
	may_return = true;
	pthread_join(server_of_dma, NULL);
}

static const struct place places[] = {
	{fill_queue, connect_to_queue, drop_queue},
	{make_silence, attach_to_silence, drop_silence},
	{leave_call, attach_anew, return_from_call},
};

/* ---- what ends it ---- */

static void *signals(void *arg)
{
	poll(NULL, 0, 50);
	is_signalled = true;
	return arg;
}

static void *disconnects(void *arg)
{
	poll(NULL, 0, 50);
	ck_assert(vfu_client_disconnect(cl) == 0);
	return arg;
}

static void *waits(void *arg)
{
	return arg;
}

static const struct {
	unsigned timeout_ms;
	void *(*other)(void *arg);
	int result;
} enders[] = {{100, waits, -ETIMEDOUT}, {0, signals, -EINTR}, {0, disconnects, -ENOTCONN}};

/* The time is that of waiting, not of a step. */
static const struct place absence = {expect_server, await_server, stop_expecting};

#define PLACES (sizeof(places) / sizeof(places[0]))
#define ENDERS (sizeof(enders) / sizeof(enders[0]))

START_TEST(connecting_ends)
{
	const struct place *place = _i / ENDERS < PLACES ? &places[_i / (int)ENDERS] : &absence;
	unsigned how = place == &absence ? 1 + (unsigned)_i % 2 : (unsigned)_i % ENDERS;
	struct vfu_err err;
	pthread_t other;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 60000), 0);
	place->begin();
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, enders[how].timeout_ms), 0);
	pthread_create(&other, NULL, enders[how].other, NULL);
	ck_assert_int_eq(place->hang(), enders[how].result);
	vfu_client_err(cl, &err);
	ck_assert_int_eq(err.code, enders[how].result);
	ck_assert_int_eq(vfu_client_status(cl), -ENOTCONN);
	place->end();
	pthread_join(other, NULL);
	/* It can connect again. */
	is_signalled = false;
	ck_assert_int_eq(vfu_client_connect(cl, "/nonexistent/s"), -ENOENT);
}
END_TEST

/* ---- a server that comes late ---- */

static int listen_at(const char *at)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, at);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* First there is no file, then one where nobody listens, then a server that hangs up. */
static void *comes_late(void *arg)
{
	int fd;

	poll(NULL, 0, 20);
	fd = listen_at(path);
	poll(NULL, 0, 20);
	ck_assert(listen(fd, 4) == 0);
	for (unsigned i = 0; i < 3; i++)
		close(accept(fd, NULL, NULL));
	far.fd = accept(fd, NULL, NULL);
	far.nfds = 0;
	script_version(&far);
	script_end(&far);
	close(far.fd);
	close(fd);
	return arg;
}

START_TEST(waits_for_a_server)
{
	pthread_t server;

	expect_server();
	pthread_create(&server, NULL, comes_late, NULL);
	ck_assert_int_eq(await_server(), 0);
	ck_assert_int_eq(vfu_client_status(cl), 0);
	vfu_client_disconnect(cl);
	pthread_join(server, NULL);
	unlink(path);
	stop_expecting();
}
END_TEST

static void *refuses(void *arg)
{
	int fd = *(int *)arg;
	struct script s = {.fd = accept(fd, NULL, NULL)};

	script_get(&s, VFU_WIRE_CMD_VERSION);
	script_error(&s, EINVAL);
	script_end(&s);
	close(s.fd);
	return NULL;
}

/* What is no matter of time ends it, and when the time is up it fails as the last attempt did. */
START_TEST(waits_for_nothing_else)
{
	pthread_t server;
	struct vfu_err err;
	int fd;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_CONNECT_WAIT_MS, 20), 0);
	expect_server();
	ck_assert_int_eq(vfu_client_connect(cl, path), -ENOENT);
	fd = listen_at(path);
	ck_assert_int_eq(vfu_client_connect(cl, path), -ECONNREFUSED);
	vfu_client_err(cl, &err);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(listen(fd, 4), 0);
	pthread_create(&server, NULL, refuses, &fd);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_CONNECT_WAIT_MS, 600000), 0);
	ck_assert_int_eq(vfu_client_connect(cl, path), -EINVAL);
	pthread_join(server, NULL);
	close(fd);
	unlink(path);
	stop_expecting();
}
END_TEST

/* VERSION late, to who may have gone. */
static void answers_late(struct script *s)
{
	static const char json[] = "{\"capabilities\":{}}";
	uint8_t payload[4 + sizeof(json)] = {0};
	struct peer_msg reply;
	size_t size;

	if (!peer_get(s->fd, &s->msg, NULL, NULL))
		return;
	poll(NULL, 0, 20);
	memcpy(payload + 4, json, sizeof(json));
	size = peer_build(&reply, s->msg.hdr.id, VFU_WIRE_CMD_VERSION, VFU_WIRE_HEADER_TYPE_REPLY,
			  payload, sizeof(payload));
	if (send(s->fd, &reply, size, MSG_NOSIGNAL) == (ssize_t)size)
		script_end(s);
}

/* A disconnect at any moment of connecting: when it returns nothing is connected. */
START_TEST(disconnecting_at_any_moment)
{
	pthread_t other;
	int ret;

	pthread_create(&other, NULL, disconnects, NULL);
	poll(NULL, 0, 25 + _i);
	ret = vfu_client_attach(cl, script_start(&far, answers_late));
	ck_assert(ret == 0 || ret == -ENOTCONN);
	pthread_join(other, NULL);
	if (vfu_client_status(cl) == 0) /* it was over before we began */
		vfu_client_disconnect(cl);
	script_join(&far);
}
END_TEST

/* ---- the other waits, while the thread that reads is in that callback ---- */

static void says_nothing_more(struct script *s)
{
	asks_for_memory(s);
	while (peer_get(s->fd, &s->msg, NULL, NULL)) {}
}

START_TEST(waits_end_without_the_reader)
{
	uint32_t value = 0;
	pthread_t other;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, _i == 0 ? 300 : 0), 0);
	script_connect(&far, cl, says_nothing_more);
	vfu_client_set_dma(cl, stay, NULL);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x1000, 0x1000, VFU_DMA_READ, NULL, -1, 0), 0);
	pthread_create(&server_of_dma, NULL, serve, NULL);
	while (!is_in_callback)
		poll(NULL, 0, 1);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 0x10000, 0x1000, VFU_DMA_READ, NULL, -1, 0),
			 0);
	for (unsigned i = 0; i < 2; i++) {
		is_signalled = false;
		pthread_create(&other, NULL, _i == 0 ? waits : signals, NULL);
		ck_assert_int_eq(i == 0 ? vfu_client_fence(cl)
					: vfu_client_region_read(cl, 0, 0, &value, 4),
				 _i == 0 ? -ETIMEDOUT : -EINTR);
		pthread_join(other, NULL);
	}
	is_signalled = false;
	may_return = true;
	vfu_client_disconnect(cl);
	pthread_join(server_of_dma, NULL);
	script_join(&far);
}
END_TEST

/* It is taken all the same. */
static void *sets_options(void *arg)
{
	for (unsigned i = 0; !may_return; i++) {
		ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 5000 + i % 2), 0);
		ck_assert_int_eq(vfu_client_set_capability(cl, "max_msg_fds", 1 + i % 8), 0);
		ck_assert_int_eq(vfu_client_set_policy(cl, "unmap_all", i % 2 ? "flag" : "each"),
				 0);
	}
	return arg;
}

static void version_and_end(struct script *s)
{
	script_version(s);
	script_end(s);
}

/* Options are set while another thread connects, which has the old ones or the new. For the thread sanitizer. */
START_TEST(options_of_the_next_connection)
{
	pthread_t other;

	ck_assert_int_eq(pthread_create(&other, NULL, sets_options, NULL), 0);
	for (unsigned i = 0; i < 30; i++) {
		script_connect(&far, cl, version_and_end);
		ck_assert_int_eq(vfu_client_disconnect(cl), 0);
		script_join(&far);
	}
	may_return = true;
	ck_assert_int_eq(pthread_join(other, NULL), 0);
}
END_TEST

START_TEST(no_stream)
{
	const struct {
		int fd, code;
		const char *text;
	} cases[] = {
		{open("/dev/null", O_RDWR | O_CLOEXEC), -ENOTSOCK, "non-socket"},
		{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), -EPROTOTYPE, "Protocol wrong type"},
		{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), -EINVAL, "listens"},
		{-1, -EBADF, "descriptor -1"},
	};
	const struct sockaddr_un any = {.sun_family = AF_UNIX};
	struct vfu_err err;

	ck_assert_int_eq(bind(cases[2].fd, (const struct sockaddr *)&any, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(cases[2].fd, 1), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(vfu_client_attach(cl, cases[i].fd), cases[i].code);
		vfu_client_err(cl, &err);
		ck_assert_int_eq(err.code, cases[i].code);
		ck_assert_ptr_nonnull(strstr(err.text, cases[i].text));
		ck_assert_int_eq(fcntl(cases[i].fd, F_GETFD), -1);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("connect");
	TCase *tcase = tcase_create("connect");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, connecting_ends, 0, PLACES * ENDERS + 2);
	tcase_add_test(tcase, options_of_the_next_connection);
	tcase_add_test(tcase, no_stream);
	tcase_add_test(tcase, waits_for_a_server);
	tcase_add_test(tcase, waits_for_nothing_else);
	tcase_add_loop_test(tcase, disconnecting_at_any_moment, 0, 30);
	tcase_add_loop_test(tcase, waits_end_without_the_reader, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
