/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-order.c - gates, requests answered later, requests held back, callbacks entered again.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/rig.h"
#include "../../lib/suite.h"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_connect(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

/* ---- gates ---- */

static int gate_result;

static int gate(void *user, enum vfu_gate what)
{
	static const char *const names[] = {"map", "unmap", "reset", "set", "flr", "end", "cmd"};

	rig_note(user, "gate-%s", names[what]);
	return gate_result;
}

static void use_gate(int result)
{
	gate_result = result;
	rig_set_hooks(&rig, gate);
}

static const struct rig_map one_page = {.argsz = 32, .flags = 3, .address = 0x4000, .size = 4096};

START_TEST(gate_goes)
{
	static const uint32_t set[4] = {16, 1 << 17 | 2, 1, 0};

	use_gate(0);
	ck_assert_uint_eq(rig_map(&rig, 0x4000, 4096, -1), 0);
	ck_assert_uint_eq(rig_unmap(&rig, 0x4000, 4096), 0);
	ck_assert_uint_eq(rig_call(&rig, 13, NULL, 0), 0);
	ck_assert_uint_eq(rig_call(&rig, 16, set, sizeof(set)), ENOTTY);
	ck_assert_str_eq(rig.calls,
			 "gate-map map:4000 gate-unmap unmap:4000 gate-reset reset gate-set");
}
END_TEST

START_TEST(gate_refuses)
{
	use_gate(-EBUSY);
	ck_assert_uint_eq(rig_map(&rig, 0x4000, 4096, -1), EBUSY);
	ck_assert_uint_eq(rig_call(&rig, 13, NULL, 0), EBUSY);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
	ck_assert_str_eq(rig.calls, "gate-map gate-reset");
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), -EALREADY);
}
END_TEST

/* The question comes first, also for what turns out to be nonsense. */
START_TEST(gate_before_check)
{
	use_gate(0);
	ck_assert_uint_eq(rig_call(&rig, 2, "x", 1), EINVAL);
	ck_assert_str_eq(rig.calls, "gate-map");
}
END_TEST

/* A GET changes nothing. */
START_TEST(gate_not_for_reading)
{
	static const uint32_t get[2] = {8, 1 << 16 | 1};

	use_gate(-EBUSY);
	ck_assert_uint_eq(rig_call(&rig, 16, get, sizeof(get)), ENOTTY);
	ck_assert_str_eq(rig.calls, "");
}
END_TEST

static struct vfu_request *own;

static int own_later(void *user, struct vfu_request *req)
{
	rig_note(user, "own");
	own = vfu_request_defer(req);
	return own ? VFU_LATER : -ENOMEM;
}

/* A command that the device serves itself has the gate and the fence of the table. */
START_TEST(own_command_in_order)
{
	static const uint32_t set[4] = {16, 1 << 17 | 2, 1, 0}, get[2] = {8, 1 << 16 | 2};
	uint16_t first, read;

	use_gate(0);
	ck_assert_int_eq(vfu_device_set_command(rig.dev, 16, own_later, &rig), 0);
	first = rig_send(&rig, 16, set, sizeof(set));
	read = rig_send_read(&rig, 0, 0, 4);
	rig_silence(&rig);
	ck_assert_str_eq(rig.calls, "gate-set own");
	ck_assert_int_eq(vfu_request_reply(own, set, sizeof(set), NULL, 0, NULL), 0);
	ck_assert_uint_eq(rig_reply(&rig, first, 16), 0);
	ck_assert_uint_eq(rig_reply(&rig, read, 9), 0);
	/* A GET has no effect, and so neither. */
	first = rig_send(&rig, 16, get, sizeof(get));
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
	ck_assert_str_eq(rig.calls, "gate-set own own");
	ck_assert_int_eq(vfu_request_done(own, -EBUSY), 0);
	ck_assert_uint_eq(rig_reply(&rig, first, 16), EBUSY);
	/* Refused, or the other way round: the gate is later, then the command runs. */
	gate_result = -EPERM;
	ck_assert_uint_eq(rig_call(&rig, 16, set, sizeof(set)), EPERM);
	gate_result = VFU_LATER;
	first = rig_send(&rig, 16, set, sizeof(set));
	rig_silence(&rig);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	rig_silence(&rig);
	ck_assert_str_eq(rig.calls, "gate-set own own gate-set gate-set own");
	ck_assert_int_eq(vfu_request_reply(own, set, sizeof(set), NULL, 0, NULL), 0);
	ck_assert_uint_eq(rig_reply(&rig, first, 16), 0);
	gate_result = 0;
}
END_TEST

START_TEST(gate_later)
{
	uint16_t map, read, write;

	use_gate(VFU_LATER);
	map = rig_send(&rig, 2, &one_page, sizeof(one_page));
	read = rig_send_read(&rig, 0, 0, 4);
	write = rig_send_write(&rig, false, 0, 0, 4, 1);
	rig_silence(&rig);
	ck_assert_uint_eq(rig.writes, 0);
	ck_assert_str_eq(rig.calls, "gate-map");
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), -EALREADY);
	ck_assert_uint_eq(rig_reply(&rig, map, 2), 0);
	ck_assert_uint_eq(rig_reply(&rig, read, 9), 0);
	ck_assert_uint_eq(rig_reply(&rig, write, 10), 0);
	ck_assert_str_eq(rig.calls, "gate-map map:4000");
	gate_result = 0;
}
END_TEST

