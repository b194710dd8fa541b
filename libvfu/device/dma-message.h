/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-message.h - copies by message: in order, cut to what the client takes, as many as the window allows.
 */
#ifndef VFUI_DMA_MESSAGE_H
#define VFUI_DMA_MESSAGE_H

#include "device/dma-op.h"

/* After VERSION. -EBUSY: messages of the last connection are in flight. Owner. */
int vfui_dma_messages_open(struct vfui_dma *dma, struct vfui_conn *conn,
			   const struct vfui_dma_limits *limits);
/* No message is sent once this returns. Owner. */
void vfui_dma_messages_close(struct vfui_dma *dma);
/* Takes op, or frees it: -ENOTCONN. With the lock held, which it gives back. */
int vfui_dma_start_and_unlock(struct vfui_dma *dma, struct vfui_dma_op *op);

#endif
