/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * irq-wait.c - waiting for an interrupt, and serving the device's DMA meanwhile.
 *
 *	take the count -- there is one ----------------------------------------> 1
 *	     | none
 *	poll: eventfd, sockets, until the deadline or a tick; without any time too, for the end shows there
 *	     |
 *	process: DMA requests, replies of other threads' accesses --- it ends --> error
 *	     |
 *	deadline: 0; signal, tick, many turns: what the interrupt hook says; again
 *
 * The device has the same eventfd, and may take its count or clear O_NONBLOCK between any two of our steps: so nobody sleeps in a read
 * (vfu_eventfd_take). No step holds the connection of the one before.
 */
#include <errno.h>
#include <string.h>

#include "base/eventfd.h"
#include "base/os.h"
#include "client/call.h"
#include "client/link.h"

/* How many turns in a row may find something, before signals are looked at. */
enum { TURNS = 64 };

static int64_t shorter(int64_t a, int64_t b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* Of the client's socket or the eventfd; 0: nothing came. */
static int sleep_once(struct vfu_client *cl, struct pollfd *pfds, int64_t left)
{
	int n = vfu_client_pollfds(cl, pfds + 1, VFUI_CLIENT_PFDS);
	int timeout = vfu_client_timeout(cl);
	int64_t most =
		timeout < 0 ? VFUI_TICK_NS : shorter(timeout * (int64_t)VFUI_MS, VFUI_TICK_NS);
	int came, handled;

	if (n < 0)
		return n;
	came = vfui_os_poll(pfds, (unsigned)n + 1, shorter(left, most));
	/* In any case: who has asked for pollfds is thought to sleep on them. */
	handled = vfu_client_process(cl, 0);
	if (came < 0 || handled < 0)
		return came < 0 && handled >= 0 ? came : handled;
	/* The socket has data but somebody else reads it: do not spin until that thread has run. */
	if (came > 0 && !handled && !pfds[0].revents)
		vfui_os_poll(pfds, 1, shorter(left, VFUI_MS));
	return came;
}

static int wait_for_count(struct vfu_client *cl, int fd, uint64_t deadline, uint64_t *count)
{
	struct pollfd pfds[1 + VFUI_CLIENT_PFDS] = {{.fd = fd, .events = POLLIN}};

	for (unsigned turn = 1;; turn++) {
		int64_t left = vfui_clock_left(&cl->options.clock, deadline);
		int ret = vfu_eventfd_take(fd, count);

		if (ret != -EAGAIN)
			return ret ? ret : 1;
		if (!left && turn > 1)
			return 0;
		ret = sleep_once(cl, pfds, left);
		if (ret < 0 && ret != -EINTR)
			return ret;
		if ((ret <= 0 || turn % TURNS == 0) && vfui_client_is_interrupted(cl))
			return vfui_client_fail(cl, -EINTR, "interrupted");
	}
}

int vfu_client_irq_wait(struct vfu_client *cl, int fd, int timeout_ms, uint64_t *count)
{
	uint64_t deadline;
	int ret, own;
	struct vfui_conn *conn = vfui_client_begin_for(cl, 0, &ret);

	*count = 0;
	if (conn)
		vfui_client_end(cl, 0, NULL);
	else if (ret != -ENOTCONN || !vfui_link_is_live(cl))
		return ret; /* else the turns below see to one, as an event loop does */
	deadline = vfui_clock_deadline(&cl->options.clock, timeout_ms);
	/* The number may mean something else once another thread has closed it. */
	own = vfui_os_dup(fd);
	if (own < 0)
		return vfui_client_fail(cl, own, "the eventfd can not be used");
	ret = wait_for_count(cl, own, deadline, count);
	vfui_os_close(own);
	/* What others have left to this loop. */
	if (ret >= 0)
		vfu_client_flush(cl);
	return ret;
}

/* ---- eventfds of one's own */

static void close_made(int *fds, const bool *is_made, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!is_made[i])
			continue;
		vfui_os_close(fds[i]);
		fds[i] = -1;
	}
}

int vfu_client_irq_enable(struct vfu_client *cl, unsigned index, unsigned start, unsigned count,
			  int *fds)
{
	bool *is_made = vfui_os_calloc(count + 1ul, sizeof(*is_made));
	int ret = is_made ? 0 : -ENOMEM;

	for (unsigned i = 0; i < count && !ret; i++) {
		if (fds[i] >= 0)
			continue;
		fds[i] = vfui_os_eventfd();
		is_made[i] = fds[i] >= 0;
		ret = is_made[i] ? 0 : fds[i];
		fds[i] = is_made[i] ? fds[i] : -1;
	}
	if (ret)
		ret = *cl->fork_mark ? vfui_client_fail(cl, ret, "no eventfds can be made")
				     : -EOWNERDEAD;
	else
		ret = vfu_client_irq_set_eventfds(cl, index, start, count, fds);
	if (ret && is_made)
		close_made(fds, is_made, count);
	vfui_os_free(is_made);
	return ret;
}