START_TEST(gate_refuses_later)
{
	uint16_t map, reset;
	int fd = rig_memfd(4096);

	use_gate(VFU_LATER);
	map = rig_send_fds(&rig, 2, &one_page, sizeof(one_page), &fd, 1);
	reset = rig_send(&rig, 13, NULL, 0);
	close(fd);
	rig_silence(&rig);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, -EPERM), 0);
	ck_assert_uint_eq(rig_reply(&rig, map, 2), EPERM);
	rig_silence(&rig);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, reset, 13), 0);
	gate_result = 0;
}
END_TEST

static int gate_at_once(void *user, enum vfu_gate what)
{
	(void)what;
	ck_assert_int_eq(vfu_device_gate_done(((struct rig *)user)->dev, 0), 0);
	return VFU_LATER;
}

START_TEST(gate_done_inside_the_hook)
{
	rig_set_hooks(&rig, gate_at_once);
	ck_assert_uint_eq(rig_map(&rig, 0x4000, 4096, -1), 0);
	ck_assert_str_eq(rig.calls, "map:4000");
}
END_TEST

/* The PCI Express capability with FLR, at the first free place. */
static unsigned add_flr(void)
{
	uint8_t express[58] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x10};
	int at = vfu_device_add_capability(rig.dev, 0x10, express, sizeof(express));

	ck_assert_int_gt(at, 0);
	return (unsigned)at;
}

static int take_it(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req, (void)access;
	return 0;
}

START_TEST(flr_asks)
{
	unsigned at = add_flr();
	uint16_t write, read;

	use_gate(VFU_LATER);
	write = rig_send_write(&rig, false, 7, at + 8, 2, 0x8000);
	read = rig_send_read(&rig, 0, 0, 4);
	rig_silence(&rig);
	ck_assert_ptr_nonnull(strstr(rig.calls, "gate-flr"));
	ck_assert_ptr_null(strstr(rig.calls, " reset"));
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, write, 10), 0);
	ck_assert_uint_eq(rig_reply(&rig, read, 9), 0);
	ck_assert_ptr_nonnull(strstr(rig.calls, " reset"));
	gate_result = -EBUSY;
	ck_assert_uint_eq(rig_write(&rig, 7, at + 8, 2, 0x8000), EBUSY);
	gate_result = 0;
}
END_TEST

/* One access has both bits that reset, in two parts, as a handler lies between: one reset, and one answer. */
START_TEST(flr_twice_in_an_access)
{
	struct {
		uint64_t offset;
		uint32_t region, count;
		uint8_t data[256];
	} in = {.region = VFU_REGION_CONFIG, .count = 256};
	unsigned at = add_flr();
	uint16_t write;

	ck_assert_int_eq(vfu_device_set_handler(rig.dev, VFU_REGION_CONFIG, 0xa0, 4, take_it, NULL),
			 0);
	ck_assert_int_eq(vfu_device_add_capability_at(rig.dev, 0x13, 0xb0, "\6\3\0\0", 4), 0xb0);
	ck_assert_uint_lt(at, 0xa0);
	in.data[at + 9] = 0x80;
	in.data[0xb0 + 4] = 1;
	use_gate(VFU_LATER);
	write = rig_send(&rig, 10, &in, sizeof(in));
	rig_silence(&rig);
	ck_assert_str_eq(rig.calls, "config:0+160 gate-flr config:a4+92");
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, write, 10), 0);
	ck_assert_str_eq(rig.calls, "config:0+160 gate-flr config:a4+92 reset");
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), -EALREADY);
	gate_result = 0;
}
END_TEST

START_TEST(disconnect_asks)
{
	rig_set_hooks(&rig, NULL);
	ck_assert_uint_eq(rig_map(&rig, 0x8000, 4096, -1), 0);
	ck_assert_uint_eq(rig_map(&rig, 0x4000, 4096, -1), 0);
	rig.calls[0] = '\0';
	use_gate(VFU_LATER);
	rig_hang_up(&rig);
	ck_assert_str_eq(rig.calls, "gate-end");
	ck_assert_uint_eq(vfu_dma_ranges(rig.dev, NULL, 0), 2);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, -EPERM), 0);
	rig_pump(&rig);
	ck_assert_str_eq(rig.calls, "gate-end unmap:4000 unmap:8000 down");
	ck_assert_uint_eq(vfu_dma_ranges(rig.dev, NULL, 0), 0);
	gate_result = 0;
	rig_connect(&rig);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

START_TEST(disconnect_resets_by_policy)
{
	ck_assert_int_eq(vfu_server_set_policy(rig.srv, "disconnect", "reset"), 0);
	rig_set_hooks(&rig, NULL);
	rig_hang_up(&rig);
	ck_assert_str_eq(rig.calls, "reset down");
}
END_TEST

/* The client goes while the device still thinks about its map. */
START_TEST(disconnect_with_a_gate_open)
{
	use_gate(VFU_LATER);
	rig_send(&rig, 2, &one_page, sizeof(one_page));
	rig_silence(&rig);
	rig_hang_up(&rig);
	ck_assert_str_eq(rig.calls, "gate-map");
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	rig_pump(&rig);
	ck_assert_str_eq(rig.calls, "gate-map gate-end");
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	rig_pump(&rig);
	ck_assert_str_eq(rig.calls, "gate-map gate-end down");
	gate_result = 0;
}
END_TEST

START_TEST(free_with_gates_open)
{
	unsigned at = add_flr();

	use_gate(VFU_LATER);
	rig_send_write(&rig, false, 7, at + 8, 2, 0x8000);
	rig_silence(&rig);
}
END_TEST

/* ---- later ---- */

static struct vfu_request *later[1024];
static unsigned nlater;

/* Offsets from 0x100 on are answered later. */
static int defer(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct rig *r = user;

	if (access->offset < 0x100) {
		if (!access->is_write)
			memset(access->data, 0x11, access->count);
		r->writes += access->is_write;
		return 0;
	}
	later[nlater] = vfu_request_defer(req);
	ck_assert_ptr_nonnull(later[nlater++]);
	return VFU_LATER;
}

