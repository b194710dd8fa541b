/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * masks.h - what a client's write makes of a register's bits, and memory as the registers it may be.
 *
 * The same bits for configuration space, byte by byte, and for registers of regions (device/register.h), whole ones.
 */
#ifndef VFUI_MASKS_H
#define VFUI_MASKS_H

#include <stdint.h>
#include <string.h>

/* Bits that take what is written, that a one clears (w1c), that a one sets (w1s). No bit is in two. */
struct vfui_masks {
	uint64_t write, w1c, w1s;
};

static inline uint64_t vfui_masks_apply(struct vfui_masks masks, uint64_t old, uint64_t data)
{
	uint64_t value = (old & ~masks.write) | (data & masks.write);

	return (value & ~(data & masks.w1c)) | (data & masks.w1s);
}

/*
 * Memory that the client may have mapped: an aligned access of a register's width must not be seen
 * in halves. The data of a message may be unaligned, the register is what counts.
 */
static inline void vfui_memory_read(void *to, const uint8_t *at, size_t len)
{
	uint32_t word;
	uint64_t quad;

	if (len == 4 && !((uintptr_t)at & 3)) {
		word = __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_RELAXED);
		memcpy(to, &word, sizeof(word));
	} else if (len == 8 && !((uintptr_t)at & 7) && sizeof(void *) == 8) {
		quad = __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED);
		memcpy(to, &quad, sizeof(quad));
	} else {
		memcpy(to, at, len);
	}
}

static inline void vfui_memory_write(uint8_t *at, const void *from, size_t len)
{
	uint32_t word;
	uint64_t quad;

	if (len == 4 && !((uintptr_t)at & 3)) {
		memcpy(&word, from, sizeof(word));
		__atomic_store_n((uint32_t *)(void *)at, word, __ATOMIC_RELAXED);
	} else if (len == 8 && !((uintptr_t)at & 7) && sizeof(void *) == 8) {
		memcpy(&quad, from, sizeof(quad));
		__atomic_store_n((uint64_t *)(void *)at, quad, __ATOMIC_RELAXED);
	} else {
		memcpy(at, from, len);
	}
}

#endif
