/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * sock.c - the only place that knows sockets and addresses.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/os.h"
#include "base/sigbus.h"
#include "base/util.h"
#include "transport/sock.h"

/* A path as bind() and connect() take it. dir: open while the path refers to it, or -1. */
struct place {
	struct sockaddr_un addr;
	socklen_t len;
	int dir;
};

/* How long one attempt to connect waits before it is asked whether to go on. */
#define TICK_MS 100
#define TICK_NS (TICK_MS * (int64_t)VFUI_MS)

/* Room for what a socket's name ends in until it has its own: ".PID.FD". */
#define SUFFIX 20

static const char *path_of(const char *address)
{
	static const char prefix[] = "unix:";

	if (strncmp(address, prefix, sizeof(prefix) - 1) == 0)
		return address + sizeof(prefix) - 1;
	return address;
}

/* A path that does not fit a socket address is reached through a descriptor of its directory. */
static int place_shorten(struct place *place, const char *path, struct vfu_err *err)
{
	const char *name = strrchr(path, '/');
	char *dir;
	int n;

	if (name == NULL || name == path)
		return vfui_err_set(err, -ENAMETOOLONG, NULL, 0, "the file name is too long: %s",
				    path);
	dir = vfui_os_strdup(path);
	if (dir == NULL)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "out of memory");
	dir[name - path] = '\0';
	place->dir = vfui_os_open_dir(dir);
	vfui_os_free(dir);
	if (place->dir < 0)
		return vfui_err_set(err, place->dir, NULL, 0,
				    "the directory of %s cannot be opened", path);
	n = snprintf(place->addr.sun_path, sizeof(place->addr.sun_path), "/proc/self/fd/%d%s",
		     place->dir, name);
	if (n < 0 || (size_t)n + SUFFIX >= sizeof(place->addr.sun_path)) {
		vfui_os_close(place->dir);
		return vfui_err_set(err, -ENAMETOOLONG, NULL, 0, "the file name is too long: %s",
				    path);
	}
	return 0;
}

static int place_init(struct place *place, const char *address, struct vfu_err *err)
{
	const char *path = path_of(address);
	size_t len = strlen(path);
	int r = 0;

	*place = (struct place){.addr.sun_family = AF_UNIX, .dir = -1};
	if (len == 0)
		return vfui_err_set(err, -EINVAL, NULL, 0, "the socket address is empty");
	if (len + SUFFIX < sizeof(place->addr.sun_path))
		memcpy(place->addr.sun_path, path, len);
	else
		r = place_shorten(place, path, err);
	place->len = sizeof(place->addr);
	return r;
}

static void place_fini(struct place *place)
{
	vfui_os_close(place->dir);
}

/* name: SO_SNDTIMEO or SO_RCVTIMEO. */
static int set_timeout(int fd, int name, unsigned timeout_ms)
{
	struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

	return vfui_os_setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv));
}

/* A socket connected to place, or why not: -EAGAIN if the queue of the server is full. */
static int try_connect(const struct place *place, unsigned timeout_ms)
{
	int fd = vfui_os_socket(AF_UNIX, SOCK_STREAM);
	int r;

	if (fd < 0)
		return fd;
	/* connect() waits for room in the queue as long as it would to send. */
	set_timeout(fd, SO_SNDTIMEO, timeout_ms);
	r = vfui_os_connect(fd, (const struct sockaddr *)&place->addr, place->len);
	if (r < 0) {
		vfui_os_close(fd);
		return r;
	}
	set_timeout(fd, SO_SNDTIMEO, 0);
	return fd;
}

/* No poll tells of room in a server's queue: it is tried, and tried again. */
static int connect_place(const struct place *place, unsigned timeout_ms, int (*why_stop)(void *ctx),
			 void *ctx)
{
	const struct vfui_clock clock = {NULL, NULL};
	uint64_t deadline = vfui_clock_deadline(&clock, timeout_ms > 0 ? (int64_t)timeout_ms : -1);
	int r;

	for (;;) {
		int64_t left = vfui_clock_left(&clock, deadline);
		int stop;

		/* Not 0, which is for ever. */
		r = try_connect(place, left < 0 || left > TICK_NS
					       ? (unsigned)TICK_MS
					       : (unsigned)(left / (int64_t)VFUI_MS) + 1);
		if (r != -EAGAIN && r != -EINTR)
			return r;
		stop = why_stop != NULL ? why_stop(ctx) : 0;
		if (stop < 0)
			return stop;
		if (vfui_clock_left(&clock, deadline) == 0)
			return -ETIMEDOUT;
	}
}