static void use_defer(void)
{
	nlater = 0;
	rig.bar0 = defer;
}

START_TEST(read_answered_later)
{
	uint16_t slow, fast;
	const struct vfu_access *access;

	use_defer();
	slow = rig_send_read(&rig, 0, 0x100, 8);
	fast = rig_send_read(&rig, 0, 0, 4);
	ck_assert_uint_eq(rig_reply(&rig, fast, 9), 0);
	access = vfu_request_access(later[0]);
	ck_assert_uint_eq(access->offset, 0x100);
	ck_assert_uint_eq(access->count, 8);
	ck_assert_mem_eq(access->data, "\0\0\0\0\0\0\0\0", 8);
	memcpy(access->data, "ABCDEFGH", 8);
	ck_assert(!vfu_request_is_dead(later[0]));
	ck_assert_int_eq(vfu_request_done(later[0], 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, slow, 9), 0);
	ck_assert_uint_eq(rig.msg->len, 24);
	ck_assert_uint_eq(raw_u64(rig.msg, 0), 0x100);
	ck_assert_mem_eq(rig.msg->payload + 16, "ABCDEFGH", 8);
}
END_TEST

START_TEST(write_answered_later)
{
	uint16_t id;

	use_defer();
	id = rig_send_write(&rig, false, 0, 0x100, 4, 0x01020304);
	rig_silence(&rig);
	ck_assert_mem_eq(vfu_request_access(later[0])->data, "\4\3\2\1", 4);
	ck_assert_int_eq(vfu_request_done(later[0], 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 10), 0);
	ck_assert_uint_eq(rig.msg->len, 16);

	id = rig_send_write(&rig, false, 0, 0x100, 4, 0);
	rig_silence(&rig);
	ck_assert_int_eq(vfu_request_done(later[1], -ENODEV), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 10), ENODEV);
}
END_TEST

static void *done_elsewhere(void *arg)
{
	usleep(20000);
	vfu_request_done(arg, 0);
	return NULL;
}

START_TEST(answered_by_another_thread)
{
	pthread_t thread;
	uint16_t id;

	use_defer();
	id = rig_send_read(&rig, 0, 0x100, 4);
	rig_silence(&rig);
	ck_assert_int_eq(pthread_create(&thread, NULL, done_elsewhere, later[0]), 0);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 5000), 1);
	ck_assert_uint_eq(rig.msg->id, id);
	pthread_join(thread, NULL);
}
END_TEST

/* A client may serve no DMA while it waits for the read, and DMA may be what ends the write (E60). */
START_TEST(posted_write_holds_up_nothing)
{
	struct vfu_stats stats;

	use_defer();
	rig_send_write(&rig, true, 0, 0x100, 4, 1);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
	ck_assert_uint_eq(rig_map(&rig, 0x4000, 4096, -1), 0);
	ck_assert_uint_eq(nlater, 1);
	ck_assert_int_eq(vfu_request_done(later[0], -EIO), 0);
	rig_silence(&rig);
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.drops, 1);
}
END_TEST

START_TEST(multi_write_answered_later)
{
	struct rig_many in = {
		4, {{0, 0, 4, {1}}, {0x100, 0, 4, {2}}, {8, 0, 4, {3}}, {0x100, 0, 4, {4}}}};
	uint16_t multi, read;

	use_defer();
	multi = rig_send(&rig, 15, &in, sizeof(in));
	read = rig_send_read(&rig, 0, 0, 4);
	rig_silence(&rig);
	ck_assert_uint_eq(rig.writes, 1);
	ck_assert_int_eq(vfu_request_done(later[0], 0), 0);
	rig_silence(&rig);
	ck_assert_uint_eq(rig.writes, 2);
	ck_assert_uint_eq(nlater, 2);
	ck_assert_mem_eq(vfu_request_access(later[1])->data, "\4\0\0\0", 4);
	ck_assert_int_eq(vfu_request_done(later[1], 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, multi, 15), 0);
	ck_assert_uint_eq(raw_u64(rig.msg, 0), 4);
	ck_assert_uint_eq(rig_reply(&rig, read, 9), 0);
}
END_TEST

START_TEST(posted_multi_write_holds_up_nothing)
{
	struct rig_many in = {
		4, {{0x100, 0, 4, {1}}, {0, 0, 4, {2}}, {0x100, 0, 4, {3}}, {8, 0, 4, {4}}}};

	use_defer();
	rig_post(&rig, 15, &in, sizeof(in));
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
	ck_assert_uint_eq(rig.writes, 2);
	ck_assert_uint_eq(nlater, 2);
	ck_assert_mem_eq(vfu_request_access(later[1])->data, "\3\0\0\0", 4);
	ck_assert_int_eq(vfu_request_done(later[1], 0), 0);
	ck_assert_int_eq(vfu_request_done(later[0], 0), 0);
	rig_silence(&rig);
}
END_TEST

/* Each stands for itself, as if it had come alone; else the answer says where it stopped. */
START_TEST(failure_amid_many_writes)
{
	struct rig_many in = {4, {{0, 0, 4, {1}}, {0, 3, 4, {2}}, {0, 77, 4, {3}}, {8, 0, 4, {4}}}};
	struct vfu_stats stats;

	rig_post(&rig, 15, &in, sizeof(in));
	rig_silence(&rig);
	ck_assert_uint_eq(rig.writes, 2);
	vfu_server_stats(rig.srv, &stats);
	ck_assert_uint_eq(stats.drops, 2);
	ck_assert_uint_eq(rig_call(&rig, 15, &in, sizeof(in)), 0);
	ck_assert_uint_eq(raw_u64(rig.msg, 0), 1);
	ck_assert_uint_eq(rig.writes, 3);
}
END_TEST

