/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.c - the public functions of a server; listener, start and end of connections.
 */
#include <errno.h>
#include <string.h>

#include "transport/negotiate.h"
#include "base/os.h"
#include "server/handle.h"

/* Clients taken or turned away in one look at the listener. */
#define LOOK_MAX 16

/* ---- life and settings ---- */

/* What of the policy the device itself looks at. */
static void tell_policy(const struct vfu_server *srv)
{
	vfui_pci_set_bus_master_matters(&srv->dev->pci,
					srv->policy.bus_master == VFUI_BUS_MASTER_ENFORCE);
}

int vfui_server_check(const struct vfu_server *srv)
{
	return *srv->fork_mark ? 0 : -EOWNERDEAD;
}

static void release(struct vfu_server *srv)
{
	unsigned i;

	for (i = 0; i < VFUI_ARRAY_SIZE(srv->scratch); i++)
		vfui_os_free(srv->scratch[i].data);
	if (srv->fork_mark)
		vfui_os_fork_mark_free(srv->fork_mark);
	vfui_os_close(srv->wake_fd);
	vfui_os_close(srv->epoll_fd);
	vfui_os_close(srv->listen_fd);
	vfui_os_mutex_fini(&srv->conn_lock);
	vfui_os_free(srv);
}

struct vfu_server *vfu_server_new(struct vfu_device *dev)
{
	struct vfui_device_server link = {.wait = vfui_server_wait, .wake = vfui_server_wake};
	struct vfu_server *srv = vfui_os_calloc(1, sizeof(*srv));

	if (!srv || vfui_os_mutex_init(&srv->conn_lock) < 0) {
		vfui_os_free(srv);
		errno = ENOMEM;
		return NULL;
	}
	srv->dev = dev;
	srv->listen_fd = srv->epoll_fd = -1;
	srv->owner = pthread_self();
	vfui_list_init(&srv->held);
	vfui_options_init(srv->values);
	vfui_policy_profile(&srv->policy, "default");
	srv->fork_mark = vfui_os_fork_mark_new();
	srv->wake_fd = vfui_os_eventfd();
	if (!srv->fork_mark || srv->wake_fd < 0) {
		release(srv);
		errno = ENOMEM;
		return NULL;
	}
	link.ctx = srv;
	if (vfui_device_set_server(dev, &link) < 0) {
		release(srv);
		errno = EBUSY;
		return NULL;
	}
	tell_policy(srv);
	return srv;
}

static void hang_up(struct vfu_server *srv)
{
	struct vfu_err err;

	vfui_err_set(&err, -ECONNABORTED, NULL, 0, "disconnected by this side");
	vfui_conn_flush(srv->conn);
	vfui_conn_fail(srv->conn, &err);
}

/* The gate is asked, but not waited for. */
static void end_now(struct vfu_server *srv)
{
	if (!srv->conn)
		return;
	hang_up(srv);
	srv->is_processing = true;
	while (srv->conn) {
		vfui_server_end(srv);
		vfui_device_gate_cancel(srv->dev);
	}
	srv->is_processing = false;
}

void vfu_server_free(struct vfu_server *srv)
{
	if (!srv)
		return;
	if (!vfui_server_check(srv)) {
		end_now(srv);
		vfui_sock_remove(&srv->file);
		vfui_device_set_server(srv->dev, NULL);
	} else {
		/* After fork(): locks may be held by threads that are not here, the socket file is the parent's. */
		vfui_conn_free(srv->conn);
		vfui_session_abandon(srv->session);
		vfui_server_drop_held(srv);
		memset(&srv->dev->server, 0, sizeof(srv->dev->server));
	}
	vfui_os_free(srv->file.path);
	release(srv);
}

int vfu_server_set(struct vfu_server *srv, enum vfu_option option, uint64_t value)
{
	int rc = vfui_options_set(srv->values, option, value);

	if (rc < 0)
		return vfui_err_set(&srv->err, rc, NULL, 0, "option %d can not be %llu",
				    (int)option, (unsigned long long)value);
	vfui_err_clear(&srv->err);
	return 0;
}

