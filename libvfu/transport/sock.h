/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * sock.h - the only place that knows sockets and addresses.
 */
#ifndef VFUI_SOCK_H
#define VFUI_SOCK_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/fds.h"

/*
 * A socket file that we made: removed at the end only if it still is that file. It is held open,
 * else a file that took its place could have got its number.
 */
struct vfui_sock_file {
	char *path; /* NULL: none */
	int fd;
};

/* An address is "unix:PATH" or a path: any bytes, of any length that the file system takes. */

/*
 * Connected socket or -errno. If the server's queue is full it waits for timeout_ms (0: for ever,
 * else -ETIMEDOUT), or until why_stop (NULL: never), asked a few times a second and after signals,
 * says why not (a negative errno).
 */
int vfui_sock_connect(const char *address, unsigned timeout_ms, int (*why_stop)(void *ctx),
		      void *ctx, struct vfu_err *err);
/*
 * Listening socket or -errno. A socket file that nobody listens on is replaced (-EADDRINUSE if
 * somebody does, or is about to). mode: the file's permissions, 0: as the umask says. *file is filled for
 * vfui_sock_remove.
 */
int vfui_sock_listen(const char *address, unsigned mode, struct vfui_sock_file *file,
		     struct vfu_err *err);
void vfui_sock_remove(struct vfui_sock_file *file);
/* Leaves the file to another process. */
void vfui_sock_forget(struct vfui_sock_file *file);
/* Accepted socket; -EAGAIN: nobody waits. Never blocks. */
int vfui_sock_accept(int fd);

/* Who connected, or made the pair. */
struct vfu_peer vfui_sock_peer(int fd);

enum { VFUI_SOCK_CONNECTED, VFUI_SOCK_LISTENER };
/* What an inherited descriptor is; -ENOTSOCK, -EPROTOTYPE (not a stream). */
int vfui_sock_kind(int fd);
/* A connected stream: 0, else as vfui_sock_kind, or -EINVAL, and *err says of which descriptor. */
int vfui_sock_check_connected(int fd, struct vfu_err *err);

/* Two sockets that are connected with each other. 0 or -errno. */
int vfui_sock_pair(int fd[2]);
/* Why fd, from a peer, can not be a second socket beside fd main; NULL: it can. */
const char *vfui_sock_why_no_twin(int fd, int main);

/*
 * Receives bytes, and descriptors if some came with them (close-on-exec, fds->n of them, at most
 * VFUI_FDS_MAX). Waits for nothing, for some bytes, or for all that fit. 0: the peer closed.
 * -EAGAIN: nothing there, or the receive timeout is over. -EBADMSG: more descriptors came than
 * fit; all are closed.
 */
enum vfui_sock_wait { VFUI_SOCK_NOW, VFUI_SOCK_SOME, VFUI_SOCK_ALL };
ssize_t vfui_sock_recv(int fd, const struct iovec *iov, unsigned niov, struct vfui_fds *fds,
		       enum vfui_sock_wait wait);
/*
 * Sends bytes with nfds descriptors, which stay the caller's. Never blocks (-EAGAIN), raises no
 * signal.
 */
ssize_t vfui_sock_send(int fd, const struct iovec *iov, unsigned niov, const int *fds,
		       unsigned nfds);
/* Without descriptors. Sleeps until all is sent; less: the peer has not read, as long as the timeout for sends says. */
ssize_t vfui_sock_send_wait(int fd, const struct iovec *iov, unsigned niov);
/* How long a receive that waits does so, and a send that does, each time that it sleeps; 0: for ever. */
int vfui_sock_set_timeout(int fd, unsigned timeout_ms);
int vfui_sock_set_send_timeout(int fd, unsigned timeout_ms);
/* Ends both directions at once, for all who hold the socket. */
void vfui_sock_shutdown(int fd);
/*
 * Does that and closes it so that the peer sees an end and not an error: a socket that is closed with
 * something unread in it resets the peer's (-ECONNRESET), which some take for a reason to abort.
 */
void vfui_sock_end(int fd);

#endif