/* What comes after a function reset waits for it, also inside one message. */
START_TEST(many_writes_wait_for_a_gate)
{
	struct rig_many in = {
		4, {{0, 0, 4, {1}}, {0, 7, 2, {0, 0x80}}, {8, 0, 4, {3}}, {8, 0, 4, {4}}}};

	in.entry[1].offset = add_flr() + 8;
	use_gate(VFU_LATER);
	rig_post(&rig, 15, &in, sizeof(in));
	rig_silence(&rig);
	ck_assert_uint_eq(rig.writes, 1);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	rig_silence(&rig);
	ck_assert_uint_eq(rig.writes, 3);
	gate_result = 0;
}
END_TEST

START_TEST(dead_requests)
{
	use_defer();
	rig_send_read(&rig, 0, 0x100, 4);
	rig_send_write(&rig, true, 0, 0x100, 4, 1);
	rig_silence(&rig);
	ck_assert_uint_eq(nlater, 2);
	rig_hang_up(&rig);
	ck_assert(vfu_request_is_dead(later[0]));
	rig_connect(&rig);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
	ck_assert(vfu_request_is_dead(later[1]));
	ck_assert_int_eq(vfu_request_done(later[0], 0), -ENOTCONN);
	ck_assert_int_eq(vfu_request_done(later[1], 0), -ENOTCONN);
	rig_silence(&rig);
}
END_TEST

static int defer_twice(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)access, (void)user;
	ck_assert_ptr_null(vfu_request_defer(NULL));
	later[0] = vfu_request_defer(req);
	ck_assert_ptr_null(vfu_request_defer(req));
	return 0; /* wrong, but the handle answers */
}

START_TEST(deferred_once_only)
{
	uint16_t id;

	rig.bar0 = defer_twice;
	id = rig_send_read(&rig, 0, 0, 4);
	rig_silence(&rig);
	ck_assert_int_eq(vfu_request_done(later[0], 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
}
END_TEST

/* ---- callbacks entered again ---- */

#define IOVA 0x40000
#define SMALL 16 /* a read of that register copies bytes of the client's memory first */

static unsigned depth, deepest;
static int dma_result;

static int read_memory(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct rig *r = user;
	int rc;

	(void)req;
	if (access->offset != SMALL) {
		rig_note(r, "at-%x", (unsigned)access->offset);
		memset(access->data, 0x22, access->count);
		return 0;
	}
	deepest = ++depth > deepest ? depth : deepest;
	rc = vfu_dma_read(r->dev, IOVA, access->data, access->count);
	if (rc < 0)
		dma_result = rc;
	depth--;
	rig_note(r, "done");
	return rc;
}

static void use_dma(void)
{
	depth = deepest = 0;
	dma_result = 0;
	ck_assert_uint_eq(rig_map(&rig, IOVA, 4096, -1), 0);
	rig_set_hooks(&rig, NULL);
	rig.bar0 = read_memory;
}

/* ---- order of copies ---- */

#define RING 0x80000

static void wrote(void *user, int status)
{
	ck_assert_int_eq(status, 0);
	rig_note(user, "wrote");
}

/* A device that completes a command: data by message, an entry and its index in mapped memory. */
static int complete(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct rig *r = user;

	(void)req;
	(void)access;
	ck_assert_int_eq(vfu_dma_write_async(r->dev, IOVA, "data", 4, wrote, r), 0);
	ck_assert_int_eq(vfu_dma_write_async(r->dev, RING + 64, "entry", 5, wrote, r), 0);
	ck_assert_int_eq(vfu_dma_write_async(r->dev, RING, "\1\0\0", 4, wrote, r), 0);
	ck_assert_int_eq(vfu_dma_write_async(r->dev, IOVA + 8, "more", 4, wrote, r), 0);
	return 0;
}

/* What needs no messages does not overtake those before it, and is not overtaken. */
START_TEST(copies_take_effect_as_started)
{
	static const uint64_t reply[2] = {IOVA, 4};
	int fd = rig_memfd(4096);
	uint8_t *ring = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	uint16_t id, dma;

	ck_assert_ptr_ne(ring, MAP_FAILED);
	use_dma();
	ck_assert_uint_eq(rig_map(&rig, RING, 4096, fd), 0);
	rig.bar0 = complete;
	rig.calls[0] = '\0';
	id = rig_send_read(&rig, 0, 0, 4);
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 100), 1);
	ck_assert_uint_eq(rig.msg->command, 12);
	ck_assert_mem_eq(rig.msg->payload + 16, "data", 4);
	dma = rig.msg->id;
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
	rig_silence(&rig);
	ck_assert_uint_eq(ring[0] + ring[64], 0);
	ck_assert_str_eq(rig.calls, "");
	raw_send(rig.sock, dma, 12, RAW_REPLY, reply, 16, NULL, 0);
	rig_pump(&rig);
	ck_assert_mem_eq(ring + 64, "entry", 5);
	ck_assert_uint_eq(ring[0], 1);
	ck_assert_str_eq(rig.calls, "wrote wrote wrote");
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 100), 1);
	ck_assert_mem_eq(rig.msg->payload + 16, "more", 4);
	raw_send(rig.sock, rig.msg->id, 12, RAW_REPLY, (uint64_t[]){IOVA + 8, 4}, 16, NULL, 0);
	rig_pump(&rig);
	ck_assert_str_eq(rig.calls, "wrote wrote wrote wrote");
	munmap(ring, 4096);
	close(fd);
}
END_TEST

static void ended(void *user, int status)
{
	rig_note(user, status == -ECANCELED ? "cancelled" : "ended");
}

