/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-connections.c - listener, clients one after another, the loop, event loops, hostile bytes.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"
#include "server/state.h"

static struct rig rig;
static char dir[] = "/tmp/test-connections-XXXXXX";
static char path[64];

static void setup(void)
{
	rig_open(&rig);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
}

static void teardown(void)
{
	rig_close(&rig);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void listen_here(void)
{
	ck_assert_int_eq(vfu_server_listen(rig.srv, path), 0);
}

static void greet(int sock)
{
	struct raw_msg *msg = malloc(sizeof(*msg));

	raw_send(sock, 1, 1, 0, "\0\0\0\0", 4, NULL, 0);
	ck_assert_int_eq(raw_recv(sock, msg, 5000), 1);
	ck_assert_uint_eq(msg->flags, RAW_REPLY);
	free(msg);
}

static void greet_pumped(int sock)
{
	raw_send(sock, 1, 1, 0, "\0\0\0\0", 4, NULL, 0);
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(sock, rig.msg, 0), 1);
	ck_assert_uint_eq(rig.msg->flags, RAW_REPLY);
}

/* ---- the listener ---- */

START_TEST(clients_one_after_another)
{
	static const struct rig_map map = {
		.argsz = 32, .flags = 3, .address = 0x4000, .size = 4096};
	unsigned i;
	int sock;

	listen_here();
	ck_assert_int_eq(vfu_server_process(rig.srv, 0), 0);
	ck_assert_int_ge(vfu_server_listen_fd(rig.srv), 0);
	for (i = 0; i < 20; i++) {
		sock = raw_connect(path);
		rig_pump(&rig);
		greet_pumped(sock);
		rig.sock = sock;
		/* What the device has stays, what the client brought goes. */
		ck_assert_uint_eq(rig_read(&rig, 1, 0, 4), 0);
		ck_assert_uint_eq(rig_data(&rig), i);
		ck_assert_uint_eq(rig_write(&rig, 1, 0, 4, i + 1), 0);
		ck_assert_uint_eq(rig_call(&rig, 2, &map, sizeof(map)), 0);
		/* The next connects before the server has seen the end of this one. */
		close(sock);
		rig.sock = -1;
	}
}
END_TEST

START_TEST(second_client_refused)
{
	int first, second;

	listen_here();
	first = raw_connect(path);
	rig_pump(&rig);
	greet_pumped(first);
	second = raw_connect(path);
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(second, rig.msg, 0), 0);
	close(second);
	rig.sock = first;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

START_TEST(addresses)
{
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *other = vfu_server_new(dev);
	char address[80];
	struct vfu_err err;

	snprintf(address, sizeof(address), "unix:%s", path);
	ck_assert_int_eq(vfu_server_listen(rig.srv, address), 0);
	ck_assert_int_eq(vfu_server_listen(other, path), -EADDRINUSE);
	vfu_server_err(other, &err);
	ck_assert_int_eq(err.code, -EADDRINUSE);
	ck_assert_int_eq(vfu_server_listen(rig.srv, path), -EISCONN);
	ck_assert_int_eq(vfu_server_listen(other, "/nonexistent/dir/s"), -ENOENT);
	vfu_server_free(other);
	vfu_device_free(dev);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(stale_socket_is_replaced)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	listen_here();
	close(raw_connect(path));
}
END_TEST

