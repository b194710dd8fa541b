/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-accept.c - who the client is, and a device that does not take everybody.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/rig.h"
#include "../../lib/suite.h"
#include "server/state.h"

static struct rig rig;
static char dir[32], path[64];

/* What the hook answers next, and what it does besides. */
static int answer;
static const char *why;
static void (*also)(void);
static struct vfu_peer asked;
static unsigned times;

static int accept_hook(void *user, const struct vfu_peer *peer, char *reason, size_t size)
{
	struct vfu_peer none;

	ck_assert_ptr_eq(user, &rig);
	/* It is no client yet. */
	ck_assert_int_eq(vfu_device_peer(rig.dev, &none), -ENOTCONN);
	asked = *peer;
	times++;
	if (why)
		snprintf(reason, size, "%s", why);
	if (also)
		also();
	return answer;
}

static void note(void *user)
{
	rig_note(user, "hook");
}

static void setup(void)
{
	const struct vfu_device_hooks hooks = {.size = sizeof(hooks),
					       .connected = note,
					       .disconnected = note,
					       .accept = accept_hook};

	rig_open(&rig);
	strcpy(dir, "/tmp/test-accept-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_int_eq(vfu_device_set_hooks(rig.dev, &hooks, &rig), 0);
	answer = 0;
	why = NULL;
	also = NULL;
	times = 0;
}

static void teardown(void)
{
	rig_close(&rig);
	ck_assert_int_eq(rmdir(dir), 0);
}

static bool is_me(const struct vfu_peer *peer)
{
	return peer->pid == getpid() && peer->uid == getuid() && peer->gid == getgid();
}

/* An end, as of a server that has closed: nothing to read, and no error. */
static void is_turned_away(int sock)
{
	char byte;

	ck_assert_int_eq(recv(sock, &byte, 1, MSG_DONTWAIT), 0);
	ck_assert_int_eq(recv(sock, &byte, 1, MSG_DONTWAIT), 0);
	close(sock);
}

/* Comes, says VERSION at once, and is looked at. */
static int come(void)
{
	int sock = raw_connect(path);

	raw_send(sock, 1, 1, 0, "\0\0\0\0", 4, NULL, 0);
	rig_pump(&rig);
	return sock;
}

static void *ask_elsewhere(void *out)
{
	ck_assert(vfu_device_peer(rig.dev, out) == 0);
	return NULL;
}

START_TEST(who_the_client_is)
{
	struct vfu_peer peer = {0};
	pthread_t thread;

	ck_assert_int_eq(vfu_device_peer(rig.dev, &peer), -ENOTCONN);
	rig_connect(&rig);
	ck_assert_uint_eq(times, 1);
	ck_assert(is_me(&asked));
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_elsewhere, &peer), 0);
	pthread_join(thread, NULL);
	ck_assert(is_me(&peer));
	rig_hang_up(&rig);
	ck_assert_int_eq(vfu_device_peer(rig.dev, &peer), -ENOTCONN);
}
END_TEST

/* It has sent something that is not read, and yet sees an end; the next one has the device. */
START_TEST(refused_at_the_listener)
{
	ck_assert_int_eq(vfu_server_set(rig.srv, VFU_OPT_ONE_CLIENT, 1), 0);
	ck_assert_int_eq(vfu_server_listen(rig.srv, path), 0);
	answer = -EACCES;
	why = "not on Sundays";
	is_turned_away(come());
	ck_assert_ptr_nonnull(strstr(rig.last, "client refused"));
	ck_assert_ptr_nonnull(strstr(rig.last, why));
	answer = -EPERM;
	why = NULL;
	is_turned_away(come());
	ck_assert_ptr_nonnull(strstr(rig.last, strerror(EPERM)));
	/* What is no answer takes nobody in. */
	answer = VFU_LATER;
	is_turned_away(come());
	ck_assert_str_eq(rig.calls, "");
	answer = 0;
	rig.sock = come();
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 1);
	ck_assert_uint_eq(rig_write(&rig, 1, 0, 4, 7), 0);
	ck_assert_str_eq(rig.calls, "hook");
	ck_assert_uint_eq(times, 4);
}
END_TEST

