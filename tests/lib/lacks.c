/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * lacks.c - tries what an emulator may not do.
 */
#include "lacks.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS 4

static void must(bool good)
{
	if (!good) {
		perror("lacks");
		abort();
	}
}

/* Sends fd `sent` times over a socket; what came of them and whether the rest was said to be cut off. */
static unsigned pass(int fd, unsigned sent, int *got, bool *cut)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * FDS)];
	} control = {.align = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
	int pair[2], many[FDS] = {fd, fd, fd, fd};
	unsigned n = 0;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	msg.msg_controllen = CMSG_SPACE(sizeof(int) * sent);
	control.align.cmsg_len = CMSG_LEN(sizeof(int) * sent);
	memcpy(CMSG_DATA(&control.align), many, sizeof(int) * sent);
	must(TEMP_FAILURE_RETRY(sendmsg(pair[0], &msg, 0)) == 1);
	msg.msg_controllen = CMSG_LEN(sizeof(int)); /* room for one */
	must(TEMP_FAILURE_RETRY(recvmsg(pair[1], &msg, MSG_CMSG_CLOEXEC)) == 1);
	*cut = msg.msg_flags & MSG_CTRUNC;
	if (CMSG_FIRSTHDR(&msg)) {
		n = (unsigned)((control.align.cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(got, CMSG_DATA(&control.align), sizeof(int) * n);
	}
	close(pair[0]);
	close(pair[1]);
	return n;
}

static bool does_ctrunc(void)
{
	int got[FDS];
	bool cut;

	pass(0, FDS, got, &cut);
	return cut;
}

static bool does_aio(void)
{
	unsigned long context = 0;

	return syscall(SYS_io_setup, 1L, &context) == 0;
}

static bool does_counts(void)
{
	int fd = passed_eventfd(EFD_SEMAPHORE | EFD_NONBLOCK);
	uint64_t one = 1;

	must(write(fd, &one, sizeof(one)) == sizeof(one));
	must(read(fd, &one, sizeof(one)) == sizeof(one));
	return read(fd, &one, sizeof(one)) < 0;
}

static bool does_nowait(void)
{
	uint64_t count;
	const struct iovec iov = {.iov_base = &count, .iov_len = sizeof(count)};

	return preadv2(eventfd(1, 0), &iov, 1, -1, RWF_NOWAIT) == sizeof(count);
}

static bool does_wipe_on_fork(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *mark = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool done;
	int status;
	pid_t child;

	must(mark != MAP_FAILED);
	done = madvise(mark, page, MADV_WIPEONFORK) == 0;
	*mark = 1;
	child = fork();
	must(child >= 0);
	if (child == 0)
		_exit(*mark);
	must(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) == child);
	return done && status == 0;
}

/* In a process of its own: what is left behind, by qemu-user too, goes with it. */
static bool is_true(bool (*does)(void))
{
	int status;
	pid_t child = fork();

	must(child >= 0);
	if (child == 0)
		_exit(does() ? 0 : 1);
	must(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) == child);
	return status == 0;
}

static char *cut_off;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	_exit(info->si_addr == cut_off ? 0 : 1);
}

static bool does_faults(void)
{
	const struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
	int fd = memfd_create("lacks", 0);

	cut_off = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(cut_off != MAP_FAILED && sigaction(SIGBUS, &action, NULL) == 0);
	return *(volatile char *)cut_off; /* the handler says what this is */
}

static bool does_fd_limit(void)
{
	struct rlimit limit;
	char line[256];
	unsigned long known = 0;
	FILE *limits;

	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 47;
	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	limits = fopen("/proc/self/limits", "r");
	must(limits != NULL);
	while (fgets(line, sizeof(line), limits) &&
	       sscanf(line, "Max open files %lu", &known) != 1) {}
	return known == limit.rlim_cur;
}

bool lacks(enum lacks what, const char *test)
{
	static const struct {
		bool (*does)(void);
		const char *name;
	} table[] = {
		[LACKS_WIPEONFORK] = {does_wipe_on_fork, "MADV_WIPEONFORK"},
		[LACKS_CTRUNC] = {does_ctrunc, "MSG_CTRUNC"},
		[LACKS_AIO] = {does_aio, "AIO"},
		[LACKS_COUNTS] = {does_counts, "counts of its own byte order in an eventfd"},
		[LACKS_NOWAIT] = {does_nowait, "RWF_NOWAIT"},
		[LACKS_FD_LIMIT] = {does_fd_limit, "a limit of descriptors"},
		[LACKS_FAULTS] = {does_faults, "the address of a SIGBUS"},
	};
	size_t len = strlen(test);

	if (is_true(table[what].does))
		return false;
	/* Check names the function of test x x_fn. */
	len -= len > 3 && strcmp(test + len - 3, "_fn") == 0 ? 3 : 0;
	fprintf(stderr, "SKIPPED: %.*s: the system here lacks %s\n", (int)len, test,
		table[what].name);
	return true;
}

int passed_eventfd(int flags)
{
	int fd = eventfd(0, flags), got[FDS];
	bool cut;

	must(fd >= 0 && pass(fd, 1, got, &cut) == 1);
	close(fd);
	return got[0];
}
