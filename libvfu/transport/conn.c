/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn.c - a connection's life, limits, options and counters.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "transport/conn-private.h"

#define MIB (UINT64_C(1) << 20)

struct option_range {
	uint64_t min, max, dflt;
};

static const struct option_range option_ranges[VFU_OPTIONS] = {
	[VFU_OPT_TIMEOUT_MS] = {0, INT32_MAX, 5000},
	[VFU_OPT_MAX_MSG_FDS] = {1, VFUI_FDS_MAX, 16},
	[VFU_OPT_MAX_DATA_XFER_SIZE] = {4096, VFUI_XFER_MAX, MIB},
	[VFU_OPT_MAX_DMA_MAPS] = {1, 65535, 65535},
	[VFU_OPT_QUEUE_BYTES] = {65536, 1024 * MIB, 4 * MIB},
	[VFU_OPT_DMA_WINDOW] = {1, 1024, 16},
	[VFU_OPT_DMA_READ_BYTES] = {4096, VFUI_XFER_MAX, 131072},
	[VFU_OPT_BUSY_POLL_US] = {0, 1000, 0},
	[VFU_OPT_POSTED] = {0, 1, 1},
	[VFU_OPT_WRITE_MULTIPLE] = {0, 1, 1},
	[VFU_OPT_TRACE] = {0, 1, 0},
};

void vfui_options_init(uint64_t values[VFU_OPTIONS])
{
	for (unsigned i = 0; i < VFU_OPTIONS; i++)
		values[i] = option_ranges[i].dflt;
}

int vfui_options_set(uint64_t values[VFU_OPTIONS], enum vfu_option option, uint64_t value)
{
	if ((unsigned)option >= VFU_OPTIONS || value < option_ranges[option].min ||
	    value > option_ranges[option].max)
		return -EINVAL;
	values[option] = value;
	return 0;
}

void vfui_conn_options_init(struct vfui_conn_options *options)
{
	memset(options, 0, sizeof(*options));
	vfui_options_init(options->values);
	options->wake_fd = -1;
}

/* ---- life ---- */

/*
 * What holds before VERSION: our options for what we accept, the protocol's defaults for the peer.
 */
static void init_limits(struct vfui_conn *conn)
{
	const uint64_t *values = conn->options.values;

	conn->mine.max_msg_fds = (uint32_t)values[VFU_OPT_MAX_MSG_FDS];
	conn->mine.max_data_xfer_size = values[VFU_OPT_MAX_DATA_XFER_SIZE];
	conn->mine.max_dma_maps = (uint32_t)values[VFU_OPT_MAX_DMA_MAPS];
	conn->mine.pgsize = 4096;
	conn->peers = (struct vfui_limits){
		.max_msg_fds = 1, .max_data_xfer_size = MIB, .max_dma_maps = 65535, .pgsize = 4096};
}

/* What may fail. Nothing is undone here: vfui_conn_free copes with any part missing. */
static int open_parts(struct vfui_conn *conn)
{
	conn->fork_mark = vfui_os_fork_mark_new();
	if (conn->fork_mark == NULL)
		return -ENOMEM;
	if (conn->wake_fd < 0) {
		conn->wake_fd = vfui_os_eventfd();
		conn->owns_wake_fd = true;
	}
	return conn->wake_fd < 0 ? conn->wake_fd : vfui_in_init(&conn->in);
}

struct vfui_conn *vfui_conn_new(int fd, bool server, const struct vfui_conn_options *options,
				const struct vfui_conn_ops *ops, void *ctx)
{
	struct vfui_conn *conn = vfui_os_calloc(1, sizeof(*conn));

	if (conn == NULL || vfui_os_mutex_init(&conn->lock) != 0) {
		vfui_os_free(conn);
		vfui_os_close(fd);
		return NULL;
	}
	if (vfui_os_cond_init(&conn->cond) != 0) {
		vfui_os_mutex_fini(&conn->lock);
		vfui_os_free(conn);
		vfui_os_close(fd);
		return NULL;
	}
	conn->fd = fd;
	conn->is_server = server;
	conn->ops = ops;
	conn->ctx = ctx;
	conn->options = *options;
	conn->stats = options->stats != NULL ? options->stats : &conn->own_stats;
	conn->wake_fd = options->wake_fd;
	vfui_outq_init(&conn->out);
	vfui_pend_init(&conn->pending);
	init_limits(conn);
	if (open_parts(conn) != 0) {
		vfui_conn_free(conn);
		return NULL;
	}
	return conn;
}