/* A second client, which nobody takes, is no question. */
START_TEST(not_asked_about_a_second)
{
	ck_assert_int_eq(vfu_server_listen(rig.srv, path), 0);
	rig.sock = come();
	is_turned_away(come());
	ck_assert_uint_eq(times, 1);
}
END_TEST

/* However many are refused: lines of the log are few. */
START_TEST(many_are_refused)
{
	ck_assert_int_eq(vfu_server_listen(rig.srv, path), 0);
	answer = -EACCES;
	for (unsigned i = 0; i < 200; i++)
		is_turned_away(come());
	ck_assert_uint_eq(times, 200);
	ck_assert_uint_le(rig.lines, 20);
}
END_TEST

/* Those who wait are looked at a few at a time, or who comes faster than they are refused would stop all else. */
START_TEST(so_many_at_a_look)
{
	int socks[17];

	ck_assert_int_eq(vfu_server_listen(rig.srv, path), 0);
	answer = -EACCES;
	for (unsigned i = 0; i < 17; i++)
		socks[i] = raw_connect(path);
	ck_assert_int_eq(vfu_server_process(rig.srv, 0), 0);
	ck_assert_uint_eq(times, 16);
	ck_assert_int_eq(vfu_server_process(rig.srv, 0), 0);
	ck_assert_uint_eq(times, 17);
	for (unsigned i = 0; i < 17; i++)
		is_turned_away(socks[i]);
}
END_TEST

static int attach(int *sock)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	*sock = fds[0];
	return vfu_server_attach(rig.srv, fds[1]);
}

START_TEST(refused_at_attach)
{
	struct vfu_err err;
	int sock;

	answer = -EACCES;
	why = "not today";
	ck_assert_int_eq(attach(&sock), -EACCES);
	vfu_server_err(rig.srv, &err);
	ck_assert_int_eq(err.code, -EACCES);
	ck_assert_ptr_nonnull(strstr(err.text, why));
	is_turned_away(sock);
	ck_assert_int_eq(vfu_server_process(rig.srv, 0), -ENOTCONN);
	answer = 0;
	rig_connect(&rig);
}
END_TEST

/* ---- what the hook must not do, and may ---- */

static void call_everything(void)
{
	int sock;

	ck_assert_int_eq(vfu_server_process(rig.srv, 0), -EDEADLK);
	ck_assert_int_eq(vfu_server_run(rig.srv), -EDEADLK);
	ck_assert_int_eq(attach(&sock), -EBUSY);
	is_turned_away(sock);
	vfu_server_disconnect(rig.srv);
}

START_TEST(calls_in_the_hook)
{
	also = call_everything;
	rig_connect(&rig);
	ck_assert_uint_eq(times, 1);
	ck_assert_uint_eq(rig_write(&rig, 1, 0, 4, 7), 0);
}
END_TEST

static void give_up(void)
{
	vfu_server_free(rig.srv);
}

/* The server goes when the call that asked returns; nobody gets it. */
START_TEST(freed_in_the_hook)
{
	int sock = -1;

	also = give_up;
	if (_i == 0) {
		ck_assert_int_eq(attach(&sock), -ECANCELED);
	} else {
		ck_assert_int_eq(vfu_server_listen(rig.srv, path), 0);
		sock = raw_connect(path);
		ck_assert_int_eq(vfu_server_process(rig.srv, 0), -ENOTCONN);
	}
	is_turned_away(sock);
	rig.srv = NULL;
	ck_assert_uint_eq(times, 1);
}
END_TEST

#define ADD(test) tcase_add_test(tcase, test)

int main(void)
{
	Suite *suite = suite_create("accept");
	TCase *tcase = tcase_create("accept");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	ADD(who_the_client_is);
	ADD(refused_at_the_listener);
	ADD(not_asked_about_a_second);
	ADD(many_are_refused);
	ADD(so_many_at_a_look);
	ADD(refused_at_attach);
	ADD(calls_in_the_hook);
	tcase_add_loop_test(tcase, freed_in_the_hook, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
