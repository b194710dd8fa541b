/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * os.c - every allocation and system call of the library. The fault-injecting one of the tests
 * includes this file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"

#define NS_PER_S 1000000000

/* What a system call returned, or the negative errno. */
static inline ssize_t result(ssize_t value)
{
	return value < 0 ? -errno : value;
}

static struct timespec to_timespec(int64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = ns % NS_PER_S};
}

void *vfui_os_malloc(size_t size)
{
	return malloc(size);
}

void *vfui_os_calloc(size_t n, size_t size)
{
	return calloc(n, size);
}

void *vfui_os_realloc(void *ptr, size_t size)
{
	return realloc(ptr, size);
}

void vfui_os_free(void *ptr)
{
	free(ptr);
}

char *vfui_os_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = vfui_os_malloc(size);

	if (copy != NULL)
		memcpy(copy, text, size);
	return copy;
}

void vfui_os_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

int vfui_os_dup(int fd)
{
	return (int)result(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int vfui_os_set_cloexec(int fd)
{
	return (int)result(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

int vfui_os_get_flags(int fd)
{
	return (int)result(fcntl(fd, F_GETFL));
}

int vfui_os_set_nonblock(int fd)
{
	int flags = vfui_os_get_flags(fd);

	if (flags < 0 || (flags & O_NONBLOCK) != 0)
		return flags < 0 ? flags : 0;
	return (int)result(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

int vfui_os_get_seals(int fd)
{
	return (int)result(fcntl(fd, F_GET_SEALS));
}

int vfui_os_fstat(int fd, struct stat *st)
{
	return (int)result(fstat(fd, st));
}

int vfui_os_lstat(const char *path, struct stat *st)
{
	return (int)result(lstat(path, st));
}

int vfui_os_open_dir(const char *path)
{
	return (int)result(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

int vfui_os_open_path(const char *path, bool follow)
{
	return (int)result(open(path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)));
}

int vfui_os_open_lock(const char *path)
{
	return (int)result(open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
}

int vfui_os_try_lock(int fd)
{
	return (int)result(flock(fd, LOCK_EX | LOCK_NB));
}

int vfui_os_chmod(const char *path, unsigned mode)
{
	return (int)result(chmod(path, (mode_t)mode));
}

int vfui_os_fchmod(int fd, unsigned mode)
{
	return (int)result(fchmod(fd, mode));
}

int vfui_os_link(const char *from, const char *to)
{
	return (int)result(link(from, to));
}

int vfui_os_unlink(const char *path)
{
	return (int)result(unlink(path));
}

int vfui_os_readlink(const char *path, char *buf, size_t size)
{
	return (int)result(readlink(path, buf, size));
}

ssize_t vfui_os_read(int fd, void *buf, size_t len)
{
	return result(read(fd, buf, len));
}

ssize_t vfui_os_read_nowait(int fd, void *buf, size_t len)
{
	const struct iovec iov = {.iov_base = buf, .iov_len = len};

	return result(preadv2(fd, &iov, 1, -1, RWF_NOWAIT));
}

ssize_t vfui_os_write(int fd, const void *buf, size_t len)
{
	return result(write(fd, buf, len));
}

ssize_t vfui_os_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	return result(pread(fd, buf, len, (off_t)offset));
}

ssize_t vfui_os_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
	return result(pwrite(fd, buf, len, (off_t)offset));
}

int vfui_os_eventfd(void)
{
	return (int)result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int vfui_os_epoll(void)
{
	return (int)result(epoll_create1(EPOLL_CLOEXEC));
}

int vfui_os_epoll_ctl(int epfd, int op, int fd, uint32_t events, uint64_t key)
{
	struct epoll_event event = {.events = events, .data.u64 = key};

	return (int)result(epoll_ctl(epfd, op, fd, &event));
}

int vfui_os_epoll_take(int epfd, uint64_t *keys, unsigned n)
{
	struct epoll_event events[16];
	int ready = epoll_wait(epfd, events, n < 16 ? (int)n : 16, 0);

	for (int i = 0; i < ready; i++)
		keys[i] = events[i].data.u64;
	return (int)result(ready);
}

int vfui_os_memfd(const char *name, uint64_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), ret;

	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, (off_t)size) &&
	    !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

void *vfui_os_mmap(size_t len, int prot, int flags, int fd, uint64_t offset, int *error)
{
	void *addr = mmap(NULL, len, prot, flags, fd, (off_t)offset);

	if (addr != MAP_FAILED)
		return addr;
	if (error != NULL)
		*error = -errno;
	return NULL;
}

int vfui_os_munmap(void *addr, size_t len)
{
	return (int)result(munmap(addr, len));
}

int vfui_os_mmap_over(void *addr, size_t len)
{
	void *new = mmap(addr, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	return new == MAP_FAILED ? -errno : 0;
}

int vfui_os_mmap_file_over(void *addr, size_t len, int prot, int fd, uint64_t offset)
{
	void *new = mmap(addr, len, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);

	return new == MAP_FAILED ? -errno : 0;
}

size_t vfui_os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

uint64_t vfui_os_max_fds(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : UINT64_MAX;
}

int vfui_os_sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
	return (int)result(sigaction(sig, action, old));
}

void vfui_os_signal_default(int sig)
{
	signal(sig, SIG_DFL);
}

void vfui_os_raise(int sig)
{
	raise(sig);
}

int vfui_os_socket(int domain, int type)
{
	return (int)result(socket(domain, type | SOCK_CLOEXEC, 0));
}

int vfui_os_socketpair(int fd[2])
{
	return (int)result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
}

int vfui_os_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)result(bind(fd, addr, len));
}

int vfui_os_listen(int fd, int backlog)
{
	return (int)result(listen(fd, backlog));
}

int vfui_os_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)result(connect(fd, addr, len));
}

int vfui_os_accept(int fd)
{
	return (int)result(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
}

int vfui_os_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return (int)result(setsockopt(fd, level, name, value, len));
}

int vfui_os_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return (int)result(getsockopt(fd, level, name, value, len));
}

int vfui_os_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)result(getsockname(fd, addr, len));
}

