/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * buf.h - a block of bytes that is filled at its end and emptied at its start.
 */
#ifndef VFUI_BUF_H
#define VFUI_BUF_H

#include <string.h>

#include "base/util.h"

/* The bytes are data[start..end); all zero is an empty one without memory. */
struct vfui_buf {
	uint8_t *data;
	size_t cap, start, end;
};

static inline size_t vfui_buf_len(const struct vfui_buf *buf)
{
	return buf->end - buf->start;
}

static inline size_t vfui_buf_room(const struct vfui_buf *buf)
{
	return buf->cap - buf->end;
}

/* Empties it and gives it at least cap bytes of memory: 0 or -ENOMEM (then it is as it was). */
int vfui_buf_init(struct vfui_buf *buf, size_t cap);
void vfui_buf_fini(struct vfui_buf *buf);
/* The caller made sure of the room. */
static inline void vfui_buf_append(struct vfui_buf *buf, const void *data, size_t len)
{
	if (len > 0)
		memcpy(buf->data + buf->end, data, len);
	buf->end += len;
}
/* Drops len bytes at the start. Once empty, filling begins at the front again. */
void vfui_buf_consume(struct vfui_buf *buf, size_t len);
/*
 * Makes room for len more bytes by moving what is there to the front, or to a larger block: 0 or
 * -ENOMEM.
 */
int vfui_buf_reserve(struct vfui_buf *buf, size_t len);

#endif
