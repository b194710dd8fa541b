/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-state.c - what a connection is made of: waking those who wait for it, and looking at it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/os.h"
#include "transport/conn-inside.h"

bool vfui_conn_is_forked(const struct vfui_conn *conn)
{
	return vfui_conn_is_child(conn);
}

bool vfui_conn_is_reader(struct vfui_conn *conn)
{
	return vfui_conn_has_role(conn);
}

/* ---- waking ---- */

/* Either the sleeper sees the new number before it sleeps, or we see the sleeper. */
void vfui_conn_event(struct vfui_conn *conn)
{
	atomic_fetch_add(&conn->events, 1);
	if (atomic_load(&conn->sleepers) == 0)
		return;
	vfui_os_lock(&conn->lock);
	vfui_os_cond_broadcast(&conn->cond);
	vfui_os_unlock(&conn->lock);
}

void vfui_conn_wake(struct vfui_conn *conn)
{
	if (vfui_conn_is_child(conn))
		return;
	vfui_conn_event(conn);
	/* The thread that reads looks by itself, when the callback it is in returns. */
	if (!vfui_conn_is_reader(conn))
		vfui_conn_poke(conn);
}

/*
 * An eventfd of our own is written to once until it is emptied; a borrowed one may be emptied by
 * others.
 */
void vfui_conn_poke(struct vfui_conn *conn)
{
	static const uint64_t one = 1;

	if (!atomic_exchange(&conn->is_poked, true) || !conn->owns_wake_fd)
		vfui_os_write(conn->wake_fd, &one, sizeof(one));
}

void vfui_conn_unpoke(struct vfui_conn *conn)
{
	uint64_t count;

	vfui_os_read(conn->wake_fd, &count, sizeof(count));
	atomic_exchange(&conn->is_poked, false);
}

/* ---- looking ---- */

int vfui_conn_status(struct vfui_conn *conn, struct vfu_err *err)
{
	int status;

	if (vfui_conn_is_child(conn))
		return vfui_err_set(err, -EOWNERDEAD, NULL, 0,
				    "this process is a child of the connection's");
	vfui_os_lock(&conn->lock);
	status = conn->status;
	if (err != NULL)
		*err = conn->cause;
	/* What came before may still be there to be read, but nobody can be asked for more. */
	if (status == 0 && conn->out_status != 0)
		status = vfui_err_set(err, conn->out_status, NULL, 0, "%s",
				      conn->closed != NULL ? conn->closed
							   : "the peer closed the connection");
	vfui_os_unlock(&conn->lock);
	return status;
}

struct vfui_limits *vfui_conn_limits(struct vfui_conn *conn)
{
	return &conn->mine;
}

struct vfui_limits *vfui_conn_peer_limits(struct vfui_conn *conn)
{
	return &conn->peers;
}

unsigned vfui_conn_max_fds(struct vfui_conn *conn)
{
	return vfui_min(conn->peers.max_msg_fds, conn->mine.max_msg_fds);
}

const struct vfui_conn_options *vfui_conn_options(const struct vfui_conn *conn)
{
	return &conn->options;
}

const struct vfui_caps *vfui_conn_own(const struct vfui_conn *conn)
{
	return &conn->options.set.own;
}

const struct vfui_policy *vfui_conn_policy(const struct vfui_conn *conn)
{
	return &conn->options.policy;
}

uint64_t vfui_conn_option(const struct vfui_conn *conn, enum vfu_option option)
{
	return conn->options.set.values[option];
}

const struct vfui_log *vfui_conn_log(const struct vfui_conn *conn)
{
	return &conn->options.log;
}

int vfui_conn_fd(const struct vfui_conn *conn)
{
	return conn->main.fd;
}

int vfui_conn_twin_fd(struct vfui_conn *conn)
{
	int fd;

	if (vfui_conn_is_child(conn))
		return -1;
	vfui_os_lock(&conn->lock);
	fd = conn->twin != NULL ? conn->twin->fd : -1;
	vfui_os_unlock(&conn->lock);
	return fd;
}

unsigned vfui_conn_pending(struct vfui_conn *conn)
{
	unsigned n;

	if (vfui_conn_is_child(conn))
		return 0;
	vfui_os_lock(&conn->lock);
	n = conn->pending.nwaiting;
	vfui_os_unlock(&conn->lock);
	return n;
}

void vfui_conn_stats(struct vfui_conn *conn, struct vfu_stats *out)
{
	memset(out, 0, sizeof(*out));
	if (vfui_conn_is_child(conn))
		return;
	vfui_os_lock(&conn->lock);
	*out = *conn->stats;
	vfui_os_unlock(&conn->lock);
}

