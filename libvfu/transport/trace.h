/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * trace.h - messages as lines of a log, by the field tables that are generated from the spec.
 */
#ifndef VFUI_TRACE_H
#define VFUI_TRACE_H

#include <stddef.h>

#include "base/log.h"
#include "wire-protocol.h"

/*
 * Logs a message at VFU_LOG_DEBUG: what is "got" or "sent", payload (any alignment) its first len
 * bytes, of which the fixed part is shown. No lock may be held.
 */
void vfui_trace(const struct vfui_log *log, const char *what, const struct vfu_wire_header *hdr,
		const void *payload, size_t len, unsigned nfds);

#endif
