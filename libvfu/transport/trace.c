/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * trace.c - messages as lines of a log.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "checks.h"
#include "desc.h"
#include "transport/msg.h"
#include "transport/trace.h"

/* So many bytes of a message are shown, so many in a line. */
enum { SHOWN = 256, ROW = 16 };

/* A line that is cut where it is full. */
struct line {
	char text[512];
	size_t len;
};

static void add(struct line *line, const char *fmt, ...) VFUI_PRINTF(2, 3);

static void add(struct line *line, const char *fmt, ...)
{
	size_t room = sizeof(line->text) - line->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line->text + line->len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		line->len += vfui_min((size_t)n, room - 1);
}

static uint64_t load(const uint8_t *at, unsigned size)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (size) {
	case 2:
		memcpy(&u16, at, sizeof(u16));
		return u16;
	case 4:
		memcpy(&u32, at, sizeof(u32));
		return u32;
	case 8:
		memcpy(&u64, at, sizeof(u64));
		return u64;
	default:
		return *at;
	}
}

/* The names of the bits or of the value, then what has no name. */
static void add_names(struct line *line, const struct vfui_desc_field *field, uint64_t value)
{
	const struct vfui_desc_name *name;
	uint64_t rest = value;
	const char *between = "";

	for (name = field->names; name->name != NULL; name++) {
		if ((value & name->mask) != name->value || (rest & name->mask) == 0)
			continue;
		add(line, "%s%s", between, name->name);
		rest &= ~name->mask;
		between = "|";
	}
	if (rest != 0 || value == 0)
		add(line, "%s0x%" PRIx64, between, rest);
}

static void add_field(struct line *line, const struct vfui_desc_field *field, uint64_t value)
{
	const struct vfui_desc_name *name;

	add(line, " %s=", field->name);
	switch (field->kind) {
	case VFUI_DESC_FLAGS:
		add_names(line, field, value);
		return;
	case VFUI_DESC_ENUM:
		for (name = field->names; name->name != NULL; name++)
			if ((value & name->mask) == name->value) {
				add(line, "%s", name->name);
				return;
			}
		break;
	case VFUI_DESC_HEX:
		add(line, "0x%" PRIx64, value);
		return;
	default:
		break;
	}
	add(line, "%" PRIu64, value);
}

static void trace_fields(const struct vfui_log *log, const char *what,
			 const struct vfu_wire_header *hdr, const struct iovec *first,
			 unsigned nfds)
{
	bool is_reply = (hdr->flags & VFU_WIRE_HEADER_TYPE_MASK) == VFU_WIRE_HEADER_TYPE_REPLY;
	const struct vfui_message *info = vfui_message(hdr->command);
	const struct vfui_desc *desc = vfui_desc_message(hdr->command, is_reply);
	struct line line = {.len = 0};

	add(&line, "%s %s(%u) %s id=%u, %u bytes", what, info != NULL ? info->name : "unknown",
	    hdr->command, is_reply ? "reply" : "command", hdr->id, hdr->size);
	if (nfds > 0)
		add(&line, ", %u fds", nfds);
	if ((hdr->flags & VFU_WIRE_HEADER_NO_REPLY) != 0)
		add(&line, ", no reply");
	if ((hdr->flags & VFU_WIRE_HEADER_ERROR) != 0)
		add(&line, ", error %u (%s)", hdr->error, strerror((int)hdr->error));
	else if (desc != NULL && first->iov_len >= desc->size && desc->nfields > 0) {
		add(&line, ":");
		for (unsigned i = 0; i < desc->nfields; i++)
			add_field(&line, &desc->fields[i],
				  load((const uint8_t *)first->iov_base + desc->fields[i].offset,
				       desc->fields[i].size));
	}
	vfui_log(log, VFU_LOG_DEBUG, "%s", line.text);
}

/* Copies what these hold to out, at most so many bytes; returns how many. */
static size_t gather(uint8_t *out, size_t most, const struct iovec *iov, unsigned niov)
{
	size_t len = 0;

	for (unsigned i = 0; i < niov; i++) {
		size_t n = vfui_min(iov[i].iov_len, most - len);

		if (n > 0)
			memcpy(out + len, iov[i].iov_base, n);
		len += n;
	}
	return len;
}

static void trace_row(const struct vfui_log *log, const char *label, size_t at, const uint8_t *data,
		      size_t len)
{
	struct line line = {.len = 0};

	add(&line, "%s %04zx:", label, at);
	for (size_t i = 0; i < len; i++)
		add(&line, " %02x", data[i]);
	add(&line, "%*s |", (int)(3 * (ROW - len)), "");
	for (size_t i = 0; i < len; i++)
		add(&line, "%c", data[i] >= ' ' && data[i] <= '~' ? data[i] : '.');
	vfui_log(log, VFU_LOG_TRACE, "%s|", line.text);
}

static void trace_bytes(const struct vfui_log *log, const struct vfu_wire_header *hdr,
			const struct iovec *iov, unsigned niov)
{
	struct vfui_label label = vfui_msg_label(hdr);
	size_t len = sizeof(*hdr);
	uint8_t data[SHOWN];

	memcpy(data, hdr, sizeof(*hdr));
	len += gather(data + len, sizeof(data) - len, iov, niov);
	for (size_t at = 0; at < len; at += ROW)
		trace_row(log, label.text, at, data + at, vfui_min(len - at, (size_t)ROW));
	if (len < hdr->size)
		vfui_log(log, VFU_LOG_TRACE, "%s %04zx: and %zu more bytes", label.text, len,
			 hdr->size - len);
}

void vfui_trace(const struct vfui_log *log, bool with_bytes, const char *what,
		const struct vfu_wire_header *hdr, const struct iovec *iov, unsigned niov,
		unsigned nfds)
{
	static const struct iovec none;

	trace_fields(log, what, hdr, niov > 0 ? iov : &none, nfds);
	if (with_bytes)
		trace_bytes(log, hdr, iov, niov);
}
