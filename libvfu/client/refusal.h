/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * refusal.h - why a device has refused a request with EINVAL, as far as what it said of itself tells.
 */
#ifndef VFUI_CLIENT_REFUSAL_H
#define VFUI_CLIENT_REFUSAL_H

#include "client/state.h"

/* Each changes *err, which says how the request failed, if it was EINVAL, names no field yet, and the reason is known. */
void vfui_refusal_of_access(struct vfu_client *cl, const struct vfu_client_access *a,
			    struct vfu_err *err);
void vfui_refusal_of_irqs(struct vfu_client *cl, unsigned index, unsigned start, unsigned count,
			  bool masks, struct vfu_err *err);
void vfui_refusal_of_unmap(struct vfu_client *cl, uint64_t first, uint64_t last,
			   struct vfu_err *err);

#endif
