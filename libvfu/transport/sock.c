/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * sock.c - the only place that knows sockets and addresses.
 *
 *	listen at PATH                                   connect to PATH
 *	  bind    to a name of its own, PATH.vfu.PID...    place_of  the path, or a descriptor of a long one
 *	  chmod   nobody can connect yet                   connect   again and again, while the queue of the
 *	  listen                                                     server is full: no poll tells of room there
 *	  link    to PATH, if that is free  --> taken:
 *	          left behind? lock, try, unlink, link     recv, send, shutdown, end: of connections, either role
 *	  unlink  the name of its own
 *
 * So a file at PATH can be connected to from its first moment, by those who may, and of two servers that start at once one gets
 * it; whoever ends removes only the file that it made. The server's listener and the client's connect come here for
 * sockets; the channels for bytes, a message and its descriptors at a time.
 *
 * Sockets are left as blocking as they came, for some are inherited and their flags others' too: each call says whether it waits.
 * What a receive brings of descriptors is close-on-exec, and in *fds or closed, on every path. No call raises SIGPIPE.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/os.h"
#include "base/util.h"
#include "transport/sock.h"

/* How long one attempt to connect waits before it is asked whether to go on. */
#define TICK_MS 100
#define TICK_NS (TICK_MS * (int64_t)VFUI_MS)

/* A path as bind() and connect() take it. fd: open while the address refers to it, or -1. */
struct place {
	struct sockaddr_un addr;
	int fd;
};

/* How much of a path is in a message, so that there is room for what is the matter. */
#define NAME_SHOWN 110

/* How much of a name is in that of its lock: all names have room for the rest. */
#define LOCK_NAME 200

/* Who has connected and waits to be accepted; the kernel lets one more. */
#define BACKLOG_MAX 16

/* Names that are tried for a socket that has none yet. */
#define NAMES 16

static const char *path_of(const char *address)
{
	static const char prefix[] = "unix:";

	if (strncmp(address, prefix, sizeof(prefix) - 1) == 0)
		return address + sizeof(prefix) - 1;
	return address;
}

