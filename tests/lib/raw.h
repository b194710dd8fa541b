/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * raw.h - a client of bare messages, so that servers are tested by something that shares no code with them.
 */
#ifndef TEST_RAW_H
#define TEST_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAW_HEADER 16
#define RAW_MAX (2 << 20)
#define RAW_FDS 16

enum { RAW_NO_REPLY = 0x10, RAW_REPLY = 1, RAW_ERROR_REPLY = 0x21 };

/* One message; payload is what follows the header. */
struct raw_msg {
	uint16_t id, command;
	uint32_t size, flags, error;
	uint8_t payload[RAW_MAX];
	size_t len;
	int fds[RAW_FDS];
	unsigned nfds;
};

/* Fails the test if it can not be sent. */
void raw_send(int sock, uint16_t id, uint16_t command, uint32_t flags, const void *payload,
	      size_t len, const int *fds, unsigned nfds);
/* Any bytes at all; how many went (the socket may be full). */
size_t raw_send_bytes(int sock, const void *bytes, size_t len);
/* 1: a message; 0: the peer has closed; -1: nothing within timeout_ms. Its fds are the caller's to close. */
int raw_recv(int sock, struct raw_msg *msg, int timeout_ms);
void raw_close_fds(struct raw_msg *msg);

/* Little builders: put the values at the place, return the length so far. */
size_t raw_put(void *payload, size_t at, const void *value, size_t len);
uint32_t raw_u32(const struct raw_msg *msg, size_t at);
uint64_t raw_u64(const struct raw_msg *msg, size_t at);

/* Connected to the unix socket at path, waiting for it a while. */
int raw_connect(const char *path);

/* Open descriptors of this process. */
unsigned raw_count_fds(void);

#endif
