/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * log.c - lines for people, passed to the function the user set.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"

int vfui_log_limit_init(struct vfui_log_limit *limit)
{
	memset(limit, 0, sizeof(*limit));
	return vfui_os_mutex_init(&limit->lock);
}

void vfui_log_limit_fini(struct vfui_log_limit *limit)
{
	vfui_os_mutex_fini(&limit->lock);
}

/* The kind of these lines; a new one takes the place of that whose while began first. */
static struct vfui_log_kind *find_kind(struct vfui_log_limit *limit, const char *fmt)
{
	struct vfui_log_kind *kind = limit->kinds, *oldest = kind;

	for (; kind < limit->kinds + VFUI_LOG_KINDS && kind->fmt; kind++) {
		if (kind->fmt == fmt)
			return kind;
		if (kind->since < oldest->since)
			oldest = kind;
	}
	if (kind == limit->kinds + VFUI_LOG_KINDS)
		kind = oldest;
	*kind = (struct vfui_log_kind){.fmt = fmt};
	return kind;
}

/* Whether the line is passed on; *missed: how many before it were not. */
static bool admit(struct vfui_log_limit *limit, enum vfu_log_level level, const char *fmt,
		  const char *text, uint64_t *missed)
{
	uint64_t now = vfui_clock_now(&limit->clock);
	struct vfui_log_kind *kind;
	bool is_passed;

	vfui_os_lock(&limit->lock);
	kind = find_kind(limit, fmt);
	if (!kind->passed || now - kind->since >= VFUI_LOG_WHILE) {
		kind->since = now;
		kind->passed = 0;
	}
	is_passed = kind->passed < VFUI_LOG_BURST;
	if (is_passed) {
		*missed = kind->missed;
		kind->missed = 0;
		kind->passed++;
		kind->level = level;
		snprintf(kind->text, sizeof(kind->text), "%.*s", (int)sizeof(kind->text) - 1, text);
	} else {
		kind->missed++;
	}
	vfui_os_unlock(&limit->lock);
	return is_passed;
}

static void pass_on(const struct vfui_log *log, enum vfu_log_level level, const char *text,
		    uint64_t missed)
{
	char longer[576];

	if (missed) {
		snprintf(longer, sizeof(longer), "%s (and %llu more like that)", text,
			 (unsigned long long)missed);
		text = longer;
	}
	log->fn(log->user, level, text);
}

void vfui_log(const struct vfui_log *log, enum vfu_log_level level, const char *fmt, ...)
{
	uint64_t missed = 0;
	char text[512];
	va_list args;

	if (log->fn == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (level >= VFU_LOG_DEBUG || !log->limit || admit(log->limit, level, fmt, text, &missed))
		pass_on(log, level, text, missed);
}

/* Takes the number of lines that were missed, if that is to be told now. */
static void take_missed(struct vfui_log_limit *limit, unsigned i, bool is_end,
			struct vfui_log_kind *out)
{
	struct vfui_log_kind *kind = &limit->kinds[i];

	vfui_os_lock(&limit->lock);
	*out = *kind;
	if (is_end || vfui_clock_now(&limit->clock) - kind->since >= VFUI_LOG_WHILE)
		kind->missed = 0;
	else
		out->missed = 0;
	vfui_os_unlock(&limit->lock);
}

void vfui_log_flush(const struct vfui_log *log, bool is_end)
{
	struct vfui_log_kind kind;

	if (log->fn == NULL || !log->limit)
		return;
	for (unsigned i = 0; i < VFUI_LOG_KINDS; i++) {
		take_missed(log->limit, i, is_end, &kind);
		if (kind.missed)
			pass_on(log, kind.level, kind.text, kind.missed);
	}
}
