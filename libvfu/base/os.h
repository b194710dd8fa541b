/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * os.h - every allocation and system call of the library, so that tests can make them fail.
 */
#ifndef VFUI_OS_H
#define VFUI_OS_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef __has_include
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define VFUI_OS_IS_SINGLE __libc_single_threaded
#endif
#endif
#ifndef VFUI_OS_IS_SINGLE
#define VFUI_OS_IS_SINGLE false
#endif

/*
 * Functions of the system's names behave as the system's, but answer a negative errno where it
 * would set errno, except those that return pointers (NULL). Nothing here retries after a signal.
 */
void *vfui_os_malloc(size_t size);
void *vfui_os_calloc(size_t n, size_t size);
void *vfui_os_realloc(void *ptr, size_t size);
void vfui_os_free(void *ptr);
char *vfui_os_strdup(const char *text);

/* Ignores negative descriptors. */
void vfui_os_close(int fd);
/* A close-on-exec copy. */
int vfui_os_dup(int fd);
int vfui_os_set_cloexec(int fd);
int vfui_os_get_flags(int fd);
int vfui_os_set_nonblock(int fd);
/* F_SEAL_*; -EINVAL: the file has none. */
int vfui_os_get_seals(int fd);
int vfui_os_fstat(int fd, struct stat *st);
int vfui_os_lstat(const char *path, struct stat *st);
int vfui_os_open_dir(const char *path);
/* Names a file, of any kind, without opening it. */
int vfui_os_open_path(const char *path, bool follow);
/* A file to be locked, made if it is not there; and the attempt: -EWOULDBLOCK if somebody has it. */
int vfui_os_open_lock(const char *path);
int vfui_os_try_lock(int fd);
int vfui_os_chmod(const char *path, unsigned mode);
int vfui_os_fchmod(int fd, unsigned mode);
int vfui_os_link(const char *from, const char *to);
int vfui_os_unlink(const char *path);
int vfui_os_readlink(const char *path, char *buf, size_t size);
ssize_t vfui_os_read(int fd, void *buf, size_t len);
/* -EAGAIN rather than sleep, whatever O_NONBLOCK is; -EOPNOTSUPP: the kernel can not promise that. */
ssize_t vfui_os_read_nowait(int fd, void *buf, size_t len);
ssize_t vfui_os_write(int fd, const void *buf, size_t len);
ssize_t vfui_os_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t vfui_os_pwrite(int fd, const void *buf, size_t len, uint64_t offset);
/* Close-on-exec and non-blocking. */
int vfui_os_eventfd(void);
/* Close-on-exec. */
int vfui_os_epoll(void);
/* op: EPOLL_CTL_ADD, _MOD or _DEL. key: what vfui_os_epoll_take says of it. */
int vfui_os_epoll_ctl(int epfd, int op, int fd, uint32_t events, uint64_t key);
/* The keys of what is ready now, at most n and at most 16. */
int vfui_os_epoll_take(int epfd, uint64_t *keys, unsigned n);

/* A file of so many zeroes in memory, which whoever has it can neither cut nor grow. Close-on-exec. */
int vfui_os_memfd(const char *name, uint64_t size);
/* NULL on failure, *error then holds the negative errno. */
void *vfui_os_mmap(size_t len, int prot, int flags, int fd, uint64_t offset, int *error);
int vfui_os_munmap(void *addr, size_t len);
/* Anonymous memory in place of what is mapped there. Async-signal-safe. */
int vfui_os_mmap_over(void *addr, size_t len);
/* Puts a shared mapping of a file in the place of what was mapped there. */
int vfui_os_mmap_file_over(void *addr, size_t len, int prot, int fd, uint64_t offset);
size_t vfui_os_page_size(void);
/* How many descriptors the process may have. */
uint64_t vfui_os_max_fds(void);

/* action and old may be NULL. */
int vfui_os_sigaction(int sig, const struct sigaction *action, struct sigaction *old);
/* Async-signal-safe. */
void vfui_os_signal_default(int sig);
void vfui_os_raise(int sig);

int vfui_os_socket(int domain, int type);
/* A stream of this process with itself, close-on-exec. */
int vfui_os_socketpair(int fd[2]);
int vfui_os_bind(int fd, const struct sockaddr *addr, socklen_t len);
int vfui_os_listen(int fd, int backlog);
int vfui_os_connect(int fd, const struct sockaddr *addr, socklen_t len);
/* Close-on-exec. */
int vfui_os_accept(int fd);
int vfui_os_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int vfui_os_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int vfui_os_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int vfui_os_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int vfui_os_shutdown(int fd);
ssize_t vfui_os_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t vfui_os_send(int fd, const void *data, size_t len, int flags);
ssize_t vfui_os_sendmsg(int fd, const struct msghdr *msg, int flags);

/* Asynchronous requests of the kernel (man io_submit). submit takes one, getevents waits for none. */
struct iocb;
struct io_event;
int vfui_os_io_setup(unsigned n, unsigned long *context);
void vfui_os_io_destroy(unsigned long context);
int vfui_os_io_submit(unsigned long context, struct iocb *request);
int vfui_os_io_getevents(unsigned long context, struct io_event *events, unsigned n);

/* timeout_ns < 0: for ever. */
int vfui_os_poll(struct pollfd *fds, unsigned n, int64_t timeout_ns);
/* Nanoseconds of a clock that never steps back. */
uint64_t vfui_os_now(void);
/* A time of it that will be in 10 ms at most, if ticks are on time. */
uint64_t vfui_os_soon(void);
pid_t vfui_os_getpid(void);

int vfui_os_mutex_init(pthread_mutex_t *mutex);
void vfui_os_mutex_fini(pthread_mutex_t *mutex);
void vfui_os_lock(pthread_mutex_t *mutex);
void vfui_os_unlock(pthread_mutex_t *mutex);
/* In the child of a fork: no thread held it, so what it guards is whole. */
bool vfui_os_is_unlocked(pthread_mutex_t *mutex);
int vfui_os_cond_init(pthread_cond_t *cond);
void vfui_os_cond_fini(pthread_cond_t *cond);
/* Sleeps until woken or at most timeout_ns (< 0: for ever). 0 or -ETIMEDOUT. */
int vfui_os_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t timeout_ns);
void vfui_os_cond_broadcast(pthread_cond_t *cond);

/*
 * Adds to a count that threads share, and says what it was. As long as the process has one thread this is no atomic
 * operation, which takes as long as 30 instructions: pthread_mutex_lock does likewise.
 */
static inline unsigned vfui_os_count(atomic_uint *count, int n)
{
	unsigned was;

	if (!VFUI_OS_IS_SINGLE)
		return atomic_fetch_add(count, (unsigned)n);
	was = atomic_load_explicit(count, memory_order_relaxed);
	atomic_store_explicit(count, was + (unsigned)n, memory_order_relaxed);
	return was;
}

/* A page that reads 0, also in a child after fork() whatever stood there. NULL: the kernel can not do that. */
void *vfui_os_wiped_page_new(void);
void vfui_os_wiped_page_free(void *page);
/*
 * A byte that reads 1 in this process and 0 in a child after fork(): a page that the kernel wipes. The same
 * for all who ask; a child's own is another. Where the kernel can not do that it stays 1. NULL: no memory.
 */
const volatile uint8_t *vfui_os_fork_mark(void);

#endif
