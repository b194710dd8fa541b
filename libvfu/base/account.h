/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * account.h - memory that a peer makes us keep, against one limit (VFU_OPT_QUEUE_BYTES).
 *
 *	HELD	requests that came and may not start yet, as they came
 *	LATER	requests that have started and are answered later, with room for their answers
 *	DMA	transfers by message that the device has queued
 *
 * They are told apart because they end differently. LATER ends when the device answers; as a request
 * of 32 bytes may buy a megabyte there, no request starts while half the limit is used so: those that
 * come are held. HELD ends when LATER does. When both reach the limit nothing more is read; that
 * there is a half for what is only held lets the server read on to the answers to its DMA, for which
 * the device may wait before it answers. DMA ends with those answers and so must not stop the
 * reading: there its starter gets -ENOBUFS. A starter that has none queued may always queue one, or
 * requests that fill the account and wait for DMA could never end.
 *
 * Descriptors are counted apart, by number: files and eventfds that are kept for the client. Those of
 * held requests are bounded by what each of them adds to HELD.
 *
 * Shared by a server and what outlives its connections, hence counted. Any thread, no lock.
 */
#ifndef VFUI_ACCOUNT_H
#define VFUI_ACCOUNT_H

#include <errno.h>
#include <stdatomic.h>

#include "base/util.h"

enum vfui_pot { VFUI_HELD, VFUI_LATER, VFUI_DMA, VFUI_POTS };

struct vfui_account {
	atomic_uint refs;
	_Atomic size_t limit;
	_Atomic size_t used[VFUI_POTS];
	atomic_uint max_fds, files, eventfds;
};

/* The most descriptors that are kept for a client: VFUI_FDS_KEPT, or half of what the process may have. */
#define VFUI_FDS_KEPT 1024

/* With one reference. NULL: out of memory. */
struct vfui_account *vfui_account_new(void);
struct vfui_account *vfui_account_ref(struct vfui_account *account);
/* NULL: nothing. */
void vfui_account_unref(struct vfui_account *account);

static inline size_t vfui_account_used(const struct vfui_account *account, enum vfui_pot pot)
{
	return atomic_load_explicit(&account->used[pot], memory_order_relaxed);
}

/*
 * What a message costs that is kept, of so many bytes and descriptors. Those are scarcer: a quarter of what
 * a client may have us keep fills the account.
 */
static inline size_t vfui_account_message(const struct vfui_account *account, size_t bytes,
					  unsigned nfds)
{
	size_t a_fd = account->limit / (account->max_fds / 4 + 1);

	return bytes + nfds * vfui_max(a_fd, 4096);
}

/* Half the limit is used by requests answered later: none starts. */
static inline bool vfui_account_is_half(const struct vfui_account *account)
{
	return vfui_account_used(account, VFUI_LATER) >= account->limit / 2;
}

/* Nothing more is read. */
static inline bool vfui_account_is_full(const struct vfui_account *account)
{
	return vfui_account_used(account, VFUI_HELD) + vfui_account_used(account, VFUI_LATER) >=
	       account->limit;
}

static inline void vfui_account_add(struct vfui_account *account, enum vfui_pot pot, size_t bytes)
{
	atomic_fetch_add(&account->used[pot], bytes);
}

static inline void vfui_account_sub(struct vfui_account *account, enum vfui_pot pot, size_t bytes)
{
	atomic_fetch_sub(&account->used[pot], bytes);
}

/* Takes from LATER. True: something waited for that, and who reads is to be told. */
static inline bool vfui_account_is_room_made(struct vfui_account *account, size_t bytes)
{
	size_t before = atomic_fetch_sub(&account->used[VFUI_LATER], bytes);

	return (before >= account->limit / 2 ||
		before + vfui_account_used(account, VFUI_HELD) >= account->limit) &&
	       !vfui_account_is_half(account) && !vfui_account_is_full(account);
}

/* Adds to DMA, or -ENOBUFS. */
int vfui_account_take(struct vfui_account *account, size_t bytes);

/* Takes back from DMA, for which nobody waits to read. */
static inline void vfui_account_give(struct vfui_account *account, size_t bytes)
{
	atomic_fetch_sub_explicit(&account->used[VFUI_DMA], bytes, memory_order_relaxed);
}

/* Sets both limits. */
void vfui_account_limit(struct vfui_account *account, size_t bytes);
/* One more file is kept: 0 or -ENOSPC. */
int vfui_account_take_file(struct vfui_account *account);
void vfui_account_put_file(struct vfui_account *account);
/* So many eventfds will be kept, all told: 0 or -ENOSPC, if it is more than now. Owner. */
int vfui_account_set_eventfds(struct vfui_account *account, unsigned n);

#endif
