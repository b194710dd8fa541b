/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-direct.c - accesses of a client that need no message, and what it asks once.
 *
 * The server is a thread that counts what it is asked, and has a region 0 of 32 KiB whose pages 1 and 4 to 5 may be mapped:
 *
 *	0       4K      8K      12K     16K             24K     32K
 *	|message| area 0|    messages   |    area 1     |       |       file: areas[i].offset + 4 KiB
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"

enum { PAGE = 4096, SIZE = 8 * PAGE, BASE = PAGE };

static struct script far;
static struct vfu_client *cl;
static uint8_t *memory; /* the file */
static int file;
static atomic_uint asked[32], reads, writes, posts; /* messages */
static struct {
	struct vfu_wire_get_region_info_reply head;
	struct vfu_wire_region_cap_header cap;
	uint32_t n, reserved;
	uint64_t area[4];
} region;
static struct {
	struct vfu_wire_get_region_io_fds_reply head;
	struct vfu_wire_io_fd entry[4];
} io;
static int bell;
static unsigned io_error;

/* ---- the server */

static void answer_access(struct script *s, bool is_write)
{
	uint32_t count = script_u32(s, 12);

	if (s->msg.hdr.flags & VFU_WIRE_HEADER_NO_REPLY) {
		posts++;
		return;
	}
	*(is_write ? &writes : &reads) += 1;
	memset(s->msg.payload + 16, 0x77, count);
	script_reply(s, s->msg.payload, is_write ? 16 : 16 + count);
}

static void answer_region(struct script *s)
{
	struct vfu_wire_get_region_info_reply plain = {
		.argsz = 32, .flags = 3, .index = script_u32(s, 8), .size = SIZE};

	if (plain.index)
		script_reply(s, &plain, sizeof(plain));
	else
		script_reply_fds(s, &region,
				 script_u32(s, 0) < sizeof(region) ? 32 : sizeof(region), &file,
				 region.head.flags & VFU_REGION_MMAP ? 1 : 0);
}

static void answer_io(struct script *s)
{
	if (io_error)
		script_error(s, io_error);
	else
		script_reply_fds(s, &io, io.head.argsz, &bell, io.head.count ? 1 : 0);
}

static void answer(struct script *s)
{
	const uint32_t info[4] = {16, 3, 9, 5}, irq[4] = {16, 1, script_u32(s, 8), 4};
	uint16_t command = s->msg.hdr.command;

	asked[command]++;
	if (command == VFU_WIRE_CMD_GET_REGION_INFO)
		answer_region(s);
	else if (command == VFU_WIRE_CMD_GET_REGION_IO_FDS)
		answer_io(s);
	else if (command == VFU_WIRE_CMD_REGION_READ || command == VFU_WIRE_CMD_REGION_WRITE)
		answer_access(s, command == VFU_WIRE_CMD_REGION_WRITE);
	else if (command == VFU_WIRE_CMD_GET_INFO)
		script_reply(s, info, sizeof(info));
	else
		script_reply(s, irq, sizeof(irq));
}

static void serve(struct script *s)
{
	script_version(s);
	while (peer_get(s->fd, &s->msg, s->fds, &s->nfds))
		answer(s);
}

/* An area at an offset, or two. */
static void describe(uint32_t flags, unsigned n)
{
	region.head = (struct vfu_wire_get_region_info_reply){.argsz = (uint32_t)sizeof(region),
							      .flags = flags | 8,
							      .cap_offset = 32,
							      .size = SIZE,
							      .offset = BASE};
	region.cap = (struct vfu_wire_region_cap_header){1, 1, 0};
	region.n = n;
	region.area[0] = PAGE;
	region.area[1] = PAGE;
	region.area[2] = 4 * PAGE;
	region.area[3] = 2 * PAGE;
}

static void connect_with(unsigned mapped, unsigned ioevents)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAPPED, mapped), 0);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_IOEVENTS, ioevents), 0);
	script_connect(&far, cl, serve);
}

static void reconnect(void)
{
	vfu_client_disconnect(cl);
	script_join(&far);
	script_connect(&far, cl, serve);
}