static int listener(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

/* What was handed to us goes no further. */
static bool is_kept_from_programs(int fd)
{
	return fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

START_TEST(inherited)
{
	int fds[2];

	ck_assert_int_eq(vfu_server_listen_inherited(rig.srv, listener()), 0);
	rig.sock = raw_connect(path);
	rig_pump(&rig);
	ck_assert(is_kept_from_programs(vfu_server_listen_fd(rig.srv)));
	ck_assert(is_kept_from_programs(vfu_server_conn_fd(rig.srv)));
	greet_pumped(rig.sock);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(vfu_server_listen_inherited(rig.srv, fds[1]), -EBUSY);
	close(fds[0]);
	ck_assert_int_eq(vfu_server_listen_inherited(rig.srv, rig_memfd(1)), -ENOTSOCK);
	ck_assert_int_eq(vfu_server_attach(rig.srv, rig_memfd(1)), -ENOTSOCK);
	unlink(path);
}
END_TEST

START_TEST(inherited_connection)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(vfu_server_listen_inherited(rig.srv, fds[1]), 0);
	ck_assert(is_kept_from_programs(vfu_server_conn_fd(rig.srv)));
	rig.sock = fds[0];
	greet_pumped(fds[0]);
}
END_TEST

/* VFU_OPT_ONE_CLIENT: who comes and says nothing is none; the next has the device, and is the last. */
START_TEST(one_client)
{
	struct vfu_err err;
	int first, second;

	ck_assert_int_eq(vfu_server_set(rig.srv, VFU_OPT_ONE_CLIENT, 1), 0);
	listen_here();
	ck_assert_int_ge(vfu_server_fd(rig.srv), 0);
	close(raw_connect(path));
	rig_pump(&rig);
	first = raw_connect(path);
	second = raw_connect(path);
	greet_pumped(first);
	ck_assert_int_eq(vfu_server_listen_fd(rig.srv), -1);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(raw_recv(second, rig.msg, 0), 0);
	ck_assert_int_eq(vfu_server_ended(rig.srv, NULL), 0);
	if (_i)
		raw_send_bytes(first, "no message, but as long", 23);
	close(first);
	close(second);
	ck_assert_int_eq(vfu_server_run(rig.srv), 0);
	ck_assert_int_eq(vfu_server_ended(rig.srv, &err), _i ? -EPROTO : 0);
	ck_assert_int_eq(err.code, _i ? -EPROTO : 0);
	ck_assert_int_eq(vfu_server_process(rig.srv, 0), -ENOTCONN);
}
END_TEST

/* The others wait at a listener that was inherited, for whoever has it next. */
START_TEST(one_client_of_an_inherited_listener)
{
	int fd = listener(), first, second;

	ck_assert_int_eq(vfu_server_set(rig.srv, VFU_OPT_ONE_CLIENT, 1), 0);
	ck_assert_int_eq(vfu_server_listen_inherited(rig.srv, dup(fd)), 0);
	ck_assert_int_ge(vfu_server_fd(rig.srv), 0);
	first = raw_connect(path);
	rig_pump(&rig);
	greet_pumped(first);
	second = raw_connect(path);
	rig_pump(&rig);
	close(first);
	ck_assert_int_eq(vfu_server_run(rig.srv), 0);
	ck_assert_int_eq(raw_recv(second, rig.msg, 0), -1);
	ck_assert_int_eq(vfu_server_listen_inherited(rig.srv, fd), 0);
	rig_pump(&rig);
	greet_pumped(second);
	close(second);
	unlink(path);
}
END_TEST

/* ---- the loop ---- */

static void *run(void *arg)
{
	int *rc = arg;

	*rc = vfu_server_run(rig.srv);
	return NULL;
}

START_TEST(run_serves_and_stops)
{
	pthread_t thread;
	int rc = -1, first, second, i;
	struct raw_msg *msg = malloc(sizeof(*msg));

	listen_here();
	pthread_create(&thread, NULL, run, &rc);
	for (i = 0; i < 3; i++) {
		first = raw_connect(path);
		greet(first);
		/* Refused while the loop sleeps on the first. */
		second = raw_connect(path);
		ck_assert_int_eq(raw_recv(second, msg, 2000), 0);
		close(second);
		close(first);
	}
	first = raw_connect(path);
	greet(first);
	vfu_server_stop(rig.srv);
	pthread_join(thread, NULL);
	ck_assert_int_eq(rc, 0);
	close(first);
	free(msg);
}
END_TEST

static atomic_bool over;

static void *disconnect_often(void *arg)
{
	struct vfu_stats stats;
	struct vfu_err err;

	(void)arg;
	while (!atomic_load(&over)) {
		vfu_server_disconnect(rig.srv);
		vfu_server_stats(rig.srv, &stats);
		ck_assert(vfu_server_ended(rig.srv, &err) == err.code);
	}
	return NULL;
}

/* Connections come and are ended by a thread that is not the owner. */
START_TEST(disconnected_by_another_thread)
{
	static const struct {
		uint16_t id, command;
		uint32_t size, flags, error, payload;
	} version = {.id = 1, .command = 1, .size = 20};
	pthread_t owner, other;
	struct vfu_stats stats;
	char byte;
	int rc = -1, sock, i;

	atomic_store(&over, false);
	listen_here();
	pthread_create(&owner, NULL, run, &rc);
	pthread_create(&other, NULL, disconnect_often, NULL);
	for (i = 0; i < 300; i++) {
		sock = raw_connect(path);
		send(sock, &version, sizeof(version), MSG_NOSIGNAL);
		while (recv(sock, &byte, 1, 0) > 0)
			;
		close(sock);
	}
	atomic_store(&over, true);
	pthread_join(other, NULL);
	vfu_server_stop(rig.srv);
	pthread_join(owner, NULL);
	ck_assert_int_eq(rc, 0);
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.violations, 0);
}
END_TEST

