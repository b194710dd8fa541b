/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * request.c - answering requests later, from any thread, exactly once.
 *
 *	callback's request ---- 0, -errno ---> its handler answers (server/)
 *	    |  vfu_request_defer
 *	    v
 *	one on the heap ------- vfu_request_done, _reply ---> session ---> connection, if there still is one
 *	    ^
 *	parts of it, each deferred by itself: the last that is done ends the whole (struct vfui_split)
 *
 * The session outlives the connection for as long as somebody holds a request of it: session_enter keeps the
 * connection while it is used, and the end of the connection waits for that, not for answers. What a deferred request
 * holds is charged to the account until it is answered; one that changes things for later ones is a fence.
 *
 * Memory that a device lends for a read goes with the request that is answered: to the queue of what is sent, which
 * gives it back, or back at once where the answer is an error, a copy, or nobody's.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "device/request.h"

static bool is_child(const struct vfui_session *session)
{
	return !*session->fork_mark;
}

static int init_session(struct vfui_session *session)
{
	int rc = vfui_os_mutex_init(&session->lock);

	if (rc < 0)
		return rc;
	rc = vfui_os_cond_init(&session->unused);
	if (rc < 0)
		goto fini_lock;
	session->fork_mark = vfui_os_fork_mark();
	if (session->fork_mark)
		return 0;
	rc = -ENOMEM;
	vfui_os_cond_fini(&session->unused);
fini_lock:
	vfui_os_mutex_fini(&session->lock);
	return rc;
}

struct vfui_session *vfui_session_new(struct vfui_conn *conn, struct vfui_account *account,
				      void (*wake)(void *ctx), void *ctx)
{
	struct vfui_session *session = vfui_os_calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	if (init_session(session) < 0) {
		vfui_os_free(session);
		return NULL;
	}
	session->conn = conn;
	session->account = vfui_account_ref(account);
	session->refs = 1;
	session->wake = wake;
	session->ctx = ctx;
	return session;
}

void vfui_session_end(struct vfui_session *session)
{
	vfui_os_lock(&session->lock);
	session->conn = NULL;
	while (session->users)
		vfui_os_cond_wait(&session->unused, &session->lock, -1);
	vfui_os_unlock(&session->lock);
}

static void free_session(struct vfui_session *session)
{
	vfui_account_unref(session->account);
	vfui_os_free(session);
}

void vfui_session_unref(struct vfui_session *session)
{
	bool is_last;

	vfui_os_lock(&session->lock);
	is_last = --session->refs == 0;
	vfui_os_unlock(&session->lock);
	if (!is_last)
		return;
	vfui_os_cond_fini(&session->unused);
	vfui_os_mutex_fini(&session->lock);
	free_session(session);
}

void vfui_session_abandon(struct vfui_session *session)
{
	if (!session)
		return;
	session->conn = NULL;
	if (--session->refs == 0)
		free_session(session);
}

static void session_ref(struct vfui_session *session)
{
	vfui_os_lock(&session->lock);
	session->refs++;
	vfui_os_unlock(&session->lock);
}

/* The connection, which stays until session_leave; NULL if it has ended. */
static struct vfui_conn *session_enter(struct vfui_session *session)
{
	struct vfui_conn *conn;

	vfui_os_lock(&session->lock);
	conn = session->conn;
	if (conn)
		session->users++;
	vfui_os_unlock(&session->lock);
	return conn;
}

/* wake: what the owner holds up may go on. */
static void session_leave(struct vfui_session *session, bool fence, bool wake)
{
	vfui_os_lock(&session->lock);
	wake |= fence && atomic_fetch_sub(&session->fences, 1) == 1;
	if (wake && session->conn)
		session->wake(session->ctx);
	if (--session->users == 0)
		vfui_os_cond_broadcast(&session->unused);
	vfui_os_unlock(&session->lock);
}

/*
 * What changes things for later requests holds those up until it is answered, and so does one write
 * of many for the others if the client gets an answer that counts them. A posted write holds up
 * nothing: the device may need DMA to end it, which some clients do not serve while they wait for a
 * read behind it (E52, E60).
 */
static bool is_fence(const struct vfu_request *req, const struct vfui_msg *msg)
{
	if (req->is_silent)
		return !(msg->hdr.flags & VFU_WIRE_HEADER_NO_REPLY);
	return msg->info->fence && vfui_message_has_effect(msg->info, msg->payload, msg->len);
}

/* Counts memory that req holds from now on, until it is answered. */
static void charge(struct vfu_request *req, size_t bytes)
{
	req->charged += bytes;
	vfui_account_add(req->session->account, VFUI_LATER, bytes);
}

