/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * connection.c - start and end of a connection.
 *
 *	IDLE -- begin: the device is asked (accept) --> GREETING -- VERSION (greet.c) --> UP
 *	  ^          no: the socket is closed              |                               |
 *	  |                                                | the socket, a fault, the      |
 *	  |                                                v owner ends the connection     v
 *	  +-- finish <-- the gate agrees, or was never asked <-- ENDING: cause kept, handles dead,
 *	                                                          what was held back is dropped
 *
 * Who calls: listener.c and vfu_server_attach begin; run.c ends, once the connection has a status; it comes again as long as
 * the state is ENDING, for the gate may be open, by a request's question or by this one. Whatever the device says to that
 * one, finish goes on: DMA first, whose hooks may still use memory, then what a disconnect resets, eventfds, and the connection
 * last. A client that never was UP has changed nothing, so nothing is undone for it, nor is the device asked.
 *
 * Requests that the device still holds keep the session alive, not the connection: to answer one is -ENOTCONN. Other threads
 * use srv->conn under conn_lock alone. vfui_server_end_now is for the server's own end, and waits for nobody: an open gate is cancelled.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "server/connection.h"
#include "server/greet.h"
#include "server/held.h"
#include "server/order.h"
#include "server/watch.h"

static void set_conn(struct vfu_server *srv, struct vfui_conn *conn)
{
	vfui_os_lock(&srv->conn_lock);
	srv->conn = conn;
	srv->is_agreed = false;
	vfui_os_unlock(&srv->conn_lock);
}

/* What waits for DMA in a callback is to end. */
static int is_interrupted(void *ctx)
{
	struct vfu_server *srv = ctx;

	return (srv->is_running && atomic_load(&srv->stop)) ||
	       (srv->interrupt && srv->interrupt(srv->interrupt_user));
}

/* A write that is arriving in it counts as one that came before. */
static void forget_memory(void *ctx, const void *memory, size_t len)
{
	vfui_conn_drop_sink(ctx, memory, len);
}

static int open_conn(struct vfu_server *srv, int fd)
{
	static const struct vfui_conn_ops ops = {.command = vfui_server_command,
						 .knows = vfui_server_knows,
						 .sink = vfui_server_sink,
						 .stranger = vfui_server_stranger,
						 .stay = vfui_server_stay};
	struct vfui_conn_options options;
	struct vfui_conn *conn;

	vfui_account_limit(srv->account, srv->options.values[VFU_OPT_QUEUE_BYTES]);
	vfui_conn_options_init(&options);
	options.policy = srv->policy;
	options.set = srv->options;
	options.log = srv->dev->log;
	options.stats = &srv->stats;
	options.wake_fd = srv->wake_fd;
	options.interrupt = is_interrupted;
	options.interrupt_user = srv;
	conn = vfui_conn_new(fd, true, &options, &ops, srv);
	if (conn)
		srv->session = vfui_session_new(conn, srv->account, vfui_server_wake, srv);
	if (!srv->session) {
		vfui_conn_free(conn);
		return vfui_err_set(&srv->err, -ENOMEM, NULL, 0, "no memory for a connection");
	}
	set_conn(srv, conn);
	srv->dev->regions.on_gone = forget_memory;
	srv->dev->regions.ctx = conn;
	return 0;
}

/* Whether the device takes this client: 0 or negative errno. */
static int ask(struct vfu_server *srv, const struct vfu_peer *peer)
{
	bool was_processing = srv->is_processing;
	char reason[128];
	int rc;

	srv->is_asking = srv->is_processing = true;
	rc = vfui_device_accept(srv->dev, peer, reason, sizeof(reason));
	srv->is_asking = false;
	srv->is_processing = was_processing;
	if (rc < 0) {
		vfui_log(&srv->dev->log, VFU_LOG_WARN,
			 "client refused: process %d of user %u, group %u: %s", (int)peer->pid,
			 (unsigned)peer->uid, (unsigned)peer->gid, reason);
		vfui_err_set(&srv->err, rc, NULL, 0, "the device refuses the client: %s", reason);
	}
	return !rc && srv->is_given_up ? -ECANCELED : rc;
}

/* Whether a client may have the device now. */
static int admit(struct vfu_server *srv, const struct vfu_peer *peer)
{
	if (srv->state != VFUI_SERVER_IDLE || srv->is_asking)
		return vfui_err_set(&srv->err, -EBUSY, NULL, 0, "there is a client");
	return srv->is_given_up ? -ECANCELED : ask(srv, peer);
}

