/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-calls.c - commands that a device serves itself, features, and a client that sends them; by the
 * public interface alone: the device is served by a thread, the test is its user.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/leaks.h"
#include "../lib/suite.h"
#include "vfu.h"
#include "wire.h"

#define OWN 4242 /* a number that the table lacks */

static struct vfu_device *dev;
static struct vfu_server *srv;
static struct vfu_client *cl;
static pthread_t server_thread;
static char log_text[4096];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_log(void *user, enum vfu_log_level level, const char *text)
{
	(void)user, (void)level;
	pthread_mutex_lock(&log_lock);
	strncat(log_text, text, sizeof(log_text) - strlen(log_text) - 1);
	pthread_mutex_unlock(&log_lock);
}

static bool has_logged(const char *text)
{
	bool has;

	pthread_mutex_lock(&log_lock);
	has = strstr(log_text, text);
	pthread_mutex_unlock(&log_lock);
	return has;
}

static void *serve(void *arg)
{
	(void)arg;
	ck_assert(vfu_server_run(srv) == 0);
	return NULL;
}

static void setup(void)
{
	log_text[0] = '\0';
	dev = vfu_device_new();
	vfu_device_set_log(dev, on_log, NULL);
}

/* What the device serves is said before; then its client comes. */
static void connect_client(void)
{
	int pair[2];

	srv = vfu_server_new(dev);
	cl = vfu_client_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(vfu_server_attach(srv, pair[0]), 0);
	ck_assert_int_eq(pthread_create(&server_thread, NULL, serve, NULL), 0);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 50000), 0);
	ck_assert_int_eq(vfu_client_attach(cl, pair[1]), 0);
}

static void teardown(void)
{
	vfu_client_free(cl);
	if (srv)
		pthread_join(server_thread, NULL);
	vfu_server_free(srv);
	cl = NULL;
	srv = NULL;
	ck_assert_int_eq(vfu_device_free(dev), 0);
}

/* Calls with a payload; on success the answer must be freed. */
static int call(unsigned command, const void *payload, size_t len, struct vfu_call *out)
{
	*out = (struct vfu_call){
		.size = sizeof(*out), .command = command, .request = payload, .request_len = len};
	return vfu_client_call(cl, out);
}

