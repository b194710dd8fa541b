/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * negotiate.c - the VERSION exchange: both sides agree on a version, capabilities and limits.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/fds.h"
#include "transport/json.h"
#include "transport/negotiate.h"
#include "wire-session.h"

#define TEXT_MAX 16384

/* A reply of this size is not too long for anybody: no client's request is shorter (E17). */
#define REPLY_MIN 128

/* What both said holds from now on; both: the keys of features among it. */
static void conclude(struct vfui_conn *conn, const struct vfui_caps *theirs, uint64_t both,
		     uint16_t minor, struct vfui_caps *agreed)
{
	const struct vfui_caps *own = vfui_conn_own(conn);

	vfui_caps_agree(own, theirs, both, agreed);
	vfui_caps_limits(own, agreed, vfui_conn_limits(conn));
	vfui_caps_limits(agreed, agreed, vfui_conn_peer_limits(conn));
	vfui_conn_limits(conn)->minor = vfui_conn_peer_limits(conn)->minor = minor;
}

/* ---- client ---- */

/* Sends the offer; *said is what the server says. */
static int exchange(struct vfui_conn *conn, struct vfui_caps *said, uint16_t *minor,
		    struct vfu_err *err)
{
	struct vfu_wire_version_request in = {.major = 0, .minor = VFUI_MINOR_NAMED};
	struct vfu_wire_version_reply out;
	char text[TEXT_MAX], answer[TEXT_MAX];
	struct vfui_call call = {.tail = text,
				 .reply_tail = answer,
				 .reply_room = sizeof(answer),
				 .timeout_ms = -1,
				 .err = err};
	int r = vfui_json_build(vfui_conn_own(conn), true, text, sizeof(text));

	if (r < 0)
		return vfui_err_set(err, r, NULL, 0, "the offer cannot be written");
	call.tail_len = (size_t)r;
	r = vfui_conn_call(conn, VFU_WIRE_CMD_VERSION, &call, &in, sizeof(in), &out, sizeof(out));
	if (r < 0)
		return r;
	/* We asked for no second socket. */
	for (unsigned i = 0; i < call.reply_nfds; i++)
		vfui_os_close(call.reply_fds[i]);
	*minor = out.minor;
	return vfui_json_parse(answer, call.reply_len, false, said, err);
}

int vfui_negotiate_client(struct vfui_conn *conn, struct vfui_caps *agreed, uint16_t *minor,
			  struct vfu_err *err)
{
	struct vfu_err own_err = {0};
	struct vfu_err *e = err != NULL ? err : &own_err;
	struct vfui_caps said;
	int r = exchange(conn, &said, minor, e);

	if (r < 0) {
		vfui_conn_fail(conn, e);
		return r;
	}
	conclude(conn, &said, vfui_caps_proposed(vfui_conn_own(conn)) & said.said, *minor, agreed);
	return 0;
}

/* ---- server ---- */

/* Writes the answer, without some keys if it would not fit into room, as far as that helps (E17). */
static int build_answer(struct vfui_caps *answer, size_t room, char *text)
{
	int r;

	do {
		r = vfui_json_build(answer, false, text, TEXT_MAX);
	} while (r > 0 && (size_t)r > room && vfui_caps_shorten(answer));
	return r;
}

static uint16_t choose_minor(const struct vfui_conn *conn, uint16_t proposed)
{
	if (vfui_conn_policy(conn)->minor == VFUI_MINOR_ZERO)
		return 0;
	return (uint16_t)vfui_min(proposed, VFUI_MINOR_MOST);
}

static int answer_version(struct vfui_conn *conn, const struct vfui_msg *request,
			  const struct vfui_caps *client, uint16_t *minor, struct vfui_caps *answer)
{
	struct vfu_wire_version_reply out = {.major = 0};
	struct vfu_wire_version_request in;
	size_t size = vfui_max(sizeof(request->hdr) + request->len, REPLY_MIN);
	char text[TEXT_MAX];
	struct iovec iov[2] = {{&out, sizeof(out)}, {text, 0}};
	int r;

	memcpy(&in, request->payload, sizeof(in));
	out.minor = *minor = choose_minor(conn, in.minor);
	vfui_caps_answer(vfui_conn_own(conn), client, answer);
	r = build_answer(answer, size - sizeof(request->hdr) - sizeof(out), text);
	if (r < 0)
		return r;
	iov[1].iov_len = (size_t)r;
	return vfui_conn_reply(conn, &request->hdr, 0, iov, 2, NULL, 0);
}

int vfui_negotiate_server(struct vfui_conn *conn, struct vfui_msg *request,
			  struct vfui_caps *agreed, uint16_t *minor, struct vfu_err *err)
{
	const size_t fixed = sizeof(struct vfu_wire_version_request);
	struct vfu_err own_err = {0};
	struct vfu_err *e = err != NULL ? err : &own_err;
	struct vfui_caps client, answer;
	int r = vfui_conn_check(conn, request, e);

	if (r == 0)
		r = vfui_json_parse(request->payload + fixed, request->len - fixed, true, &client,
				    e);
	if (r == 0) {
		r = answer_version(conn, request, &client, minor, &answer);
		if (r < 0)
			return vfui_err_set(e, r, NULL, 0, "VERSION cannot be answered");
	}
	if (r < 0) {
		vfui_conn_count_violation(conn);
		vfui_conn_reply(conn, &request->hdr, r, NULL, 0, NULL, 0);
		return r;
	}
	/* What was left out of the answer for its length is not agreed. */
	conclude(conn, &client, answer.said, *minor, agreed);
	return 0;
}