/* A stream of requests must not keep the listener waiting either. */
START_TEST(run_refuses_a_second_client_under_load)
{
	static const struct rig_access read = {.count = 4};
	pthread_t thread;
	int rc = -1, first, second;
	struct raw_msg *msg = malloc(sizeof(*msg));
	struct pollfd pfd;

	listen_here();
	pthread_create(&thread, NULL, run, &rc);
	first = raw_connect(path);
	greet(first);
	second = raw_connect(path);
	pfd = (struct pollfd){.fd = second, .events = POLLIN};
	while (!poll(&pfd, 1, 0)) {
		raw_send(first, 1, 9, 0, &read, 16, NULL, 0);
		ck_assert_int_eq(raw_recv(first, msg, 2000), 1);
	}
	ck_assert_int_eq(raw_recv(second, msg, 0), 0);
	vfu_server_stop(rig.srv);
	pthread_join(thread, NULL);
	close(first);
	close(second);
	free(msg);
}
END_TEST

START_TEST(run_ends_with_its_only_client)
{
	rig_connect(&rig);
	close(rig.sock);
	rig.sock = -1;
	ck_assert_int_eq(vfu_server_run(rig.srv), 0);
	ck_assert_int_eq(vfu_server_process(rig.srv, 0), -ENOTCONN);
}
END_TEST

static void on_alarm(int signum)
{
	(void)signum;
	vfu_server_stop(rig.srv);
}

