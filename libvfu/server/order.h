/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * order.h - when a request may start, gates, requests held back.
 */
#ifndef VFUI_SERVER_ORDER_H
#define VFUI_SERVER_ORDER_H

#include "server/state.h"

/* The connection's command callback. */
void vfui_server_command(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg);
/* vfui_conn_ops.sink: a write that could start now goes into the memory it is for. */
void *vfui_server_sink(void *ctx, struct vfui_conn *conn, const struct vfui_msg *msg);
/* vfui_conn_ops.knows: the device serves it. */
bool vfui_server_knows(void *ctx, unsigned command);
/* Starts what was held back and may start now. */
void vfui_server_drain(struct vfu_server *srv);
/* The first request held back may start. */
bool vfui_server_can_drain(struct vfu_server *srv);
/* vfui_device_server.wait */
int vfui_server_wait(void *ctx, bool (*ready)(void *arg), void *arg);

#endif