int vfui_server_begin(struct vfu_server *srv, int fd)
{
	struct vfu_peer peer = vfui_sock_peer(fd);
	int rc = admit(srv, &peer);

	if (rc < 0) {
		vfui_sock_end(fd);
		return rc;
	}
	rc = open_conn(srv, fd);
	if (rc < 0)
		return rc;
	vfui_device_set_peer(srv->dev, &peer);
	srv->state = VFUI_SERVER_GREETING;
	srv->greet_by = VFUI_NEVER;
	if (srv->options.values[VFU_OPT_TIMEOUT_MS])
		srv->greet_by = vfui_os_now() + srv->options.values[VFU_OPT_TIMEOUT_MS] * VFUI_MS;
	srv->was_up = false;
	srv->owner = pthread_self();
	vfui_server_sync_epoll(srv, false);
	vfui_log(&srv->dev->log, VFU_LOG_INFO, "client connected: process %d of user %u, group %u",
		 (int)peer.pid, (unsigned)peer.uid, (unsigned)peer.gid);
	return 0;
}

void vfui_server_hang_up(struct vfu_server *srv)
{
	struct vfu_err err;

	vfui_err_set(&err, -ECONNABORTED, NULL, 0, "disconnected by this side");
	vfui_conn_fail(srv->conn, &err);
}

/* What is left of a connection once the device has agreed; a refusal makes no difference. */
static void finish(void *ctx, int status)
{
	struct vfu_server *srv = ctx;
	struct vfu_device *dev = srv->dev;
	struct vfui_conn *conn = srv->conn;

	(void)status;
	if (srv->was_up) {
		vfui_dma_disconnect(&dev->dma);
		if (srv->policy.disconnect == VFUI_DISCONNECT_RESET)
			vfui_device_reset(dev);
		vfui_device_drop_eventfds(dev);
		vfui_account_set_eventfds(srv->account, 0);
		vfui_pci_disconnect(&dev->pci);
	}
	vfui_server_sync_epoll(srv, true);
	dev->regions.on_gone = NULL;
	set_conn(srv, NULL);
	vfui_conn_free(conn);
	vfui_session_unref(srv->session);
	srv->session = NULL;
	srv->state = VFUI_SERVER_IDLE;
	if (srv->was_up && dev->hooks.disconnected)
		dev->hooks.disconnected(dev->hooks_user);
	/* Which may have taken the next one. */
	if (srv->state == VFUI_SERVER_IDLE)
		vfui_device_set_peer(dev, NULL);
	srv->was_up = false;
	vfui_log_flush(&dev->log, false);
	vfui_server_sync_epoll(srv, false);
}

/* How the connection ended, for threads that ask. */
static void keep_ended(struct vfu_server *srv)
{
	int rc = vfui_conn_status(srv->conn, &srv->err);

	vfui_os_lock(&srv->conn_lock);
	srv->ended = srv->err;
	if (rc == -ENOTCONN || rc == -ECONNABORTED)
		srv->ended.code = 0;
	vfui_os_unlock(&srv->conn_lock);
}

void vfui_server_end(struct vfu_server *srv)
{
	int rc;

	if (!srv->conn)
		return;
	if (srv->state != VFUI_SERVER_ENDING) {
		srv->state = VFUI_SERVER_ENDING;
		keep_ended(srv);
		vfui_log(&srv->dev->log, srv->ended.code ? VFU_LOG_WARN : VFU_LOG_INFO,
			 "connection ended: %s", srv->err.text);
		vfui_session_end(srv->session);
		vfui_server_drop_held(srv);
	}
	/* A question that is open is answered first: the device has but one gate. */
	if (srv->dev->gate.is_open)
		return;
	rc = srv->was_up ? vfui_device_ask(srv->dev, VFU_GATE_DISCONNECT, finish, srv) : 0;
	if (rc != VFU_LATER)
		finish(srv, rc);
}

void vfui_server_end_now(struct vfu_server *srv)
{
	if (!srv->conn)
		return;
	vfui_server_hang_up(srv);
	srv->is_processing = true;
	while (srv->conn) {
		vfui_server_end(srv);
		vfui_device_gate_cancel(srv->dev);
	}
	srv->is_processing = false;
}

int vfu_server_ended(struct vfu_server *srv, struct vfu_err *err)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return vfui_err_set(err, rc, NULL, 0, "this process is a child of the server's");
	vfui_os_lock(&srv->conn_lock);
	rc = srv->ended.code;
	if (err)
		*err = srv->ended;
	vfui_os_unlock(&srv->conn_lock);
	return rc;
}

int vfu_server_twin_fd(struct vfu_server *srv)
{
	return srv->conn ? vfui_conn_twin_fd(srv->conn) : -1;
}

int vfu_server_conn_fd(struct vfu_server *srv)
{
	return srv->conn ? vfui_conn_fd(srv->conn) : -1;
}
