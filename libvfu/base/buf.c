/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * buf.c - a block of bytes that is filled at its end and emptied at its start.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/buf.h"

int vfui_buf_init(struct vfui_buf *buf, size_t cap)
{
	uint8_t *data = vfui_os_malloc(cap);

	if (data == NULL)
		return -ENOMEM;
	*buf = (struct vfui_buf){.data = data, .cap = cap};
	return 0;
}

void vfui_buf_fini(struct vfui_buf *buf)
{
	vfui_os_free(buf->data);
	*buf = (struct vfui_buf){0};
}

void vfui_buf_consume(struct vfui_buf *buf, size_t len)
{
	buf->start += len;
	if (buf->start == buf->end) {
		buf->start = 0;
		buf->end = 0;
	}
}

int vfui_buf_reserve(struct vfui_buf *buf, size_t len)
{
	struct vfui_buf larger;
	size_t held = vfui_buf_len(buf);

	if (vfui_buf_room(buf) >= len)
		return 0;
	if (buf->cap - held >= len) {
		memmove(buf->data, buf->data + buf->start, held);
		buf->start = 0;
		buf->end = held;
		return 0;
	}
	if (vfui_buf_init(&larger, vfui_max(held + len, buf->cap)) != 0)
		return -ENOMEM;
	vfui_buf_append(&larger, buf->data + buf->start, held);
	vfui_buf_fini(buf);
	*buf = larger;
	return 0;
}
