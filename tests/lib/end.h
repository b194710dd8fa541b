/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * end.h - one end of a connection under test, its peer made by hand.
 */
#ifndef END_H
#define END_H

#include <pthread.h>
#include <stdatomic.h>

#include "transport/conn.h"
#include "wire_peer.h"

#define REPLY VFU_WIRE_HEADER_TYPE_REPLY
#define ERROR (VFU_WIRE_HEADER_TYPE_REPLY | VFU_WIRE_HEADER_ERROR)
#define NO_REPLY VFU_WIRE_HEADER_NO_REPLY
#define READ VFU_WIRE_CMD_REGION_READ
#define DMA_READ VFU_WIRE_CMD_DMA_READ

/* The end, and what came to it. */
extern struct end {
	struct vfui_conn *conn;
	int peer;
	struct vfui_conn_options options;
	unsigned commands;
	int (*on_command)(struct vfui_conn *conn, struct vfui_msg *msg); /* NULL: an empty reply */
	struct peer_msg msg; /* the last that the peer got */
	atomic_bool is_over; /* see end_start_reader */
} end;

extern const struct vfui_conn_ops end_ops; /* ctx: &end */

/* With end.options, which end_open_default initialises. */
void end_open(bool server);
void end_open_default(bool server);
void end_close(void);
struct vfu_stats end_stats(void);
/* So that a message fills the socket. */
void end_small_buffer(void);
bool end_is_true(void *atomic_bool_arg);

/* ---- requests of ours ---- */

struct end_result {
	int status;
	unsigned runs;
	size_t len;
};

/* vfui_done_fn for a struct end_result. */
void end_note(void *user, int status, struct vfui_msg *reply);
/* A region read of count bytes; data goes to sink if there is one. */
int end_ask(uint32_t count, int timeout_ms, void *sink, struct end_result *result);
/* The same, waiting for the reply. */
int end_call_read(uint32_t count, int timeout_ms, void *data, struct vfu_err *err);
/* The peer gets such a request, and answers it: the pattern of its id. */
void end_get_request(void);
void end_answer_read(uint32_t count);

/* ---- requests of the peer ---- */

/* on_command: 60,000 bytes for each. */
int end_big_reply(struct vfui_conn *conn, struct vfui_msg *m);
void end_expect_reply(uint16_t id, uint16_t cmd, uint32_t error, size_t len);

/* Starts a thread that reads until end.is_over; it does when this returns. */
pthread_t end_start_reader(int *status);
void end_stop_reader(pthread_t reader, const int *status);

#endif
