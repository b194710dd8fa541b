/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * script.h - a server that is a thread of the test and does what a script says, byte by byte.
 */
#ifndef TEST_SCRIPT_H
#define TEST_SCRIPT_H

#include <pthread.h>

#include "vfu.h"
#include "wire_peer.h"

struct script {
	int fd;
	pthread_t thread;
	void (*run)(struct script *s);
	const char *json;    /* of VERSION; NULL: the usual */
	struct peer_msg msg; /* the last request */
	int fds[64];         /* of the last request, closed by the next script_get */
	unsigned nfds;
};

/* Runs the script at the far end of a socket pair; returns the near end. */
int script_start(struct script *s, void (*run)(struct script *s));
/* The same after VERSION, with cl connected. */
void script_connect(struct script *s, struct vfu_client *cl, void (*run)(struct script *s));
/* Waits for the script's end. */
void script_join(struct script *s);

/* For scripts. */
void script_version(struct script *s);
/* The next request, which must be this one. */
void script_get(struct script *s, uint16_t command);
/* The end of the stream must come next. */
void script_end(struct script *s);
/* The request's payload as u32 or u64. */
uint32_t script_u32(const struct script *s, size_t at);
uint64_t script_u64(const struct script *s, size_t at);
/* Answers the last request. */
void script_reply(struct script *s, const void *payload, size_t len);
void script_reply_fds(struct script *s, const void *payload, size_t len, const int *fds,
		      unsigned nfds);
void script_error(struct script *s, uint32_t error);

/* ---- DMA */

/* VERSION, and so many maps that are answered. */
void script_take_maps(struct script *s, unsigned n);
/* What the device asks for; a write is of bytes 'd'. At most SCRIPT_DMA of them. */
#define SCRIPT_DMA 65536
void script_send_dma(struct script *s, uint16_t id, uint16_t command, uint64_t iova, uint64_t len);
/* The same, and its answer, which is the next message: its errno. */
unsigned script_dma(struct script *s, uint16_t command, uint64_t iova, uint64_t len);
/* Between the two the client is in a RESET, and serves. Then nothing more comes of it. */
uint16_t script_get_reset(struct script *s);
void script_end_reset(struct script *s, uint16_t id);

#endif