static void set_alarm(void (*handler)(int))
{
	const struct sigaction action = {.sa_handler = handler};
	const struct itimerval timer = {.it_value = {.tv_usec = 50000}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

START_TEST(stop_in_a_signal_handler)
{
	if (_i)
		rig_connect(&rig);
	else
		listen_here();
	set_alarm(on_alarm);
	ck_assert_int_eq(vfu_server_run(rig.srv), 0);
}
END_TEST

static void ignore_alarm(int signum)
{
	(void)signum;
}

static int third_time(void *asked)
{
	return ++*(unsigned *)asked >= 3;
}

/* Once each signal ends it; then only what the hook says, signal or not. */
START_TEST(interruptible)
{
	unsigned asked = 0;

	vfu_server_set_interruptible(rig.srv, true);
	if (_i)
		rig_connect(&rig);
	else
		listen_here();
	set_alarm(ignore_alarm);
	ck_assert_int_eq(vfu_server_run(rig.srv), -EINTR);
	vfu_server_set_interruptible(rig.srv, false);
	vfu_server_set_interrupt(rig.srv, third_time, &asked);
	ck_assert_int_eq(vfu_server_run(rig.srv), -EINTR);
	ck_assert_uint_eq(asked, 3);
	vfu_server_stop(rig.srv);
	ck_assert_int_eq(vfu_server_run(rig.srv), 0);
}
END_TEST

static struct vfu_request *_Atomic later;

static int defer_all(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)access;
	later = vfu_request_defer(req);
	return VFU_LATER;
}

static void *run_script(void *arg)
{
	struct raw_msg *msg = malloc(sizeof(*msg));
	const struct rig_many one_write = {1, {{0, 0, 4, {0}}}};

	(void)arg;
	/* One write of many that is answered by this thread lets the loop go on. */
	raw_send(rig.sock, 1, 15, 0, &one_write, 32, NULL, 0);
	raw_send(rig.sock, 2, 5, 0,
		 "\40\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32, NULL, 0);
	ck_assert(raw_recv(rig.sock, msg, 100) == -1);
	vfu_request_done(later, 0);
	ck_assert(raw_recv(rig.sock, msg, 200) == 1);
	ck_assert(msg->id == 1);
	ck_assert(raw_recv(rig.sock, msg, 200) == 1);
	ck_assert(msg->id == 2);
	vfu_server_stop(rig.srv);
	free(msg);
	return NULL;
}

START_TEST(run_is_woken_by_other_threads)
{
	pthread_t thread;

	rig_connect(&rig);
	rig.bar0 = defer_all;
	pthread_create(&thread, NULL, run_script, NULL);
	ck_assert_int_eq(vfu_server_run(rig.srv), 0);
	pthread_join(thread, NULL);
}
END_TEST

static bool may_dma_end;

static void never_called(void *user, int status)
{
	(void)user, (void)status;
	if (!may_dma_end)
		abort();
}

START_TEST(epoll_descriptor)
{
	struct epoll_event event;
	int fd = vfu_server_fd(rig.srv), i, sock;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(vfu_server_fd(rig.srv), fd);
	listen_here();
	for (i = 0; i < 3; i++) {
		rig_pump(&rig);
		ck_assert_int_eq(epoll_wait(fd, &event, 1, 0), 0);
		sock = raw_connect(path);
		ck_assert_int_eq(epoll_wait(fd, &event, 1, 0), 1);
		rig_pump(&rig);
		ck_assert_int_eq(epoll_wait(fd, &event, 1, 0), 0);
		raw_send(sock, 1, 1, 0, "\0\0\0\0", 4, NULL, 0);
		ck_assert_int_eq(epoll_wait(fd, &event, 1, 0), 1);
		rig_pump(&rig);
		ck_assert_int_eq(epoll_wait(fd, &event, 1, 0), 0);
		close(sock);
		ck_assert_int_eq(epoll_wait(fd, &event, 1, 0), 1);
	}
	rig_pump(&rig);
	vfu_server_stop(rig.srv);
	ck_assert_int_eq(epoll_wait(fd, &event, 1, 0), 1);
}
END_TEST

/* Takes all descriptors that the process may have. Returns how many it may have otherwise. */
static rlim_t use_up_fds(void)
{
	struct rlimit limit;
	rlim_t before;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = (rlim_t)dup(0);
	close((int)limit.rlim_cur);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

/* With no descriptor for it a client waits, and the loop does not turn: with a client, or without. */
START_TEST(accept_rests)
{
	struct rlimit limit;
	struct pollfd pfds[4];
	unsigned lines;
	int sock;

	if (lacks(LACKS_FD_LIMIT, __func__))
		return;
	listen_here();
	if (_i)
		rig_connect(&rig);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	sock = raw_connect(path);
	lines = rig.lines;
	limit.rlim_cur = use_up_fds();
	for (int i = 0; i < 3; i++) {
		rig_pump(&rig);
		ck_assert_int_eq(vfu_server_pollfds(rig.srv, pfds, 4), _i ? 2 : 1);
		ck_assert_int_gt(vfu_server_timeout(rig.srv), 0);
		/* Once more, as if it had rested. */
		rig.srv->rest_until = 1;
		ck_assert_int_eq(vfu_server_pollfds(rig.srv, pfds, 4), _i ? 3 : 2);
		ck_assert_int_eq(vfu_server_timeout(rig.srv), -1);
	}
	ck_assert_uint_eq(rig.lines, lines + 1);
	setrlimit(RLIMIT_NOFILE, &limit);
	rig_pump(&rig);
	ck_assert_uint_eq(rig.lines, lines + 2);
	if (_i)
		ck_assert_int_eq(raw_recv(sock, rig.msg, 0), 0);
	else
		greet_pumped(sock);
	close(sock);
}
END_TEST

/* ---- what the client sees of the end ---- */

/* The end of the stream, once, and not that it was reset: there are clients that abort then. */
static void is_quiet_end(int sock)
{
	char c;

	ck_assert_int_eq(recv(sock, &c, 1, MSG_DONTWAIT), 0);
	close(sock);
}

static void end_by_free(void)
{
	vfu_server_free(rig.srv);
	rig.srv = vfu_server_new(rig.dev);
}

static void end_by_disconnect(void)
{
	vfu_server_disconnect(rig.srv);
}

static void end_by_stop(void)
{
	vfu_server_stop(rig.srv);
	ck_assert_int_eq(vfu_server_run(rig.srv), 0);
	end_by_free();
}

static void (*const ends[])(void) = {end_by_free, end_by_disconnect, end_by_stop};

/* With requests unread in the server's socket, one of them with descriptors. */
START_TEST(end_with_unread_requests)
{
	static const struct rig_map in = {.argsz = 32, .flags = 3, .address = 0x1000, .size = 4096};
	int fd;

	rig_connect(&rig);
	fd = rig_memfd(4096);
	rig_send_fds(&rig, 2, &in, sizeof(in), &fd, 1);
	close(fd);
	rig_send_write(&rig, true, 0, 0, 4, 1);
	ends[_i]();
	is_quiet_end(rig.sock);
	rig.sock = -1;
}
END_TEST

/* The same for those who never were its client: there is one, or the server ends before it takes them. */
START_TEST(turned_away_with_unread_requests)
{
	int second;

	listen_here();
	rig_connect(&rig);
	second = raw_connect(path);
	raw_send(second, 1, 1, 0, "\0\0\0\0", 4, NULL, 0);
	rig_pump(&rig);
	is_quiet_end(second);
	second = raw_connect(path);
	raw_send(second, 1, 1, 0, "\0\0\0\0", 4, NULL, 0);
	end_by_free();
	is_quiet_end(second);
}
END_TEST

/* And for one whose stream can not be followed any more. */
START_TEST(end_by_violation)
{
	static const uint32_t header[4] = {0, 3, 0, 0}; /* smaller than itself */

	rig_connect(&rig);
	raw_send_bytes(rig.sock, header, sizeof(header));
	for (int i = 0; i < 5000; i++)
		raw_send_bytes(rig.sock, header, sizeof(header));
	rig_pump(&rig);
	is_quiet_end(rig.sock);
	rig.sock = -1;
}
END_TEST

/* ---- fork ---- */

static int never_asked(void *user, enum vfu_gate what)
{
	(void)user, (void)what;
	abort();
}

/* What a child has copies of: a connection, a range of each kind, eventfds, requests and DMA unanswered. */
static void use_everything(void)
{
	static const struct rig_irqs irqs = {.argsz = 20, .flags = 0x24, .index = 2, .count = 1};
	struct rig_map map = {.argsz = 32, .flags = 3 | 8, .address = 0x10000, .size = 4096};
	static char buf[8];
	int fd = rig_memfd(4096), event = passed_eventfd(0);

	listen_here();
	rig_connect(&rig);
	ck_assert_uint_eq(rig_map(&rig, 0x20000, 4096, fd), 0);
	ck_assert_uint_eq(rig_call_fds(&rig, 2, &map, sizeof(map), &fd, 1), 0);
	ck_assert_uint_eq(rig_map(&rig, 0x40000, 4096, -1), 0);
	ck_assert_uint_eq(rig_call_fds(&rig, 8, &irqs, sizeof(irqs), &event, 1), 0);
	close(fd);
	close(event);
	rig.bar0 = defer_all;
	rig_send_read(&rig, 0, 0, 4);
	rig_pump(&rig);
	ck_assert_int_eq(vfu_dma_read_async(rig.dev, 0x40000, buf, 8, never_called, NULL), 0);
	rig_set_hooks(&rig, never_asked);
}

/* In the child. */
static bool is_all_refused(void)
{
	struct vfu_region region = {.fd = -1};
	struct vfu_dma_pin pin;
	char buf[8];

	return vfu_server_process(rig.srv, 0) == -EOWNERDEAD &&
	       vfu_server_run(rig.srv) == -EOWNERDEAD &&
	       vfu_server_pollfds(rig.srv, NULL, 0) == -EOWNERDEAD &&
	       vfu_server_listen(rig.srv, path) == -EOWNERDEAD &&
	       vfu_server_ended(rig.srv, NULL) == -EOWNERDEAD &&
	       vfu_server_set(rig.srv, VFU_OPT_TIMEOUT_MS, 1) == -EOWNERDEAD &&
	       vfu_device_set_region(rig.dev, 0, &region) == -EOWNERDEAD &&
	       vfu_device_set_msi(rig.dev, 1) == -EOWNERDEAD &&
	       vfu_device_gate_done(rig.dev, 0) == -EOWNERDEAD &&
	       vfu_irq_raise(rig.dev, VFU_IRQ_MSIX, 0) == -EOWNERDEAD &&
	       vfu_irq_lower(rig.dev) == -EOWNERDEAD &&
	       vfu_dma_read(rig.dev, 0x20000, buf, 8) == -EOWNERDEAD &&
	       vfu_dma_pin(rig.dev, 0x20000, 8, VFU_DMA_READ, &pin) == -EOWNERDEAD &&
	       vfu_dma_ranges(rig.dev, NULL, 0) == 0 && vfu_request_is_dead(later) &&
	       vfu_server_new(rig.dev) == NULL && errno == EOWNERDEAD;
}

static bool is_freed(void)
{
	bool ok = vfu_request_done(later, 0) == -EOWNERDEAD;

	vfu_server_free(rig.srv);
	return vfu_device_free(rig.dev) == 0 && ok;
}

/* The child ends as another program: what it had to leave alone is no leak (valgrind). */
static void child_does(bool (*what)(void), bool (*then)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(10);
		execlp("sh", "sh", "-c", what() && then() ? "exit 0" : "exit 1", (char *)NULL);
		_exit(2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static bool is_nothing_open(void)
{
	close(rig.sock);
	return raw_count_fds() == rig.fds;
}

START_TEST(a_child_may_only_free)
{
	if (lacks(LACKS_WIPEONFORK, __func__))
		return;
	use_everything();
	child_does(is_all_refused, is_freed);
	child_does(is_freed, is_nothing_open);
	/* Nothing of that was seen by the parent or its client. */
	rig_set_hooks(&rig, NULL);
	ck_assert_int_eq(vfu_request_done(later, 0), 0);
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	ck_assert_uint_eq(rig.msg->command, 11);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	ck_assert_uint_eq(rig.msg->command, 9);
	close(raw_connect(path)); /* the file is still there */
	may_dma_end = true;
}
END_TEST

static pthread_barrier_t locked, forked;

/* A thread that is in the middle of everything when the process forks. */
static void *hold_locks(void *arg)
{
	pthread_mutex_t *locks[] = {
		&rig.dev->lock,           &rig.dev->dma.lock,
		&rig.dev->log_limit.lock, &rig.dev->irqs.index[VFU_IRQ_MSIX].lock,
		&rig.srv->conn_lock,      &rig.srv->session->lock,
	};
	unsigned i, n = sizeof(locks) / sizeof(locks[0]);

	(void)arg;
	for (i = 0; i < n; i++)
		pthread_mutex_lock(locks[i]);
	pthread_barrier_wait(&locked);
	pthread_barrier_wait(&forked);
	for (i = 0; i < n; i++)
		pthread_mutex_unlock(locks[i]);
	return NULL;
}

START_TEST(a_child_needs_no_lock)
{
	pthread_t thread;

	if (lacks(LACKS_WIPEONFORK, __func__))
		return;
	use_everything();
	pthread_barrier_init(&locked, NULL, 2);
	pthread_barrier_init(&forked, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, hold_locks, NULL), 0);
	pthread_barrier_wait(&locked);
	child_does(is_all_refused, is_freed);
	pthread_barrier_wait(&forked);
	pthread_join(thread, NULL);
	rig_set_hooks(&rig, NULL);
	ck_assert_int_eq(vfu_request_done(later, 0), 0);
	may_dma_end = true;
}
END_TEST

/* ---- hostile bytes ---- */

static const struct {
	const char *what;
	struct {
		uint16_t id, command;
		uint32_t size, flags, error;
	} header;
	bool survives;
} headers[] = {
	{"size 0", {0, 4, 0, 0, 0}, false},
	{"size 15", {0, 4, 15, 0, 0}, false},
	{"size 4 GiB", {0, 4, UINT32_MAX, 0, 0}, false},
	{"size 32 MiB", {0, 10, 32 << 20, 0, 0}, false},
	{"type 2", {0, 13, 16, 2, 0}, false},
	{"type 15", {0, 13, 16, 15, 0}, false},
	{"a reply", {0, 13, 16, 1, 0}, true},
	{"an error reply", {0, 11, 16, 0x21, 22}, true},
	{"error bit", {0, 13, 16, 0x20, 22}, true},
	{"unknown bits", {0, 13, 16, 0xffffffc0, 7}, true},
};

START_TEST(odd_headers)
{
	uint16_t id;

	rig_connect(&rig);
	ck_assert_uint_eq(raw_send_bytes(rig.sock, &headers[_i].header, 16), 16);
	rig_pump(&rig);
	if (!headers[_i].survives) {
		rig_gone(&rig);
		rig_connect(&rig);
	} else if (headers[_i].header.command == 13 && headers[_i].header.flags != 1) {
		ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	}
	id = rig_send_read(&rig, 0, 0, 4);
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
}
END_TEST

START_TEST(cut_anywhere)
{
	static const struct {
		uint16_t id, command;
		uint32_t size, flags, error;
		uint32_t argsz, more[7];
	} whole = {.id = 7, .command = 5, .size = 48, .argsz = 32};
	unsigned cut;

	for (cut = 1; cut < sizeof(whole); cut++) {
		rig_connect(&rig);
		raw_send_bytes(rig.sock, &whole, cut);
		rig_silence(&rig);
		if (cut % 2) {
			rig_hang_up(&rig);
			continue;
		}
		raw_send_bytes(rig.sock, (const uint8_t *)&whole + cut, sizeof(whole) - cut);
		ck_assert_uint_eq(rig_reply(&rig, 7, 5), 0);
		rig_hang_up(&rig);
	}
}
END_TEST

START_TEST(too_many_descriptors)
{
	int fds[40];
	unsigned i;

	rig_connect(&rig);
	for (i = 0; i < 40; i++)
		fds[i] = dup(rig.sock);
	raw_send(rig.sock, 1, 8, 0, "x", 1, fds, 40);
	for (i = 0; i < 40; i++)
		close(fds[i]);
	rig_pump(&rig);
	/* An error or the end of the connection; rig_close looks for leaks. */
	if (vfu_server_conn_fd(rig.srv) < 0) {
		close(rig.sock);
		rig_connect(&rig);
	} else {
		ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	}
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

static void answer_all(void)
{
	while (rig.sock >= 0 && raw_recv(rig.sock, rig.msg, 0) == 1)
		raw_close_fds(rig.msg);
}

/* Messages of which some bytes are anything. What survives is up to the server, but it must. */
START_TEST(mutated_messages)
{
	static uint8_t bytes[128];
	static const uint16_t sizes[20] = {0,  4,  32, 24, 16, 32, 16, 16, 24, 16,
					   24, 16, 20, 0,  16, 32, 16, 8,  16, 24};
	unsigned round, i, command;
	uint32_t size;

	srandom(20261122u + (unsigned)_i);
	for (round = 0; round < 1500; round++) {
		if (vfu_server_conn_fd(rig.srv) < 0) {
			if (rig.sock >= 0)
				close(rig.sock);
			rig_connect(&rig);
		}
		memset(bytes, 0, sizeof(bytes));
		command = (unsigned)random() % 20;
		size = RAW_HEADER + sizes[command] + (random() % 8 ? 0 : (uint32_t)random() % 48);
		bytes[2] = (uint8_t)command;
		memcpy(bytes + 4, &size, 4);
		bytes[8] = random() % 4 ? 0 : 0x10;
		bytes[16] = (uint8_t)(size - RAW_HEADER);
		for (i = 0; i < (unsigned)random() % 6; i++)
			bytes[16 + (unsigned)random() % 32] =
				(uint8_t)(random() % 2 ? random() % 8 : random());
		if (random() % 50 == 0)
			bytes[(unsigned)random() % 16] = (uint8_t)random();
		raw_send_bytes(rig.sock, bytes, size);
		rig_pump(&rig);
		answer_all();
	}
}
END_TEST

START_TEST(random_bytes)
{
	static uint8_t bytes[512];
	unsigned round, i;

	srandom(4711u + (unsigned)_i);
	for (round = 0; round < 200; round++) {
		rig_connect(&rig);
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)random();
		raw_send_bytes(rig.sock, bytes, sizeof(bytes));
		rig_pump(&rig);
		answer_all();
		rig_hang_up(&rig);
	}
}
END_TEST

#define ADD(test) tcase_add_test(tcase, test)

int main(void)
{
	Suite *suite = suite_create("connections");
	TCase *tcase = tcase_create("connections");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	ADD(clients_one_after_another);
	ADD(second_client_refused);
	ADD(addresses);
	ADD(stale_socket_is_replaced);
	ADD(inherited);
	ADD(inherited_connection);
	tcase_add_loop_test(tcase, one_client, 0, 2);
	ADD(one_client_of_an_inherited_listener);
	ADD(run_serves_and_stops);
	ADD(disconnected_by_another_thread);
	ADD(run_refuses_a_second_client_under_load);
	ADD(run_ends_with_its_only_client);
	tcase_add_loop_test(tcase, stop_in_a_signal_handler, 0, 2);
	tcase_add_loop_test(tcase, interruptible, 0, 2);
	ADD(run_is_woken_by_other_threads);
	ADD(epoll_descriptor);
	tcase_add_loop_test(tcase, accept_rests, 0, 2);
	tcase_add_loop_test(tcase, end_with_unread_requests, 0, sizeof(ends) / sizeof(ends[0]));
	ADD(turned_away_with_unread_requests);
	ADD(end_by_violation);
	ADD(a_child_may_only_free);
	ADD(a_child_needs_no_lock);
	tcase_add_loop_test(tcase, odd_headers, 0, sizeof(headers) / sizeof(headers[0]));
	ADD(cut_anywhere);
	ADD(too_many_descriptors);
	tcase_add_loop_test(tcase, mutated_messages, 0, 4);
	ADD(random_bytes);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
