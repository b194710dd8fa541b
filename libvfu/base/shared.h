/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * shared.h - copies to and from memory that somebody else reads and writes at the same time.
 *
 * memcpy() may touch a byte twice, or an integer in halves. What is read elsewhere as an integer (an index of
 * a ring, an entry's state) is accessed here as one, and in order with the accesses before and behind it.
 */
#ifndef VFUI_BASE_SHARED_H
#define VFUI_BASE_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The size of the integer that a copy of len bytes at shared is; 0: none, or none this machine accesses at once. */
static inline size_t vfui_shared_unit(const void *shared, size_t len)
{
	return len <= sizeof(uintptr_t) && (len == 2 || len == 4 || len == 8) &&
			       !((uintptr_t)shared & (len - 1))
		       ? len
		       : 0;
}

/*
 * Before a copy by a thread that holds no lock: it takes effect behind those before it. *wrote: the last one was
 * a write. Most processors keep this order by themselves, but for a read behind a write.
 */
static inline void vfui_shared_order(bool *wrote, bool write)
{
	if (*wrote && !write)
		__sync_synchronize();
#ifndef __SANITIZE_THREAD__ /* it knows no fences, and this one is but for other processors than ours */
	else
		__atomic_thread_fence(__ATOMIC_ACQ_REL);
#endif
	*wrote = write;
}

static inline void vfui_shared_write(void *shared, const void *from, size_t len)
{
	switch (vfui_shared_unit(shared, len)) {
	case 2: {
		uint16_t v;

		memcpy(&v, from, sizeof(v));
		__atomic_store_n((uint16_t *)shared, v, __ATOMIC_SEQ_CST);
		break;
	}
	case 4: {
		uint32_t v;

		memcpy(&v, from, sizeof(v));
		__atomic_store_n((uint32_t *)shared, v, __ATOMIC_SEQ_CST);
		break;
	}
#if UINTPTR_MAX > UINT32_MAX
	case 8: {
		uint64_t v;

		memcpy(&v, from, sizeof(v));
		__atomic_store_n((uint64_t *)shared, v, __ATOMIC_SEQ_CST);
		break;
	}
#endif
	default:
		memcpy(shared, from, len);
	}
}

static inline void vfui_shared_read(void *to, const void *shared, size_t len)
{
	switch (vfui_shared_unit(shared, len)) {
	case 2: {
		uint16_t v = __atomic_load_n((const uint16_t *)shared, __ATOMIC_SEQ_CST);

		memcpy(to, &v, sizeof(v));
		break;
	}
	case 4: {
		uint32_t v = __atomic_load_n((const uint32_t *)shared, __ATOMIC_SEQ_CST);

		memcpy(to, &v, sizeof(v));
		break;
	}
#if UINTPTR_MAX > UINT32_MAX
	case 8: {
		uint64_t v = __atomic_load_n((const uint64_t *)shared, __ATOMIC_SEQ_CST);

		memcpy(to, &v, sizeof(v));
		break;
	}
#endif
	default:
		memcpy(to, shared, len);
	}
}

#endif
