/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * Lesson 7, exercise 4: a server looks at numbers of its client. In C, where a sum of 64 bits that is too large
 * is a small one.
 */
#include <stdint.h>

#define NOT_SOLVED (-1)

/* Whether count bytes from offset on lie in a region of size bytes. None at all (count 0) do not. */
int access_ok(uint64_t offset, uint32_t count, uint64_t size)
{
	return count > 0 && count <= size && offset <= size - count;
}

/* Whether DMA_MAP may have this range: not empty, and no byte of it beyond the last address, 2^64 - 1, which it may have. */
int range_ok(uint64_t address, uint64_t size)
{
	return size > 0 && size - 1 <= UINT64_MAX - address;
}

/* Whether two such ranges have a byte in common. */
int overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a <= b ? b - a < a_size : a - b < b_size;
}
