/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-serve.h - the device reads and writes our memory by message.
 */
#ifndef VFUI_CLIENT_DMA_SERVE_H
#define VFUI_CLIENT_DMA_SERVE_H

#include "client/state.h"

/* Serves a command of the device; ctx is the client. */
void vfui_client_command(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg);

#endif