static int policy_changed(struct vfu_server *srv, int rc, const char *field, const char *choice)
{
	if (rc < 0)
		return vfui_err_set(&srv->err, rc, NULL, 0, "no %s %s%s%s",
				    choice ? "policy" : "profile", field, choice ? " = " : "",
				    choice ? choice : "");
	vfui_err_clear(&srv->err);
	tell_policy(srv);
	return 0;
}

int vfu_server_set_policy(struct vfu_server *srv, const char *field, const char *choice)
{
	return policy_changed(srv, vfui_policy_set(&srv->policy, field, choice), field, choice);
}

int vfu_server_set_profile(struct vfu_server *srv, const char *profile)
{
	return policy_changed(srv, vfui_policy_profile(&srv->policy, profile), profile, NULL);
}

void vfu_server_err(struct vfu_server *srv, struct vfu_err *err)
{
	*err = srv->err;
}

void vfu_server_stats(struct vfu_server *srv, struct vfu_stats *out)
{
	if (vfui_server_check(srv) < 0) {
		memset(out, 0, sizeof(*out));
		return;
	}
	vfui_os_lock(&srv->conn_lock);
	if (srv->conn)
		vfui_conn_stats(srv->conn, out);
	else
		*out = srv->stats;
	vfui_os_unlock(&srv->conn_lock);
}

void vfu_server_set_interruptible(struct vfu_server *srv, bool on)
{
	srv->interruptible = on;
}

/* ---- the listener ---- */

