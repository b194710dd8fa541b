/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * link.c - the state of a client that connects again by itself.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/os.h"
#include "client/link.h"

int vfui_link_prepare(struct vfu_client *cl, const char *address, const struct vfui_conn_ops *ops)
{
	struct vfui_link *link = cl->link;
	bool wants = address && vfui_client_option(cl, VFU_OPT_RECONNECT_MS);

	if (link)
		link->is_wanted = false;
	if (!wants)
		return 0;
	if (!link) {
		link = vfui_os_calloc(1, sizeof(*link));
		if (!link)
			return -ENOMEM;
		link->wake_fd = vfui_os_eventfd();
		if (link->wake_fd < 0) {
			int ret = link->wake_fd;

			vfui_os_free(link);
			return ret;
		}
	}
	vfui_os_lock(&cl->lock);
	cl->link = link;
	vfui_os_free(link->address);
	link->address = vfui_os_strdup(address);
	link->ops = ops;
	link->is_different = false;
	link->backoff = (struct vfui_backoff){0};
	link->report = (struct vfu_link){0};
	link->last = (struct vfu_err){0};
	link->is_wanted = link->address;
	vfui_os_unlock(&cl->lock);
	return link->is_wanted ? 0 : -ENOMEM;
}

void vfui_link_start(struct vfu_client *cl)
{
	if (!vfui_link_is_wanted(cl))
		return;
	cl->link->up_since = vfui_clock_now(&cl->options.clock);
	atomic_store(&cl->link->state, VFUI_LINK_UP);
}

void vfui_link_stop(struct vfu_client *cl)
{
	if (!cl->link)
		return;
	atomic_store(&cl->link->state, VFUI_LINK_NONE);
	cl->link->nuntold = 0;
	vfui_recall_clear(&cl->link->recall);
}

void vfui_link_free(struct vfu_client *cl)
{
	if (!cl->link)
		return;
	vfui_recall_clear(&cl->link->recall);
	vfui_os_close(cl->link->wake_fd);
	vfui_os_free(cl->link->address);
	vfui_os_free(cl->link);
}

void vfui_link_wake(struct vfu_client *cl)
{
	static const uint64_t one = 1;

	if (cl->link)
		vfui_os_write(cl->link->wake_fd, &one, sizeof(one));
}

void vfui_link_schedule(struct vfu_client *cl, const struct vfu_err *cause)
{
	const struct vfui_clock *clock = &cl->options.clock;
	struct vfui_link *link = cl->link;
	bool is_over = link->is_different || !vfui_clock_left(clock, link->give_up);

	link->due = vfui_clock_now(clock) + vfui_backoff_next(&link->backoff);
	link->last = *cause;
	atomic_store(&link->state, is_over ? VFUI_LINK_ENDED : VFUI_LINK_DOWN);
	if (!is_over)
		return;
	link->report.cause = *cause;
	vfui_link_note(cl, VFU_LINK_ENDED);
}

void vfui_link_note(struct vfu_client *cl, enum vfu_link_event event)
{
	struct vfui_link *link = cl->link;

	link->report.event = event;
	if (link->nuntold < VFUI_LINK_EVENTS)
		link->untold[link->nuntold++] = link->report;
}

/* With the lock, which is given up meanwhile. */
static void tell_first(struct vfu_client *cl)
{
	struct vfui_link *link = cl->link;
	const struct vfu_link report = link->untold[0];
	vfu_client_link_fn *fn = cl->link_fn;
	void *user = cl->link_user;

	memmove(&link->untold[0], &link->untold[1], --link->nuntold * sizeof(link->untold[0]));
	vfui_os_unlock(&cl->lock);
	if (fn)
		fn(user, &report);
	vfui_os_lock(&cl->lock);
}