static void setup(void)
{
	memset(&far, 0, sizeof(far));
	memset(asked, 0, sizeof(asked));
	memset(&io, 0, sizeof(io));
	reads = writes = posts = io_error = 0;
	io.head.argsz = 16;
	describe(7, 2);
	file = peer_fd();
	bell = passed_eventfd(EFD_NONBLOCK);
	ck_assert_int_eq(ftruncate(file, BASE + SIZE), 0);
	memory = mmap(NULL, BASE + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 0), 0);
}

static void teardown(void)
{
	vfu_client_disconnect(cl);
	script_join(&far);
	vfu_client_free(cl);
	munmap(memory, BASE + SIZE);
	close(file);
	close(bell);
}

static const char *last_text(void)
{
	static struct vfu_err err;

	vfu_client_err(cl, &err);
	return err.text;
}

/* ---- what is asked once */

START_TEST(asked_once)
{
	struct vfu_device_info device;
	struct vfu_region_info info[2];
	struct vfu_irq_info irq;

	connect_with(0, 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(vfu_client_device_info(cl, &device), 0);
		ck_assert_int_eq(vfu_client_irq_info(cl, 2, &irq), 0);
		ck_assert_int_eq(vfu_client_region_info(cl, 0, &info[i]), 0);
		ck_assert_uint_eq(device.num_regions, 9);
		ck_assert_uint_eq(irq.count, 4);
		ck_assert_uint_eq(info[i].areas[1].offset, 4 * PAGE);
		ck_assert(peer_fd_is(info[i].fd, file));
	}
	ck_assert_int_ne(info[0].fd, info[1].fd);
	vfu_region_info_fini(&info[0]);
	vfu_region_info_fini(&info[1]);
	ck_assert_uint_eq(asked[VFU_WIRE_CMD_GET_INFO], 1);
	ck_assert_uint_eq(asked[VFU_WIRE_CMD_GET_IRQ_INFO], 1);
	ck_assert_uint_eq(asked[VFU_WIRE_CMD_GET_REGION_INFO], 2); /* the second time with room */
	vfu_client_forget_info(cl);
	ck_assert_int_eq(vfu_client_device_info(cl, &device), 0);
	ck_assert_int_eq(vfu_client_region_info(cl, 0, &info[0]), 0);
	vfu_region_info_fini(&info[0]);
	ck_assert_uint_eq(asked[VFU_WIRE_CMD_GET_INFO], 2);
	ck_assert_uint_eq(asked[VFU_WIRE_CMD_GET_REGION_INFO], 4);
	reconnect();
	ck_assert_int_eq(vfu_client_device_info(cl, &device), 0);
	ck_assert_uint_eq(asked[VFU_WIRE_CMD_GET_INFO], 3);
	vfu_client_disconnect(cl);
	ck_assert_int_eq(vfu_client_device_info(cl, &device), -ENOTCONN);
	ck_assert_int_eq(vfu_client_region_info(cl, 0, &info[0]), -ENOTCONN);
	ck_assert_int_eq(vfu_client_region_info(cl, 256, &info[0]), -ENOTCONN);
	vfu_client_forget_info(cl);
}
END_TEST

/* ---- memory */

static uint32_t get32(uint64_t offset)
{
	uint32_t value;

	ck_assert_int_eq(vfu_client_region_read32(cl, 0, offset, &value), 0);
	return value;
}

