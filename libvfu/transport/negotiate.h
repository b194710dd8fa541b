/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * negotiate.h - the VERSION exchange: both sides agree on a version, capabilities and limits.
 */
#ifndef VFUI_NEGOTIATE_H
#define VFUI_NEGOTIATE_H

#include "caps.h"
#include "transport/conn.h"

/*
 * Client: sends VERSION with what the connection's options have it say, and waits. *agreed: what
 * holds; the server's own where each side has its own. Sets both limits of the connection. Any failure
 * fails it.
 */
int vfui_negotiate_client(struct vfui_conn *conn, struct vfui_caps *agreed, uint16_t *minor,
			  struct vfu_err *err);
/*
 * The same in two steps, for who can not wait: done gets the reply (within timeout_ms, as of any request), of which accept
 * makes the agreement. A failure is the caller's to fail the connection with.
 */
int vfui_negotiate_offer(struct vfui_conn *conn, int timeout_ms, vfui_done_fn *done, void *user);
int vfui_negotiate_accept(struct vfui_conn *conn, struct vfui_msg *reply, struct vfui_caps *agreed,
			  uint16_t *minor, struct vfu_err *err);
/*
 * Server: checks a VERSION request and answers it, no longer than the request or 128 bytes (E17).
 * *agreed: the same, with the client's own. Sets both limits. On failure an error reply is on its way.
 */
int vfui_negotiate_server(struct vfui_conn *conn, struct vfui_msg *request,
			  struct vfui_caps *agreed, uint16_t *minor, struct vfu_err *err);

#endif
