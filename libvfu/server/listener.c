/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * listener.c - where clients come from, one at a time.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "server/connection.h"
#include "server/listener.h"
#include "server/watch.h"

/* Clients taken or turned away in one look at the listener. */
#define LOOK_MAX 16
/* How long the listener rests after a client could not be taken. */
#define REST_MS 1000

static int begin_listening(struct vfu_server *srv, int fd)
{
	srv->listen_fd = fd;
	vfui_os_set_cloexec(fd);
	vfui_server_sync_epoll(srv, false);
	return 0;
}

int vfu_server_listen(struct vfu_server *srv, const char *address)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	if (srv->listen_fd >= 0)
		return vfui_err_set(&srv->err, -EISCONN, NULL, 0, "the server listens already");
	vfui_err_clear(&srv->err);
	rc = vfui_sock_listen(address, (unsigned)srv->options.values[VFU_OPT_SOCKET_MODE],
			      &srv->file, &srv->err);
	if (rc < 0)
		return rc;
	vfui_log(&srv->dev->log, VFU_LOG_INFO, "listening at %s", srv->file.path);
	return begin_listening(srv, rc);
}

int vfu_server_listen_inherited(struct vfu_server *srv, int fd)
{
	int kind = vfui_server_check(srv);

	if (!kind)
		kind = vfui_sock_kind(fd);
	if (kind == VFUI_SOCK_CONNECTED)
		return vfu_server_attach(srv, fd);
	if (!kind || kind == VFUI_SOCK_LISTENER) {
		if (srv->listen_fd < 0)
			return begin_listening(srv, fd);
		kind = -EISCONN;
	}
	vfui_os_close(fd);
	return vfui_err_set(&srv->err, kind, NULL, 0, "descriptor %d: %s", fd, strerror(-kind));
}

/*
 * A client that comes after ours has closed its end is not the second, though we have yet to read
 * the end of what ours sent: it waits in the queue.
 */
static bool is_somebody_to_turn_away(struct vfu_server *srv)
{
	struct pollfd pfds[2] = {
		{.fd = srv->listen_fd, .events = POLLIN},
		{.fd = vfui_conn_fd(srv->conn), .events = POLLRDHUP},
	};

	return vfui_os_poll(pfds, 2, 0) > 0 && pfds[0].revents && !pfds[1].revents;
}

/*
 * A client that waits, or negative errno. With no descriptor left the listener stays readable, and would
 * keep the loop awake: it rests for a while.
 */
static int accept_client(struct vfu_server *srv)
{
	int fd = vfui_sock_accept(srv->listen_fd);

	if (fd >= 0 || fd == -EAGAIN) {
		srv->rest_until = 0;
		return fd;
	}
	if (!srv->rest_until)
		vfui_log(&srv->dev->log, VFU_LOG_WARN, "a client has to wait: %s", strerror(-fd));
	srv->rest_until = vfui_os_now() + REST_MS * VFUI_MS;
	return fd;
}

/* The one client has come. */
static void end_listening(struct vfu_server *srv)
{
	srv->is_done = false;
	vfui_server_stop_listening(srv);
	vfui_server_sync_epoll(srv, true); /* before the number may be another's */
	vfui_os_close(srv->listen_fd);
	srv->listen_fd = -1;
}

void vfui_server_look(struct vfu_server *srv)
{
	unsigned i;
	int fd;

	srv->unlooked = 0;
	if (srv->is_done)
		end_listening(srv);
	if (srv->listen_fd < 0 || vfui_os_now() < srv->rest_until)
		return;
	for (i = 0; i < LOOK_MAX && srv->state != VFUI_SERVER_ENDING; i++) {
		if (srv->conn && !is_somebody_to_turn_away(srv))
			return;
		fd = accept_client(srv);
		if (fd < 0)
			return;
		if (!srv->conn) {
			vfui_server_begin(srv, fd);
			continue;
		}
		vfui_log(&srv->dev->log, VFU_LOG_WARN, "second client turned away");
		vfui_sock_end(fd);
	}
}

void vfui_server_stop_listening(struct vfu_server *srv)
{
	unsigned i;
	int fd;

	/* Those who wait at a listener that was inherited wait for whoever has it next. */
	for (i = 0; srv->file.path && i < LOOK_MAX; i++) {
		fd = vfui_sock_accept(srv->listen_fd);
		if (fd < 0)
			break;
		vfui_sock_end(fd);
	}
	vfui_sock_remove(&srv->file);
}

int vfu_server_listen_fd(struct vfu_server *srv)
{
	return srv->listen_fd;
}