void vfui_conn_free(struct vfui_conn *conn)
{
	if (conn == NULL)
		return;
	/*
	 * A child after fork() shares the socket with its parent, who is still using it, and its
	 * locks may be held by threads that do not exist here.
	 */
	if (!vfui_conn_is_forked(conn)) {
		vfui_conn_break(conn, -ENOTCONN, "the connection was closed");
		vfui_conn_end_pending(conn);
		vfui_os_cond_fini(&conn->cond);
		vfui_os_mutex_fini(&conn->lock);
	}
	vfui_os_close(conn->fd);
	if (conn->owns_wake_fd)
		vfui_os_close(conn->wake_fd);
	vfui_in_fini(&conn->in);
	vfui_outq_fini(&conn->out);
	vfui_pend_fini(&conn->pending);
	vfui_os_fork_mark_free(conn->fork_mark);
	vfui_os_free(conn);
}

bool vfui_conn_is_forked(const struct vfui_conn *conn)
{
	return vfui_conn_is_child(conn);
}

/* ---- the end ---- */

void vfui_conn_fail(struct vfui_conn *conn, const struct vfu_err *cause)
{
	bool is_first;

	if (vfui_conn_is_forked(conn))
		return;
	vfui_os_lock(&conn->lock);
	is_first = conn->status == 0;
	if (is_first) {
		conn->cause = *cause;
		if (conn->cause.code >= 0)
			conn->cause.code = -EPROTO;
		/* What was answered before is still good, if it can go at once. */
		vfui_conn_flush_locked(conn);
		vfui_conn_end_out(conn);
		conn->status = conn->cause.code;
	}
	vfui_os_unlock(&conn->lock);
	if (is_first)
		vfui_conn_wake(conn);
}

int vfui_conn_break(struct vfui_conn *conn, int code, const char *text)
{
	struct vfu_err cause;

	vfui_err_set(&cause, code, NULL, 0, "%s", text);
	vfui_conn_fail(conn, &cause);
	return code;
}

int vfui_conn_violation(struct vfui_conn *conn, const char *fmt, ...)
{
	struct vfu_err cause;
	char text[sizeof(cause.text)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	vfui_conn_count_violation(conn);
	vfui_log(&conn->options.log, VFU_LOG_ERROR, "protocol violation: %s", text);
	return vfui_conn_break(conn, -EPROTO, text);
}

int vfui_conn_status(struct vfui_conn *conn, struct vfu_err *err)
{
	int status;

	if (vfui_conn_is_forked(conn))
		return vfui_err_set(err, -EOWNERDEAD, NULL, 0,
				    "this process is a child of the connection's");
	vfui_os_lock(&conn->lock);
	status = conn->status;
	if (err != NULL)
		*err = conn->cause;
	/* What came before may still be there to be read, but nobody can be asked for more. */
	if (status == 0 && conn->out_status != 0)
		status = vfui_err_set(err, conn->out_status, NULL, 0,
				      "the peer closed the connection");
	vfui_os_unlock(&conn->lock);
	return status;
}

void vfui_conn_end_pending(struct vfui_conn *conn)
{
	for (;;) {
		struct vfui_pend *pend;
		vfui_done_fn *done;
		void *user;

		vfui_os_lock(&conn->lock);
		pend = vfui_pend_first(&conn->pending);
		if (pend == NULL) {
			vfui_os_unlock(&conn->lock);
			return;
		}
		done = pend->done;
		user = pend->user;
		vfui_pend_remove(&conn->pending, pend);
		conn->is_direct = false;
		vfui_os_unlock(&conn->lock);
		done(user, -ENOTCONN, NULL);
		vfui_conn_event(conn);
	}
}

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
	if (vfui_conn_is_forked(conn))
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

struct vfui_limits *vfui_conn_limits(struct vfui_conn *conn)
{
	return &conn->mine;
}

struct vfui_limits *vfui_conn_peer_limits(struct vfui_conn *conn)
{
	return &conn->peers;
}

const struct vfui_policy *vfui_conn_policy(const struct vfui_conn *conn)
{
	return &conn->options.policy;
}

uint64_t vfui_conn_option(const struct vfui_conn *conn, enum vfu_option option)
{
	return conn->options.values[option];
}

const struct vfui_log *vfui_conn_log(const struct vfui_conn *conn)
{
	return &conn->options.log;
}

int vfui_conn_fd(const struct vfui_conn *conn)
{
	return conn->fd;
}

unsigned vfui_conn_pending(struct vfui_conn *conn)
{
	unsigned n;

	if (vfui_conn_is_forked(conn))
		return 0;
	vfui_os_lock(&conn->lock);
	n = conn->pending.nwaiting;
	vfui_os_unlock(&conn->lock);
	return n;
}

void vfui_conn_stats(struct vfui_conn *conn, struct vfu_stats *out)
{
	memset(out, 0, sizeof(*out));
	if (vfui_conn_is_forked(conn))
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

	return vfui_err_fault(err, r, &fault);
}

int vfui_conn_check(struct vfui_conn *conn, const struct vfui_msg *msg, struct vfu_err *err)
{
	return check(conn, msg, NULL) < 0 ? check_and_tell(conn, msg, err) : 0;
}
