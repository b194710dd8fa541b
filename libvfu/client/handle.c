/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.c - a client's life and options.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "client/call.h"
#include "client/connect.h"
#include "client/dma-table.h"
#include "client/link.h"
#include "client/posts.h"

static int init_locks(struct vfu_client *cl)
{
	int err = vfui_os_mutex_init(&cl->lock);

	if (err)
		return err;
	err = vfui_os_cond_init(&cl->cond);
	if (err)
		goto fini_lock;
	err = vfui_log_limit_init(&cl->log_limit);
	if (err)
		goto fini_cond;
	return 0;
fini_cond:
	vfui_os_cond_fini(&cl->cond);
fini_lock:
	vfui_os_mutex_fini(&cl->lock);
	return err;
}

struct vfu_client *vfu_client_new(void)
{
	struct vfu_client *cl = vfui_os_calloc(1, sizeof(*cl));

	if (!cl)
		return NULL;
	vfui_conn_options_init(&cl->options);
	cl->options.log.limit = &cl->log_limit;
	cl->options.stats = &cl->stats;
	cl->epoll_fd = -1;
	cl->fork_mark = vfui_os_fork_mark();
	if (!cl->fork_mark || init_locks(cl)) {
		vfui_os_free(cl);
		return NULL;
	}
	return cl;
}

void vfu_client_free(struct vfu_client *cl)
{
	if (!cl)
		return;
	if (*cl->fork_mark) {
		vfui_client_disconnect(cl, false);
		vfui_log_flush(&cl->options.log, true);
		vfui_log_limit_fini(&cl->log_limit);
		vfui_os_cond_fini(&cl->cond);
		vfui_os_mutex_fini(&cl->lock);
	} else {
		/* A child's copy: threads that held locks, and were changing what these guard, do not exist here. */
		/* What another thread was freeing is left as it is. */
		vfui_conn_free(cl->is_freeing ? NULL : cl->conn);
		vfui_conn_free(cl->greeting);
		if (vfui_os_is_unlocked(&cl->lock)) {
			vfui_client_table_clear(cl);
			vfui_kept_clear(&cl->kept);
		}
	}
	vfui_client_own_free(cl->left);
	vfui_link_free(cl);
	vfui_client_free_batches(cl);
	vfui_os_close(cl->epoll_fd);
	vfui_os_free(cl->bounce);
	vfui_os_free(cl);
}

/* ---- options, for the next connection, which another thread may be making ---- */

int vfu_client_set(struct vfu_client *cl, enum vfu_option option, uint64_t value)
{
	struct vfu_err err;
	int ret;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	vfui_os_lock(&cl->lock);
	ret = vfui_options_set(&cl->options.set, option, value, &err);
	vfui_os_unlock(&cl->lock);
	return ret ? vfui_client_keep(cl, ret, &err) : 0;
}

int vfu_client_set_capability(struct vfu_client *cl, const char *name, uint64_t value)
{
	struct vfu_err err;
	int ret;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	vfui_os_lock(&cl->lock);
	ret = vfui_caps_choose(&cl->options.set.own, name, value, false, &err);
	vfui_os_unlock(&cl->lock);
	return ret ? vfui_client_keep(cl, ret, &err) : 0;
}

int vfu_client_set_policy(struct vfu_client *cl, const char *field, const char *choice)
{
	struct vfu_err err;
	int ret;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	vfui_os_lock(&cl->lock);
	ret = vfui_options_policy(&cl->options.policy, field, choice, &err);
	vfui_os_unlock(&cl->lock);
	return ret ? vfui_client_keep(cl, ret, &err) : 0;
}

int vfu_client_set_profile(struct vfu_client *cl, const char *profile)
{
	return vfu_client_set_policy(cl, profile, NULL);
}

void vfu_client_set_log(struct vfu_client *cl, vfu_log_fn *fn, void *user)
{
	cl->options.log.fn = fn;
	cl->options.log.user = user;
}

void vfu_client_set_interrupt(struct vfu_client *cl, int (*check)(void *user), void *user)
{
	cl->options.interrupt = check;
	cl->options.interrupt_user = user;
}

/* ---- looking ---- */

/* Of one that was given up: why. */
static int link_status(struct vfu_client *cl, int status)
{
	vfui_os_lock(&cl->lock);
	if (vfui_link_state(cl) == VFUI_LINK_ENDED)
		status = cl->link->report.cause.code;
	vfui_os_unlock(&cl->lock);
	return status;
}

int vfu_client_status(struct vfu_client *cl)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (conn) {
		ret = vfui_conn_status(conn, &err);
		vfui_client_end(cl, ret, &err);
	}
	if (!ret || ret == -EOWNERDEAD || !cl->link)
		return ret;
	return vfui_link_is_live(cl) ? -EINPROGRESS : link_status(cl, ret);
}

/* ---- connecting again ---- */

void vfu_client_set_link(struct vfu_client *cl, vfu_client_link_fn *fn, void *user)
{
	if (!*cl->fork_mark)
		return;
	vfui_os_lock(&cl->lock);
	cl->link_fn = fn;
	cl->link_user = user;
	vfui_os_unlock(&cl->lock);
}

void vfu_client_link(struct vfu_client *cl, struct vfu_link *out)
{
	*out = (struct vfu_link){0};
	if (!*cl->fork_mark || !cl->link)
		return;
	vfui_os_lock(&cl->lock);
	*out = cl->link->report;
	vfui_os_unlock(&cl->lock);
}

/*
 * A connection counts under its own lock, also while it is being made, and while calls of other threads leave
 * it. It stands here until the last has: then it is freed, and counts no more.
 */
void vfu_client_stats(struct vfu_client *cl, struct vfu_stats *out)
{
	struct vfui_conn *conn;

	if (!*cl->fork_mark) {
		*out = cl->stats;
		return;
	}
	vfui_os_lock(&cl->lock);
	conn = cl->greeting ? cl->greeting : cl->is_freeing ? NULL : cl->conn;
	if (conn)
		vfui_conn_stats(conn, out);
	else
		*out = cl->stats;
	vfui_os_unlock(&cl->lock);
}
