/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-eventfd.c - signals that never sleep: counted, by many threads, in children, and where the kernel refuses.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/eventfd.h"
#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"

static int fd;

static void setup(void)
{
	fd = eventfd(0, EFD_NONBLOCK);
	/* Makes the context of this process. */
	vfui_eventfd_signal(fd);
}

static void teardown(void)
{
	close(fd);
}

static uint64_t taken(void)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

START_TEST(each_is_counted)
{
	if (lacks(LACKS_AIO, __func__))
		return;
	ck_assert_uint_eq(taken(), 1);
	/* More than the ring holds, several times. */
	for (unsigned i = 0; i < 2000; i++)
		ck_assert_int_eq(vfui_eventfd_signal(fd), 0);
	ck_assert_uint_eq(taken(), 2000);
}
END_TEST

START_TEST(a_full_counter_is_left_behind)
{
	const uint64_t full = UINT64_MAX - 1;

	if (lacks(LACKS_AIO, __func__))
		return;
	ck_assert_uint_eq(taken(), 1);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(vfui_eventfd_signal(fd), 0);
	ck_assert_uint_eq(taken(), UINT64_MAX);
}
END_TEST

START_TEST(nothing_else_is_touched)
{
	int pipes[2];

	if (lacks(LACKS_AIO, __func__))
		return;
	ck_assert_uint_eq(taken(), 1);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(vfui_eventfd_signal(pipes[0]), -EAGAIN);
	ck_assert_int_eq(vfui_eventfd_signal(pipes[1]), -EAGAIN);
	ck_assert_int_eq(vfui_eventfd_signal(-1), -EAGAIN);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

static void *signal_many(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 5000; i++) {
		if (vfui_eventfd_signal(fd) < 0)
			vfui_eventfd_signal_slowly(fd);
	}
	return NULL;
}

START_TEST(many_threads_lose_none)
{
	pthread_t threads[4];

	taken();
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, signal_many, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(taken(), 20000);
}
END_TEST

START_TEST(a_child_has_its_own)
{
	int status;
	pid_t child;

	if (lacks(LACKS_AIO, __func__))
		return;
	ck_assert_uint_eq(taken(), 1);
	/* Twice, for the first may find the ring full. */
	ck_assert_int_eq(vfui_eventfd_signal(fd), 0);
	fault_reset();
	ck_assert_int_eq(vfui_eventfd_signal(fd), 0);
	ck_assert_uint_eq(fault_calls(FAULT_AIO), 1);
	child = fork();
	if (!child) {
		fault_reset();
		status = vfui_eventfd_signal(fd);
		/* One call to make it, one to signal. */
		_exit(status || fault_calls(FAULT_AIO) != 2);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(taken(), 3);
}
END_TEST

START_TEST(slowly)
{
	const uint64_t full = UINT64_MAX - 1;

	taken();
	fault_fail(FAULT_AIO, 1, EAGAIN);
	vfui_eventfd_signal(fd);
	fault_fail(FAULT_AIO, 1, ENOSYS);
	ck_assert_int_eq(vfui_eventfd_signal(fd), -EAGAIN);
	taken();
	vfui_eventfd_signal_slowly(fd);
	ck_assert_uint_eq(taken(), 1);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	vfui_eventfd_signal_slowly(fd);
	ck_assert_uint_eq(taken(), full);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eventfd");
	TCase *tcase = tcase_create("eventfd");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_is_counted);
	tcase_add_test(tcase, a_full_counter_is_left_behind);
	tcase_add_test(tcase, nothing_else_is_touched);
	tcase_add_test(tcase, many_threads_lose_none);
	tcase_add_test(tcase, a_child_has_its_own);
	tcase_add_test(tcase, slowly);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