START_TEST(inside_of_areas)
{
	uint8_t bytes[2 * PAGE];
	uint16_t half;
	uint64_t whole;
	uint8_t byte;

	connect_with(1, 0);
	memory[BASE + PAGE] = 1;
	memory[BASE + PAGE + 7] = 8;
	ck_assert_uint_eq(get32(PAGE), 1);
	ck_assert_int_eq(vfu_client_region_read64(cl, 0, PAGE, &whole), 0);
	ck_assert_uint_eq(whole, 8ull << 56 | 1);
	ck_assert_int_eq(vfu_client_region_write8(cl, 0, 2 * PAGE - 1, 0xab), 0);
	ck_assert_int_eq(vfu_client_region_write16(cl, 0, 4 * PAGE + 2, 0x1234), 0);
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, 4 * PAGE + 5, 0xdeadbeef),
			 0); /* not aligned */
	ck_assert_int_eq(vfu_client_region_write64(cl, 0, 6 * PAGE - 8, 1), 0);
	ck_assert_int_eq(vfu_client_region_read8(cl, 0, 2 * PAGE - 1, &byte), 0);
	ck_assert_int_eq(vfu_client_region_read16(cl, 0, 4 * PAGE + 2, &half), 0);
	ck_assert_uint_eq(byte, 0xab);
	ck_assert_uint_eq(half, 0x1234);
	ck_assert_uint_eq(memory[BASE + 4 * PAGE + 2], 0x34);
	ck_assert_uint_eq(memory[BASE + 4 * PAGE + 5], 0xef);
	ck_assert_uint_eq(memory[BASE + 6 * PAGE - 8], 1);
	memset(memory + BASE + 4 * PAGE, 5, 2 * PAGE);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 4 * PAGE, bytes, 2 * PAGE), 0);
	ck_assert_uint_eq(bytes[2 * PAGE - 1], 5);
	ck_assert_int_eq(vfu_client_region_post(cl, 0, 4 * PAGE, "hello", 5), 0);
	ck_assert_mem_eq(memory + BASE + 4 * PAGE, "hello", 5);
	ck_assert_uint_eq(reads + writes + posts, 0);
}
END_TEST

START_TEST(outside_of_areas)
{
	static const uint64_t offsets[] = {0,        PAGE - 4,     PAGE - 2, 2 * PAGE - 2,
					   2 * PAGE, 6 * PAGE - 3, SIZE};
	uint32_t value = 0;

	connect_with(1, 0);
	for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		ck_assert_uint_eq(get32(offsets[i]), 0x77777777);
		ck_assert_int_eq(vfu_client_region_write32(cl, 0, offsets[i], 1), 0);
		ck_assert_uint_eq(reads, i + 1);
		ck_assert_uint_eq(writes, i + 1);
	}
	ck_assert_uint_eq(get32(UINT64_MAX - 3), 0x77777777);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, PAGE, &value, 0), 0);
	ck_assert_int_eq(vfu_client_region_read32(cl, 1, PAGE, &value), 0); /* another region */
	ck_assert_int_eq(vfu_client_region_read32(cl, 1000, PAGE, &value), 0);
	ck_assert_uint_eq(reads, 10);
	/* With memory in use nothing is posted. */
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, PAGE, 1), 0);
	ck_assert_int_eq(vfu_client_region_post(cl, 1, 0, &value, 4), 0);
	ck_assert_uint_eq(posts, 0);
}
END_TEST

/* Writes that wait for no answer, of two. */
static unsigned posted_of_two(void)
{
	const unsigned before = posts;
	uint32_t value;

	ck_assert_int_eq(vfu_client_region_post(cl, 1, 0, "abcd", 4), 0);
	ck_assert_int_eq(vfu_client_region_post(cl, 1, 0, "abcd", 4), 0);
	ck_assert_int_eq(vfu_client_region_read32(cl, 1, 0, &value), 0); /* they have arrived */
	return posts - before;
}

/* Any region counts, and until the connection ends; one that can not be mapped does not. */
START_TEST(not_posted_once_memory_may_be_used)
{
	struct vfu_region_info info;
	struct vfu_region_map map;

	connect_with(0, 0);
	ck_assert_int_eq(vfu_client_region_info(cl, 1, &info), 0);
	vfu_region_info_fini(&info);
	ck_assert_uint_eq(posted_of_two(), 2);
	ck_assert_int_eq(vfu_client_region_info(cl, 0, &info), 0);
	vfu_region_info_fini(&info);
	ck_assert_uint_eq(posted_of_two(), 0);
	reconnect();
	ck_assert_uint_eq(posted_of_two(), 2);
	ck_assert_int_eq(vfu_client_region_map(cl, 0, PAGE, 0, &map), 0);
	vfu_region_map_fini(&map);
	ck_assert_uint_eq(posted_of_two(), 0);
}
END_TEST