void vfui_link_tell(struct vfu_client *cl)
{
	struct vfui_link *link = cl->link;
	bool is_told = false;

	vfui_os_lock(&cl->lock);
	if (!link->is_telling) {
		is_told = link->nuntold;
		link->teller = pthread_self();
		link->is_telling = is_told;
		while (link->nuntold)
			tell_first(cl);
		link->is_telling = false;
		vfui_os_cond_broadcast(&cl->cond);
	}
	vfui_os_unlock(&cl->lock);
	if (is_told)
		vfui_link_wake(cl);
}

/* Writes without an answer of which nothing tells that the device has seen them. */
static uint64_t lost_posts(struct vfui_link *link)
{
	uint64_t posted = atomic_load(&link->posted);

	return posted - atomic_exchange(&link->seen, posted);
}

/* The connection that calls used has ended. With the lock. */
static void note_loss(struct vfu_client *cl, const struct vfu_err *cause)
{
	const struct vfui_clock *clock = &cl->options.clock;
	struct vfui_link *link = cl->link;

	link->report.cause = *cause;
	link->report.attempts = 0;
	link->report.state = VFU_DEVICE_STATE_UNKNOWN;
	link->report.posts = lost_posts(link);
	/* One that comes and goes all the time is not asked all the time: not before half of it. */
	if (vfui_clock_now(clock) - link->up_since > link->backoff.last)
		link->backoff = (struct vfui_backoff){0};
	link->give_up =
		vfui_clock_deadline(clock, (int64_t)cl->options.set.values[VFU_OPT_RECONNECT_MS]);
	vfui_link_note(cl, VFU_LINK_LOST);
}

void vfui_link_look(struct vfu_client *cl)
{
	struct vfu_err cause;
	bool is_first;
	int state;

	if (!vfui_link_is_live(cl) || !vfui_conn_status(cl->conn, &cause))
		return;
	vfui_os_lock(&cl->lock);
	state = vfui_link_state(cl);
	is_first = vfui_link_is_live(cl) && !cl->is_closing;
	if (is_first) {
		cl->usable = NULL;
		cl->is_closing = true;
		if (state == VFUI_LINK_UP || state == VFUI_LINK_TOLD)
			note_loss(cl, &cause);
		vfui_link_schedule(cl, &cause);
	}
	vfui_os_unlock(&cl->lock);
	if (!is_first)
		return;
	vfui_conn_fail(cl->conn, &cause);
	vfui_link_tell(cl);
}

/* The last attempt, or that of a caller who comes late, has at least the time of one answer. With the lock. */
void vfui_link_begin_replay(struct vfu_client *cl)
{
	uint64_t least = cl->options.set.values[VFU_OPT_TIMEOUT_MS];
	uint64_t until;

	if (!least)
		least = cl->options.set.values[VFU_OPT_RECONNECT_MS];
	until = vfui_clock_deadline(&cl->options.clock, (int64_t)least);
	cl->link->until = until > cl->link->give_up ? until : cl->link->give_up;
	atomic_store(&cl->link->state, VFUI_LINK_REPLAY);
}

int vfui_link_time(struct vfu_client *cl)
{
	uint64_t most;
	int64_t left;

	vfui_os_lock(&cl->lock);
	most = cl->options.set.values[VFU_OPT_TIMEOUT_MS];
	left = vfui_clock_left(&cl->options.clock, cl->link->until);
	vfui_os_unlock(&cl->lock);
	left = (left + (int64_t)VFUI_MS - 1) / (int64_t)VFUI_MS;
	return (int)vfui_min(most ? most : INT_MAX, (uint64_t)left);
}

void vfui_link_restart(struct vfu_client *cl, const char *why)
{
	struct vfu_err cause;

	vfui_err_set(&cause, -ENOTCONN, NULL, 0, "%s", why);
	vfui_os_lock(&cl->lock);
	if (vfui_link_is_live(cl) && cl->conn && !cl->is_closing)
		vfui_conn_fail(cl->conn, &cause);
	vfui_os_unlock(&cl->lock);
}
