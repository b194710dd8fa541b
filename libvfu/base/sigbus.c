/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * sigbus.c - memory that can vanish.
 *
 * Who maps a file that somebody else can cut gets SIGBUS where the file has ended (or its filesystem is
 * full), in the middle of any instruction. Asking before does not help, the file may be cut just after;
 * and jumping out of a handler is not defined with Python's or anybody's frames in between. So the
 * handler gives the instruction memory to go on with, and a mark tells the library afterwards.
 *
 *     copy                                  handler (any thread, at any moment)
 *     ----                                  -------
 *     is_lost? -EFAULT
 *     memcpy ---- SIGBUS at address ------> look the address up in the table
 *        :                                  mark what it hits as lost        (before the next line, so
 *        :                                  put anonymous pages over it       that who reads the zeros
 *     memcpy ends <------------------------ return                           finds the mark)
 *     is_lost? -EFAULT
 *
 * All of a range goes, not a page: then a peer can not make us split a mapping in thousands, and data
 * from before and after never stand side by side. The handler may do little: no locks, no allocation.
 * So a place in the table, once made, stays for as long as the process, and "turn" says what it is:
 *
 *     turn % 4:  0 free --claim--> 1 --fill--> 2 live --empty--> 3 --> 0 free, one lap further
 *
 * Whoever reads a place reads its turn before and after: unless it is live and the same both times, the
 * place watches no memory that anybody uses just now. Half of the places stay free, so that claiming one
 * needs no list: the next free one behind a cursor is near.
 */
#include "base/sigbus.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "base/os.h"
#include "base/util.h"

enum { FREE, FILLING, LIVE, EMPTYING, TURNS };

/* Blocks of places, each twice the one before. The first is there from the start. */
#define BLOCKS 24
#define FIRST_BLOCK 64u

static struct vfu_watch first_block[FIRST_BLOCK];
static _Atomic(struct vfu_watch *) blocks[BLOCKS] = {first_block};
static atomic_uint nwatches, cursor;

static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_guarded;
static struct sigaction previous; /* fixed before our handler can run */
static atomic_bool previous_is_spent;

/* ---- the table --------------------------------------------------------------------------------- */

static unsigned block_size(unsigned block)
{
	return FIRST_BLOCK << block;
}

static unsigned count_places(void)
{
	unsigned n = 0;

	for (unsigned block = 0; block < BLOCKS && atomic_load(&blocks[block]); block++)
		n += block_size(block);
	return n;
}

static struct vfu_watch *place_at(unsigned i)
{
	unsigned block = 0;

	for (; i >= block_size(block); block++)
		i -= block_size(block);
	return &atomic_load(&blocks[block])[i];
}

/* One more block; another thread may be first, which is as good. */
static int grow(void)
{
	struct vfu_watch *new, *none = NULL;
	unsigned block = 0;
	int rc = -ENOMEM;

	while (block < BLOCKS && atomic_load(&blocks[block]))
		block++;
	if (block == BLOCKS)
		return -ENOMEM;
	/* Not from the heap: it is never given back. */
	new = vfui_os_mmap(block_size(block) * sizeof(*new), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &rc);
	if (!new)
		return rc;
	if (!atomic_compare_exchange_strong(&blocks[block], &none, new))
		vfui_os_munmap(new, block_size(block) * sizeof(*new));
	return 0;
}

static bool claim(struct vfu_watch *place)
{
	unsigned turn = atomic_load(&place->turn);

	return turn % TURNS == FREE &&
	       atomic_compare_exchange_strong(&place->turn, &turn, turn + 1);
}

struct vfu_watch *vfu_watch_new(void *addr, size_t len)
{
	uintptr_t page = vfui_os_page_size() - 1, first = (uintptr_t)addr;
	struct vfu_watch *place;
	unsigned n = atomic_fetch_add(&nwatches, 1) + 1;

	if (!len || len - 1 > UINTPTR_MAX - first)
		goto fail;
	while (n > count_places() / 2) {
		if (grow() < 0)
			goto fail;
	}
	do
		place = place_at(atomic_fetch_add(&cursor, 1) % count_places());
	while (!claim(place));
	atomic_store(&place->first, first & ~page);
	atomic_store(&place->last, (first + (len - 1)) | page);
	atomic_store(&place->is_lost, false);
	atomic_store(&place->is_told, false);
	atomic_fetch_add(&place->turn, LIVE - FILLING);
	return place;
fail:
	atomic_fetch_sub(&nwatches, 1);
	return NULL;
}

void vfu_watch_free(struct vfu_watch *watch)
{
	if (!watch)
		return;
	atomic_fetch_add(&watch->turn, EMPTYING - LIVE);
	atomic_fetch_add(&watch->turn, TURNS - EMPTYING);
	atomic_fetch_sub(&nwatches, 1);
}

bool vfu_watch_is_lost(const struct vfu_watch *watch)
{
	return vfui_watch_is_lost(watch);
}

bool vfui_watch_tell(struct vfu_watch *watch)
{
	return vfui_watch_is_lost(watch) && !atomic_exchange(&watch->is_told, true);
}

/* A stretch of memory, last byte inclusive; empty: last < first. */
struct stretch {
	uintptr_t first, last;
};

