/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * master.h - bus mastering, which a device needs for DMA and for MSI and MSI-X.
 */
#ifndef VFUI_CLIENT_MASTER_H
#define VFUI_CLIENT_MASTER_H

#include "client/state.h"

/*
 * To be called before a first use of DMA or message interrupts; in a call that may wait. 0, or what
 * ended the wait; then the call ends with it.
 */
int vfui_client_use_master(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_err *err);

#endif
