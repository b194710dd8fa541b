/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * users.c - who uses a client's connection.
 *
 *	hold   users + 1, then: is there a usable one?  no: users - 1
 *	close  there is none; is_closing
 *	leave  users - 1: if that was the last, and is_closing, the connection is freed
 *
 * Hold and leave take no lock. Who holds counts before he looks, so who closes later, himself a user, is not the last; one who
 * comes too late may be, and frees what he never had. Two may be the last then: the lock says which (is_freeing).
 *
 * Callbacks in an event loop start one request after another: the loop's own use stands for theirs (looper).
 */
#include "base/os.h"
#include "client/dma-table.h"
#include "client/link.h"
#include "client/users.h"
#include "client/watch.h"

bool vfui_client_begin_loop(struct vfu_client *cl)
{
	pthread_t nobody = 0;

	return atomic_compare_exchange_strong(&cl->looper, &nobody, pthread_self());
}

void vfui_client_end_loop(struct vfu_client *cl)
{
	atomic_store(&cl->looper, 0);
}

struct vfui_conn *vfui_client_hold(struct vfu_client *cl)
{
	struct vfui_conn *conn;

	vfui_client_join(cl);
	conn = atomic_load(&cl->usable);
	if (!conn)
		vfui_client_leave(cl);
	return conn;
}

struct vfui_conn *vfui_client_hold_any(struct vfu_client *cl)
{
	struct vfui_conn *conn;

	vfui_os_lock(&cl->lock);
	conn = cl->is_closing ? NULL : cl->conn;
	if (conn)
		vfui_client_join(cl);
	vfui_os_unlock(&cl->lock);
	return conn;
}

bool vfui_client_is_in_callback(struct vfu_client *cl)
{
	if (vfui_link_is_teller(cl))
		return true;
	return cl->is_freeing ? pthread_equal(cl->closer, pthread_self())
			      : vfui_conn_is_reader(cl->conn);
}

bool vfui_client_is_interrupted(struct vfu_client *cl)
{
	return cl->options.interrupt && cl->options.interrupt(cl->options.interrupt_user);
}

/* Memory stays the device's, and what a fence is to tell is kept, where there is going to be another connection, or was to be. */
static void forget(struct vfu_client *cl)
{
	if (vfui_link_state(cl) == VFUI_LINK_NONE) {
		vfui_client_table_clear(cl);
		vfui_link_stop(cl);
		cl->map_error = 0;
	}
	vfui_kept_clear(&cl->kept);
}

/* There was nobody, a moment ago, and it is being closed. */
VFUI_APART static void end_last(struct vfu_client *cl)
{
	struct vfui_conn *conn = NULL;

	vfui_os_lock(&cl->lock);
	if (cl->is_closing && !cl->is_freeing && atomic_load(&cl->users) == 0) {
		conn = cl->conn;
		cl->is_freeing = true;
		cl->closer = pthread_self();
	}
	vfui_os_unlock(&cl->lock);
	if (!conn)
		return;
	vfui_client_sync_epoll(cl, NULL);
	vfui_conn_free(conn);
	vfui_log_flush(&cl->options.log, false);
	vfui_os_lock(&cl->lock);
	forget(cl);
	cl->conn = NULL;
	cl->connection++;
	cl->is_closing = false;
	cl->is_freeing = false;
	vfui_os_cond_broadcast(&cl->cond);
	vfui_os_unlock(&cl->lock);
	vfui_link_wake(cl);
}

void vfui_client_leave(struct vfu_client *cl)
{
	if (!vfui_client_is_looper(cl) && vfui_os_count(&cl->users, -1) == 1 &&
	    atomic_load(&cl->is_closing))
		end_last(cl);
}