/* The device serves it, and answers with what it likes. */
static bool is_command(const struct vfu_request *req)
{
	return !req->is_access && req->kept;
}

/* ---- reads that are answered with memory of the device */

/* Less is copied, as it would be on its way out (transport/conn-send.c). */
#define LEND_LEAST 16384

static void give_back(const struct vfui_lent *lent)
{
	if (lent->release)
		lent->release(lent->user, lent->data);
}

void vfui_request_drop_lent(struct vfu_request *req)
{
	if (!req->is_lent)
		return;
	req->is_lent = false;
	give_back(&req->lent);
}

int vfui_request_answer_lent(struct vfui_conn *conn, const struct vfu_wire_header *hdr,
			     struct vfu_request *req)
{
	const struct iovec iov[2] = {
		{.iov_base = req->head, .iov_len = req->head_len},
		{.iov_base = (void *)(uintptr_t)req->lent.data, .iov_len = req->access.count},
	};
	int rc;

	if (!req->is_brief) {
		req->is_lent = false;
		return vfui_conn_reply_lent(conn, hdr, iov, 2, &req->lent);
	}
	rc = vfui_conn_reply(conn, hdr, 0, iov, 2, NULL, 0);
	vfui_request_drop_lent(req);
	return rc;
}

int vfu_request_lend(struct vfu_request *req, const void *data, unsigned flags,
		     vfu_release_fn *release, void *user)
{
	const struct vfui_lent lent = {.release = release, .user = user, .data = data};

	if (!req->is_access || req->access.is_write || !data || flags & ~VFU_LEND_BRIEFLY)
		return -EINVAL;
	if (is_child(req->session))
		return -EOWNERDEAD;
	if (req->is_lent)
		return -EALREADY;
	req->filled = req->access.count;
	if (!req->is_part && req->access.count >= LEND_LEAST) {
		req->lent = lent;
		req->is_lent = true;
		req->is_brief = flags & VFU_LEND_BRIEFLY;
		return 0;
	}
	memcpy(req->access.data, data, req->access.count);
	req->is_copied = true;
	give_back(&lent);
	return 0;
}

/* ---- requests that leave their callback */

/* The buffer of a read that is answered later: what was lent, or zeros, or the device says what it fills of it. */
static void start_buffer(struct vfu_request *later, const struct vfu_request *req)
{
	if (req->is_copied)
		memmove(later->access.data, req->access.data, req->access.count);
	else if (later->is_uncleared)
		later->filled = 0;
	else
		memset(later->access.data, 0, later->access.count);
}

static struct vfu_request *defer_whole(struct vfu_request *req)
{
	const struct vfui_msg *msg = vfui_container_of(req, struct vfui_request, base)->msg;
	size_t len = req->is_access ? req->access.count : 0;
	struct vfu_request *later = vfui_os_malloc(sizeof(*later) + len);

	if (!later)
		return NULL;
	*later = *req;
	later->is_deferred = true;
	req->is_lent = false;
	later->charged = 0;
	charge(later, sizeof(*later) + len);
	if (is_command(req))
		charge(later, vfui_account_message(req->session->account,
						   sizeof(*msg) + req->kept->len, req->kept->nfds));
	later->hdr = msg->hdr;
	later->info = msg->info;
	later->is_fence = is_fence(req, msg);
	if (len) {
		later->access.data = later + 1;
		if (req->access.is_write)
			memcpy(later->access.data, req->access.data, len);
		else
			start_buffer(later, req);
	}
	session_ref(req->session);
	if (later->is_fence)
		atomic_fetch_add(&req->session->fences, 1);
	req->is_deferred = true;
	return later;
}

/*
 * A No_reply request that failed is never answered, but it does not go unnoticed either (E27). One that
 * was cancelled has not failed: the client reset the device, or the server ends.
 */
static void note_failure(struct vfui_conn *conn, const struct vfu_request *req, int status)
{
	bool is_quiet = status == -ECANCELED || atomic_load(&req->is_told);
	bool is_posted = req->is_silent || (req->hdr.flags & VFU_WIRE_HEADER_NO_REPLY);

	if (is_posted)
		vfui_conn_count_drop(conn);
	vfui_log(vfui_conn_log(conn), is_quiet ? VFU_LOG_DEBUG : VFU_LOG_WARN,
		 "%s, answered later, failed%s: %s", vfui_msg_label(&req->hdr).text,
		 is_posted ? " without reply" : "", strerror(-status));
}

/* After fork(): the parent answers. */
static int abandon_whole(struct vfu_request *req)
{
	vfui_session_abandon(req->session);
	if (is_command(req))
		vfui_msg_free(req->kept);
	vfui_os_free(req);
	return -EOWNERDEAD;
}

