/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * order.c - when a request may start.
 *
 *	client --> vfui_server_command --> run ------------------> handler, answer
 *			|		    ^
 *			v may not start yet | vfui_server_drain: may now, first come first started
 *		     [ held ] --------------+
 *
 * Callbacks start in the order in which requests came. What keeps one from starting:
 *	a gate is open		the device was asked whether it agrees to a change, and is thinking
 *	a fence is unanswered	the device answers later what changes things for all that follows
 *	half the account	requests that are answered later use so much memory (base/account.h)
 *	a callback waits	for message DMA; the wait serves others, but no reset, unmap or the
 *				like may happen under that callback's feet, nor a write to configuration
 *				space (it may be an FLR); with no_reentry nothing at all
 *	no room			the client does not read its answers: what is held waits for that, too
 * One that may not start is copied, for its bytes lie in the receive buffer, and from then on all
 * that comes queues up behind it, whatever it is. What is held may start when a gate is decided, a
 * fence or enough of the others are answered (these wake the owner: other threads do that) or a wait
 * is over; so every round, every message and every turn of a wait begins with vfui_server_drain. A
 * request that has started and must go on later (a gate said later, many writes in one message) is
 * put back at the head, with how far it came.
 *
 * A request may be answered only after message DMA, and what the client says to that comes behind
 * all the requests it has sent: so reading goes on while requests are held, in their wire
 * form, and stops (vfui_server_review) when they fill the account. Then DMA ends at its deadline,
 * and with it what waits for it; a wait inside a callback ends at once, with -EDEADLK.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "server/greet.h"
#include "server/handlers.h"
#include "server/held.h"
#include "server/order.h"
#include "wire-region.h"
#include "wire-session.h"

static bool has_effect(const struct vfui_msg *msg)
{
	return vfui_message_has_effect(msg->info, msg->payload, msg->len);
}

/* Which question goes to the device first; -1: none. */
static int gate_of(const struct vfui_msg *msg)
{
	static const enum vfu_gate gates[] = {
		[VFUI_GATE_DMA_MAP] = VFU_GATE_DMA_MAP,
		[VFUI_GATE_DMA_UNMAP] = VFU_GATE_DMA_UNMAP,
		[VFUI_GATE_RESET] = VFU_GATE_RESET,
		[VFUI_GATE_FEATURE_SET] = VFU_GATE_FEATURE_SET,
		[VFUI_GATE_COMMAND] = VFU_GATE_COMMAND,
	};

	return msg->info->gate && has_effect(msg) ? (int)gates[msg->info->gate] : -1;
}

/* While a callback waits for DMA nothing may change under its feet; a new range does no harm. */
static bool is_blocked_by_wait(const struct vfu_server *srv, const struct vfui_msg *msg)
{
	int gate;

	if (srv->dev->no_reentry)
		return true;
	gate = gate_of(msg);
	return gate >= 0 && gate != VFU_GATE_DMA_MAP;
}

static bool is_blocked(const struct vfu_server *srv, const struct vfui_msg *msg)
{
	if (vfui_server_is_held_up(srv))
		return true;
	return srv->waits && (is_blocked_by_wait(srv, msg) || vfui_server_is_config_write(msg));
}

/* The same for one that is held, at each turn: there is but one look through many writes. */
static bool is_held_blocked(const struct vfu_server *srv, const struct vfui_held *held)
{
	if (vfui_server_is_held_up(srv))
		return true;
	return srv->waits && (held->is_config_write || is_blocked_by_wait(srv, held->msg));
}

/* ---- running ---- */

/* One request at most has asked; another that has started may stand in front of it. */
static void gate_decided(void *ctx, int status)
{
	struct vfu_server *srv = ctx;
	struct vfui_list *link;

	vfui_list_for_each(link, &srv->held) {
		struct vfui_held *held = vfui_container_of(link, struct vfui_held, node);

		if (!held->asked)
			continue;
		held->status = status;
		break;
	}
	vfui_server_drain(srv);
}

/*
 * The payload's check, unless it has begun, then the handler. VFU_LATER: the request is in other
 * hands.
 */
