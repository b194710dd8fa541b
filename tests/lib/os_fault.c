/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * os_fault.c - os.c itself, with the C library's functions replaced by ones that fail on demand.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os_fault.h"

static struct {
	atomic_uint calls;
	atomic_uint nth; /* 0: none */
	atomic_int error;
	atomic_size_t limit;
} faults[FAULT_KINDS];

static void (*_Atomic on_sleep)(void);
static void (*_Atomic on_recv)(void);
static void (*_Atomic on_listen)(void);
static atomic_long blocks;
static atomic_bool is_virtual;
static atomic_ullong virtual_now;

void fault_reset(void)
{
	for (unsigned i = 0; i < FAULT_KINDS; i++) {
		faults[i].calls = 0;
		faults[i].nth = 0;
		faults[i].limit = 0;
	}
	on_sleep = on_recv = on_listen = NULL;
}

void fault_fail(enum fault_kind kind, unsigned nth, int error)
{
	faults[kind].calls = 0;
	faults[kind].error = error;
	faults[kind].nth = nth;
}

void fault_limit(enum fault_kind kind, size_t bytes)
{
	faults[kind].limit = bytes;
}

void fault_on_recv(void (*fn)(void))
{
	on_recv = fn;
}

void fault_on_sleep(void (*fn)(void))
{
	on_sleep = fn;
}

void fault_on_listen(void (*fn)(void))
{
	on_listen = fn;
}

unsigned fault_calls(enum fault_kind kind)
{
	return faults[kind].calls;
}

long fault_blocks(void)
{
	return blocks;
}

void fault_virtual_time(bool on)
{
	virtual_now = 1000000000;
	is_virtual = on;
}

void fault_advance(uint64_t ns)
{
	virtual_now += ns;
}

/* Counts a call. True if it is the one that is to fail; errno is set. */
static bool fails(enum fault_kind kind)
{
	unsigned n = atomic_fetch_add(&faults[kind].calls, 1) + 1;

	if (n != faults[kind].nth)
		return false;
	errno = faults[kind].error;
	return true;
}

static void *fault_malloc(size_t size)
{
	void *ptr = fails(FAULT_ALLOC) ? NULL : malloc(size);

	blocks += ptr != NULL;
	return ptr;
}

static void *fault_calloc(size_t n, size_t size)
{
	void *ptr = fails(FAULT_ALLOC) ? NULL : calloc(n, size);

	blocks += ptr != NULL;
	return ptr;
}

static void *fault_realloc(void *old, size_t size)
{
	void *ptr = fails(FAULT_ALLOC) ? NULL : realloc(old, size);

	blocks += ptr != NULL && old == NULL;
	return ptr;
}

static void fault_free(void *ptr)
{
	blocks -= ptr != NULL;
	free(ptr);
}

/* Only F_DUPFD_CLOEXEC makes a descriptor. */
static int fault_fcntl(int fd, int command, ...)
{
	va_list args;
	int value = 0;

	if (command == F_GETFL || command == F_GET_SEALS)
		return fcntl(fd, command);
	va_start(args, command);
	value = va_arg(args, int);
	va_end(args);
	return command == F_DUPFD_CLOEXEC && fails(FAULT_FD) ? -1 : fcntl(fd, command, value);
}

static int fault_open(const char *path, int flags, ...)
{
	return fails(FAULT_FD) ? -1 : open(path, flags, 0600);
}

static int fault_eventfd(unsigned value, int flags)
{
	return fails(FAULT_FD) ? -1 : eventfd(value, flags);
}

static int fault_epoll_create1(int flags)
{
	return fails(FAULT_FD) ? -1 : epoll_create1(flags);
}

static int fault_socket(int domain, int type, int protocol)
{
	return fails(FAULT_FD) ? -1 : socket(domain, type, protocol);
}

static int fault_socketpair(int domain, int type, int protocol, int fd[2])
{
	return fails(FAULT_FD) ? -1 : socketpair(domain, type, protocol, fd);
}

static int fault_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return fails(FAULT_FD) ? -1 : accept4(fd, addr, len, flags);
}

static int fault_chmod(const char *path, mode_t mode)
{
	return fails(FAULT_CHMOD) ? -1 : chmod(path, mode);
}

static int fault_listen(int fd, int backlog)
{
	void (*fn)(void) = on_listen;

	if (fn)
		fn();
	return listen(fd, backlog);
}

static void *fault_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return fails(FAULT_MMAP) ? MAP_FAILED : mmap(addr, len, prot, flags, fd, offset);
}

