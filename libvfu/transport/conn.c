/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn.c - a connection's life and options.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "transport/sock.h"
#include "transport/conn.h"
#include "transport/conn-inside.h"
#include "transport/conn-out.h"
#include "transport/conn-read.h"

#define MIB (UINT64_C(1) << 20)

/* Some are another name for a capability of VERSION, whose range the spec knows. */
struct option_range {
	uint64_t min, max, dflt;
	const char *capability;
};

static const struct option_range option_ranges[VFU_OPTIONS] = {
	[VFU_OPT_TIMEOUT_MS] = {0, INT32_MAX, 5000},
	[VFU_OPT_MAX_MSG_FDS] = {.capability = "max_msg_fds"},
	[VFU_OPT_MAX_DATA_XFER_SIZE] = {.capability = "max_data_xfer_size"},
	[VFU_OPT_MAX_DMA_MAPS] = {.capability = "max_dma_maps"},
	[VFU_OPT_QUEUE_BYTES] = {65536, 1024 * MIB, 4 * MIB},
	[VFU_OPT_DMA_WINDOW] = {1, 1024, 16},
	[VFU_OPT_DMA_READ_BYTES] = {4096, 16 * MIB, 131072},
	[VFU_OPT_DMA_BOUNCE_BYTES] = {0, 1024 * MIB, 16 * MIB},
	[VFU_OPT_BUSY_POLL_US] = {0, 1000, 0},
	[VFU_OPT_POSTED] = {0, 1, 1},
	[VFU_OPT_WRITE_MULTIPLE] = {.capability = "write_multiple"},
	[VFU_OPT_TRACE] = {0, 2, 0},
	[VFU_OPT_BUS_MASTER] = {0, 1, 1},
	[VFU_OPT_ONE_CLIENT] = {0, 1, 0},
	[VFU_OPT_SOCKET_MODE] = {0, 0777, 0},
	[VFU_OPT_CONNECT_WAIT_MS] = {0, INT32_MAX, 0},
	[VFU_OPT_DMA_SHARE] = {0, 1, 1},
	[VFU_OPT_TWIN_SOCKET] = {.capability = "twin_socket.supported"},
	[VFU_OPT_MAPPED] = {0, 1, 0},
	[VFU_OPT_IOEVENTS] = {0, 1, 0},
	[VFU_OPT_MAX_REQUESTS] = {1, VFUI_PEND_MAX, VFUI_PEND_MAX},
	[VFU_OPT_RECONNECT_MS] = {0, INT32_MAX, 0},
};

void vfui_options_init(struct vfui_options *options)
{
	for (unsigned i = 0; i < VFU_OPTIONS; i++)
		options->values[i] = option_ranges[i].dflt;
	vfui_caps_init_own(&options->own);
}

int vfui_options_set(struct vfui_options *options, enum vfu_option option, uint64_t value,
		     struct vfu_err *err)
{
	const struct option_range *range;

	if ((unsigned)option >= VFU_OPTIONS)
		return vfui_err_set(err, -EINVAL, NULL, 0, "there is no option %d", (int)option);
	range = &option_ranges[option];
	/* All of them may be said by both roles. */
	if (range->capability != NULL)
		return vfui_caps_choose(&options->own, range->capability, value, false, err);
	if (value < range->min || value > range->max)
		return vfui_err_set(err, -EINVAL, NULL, 0,
				    "option %d can not be %llu: from %llu to %llu", (int)option,
				    (unsigned long long)value, (unsigned long long)range->min,
				    (unsigned long long)range->max);
	options->values[option] = value;
	return 0;
}

int vfui_options_policy(struct vfui_policy *policy, const char *name, const char *choice,
			struct vfu_err *err)
{
	int ret =
		choice ? vfui_policy_set(policy, name, choice) : vfui_policy_profile(policy, name);

	if (ret == -EINVAL)
		vfui_err_set(err, ret, NULL, 0, "policy %.32s can not be '%.32s'", name, choice);
	else if (ret && choice)
		vfui_err_set(err, ret, NULL, 0, "there is no policy '%.32s'", name);
	else if (ret)
		vfui_err_set(err, ret, NULL, 0,
			     "there is no profile '%.32s', only " VFUI_POLICY_PROFILES, name);
	return ret;
}

void vfui_conn_options_init(struct vfui_conn_options *options)
{
	memset(options, 0, sizeof(*options));
	vfui_options_init(&options->set);
	options->wake_fd = -1;
}

/* ---- life ---- */

/* What holds before VERSION: the peer has said nothing. */
static void init_limits(struct vfui_conn *conn)
{
	struct vfui_caps silent, agreed;

	vfui_caps_init(&silent);
	vfui_caps_agree(&conn->options.set.own, &silent, 0, &agreed);
	vfui_caps_limits(&conn->options.set.own, &agreed, &conn->mine);
	vfui_caps_limits(&agreed, &agreed, &conn->peers);
}