static int begin_listening(struct vfu_server *srv, int fd)
{
	srv->listen_fd = fd;
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
	rc = vfui_sock_listen(address, &srv->file, &srv->err);
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

void vfui_server_look(struct vfu_server *srv)
{
	unsigned i;
	int fd;

	srv->unlooked = 0;
	if (srv->listen_fd < 0)
		return;
	for (i = 0; i < LOOK_MAX && srv->state != VFUI_SERVER_ENDING; i++) {
		if (srv->conn && !is_somebody_to_turn_away(srv))
			return;
		fd = vfui_sock_accept(srv->listen_fd);
		if (fd < 0)
			return;
		if (!srv->conn) {
			vfu_server_attach(srv, fd);
			continue;
		}
		vfui_log(&srv->dev->log, VFU_LOG_WARN, "second client turned away");
		vfui_os_close(fd);
	}
}

/* ---- connections ---- */

static void set_conn(struct vfu_server *srv, struct vfui_conn *conn)
{
	vfui_os_lock(&srv->conn_lock);
	srv->conn = conn;
	vfui_os_unlock(&srv->conn_lock);
}

static int open_conn(struct vfu_server *srv, int fd)
{
	static const struct vfui_conn_ops ops = {.command = vfui_server_command,
						 .stay = vfui_server_stay};
	struct vfui_conn_options options;
	struct vfui_conn *conn;

	vfui_conn_options_init(&options);
	options.policy = srv->policy;
	memcpy(options.values, srv->values, sizeof(options.values));
	options.log = srv->dev->log;
	options.stats = &srv->stats;
	options.wake_fd = srv->wake_fd;
	conn = vfui_conn_new(fd, true, &options, &ops, srv);
	if (conn)
		srv->session = vfui_session_new(conn, vfui_server_wake, srv);
	if (!srv->session) {
		vfui_conn_free(conn);
		return vfui_err_set(&srv->err, -ENOMEM, NULL, 0, "no memory for a connection");
	}
	set_conn(srv, conn);
	return 0;
}

int vfu_server_attach(struct vfu_server *srv, int fd)
{
	int rc = vfui_server_check(srv);

	if (!rc && srv->state != VFUI_SERVER_IDLE)
		rc = vfui_err_set(&srv->err, -EBUSY, NULL, 0, "there is a client");
	if (rc < 0) {
		vfui_os_close(fd);
		return rc;
	}
	rc = open_conn(srv, fd);
	if (rc < 0)
		return rc;
	srv->state = VFUI_SERVER_GREETING;
	srv->greet_by = VFUI_NEVER;
	if (srv->values[VFU_OPT_TIMEOUT_MS])
		srv->greet_by = vfui_os_now() + srv->values[VFU_OPT_TIMEOUT_MS] * VFUI_MS;
	srv->was_up = false;
	srv->owner = pthread_self();
	vfui_server_sync_epoll(srv, false);
	vfui_log(&srv->dev->log, VFU_LOG_INFO, "client connected");
	return 0;
}

static int connect_dma(struct vfu_server *srv)
{
	const struct vfui_limits *own = vfui_conn_limits(srv->conn);
	const struct vfui_dma_limits limits = {
		.max_maps = own->max_dma_maps,
		.max_xfer = vfui_conn_peer_limits(srv->conn)->max_data_xfer_size,
		.window = srv->values[VFU_OPT_DMA_WINDOW],
		.read_bytes = srv->values[VFU_OPT_DMA_READ_BYTES],
		.pgsize = own->pgsize,
	};

	return vfui_dma_connect(&srv->dev->dma, srv->conn, &limits);
}

void vfui_server_greet(struct vfu_server *srv, struct vfui_msg *msg)
{
	struct vfui_caps own, agreed;
	struct vfu_err err;
	uint16_t minor;
	int rc;

	err.code = 0;
	vfui_negotiate_offer(srv->values, &own);
	rc = vfui_negotiate_server(srv->conn, msg, &own, &agreed, &minor, &err);
	if (!rc)
		rc = connect_dma(srv);
	if (rc < 0) {
		if (!err.code)
			vfui_err_set(&err, rc, NULL, 0, "VERSION: %s", strerror(-rc));
		vfui_conn_flush(srv->conn);
		vfui_conn_fail(srv->conn, &err);
		return;
	}
	srv->state = VFUI_SERVER_UP;
	srv->was_up = true;
	vfui_log(&srv->dev->log, VFU_LOG_INFO, "version 0.%u agreed", minor);
	if (srv->dev->hooks.connected)
		srv->dev->hooks.connected(srv->dev->hooks_user);
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
		vfui_irqs_disconnect(&dev->irqs);
	}
	vfui_server_sync_epoll(srv, true);
	set_conn(srv, NULL);
	vfui_conn_free(conn);
	vfui_session_unref(srv->session);
	srv->session = NULL;
	srv->state = VFUI_SERVER_IDLE;
	if (srv->was_up && dev->hooks.disconnected)
		dev->hooks.disconnected(dev->hooks_user);
	srv->was_up = false;
	vfui_server_sync_epoll(srv, false);
}

void vfui_server_end(struct vfu_server *srv)
{
	bool is_usual;
	int rc;

	if (!srv->conn)
		return;
	if (srv->state != VFUI_SERVER_ENDING) {
		srv->state = VFUI_SERVER_ENDING;
		rc = vfui_conn_status(srv->conn, &srv->err);
		is_usual = rc == -ENOTCONN || rc == -ECONNABORTED;
		vfui_log(&srv->dev->log, is_usual ? VFU_LOG_INFO : VFU_LOG_WARN,
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

void vfu_server_disconnect(struct vfu_server *srv)
{
	if (vfui_server_check(srv) < 0)
		return;
	vfui_os_lock(&srv->conn_lock);
	if (srv->conn)
		hang_up(srv);
	vfui_os_unlock(&srv->conn_lock);
	/* Inside a callback the connection is still needed: who called it, or the owner, ends it. */
	if (!pthread_equal(srv->owner, pthread_self()) || srv->is_processing || srv->waits)
		return;
	srv->is_processing = true;
	vfui_server_end(srv);
	srv->is_processing = false;
}

int vfu_server_listen_fd(struct vfu_server *srv)
{
	return srv->listen_fd;
}

int vfu_server_conn_fd(struct vfu_server *srv)
{
	return srv->conn ? vfui_conn_fd(srv->conn) : -1;
}