/* The last error of the client says this, and names this field. */
static void check_err(const char *field, const char *text)
{
	struct vfu_err err;

	vfu_client_err(cl, &err);
	ck_assert_str_eq(err.field, field);
	ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

/* ---- commands ---- */

/* Says what it was sent, backwards, and sends the descriptors back in pairs. */
static int reverse(void *user, struct vfu_request *req)
{
	uint8_t out[64];
	int fds[4];
	size_t len;
	const uint8_t *in = vfu_request_payload(req, &len);
	unsigned n = vfu_request_fds(req);
	int rc;

	ck_assert_ptr_eq(user, dev);
	ck_assert_uint_eq(vfu_request_command(req), OWN);
	ck_assert_ptr_null(vfu_request_access(req));
	ck_assert_uint_eq((uintptr_t)in % 8, 0);
	for (size_t i = 0; i < len; i++)
		out[i] = in[len - 1 - i];
	for (unsigned i = 0; i < n; i++)
		fds[i] = vfu_request_take_fd(req, i);
	ck_assert_int_eq(vfu_request_take_fd(req, 0), -1);
	rc = vfu_request_reply(req, out, len, fds, n, NULL);
	ck_assert_int_eq(vfu_request_reply(req, out, len, NULL, 0, NULL), -EALREADY);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	return rc;
}

START_TEST(unknown_number)
{
	struct vfu_call c;
	int pipes[2];

	ck_assert_int_eq(vfu_device_set_command(dev, OWN, reverse, dev), 0);
	connect_client();
	ck_assert_int_eq(call(OWN, "abcde", 5, &c), 0);
	ck_assert_uint_eq(c.reply_len, 5);
	ck_assert_mem_eq(c.reply, "edcba", 5);
	vfu_call_fini(&c);
	ck_assert_int_eq(pipe(pipes), 0);
	c = (struct vfu_call){.size = sizeof(c), .command = OWN, .fds = pipes, .nfds = 2};
	ck_assert_int_eq(vfu_client_call(cl, &c), 0);
	ck_assert_ptr_null(c.reply);
	ck_assert_uint_eq(c.reply_nfds, 2);
	ck_assert_int_eq(write(c.reply_fds[1], "x", 1), 1);
	ck_assert_int_eq(read(pipes[0], &(char){0}, 1), 1);
	vfu_call_fini(&c);
	close(pipes[0]);
	close(pipes[1]);
	/* Nobody serves it any more. */
	ck_assert_int_eq(call(OWN + 1, NULL, 0, &c), -ENOSYS);
	ck_assert_int_eq(vfu_client_status(cl), 0);
}
END_TEST

START_TEST(unknown_is_bounded)
{
	static uint8_t much[(1 << 20) + 1];
	struct vfu_call c;
	int fds[17];

	ck_assert_int_eq(vfu_device_set_command(dev, OWN, reverse, dev), 0);
	connect_client();
	ck_assert_int_eq(call(OWN, much, sizeof(much), &c), -EINVAL);
	check_err("unknown_command.length", "is at most max_data_xfer_size");
	for (int i = 0; i < 17; i++)
		fds[i] = 0;
	c = (struct vfu_call){.size = sizeof(c), .command = OWN, .fds = fds, .nfds = 17};
	ck_assert_int_eq(vfu_client_call(cl, &c), -EINVAL);
	check_err("", "max_msg_fds");
}
END_TEST

static int irq_info(void *user, struct vfu_request *req)
{
	size_t len;
	const struct vfu_wire_get_irq_info_request *in = vfu_request_payload(req, &len);
	struct vfu_wire_get_irq_info_reply out = {
		.argsz = sizeof(out), .index = in->index, .count = 7};
	struct vfu_err err;
	int rc;

	if (in->index == VFU_IRQ_MSIX)
		return VFU_PASS;
	if (in->index == 9)
		out.index = 8;
	rc = vfu_request_reply(req, &out, sizeof(out), NULL, 0, &err);
	*(int *)user = rc;
	if (in->index == 9)
		ck_assert_str_eq(err.field, "get_irq_info.index");
	return rc;
}

/* In place of the library's answer; one that is wrong is the device's fault, and not sent. */
START_TEST(known_message)
{
	struct vfu_wire_get_irq_info_request in = {.argsz = sizeof(in), .index = 40};
	struct vfu_irq_info info;
	struct vfu_call c;
	int rc = 1, number = vfu_command_number("get_irq_info");

	ck_assert_int_eq(number, VFU_WIRE_CMD_GET_IRQ_INFO);
	ck_assert_int_eq(vfu_command_number("get_irq_inf"), -ENOENT);
	ck_assert_int_eq(vfu_device_set_command(dev, (unsigned)number, irq_info, &rc), 0);
	connect_client();
	ck_assert_int_eq(call((unsigned)number, &in, sizeof(in), &c), 0);
	ck_assert_uint_eq(((const struct vfu_wire_get_irq_info_reply *)c.reply)->count, 7);
	vfu_call_fini(&c);
	ck_assert_int_eq(vfu_client_irq_info(cl, 3, &info), 0);
	ck_assert_uint_eq(info.count, 7);
	/* That one is the library's to say. */
	ck_assert_int_eq(vfu_client_irq_info(cl, VFU_IRQ_MSIX, &info), 0);
	ck_assert_uint_eq(info.count, 0);
	in.index = 9;
	ck_assert_int_eq(call((unsigned)number, &in, sizeof(in), &c), -EIO);
	ck_assert_int_eq(rc, -EINVAL);
	ck_assert(has_logged("the device's answer is wrong: get_irq_info.index: value 8 breaks the "
			     "rule: equals the request's index"));
	in.argsz = 4;
	ck_assert_int_eq(call((unsigned)number, &in, sizeof(in), &c), -EINVAL);
	check_err("get_irq_info.argsz", "is at least 16");
}
END_TEST

static int nothing(void *user, struct vfu_request *req)
{
	(void)user, (void)req;
	return 0;
}

/* No answer is an empty one, which this message does not allow. */
START_TEST(forgotten_answer)
{
	struct vfu_wire_get_info_request in = {.argsz = sizeof(in)};
	struct vfu_call c;

	ck_assert_int_eq(vfu_device_set_command(dev, 4, nothing, NULL), 0);
	connect_client();
	ck_assert_int_eq(call(4, &in, sizeof(in), &c), -EIO);
	ck_assert(has_logged("the device's answer is wrong: get_info"));
}
END_TEST

START_TEST(what_the_library_keeps)
{
	static const unsigned kept[] = {1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15};
	struct vfu_call c;
	struct vfu_err err;

	connect_client();
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		ck_assert_int_eq(vfu_device_set_command(dev, kept[i], nothing, NULL), -EOPNOTSUPP);
		ck_assert_int_eq(call(kept[i], NULL, 0, &c), -EOPNOTSUPP);
	}
	ck_assert_int_eq(call(2, NULL, 0, &c), -EOPNOTSUPP);
	check_err("", "dma_map is left to the library, which keeps the ranges of memory");
	ck_assert_int_eq(vfu_device_set_command(dev, 14, nothing, NULL), -EOPNOTSUPP);
	vfu_device_err(dev, &err);
	ck_assert_ptr_nonnull(strstr(err.text, "dirty_pages is retired"));
	ck_assert_int_eq(vfu_device_set_command(dev, 0, nothing, NULL), -EINVAL);
	ck_assert_int_eq(vfu_device_set_command(dev, 65536, nothing, NULL), -EINVAL);
	c = (struct vfu_call){.size = 8, .command = OWN};
	ck_assert_int_eq(vfu_client_call(cl, &c), -EINVAL);
	c = (struct vfu_call){.size = sizeof(c), .command = 4, .post = true};
	ck_assert_int_eq(vfu_client_call(cl, &c), -EINVAL);
	c = (struct vfu_call){.size = sizeof(c), .command = 4, .fds = &(int){0}, .nfds = 1};
	ck_assert_int_eq(vfu_client_call(cl, &c), -EINVAL);
	c = (struct vfu_call){.size = sizeof(c), .command = OWN, .request_len = 64};
	ck_assert_int_eq(vfu_client_call(cl, &c), -EINVAL);
	c = (struct vfu_call){.size = sizeof(c), .command = OWN, .nfds = 1};
	ck_assert_int_eq(vfu_client_call(cl, &c), -EINVAL);
	ck_assert_int_eq(vfu_client_status(cl), 0);
}
END_TEST

