/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * async.h - accesses whose end a callback is told.
 */
#ifndef VFUI_CLIENT_ASYNC_H
#define VFUI_CLIENT_ASYNC_H

#include "client/state.h"

/* Starts an access that has a fn, and sets its id. */
int vfui_client_start(struct vfu_client *cl, struct vfu_client_access *a);

#endif