static inline int serve(struct vfu_server *srv, struct vfui_request *req)
{
	int rc = req->step ? 0 : vfui_conn_check(srv->conn, req->msg, req->err);

	if (rc < 0)
		return rc;
	return vfui_dispatch(&vfui_server_handlers, srv, req->msg->hdr.command, req->msg->payload,
			     req->msg->len, req);
}

/* What neither we nor the device serve is answered as a command that the table lacks (E24). */
static int unless_unknown(const struct vfu_server *srv, int rc)
{
	bool is_vague = vfui_conn_policy(srv->conn)->unknown_command == VFUI_UNKNOWN_COMMAND_EINVAL;

	return rc == -ENOSYS && is_vague ? -EINVAL : rc;
}

/* The same where the device may have a handler of its own in place of ours. */
static int serve_either(struct vfu_server *srv, struct vfui_request *req)
{
	const struct vfui_served *command =
		vfui_commands_find(&srv->dev->commands, req->msg->hdr.command);
	int rc = vfui_device_check_state(srv->dev, req->msg->info, req->err);

	if (rc < 0)
		return rc;
	if (command)
		rc = vfui_conn_check(srv->conn, req->msg, req->err);
	if (command && !rc)
		rc = vfui_command_serve(command, req);
	return !command || rc == VFU_PASS ? unless_unknown(srv, serve(srv, req)) : rc;
}

/* The gate before that. */
VFUI_APART static int ask_and_serve(struct vfu_server *srv, struct vfui_request *req)
{
	int gate = gate_of(req->msg);
	int rc = 0;

	if (gate >= 0) {
		req->is_asked = true;
		rc = vfui_device_ask(srv->dev, (enum vfu_gate)gate, gate_decided, srv);
	}
	if (rc < 0)
		return vfui_err_set(req->err, rc, NULL, 0, "the device refused");
	req->is_again = rc == VFU_LATER;
	return rc ? rc : serve_either(srv, req);
}

/* A callback took its request but returned a result, or said later and took none. */
static int mend_result(struct vfu_server *srv, const struct vfui_request *req, int rc)
{
	if (rc > 0 && rc != VFU_LATER) {
		vfui_log(&srv->dev->log, VFU_LOG_ERROR, "%s: callback returned %d",
			 vfui_msg_label(&req->msg->hdr).text, rc);
		rc = -EIO;
	}
	if (req->base.is_deferred || req->is_again)
		return VFU_LATER;
	if (rc != VFU_LATER)
		return rc;
	vfui_log(&srv->dev->log, VFU_LOG_ERROR, "%s: callback said later without vfu_request_defer",
		 vfui_msg_label(&req->msg->hdr).text);
	return -EIO;
}

/* Answers what its handler did not. held: where the request was held back, or NULL. */
VFUI_APART static void settle(struct vfu_server *srv, struct vfui_request *req, int rc,
			      struct vfui_held *held)
{
	rc = mend_result(srv, req, rc);
	if (req->is_again)
		vfui_server_hold_again(srv, req, held);
	else if (rc < 0)
		vfui_server_fail(srv, req->msg, rc, req->err, atomic_load(&req->base.is_told));
	else if (!rc && !req->is_replied)
		vfui_conn_reply(srv->conn, &req->msg->hdr, 0, NULL, 0, NULL, 0);
}

/* Only what handlers do not set themselves before they need it. */
static inline void init_request(const struct vfu_server *srv, struct vfui_request *req,
				struct vfui_msg *msg, struct vfu_err *err)
{
	err->code = 0;
	req->err = err;
	req->base.session = srv->session;
	req->base.is_access = req->base.is_silent = false;
	req->base.is_deferred = req->base.is_part = false;
	req->base.is_lent = req->base.is_copied = req->base.is_uncleared = false;
	atomic_init(&req->base.is_told, false);
	req->msg = msg;
	req->step = 0;
	req->is_asked = req->is_replied = req->is_again = false;
}

/* All that most messages go through: the device is not asked, and their handler has answered. */
static void run(struct vfu_server *srv, struct vfui_msg *msg)
{
	struct vfui_request req;
	struct vfu_err err;
	int rc;

	init_request(srv, &req, msg, &err);
	rc = msg->info->at_once ? serve(srv, &req) : ask_and_serve(srv, &req);
	if (rc || !req.is_replied)
		settle(srv, &req, rc, NULL);
}

