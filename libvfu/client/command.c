/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * command.c - any message to the device that is not the library's own business.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "client/call.h"

static int wrong(struct vfu_err *err, const char *text)
{
	return vfui_err_set(err, -EINVAL, NULL, 0, "vfu_client_call: %s", text);
}

/* What the generated check does not know: how it is sent, and whether its descriptors would arrive. */
static int check_manner(const struct vfui_message *info, const struct vfu_call *call,
			const struct vfui_limits *limits, struct vfu_err *err)
{
	if (call->post && !info->post)
		return wrong(err, "this message is always answered");
	if (call->nfds && !info->request_takes_fds)
		return wrong(err, "this message has no descriptors");
	if (call->nfds > limits->max_msg_fds)
		return wrong(err, "more descriptors than the device takes (max_msg_fds)");
	return 0;
}

static int check_call(struct vfui_conn *conn, const struct vfu_call *call, struct vfu_err *err)
{
	const struct iovec iov = {(void *)(uintptr_t)(call->request ? call->request : ""),
				  call->request_len};
	const struct vfui_message *info;
	int rc;

	if (call->size != sizeof(*call))
		return wrong(err, "size is not that of struct vfu_call");
	if ((call->request_len && !call->request) || (call->nfds && !call->fds))
		return wrong(err, "there is a length, and nothing that is so long");
	rc = vfui_message_is_free(call->command, "vfu_client_call", err);
	if (rc < 0)
		return rc;
	info = vfui_message(call->command);
	rc = check_manner(info ? info : &vfui_message_unknown, call, vfui_conn_peer_limits(conn),
			  err);
	return rc < 0 ? rc : vfui_conn_check_own(conn, call->command, &iov, 1, call->nfds, err);
}

static int post(struct vfui_conn *conn, const struct vfu_call *call, struct vfu_err *err)
{
	const struct iovec iov = {(void *)(uintptr_t)call->request, call->request_len};
	const struct vfui_out out = {.command = call->command,
				     .iov = &iov,
				     .niov = 1,
				     .fds = call->fds,
				     .nfds = call->nfds,
				     .no_reply = true,
				     .timeout_ms = vfui_client_answer_time(call->timeout_ms)};

	err->code = 0;
	return vfui_conn_post(conn, &out);
}

static int ask(struct vfui_conn *conn, struct vfu_call *call, struct vfu_err *err)
{
	struct vfui_call inner = vfui_client_new_call(err);
	int ret;

	inner.fds = call->fds;
	inner.nfds = call->nfds;
	inner.timeout_ms = vfui_client_answer_time(call->timeout_ms);
	inner.keeps = true;
	ret = vfui_conn_call(conn, call->command, &inner, call->request, call->request_len, NULL,
			     0);
	if (ret < 0) {
		vfui_msg_free(inner.kept);
		return ret;
	}
	call->reply_owner = inner.kept;
	call->reply_len = inner.kept->len;
	call->reply = call->reply_len ? inner.kept->payload : NULL;
	call->reply_fds = inner.kept->fds;
	call->reply_nfds = inner.kept->nfds;
	return 0;
}

static void clear_reply(struct vfu_call *call)
{
	call->reply = NULL;
	call->reply_len = 0;
	call->reply_fds = NULL;
	call->reply_nfds = 0;
	call->reply_owner = NULL;
}

int vfui_client_call_on(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_call *call)
{
	struct vfu_err err;
	int ret = check_call(conn, call, &err);

	if (!ret) {
		clear_reply(call);
		if (call->post && !vfui_client_is_one_by_one(conn))
			ret = post(conn, call, &err);
		else
			ret = ask(conn, call, &err);
	}
	return ret ? vfui_client_keep(cl, ret, &err) : 0;
}

int vfu_client_call(struct vfu_client *cl, struct vfu_call *call)
{
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	return conn ? vfui_client_end(cl, vfui_client_call_on(cl, conn, call), NULL) : ret;
}

/* ---- with a callback ---- */

static void ended(const struct vfui_end *end, int status, struct vfui_msg *reply)
{
	struct vfu_call answer = {.size = sizeof(answer), .command = (unsigned)end->number};

	if (reply) {
		if (!reply->info->reply_takes_fds)
			vfui_msg_drop_fds(reply);
		answer.reply_len = reply->len;
		answer.reply = reply->len ? reply->payload : NULL;
		answer.reply_fds = reply->fds;
		answer.reply_nfds = reply->nfds;
	}
	if (end->call_fn)
		end->call_fn(end->user, status, &answer);
}

static int start(struct vfui_conn *conn, struct vfu_call *call, vfu_client_call_fn *fn, void *user)
{
	const struct iovec iov = {(void *)(uintptr_t)call->request, call->request_len};
	/* The answer that a server of one command at a time gives to a post all the same is nobody's. */
	const struct vfui_end end = {.told = ended,
				     .call_fn = call->post ? NULL : fn,
				     .user = user,
				     .number = (int)call->command};
	const struct vfui_out out = {.command = call->command,
				     .iov = &iov,
				     .niov = 1,
				     .fds = call->fds,
				     .nfds = call->nfds,
				     .no_reply = call->post && !vfui_client_is_one_by_one(conn),
				     .timeout_ms = vfui_client_answer_time(call->timeout_ms),
				     .end = &end};
	int ret = vfui_conn_start(conn, &out, &call->id);

	if (call->post)
		call->id = 0; /* no function, and so nothing to give up */
	return ret;
}

int vfu_client_call_async(struct vfu_client *cl, struct vfu_call *call, vfu_client_call_fn *fn,
			  void *user)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return ret;
	ret = check_call(conn, call, &err);
	if (!ret)
		ret = start(conn, call, fn, user);
	return vfui_client_end(cl, ret, &err);
}

void vfu_call_fini(struct vfu_call *call)
{
	if (!call)
		return;
	vfui_msg_free(call->reply_owner);
	clear_reply(call);
}