static int set_one(void)
{
	static unsigned number = 1000;

	return vfu_device_set_command(dev, number++, nothing, NULL);
}

static int set_feature_one(void)
{
	static const struct vfu_feature f = {.size = sizeof(f)};
	static unsigned number = 1000;

	return vfu_device_set_feature(dev, number++, &f, NULL);
}

START_TEST(no_memory)
{
	fault_each_alloc(set_one);
	fault_each_alloc(set_feature_one);
	ck_assert_int_eq(vfu_device_set_command(dev, 1000, NULL, NULL), 0);
	ck_assert_int_eq(vfu_device_set_feature(dev, 5000, NULL, NULL), 0);
}
END_TEST

static struct vfu_request *deferred[2];
static atomic_int ndeferred;

static int later(void *user, struct vfu_request *req)
{
	(void)user;
	deferred[ndeferred] = vfu_request_defer(req);
	atomic_fetch_add(&ndeferred, 1);
	return VFU_LATER;
}

static void *answer(void *arg)
{
	struct vfu_request *req;
	size_t len;
	const char *in;
	int fd, i = *(int *)arg;

	while (atomic_load(&ndeferred) <= i)
		usleep(1000);
	req = deferred[i];
	in = vfu_request_payload(req, &len);
	fd = vfu_request_take_fd(req, 0);
	if (len == 4)
		ck_assert(vfu_request_reply(req, in, len, &fd, fd >= 0, NULL) == 0);
	else
		ck_assert(vfu_request_done(req, -EBUSY) == 0);
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* From another thread, with what came along still there. */
START_TEST(answered_later)
{
	pthread_t thread;
	struct vfu_call c = {
		.size = sizeof(c), .command = OWN, .request = "late", .request_len = 4};
	int fd = dup(0);

	atomic_store(&ndeferred, 0);
	ck_assert_int_eq(vfu_device_set_command(dev, OWN, later, NULL), 0);
	connect_client();
	c.fds = &fd;
	c.nfds = 1;
	pthread_create(&thread, NULL, answer, &(int){0});
	ck_assert_int_eq(vfu_client_call(cl, &c), 0);
	pthread_join(thread, NULL);
	ck_assert_mem_eq(c.reply, "late", 4);
	ck_assert_uint_eq(c.reply_nfds, 1);
	vfu_call_fini(&c);
	close(fd);
	pthread_create(&thread, NULL, answer, &(int){1});
	ck_assert_int_eq(call(OWN, "no", 2, &c), -EBUSY);
	pthread_join(thread, NULL);
}
END_TEST

/* What the client does not wait for: the answer is then lost on nobody. */
START_TEST(dead_when_answered)
{
	struct vfu_call c = {
		.size = sizeof(c), .command = OWN, .timeout_ms = 1, .fds = &(int){0}, .nfds = 1};

	atomic_store(&ndeferred, 0);
	ck_assert_int_eq(vfu_device_set_command(dev, OWN, later, NULL), 0);
	connect_client();
	ck_assert_int_eq(vfu_client_call(cl, &c), -ETIMEDOUT);
	while (!atomic_load(&ndeferred))
		usleep(1000);
	vfu_client_disconnect(cl);
	while (!vfu_request_is_dead(deferred[0]))
		usleep(1000);
	ck_assert_int_eq(vfu_request_reply(deferred[0], "x", 1, NULL, 0, NULL), -ENOTCONN);
}
END_TEST

static atomic_int posts;

static int count(void *user, struct vfu_request *req)
{
	atomic_fetch_add((atomic_int *)user, 1);
	return vfu_request_reply(req, "x", 1, NULL, 0, NULL);
}

START_TEST(posted)
{
	struct vfu_call c = {.size = sizeof(c), .command = OWN, .post = true};

	atomic_store(&posts, 0);
	ck_assert_int_eq(vfu_device_set_command(dev, OWN, count, &posts), 0);
	connect_client();
	ck_assert_int_eq(vfu_client_call(cl, &c), 0);
	ck_assert_ptr_null(c.reply_owner);
	c.post = false;
	ck_assert_int_eq(vfu_client_call(cl, &c), 0);
	vfu_call_fini(&c);
	ck_assert_int_eq(atomic_load(&posts), 2);
}
END_TEST

/* ---- features ---- */

#define STATE 2  /* in the table: four bytes of state, four unused */
#define PLAIN 99 /* not in it */

static uint32_t state[2] = {2, 0};

static int get_state(void *user, struct vfu_request *req)
{
	return vfu_request_reply(req, user, sizeof(state), NULL, 0, NULL);
}

static int set_state(void *user, struct vfu_request *req)
{
	size_t len;
	const void *in = vfu_request_payload(req, &len);

	ck_assert_uint_eq(len, sizeof(state));
	memcpy(user, in, len);
	return state[0] == 5 ? -EINVAL : 0;
}

static int get_wrong(void *user, struct vfu_request *req)
{
	(void)user;
	return vfu_request_reply(req, "x", 1, NULL, 0, NULL);
}

static int feature(uint32_t flags, void *data, size_t in)
{
	size_t len = in;

	return vfu_client_feature(cl, flags, data, &len);
}

START_TEST(features)
{
	const uint32_t get = 1 << 16, set = 1 << 17, probe = 1 << 18;
	struct vfu_feature f = {.size = sizeof(f), .get = get_state, .set = set_state};
	struct vfu_call c;
	uint32_t data[2] = {0}, raw[4] = {8, get | STATE};

	ck_assert_int_eq(vfu_device_set_feature(dev, STATE, &f, state), 0);
	f.set = NULL;
	f.get = get_wrong;
	ck_assert_int_eq(vfu_device_set_feature(dev, 1, &f, NULL), 0);
	ck_assert_int_eq(vfu_device_set_feature(dev, PLAIN, &f, NULL), 0);
	ck_assert_int_eq(vfu_device_set_feature(dev, 65536, &f, NULL), -EINVAL);
	f.size = 1;
	ck_assert_int_eq(vfu_device_set_feature(dev, 3, &f, NULL), -EINVAL);
	connect_client();
	ck_assert_int_eq(feature(get | STATE, data, 8), 0);
	ck_assert_uint_eq(data[0], 2);
	data[0] = 3;
	ck_assert_int_eq(feature(set | STATE, data, 8), 0);
	ck_assert_uint_eq(state[0], 3);
	data[0] = 5;
	ck_assert_int_eq(feature(set | STATE, data, 8), -EINVAL);
	ck_assert_int_eq(feature(probe | STATE, data, 0), 0);
	ck_assert_int_eq(feature(probe | get | set | STATE, data, 0), 0);
	ck_assert_int_eq(feature(probe | PLAIN, data, 0), 0);
	ck_assert_int_eq(feature(probe | get | set | PLAIN, data, 0), -ENOTTY);
	ck_assert_int_eq(feature(probe | 3, data, 0), -ENOTTY);
	ck_assert_int_eq(feature(get | PLAIN, data, 8), 0);
	ck_assert_int_eq(*(char *)data, 'x');
	/* One that the table knows is held to its layout. */
	ck_assert_int_eq(feature(get | 1, data, 8), -EIO);
	ck_assert(has_logged("the device's answer is wrong: device_feature"));
	/* No room for what is asked for. */
	ck_assert_int_eq(call(16, raw, 8, &c), -EINVAL);
	ck_assert(has_logged("argsz has room for 0 of 8 bytes"));
	ck_assert_int_eq(vfu_client_status(cl), 0);
}
END_TEST

/* ---- states of migration ---- */

static int some_state(void *user, struct vfu_request *req)
{
	const struct vfu_wire_mig_data_read_reply out = {.argsz = sizeof(out)};

	(void)user;
	return vfu_request_reply(req, &out, sizeof(out), NULL, 0, NULL);
}

START_TEST(only_in_some_states)
{
	const struct vfu_wire_mig_data_read_request in = {.argsz = 64, .size = 8};
	struct vfu_call c;

	ck_assert_int_eq(vfu_device_set_command(dev, 17, some_state, NULL), 0);
	ck_assert_int_eq(vfu_device_set_state(dev, 8), -EINVAL);
	connect_client();
	ck_assert_int_eq(call(17, &in, sizeof(in), &c), -EINVAL);
	ck_assert(has_logged(
		"mig_data_read is lawful in pre_copy, stop_copy alone, and the device is running"));
	ck_assert_int_eq(vfu_device_set_state(dev, VFU_WIRE_DEVICE_STATE_PRE_COPY), 0);
	ck_assert_int_eq(call(17, &in, sizeof(in), &c), 0);
	vfu_call_fini(&c);
	ck_assert_int_eq(vfu_device_set_state(dev, VFU_WIRE_DEVICE_STATE_RESUMING), 0);
	ck_assert_int_eq(call(17, &in, sizeof(in), &c), -EINVAL);
	ck_assert(has_logged("the device is resuming"));
	/* Nobody serves what is lawful now. */
	ck_assert_int_eq(call(18, &in, 8, &c), -EINVAL);
	ck_assert_int_eq(call(18, (const uint32_t[]){8, 0}, 8, &c), -ENOSYS);
	ck_assert_int_eq(vfu_device_set_state(dev, VFU_WIRE_DEVICE_STATE_STOP_COPY), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_int_eq(call(17, &in, sizeof(in), &c), -EINVAL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		unknown_number,   unknown_is_bounded,     known_message,
		forgotten_answer, what_the_library_keeps, no_memory,
		answered_later,   dead_when_answered,     posted,
		features,         only_in_some_states,
	};
	Suite *suite = suite_create("calls");
	TCase *tcase = tcase_create("calls");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
