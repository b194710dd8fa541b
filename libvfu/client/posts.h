/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * posts.h - writes that want no answer.
 */
#ifndef VFUI_CLIENT_POSTS_H
#define VFUI_CLIENT_POSTS_H

#include "client/state.h"

/* Frees the batches that nobody has ended. The client's end, also in a child. */
void vfui_client_free_batches(struct vfu_client *cl);

#endif