int vfui_sock_connect(const char *address, unsigned timeout_ms, int (*why_stop)(void *ctx),
		      void *ctx, struct vfu_err *err)
{
	struct place place;
	int fd = place_init(&place, address, err);

	if (fd < 0)
		return fd;
	fd = connect_place(&place, timeout_ms, why_stop, ctx);
	place_fini(&place);
	if (fd < 0)
		vfui_err_set(err, fd, NULL, 0, "cannot connect to %s: %s", path_of(address),
			     strerror(-fd));
	return fd;
}

/* Gives a bound socket its place; a socket file left behind by a dead server is replaced. */
static int link_place(const char *made, const struct place *place)
{
	const char *path = place->addr.sun_path;
	int r = vfui_os_link(made, path);
	struct stat st;
	int probe;

	if (r != -EEXIST)
		return r;
	if (vfui_os_lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	probe = try_connect(place, 1);
	if (probe != -ECONNREFUSED) {
		vfui_os_close(probe);
		return -EADDRINUSE;
	}
	r = vfui_os_unlink(path);
	if (r == 0)
		r = vfui_os_link(made, path);
	return r == -EEXIST ? -EADDRINUSE : r;
}

/*
 * The socket listens before it gets its name: whoever sees the file can connect to it, and of two
 * servers that start at once one fails. (Not if both find the same file of a dead one: the second
 * to replace it may then replace the first's.)
 */
static int listen_place(const struct place *place)
{
	int fd = vfui_os_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
	struct sockaddr_un made = place->addr;
	size_t len = strlen(made.sun_path);
	int r;

	if (fd < 0)
		return fd;
	snprintf(made.sun_path + len, sizeof(made.sun_path) - len, ".%d.%d", (int)vfui_os_getpid(),
		 fd);
	r = vfui_os_bind(fd, (const struct sockaddr *)&made, sizeof(made));
	if (r == 0) {
		r = vfui_os_listen(fd, 16);
		if (r == 0)
			r = link_place(made.sun_path, place);
		vfui_os_unlink(made.sun_path);
	}
	if (r < 0) {
		vfui_os_close(fd);
		return r;
	}
	return fd;
}

int vfui_sock_listen(const char *address, struct vfui_sock_file *file, struct vfu_err *err)
{
	const char *path = path_of(address);
	struct place place;
	int fd = place_init(&place, address, err);

	*file = (struct vfui_sock_file){0};
	if (fd < 0)
		return fd;
	fd = listen_place(&place);
	place_fini(&place);
	if (fd < 0)
		return vfui_err_set(err, fd, NULL, 0, "cannot listen at %s: %s", path,
				    strerror(-fd));
	file->path = vfui_os_strdup(path);
	if (file->path == NULL) {
		vfui_os_unlink(path);
		vfui_os_close(fd);
		return vfui_err_set(err, -ENOMEM, NULL, 0, "out of memory");
	}
	file->fd = vfui_os_open_path(path);
	return fd;
}

void vfui_sock_forget(struct vfui_sock_file *file)
{
	if (file->path == NULL)
		return;
	vfui_os_close(file->fd);
	vfui_os_free(file->path);
	file->path = NULL;
}

void vfui_sock_remove(struct vfui_sock_file *file)
{
	struct stat ours, there;

	if (file->path == NULL)
		return;
	if (vfui_os_fstat(file->fd, &ours) == 0 && vfui_os_lstat(file->path, &there) == 0 &&
	    ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
		vfui_os_unlink(file->path);
	vfui_sock_forget(file);
}

int vfui_sock_accept(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	int r;

	/*
	 * An inherited listener may be a blocking one, and its flags are not ours alone to change.
	 */
	r = vfui_os_poll(&pfd, 1, 0);
	if (r <= 0)
		return r == 0 || r == -EINTR ? -EAGAIN : r;
	r = vfui_os_accept(fd);
	return r == -EINTR || r == -ECONNABORTED ? -EAGAIN : r;
}

int vfui_sock_kind(int fd)
{
	int type = 0, listening = 0;
	socklen_t len = sizeof(type);
	int r = vfui_os_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);

	if (r < 0)
		return r;
	if (type != SOCK_STREAM)
		return -EPROTOTYPE;
	len = sizeof(listening);
	r = vfui_os_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
	if (r < 0)
		return r;
	return listening != 0 ? VFUI_SOCK_LISTENER : VFUI_SOCK_CONNECTED;
}

/* Control data for as many descriptors as a message may carry. */
union control {
	struct cmsghdr align;
	char data[CMSG_SPACE(sizeof(int) * VFUI_FDS_MAX)];
};

static void collect_fds(struct msghdr *msg, struct vfui_fds *fds)
{
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		const int *fd = (const int *)(const void *)CMSG_DATA(cmsg);
		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			if (fds->n < VFUI_FDS_MAX)
				fds->fd[fds->n++] = fd[i];
			else
				vfui_os_close(fd[i]);
		}
	}
}