/* Those of asynchronous requests, which the C library has no functions for. */
static long fault_syscall(long number, ...)
{
	long values[5];
	va_list args;
	unsigned n = number == SYS_io_destroy  ? 1
		     : number == SYS_io_setup  ? 2
		     : number == SYS_io_submit ? 3
					       : 5;

	va_start(args, number);
	for (unsigned i = 0; i < n; i++)
		values[i] = va_arg(args, long);
	va_end(args);
	if ((n == 2 || n == 3) && fails(FAULT_AIO))
		return -1;
	return syscall(number, values[0], values[1], values[2], values[3], values[4]);
}

/* Cuts a list of pieces to at most limit bytes. */
static struct msghdr cut(const struct msghdr *msg, struct iovec *iov, size_t limit)
{
	struct msghdr copy = *msg;
	size_t left = limit;

	copy.msg_iovlen = 0;
	copy.msg_iov = iov;
	for (size_t i = 0; i < msg->msg_iovlen && i < 16 && left > 0; i++) {
		iov[i] = msg->msg_iov[i];
		if (iov[i].iov_len > left)
			iov[i].iov_len = left;
		left -= iov[i].iov_len;
		copy.msg_iovlen++;
	}
	return copy;
}

static ssize_t fault_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct iovec iov[16];
	struct msghdr copy = *msg;
	void (*fn)(void) = on_sleep, (*each)(void) = on_recv;
	ssize_t n;

	if (fn && !(flags & MSG_DONTWAIT))
		fn();
	if (each)
		each();
	if (fails(FAULT_RECV))
		return -1;
	if (faults[FAULT_RECV].limit > 0)
		copy = cut(msg, iov, faults[FAULT_RECV].limit);
	n = recvmsg(fd, &copy, is_virtual ? flags | MSG_DONTWAIT : flags);
	msg->msg_controllen = copy.msg_controllen;
	msg->msg_flags = copy.msg_flags;
	if (n < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT) == 0)
		fault_advance(250000000);
	return n;
}

static ssize_t fault_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct iovec iov[16];
	struct msghdr copy = *msg;
	ssize_t n;

	if (fails(FAULT_SEND))
		return -1;
	if (faults[FAULT_SEND].limit > 0)
		copy = cut(msg, iov, faults[FAULT_SEND].limit);
	n = sendmsg(fd, &copy, flags);
	if (n < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT) == 0)
		fault_advance(10000000);
	return n;
}

static ssize_t fault_send(int fd, const void *data, size_t len, int flags)
{
	size_t limit = faults[FAULT_SEND].limit;

	if (fails(FAULT_SEND))
		return -1;
	return send(fd, data, limit > 0 && len > limit ? limit : len, flags);
}

static int fault_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *set)
{
	static const struct timespec none;
	int r;

	void (*fn)(void) = on_sleep;

	if (fn)
		fn();
	if (fails(FAULT_POLL))
		return -1;
	if (!is_virtual || ts == NULL)
		return ppoll(fds, n, ts, set);
	r = ppoll(fds, n, &none, set);
	if (r == 0)
		fault_advance((uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec);
	return r;
}

static int fault_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
				const struct timespec *until)
{
	uint64_t time = (uint64_t)until->tv_sec * 1000000000 + (uint64_t)until->tv_nsec;
	void (*fn)(void) = on_sleep;

	if (!is_virtual)
		return pthread_cond_timedwait(cond, mutex, until);
	pthread_mutex_unlock(mutex);
	if (fn)
		fn();
	else
		sched_yield();
	pthread_mutex_lock(mutex);
	if (virtual_now < time)
		virtual_now = time;
	return ETIMEDOUT;
}

static int fault_clock_gettime(clockid_t clock, struct timespec *ts)
{
	uint64_t now = virtual_now;

	if (!is_virtual)
		return clock_gettime(clock, ts);
	/* vfui_os_soon is now, so that what is to happen happens on time. */
	now -= clock == CLOCK_MONOTONIC_COARSE ? 10000000 : 0;
	ts->tv_sec = (time_t)(now / 1000000000);
	ts->tv_nsec = (long)(now % 1000000000);
	return 0;
}

#define malloc fault_malloc
#define calloc fault_calloc
#define realloc fault_realloc
#define free fault_free
#define fcntl fault_fcntl
#define open fault_open
#define eventfd fault_eventfd
#define epoll_create1 fault_epoll_create1
#define socket fault_socket
#define socketpair fault_socketpair
#define accept4 fault_accept4
#define chmod fault_chmod
#define listen fault_listen
#define mmap fault_mmap
#define recvmsg fault_recvmsg
#define send fault_send
#define sendmsg fault_sendmsg
#define ppoll fault_ppoll
#define clock_gettime fault_clock_gettime
#define pthread_cond_timedwait fault_cond_timedwait
#define syscall fault_syscall

#include "../../libvfu/base/os.c"
