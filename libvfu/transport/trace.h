/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * trace.h - messages as lines of a log, by the field tables that are generated from the spec.
 */
#ifndef VFUI_TRACE_H
#define VFUI_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/log.h"
#include "wire-protocol.h"

/*
 * Logs a message at VFU_LOG_DEBUG: what is "got" or "sent", iov its payload (any alignment), or as much
 * of it as is there, of which the fixed part is shown if it lies in iov[0]. with_bytes: then its first
 * bytes, header and all, at VFU_LOG_TRACE, a line for each 16. No lock may be held.
 *
 *	got region_write(10) command id=7, 36 bytes: offset=0x4 region=bar0 count=4
 *	region_write(10) id=7 0000: 07 00 0a 00 24 00 00 00 00 00 00 00 00 00 00 00 |....$...........|
 */
void vfui_trace(const struct vfui_log *log, bool with_bytes, const char *what,
		const struct vfu_wire_header *hdr, const struct iovec *iov, unsigned niov,
		unsigned nfds);

#endif
