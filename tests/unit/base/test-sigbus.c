/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-sigbus.c - memory that vanishes: the guard, its table, and who else wants a SIGBUS.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sigbus.h"
#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static int calls; /* of a handler */

/* Memory of a file of n pages, all bytes 1. */
struct memory {
	uint8_t *at;
	size_t len;
	int fd;
};

static struct memory memory_new(unsigned pages)
{
	struct memory m = {.len = pages * PAGE, .fd = memfd_create("test", MFD_CLOEXEC)};

	ck_assert_int_ge(m.fd, 0);
	ck_assert_int_eq(ftruncate(m.fd, (off_t)m.len), 0);
	m.at = mmap(NULL, m.len, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	ck_assert(m.at != MAP_FAILED);
	memset(m.at, 1, m.len);
	return m;
}

static void cut(const struct memory *m, unsigned pages)
{
	ck_assert_int_eq(ftruncate(m->fd, (off_t)(pages * PAGE)), 0);
}

static void memory_free(struct memory *m)
{
	munmap(m->at, m->len);
	close(m->fd);
}

static uint8_t look(const uint8_t *at)
{
	return *(const volatile uint8_t *)at;
}

/* ---- the table --------------------------------------------------------------------------------- */

START_TEST(what_is_touched_is_lost_whole)
{
	struct memory m, other;
	struct vfu_watch *all, *part, *bystander;

	if (lacks(LACKS_FAULTS, __func__))
		return;
	m = memory_new(4);
	other = memory_new(1);
	all = vfu_watch_new(m.at, m.len);
	part = vfu_watch_new(m.at + 5, 1);
	bystander = vfu_watch_new(other.at, other.len);
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	cut(&m, 3);
	cut(&other, 0);
	ck_assert_uint_eq(look(m.at + 2 * PAGE), 1);
	ck_assert(!vfu_watch_is_lost(all));
	errno = 7;
	ck_assert_uint_eq(look(m.at + 3 * PAGE + 9), 0);
	ck_assert_int_eq(errno, 7);
	ck_assert(vfu_watch_is_lost(all) && vfu_watch_is_lost(part));
	ck_assert(!vfu_watch_is_lost(bystander));
	/* Old and new data never stand side by side; it is plain memory now. */
	ck_assert_uint_eq(look(m.at), 0);
	memset(m.at, 2, m.len);
	ck_assert_uint_eq(look(m.at + m.len - 1), 2);
	ck_assert(vfui_watch_tell(all) && !vfui_watch_tell(all) && !vfui_watch_tell(bystander));
	vfu_watch_free(all);
	vfu_watch_free(part);
	vfu_watch_free(bystander);
	vfu_watch_free(NULL);
	memory_free(&m);
	memory_free(&other);
}
END_TEST

START_TEST(what_is_no_range)
{
	ck_assert_ptr_null(vfu_watch_new(&calls, 0));
	ck_assert_ptr_null(vfu_watch_new(&calls, SIZE_MAX));
	ck_assert(!vfui_watch_is_lost(NULL));
}
END_TEST

/* More than the table has at first; places are used again, and none remembers its last user. */
START_TEST(many)
{
	enum { N = 1000, ROUNDS = 20 };
	static struct vfu_watch *watches[N], *seen;
	struct memory m;

	if (lacks(LACKS_FAULTS, __func__))
		return;
	m = memory_new(1);
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < N; i++) {
			watches[i] = vfu_watch_new(m.at, m.len);
			ck_assert(watches[i] && !vfu_watch_is_lost(watches[i]));
		}
		seen = watches[round] > seen ? watches[round] : seen;
		cut(&m, 0);
		look(m.at);
		for (unsigned i = 0; i < N; i++) {
			ck_assert(vfu_watch_is_lost(watches[i]));
			vfu_watch_free(watches[i]);
		}
		memory_free(&m);
		m = memory_new(1);
	}
	memory_free(&m);
}
END_TEST

