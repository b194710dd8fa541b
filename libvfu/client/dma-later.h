/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-later.h - transfers of the device that functions of ranges answer later.
 */
#ifndef VFUI_CLIENT_DMA_LATER_H
#define VFUI_CLIENT_DMA_LATER_H

#include "client/state.h"
#include "wire-dma.h"

/* A DMA command under way on the thread that reads. */
struct vfui_client_move {
	const struct vfu_wire_header *hdr;
	/* What is asked for, and the head of the answer: of all four the same 16 bytes (E1). */
	struct vfu_wire_dma_read_reply what;
	bool is_write;
	uint8_t *data;                  /* of all of it */
	size_t at;                      /* where the piece begins that a function serves just now */
	bool is_later;                  /* and which that has taken out, to answer it later */
	struct vfui_transfer *transfer; /* of this command, if that happened */
};

/*
 * The command has been gone through, with this result; some of it is answered later, and so is the command, in here
 * if all of that was answered meanwhile.
 */
void vfui_client_later_end(struct vfui_transfer *transfer, int status);
/* Counts a command that was answered, and tells of one that failed. */
void vfui_client_count_served(struct vfu_client *cl, const struct vfu_wire_header *hdr, int status);

#endif