/* What may fail. Nothing is undone here: vfui_conn_free copes with any part missing. */
static int open_parts(struct vfui_conn *conn)
{
	conn->fork_mark = vfui_os_fork_mark();
	if (conn->fork_mark == NULL)
		return -ENOMEM;
	if (conn->wake_fd < 0) {
		conn->wake_fd = vfui_os_eventfd();
		conn->owns_wake_fd = true;
	}
	return conn->wake_fd < 0 ? conn->wake_fd : vfui_in_init(&conn->main.in);
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
	conn->main.fd = fd;
	conn->ask_by = conn->serve_by = &conn->main;
	/* One that was inherited may not be so yet. */
	vfui_os_set_cloexec(fd);
	conn->is_server = server;
	conn->ops = ops;
	conn->ctx = ctx;
	conn->options = *options;
	conn->stats = options->stats != NULL ? options->stats : &conn->own_stats;
	conn->wake_fd = options->wake_fd;
	vfui_outq_init(&conn->main.out);
	vfui_pend_init(&conn->pending);
	vfui_list_init(&conn->spent);
	init_limits(conn);
	if (open_parts(conn) != 0) {
		vfui_conn_free(conn);
		return NULL;
	}
	return conn;
}

/* Of a socket that was just made, or came from the peer. */
static struct vfui_chan *new_chan(int fd)
{
	struct vfui_chan *chan = vfui_os_calloc(1, sizeof(*chan));

	if (chan == NULL)
		return NULL;
	if (vfui_in_init(&chan->in) < 0) {
		vfui_os_free(chan);
		return NULL;
	}
	chan->fd = fd;
	vfui_outq_init(&chan->out);
	return chan;
}

int vfui_conn_set_twin(struct vfui_conn *conn, int fd)
{
	struct vfui_chan *chan = conn->twin == NULL ? new_chan(fd) : NULL;

	if (chan == NULL) {
		vfui_os_close(fd);
		return -ENOMEM;
	}
	vfui_os_set_cloexec(fd);
	vfui_os_lock(&conn->lock);
	conn->twin = chan;
	*(conn->is_server ? &conn->ask_by : &conn->serve_by) = chan;
	/* It may have failed meanwhile, on another thread. */
	if (conn->out_status != 0)
		vfui_sock_shutdown(fd);
	vfui_os_unlock(&conn->lock);
	return 0;
}

/* Whatever it has queued is nobody's but its own: only replies of a server lend memory, and those go by main. */
static void free_chan(struct vfui_chan *chan)
{
	if (chan == NULL)
		return;
	vfui_in_fini(&chan->in);
	vfui_outq_fini(&chan->out);
	vfui_os_free(chan);
}

/*
 * A child after fork() shares the socket with its parent, who is still using it. Its locks may be held
 * by threads that do not exist here; what those were changing is left as it is.
 */
static void free_whole_parts(struct vfui_conn *conn)
{
	bool is_idle = !atomic_load(&conn->is_reading) || vfui_conn_is_reader(conn);
	bool is_unlocked = vfui_os_is_unlocked(&conn->lock);

	if (is_idle)
		vfui_in_fini(&conn->main.in);
	if (is_idle && is_unlocked) {
		vfui_conn_reuse_spent(conn);
		free_chan(conn->twin);
	}
	if (is_unlocked) {
		vfui_outq_fini(&conn->main.out);
		vfui_outq_release(conn->main.out.released, false);
		vfui_pend_fini(&conn->pending);
	}
}

static void free_parts(struct vfui_conn *conn)
{
	vfui_conn_break(conn, -ENOTCONN, "the connection was closed");
	vfui_conn_end_pending(conn);
	vfui_os_cond_fini(&conn->cond);
	vfui_os_mutex_fini(&conn->lock);
	vfui_in_fini(&conn->main.in);
	vfui_outq_fini(&conn->main.out);
	vfui_outq_release(conn->main.out.released, true);
	vfui_conn_reuse_spent(conn);
	vfui_pend_fini(&conn->pending);
	free_chan(conn->twin);
}

void vfui_conn_free(struct vfui_conn *conn)
{
	void (*end)(int fd);
	int twin_fd;

	if (conn == NULL)
		return;
	twin_fd = conn->twin != NULL ? conn->twin->fd : -1;
	end = vfui_conn_is_forked(conn) ? vfui_os_close : vfui_sock_end;
	if (vfui_conn_is_forked(conn))
		free_whole_parts(conn);
	else
		free_parts(conn);
	end(conn->main.fd);
	if (twin_fd >= 0)
		end(twin_fd);
	if (conn->owns_wake_fd)
		vfui_os_close(conn->wake_fd);
	vfui_os_free(conn);
}