START_TEST(a_table_that_can_not_grow)
{
	static struct vfu_watch *watches[100000];
	struct memory m = memory_new(1);
	unsigned n;

	fault_fail(FAULT_MMAP, 1, ENOMEM);
	for (n = 0; (watches[n] = vfu_watch_new(m.at, m.len)); n++)
		ck_assert_uint_lt(n, 99999);
	ck_assert_ptr_nonnull((watches[n++] = vfu_watch_new(m.at, m.len)));
	while (n--)
		vfu_watch_free(watches[n]);
	memory_free(&m);
}
END_TEST

static atomic_bool stop;

static void *come_and_go(void *arg)
{
	uint8_t *page = arg;

	while (!atomic_load(&stop)) {
		struct vfu_watch *watch = vfu_watch_new(page, PAGE);

		ck_assert(!vfu_watch_is_lost(watch));
		vfu_watch_free(watch);
	}
	return NULL;
}

/* The handler reads the table while others change it, and hits only what was touched. */
START_TEST(others_come_and_go)
{
	uint8_t *pages;
	pthread_t threads[2];

	if (lacks(LACKS_FAULTS, __func__))
		return;
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	atomic_store(&stop, false);
	memset(pages, 9, 2 * PAGE);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, pages + i * PAGE),
				 0);
	for (unsigned i = 0; i < 2000; i++) {
		struct memory m = memory_new(2);
		struct vfu_watch *watch = vfu_watch_new(m.at, m.len);

		cut(&m, i % 2);
		ck_assert_uint_eq(look(m.at + PAGE), 0);
		ck_assert(vfu_watch_is_lost(watch));
		vfu_watch_free(watch);
		memory_free(&m);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(look(pages), 9);
	ck_assert_uint_eq(look(pages + PAGE), 9);
	munmap(pages, 2 * PAGE);
}
END_TEST

/* ---- memory that the system reads and writes --------------------------------------------------- */

/* The system is not interrupted by a SIGBUS of its own, it says -EFAULT. */
START_TEST(the_system_can_use_what_came_instead)
{
	struct memory m;
	struct vfu_watch *watch;
	struct iovec iov[2];
	uint8_t *buf;
	int ends[2];

	if (lacks(LACKS_FAULTS, __func__))
		return;
	buf = calloc(1, 4 * PAGE);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	for (unsigned to_write = 0; to_write < 2; to_write++) {
		m = memory_new(4);
		watch = vfu_watch_new(m.at, m.len);
		iov[0] = (struct iovec){NULL, 0};
		iov[1] = (struct iovec){m.at + 3, m.len - 3};
		ck_assert(!vfui_watch_touch(iov, 2, to_write));
		cut(&m, 1);
		if (to_write)
			ck_assert_int_eq(send(ends[1], buf, m.len, 0), (int)m.len);
		ck_assert_int_eq(to_write ? recv(ends[0], m.at, m.len, 0)
					  : send(ends[0], m.at, m.len, 0),
				 -1);
		ck_assert_int_eq(errno, EFAULT);
		ck_assert_int_eq(vfu_sigbus_guard(), 0);
		ck_assert(vfui_watch_touch(iov, 2, to_write));
		ck_assert(vfu_watch_is_lost(watch));
		ck_assert_int_eq(to_write ? recv(ends[0], m.at, m.len, 0)
					  : send(ends[0], m.at, m.len, 0),
				 (int)m.len);
		/* No reason to try for ever. */
		ck_assert(!vfui_watch_touch(iov, 2, to_write));
		if (!to_write)
			ck_assert_int_eq(recv(ends[1], buf, m.len, MSG_WAITALL), (int)m.len);
		vfu_watch_free(watch);
		memory_free(&m);
	}
	iov[1] = (struct iovec){NULL, 10};
	ck_assert(!vfui_watch_touch(iov, 2, true));
	close(ends[0]);
	close(ends[1]);
	free(buf);
}
END_TEST