void vfui_conn_count_drop(struct vfui_conn *conn)
{
	vfui_os_lock(&conn->lock);
	conn->stats->drops++;
	vfui_os_unlock(&conn->lock);
}

void vfui_conn_count_violation(struct vfui_conn *conn)
{
	vfui_os_lock(&conn->lock);
	conn->stats->violations++;
	vfui_os_unlock(&conn->lock);
}

/* Says what is wrong, and whose word is missing for what was not agreed. */
VFUI_APART static int tell(struct vfui_conn *conn, int code, const struct vfui_fault *fault,
			   struct vfu_err *err)
{
	const char *unsaid = vfui_caps_unsaid(&conn->options.set.own, fault->rule);

	vfui_err_fault(err, code, fault);
	if (err != NULL && unsaid != NULL) {
		size_t len = strlen(err->text);

		snprintf(err->text + len, sizeof(err->text) - len, ": %s", unsaid);
	}
	return code;
}

static int check(struct vfui_conn *conn, const struct vfui_msg *msg, struct vfui_fault *fault)
{
	return msg->info->check_request(msg->payload, msg->len, msg->nfds, &conn->mine,
					&conn->options.policy, NULL, fault);
}

/* Checks a message that fails once more, to say why. */
VFUI_APART static int check_and_tell(struct vfui_conn *conn, const struct vfui_msg *msg,
				     struct vfu_err *err)
{
	struct vfui_fault fault = {0};
	int r = check(conn, msg, &fault);

	return tell(conn, r, &fault, err);
}

int vfui_conn_check(struct vfui_conn *conn, const struct vfui_msg *msg, struct vfu_err *err)
{
	return check(conn, msg, NULL) < 0 ? check_and_tell(conn, msg, err) : 0;
}

void vfui_conn_drop_sink(struct vfui_conn *conn, const void *memory, size_t len)
{
	vfui_in_drop_memory(&conn->main.in, memory, len);
	if (conn->twin != NULL)
		vfui_in_drop_memory(&conn->twin->in, memory, len);
	vfui_os_lock(&conn->lock);
	vfui_pend_drop_sinks(&conn->pending, memory, len);
	vfui_os_unlock(&conn->lock);
}

static int check_own(struct vfui_conn *conn, const struct vfui_message *info, const void *payload,
		     size_t len, unsigned nfds, struct vfui_fault *fault)
{
	return info->check_request(payload, len, nfds, &conn->peers, &conn->options.policy, NULL,
				   fault);
}

/* In one piece, to say why it is refused. */
static int check_whole(struct vfui_conn *conn, const struct vfui_message *info, const void *payload,
		       size_t len, unsigned nfds, struct vfu_err *err)
{
	struct vfui_fault fault = {0};
	int r = check_own(conn, info, payload, len, nfds, &fault);

	return r < 0 ? tell(conn, r, &fault, err) : 0;
}

/* The check looks at more than the fixed part, which is not in one piece, or it fails. */
VFUI_APART static int check_slowly(struct vfui_conn *conn, const struct vfui_message *info,
				   const struct iovec *iov, int niov, size_t len, unsigned nfds,
				   struct vfu_err *err)
{
	struct vfui_buf all = {0};
	int r;

	if (vfui_conn_is_withheld(conn, info))
		return vfui_err_set(err, -ENOSYS, NULL, 0,
				    "%s: not sent to servers that know basic commands alone (E71)",
				    info->name);
	if (info->request_flat || niov <= 1)
		return check_whole(conn, info, niov > 0 ? iov->iov_base : NULL, len, nfds, err);
	if (vfui_buf_init(&all, len) < 0)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "no memory to check a request");
	for (int i = 0; i < niov; i++)
		vfui_buf_append(&all, iov[i].iov_base, iov[i].iov_len);
	r = check_whole(conn, info, all.data, len, nfds, err);
	vfui_buf_fini(&all);
	return r;
}

int vfui_conn_check_own(struct vfui_conn *conn, unsigned command, const struct iovec *iov, int niov,
			unsigned nfds, struct vfu_err *err)
{
	const struct vfui_message *info = vfui_message(command);
	size_t len = 0;

	for (int i = 0; i < niov; i++)
		len += iov[i].iov_len;
	if (info == NULL)
		info = &vfui_message_unknown;
	if ((info->request_flat || niov <= 1) && !vfui_conn_is_withheld(conn, info) &&
	    check_own(conn, info, niov > 0 ? iov->iov_base : NULL, len, nfds, NULL) >= 0)
		return 0;
	return check_slowly(conn, info, iov, niov, len, nfds, err);
}
