/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * util.h - small helpers that every other file may use.
 */
#ifndef VFUI_BASE_UTIL_H
#define VFUI_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VFUI_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* The structure that holds *ptr as its member. */
#define vfui_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/*
 * Has the compiler check arguments like printf's: fmt is parameter number f, its values start at
 * a.
 */
#define VFUI_PRINTF(f, a) __attribute__((format(printf, f, a)))

/*
 * Kept out of its callers: what most of their calls do not need does not cost them registers and
 * stack.
 */
#define VFUI_APART __attribute__((noinline))
/* The other way round: what each message goes through, although it is called in two places. */
#define VFUI_INLINE __attribute__((always_inline)) inline

/* Also of times, where a size has 32 bits. */
static inline uint64_t vfui_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t vfui_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* True if [offset, offset + len) lies in [0, size); never overflows. */
static inline bool vfui_is_inside(uint64_t offset, uint64_t len, uint64_t size)
{
	return offset <= size && len <= size - offset;
}

#endif