static int start_two(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct rig *r = user;

	(void)req;
	(void)access;
	ck_assert_int_eq(vfu_dma_write_async(r->dev, IOVA, "data", 4, ended, r), 0);
	ck_assert_int_eq(vfu_dma_write_async(r->dev, RING, "late", 4, ended, r), 0);
	return 0;
}

/* What is on its way was sent before the answer; what is not begins no more, and its end is heard of before the hook. */
START_TEST(a_reset_ends_copies)
{
	static const uint64_t reply[2] = {IOVA, 4};
	int fd = rig_memfd(4096);
	uint8_t *ring = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	uint16_t id, dma;

	ck_assert_ptr_ne(ring, MAP_FAILED);
	use_dma();
	ck_assert_uint_eq(rig_map(&rig, RING, 4096, fd), 0);
	rig.bar0 = start_two;
	rig.calls[0] = '\0';
	id = rig_send_read(&rig, 0, 0, 4);
	rig_pump(&rig);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 100), 1);
	ck_assert_uint_eq(rig.msg->command, 12);
	dma = rig.msg->id;
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
	ck_assert_uint_eq(rig_call(&rig, 13, NULL, 0), 0);
	ck_assert_str_eq(rig.calls, "cancelled reset");
	raw_send(rig.sock, dma, 12, RAW_REPLY, reply, 16, NULL, 0);
	rig_pump(&rig);
	ck_assert_str_eq(rig.calls, "cancelled reset cancelled");
	ck_assert_uint_eq(ring[0], 0);
	munmap(ring, 4096);
	close(fd);
}
END_TEST

/* Nor is what the device has pinned written back. */
START_TEST(a_reset_ends_pins)
{
	struct vfu_dma_pin pin;

	use_dma();
	ck_assert_int_eq(vfu_dma_pin(rig.dev, IOVA, 16, VFU_DMA_WRITE, &pin), 0);
	memset(pin.addr, 0x5a, pin.len);
	ck_assert_uint_eq(rig_call(&rig, 13, NULL, 0), 0);
	ck_assert_int_eq(vfu_dma_unpin(rig.dev, &pin), -ECANCELED);
	rig_silence(&rig);
}
END_TEST

/* The client, which answers message DMA from its own thread after it has sent what is in script. */
struct peer {
	const char *script;     /* one character a request */
	unsigned expected;      /* replies */
	unsigned errors, asked; /* DMA requests seen */
	char order[64];
	atomic_bool is_over;
};

static void send_script(const struct peer *peer)
{
	static const struct rig_unmap unmap = {.argsz = 24, .address = IOVA, .size = 4096};
	/* One write, of the command register. */
	static const struct {
		uint64_t count, offset;
		uint32_t region, size;
		uint8_t data[8];
	} multi = {1, 4, 7, 2, {6}};
	const char *c;

	for (c = peer->script; *c; c++) {
		switch (*c) {
		case 'd':
			rig_send_read(&rig, 0, SMALL, 4);
			break;
		case 'r':
			rig_send_read(&rig, 0, 32, 4);
			break;
		case 'c':
			rig_send(&rig, 15, &multi, sizeof(multi));
			break;
		case 'x':
			rig_send(&rig, 13, NULL, 0);
			break;
		case 'u':
			rig_send(&rig, 3, &unmap, sizeof(unmap));
			break;
		}
	}
}

/* A reply to DMA_READ of 4 bytes: 20 of these. */
struct dma_data {
	uint64_t address, count;
	char data[8];
};

static void *answer(void *arg)
{
	static const char names[] = "??mu?????rw??x?c";
	static const struct dma_data data = {IOVA, 4, "DATA"};
	struct peer *peer = arg;
	struct raw_msg *msg = malloc(sizeof(*msg));
	unsigned got = 0;

	while (got < peer->expected && raw_recv(rig.sock, msg, 3000) == 1) {
		if (!(msg->flags & 1)) {
			ck_assert(msg->command == 11);
			peer->asked++;
			/* In the stream it lies behind the script, which is handled first. */
			raw_send(rig.sock, msg->id, 11, RAW_REPLY, &data, 20, NULL, 0);
		} else {
			peer->order[got++] = names[msg->command];
			peer->errors += (msg->flags & 0x20) != 0;
		}
	}
	free(msg);
	peer->is_over = true;
	return NULL;
}

static void play(struct peer *peer)
{
	pthread_t thread;

	peer->is_over = false;
	peer->expected = (unsigned)strlen(peer->script);
	memset(peer->order, 0, sizeof(peer->order));
	peer->errors = 0;
	send_script(peer);
	ck_assert_int_eq(pthread_create(&thread, NULL, answer, peer), 0);
	while (!peer->is_over) { /* it waits 3 s for the next message at most */
		rig_pump(&rig);
		usleep(1000);
	}
	pthread_join(thread, NULL);
}

START_TEST(others_are_served_meanwhile)
{
	struct peer peer = {"drr"};

	use_dma();
	play(&peer);
	ck_assert_str_eq(peer.order, "rrr");
	ck_assert_uint_eq(peer.errors, 0);
	ck_assert_str_eq(rig.calls, "at-20 at-20 done");
}
END_TEST

START_TEST(reset_and_unmap_wait_for_the_outermost)
{
	struct peer peer = {"drxru"};

	use_dma();
	play(&peer);
	ck_assert_str_eq(peer.order, "rrxru");
	ck_assert_uint_eq(peer.errors, 0);
	ck_assert_str_eq(rig.calls, "at-20 done reset at-20 unmap:40000");
}
END_TEST