/* What the client asked for has no room where it wants it: its fault, not the device's. */
static int say_too_long(struct vfui_conn *conn, const struct vfu_request *req, size_t len)
{
	vfui_log(vfui_conn_log(conn), VFU_LOG_WARN, "%s: argsz has room for %u of %zu bytes",
		 vfui_msg_label(&req->kept->hdr).text, req->room, len);
	return vfui_conn_reply(conn, &req->kept->hdr, -EINVAL, NULL, 0, NULL, 0);
}

/* Answers a command with what the device says, behind what the library puts in front. */
static int answer_command(struct vfui_conn *conn, struct vfu_request *req,
			  const struct vfui_answer *said, struct vfu_err *err)
{
	struct vfui_answer answer = *said;
	uint32_t argsz;

	if (req->echoes && !answer.len) {
		answer.data = req->kept->payload + req->skip;
		answer.len = req->kept->len - req->skip;
	}
	if (answer.len > req->room)
		return say_too_long(conn, req, answer.len);
	/* A feature's: it begins with argsz. */
	if (req->head_len) {
		argsz = (uint32_t)(req->head_len + answer.len);
		memcpy(req->head, &argsz, sizeof(argsz));
	}
	answer.head = req->head;
	answer.head_len = req->head_len;
	return vfui_answer_send(conn, req->kept, &answer, err);
}

static int answer_access(struct vfui_conn *conn, struct vfu_request *req, int status)
{
	bool has_data = req->is_access && !req->access.is_write && req->access.count;
	struct iovec iov[2] = {
		{.iov_base = req->head, .iov_len = req->head_len},
		{.iov_base = req->access.data, .iov_len = has_data ? req->access.count : 0},
	};

	if (req->is_lent && !status)
		return vfui_request_answer_lent(conn, &req->hdr, req);
	return vfui_conn_reply(conn, &req->hdr, status, iov, has_data ? 2 : 1, NULL, 0);
}

/* answer, err: of a command alone. */
static int end_whole(struct vfu_request *req, int status, const struct vfui_answer *answer,
		     struct vfu_err *err)
{
	struct vfui_session *session = req->session;
	struct vfui_conn *conn;
	bool is_room;
	int rc = -ENOTCONN;

	if (is_child(session))
		return abandon_whole(req);
	conn = session_enter(session);
	if (conn && status < 0)
		note_failure(conn, req, status);
	if (conn && !status && is_command(req))
		rc = answer_command(conn, req, answer, err);
	else if (conn)
		rc = req->is_silent ? 0 : answer_access(conn, req, status);
	vfui_request_drop_lent(req);
	is_room = vfui_account_is_room_made(session->account, req->charged);
	if (conn)
		session_leave(session, req->is_fence, is_room);
	vfui_session_unref(session);
	if (is_command(req))
		vfui_msg_free(req->kept);
	vfui_os_free(req);
	return rc;
}

static int whole_done(struct vfu_request *req, int status)
{
	static const struct vfui_answer nothing = {0};

	return end_whole(req, status, &nothing, NULL);
}

/* ---- parts ---- */

static void *part_data(const struct vfui_split *split, const struct vfu_access *access)
{
	const struct vfu_access *from = split->held ? &split->held->access : access;

	return (uint8_t *)from->data + (split->part.access.offset - access->offset);
}

/* Moves the whole to the heap with what is done of it. */
static bool hold_whole(struct vfui_split *split)
{
	const struct vfu_access *access = &split->whole->access;
	struct vfu_request *held = defer_whole(split->whole);

	if (!held)
		return false;
	if (!access->is_write)
		memcpy(held->access.data, access->data, split->part.access.offset - access->offset);
	atomic_init(&held->parts, 1);
	atomic_init(&held->status, 0);
	split->held = held;
	return true;
}

static struct vfu_request *defer_part(struct vfui_split *split)
{
	struct vfu_request *later = vfui_os_malloc(sizeof(*later));

	if (!later || (!split->held && !hold_whole(split))) {
		vfui_os_free(later);
		return NULL;
	}
	*later = split->part;
	later->is_deferred = true;
	later->whole = split->held;
	later->access.data = part_data(split, &split->whole->access);
	if (!later->access.is_write)
		start_buffer(later, &split->part);
	charge(split->held, sizeof(*later));
	atomic_fetch_add(&split->held->parts, 1);
	split->part.is_deferred = true;
	return later;
}