/* What the flags, the file or the option forbid goes by message. */
START_TEST(not_to_be_mapped)
{
	connect_with(1, 0);
	describe(1 | 4, 2); /* to be read only */
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, PAGE, 1), 0);
	ck_assert_uint_eq(writes, 1);
	ck_assert_uint_eq(get32(PAGE), 0);
	describe(3, 2);
	reconnect();
	ck_assert_uint_eq(get32(PAGE), 0x77777777);
	describe(7, 0); /* no areas: nothing */
	reconnect();
	ck_assert_uint_eq(get32(PAGE), 0x77777777);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAPPED, 0), 0);
	describe(7, 2);
	reconnect();
	ck_assert_uint_eq(get32(PAGE), 0x77777777);
	ck_assert_uint_eq(reads, 3);
}
END_TEST

START_TEST(file_that_is_cut)
{
	uint32_t value;

	if (lacks(LACKS_FAULTS, __func__)) {
		connect_with(1, 0);
		return;
	}
	connect_with(1, 0);
	ck_assert_uint_eq(get32(PAGE), 0);
	ck_assert_int_eq(ftruncate(file, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(vfu_client_region_read32(cl, 0, PAGE, &value), -EFAULT);
		ck_assert_ptr_nonnull(strstr(last_text(), "ends before it does"));
		ck_assert_int_eq(vfu_client_region_write32(cl, 0, PAGE, 1), -EFAULT);
	}
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, 5 * PAGE, 1), -EFAULT);
	ck_assert_uint_eq(get32(0), 0x77777777);
}
END_TEST

START_TEST(server_that_has_gone)
{
	uint32_t value;

	connect_with(1, 0);
	ck_assert_uint_eq(get32(PAGE), 0);
	shutdown(far.fd, SHUT_RDWR);
	ck_assert_int_lt(vfu_client_region_read32(cl, 0, 0, &value), 0);
	ck_assert_int_lt(vfu_client_region_read32(cl, 0, PAGE, &value), 0);
}
END_TEST

START_TEST(as_memory)
{
	struct vfu_region_map map;

	connect_with(0, 0);
	ck_assert_int_eq(vfu_client_region_map(cl, 0, 4 * PAGE + 16, 0, &map), 0);
	ck_assert_uint_eq(map.len, 2 * PAGE - 16);
	memory[BASE + 4 * PAGE + 16] = 9;
	ck_assert_uint_eq(*(uint8_t *)map.addr, 9);
	vfu_client_disconnect(cl);
	*(uint8_t *)map.addr = 10;
	ck_assert_uint_eq(memory[BASE + 4 * PAGE + 16], 10);
	ck_assert(!vfu_watch_is_lost(map.watch));
	vfu_region_map_fini(&map);
	vfu_region_map_fini(&map);
	vfu_region_map_fini(NULL);
	script_join(&far);
	script_connect(&far, cl, serve);
	ck_assert_int_eq(vfu_client_region_map(cl, 0, 2 * PAGE - 4, 8, &map), -EINVAL);
	ck_assert_int_eq(vfu_client_region_map(cl, 0, 0, 0, &map), -EINVAL);
	ck_assert_int_eq(vfu_client_region_map(cl, 1, 0, 4, &map), -EINVAL);
}
END_TEST

/* ---- eventfds */

static uint64_t rung(void)
{
	eventfd_t count = 0;

	eventfd_read(bell, &count);
	return count;
}

static void add_entry(uint64_t offset, uint32_t size, uint32_t flags, uint64_t match)
{
	io.entry[io.head.count++] = (struct vfu_wire_io_fd){
		.offset = offset, .size = size, .flags = flags, .datamatch = match};
	io.head.argsz = 16 + io.head.count * (uint32_t)sizeof(io.entry[0]);
}

