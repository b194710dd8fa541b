/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * rig.c - a device, its server and a raw client, driven by one thread.
 */
#include "rig.h"

#include <check.h>
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int bar0(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct rig *rig = user;

	if (rig->bar0)
		return rig->bar0(rig, req, access);
	if (access->is_write)
		rig->writes++;
	else
		memset(access->data, 0x5a, access->count);
	rig->reads += !access->is_write;
	return 0;
}

static void count_line(void *user, enum vfu_log_level level, const char *text)
{
	struct rig *rig = user;

	rig->lines += level != VFU_LOG_DEBUG;
	snprintf(rig->last, sizeof(rig->last), "%s", text);
	if (getenv("TEST_VERBOSE"))
		fprintf(stderr, "log %d: %s\n", (int)level, text);
}

int rig_memfd(uint64_t size)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void set_regions(struct rig *rig)
{
	static const struct vfu_area areas[] = {{0, 4096}, {61440, 4096}};
	const struct vfu_region regions[] = {
		{.size = 4096,
		 .flags = VFU_REGION_READ | VFU_REGION_WRITE,
		 .access = bar0,
		 .user = rig,
		 .fd = -1},
		{.size = RIG_BAR1_SIZE, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1},
		{.size = 65536,
		 .flags = VFU_REGION_READ | VFU_REGION_WRITE | VFU_REGION_MMAP,
		 .fd = rig_memfd(65536),
		 .areas = areas,
		 .nareas = 2},
		{.size = 0, .fd = -1},
		{.size = 4096, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1},
	};
	unsigned i;

	for (i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
		ck_assert_int_eq(vfu_device_set_region(rig->dev, i, &regions[i]), 0);
	ck_assert_int_eq(vfu_device_set_ids(rig->dev, 0x1234, 0x5678, 0, 0), 0);
	ck_assert_int_eq(vfu_device_set_intx(rig->dev, 1), 0);
	ck_assert_int_eq(vfu_device_set_msix(rig->dev, 4, 4, 0, 2048), 0);
}

void rig_open(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->fds = raw_count_fds();
	rig->sock = -1;
	rig->id = 100;
	rig->msg = malloc(sizeof(*rig->msg));
	rig->dev = vfu_device_new();
	ck_assert_ptr_nonnull(rig->msg);
	ck_assert_ptr_nonnull(rig->dev);
	vfu_device_set_log(rig->dev, count_line, rig);
	set_regions(rig);
	rig->srv = vfu_server_new(rig->dev);
	ck_assert_ptr_nonnull(rig->srv);
}

void rig_close(struct rig *rig)
{
	if (rig->sock >= 0)
		close(rig->sock);
	vfu_server_free(rig->srv);
	ck_assert_int_eq(vfu_device_free(rig->dev), 0);
	free(rig->msg);
	ck_assert_uint_eq(raw_count_fds(), rig->fds);
}

/* ---- hooks ---- */

void rig_note(struct rig *rig, const char *fmt, ...)
{
	size_t at = strlen(rig->calls);
	va_list args;

	if (at && at + 1 < sizeof(rig->calls))
		rig->calls[at++] = ' ';
	va_start(args, fmt);
	vsnprintf(rig->calls + at, sizeof(rig->calls) - at, fmt, args);
	va_end(args);
}

static int note_reset(void *user)
{
	rig_note(user, "reset");
	return 0;
}

static void note_mapped(void *user, const struct vfu_dma_range *range)
{
	rig_note(user, "map:%llx", (unsigned long long)range->iova);
}

static void note_unmapping(void *user, const struct vfu_dma_range *range)
{
	rig_note(user, "unmap:%llx", (unsigned long long)range->iova);
}

static void note_connected(void *user)
{
	rig_note(user, "up");
}

static void note_disconnected(void *user)
{
	rig_note(user, "down");
}

static void note_config(void *user, size_t offset, size_t len)
{
	rig_note(user, "config:%zx+%zu", offset, len);
}

void rig_set_hooks(struct rig *rig, int (*gate)(void *user, enum vfu_gate what))
{
	const struct vfu_device_hooks hooks = {
		.size = sizeof(hooks),
		.gate = gate,
		.reset = note_reset,
		.dma_mapped = note_mapped,
		.dma_unmapping = note_unmapping,
		.connected = note_connected,
		.disconnected = note_disconnected,
		.config_written = note_config,
	};

	ck_assert_int_eq(vfu_device_set_hooks(rig->dev, &hooks, rig), 0);
}

/* ---- connection ---- */

void rig_attach(struct rig *rig)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	rig->sock = fds[0];
	ck_assert_int_eq(vfu_server_attach(rig->srv, fds[1]), 0);
}

void rig_version(struct rig *rig, const char *json)
{
	uint8_t payload[4096] = {0};
	size_t len = 4;

	if (json)
		len = raw_put(payload, len, json, strlen(json) + 1);
	ck_assert_uint_eq(rig_call(rig, 1, payload, len), 0);
}