/* Memory that the system could not use, as its file was cut: what comes in its place, it can. */
VFUI_APART static ssize_t receive_again(int fd, struct msghdr *msg, size_t room, int flags)
{
	if (!vfui_watch_touch(msg->msg_iov, (unsigned)msg->msg_iovlen, true))
		return -EFAULT;
	msg->msg_controllen = room;
	return vfui_os_recvmsg(fd, msg, flags);
}

VFUI_APART static ssize_t send_again(int fd, const struct msghdr *msg, int flags)
{
	if (!vfui_watch_touch(msg->msg_iov, (unsigned)msg->msg_iovlen, false))
		return -EFAULT;
	return vfui_os_sendmsg(fd, msg, flags);
}

ssize_t vfui_sock_recv(int fd, const struct iovec *iov, unsigned niov, struct vfui_fds *fds,
		       enum vfui_sock_wait wait)
{
	static const int flags[] = {[VFUI_SOCK_NOW] = MSG_DONTWAIT,
				    [VFUI_SOCK_SOME] = 0,
				    [VFUI_SOCK_ALL] = MSG_WAITALL};
	union control control;
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
			     .msg_iovlen = niov,
			     .msg_control = control.data,
			     .msg_controllen = sizeof(control.data)};
	ssize_t n = vfui_os_recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | flags[wait]);

	fds->n = 0;
	if (n == -EFAULT)
		n = receive_again(fd, &msg, sizeof(control.data), MSG_CMSG_CLOEXEC | flags[wait]);
	if (n < 0)
		return n;
	if (msg.msg_controllen > 0)
		collect_fds(&msg, fds);
	if ((msg.msg_flags & MSG_CTRUNC) != 0) {
		vfui_fds_close(fds);
		return -EBADMSG;
	}
	return n;
}

ssize_t vfui_sock_send(int fd, const struct iovec *iov, unsigned niov, const int *fds,
		       unsigned nfds)
{
	union control control;
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = niov};
	ssize_t n;

	if (nfds > VFUI_FDS_MAX)
		return -EMSGSIZE;
	if (nfds > 0) {
		struct cmsghdr *cmsg = &control.align;

		memset(&control, 0, CMSG_SPACE(sizeof(int) * nfds));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
		msg.msg_control = control.data;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
	}
	n = vfui_os_sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n == -EFAULT ? send_again(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) : n;
}

int vfui_sock_set_timeout(int fd, unsigned timeout_ms)
{
	return set_timeout(fd, SO_RCVTIMEO, timeout_ms);
}

void vfui_sock_shutdown(int fd)
{
	vfui_os_shutdown(fd);
}

/* After the shutdown no more comes in, so this ends. Descriptors that came along are closed. */
static void drop_unread(int fd)
{
	char buf[4096];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	while (vfui_os_recvmsg(fd, &msg, MSG_DONTWAIT) > 0)
		;
}

void vfui_sock_end(int fd)
{
	if (fd < 0)
		return;
	vfui_os_shutdown(fd);
	drop_unread(fd);
	vfui_os_close(fd);
}
