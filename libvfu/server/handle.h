/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.h - a server's life and settings.
 */
#ifndef VFUI_SERVER_HANDLE_H
#define VFUI_SERVER_HANDLE_H

#include "server/state.h"

/* After each call that may run callbacks: frees a server that one of them gave up. True: it is gone. */
bool vfui_server_leave(struct vfu_server *srv);

#endif
