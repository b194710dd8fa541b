/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * os_fault.h - a system that fails on demand, counts what is held, and has a clock of its own.
 * Takes the place of os.c.
 */
#ifndef OS_FAULT_H
#define OS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_kind {
	FAULT_ALLOC, /* malloc, calloc, realloc */
	FAULT_FD,    /* whatever makes a descriptor */
	FAULT_RECV,
	FAULT_SEND,
	FAULT_POLL,
	FAULT_MMAP,
	FAULT_AIO, /* io_setup, io_submit */
	FAULT_CHMOD,
	FAULT_KINDS
};

/* Nothing fails, counts start at 0. Blocks that are held stay counted. */
void fault_reset(void);
/* The nth call of a kind from now on (1: the next) fails with this errno. */
void fault_fail(enum fault_kind kind, unsigned nth, int error);
/* FAULT_RECV and FAULT_SEND move at most this many bytes a call; 0: as many as go. */
void fault_limit(enum fault_kind kind, size_t bytes);
/*
 * Called before each poll and receive that may sleep, on its thread, and in virtual time before each wait with a
 * timeout for another thread; NULL: nothing.
 */
void fault_on_sleep(void (*fn)(void));
/* Called before each receive, on its thread; NULL: nothing. */
void fault_on_recv(void (*fn)(void));
/* Called before each socket begins to listen; NULL: nothing. */
void fault_on_listen(void (*fn)(void));
/* Calls of a kind since fault_reset. */
unsigned fault_calls(enum fault_kind kind);
/* Blocks that were allocated and not freed. */
long fault_blocks(void);
/*
 * Virtual time: the clock stands still but for fault_advance, and a poll that would sleep with
 * nothing ready passes its timeout at once, as does a wait for another thread. A receive that waits and finds nothing
 * passes 250 ms.
 */
void fault_virtual_time(bool on);
void fault_advance(uint64_t ns);

#endif