void rig_connect(struct rig *rig)
{
	rig_attach(rig);
	/* Long enough for an answer that is not longer (E17). */
	rig_version(rig, "{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 8, "
			 "\"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, "
			 "\"write_multiple\": true}}                               ");
}

void rig_hang_up(struct rig *rig)
{
	close(rig->sock);
	rig->sock = -1;
	rig_pump(rig);
}

void rig_pump(struct rig *rig)
{
	struct pollfd pfds[4];
	unsigned idle = 0;
	int n;

	while (idle < 2) {
		n = vfu_server_pollfds(rig->srv, pfds, 4);
		ck_assert_int_ge(n, 1);
		if (poll(pfds, (nfds_t)n, 0) == 0 && vfu_server_timeout(rig->srv) != 0)
			idle++;
		n = vfu_server_process(rig->srv, 0);
		if (n == -ENOTCONN)
			return;
		ck_assert_int_ge(n, 0);
	}
}

/* ---- messages ---- */

uint16_t rig_send_fds(struct rig *rig, uint16_t command, const void *payload, size_t len,
		      const int *fds, unsigned nfds)
{
	raw_send(rig->sock, rig->id, command, 0, payload, len, fds, nfds);
	return rig->id++;
}

uint16_t rig_send(struct rig *rig, uint16_t command, const void *payload, size_t len)
{
	return rig_send_fds(rig, command, payload, len, NULL, 0);
}

uint16_t rig_post(struct rig *rig, uint16_t command, const void *payload, size_t len)
{
	raw_send(rig->sock, rig->id, command, RAW_NO_REPLY, payload, len, NULL, 0);
	return rig->id++;
}

unsigned rig_reply(struct rig *rig, uint16_t id, uint16_t command)
{
	rig_pump(rig);
	ck_assert_msg(raw_recv(rig->sock, rig->msg, 0) == 1, "no reply to %u (command %u)", id,
		      command);
	ck_assert_uint_eq(rig->msg->id, id);
	ck_assert_uint_eq(rig->msg->command, command);
	if (rig->msg->flags == RAW_REPLY) {
		ck_assert_uint_eq(rig->msg->error, 0);
		return 0;
	}
	ck_assert_uint_eq(rig->msg->flags, RAW_ERROR_REPLY);
	ck_assert_uint_eq(rig->msg->size, RAW_HEADER);
	ck_assert_uint_ne(rig->msg->error, 0);
	return rig->msg->error;
}

unsigned rig_call_fds(struct rig *rig, uint16_t command, const void *payload, size_t len,
		      const int *fds, unsigned nfds)
{
	return rig_reply(rig, rig_send_fds(rig, command, payload, len, fds, nfds), command);
}

unsigned rig_call(struct rig *rig, uint16_t command, const void *payload, size_t len)
{
	return rig_call_fds(rig, command, payload, len, NULL, 0);
}

void rig_silence(struct rig *rig)
{
	rig_pump(rig);
	ck_assert_int_eq(raw_recv(rig->sock, rig->msg, 0), -1);
}

void rig_gone(struct rig *rig)
{
	rig_pump(rig);
	ck_assert_int_eq(raw_recv(rig->sock, rig->msg, 0), 0);
	ck_assert_int_eq(vfu_server_conn_fd(rig->srv), -1);
	close(rig->sock);
	rig->sock = -1;
}

uint16_t rig_send_read(struct rig *rig, uint32_t region, uint64_t offset, uint32_t count)
{
	const struct rig_access in = {.offset = offset, .region = region, .count = count};

	return rig_send(rig, 9, &in, 16);
}

uint16_t rig_send_write(struct rig *rig, bool posted, uint32_t region, uint64_t offset,
			uint32_t count, uint64_t value)
{
	struct rig_access in = {.offset = offset, .region = region, .count = count};

	value = htole64(value);
	memcpy(in.data, &value, sizeof(value));
	return (posted ? rig_post : rig_send)(rig, 10, &in, 16 + count);
}

unsigned rig_read(struct rig *rig, uint32_t region, uint64_t offset, uint32_t count)
{
	return rig_reply(rig, rig_send_read(rig, region, offset, count), 9);
}

unsigned rig_write(struct rig *rig, uint32_t region, uint64_t offset, uint32_t count,
		   uint64_t value)
{
	return rig_reply(rig, rig_send_write(rig, false, region, offset, count, value), 10);
}

uint32_t rig_data(const struct rig *rig)
{
	return le32toh(raw_u32(rig->msg, 16));
}

unsigned rig_map(struct rig *rig, uint64_t address, uint64_t size, int fd)
{
	const struct rig_map in = {.argsz = 32, .flags = 3, .address = address, .size = size};

	return rig_call_fds(rig, 2, &in, sizeof(in), &fd, fd >= 0 ? 1 : 0);
}

unsigned rig_unmap(struct rig *rig, uint64_t address, uint64_t size)
{
	const struct rig_unmap in = {.argsz = 24, .address = address, .size = size};

	return rig_call(rig, 3, &in, sizeof(in));
}