/* One less; the last answers. */
static int part_done(struct vfu_request *whole, int status)
{
	int rc = is_child(whole->session)     ? -EOWNERDEAD
		 : vfu_request_is_dead(whole) ? -ENOTCONN
					      : 0;
	int none = 0;

	if (status < 0)
		atomic_compare_exchange_strong(&whole->status, &none, status);
	if (atomic_fetch_sub(&whole->parts, 1) > 1)
		return rc;
	return whole_done(whole, atomic_load(&whole->status));
}

void vfui_split_next(struct vfui_split *split, const struct vfu_access *access, uint64_t offset,
		     uint32_t count)
{
	split->part.session = split->whole ? split->whole->session : NULL;
	split->part.whole = NULL; /* on the heap only */
	split->part.is_part = true;
	split->part.is_access = true;
	split->part.is_deferred = false;
	split->part.is_lent = split->part.is_copied = split->part.is_uncleared = false;
	split->part.access = *access;
	split->part.access.offset = offset;
	split->part.access.count = count;
	split->part.access.data = part_data(split, access);
}

int vfui_split_end(struct vfui_split *split, int rc)
{
	if (!split->held)
		return rc;
	part_done(split->held, rc > 0 ? -EIO : rc);
	return VFU_LATER;
}

/* ---- requests as callbacks know them ---- */

struct vfu_request *vfu_request_defer(struct vfu_request *req)
{
	if (!req || req->is_deferred || is_child(req->session))
		return NULL;
	return req->is_part ? defer_part(vfui_container_of(req, struct vfui_split, part))
			    : defer_whole(req);
}

const struct vfu_access *vfu_request_access(struct vfu_request *req)
{
	return req->is_access ? &req->access : NULL;
}

int vfu_request_set_filled(struct vfu_request *req, uint32_t len)
{
	if (!req->is_access || req->access.is_write || len > req->access.count)
		return -EINVAL;
	req->filled = len;
	return 0;
}

void vfu_request_set_told(struct vfu_request *req)
{
	struct vfui_split *split;

	if (!req)
		return;
	if (!req->is_part) {
		atomic_store(&req->is_told, true);
	} else if (req->is_deferred && req->whole) {
		atomic_store(&req->whole->is_told, true);
	} else {
		split = vfui_container_of(req, struct vfui_split, part);
		atomic_store(split->held ? &split->held->is_told : &split->whole->is_told, true);
	}
}

bool vfu_request_is_dead(struct vfu_request *req)
{
	bool is_dead;

	if (is_child(req->session))
		return true;
	vfui_os_lock(&req->session->lock);
	is_dead = !req->session->conn;
	vfui_os_unlock(&req->session->lock);
	return is_dead;
}

int vfu_request_done(struct vfu_request *req, int status)
{
	struct vfu_request *whole;

	if (status > 0)
		status = -EINVAL;
	if (!status)
		vfui_request_clear_rest(req);
	if (!req->is_part)
		return whole_done(req, status);
	whole = req->whole;
	vfui_os_free(req);
	return part_done(whole, status);
}

/* ---- commands that the device serves ---- */

unsigned vfu_request_command(struct vfu_request *req)
{
	return is_command(req) ? req->kept->hdr.command : 0;
}

const void *vfu_request_payload(struct vfu_request *req, size_t *len)
{
	*len = is_command(req) ? req->kept->len - req->skip : 0;
	return is_command(req) ? req->kept->payload + req->skip : NULL;
}

unsigned vfu_request_fds(struct vfu_request *req)
{
	return is_command(req) ? req->kept->nfds : 0;
}

int vfu_request_take_fd(struct vfu_request *req, unsigned i)
{
	return is_command(req) ? vfui_msg_take_fd(req->kept, i) : -1;
}

static int answer_now(struct vfu_request *req, const struct vfui_answer *answer,
		      struct vfu_err *err)
{
	struct vfui_request *whole = vfui_container_of(req, struct vfui_request, base);

	if (whole->is_replied)
		return vfui_err_set(err, -EALREADY, NULL, 0, "the request was answered already");
	whole->is_replied = true;
	return answer_command(req->session->conn, req, answer, err);
}

int vfu_request_reply(struct vfu_request *req, const void *data, size_t len, const int *fds,
		      unsigned nfds, struct vfu_err *err)
{
	const struct vfui_answer answer = {.data = data, .len = len, .fds = fds, .nfds = nfds};

	vfui_err_clear(err);
	if (!is_command(req))
		return vfui_err_set(err, -EINVAL, NULL, 0, "an access is answered without data");
	if (req->is_deferred)
		return end_whole(req, 0, &answer, err);
	return is_child(req->session) ? -EOWNERDEAD : answer_now(req, &answer, err);
}
