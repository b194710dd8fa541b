/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * account.c - memory that a peer makes us keep.
 */
#include "base/account.h"

#include "base/os.h"

struct vfui_account *vfui_account_new(void)
{
	struct vfui_account *account = vfui_os_calloc(1, sizeof(*account));

	if (!account)
		return NULL;
	atomic_store(&account->refs, 1);
	atomic_store(&account->max_fds, VFUI_FDS_KEPT);
	return account;
}

struct vfui_account *vfui_account_ref(struct vfui_account *account)
{
	atomic_fetch_add(&account->refs, 1);
	return account;
}

void vfui_account_unref(struct vfui_account *account)
{
	if (account && atomic_fetch_sub(&account->refs, 1) == 1)
		vfui_os_free(account);
}

int vfui_account_take(struct vfui_account *account, size_t bytes)
{
	size_t limit = atomic_load(&account->limit), all = 0, own;

	for (int pot = 0; pot < VFUI_POTS; pot++)
		all += vfui_account_used(account, (enum vfui_pot)pot);
	own = atomic_fetch_add(&account->used[VFUI_DMA], bytes);
	if (!own || (all < limit && bytes <= limit - all))
		return 0;
	atomic_fetch_sub(&account->used[VFUI_DMA], bytes);
	return -ENOBUFS;
}

void vfui_account_limit(struct vfui_account *account, size_t bytes)
{
	atomic_store(&account->limit, bytes);
	atomic_store(&account->max_fds, vfui_min(vfui_os_max_fds() / 2, VFUI_FDS_KEPT));
}

int vfui_account_take_file(struct vfui_account *account)
{
	unsigned n = atomic_fetch_add(&account->files, 1) + 1;

	if (n + atomic_load(&account->eventfds) <= atomic_load(&account->max_fds))
		return 0;
	vfui_account_put_file(account);
	return -ENOSPC;
}

void vfui_account_put_file(struct vfui_account *account)
{
	atomic_fetch_sub(&account->files, 1);
}

int vfui_account_set_eventfds(struct vfui_account *account, unsigned n)
{
	if (n > atomic_load(&account->eventfds) &&
	    n + atomic_load(&account->files) > atomic_load(&account->max_fds))
		return -ENOSPC;
	atomic_store(&account->eventfds, n);
	return 0;
}
