/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * log.h - lines for people, passed to the function the user set.
 *
 * Most of what is worth a line is caused by the peer, who can cause it as often as it likes. So of each
 * kind (lines of one format) a few are passed on in a while; the others are counted, and the next
 * line of that kind says how many there were, or vfui_log_flush does.
 */
#ifndef VFUI_LOG_H
#define VFUI_LOG_H

#include <pthread.h>

#include "base/clock.h"
#include "base/util.h"
#include "vfu.h"

#define VFUI_LOG_KINDS 32
/* So many lines of a kind in so many nanoseconds. */
#define VFUI_LOG_BURST 10
#define VFUI_LOG_WHILE (10000 * VFUI_MS)

/* Lines of one format. */
struct vfui_log_kind {
	const char *fmt; /* NULL: none yet */
	enum vfu_log_level level;
	uint64_t since; /* beginning of the present while */
	unsigned passed;
	uint64_t missed;
	char text[128]; /* of the last that was passed on */
};

struct vfui_log_limit {
	pthread_mutex_t lock;
	struct vfui_clock clock; /* all zero: the system's */
	struct vfui_log_kind kinds[VFUI_LOG_KINDS];
};

/* Copied freely. All zero: silent. */
struct vfui_log {
	vfu_log_fn *fn;
	void *user;
	struct vfui_log_limit *limit; /* NULL: none */
};

/* 0 or -ENOMEM. */
int vfui_log_limit_init(struct vfui_log_limit *limit);
void vfui_log_limit_fini(struct vfui_log_limit *limit);

/* Any thread. fmt: a literal. Lines at VFU_LOG_DEBUG and beyond,
 * which people ask for, are never too many. */
void vfui_log(const struct vfui_log *log, enum vfu_log_level level, const char *fmt, ...)
	VFUI_PRINTF(3, 4);
/*
 * Says how many lines of each kind were not passed on. is_end: none will come any more; else those
 * wait whose while is not over, or a peer that connects again and again had a line each time.
 */
void vfui_log_flush(const struct vfui_log *log, bool is_end);

#endif
