/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.c - a server's life and settings.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "server/connection.h"
#include "server/handle.h"
#include "server/held.h"
#include "server/listener.h"
#include "server/order.h"
#include "server/watch.h"

/* What of the policy the device itself looks at. */
static void tell_policy(const struct vfu_server *srv)
{
	vfui_pci_set_policy(&srv->dev->pci, &srv->policy);
}

static void release(struct vfu_server *srv)
{
	unsigned i;

	for (i = 0; i < VFUI_ARRAY_SIZE(srv->scratch); i++)
		vfui_os_free(srv->scratch[i].data);
	vfui_account_unref(srv->account);
	vfui_os_close(srv->wake_fd);
	vfui_os_close(srv->epoll_fd);
	vfui_os_close(srv->listen_fd);
	vfui_os_mutex_fini(&srv->conn_lock);
	vfui_os_free(srv);
}

/* The owner may wait for DMA between rounds, too. */
static int wait_and_leave(void *ctx, bool (*ready)(void *arg), void *arg)
{
	int rc = vfui_server_wait(ctx, ready, arg);

	vfui_server_leave(ctx);
	return rc;
}

struct vfu_server *vfu_server_new(struct vfu_device *dev)
{
	struct vfui_device_server link = {.wait = wait_and_leave, .wake = vfui_server_wake};
	struct vfu_server *srv = vfui_os_calloc(1, sizeof(*srv));
	int rc;

	if (!srv || vfui_os_mutex_init(&srv->conn_lock) < 0) {
		vfui_os_free(srv);
		errno = ENOMEM;
		return NULL;
	}
	srv->dev = dev;
	srv->listen_fd = srv->epoll_fd = -1;
	srv->owner = pthread_self();
	vfui_list_init(&srv->held);
	vfui_options_init(&srv->options);
	vfui_options_set(&srv->options, VFU_OPT_TWIN_SOCKET, 1, NULL);
	vfui_policy_profile(&srv->policy, "default");
	srv->fork_mark = vfui_os_fork_mark();
	srv->wake_fd = vfui_os_eventfd();
	srv->account = vfui_account_new();
	if (!srv->fork_mark || !srv->account || srv->wake_fd < 0) {
		release(srv);
		errno = ENOMEM;
		return NULL;
	}
	link.ctx = srv;
	link.wake_fd = srv->wake_fd;
	rc = vfui_device_set_server(dev, &link);
	if (rc < 0) {
		release(srv);
		errno = -rc;
		return NULL;
	}
	tell_policy(srv);
	return srv;
}

/* ---- the end ---- */

/* A call that may run callbacks, or is one, is on the stack. */
static bool is_inside(const struct vfu_server *srv)
{
	return srv->is_processing || srv->is_running || srv->waits;
}

static void destroy(struct vfu_server *srv)
{
	vfui_server_end_now(srv);
	vfui_server_stop_listening(srv);
	vfui_device_set_server(srv->dev, NULL);
	release(srv);
}

/* After fork(): locks may be held by threads that are not here, the socket file is the parent's. */
static void abandon(struct vfu_server *srv)
{
	vfui_conn_free(srv->conn);
	vfui_session_abandon(srv->session);
	vfui_server_drop_held(srv);
	vfui_sock_forget(&srv->file);
	memset(&srv->dev->server, 0, sizeof(srv->dev->server));
	release(srv);
}

bool vfui_server_leave(struct vfu_server *srv)
{
	if (!srv->is_given_up || is_inside(srv))
		return false;
	destroy(srv);
	return true;
}

void vfu_server_free(struct vfu_server *srv)
{
	if (!srv)
		return;
	if (vfui_server_check(srv) < 0) {
		abandon(srv);
	} else if (is_inside(srv)) {
		/* Who called the callback still needs it. */
		srv->is_given_up = true;
		vfu_server_disconnect(srv);
		vfu_server_stop(srv);
	} else {
		destroy(srv);
	}
}

int vfu_server_attach(struct vfu_server *srv, int fd)
{
	int rc = vfui_server_check(srv);

	if (rc < 0) {
		vfui_os_close(fd); /* an end would be the parent's, too */
		return rc;
	}
	vfui_err_clear(&srv->err);
	rc = vfui_sock_check_connected(fd, &srv->err);
	if (rc < 0) {
		vfui_os_close(fd);
		return rc;
	}
	rc = vfui_server_begin(srv, fd);
	vfui_server_leave(srv);
	return rc;
}

void vfu_server_disconnect(struct vfu_server *srv)
{
	if (vfui_server_check(srv) < 0)
		return;
	vfui_os_lock(&srv->conn_lock);
	if (srv->conn)
		vfui_server_hang_up(srv);
	vfui_os_unlock(&srv->conn_lock);
	/* Inside a callback the connection is still needed: who called it, or the owner, ends it. */
	if (!pthread_equal(srv->owner, pthread_self()) || srv->is_processing || srv->waits)
		return;
	srv->is_processing = true;
	vfui_server_end(srv);
	srv->is_processing = false;
	vfui_server_leave(srv);
}

/* ---- settings ---- */

int vfu_server_set(struct vfu_server *srv, enum vfu_option option, uint64_t value)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	vfui_err_clear(&srv->err);
	return vfui_options_set(&srv->options, option, value, &srv->err);
}

int vfu_server_set_capability(struct vfu_server *srv, const char *name, uint64_t value)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	vfui_err_clear(&srv->err);
	return vfui_caps_choose(&srv->options.own, name, value, true, &srv->err);
}

static int set_policy(struct vfu_server *srv, const char *name, const char *choice)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	vfui_err_clear(&srv->err);
	rc = vfui_options_policy(&srv->policy, name, choice, &srv->err);
	if (!rc)
		tell_policy(srv);
	return rc;
}

int vfu_server_set_policy(struct vfu_server *srv, const char *field, const char *choice)
{
	return set_policy(srv, field, choice);
}

int vfu_server_set_profile(struct vfu_server *srv, const char *profile)
{
	return set_policy(srv, profile, NULL);
}

void vfu_server_err(struct vfu_server *srv, struct vfu_err *err)
{
	*err = srv->err;
}

/* The error is the owner's, and any thread may ask. */
int vfu_server_agreed(struct vfu_server *srv, const char *name, uint64_t *value)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	vfui_os_lock(&srv->conn_lock);
	rc = srv->is_agreed ? vfui_caps_get(&srv->agreed, name, value, NULL) : -ENOTCONN;
	vfui_os_unlock(&srv->conn_lock);
	return rc;
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

void vfu_server_set_interrupt(struct vfu_server *srv, int (*check)(void *user), void *user)
{
	srv->interrupt = check;
	srv->interrupt_user = user;
}
