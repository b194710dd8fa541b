/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * call.h - how every call of a client begins and ends.
 */
#ifndef VFUI_CLIENT_CALL_H
#define VFUI_CLIENT_CALL_H

#include "client/users.h"

/*
 * Begins a call: the connection, which stays until vfui_client_end, and *ret is 0. NULL: it is not
 * possible, *ret says why, and the call has ended. may_wait: it may sleep, which a DMA callback
 * must not.
 */
struct vfui_conn *vfui_client_begin(struct vfu_client *cl, bool may_wait, int *ret);
/* Begins one that may sleep, and that has a time of its own (-1: for ever), also for a connection that is not there yet. */
struct vfui_conn *vfui_client_begin_for(struct vfu_client *cl, int timeout_ms, int *ret);
/*
 * Inside of a call that has begun, which goes by its connection: another begin would wait for a new one if this one has
 * ended, which nobody makes as long as the caller has it. vfui_client_end of the outer one tells what they say.
 */
/* Whether it may wait, if it was not begun for that: 0, or -EDEADLK, which is kept. */
int vfui_client_check_wait(struct vfu_client *cl, struct vfui_conn *conn);
/* vfu_client_call; what goes wrong is kept. */
int vfui_client_call_on(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_call *call);
/*
 * Ends it, keeping *err (of which code may not be set) if ret is negative; returns ret, or of -ENOTCONN and -EPROTO
 * what ended the connection, if it has ended. Tells the user of vfu_client_set_link that it has: whatever is looked at
 * afterwards may be another's.
 */
int vfui_client_end(struct vfu_client *cl, int ret, struct vfu_err *err);
/* Keeps what went wrong for the calling thread; err->code may be unset. Returns code. */
int vfui_client_keep(struct vfu_client *cl, int code, struct vfu_err *err);
int vfui_client_fail(struct vfu_client *cl, int code, const char *text);
/* A call with nothing but fixed parts, its errors going to *err. */
struct vfui_call vfui_client_new_call(struct vfu_err *err);
/* A timeout of the public header, 0 for the usual one and -1 for none, as the connection has it. */
static inline int vfui_client_answer_time(int timeout_ms)
{
	return timeout_ms < 0 ? 0 : timeout_ms ? timeout_ms : -1;
}
/* Closes the connection and ends the caller's call; calls of other threads end by themselves. */
void vfui_client_close(struct vfu_client *cl, struct vfui_conn *conn);
/*
 * Waits until a connection that is being closed is gone, so that what callbacks use, and DMA
 * memory, may be freed, and until one that is being made has been given up. Not in a callback, which
 * can not wait for its own end. 0; -ETIMEDOUT (timeout_ms 0: never), or what why_stop said (asked
 * now and then; NULL: never).
 */
int vfui_client_await_end(struct vfu_client *cl, int timeout_ms, int (*why_stop)(void *cl));

#endif
