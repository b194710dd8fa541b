/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * run.c - the work of one round, and the loop around it.
 *
 *	begin_round	who woke us? what a gate or another thread has decided; requests held back;
 *	    |		eventfds that the client has signalled
 *	    |
 *	the client	a batch of its messages; in run more batches, while nothing else is due
 *	    |
 *	end_round	the end of the connection; requests held back; now and then the listener
 *
 * vfu_server_process is one round for who has an event loop: it never sleeps, vfu_server_pollfds and
 * vfu_server_timeout (watch.c) say when the next is due. vfu_server_run sleeps in two ways:
 *	on the socket	while nothing but the client's bytes can bring work: the receive itself
 *			sleeps, which spares a poll for each request. Stop and wake-ups are looked at
 *			after every batch; the listener, and whatever comes while it sleeps, when a tick
 *			of 250 ms is over or 1,024 requests have passed.
 *	in poll		else: requests are held back, replies wait for the socket, nobody is connected, or the
 *			client has eventfds to signal to us.
 * Rounds do not nest: in one, is_processing is set, and a callback that calls process or run gets
 * -EDEADLK. A callback that waits for DMA (order.c) reads and serves below the round it was called in.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "server/connection.h"
#include "server/greet.h"
#include "server/handle.h"
#include "server/listener.h"
#include "server/held.h"
#include "server/order.h"
#include "server/watch.h"

/* Requests handled in a round, before others are looked at. */
#define BATCH 64

/* ---- one round ---- */

static bool is_deserted(const struct vfu_server *srv)
{
	return !srv->conn && srv->listen_fd < 0;
}

/* Before the client's requests: what other threads and the device have for us. */
static void begin_round(struct vfu_server *srv)
{
	srv->is_processing = true;
	srv->owner = pthread_self();
	vfui_dma_set_round(&srv->dev->dma, true);
	vfui_server_take_wake(srv);
	vfui_dma_look(&srv->dev->dma);
	if (srv->dev->gate.is_open)
		vfui_device_gate_run(srv->dev);
	if (srv->state == VFUI_SERVER_ENDING)
		vfui_server_end(srv);
	vfui_server_drain(srv);
	vfui_server_review(srv);
	if (vfui_server_has_events(srv))
		vfui_device_take_events(srv->dev);
}

/* rc: what vfui_conn_process said; look: at the listener as well. Requests handled. */
static int end_round(struct vfu_server *srv, int rc, bool look)
{
	unsigned handled = rc > 0 ? (unsigned)rc : 0;

	if (rc >= 0)
		rc = vfui_server_check_greeting(srv);
	if (rc < 0 && srv->conn && srv->state != VFUI_SERVER_ENDING)
		vfui_server_end(srv);
	vfui_server_drain(srv);
	srv->unlooked += handled;
	if (look || srv->unlooked >= VFUI_TICK_REQUESTS)
		vfui_server_look(srv);
	vfui_dma_set_round(&srv->dev->dma, false);
	srv->is_processing = false;
	vfui_server_sync_epoll(srv, false);
	return (int)handled;
}

int vfu_server_process(struct vfu_server *srv, unsigned max)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	if (srv->is_processing || srv->waits)
		return -EDEADLK;
	begin_round(srv);
	if (srv->conn && srv->state != VFUI_SERVER_ENDING)
		rc = vfui_conn_process(srv->conn, max && max < BATCH ? max : BATCH);
	/* Nothing came from the client: then something else has woken us. */
	if (rc <= 0)
		srv->is_wake_suspect = true;
	rc = end_round(srv, rc, rc <= 0);
	return vfui_server_leave(srv) || is_deserted(srv) ? -ENOTCONN : rc;
}

/* ---- the loop ---- */

/* Nothing but the client's socket can bring work that can not wait for a tick. */
static bool is_socket_all(struct vfu_server *srv)
{
	struct pollfd pfds[2];

	return srv->conn && srv->state != VFUI_SERVER_ENDING && !srv->dev->events.n &&
	       !vfui_server_is_holding(srv) && vfui_conn_pollfds(srv->conn, pfds, 2) == 1 &&
	       pfds[0].events == POLLIN;
}

/* Sleeps in the receive itself: one system call less a request than with poll. */
static int run_on_socket(struct vfu_server *srv)
{
	bool look;
	int rc, handled;

	begin_round(srv);
	rc = vfui_conn_process_wait(srv->conn, BATCH, VFUI_TICK_MS);
	look = vfui_server_is_tick_over(srv);
	if (look)
		srv->looked_at = vfui_os_now();
	handled = end_round(srv, rc == -EINTR ? 0 : rc, look);
	return rc == -EINTR ? rc : handled;
}

static int run_on_poll(struct vfu_server *srv)
{
	struct pollfd pfds[VFUI_SERVER_PFDS];
	int n = vfu_server_pollfds(srv, pfds, VFUI_SERVER_PFDS);
	int timeout = vfu_server_timeout(srv);
	int rc;

	if (srv->interrupt && (timeout < 0 || timeout > VFUI_TICK_MS))
		timeout = VFUI_TICK_MS;
	rc = vfui_os_poll(pfds, (unsigned)n, timeout < 0 ? -1 : timeout * (int64_t)VFUI_MS);
	if (rc < 0)
		return rc;
	srv->is_wake_suspect |= pfds[0].revents != 0;
	rc = vfu_server_process(srv, 0);
	return rc == -ENOTCONN ? 0 : rc;
}

/* Whether what a round returned, or the interrupt hook, ends the loop. */
static bool is_interrupted(struct vfu_server *srv, int rc, bool is_tick)
{
	if (rc == -EINTR && srv->interruptible && !atomic_load(&srv->stop))
		return true;
	return (rc <= 0 || is_tick) && srv->interrupt && srv->interrupt(srv->interrupt_user);
}

static int run(struct vfu_server *srv)
{
	while (!atomic_exchange(&srv->stop, false) && !is_deserted(srv) && !srv->is_given_up) {
		uint64_t looked_at = srv->looked_at;
		int rc = is_socket_all(srv) ? run_on_socket(srv) : run_on_poll(srv);

		if (is_interrupted(srv, rc, srv->looked_at != looked_at))
			return -EINTR;
		if (rc < 0 && rc != -EINTR)
			return vfui_err_set(&srv->err, rc, NULL, 0, "run: %s", strerror(-rc));
	}
	return 0;
}

int vfu_server_run(struct vfu_server *srv)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	if (srv->is_processing || srv->waits)
		return vfui_err_set(&srv->err, -EDEADLK, NULL, 0, "the server runs already");
	srv->is_running = true;
	rc = run(srv);
	srv->is_running = false;
	vfui_server_leave(srv);
	return rc;
}