static bool is_live(struct vfu_watch *place, struct stretch *out)
{
	unsigned turn = atomic_load(&place->turn);

	*out = (struct stretch){atomic_load(&place->first), atomic_load(&place->last)};
	return turn % TURNS == LIVE && atomic_load(&place->turn) == turn;
}

/* The next live place from *i on that has memory in common with in; *out: all of its memory. NULL: none. */
static struct vfu_watch *next_in(unsigned *i, struct stretch in, struct stretch *out)
{
	for (unsigned n = count_places(); *i < n;) {
		struct vfu_watch *place = place_at((*i)++);

		if (is_live(place, out) && out->first <= in.last && in.first <= out->last)
			return place;
	}
	return NULL;
}

/* ---- the handler ------------------------------------------------------------------------------- */

/* Puts other memory where address was, if it is watched. Ranges may overlap: all that is touched is lost. */
static bool replace(uintptr_t address)
{
	struct stretch all = {UINTPTR_MAX, 0}, one;
	struct vfu_watch *place;

	for (unsigned i = 0; next_in(&i, (struct stretch){address, address}, &one);) {
		all.first = vfui_min(all.first, one.first);
		all.last = one.last > all.last ? one.last : all.last;
	}
	if (all.last < all.first)
		return false;
	for (unsigned i = 0; (place = next_in(&i, all, &one));)
		atomic_store(&place->is_lost, true);
	return vfui_os_mmap_over((void *)all.first, all.last - all.first + 1) == 0;
}

/* The memory itself failed, under the instruction that was interrupted, which runs again on return. */
static bool is_fault(const siginfo_t *info)
{
	return info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR;
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
	bool is_default = previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN;

	if (previous.sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	if (is_default ||
	    (previous.sa_flags & (int)SA_RESETHAND && atomic_exchange(&previous_is_spent, true))) {
		vfui_os_signal_default(sig);
		/* What was sent, or told late, does not happen again by itself. */
		if (!is_fault(info))
			vfui_os_raise(sig);
	} else if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(sig, info, context);
	} else {
		previous.sa_handler(sig);
	}
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	int error = errno;

	if (!is_fault(info) || !replace((uintptr_t)info->si_addr))
		pass_on(sig, info, context);
	errno = error;
}

static int install(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_ONSTACK | SA_RESTART};
	int rc = vfui_os_sigaction(SIGBUS, NULL, &previous);

	if (rc < 0)
		return rc;
	/* The handler that was there runs as it wanted to. */
	if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		action.sa_flags = previous.sa_flags & (SA_ONSTACK | SA_RESTART | SA_NODEFER);
		action.sa_mask = previous.sa_mask;
	}
	action.sa_flags |= SA_SIGINFO;
	rc = vfui_os_sigaction(SIGBUS, &action, NULL);
	atomic_store(&is_guarded, rc == 0);
	return rc;
}

bool vfui_sigbus_is_guarded(void)
{
	return atomic_load(&is_guarded);
}

int vfu_sigbus_guard(void)
{
	int rc = 0;

	vfui_os_lock(&guard_lock);
	if (!atomic_load(&is_guarded))
		rc = install();
	vfui_os_unlock(&guard_lock);
	return rc;
}

/* ---- memory that the system uses for us -------------------------------------------------------- */

/* Compilers make a load of an operation that adds nothing, but not of this one. */
static void write_back(_Atomic uint8_t *at)
{
	uint8_t byte = atomic_load(at);

	atomic_compare_exchange_strong(at, &byte, byte);
}

static void touch(struct stretch part, bool to_write)
{
	uintptr_t page = vfui_os_page_size();

	for (uintptr_t at = part.first;; at = (at | (page - 1)) + 1) {
		/* Adds nothing, so that it is not seen by others who use the memory. */
		if (to_write)
			write_back((_Atomic uint8_t *)at);
		else
			(void)*(volatile const uint8_t *)at;
		if ((at | (page - 1)) >= part.last)
			return;
	}
}

bool vfui_watch_probe(const struct vfu_watch *watch, const void *addr, size_t len)
{
	uintptr_t first = (uintptr_t)addr;

	if (watch && len && atomic_load(&is_guarded))
		touch((struct stretch){first, first + (len - 1)}, false);
	return vfui_watch_is_lost(watch);
}

bool vfui_watch_touch(const struct iovec *iov, unsigned n, bool to_write)
{
	struct vfu_watch *place;
	struct stretch one;
	bool any = false;

	for (unsigned k = 0; atomic_load(&is_guarded) && k < n; k++) {
		struct stretch in = {(uintptr_t)iov[k].iov_base,
				     (uintptr_t)iov[k].iov_base + (iov[k].iov_len - 1)};

		if (!iov[k].iov_len)
			continue;
		for (unsigned i = 0; (place = next_in(&i, in, &one));) {
			struct stretch both = {in.first > one.first ? in.first : one.first,
					       vfui_min(in.last, one.last)};

			bool was_lost = vfui_watch_is_lost(place);

			touch(both, to_write);
			any |= !was_lost && vfui_watch_is_lost(place);
		}
	}
	return any;
}
