/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * wire_peer.h - a peer made by hand: messages as bytes over a socket, for tests of one end.
 */
#ifndef WIRE_PEER_H
#define WIRE_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* A message of a test: header and up to 128 KiB of data, and what stands before them, in one piece. */
struct peer_msg {
	struct vfu_wire_header hdr;
	uint8_t payload[131072 + 64];
};

/* Fills *msg: a header, then len bytes (NULL: a pattern made from id). Returns the whole size. */
size_t peer_build(struct peer_msg *msg, uint16_t id, uint16_t command, uint32_t flags,
		  const void *payload, size_t len);
/* Whether len bytes are the pattern of id. */
int peer_is_pattern(const void *data, size_t len, uint16_t id);
/* Sends all, blocking; descriptors with the first byte. */
void peer_send(int fd, const void *data, size_t len, const int *fds, unsigned nfds);
/* Sends a message with this payload. */
void peer_put(int fd, uint16_t id, uint16_t command, uint32_t flags, uint32_t error,
	      const void *payload, size_t len);
/*
 * Receives one message, blocking: its whole size, 0 at the end. Descriptors go to fds (room for
 * 64), *nfds of them.
 */
size_t peer_get(int fd, struct peer_msg *msg, int *fds, unsigned *nfds);
/* Bytes that wait to be received. */
size_t peer_waiting(int fd);
/* A descriptor that is known again by peer_fd_is. */
int peer_fd(void);
int peer_fd_is(int a, int b);

#endif
