/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * greet.c - the beginning of a connection: VERSION and nothing else comes first, in time.
 */
#include <errno.h>
#include <string.h>

#include "transport/negotiate.h"
#include "base/os.h"
#include "server/greet.h"
#include "server/handlers.h"
#include "wire-session.h"

/* E23: nothing but VERSION may come first, known or not; a reply is never answered. */
static void turn_away(struct vfu_server *srv, const struct vfui_msg *msg)
{
	bool is_reply = msg->hdr.flags & VFU_WIRE_HEADER_TYPE_REPLY;
	struct vfu_err err;

	vfui_err_set(&err, -EINVAL, NULL, 0, "%s %u (%s) came before VERSION",
		     is_reply ? "a reply to command" : "command", msg->hdr.command,
		     msg->info ? msg->info->name : "unknown");
	vfui_conn_count_violation(srv->conn);
	if (!is_reply)
		vfui_conn_reply(srv->conn, &msg->hdr, -EINVAL, NULL, 0, NULL, 0);
	vfui_conn_flush(srv->conn);
	vfui_conn_fail(srv->conn, &err);
}

bool vfui_server_stranger(void *ctx, struct vfui_conn *conn, const struct vfui_msg *msg)
{
	struct vfu_server *srv = ctx;

	(void)conn;
	if (srv->state != VFUI_SERVER_GREETING)
		return false;
	turn_away(srv, msg);
	return true;
}

static int connect_dma(struct vfu_server *srv)
{
	const struct vfui_dma_limits limits = {
		.max_maps = vfui_conn_limits(srv->conn)->max_dma_maps,
		.max_xfer = vfui_conn_peer_limits(srv->conn)->max_data_xfer_size,
		.window = srv->options.values[VFU_OPT_DMA_WINDOW],
		.read_bytes = srv->options.values[VFU_OPT_DMA_READ_BYTES],
		.bounce_bytes = srv->options.values[VFU_OPT_DMA_BOUNCE_BYTES],
		.is_apart = vfui_conn_twin_fd(srv->conn) >= 0,
		.account = srv->account,
	};

	return vfui_dma_connect(&srv->dev->dma, srv->conn, &limits);
}

static void keep_agreed(struct vfu_server *srv, const struct vfui_caps *agreed)
{
	vfui_os_lock(&srv->conn_lock);
	srv->agreed = *agreed;
	srv->is_agreed = true;
	vfui_os_unlock(&srv->conn_lock);
}

static void agree(struct vfu_server *srv, struct vfui_msg *msg)
{
	struct vfui_caps agreed;
	struct vfu_err err;
	uint16_t minor;
	int rc;

	err.code = 0;
	rc = vfui_negotiate_server(srv->conn, msg, &agreed, &minor, &err);
	if (!rc)
		rc = connect_dma(srv);
	if (rc < 0) {
		if (!err.code)
			vfui_err_set(&err, rc, NULL, 0, "VERSION: %s", strerror(-rc));
		vfui_conn_flush(srv->conn);
		vfui_conn_fail(srv->conn, &err);
		return;
	}
	keep_agreed(srv, &agreed);
	srv->state = VFUI_SERVER_UP;
	srv->was_up = true;
	vfui_irqs_connect(&srv->dev->irqs);
	if (srv->options.values[VFU_OPT_ONE_CLIENT] && srv->listen_fd >= 0) {
		srv->is_done = true;
		srv->unlooked = VFUI_TICK_REQUESTS; /* the listener's end comes with this round */
	}
	vfui_log(&srv->dev->log, VFU_LOG_INFO, "version 0.%u agreed", minor);
	if (srv->dev->hooks.connected)
		srv->dev->hooks.connected(srv->dev->hooks_user);
}

void vfui_server_greet(struct vfu_server *srv, struct vfui_msg *msg)
{
	struct vfu_err err;

	if (msg->hdr.command != VFU_WIRE_CMD_VERSION) {
		turn_away(srv, msg);
	} else if (srv->state == VFUI_SERVER_GREETING) {
		agree(srv, msg);
	} else {
		vfui_err_set(&err, -EINVAL, NULL, 0, "VERSION is agreed already");
		vfui_server_fail(srv, msg, -EINVAL, &err, false);
	}
}

int vfui_server_greet_timeout(const struct vfu_server *srv)
{
	uint64_t now;

	if (srv->state != VFUI_SERVER_GREETING || srv->greet_by == VFUI_NEVER)
		return -1;
	now = vfui_os_now();
	return now < srv->greet_by ? (int)((srv->greet_by - now + VFUI_MS - 1) / VFUI_MS) : 0;
}

int vfui_server_check_greeting(struct vfu_server *srv)
{
	struct vfu_err err;

	if (vfui_server_greet_timeout(srv) != 0)
		return 0;
	vfui_err_set(&err, -ETIMEDOUT, NULL, 0, "no VERSION came in time");
	vfui_conn_fail(srv->conn, &err);
	return -ETIMEDOUT;
}
