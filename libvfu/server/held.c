/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * held.c - requests held back, and whether there is room for more.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "server/held.h"
#include "parts-region.h"

static bool has_config_write(const struct vfui_msg *msg)
{
	struct vfu_wire_items writes =
		vfu_wire_region_write_multi_request_writes_parse(msg->payload, msg->len);
	struct vfu_wire_write_multi_entry one;

	while (vfu_wire_region_write_multi_request_writes_next(&writes, &one))
		if (one.region == VFU_REGION_CONFIG)
			return true;
	return false;
}

bool vfui_server_is_config_write(const struct vfui_msg *msg)
{
	struct vfu_wire_region_write_request one;

	switch (msg->hdr.command) {
	case VFU_WIRE_CMD_REGION_WRITE:
		if (msg->len < sizeof(one))
			return false;
		memcpy(&one, msg->payload, sizeof(one));
		return one.region == VFU_REGION_CONFIG;
	case VFU_WIRE_CMD_REGION_WRITE_MULTI:
		return has_config_write(msg);
	default:
		return false;
	}
}

static size_t held_size(const struct vfu_server *srv, const struct vfui_msg *msg)
{
	return vfui_account_message(srv->account,
				    sizeof(struct vfui_held) + sizeof(*msg) + msg->len, msg->nfds);
}

/* A client that has gone leaves room to nobody: it is not waited for. */
static void check_hang_up(struct vfu_server *srv)
{
	struct pollfd pfd = {.fd = vfui_conn_fd(srv->conn)};
	struct vfu_err err;

	if (vfui_os_poll(&pfd, 1, 0) <= 0 || !(pfd.revents & POLLHUP))
		return;
	vfui_err_set(&err, -ENOTCONN, NULL, 0,
		     "the client has gone, and left more unanswered than may be");
	vfui_conn_fail(srv->conn, &err);
}

void vfui_server_review(struct vfu_server *srv)
{
	bool is_full = vfui_account_is_full(srv->account);

	if (!srv->conn)
		return;
	vfui_conn_stop_reading(srv->conn, is_full);
	if (is_full)
		check_hang_up(srv);
}

bool vfui_server_is_holding(const struct vfu_server *srv)
{
	return !vfui_list_is_empty(&srv->held) || srv->dev->gate.is_open ||
	       (srv->session && atomic_load(&srv->session->fences));
}

/* NULL: no memory, the connection is lost with it, for order can not be kept any more. */
static struct vfui_held *hold(struct vfu_server *srv, struct vfui_msg *msg, struct vfui_list *where)
{
	struct vfui_held *held = vfui_os_calloc(1, sizeof(*held));
	struct vfu_err err;

	if (held)
		held->msg = vfui_msg_copy(msg);
	if (!held || !held->msg) {
		vfui_os_free(held);
		vfui_err_set(&err, -ENOMEM, NULL, 0, "no memory to hold a request back");
		vfui_conn_fail(srv->conn, &err);
		return NULL;
	}
	held->size = held_size(srv, held->msg);
	held->is_config_write = vfui_server_is_config_write(held->msg);
	vfui_list_insert(where, &held->node);
	vfui_account_add(srv->account, VFUI_HELD, held->size);
	vfui_server_review(srv);
	return held;
}

void vfui_server_hold(struct vfu_server *srv, struct vfui_msg *msg)
{
	hold(srv, msg, &srv->held);
}

void vfui_server_free_held(struct vfu_server *srv, struct vfui_held *held)
{
	vfui_account_sub(srv->account, VFUI_HELD, held->size);
	vfui_list_remove(&held->node);
	vfui_msg_free(held->msg);
	vfui_os_free(held);
}

void vfui_server_drop_held(struct vfu_server *srv)
{
	while (!vfui_list_is_empty(&srv->held))
		vfui_server_free_held(srv,
				      vfui_container_of(srv->held.next, struct vfui_held, node));
}

void vfui_server_hold_again(struct vfu_server *srv, const struct vfui_request *req,
			    struct vfui_held *held)
{
	if (held)
		vfui_list_insert(srv->held.next, &held->node);
	else
		held = hold(srv, req->msg, srv->held.next);
	if (!held)
		return;
	held->step = req->step;
	held->asked = req->is_asked;
}