START_TEST(no_reentry)
{
	struct peer peer = {"drr"};

	use_dma();
	ck_assert_int_eq(vfu_device_set_no_reentry(rig.dev, true), 0);
	play(&peer);
	ck_assert_uint_eq(peer.errors, 0);
	ck_assert_str_eq(rig.calls, "done at-20 at-20");
}
END_TEST

START_TEST(at_most_eight_deep)
{
	struct peer peer = {"dddddddddd"};

	use_dma();
	play(&peer);
	ck_assert_uint_eq(strlen(peer.order), 10);
	ck_assert_uint_eq(deepest, 9);
	ck_assert_int_eq(dma_result, -EDEADLK);
	ck_assert_uint_eq(peer.errors, 2);
	/* What is refused was not begun either. */
	ck_assert_uint_eq(peer.asked, 8);
}
END_TEST

/* Configuration space by way of REGION_WRITE_MULTI. */
START_TEST(config_writes_wait_for_the_outermost)
{
	struct peer peer = {"dcr"};

	use_dma();
	play(&peer);
	ck_assert_str_eq(peer.order, "rcr");
	ck_assert_uint_eq(peer.errors, 0);
	ck_assert_str_eq(rig.calls, "done config:4+2 at-20");
}
END_TEST

static void *write_elsewhere(void *arg)
{
	int *rc = arg;

	*rc = vfu_dma_write(rig.dev, IOVA, "data", 4);
	return NULL;
}

START_TEST(only_the_owner_waits)
{
	pthread_t thread;
	int rc = 0;

	use_dma();
	ck_assert_int_eq(pthread_create(&thread, NULL, write_elsewhere, &rc), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(rc, -EPERM);
	/* Not a byte of it. */
	rig_silence(&rig);
}
END_TEST

#define FENCE 48 /* one write of many, of that register, is answered later and the others wait */

static struct vfu_request *fence;

static int write_or_read(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	if (!access->is_write)
		return read_memory(user, req, access);
	fence = vfu_request_defer(req);
	return VFU_LATER;
}

/* The command of the next message; the answer to the fence itself is of no interest. */
static unsigned next_but_multi(struct raw_msg *msg)
{
	do {
		ck_assert_int_eq(raw_recv(rig.sock, msg, 3000), 1);
	} while (msg->command == 15);
	return msg->command;
}

/* A client that serves DMA only while it waits for nothing, as QEMU does (E60). */
static void *answer_last(void *arg)
{
	const uint32_t *begun_by = arg;
	struct raw_msg *msg = malloc(sizeof(*msg));
	static const struct dma_data reply = {.address = IOVA, .count = 4};
	uint16_t dma;

	ck_assert(next_but_multi(msg) == 11);
	dma = msg->id;
	if (*begun_by)
		ck_assert(vfu_request_done(fence, 0) == 0);
	ck_assert(next_but_multi(msg) == 9);
	raw_send(rig.sock, dma, 11, RAW_REPLY, &reply, 20, NULL, 0);
	ck_assert(next_but_multi(msg) == 9);
	free(msg);
	return NULL;
}

/* What is held back is served in a wait too: held before it began, or until a fence falls in it. */
START_TEST(held_requests_are_served_meanwhile)
{
	const struct rig_many in = {1, {{FENCE, 0, 4, {1}}}};
	pthread_t thread;
	uint32_t in_wait;
	unsigned i;

	use_dma();
	rig.bar0 = write_or_read;
	for (in_wait = 0; in_wait < 2; in_wait++) {
		if (in_wait)
			rig_send_read(&rig, 0, SMALL, 4);
		rig_send(&rig, 15, &in, 32);
		if (!in_wait)
			rig_send_read(&rig, 0, SMALL, 4);
		rig_send_read(&rig, 0, 32, 4);
		if (!in_wait) {
			rig_silence(&rig);
			ck_assert_int_eq(vfu_request_done(fence, 0), 0);
		}
		ck_assert_int_eq(pthread_create(&thread, NULL, answer_last, &in_wait), 0);
		for (i = 0; i < 300; i++) {
			rig_pump(&rig);
			usleep(1000);
		}
		pthread_join(thread, NULL);
		ck_assert_int_eq(dma_result, 0);
	}
	ck_assert_str_eq(rig.calls, "at-20 done at-20 done");
}
END_TEST

static int copy_and_note(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct rig *r = user;
	uint8_t byte;

	(void)req;
	if (access->offset == SMALL)
		dma_result = vfu_dma_read(r->dev, IOVA, &byte, 1);
	rig_note(r, "at-%x", (unsigned)access->offset);
	return 0;
}

/* Has the device ask for later when a range is mapped, while it waits for DMA. */
static void *map_meanwhile(void *arg)
{
	static const struct dma_data data = {IOVA, 1, "D"};
	struct raw_msg *msg = malloc(sizeof(*msg));

	ck_assert(raw_recv(rig.sock, msg, 3000) == 1);
	ck_assert(msg->command == 11);
	*(uint16_t *)arg = rig_send(&rig, 2, &one_page, sizeof(one_page));
	raw_send(rig.sock, msg->id, 11, RAW_REPLY, &data, 17, NULL, 0);
	free(msg);
	return NULL;
}

/* Many writes have started and go on after the gate: in front of the request that asked, not in its place. */
START_TEST(gate_decides_for_who_asked)
{
	const struct rig_many in = {2, {{SMALL, 0, 4, {1}}, {32, 0, 4, {2}}}};
	uint16_t many, map;
	pthread_t thread;
	unsigned i;

	use_dma();
	use_gate(VFU_LATER);
	rig.bar0 = copy_and_note;
	many = rig_send(&rig, 15, &in, 56);
	ck_assert_int_eq(pthread_create(&thread, NULL, map_meanwhile, &map), 0);
	for (i = 0; i < 300 && !strstr(rig.calls, "at-10"); i++) {
		rig_pump(&rig);
		usleep(1000);
	}
	pthread_join(thread, NULL);
	rig_silence(&rig);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, -EPERM), 0);
	ck_assert_uint_eq(rig_reply(&rig, many, 15), 0);
	ck_assert_uint_eq(rig_reply(&rig, map, 2), EPERM);
	ck_assert_str_eq(rig.calls, "gate-map at-10 at-20");
	gate_result = 0;
}
END_TEST