/* The same for one that was held back, perhaps after it had started. True: it is held again. */
static bool run_held(struct vfu_server *srv, struct vfui_held *held)
{
	struct vfui_request req;
	struct vfu_err err;
	int rc;

	init_request(srv, &req, held->msg, &err);
	req.step = held->step;
	req.is_asked = held->asked;
	if (held->status < 0)
		rc = vfui_err_set(&err, held->status, NULL, 0, "the device refused");
	else
		rc = req.is_asked ? serve_either(srv, &req) : ask_and_serve(srv, &req);
	settle(srv, &req, rc, held);
	return req.is_again;
}

bool vfui_server_can_drain(struct vfu_server *srv)
{
	if (vfui_list_is_empty(&srv->held) || srv->state != VFUI_SERVER_UP ||
	    vfui_conn_is_out_full(srv->conn))
		return false;
	return !is_held_blocked(srv, vfui_container_of(srv->held.next, struct vfui_held, node));
}

void vfui_server_drain(struct vfu_server *srv)
{
	struct vfui_held *held;

	while (vfui_server_can_drain(srv)) {
		held = vfui_container_of(srv->held.next, struct vfui_held, node);
		/* Out of the list before it runs: what it holds back again goes in front of the rest. */
		vfui_list_remove(&held->node);
		if (run_held(srv, held))
			continue;
		vfui_server_free_held(srv, held);
		/* There may be room to read on, and nothing else to say so. */
		vfui_server_review(srv);
	}
}

/* Nothing that could hold a request up. */
static bool is_clear(const struct vfu_server *srv)
{
	return vfui_list_is_empty(&srv->held) && !srv->waits && !vfui_server_is_held_up(srv);
}

/* Whether a request may run now; if not it is held back. */
VFUI_APART static bool get_turn(struct vfu_server *srv, struct vfui_msg *msg)
{
	vfui_server_drain(srv);
	if (vfui_list_is_empty(&srv->held) && !is_blocked(srv, msg))
		return true;
	vfui_server_hold(srv, msg);
	return false;
}

void vfui_server_command(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg)
{
	struct vfu_server *srv = ctx;

	(void)conn;
	if (srv->state != VFUI_SERVER_UP || msg->hdr.command == VFU_WIRE_CMD_VERSION) {
		vfui_server_greet(srv, msg);
		return;
	}
	if (!is_clear(srv) && !get_turn(srv, msg))
		return;
	run(srv, msg);
	if (!vfui_list_is_empty(&srv->held))
		vfui_server_drain(srv);
}

void *vfui_server_sink(void *ctx, struct vfui_conn *conn, const struct vfui_msg *msg)
{
	struct vfu_server *srv = ctx;
	struct vfu_err err;

	if (srv->state != VFUI_SERVER_UP || msg->hdr.command != VFU_WIRE_CMD_REGION_WRITE ||
	    !is_clear(srv) || vfui_conn_check(conn, msg, &err) < 0)
		return NULL;
	return vfui_server_place_write(srv, msg);
}

bool vfui_server_knows(void *ctx, unsigned command)
{
	const struct vfu_server *srv = ctx;

	return srv->state == VFUI_SERVER_UP && vfui_commands_find(&srv->dev->commands, command);
}

/* ---- waiting inside a callback ---- */

struct wait {
	struct vfu_server *srv;
	bool (*ready)(void *arg);
	void *arg;
};

static bool is_wait_over(void *arg)
{
	const struct wait *wait = arg;

	if (wait->ready(wait->arg))
		return true;
	/* The client may serve our DMA only after it has got an answer that is held back. */
	vfui_server_drain(wait->srv);
	vfui_server_review(wait->srv);
	return wait->ready(wait->arg);
}

int vfui_server_wait(void *ctx, bool (*ready)(void *arg), void *arg)
{
	struct vfu_server *srv = ctx;
	struct wait wait = {.srv = srv, .ready = ready, .arg = arg};
	int rc;

	if (!pthread_equal(srv->owner, pthread_self()))
		return -EPERM;
	if (!srv->conn)
		return -ENOTCONN;
	if (srv->waits == VFUI_SERVER_DEPTH)
		return -EDEADLK;
	srv->waits++;
	rc = vfui_conn_wait(srv->conn, is_wait_over, &wait, -1);
	srv->waits--;
	return rc;
}