int vfui_os_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)result(getpeername(fd, addr, len));
}

int vfui_os_shutdown(int fd)
{
	return (int)result(shutdown(fd, SHUT_RDWR));
}

ssize_t vfui_os_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return result(recvmsg(fd, msg, flags));
}

ssize_t vfui_os_send(int fd, const void *data, size_t len, int flags)
{
	return result(send(fd, data, len, flags));
}

ssize_t vfui_os_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return result(sendmsg(fd, msg, flags));
}

int vfui_os_io_setup(unsigned n, unsigned long *context)
{
	aio_context_t made = 0;
	int rc = (int)result(syscall(SYS_io_setup, (long)n, &made));

	*context = made;
	return rc;
}

void vfui_os_io_destroy(unsigned long context)
{
	syscall(SYS_io_destroy, context);
}

int vfui_os_io_submit(unsigned long context, struct iocb *request)
{
	return (int)result(syscall(SYS_io_submit, context, 1L, &request));
}

int vfui_os_io_getevents(unsigned long context, struct io_event *events, unsigned n)
{
	struct timespec none = {0};

	return (int)result(syscall(SYS_io_getevents, context, 0L, (long)n, events, &none));
}

int vfui_os_poll(struct pollfd *fds, unsigned n, int64_t timeout_ns)
{
	struct timespec ts = to_timespec(timeout_ns < 0 ? 0 : timeout_ns);

	return (int)result(ppoll(fds, n, timeout_ns < 0 ? NULL : &ts, NULL));
}

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t vfui_os_now(void)
{
	return now(CLOCK_MONOTONIC);
}

/* Linux has at least 100 ticks a second. */
uint64_t vfui_os_soon(void)
{
	return now(CLOCK_MONOTONIC_COARSE) + NS_PER_S / 100;
}

pid_t vfui_os_getpid(void)
{
	return getpid();
}

int vfui_os_mutex_init(pthread_mutex_t *mutex)
{
	return -pthread_mutex_init(mutex, NULL);
}

void vfui_os_mutex_fini(pthread_mutex_t *mutex)
{
	pthread_mutex_destroy(mutex);
}

void vfui_os_lock(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
}

void vfui_os_unlock(pthread_mutex_t *mutex)
{
	pthread_mutex_unlock(mutex);
}

bool vfui_os_is_unlocked(pthread_mutex_t *mutex)
{
	if (pthread_mutex_trylock(mutex) != 0)
		return false;
	pthread_mutex_unlock(mutex);
	return true;
}

int vfui_os_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);

	if (r != 0)
		return -r;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -r;
}

void vfui_os_cond_fini(pthread_cond_t *cond)
{
	pthread_cond_destroy(cond);
}

int vfui_os_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t timeout_ns)
{
	struct timespec until;

	if (timeout_ns < 0)
		return -pthread_cond_wait(cond, mutex);
	until = to_timespec((int64_t)vfui_os_now() + timeout_ns);
	return -pthread_cond_timedwait(cond, mutex, &until);
}

void vfui_os_cond_broadcast(pthread_cond_t *cond)
{
	pthread_cond_broadcast(cond);
}

static void *page_new(void)
{
	return vfui_os_mmap(vfui_os_page_size(), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, NULL);
}

/* The kernel has no such advice before Linux 4.14. */
static int wipe_on_fork(void *page)
{
	return (int)result(madvise(page, vfui_os_page_size(), MADV_WIPEONFORK));
}

void *vfui_os_wiped_page_new(void)
{
	void *page = page_new();

	if (page != NULL && wipe_on_fork(page) < 0) {
		vfui_os_munmap(page, vfui_os_page_size());
		page = NULL;
	}
	return page;
}

void vfui_os_wiped_page_free(void *page)
{
	vfui_os_munmap(page, vfui_os_page_size());
}

/*
 * One for the process, made when first needed and kept: what came from the parent refers to the parent's for
 * as long as it lives here. All handles look at it with each call, so those of a thousand devices should not
 * have a page each.
 */
const volatile uint8_t *vfui_os_fork_mark(void)
{
	static _Atomic(uint8_t *) marks;
	uint8_t *mark = atomic_load(&marks), *fresh;

	if (mark != NULL && *(volatile uint8_t *)mark != 0)
		return mark;
	fresh = page_new();
	if (fresh == NULL)
		return NULL;
	/* Without the advice a fork goes unnoticed. */
	wipe_on_fork(fresh);
	*fresh = 1;
	if (atomic_compare_exchange_strong(&marks, &mark, fresh))
		return fresh;
	vfui_os_munmap(fresh, vfui_os_page_size());
	return mark;
}