/* What was held back in a wait, until no more could be, has gone by the end of the round: reading goes on. */
START_TEST(reading_goes_on_after_a_wait)
{
	static const struct {
		uint64_t offset;
		uint32_t region, count;
		uint8_t data[16384];
	} write = {.region = 1, .count = sizeof(write.data)};
	struct pollfd pfds[4];
	unsigned i;

	rig_hang_up(&rig);
	ck_assert_int_eq(vfu_server_set(rig.srv, VFU_OPT_QUEUE_BYTES, 65536), 0);
	rig_connect(&rig);
	use_dma();
	rig.bar0 = copy_and_note;
	ck_assert_int_eq(vfu_device_set_no_reentry(rig.dev, true), 0);
	rig_send_write(&rig, true, 0, SMALL, 4, 1);
	for (i = 0; i < 6; i++)
		rig_post(&rig, 10, &write, 16 + sizeof(write.data));
	ck_assert_int_gt(vfu_server_process(rig.srv, 0), 0);
	ck_assert_int_eq(dma_result, -EDEADLK);
	/* The wake-up, and the client's socket. */
	ck_assert_int_eq(vfu_server_pollfds(rig.srv, pfds, 4), 2);
	ck_assert_int_eq(pfds[1].fd, vfu_server_conn_fd(rig.srv));
	ck_assert(pfds[1].events & POLLIN);
}
END_TEST

static void *hang_up(void *arg)
{
	(void)arg;
	usleep(30000);
	shutdown(rig.sock, SHUT_RDWR);
	return NULL;
}

START_TEST(disconnected_while_waiting)
{
	pthread_t thread;

	use_dma();
	rig_send_read(&rig, 0, SMALL, 4);
	rig_send_read(&rig, 0, 32, 4);
	ck_assert_int_eq(pthread_create(&thread, NULL, hang_up, NULL), 0);
	rig_pump(&rig);
	pthread_join(thread, NULL);
	ck_assert_int_lt(dma_result, 0);
	ck_assert_str_eq(rig.calls, "at-20 done unmap:40000 down");
	close(rig.sock);
	rig_connect(&rig);
	ck_assert_uint_eq(rig_read(&rig, 0, 32, 4), 0);
}
END_TEST

static int third_time(void *asked)
{
	return ++*(unsigned *)asked >= 3;
}

/* The client does not answer, and no request has a deadline: a signal ends the wait. */
START_TEST(interrupted_while_waiting)
{
	unsigned asked = 0;

	rig_hang_up(&rig);
	ck_assert_int_eq(vfu_server_set(rig.srv, VFU_OPT_TIMEOUT_MS, 0), 0);
	vfu_server_set_interrupt(rig.srv, third_time, &asked);
	rig_connect(&rig);
	use_dma();
	rig_send_read(&rig, 0, SMALL, 4);
	rig_pump(&rig);
	ck_assert_int_eq(dma_result, -EINTR);
}
END_TEST

/* From outside a callback, on the owner. */
START_TEST(waiting_between_rounds)
{
	struct peer peer = {"r"};
	pthread_t thread;
	char buf[4];

	use_dma();
	peer.expected = 1;
	memset(peer.order, 0, sizeof(peer.order));
	ck_assert_int_eq(pthread_create(&thread, NULL, answer, &peer), 0);
	ck_assert_int_eq(vfu_dma_read(rig.dev, IOVA, buf, 4), 0);
	ck_assert_mem_eq(buf, "DATA", 4);
	send_script(&peer);
	rig_pump(&rig);
	pthread_join(thread, NULL);
	ck_assert_str_eq(peer.order, "r");
}
END_TEST

static int hang_up_inside(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)req, (void)access;
	vfu_server_disconnect(((struct rig *)user)->srv);
	return 0;
}

START_TEST(disconnect_inside_a_callback)
{
	rig.bar0 = hang_up_inside;
	rig_set_hooks(&rig, NULL);
	rig_send_read(&rig, 0, 0, 4);
	rig_gone(&rig);
	ck_assert_str_eq(rig.calls, "down");
}
END_TEST

static int process_inside(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct rig *r = user;

	(void)req, (void)access;
	ck_assert_int_eq(vfu_server_process(r->srv, 0), -EDEADLK);
	ck_assert_int_eq(vfu_server_run(r->srv), -EDEADLK);
	return 0;
}

static int disconnect_in_reset(void *user)
{
	struct rig *r = user;

	rig_note(r, "reset");
	vfu_server_disconnect(r->srv);
	ck_assert_int_eq(vfu_server_process(r->srv, 0), -EDEADLK);
	return 0;
}

/* However the connection ends, hooks run inside that end, and only once. */
START_TEST(disconnect_inside_the_end)
{
	const struct vfu_device_hooks hooks = {.size = sizeof(hooks), .reset = disconnect_in_reset};

	ck_assert_int_eq(vfu_server_set_policy(rig.srv, "disconnect", "reset"), 0);
	ck_assert_int_eq(vfu_device_set_hooks(rig.dev, &hooks, &rig), 0);
	rig_hang_up(&rig);
	rig_connect(&rig);
	vfu_server_disconnect(rig.srv);
	rig_gone(&rig);
	rig_connect(&rig);
	vfu_server_free(rig.srv);
	ck_assert_str_eq(rig.calls, "reset reset reset");
	rig.srv = vfu_server_new(rig.dev);
}
END_TEST

