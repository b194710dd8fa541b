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

/* Caps a side offers, from its options: limits always, features if the options allow them. */
void vfui_negotiate_offer(const uint64_t values[VFU_OPTIONS], struct vfui_caps *caps);

/*
 * Client: sends VERSION 0.0 with offer and waits. *agreed: what the server said, defaults filled
 * in, features only if both want them. Sets both limits of the connection. Any failure fails it.
 */
int vfui_negotiate_client(struct vfui_conn *conn, const struct vfui_caps *offer,
			  struct vfui_caps *agreed, uint16_t *minor, struct vfu_err *err);
/*
 * Server: checks a VERSION request and answers it, no longer than the request or 128 bytes (E17).
 * *agreed: what the client said. Sets both limits. On failure an error reply is on its way.
 */
int vfui_negotiate_server(struct vfui_conn *conn, struct vfui_msg *request,
			  const struct vfui_caps *own, struct vfui_caps *agreed, uint16_t *minor,
			  struct vfu_err *err);

#endif
