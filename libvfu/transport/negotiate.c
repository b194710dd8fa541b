/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * negotiate.c - the VERSION exchange: both sides agree on a version, capabilities and limits.
 *
 *	client                                        server
 *	own caps --- request, "twin_socket" -------->  parse, caps_answer
 *	             (if VFU_OPT_TWIN_SOCKET)          grant_twin: a socket pair, one end of it ours
 *	take_twin <- reply, its index, the other end - build_answer (not longer than E17 allows)
 *	conclude                                       conclude: limits of both from here on
 *
 * The twin socket is the one thing that is made here and not only agreed. A server that has no descriptors left,
 * or whose client takes none (E59), says nothing of it: then there is none, and all goes by one socket. A client
 * that is told of one and given none, or something else, trusts nothing more that comes and ends the connection.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/fds.h"
#include "transport/json.h"
#include "transport/negotiate.h"
#include "transport/sock.h"
#include "wire-session.h"

#define TEXT_MAX 16384

/* A reply of this size is not too long for anybody: no client's request is shorter (E17). */
#define REPLY_MIN 128

/* The most that our client then moves with one message (E69). */
#define SMALL 131072

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

/* A server that takes less than it says (E69). */
static void make_small(struct vfui_conn *conn)
{
	struct vfui_limits *peers = vfui_conn_peer_limits(conn);

	if (vfui_conn_policy(conn)->transfer == VFUI_TRANSFER_SMALL)
		peers->max_data_xfer_size = vfui_min(peers->max_data_xfer_size, SMALL);
}

/* ---- client ---- */

static int bad_twin(int code, const char *why, struct vfu_err *err)
{
	return vfui_err_set(err, code, "version.capabilities.twin_socket.fd_index", 0,
			    "version.capabilities.twin_socket.fd_index %s", why);
}

/* The descriptor that the server named, if it grants what we proposed. Takes it from fds (-1 there). */
static int take_twin(struct vfui_conn *conn, const struct vfui_caps *said, int *fds, unsigned nfds,
		     struct vfu_err *err)
{
	const struct vfui_caps *own = vfui_conn_own(conn);
	uint64_t index = said->value[VFUI_KEY_TWIN_SOCKET_FD_INDEX];
	const char *why;
	int fd;

	if (!own->value[VFUI_KEY_TWIN_SOCKET_SUPPORTED] ||
	    !said->value[VFUI_KEY_TWIN_SOCKET_SUPPORTED])
		return 0;
	if ((said->said & VFUI_CAP_BIT(VFUI_KEY_TWIN_SOCKET_FD_INDEX)) == 0)
		return bad_twin(-EPROTO, "must be there, for a twin socket is granted", err);
	if (index >= nfds)
		return bad_twin(-EPROTO, "names no descriptor that came with the reply", err);
	why = vfui_sock_why_no_twin(fds[index], vfui_conn_fd(conn));
	if (why != NULL)
		return bad_twin(-EPROTO, why, err);
	fd = fds[index];
	fds[index] = -1;
	return vfui_conn_set_twin(conn, fd) < 0
		       ? vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for a twin socket")
		       : 0;
}

/* What the client says: a request's fixed part, and JSON, whose length is returned. */
static int build_offer(struct vfui_conn *conn, struct vfu_wire_version_request *in, char *text)
{
	*in = (struct vfu_wire_version_request){.major = 0, .minor = VFUI_MINOR_NAMED};
	return vfui_json_build(vfui_conn_own(conn), true, text, TEXT_MAX);
}

int vfui_negotiate_offer(struct vfui_conn *conn, int timeout_ms, vfui_done_fn *done, void *user)
{
	struct vfu_wire_version_request in;
	char text[TEXT_MAX];
	int r = build_offer(conn, &in, text);
	struct iovec iov[2] = {{&in, sizeof(in)}, {text, r < 0 ? 0 : (size_t)r}};
	const struct vfui_out out = {.command = VFU_WIRE_CMD_VERSION,
				     .iov = iov,
				     .niov = 2,
				     .timeout_ms = timeout_ms,
				     .done = done,
				     .user = user};

	return r < 0 ? r : vfui_conn_send(conn, &out);
}