/* ---- freed inside a callback ---- */

static void free_server(struct rig *r)
{
	vfu_server_free(r->srv);
	vfu_server_free(r->srv); /* it is still there */
	ck_assert_int_eq(vfu_device_free(r->dev), -EBUSY);
}

static int free_inside(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)req, (void)access;
	free_server(user);
	return 0;
}

static void new_server(void)
{
	rig.srv = vfu_server_new(rig.dev);
	ck_assert_ptr_nonnull(rig.srv);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 0), 0);
}

START_TEST(freed_inside_process)
{
	rig.bar0 = free_inside;
	rig_set_hooks(&rig, NULL);
	rig_send_read(&rig, 0, 0, 4);
	rig_send_read(&rig, 0, 0, 4);
	while (vfu_server_process(rig.srv, 0) != -ENOTCONN)
		;
	ck_assert_str_eq(rig.calls, "down");
	new_server();
}
END_TEST

START_TEST(freed_inside_run)
{
	rig.bar0 = free_inside;
	rig_send_read(&rig, 0, 0, 4);
	ck_assert_int_eq(vfu_server_run(rig.srv), 0);
	new_server();
}
END_TEST

static int free_in_reset(void *user)
{
	free_server(user);
	return 0;
}

/* In a hook that runs because the connection ends: by disconnect, and by free itself. */
START_TEST(freed_inside_the_end)
{
	const struct vfu_device_hooks hooks = {.size = sizeof(hooks), .reset = free_in_reset};

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(vfu_server_set_policy(rig.srv, "disconnect", "reset"), 0);
		ck_assert_int_eq(vfu_device_set_hooks(rig.dev, &hooks, &rig), 0);
		if (i)
			vfu_server_disconnect(rig.srv);
		else
			vfu_server_free(rig.srv);
		new_server();
		close(rig.sock);
		rig_connect(&rig);
	}
}
END_TEST

static int free_in_wait(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	if (access->offset == SMALL)
		return read_memory(user, req, access);
	free_server(user);
	return 0;
}

/* A callback waits for DMA, and one that runs meanwhile frees the server. */
START_TEST(freed_inside_a_wait)
{
	use_dma();
	rig.bar0 = free_in_wait;
	rig_send_read(&rig, 0, SMALL, 4);
	rig_send_read(&rig, 0, 0, 4);
	while (vfu_server_process(rig.srv, 0) != -ENOTCONN)
		;
	ck_assert_int_lt(dma_result, 0);
	while (raw_recv(rig.sock, rig.msg, 0) == 1)
		;
	new_server();
}
END_TEST

/* The owner waits between rounds, and nothing but that call is left to free it. */
START_TEST(freed_inside_a_wait_between_rounds)
{
	char buf[4];

	use_dma();
	rig.bar0 = free_in_wait;
	rig_send_read(&rig, 0, 0, 4);
	ck_assert_int_lt(vfu_dma_read(rig.dev, IOVA, buf, 4), 0);
	while (raw_recv(rig.sock, rig.msg, 0) == 1)
		;
	new_server();
}
END_TEST

START_TEST(process_inside_a_callback)
{
	rig.bar0 = process_inside;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
}
END_TEST

#define ADD(test) tcase_add_test(tcase, test)

static void add_order(TCase *tcase)
{
	ADD(gate_goes);
	ADD(gate_refuses);
	ADD(gate_before_check);
	ADD(gate_not_for_reading);
	ADD(own_command_in_order);
	ADD(gate_later);
	ADD(gate_refuses_later);
	ADD(gate_done_inside_the_hook);
	ADD(flr_asks);
	ADD(flr_twice_in_an_access);
	ADD(disconnect_asks);
	ADD(disconnect_resets_by_policy);
	ADD(disconnect_with_a_gate_open);
	ADD(free_with_gates_open);
	ADD(read_answered_later);
	ADD(write_answered_later);
	ADD(answered_by_another_thread);
	ADD(posted_write_holds_up_nothing);
	ADD(multi_write_answered_later);
	ADD(posted_multi_write_holds_up_nothing);
	ADD(failure_amid_many_writes);
	ADD(many_writes_wait_for_a_gate);
	ADD(dead_requests);
	ADD(deferred_once_only);
}

static void add_reentry(TCase *tcase)
{
	ADD(others_are_served_meanwhile);
	ADD(reset_and_unmap_wait_for_the_outermost);
	ADD(no_reentry);
	ADD(at_most_eight_deep);
	ADD(config_writes_wait_for_the_outermost);
	ADD(only_the_owner_waits);
	ADD(held_requests_are_served_meanwhile);
	ADD(gate_decides_for_who_asked);
	ADD(copies_take_effect_as_started);
	ADD(a_reset_ends_copies);
	ADD(a_reset_ends_pins);
	ADD(reading_goes_on_after_a_wait);
	ADD(disconnected_while_waiting);
	ADD(interrupted_while_waiting);
	ADD(waiting_between_rounds);
	ADD(disconnect_inside_a_callback);
	ADD(disconnect_inside_the_end);
	ADD(process_inside_a_callback);
	ADD(freed_inside_process);
	ADD(freed_inside_run);
	ADD(freed_inside_the_end);
	ADD(freed_inside_a_wait);
	ADD(freed_inside_a_wait_between_rounds);
}

int main(void)
{
	Suite *suite = suite_create("order");
	TCase *tcase = tcase_create("order");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	add_order(tcase);
	add_reentry(tcase);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