START_TEST(known_before_it_is_sent)
{
	struct memory m;
	struct vfu_watch *watch;

	if (lacks(LACKS_FAULTS, __func__))
		return;
	m = memory_new(3);
	watch = vfu_watch_new(m.at, m.len);
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	cut(&m, 2);
	ck_assert(!vfui_watch_probe(watch, m.at, 2 * PAGE));
	ck_assert(!vfui_watch_probe(watch, m.at + 2 * PAGE, 0));
	ck_assert(!vfui_watch_probe(NULL, m.at + 2 * PAGE, 1));
	ck_assert(vfui_watch_probe(watch, m.at + 1, 2 * PAGE));
	vfu_watch_free(watch);
	memory_free(&m);
}
END_TEST

/* ---- a SIGBUS that is somebody else's ---------------------------------------------------------- */

static void with_info(int sig, siginfo_t *info, void *context)
{
	(void)context;
	_exit(sig == SIGBUS && info->si_code == BUS_ADRERR && info->si_addr ? 41 : 40);
}

static void without_info(int sig)
{
	_exit(sig == SIGBUS ? 42 : 40);
}

/* Comes back, so that the instruction runs again: without SA_RESETHAND it would for ever. */
static void once(int sig)
{
	(void)sig;
	if (++calls > 1)
		_exit(40);
}

enum from { BY_TOUCH, BY_KILL, BY_FAILING_GUARD };

/* How a child ends that has these handlers and gets a SIGBUS: an exit status, or minus a signal. */
static int end_of(const struct sigaction *before, enum from from)
{
	struct memory m = memory_new(1);
	int status;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		cut(&m, 0);
		if (from == BY_FAILING_GUARD)
			vfu_watch_new(m.at, m.len);
		if (sigaction(SIGBUS, before, NULL) || vfu_sigbus_guard())
			_exit(39);
		if (from == BY_FAILING_GUARD)
			fault_fail(FAULT_MMAP, 1, ENOMEM);
		if (from == BY_KILL)
			raise(SIGBUS);
		else
			look(m.at);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	memory_free(&m);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

START_TEST(goes_to_who_was_there_before)
{
	const struct sigaction plain = {.sa_handler = SIG_DFL}, ignored = {.sa_handler = SIG_IGN},
			       info = {.sa_sigaction = with_info, .sa_flags = SA_SIGINFO},
			       old = {.sa_handler = without_info},
			       reset = {.sa_handler = once, .sa_flags = (int)SA_RESETHAND};

	ck_assert_int_eq(end_of(&plain, BY_TOUCH), -SIGBUS);
	ck_assert_int_eq(end_of(&plain, BY_KILL), -SIGBUS);
	ck_assert_int_eq(end_of(&plain, BY_FAILING_GUARD), -SIGBUS);
	ck_assert_int_eq(end_of(&ignored, BY_TOUCH), -SIGBUS);
	ck_assert_int_eq(end_of(&ignored, BY_KILL), 0);
	ck_assert_int_eq(end_of(&info, BY_TOUCH), 41);
	ck_assert_int_eq(end_of(&info, BY_FAILING_GUARD), 41);
	ck_assert_int_eq(end_of(&info, BY_KILL), 40);
	ck_assert_int_eq(end_of(&old, BY_TOUCH), 42);
	ck_assert_int_eq(end_of(&old, BY_KILL), 42);
	ck_assert_int_eq(end_of(&reset, BY_TOUCH), -SIGBUS);
	ck_assert_int_eq(end_of(&reset, BY_KILL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sigbus");
	TCase *tcase = tcase_create("sigbus");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, goes_to_who_was_there_before);
	tcase_add_test(tcase, what_is_touched_is_lost_whole);
	tcase_add_test(tcase, what_is_no_range);
	tcase_add_test(tcase, many);
	tcase_add_test(tcase, a_table_that_can_not_grow);
	tcase_add_test(tcase, others_come_and_go);
	tcase_add_test(tcase, the_system_can_use_what_came_instead);
	tcase_add_test(tcase, known_before_it_is_sent);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