START_TEST(rings_a_bell)
{
	if (lacks(LACKS_COUNTS, __func__)) {
		connect_with(0, 1);
		return;
	}
	add_entry(0x40, 4, 0, 0);
	add_entry(0x80, 2, VFU_IOEVENT_MATCH, 0x1234);
	add_entry(0x90, 0, 0, 0);
	connect_with(0, 1);
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, 0x40, 7), 0);
	ck_assert_int_eq(vfu_client_region_write16(cl, 0, 0x80, 0x1234), 0);
	ck_assert_int_eq(vfu_client_region_write64(cl, 0, 0x90, 0), 0);
	ck_assert_int_eq(vfu_client_region_post(cl, 0, 0x90, "x", 1), 0);
	ck_assert_uint_eq(rung(), 4);
	ck_assert_uint_eq(writes + posts, 0);
	/* Another size, value, offset; a read. */
	ck_assert_int_eq(vfu_client_region_write16(cl, 0, 0x40, 7), 0);
	ck_assert_int_eq(vfu_client_region_write16(cl, 0, 0x80, 0x1235), 0);
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, 0x80, 0x1234), 0);
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, 0x44, 7), 0);
	ck_assert_int_eq(vfu_client_region_write(cl, 0, 0x90, "123456789", 9), 0);
	ck_assert_uint_eq(get32(0x40), 0x77777777);
	ck_assert_uint_eq(writes, 5);
	ck_assert_uint_eq(rung(), 0);
	ck_assert_uint_eq(asked[VFU_WIRE_CMD_GET_REGION_IO_FDS], 1);
}
END_TEST

/* What a batch has posted goes before the bell rings, not with its end. */
START_TEST(a_bell_in_a_batch)
{
	if (lacks(LACKS_COUNTS, __func__)) {
		connect_with(0, 1);
		return;
	}
	add_entry(0x40, 4, 0, 0);
	connect_with(0, 1);
	ck_assert_int_eq(vfu_client_post_begin(cl), 0);
	ck_assert_int_eq(vfu_client_region_post(cl, 0, 0x44, "four", 4), 0);
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, 0x40, 7), 0);
	ck_assert_uint_eq(rung(), 1);
	while (posts == 0)
		poll(NULL, 0, 1);
	ck_assert_int_eq(vfu_client_post_end(cl), 0);
}
END_TEST

/* A device that knows no such question is asked it once; one that lies is told. */
START_TEST(no_bells)
{
	connect_with(0, 1);
	io_error = EOPNOTSUPP;
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(vfu_client_region_write32(cl, 0, 0x40, 7), 0);
	ck_assert_uint_eq(asked[VFU_WIRE_CMD_GET_REGION_IO_FDS], 1);
	io_error = 0;
	add_entry(SIZE - 2, 4, 0, 0);
	reconnect();
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, 0x40, 7), -EPROTO);
	ck_assert_ptr_nonnull(strstr(last_text(), "outside of the region"));
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_IOEVENTS, 0), 0);
	reconnect();
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, 0x40, 7), 0);
}
END_TEST

/* What is called an eventfd, and is a file: nobody writes to it. */
START_TEST(bell_that_is_none)
{
	close(bell);
	bell = peer_fd();
	add_entry(0x40, 4, 0, 0);
	connect_with(0, 1);
	ck_assert_int_eq(vfu_client_region_write32(cl, 0, 0x40, 7), 0);
	ck_assert_uint_eq(writes, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client-direct");
	TCase *tcase = tcase_create("direct");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, asked_once);
	tcase_add_test(tcase, inside_of_areas);
	tcase_add_test(tcase, outside_of_areas);
	tcase_add_test(tcase, not_posted_once_memory_may_be_used);
	tcase_add_test(tcase, not_to_be_mapped);
	tcase_add_test(tcase, file_that_is_cut);
	tcase_add_test(tcase, server_that_has_gone);
	tcase_add_test(tcase, as_memory);
	tcase_add_test(tcase, rings_a_bell);
	tcase_add_test(tcase, a_bell_in_a_batch);
	tcase_add_test(tcase, no_bells);
	tcase_add_test(tcase, bell_that_is_none);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