/* The first len bytes of path, and something behind them; to be freed. NULL: no memory. */
static char *path_with(const char *path, size_t len, const char *suffix)
{
	size_t size = strlen(suffix) + 1;
	char *both = vfui_os_malloc(len + size);

	if (both != NULL) {
		memcpy(both, path, len);
		memcpy(both + len, suffix, size);
	}
	return both;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Where a socket file is. A path that does not fit an address is reached through a descriptor. */
static int place_of(struct place *place, const char *path)
{
	size_t len = strlen(path);

	*place = (struct place){.addr.sun_family = AF_UNIX, .fd = -1};
	if (len < sizeof(place->addr.sun_path)) {
		memcpy(place->addr.sun_path, path, len);
		return 0;
	}
	place->fd = vfui_os_open_path(path, true);
	if (place->fd < 0)
		return place->fd;
	snprintf(place->addr.sun_path, sizeof(place->addr.sun_path), "/proc/self/fd/%d", place->fd);
	return 0;
}

/*
 * The nth name beside path for a socket that has none yet; it is what tools show of it, so it begins with
 * path where there is room.
 */
static int place_beside(struct place *place, const char *path, int id, unsigned nth)
{
	const char *name = strrchr(path, '/');
	size_t dir = name != NULL ? (size_t)(name - path) + 1 : 0;
	char *to = place->addr.sun_path;
	char *long_dir, suffix[40];

	*place = (struct place){.addr.sun_family = AF_UNIX, .fd = -1};
	snprintf(suffix, sizeof(suffix), ".vfu.%d.%d.%u", (int)vfui_os_getpid(), id, nth);
	if (strlen(path) + sizeof(suffix) <= sizeof(place->addr.sun_path)) {
		strcpy(to, path);
	} else if (dir + sizeof(suffix) <= sizeof(place->addr.sun_path)) {
		memcpy(to, path, dir);
	} else {
		long_dir = path_with(path, dir, "");
		if (long_dir == NULL)
			return -ENOMEM;
		place->fd = vfui_os_open_dir(long_dir);
		vfui_os_free(long_dir);
		if (place->fd < 0)
			return place->fd;
		snprintf(to, sizeof(place->addr.sun_path), "/proc/self/fd/%d/", place->fd);
	}
	strcat(to, suffix);
	return 0;
}

static void place_fini(struct place *place)
{
	vfui_os_close(place->fd);
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
	r = vfui_os_connect(fd, (const struct sockaddr *)&place->addr, sizeof(place->addr));
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

/* Says that what was to be done at path, which was not, failed: r. */
static int failed(struct vfu_err *err, int r, const char *what, const char *path)
{
	bool is_long = strlen(path) > NAME_SHOWN;

	return vfui_err_set(err, r, NULL, 0, "cannot %s %.*s%s: %s", what, NAME_SHOWN, path,
			    is_long ? "..." : "", strerror(-r));
}

int vfui_sock_connect(const char *address, unsigned timeout_ms, int (*why_stop)(void *ctx),
		      void *ctx, struct vfu_err *err)
{
	const char *path = path_of(address);
	struct place place;
	int fd;

	if (path[0] == '\0')
		return vfui_err_set(err, -EINVAL, NULL, 0, "the socket address is empty");
	fd = place_of(&place, path);
	if (fd == 0) {
		fd = connect_place(&place, timeout_ms, why_stop, ctx);
		place_fini(&place);
	}
	return fd < 0 ? failed(err, fd, "connect to", path) : fd;
}

/* ---- listening ---- */

/* Whether somebody listens at path: 0 if so, -ECONNREFUSED if its file was left behind. */
static int probe(const char *path)
{
	struct place place;
	int r = place_of(&place, path);

	if (r < 0)
		return r;
	r = try_connect(&place, 1);
	place_fini(&place);
	vfui_os_close(r);
	return r < 0 ? r : 0;
}

/*
 * Who may replace the file at path: one at a time, who holds a lock on a file beside it. That file is
 * removed by its holder, so one that was locked too late may not be there any more; it is left behind
 * only by a process that was killed just then, and used by the next.
 */
static int lock_beside(const char *path, char **name)
{
	const char *last = strrchr(path, '/');
	size_t dir = last != NULL ? (size_t)(last - path) + 1 : 0;
	struct stat ours, there;
	int fd, r = 0;

	/* Of two names that differ only in their ends one waits for the other without need. */
	*name = path_with(path, dir + vfui_min(strlen(path + dir), LOCK_NAME), ".lock");
	if (*name == NULL)
		return -ENOMEM;
	fd = vfui_os_open_lock(*name);
	if (fd < 0)
		r = fd;
	else if (vfui_os_try_lock(fd) < 0 || vfui_os_fstat(fd, &ours) < 0 ||
		 vfui_os_lstat(*name, &there) < 0 || !is_same(&ours, &there))
		r = -EADDRINUSE;
	if (r < 0) {
		vfui_os_close(fd);
		vfui_os_free(*name);
	}
	return r < 0 ? r : fd;
}

static void unlock_beside(int fd, char *name)
{
	vfui_os_unlink(name);
	vfui_os_close(fd);
	vfui_os_free(name);
}

/* Puts a socket file that was made elsewhere in the place of one that a dead server left behind. */
static int replace(const char *made, const char *path)
{
	struct stat st;
	char *name;
	int lock, r;

	if (vfui_os_lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	lock = lock_beside(path, &name);
	if (lock < 0)
		return lock;
	r = probe(path);
	if (r == -ECONNREFUSED)
		r = vfui_os_unlink(path);
	else if (r != -ENOENT)
		r = -EADDRINUSE;
	if (r == 0 || r == -ENOENT)
		r = vfui_os_link(made, path);
	unlock_beside(lock, name);
	return r == -EEXIST ? -EADDRINUSE : r;
}

/* Binds fd to a name of its own beside path. */
static int bind_beside(int fd, const char *path, struct place *place)
{
	int r = -EADDRINUSE;

	/* What has such a name already was left behind, or is of another container. */
	for (unsigned i = 0; i < NAMES && r == -EADDRINUSE; i++) {
		r = place_beside(place, path, fd, i);
		if (r < 0)
			return r;
		r = vfui_os_bind(fd, (const struct sockaddr *)&place->addr, sizeof(place->addr));
		if (r < 0)
			place_fini(place);
	}
	return r;
}

/*
 * Of the very file that was made, whatever has its name by now. It has those of the socket, but for what the umask
 * takes; to give it that too needs a name in /proc, for it is open as a place alone.
 */
static int set_mode(const struct vfui_sock_file *file, unsigned mode)
{
	char name[32];
	struct stat st;
	int r = mode != 0 ? vfui_os_fstat(file->fd, &st) : 0;

	if (r < 0 || mode == 0 || (st.st_mode & 0777) == mode)
		return r;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file->fd);
	r = vfui_os_chmod(name, mode);
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

/*
 * Bound to a name of its own, which has its permissions before it listens, then linked to the one that is
 * asked for, which exists already or does not: whoever sees the file can connect to it if he may, nobody
 * else ever could, and of servers that start at once one gets it.
 */
static int listen_at(int fd, unsigned mode, struct vfui_sock_file *file)
{
	const char *path = file->path;
	struct place place;
	int r = mode != 0 ? vfui_os_fchmod(fd, mode) : 0;

	if (r == 0)
		r = bind_beside(fd, path, &place);
	if (r < 0)
		return r;
	file->fd = vfui_os_open_path(place.addr.sun_path, false);
	r = file->fd < 0 ? file->fd : set_mode(file, mode);
	if (r == 0)
		r = vfui_os_listen(fd, BACKLOG_MAX);
	if (r == 0)
		r = vfui_os_link(place.addr.sun_path, path);
	if (r == -EEXIST)
		r = replace(place.addr.sun_path, path);
	vfui_os_unlink(place.addr.sun_path);
	place_fini(&place);
	return r;
}

int vfui_sock_listen(const char *address, unsigned mode, struct vfui_sock_file *file,
		     struct vfu_err *err)
{
	const char *path = path_of(address);
	int fd, r;

	*file = (struct vfui_sock_file){.fd = -1};
	if (path[0] == '\0')
		return vfui_err_set(err, -EINVAL, NULL, 0, "the socket address is empty");
	file->path = vfui_os_strdup(path);
	if (file->path == NULL)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "out of memory");
	fd = vfui_os_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
	r = fd < 0 ? fd : listen_at(fd, mode, file);
	if (r < 0) {
		vfui_os_close(fd);
		vfui_sock_forget(file);
		return failed(err, r, "listen at", path);
	}
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
	    is_same(&ours, &there))
		vfui_os_unlink(file->path);
	vfui_sock_forget(file);
}

int vfui_sock_accept(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	int r;

	/* An inherited listener may be a blocking one, and its flags are not ours alone to change. */
	r = vfui_os_poll(&pfd, 1, 0);
	if (r <= 0)
		return r == 0 || r == -EINTR ? -EAGAIN : r;
	r = vfui_os_accept(fd);
	return r == -EINTR || r == -ECONNABORTED ? -EAGAIN : r;
}

struct vfu_peer vfui_sock_peer(int fd)
{
	struct ucred cred = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	socklen_t len = sizeof(cred);

	if (vfui_os_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		cred = (struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1};
	return (struct vfu_peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
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

int vfui_sock_check_connected(int fd, struct vfu_err *err)
{
	int kind = vfui_sock_kind(fd);

	if (kind == VFUI_SOCK_CONNECTED)
		return 0;
	if (kind == VFUI_SOCK_LISTENER)
		return vfui_err_set(err, -EINVAL, NULL, 0, "descriptor %d: a socket that listens",
				    fd);
	return vfui_err_set(err, kind, NULL, 0, "descriptor %d: %s", fd, strerror(-kind));
}

/* ---- the second socket of a connection ---- */

int vfui_sock_pair(int fd[2])
{
	return vfui_os_socketpair(fd);
}

/*
 * Whether what is sent by main comes by fd. Each end knows the other's name, so main is given one that nobody has, if it has
 * none: its kernel chooses it.
 */
static bool is_other_end(int fd, int main)
{
	union {
		struct sockaddr any;
		struct sockaddr_un un;
	} ours = {.any = {.sa_family = AF_UNIX}}, its = {.any = {.sa_family = AF_UNIX}};
	socklen_t our_len = sizeof(ours), its_len = sizeof(its);

	vfui_os_bind(main, &ours.any, sizeof(ours.any.sa_family));
	return vfui_os_getsockname(main, &ours.any, &our_len) == 0 &&
	       vfui_os_getpeername(fd, &its.any, &its_len) == 0 &&
	       our_len > sizeof(ours.any.sa_family) && our_len == its_len &&
	       memcmp(&ours, &its, our_len) == 0;
}

const char *vfui_sock_why_no_twin(int fd, int main)
{
	struct pollfd pfd = {.fd = fd};
	struct stat its, mains;

	if (vfui_sock_kind(fd) != VFUI_SOCK_CONNECTED)
		return "is no connected stream socket";
	if (vfui_os_fstat(fd, &its) < 0 || vfui_os_fstat(main, &mains) < 0 || is_same(&its, &mains))
		return "is the socket that it came by";
	if (is_other_end(fd, main))
		return "is the other end of the socket that it came by";
	/* Nor one that never was connected: nothing would ever come by it, and nobody be told why. */
	if (vfui_os_poll(&pfd, 1, 0) != 0)
		return "has no other end";
	return NULL;
}

/* ---- bytes and descriptors ---- */

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

VFUI_APART static ssize_t send_list(int fd, const struct iovec *iov, unsigned niov, const int *fds,
				    unsigned nfds)
{
	union control control;
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = niov};

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
	return vfui_os_sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t vfui_sock_send(int fd, const struct iovec *iov, unsigned niov, const int *fds,
		       unsigned nfds)
{
	/* Of a short message it is a tenth less: the kernel has no lists to fetch. */
	if (niov == 1 && nfds == 0)
		return vfui_os_send(fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return send_list(fd, iov, niov, fds, nfds);
}

ssize_t vfui_sock_send_wait(int fd, const struct iovec *iov, unsigned niov)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = niov};

	return vfui_os_sendmsg(fd, &msg, MSG_NOSIGNAL);
}

int vfui_sock_set_timeout(int fd, unsigned timeout_ms)
{
	return set_timeout(fd, SO_RCVTIMEO, timeout_ms);
}

int vfui_sock_set_send_timeout(int fd, unsigned timeout_ms)
{
	return set_timeout(fd, SO_SNDTIMEO, timeout_ms);
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
