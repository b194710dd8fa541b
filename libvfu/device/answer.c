/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * answer.c - what a device says to a command it serves itself, looked at before the client sees it.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "device/answer.h"

/* What the client may be sent is bounded by its limits, not by ours. */
static int check(struct vfui_conn *conn, const struct vfui_msg *msg, const void *payload,
		 const struct vfui_answer *answer, struct vfu_err *err)
{
	const struct vfui_limits *limits = vfui_conn_peer_limits(conn);
	struct vfui_fault fault = {
		.message = msg->info->name, .field = "fds", .value = answer->nfds};
	int rc;

	if (answer->nfds > (msg->info->reply_takes_fds ? limits->max_msg_fds : 0)) {
		fault.rule = "is at most max_msg_fds, and 0 where the message takes none";
		return vfui_err_fault(err, -EINVAL, &fault);
	}
	rc = msg->info->check_reply(payload, answer->head_len + answer->len, answer->nfds, limits,
				    vfui_conn_policy(conn), msg->payload, &fault);
	return rc < 0 ? vfui_err_fault(err, -EINVAL, &fault) : 0;
}

static int refuse(struct vfui_conn *conn, const struct vfui_msg *msg, int rc, struct vfu_err *err)
{
	vfui_log(vfui_conn_log(conn), VFU_LOG_ERROR, "%s: the device's answer is wrong: %s",
		 vfui_msg_label(&msg->hdr).text, err->text);
	vfui_conn_reply(conn, &msg->hdr, -EIO, NULL, 0, NULL, 0);
	return rc;
}

/* Head and data in one piece, as the check wants them; *room is to be freed. NULL: out of memory. */
static const void *joined(const struct vfui_answer *answer, void **room)
{
	*room = NULL;
	if (!answer->head_len)
		return answer->data ? answer->data : "";
	*room = vfui_os_malloc(answer->head_len + answer->len);
	if (!*room)
		return NULL;
	memcpy(*room, answer->head, answer->head_len);
	if (answer->len)
		memcpy((uint8_t *)*room + answer->head_len, answer->data, answer->len);
	return *room;
}

int vfui_answer_send(struct vfui_conn *conn, const struct vfui_msg *msg,
		     const struct vfui_answer *answer, struct vfu_err *err)
{
	struct iovec iov = {.iov_len = answer->head_len + answer->len};
	struct vfu_err own;
	void *room;
	int rc;

	err = err ? err : &own;
	vfui_err_clear(err);
	iov.iov_base = (void *)(uintptr_t)joined(answer, &room);
	rc = iov.iov_base ? check(conn, msg, iov.iov_base, answer, err)
			  : vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for the answer");
	rc = rc ? refuse(conn, msg, rc, err)
		: vfui_conn_reply(conn, &msg->hdr, 0, &iov, iov.iov_len ? 1 : 0, answer->fds,
				  answer->nfds);
	if (rc < 0 && !err->code)
		vfui_err_set(err, rc, NULL, 0, "%s: %s", msg->info->name, strerror(-rc));
	vfui_os_free(room);
	return rc;
}
