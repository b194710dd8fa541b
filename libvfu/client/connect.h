/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * connect.h - the beginning and the end of a client's connection.
 */
#ifndef VFUI_CLIENT_CONNECT_H
#define VFUI_CLIENT_CONNECT_H

#include "client/state.h"

/* vfu_client_disconnect; may_stop: the interrupt hook ends the wait. */
int vfui_client_disconnect(struct vfu_client *cl, bool may_stop);

#endif
