/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * script.c - a server that is a thread of the test.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "script.h"

static const char usual[] = "{\"capabilities\":{\"max_msg_fds\":4,\"max_data_xfer_size\":4096,"
			    "\"max_dma_maps\":100,\"pgsizes\":4096}}";

static void close_fds(struct script *s)
{
	while (s->nfds)
		close(s->fds[--s->nfds]);
}

static void *main_of(void *arg)
{
	struct script *s = arg;

	s->run(s);
	close_fds(s);
	close(s->fd);
	return NULL;
}

int script_start(struct script *s, void (*run)(struct script *s))
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	s->fd = fds[0];
	s->run = run;
	s->nfds = 0;
	ck_assert_int_eq(pthread_create(&s->thread, NULL, main_of, s), 0);
	return fds[1];
}

void script_connect(struct script *s, struct vfu_client *cl, void (*run)(struct script *s))
{
	ck_assert_int_eq(vfu_client_attach(cl, script_start(s, run)), 0);
}

void script_join(struct script *s)
{
	ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
}

void script_get(struct script *s, uint16_t command)
{
	close_fds(s);
	ck_assert_uint_ne(peer_get(s->fd, &s->msg, s->fds, &s->nfds), 0);
	ck_assert_uint_eq(s->msg.hdr.command, command);
}

void script_end(struct script *s)
{
	close_fds(s);
	ck_assert_uint_eq(peer_get(s->fd, &s->msg, s->fds, &s->nfds), 0);
}

void script_version(struct script *s)
{
	uint8_t payload[1024] = {0};
	const char *json = s->json ? s->json : usual;

	script_get(s, VFU_WIRE_CMD_VERSION);
	memcpy(payload + 4, json, strlen(json) + 1);
	script_reply(s, payload, 4 + strlen(json) + 1);
}

uint32_t script_u32(const struct script *s, size_t at)
{
	uint32_t v;

	memcpy(&v, s->msg.payload + at, sizeof(v));
	return v;
}

uint64_t script_u64(const struct script *s, size_t at)
{
	uint64_t v;

	memcpy(&v, s->msg.payload + at, sizeof(v));
	return v;
}

void script_reply(struct script *s, const void *payload, size_t len)
{
	script_reply_fds(s, payload, len, NULL, 0);
}

void script_reply_fds(struct script *s, const void *payload, size_t len, const int *fds,
		      unsigned nfds)
{
	struct peer_msg *reply = malloc(sizeof(*reply));
	size_t size;

	ck_assert_ptr_nonnull(reply);
	size = peer_build(reply, s->msg.hdr.id, s->msg.hdr.command, VFU_WIRE_HEADER_TYPE_REPLY,
			  len ? payload : "", len);
	peer_send(s->fd, reply, size, fds, nfds);
	free(reply);
}

void script_error(struct script *s, uint32_t error)
{
	peer_put(s->fd, s->msg.hdr.id, s->msg.hdr.command,
		 VFU_WIRE_HEADER_TYPE_REPLY | VFU_WIRE_HEADER_ERROR, error, "", 0);
}

/* ---- DMA ---- */

void script_take_maps(struct script *s, unsigned n)
{
	script_version(s);
	for (unsigned i = 0; i < n; i++) {
		script_get(s, VFU_WIRE_CMD_DMA_MAP);
		script_reply(s, NULL, 0);
	}
}

void script_send_dma(struct script *s, uint16_t id, uint16_t command, uint64_t iova, uint64_t len)
{
	static uint8_t payload[16 + SCRIPT_DMA];
	const uint64_t head[2] = {iova, len};

	memset(payload, 'd', sizeof(payload));
	memcpy(payload, head, sizeof(head));
	peer_put(s->fd, id, command, 0, 0, payload,
		 command == VFU_WIRE_CMD_DMA_READ ? 16 : 16 + len);
}

unsigned script_dma(struct script *s, uint16_t command, uint64_t iova, uint64_t len)
{
	script_send_dma(s, 7, command, iova, len);
	script_get(s, command);
	ck_assert_uint_eq(s->msg.hdr.id, 7);
	if (!s->msg.hdr.error)
		ck_assert_uint_eq(s->msg.hdr.size,
				  32 + (command == VFU_WIRE_CMD_DMA_READ ? len : 0));
	return s->msg.hdr.error;
}

uint16_t script_get_reset(struct script *s)
{
	script_get(s, VFU_WIRE_CMD_RESET);
	return s->msg.hdr.id;
}

void script_end_reset(struct script *s, uint16_t id)
{
	s->msg.hdr = (struct vfu_wire_header){.id = id, .command = VFU_WIRE_CMD_RESET};
	script_reply(s, NULL, 0);
	script_end(s);
}