int vfui_negotiate_accept(struct vfui_conn *conn, struct vfui_msg *reply, struct vfui_caps *agreed,
			  uint16_t *minor, struct vfu_err *err)
{
	struct vfu_wire_version_reply out;
	struct vfui_caps said;
	int r;

	/* Its check has seen that it is as long as that. */
	memcpy(&out, reply->payload, sizeof(out));
	*minor = out.minor;
	r = vfui_json_parse(reply->payload + sizeof(out), reply->len - sizeof(out), false, &said,
			    err);
	/* Other descriptors are closed with the reply. */
	if (r == 0)
		r = take_twin(conn, &said, reply->fds, reply->nfds, err);
	if (r < 0)
		return r;
	conclude(conn, &said, vfui_caps_proposed(vfui_conn_own(conn)) & said.said, *minor, agreed);
	make_small(conn);
	return 0;
}

/* Sends the offer and waits for what the server says. */
static int exchange(struct vfui_conn *conn, struct vfui_msg **reply, struct vfu_err *err)
{
	struct vfu_wire_version_request in;
	char text[TEXT_MAX];
	struct vfui_call call = {.tail = text, .keeps = true, .timeout_ms = -1, .err = err};
	int r = build_offer(conn, &in, text);

	if (r < 0)
		return vfui_err_set(err, r, NULL, 0, "the offer cannot be written");
	call.tail_len = (size_t)r;
	r = vfui_conn_call(conn, VFU_WIRE_CMD_VERSION, &call, &in, sizeof(in), NULL, 0);
	*reply = call.kept;
	return r;
}

int vfui_negotiate_client(struct vfui_conn *conn, struct vfui_caps *agreed, uint16_t *minor,
			  struct vfu_err *err)
{
	struct vfu_err own_err = {0};
	struct vfu_err *e = err != NULL ? err : &own_err;
	struct vfui_msg *reply = NULL;
	int r = exchange(conn, &reply, e);

	if (r == 0)
		r = vfui_negotiate_accept(conn, reply, agreed, minor, e);
	vfui_msg_free(reply);
	if (r < 0)
		vfui_conn_fail(conn, e);
	return r;
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

/* Makes the twin socket of an answer that grants it; *fd: the client's end, or -1, and then it does not. */
static void grant_twin(struct vfui_conn *conn, const struct vfui_caps *client,
		       struct vfui_caps *answer, int *fd)
{
	const uint64_t supported = VFUI_CAP_BIT(VFUI_KEY_TWIN_SOCKET_SUPPORTED);
	bool is_granted = (answer->said & supported) != 0 &&
			  answer->value[VFUI_KEY_TWIN_SOCKET_SUPPORTED] != 0;
	int pair[2] = {-1, -1}, r;

	*fd = -1;
	answer->said &= ~supported;
	if (!is_granted || client->value[VFUI_KEY_MAX_MSG_FDS] == 0)
		return;
	r = vfui_sock_pair(pair);
	if (r == 0)
		r = vfui_conn_set_twin(conn, pair[0]);
	if (r < 0) {
		vfui_log(vfui_conn_log(conn), VFU_LOG_WARN, "no twin socket could be made: %s",
			 strerror(-r));
		vfui_os_close(pair[1]);
		return;
	}
	*fd = pair[1];
	answer->said |= supported | VFUI_CAP_BIT(VFUI_KEY_TWIN_SOCKET_FD_INDEX);
	answer->value[VFUI_KEY_TWIN_SOCKET_FD_INDEX] = 0;
}

static int answer_version(struct vfui_conn *conn, const struct vfui_msg *request,
			  const struct vfui_caps *client, uint16_t *minor, struct vfui_caps *answer)
{
	struct vfu_wire_version_reply out = {.major = 0};
	struct vfu_wire_version_request in;
	size_t size = vfui_max(sizeof(request->hdr) + request->len, REPLY_MIN);
	char text[TEXT_MAX];
	struct iovec iov[2] = {{&out, sizeof(out)}, {text, 0}};
	int r, fd;

	memcpy(&in, request->payload, sizeof(in));
	out.minor = *minor = choose_minor(conn, in.minor);
	vfui_caps_answer(vfui_conn_own(conn), client, answer);
	grant_twin(conn, client, answer, &fd);
	r = build_answer(answer, size - sizeof(request->hdr) - sizeof(out), text);
	iov[1].iov_len = (size_t)r;
	if (r >= 0)
		r = vfui_conn_reply(conn, &request->hdr, 0, iov, 2, &fd, fd >= 0);
	vfui_os_close(fd);
	return r;
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
