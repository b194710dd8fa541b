/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-large.c - reads and writes of much, whose bytes are not to be touched more often than they must: buffers that
 * are not cleared, memory that is written while it arrives, memory that the device lends. BAR3 is 1 MiB; whatever is allocated begins as 0xaa.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/os_fault.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

enum { BAR = 3, SIZE = 1 << 20 };

static struct rig rig;
static long blocks;
static uint32_t fills; /* bytes that the device writes, and says so */
static bool says, defers;
static struct vfu_request *later;

static void set_bar(uint32_t flags, vfu_access_fn *fn)
{
	const struct vfu_region region = {.size = SIZE,
					  .flags = VFU_REGION_READ | VFU_REGION_WRITE | flags,
					  .access = fn,
					  .fd = -1};

	ck_assert_int_eq(vfu_device_set_region(rig.dev, BAR, &region), 0);
}

static void setup(void)
{
	fault_reset();
	blocks = fault_blocks();
	fills = 0;
	says = defers = false;
	mallopt(M_PERTURB, 0x55);
	rig_open(&rig);
	rig_connect(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
	ck_assert_int_eq(fault_blocks(), blocks);
}

/* ---- buffers that are not cleared ---- */

static void fill(struct vfu_request *req, const struct vfu_access *access)
{
	uint32_t n = fills < access->count ? fills : access->count;

	memset(access->data, 'f', n);
	ck_assert_int_eq(vfu_request_set_filled(req, access->count + 1), -EINVAL);
	if (says)
		ck_assert_int_eq(vfu_request_set_filled(req, n), 0);
}

static int fill_some(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	if (access->is_write)
		return vfu_request_set_filled(req, 0) == -EINVAL ? 0 : -EIO;
	if (!defers) {
		fill(req, access);
		return 0;
	}
	later = vfu_request_defer(req);
	return later ? VFU_LATER : -ENOMEM;
}

/* As a device that was told nothing of it. */
static int fill_nothing(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req, (void)access;
	return 0;
}

/* Fills the buffers of reads with what must not leave. */
static int spoil(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req;
	memset(access->data, 0xaa, access->count);
	return 0;
}

static const uint8_t *read_bar(uint64_t offset, uint32_t count)
{
	uint16_t id = rig_send_read(&rig, BAR, offset, count);

	if (defers) {
		rig_silence(&rig);
		fill(later, vfu_request_access(later));
		ck_assert_int_eq(vfu_request_done(later, 0), 0);
	}
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
	ck_assert_uint_eq(rig.msg->len, 16 + count);
	return rig.msg->payload + 16;
}

static void expect(const uint8_t *data, size_t n, uint8_t byte)
{
	size_t i = 0;

	while (i < n && data[i] == byte)
		i++;
	ck_assert_msg(i == n, "byte %zu is %#x", i, data[i]);
}

static void check_filled(uint32_t count, uint32_t n)
{
	const uint8_t *data;

	rig.bar0 = spoil;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4096), 0);
	fills = n;
	data = read_bar(5, count);
	if (!says)
		n = 0;
	expect(data, n, 'f');
	expect(data + n, count - n, 0);
}

/* _i: at once or later; saying so or not. */
START_TEST(what_is_not_filled_is_zeros)
{
	static const uint32_t counts[] = {1, 4, 8, 9, 100, 4096, 65536};

	defers = _i & 1;
	says = !(_i & 2);
	set_bar(VFU_REGION_UNCLEARED, fill_some);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		check_filled(counts[i], 0);
		check_filled(counts[i], 1);
		check_filled(counts[i], counts[i] / 2);
		check_filled(counts[i], counts[i]);
	}
	ck_assert_uint_eq(rig_write(&rig, BAR, 0, 4, 1), 0);
	/* The client knows nothing of it. */
	ck_assert_uint_eq(rig_call(&rig, 5, (const uint32_t[8]){32, 0, BAR}, 32), 0);
	ck_assert_uint_eq(raw_u32(rig.msg, 4), VFU_REGION_READ | VFU_REGION_WRITE);
}
END_TEST

/* Of parts each has its own: memory, a handler of the device, a register of the library's. */
START_TEST(parts_are_not_cleared_either)
{
	const struct vfu_register reg = {
		.size = sizeof(reg), .offset = 0x20, .width = 8, .on_read = fill_nothing};
	const uint8_t *data;

	defers = _i;
	says = true;
	set_bar(VFU_REGION_UNCLEARED, NULL);
	memset(vfu_device_region_memory(rig.dev, BAR), '.', SIZE);
	ck_assert_int_eq(vfu_device_set_handler(rig.dev, BAR, 0x10, 16, fill_some, NULL), 0);
	ck_assert_int_eq(vfu_device_add_register(rig.dev, BAR, &reg), 0);
	rig.bar0 = spoil;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4096), 0);
	fills = 3;
	data = read_bar(0, 0x30);
	expect(data, 0x10, '.');
	expect(data + 0x10, 3, 'f');
	expect(data + 0x13, 13, 0);
	expect(data + 0x20, 8, 0);
	expect(data + 0x28, 8, '.');
	/* The handler alone, and the register. */
	data = read_bar(0x10, 16);
	expect(data, 3, 'f');
	expect(data + 3, 13, 0);
	defers = false;
	expect(read_bar(0x20, 8), 8, 0);
}
END_TEST

static int become_cleared(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req, (void)access;
	set_bar(0, fill_nothing);
	return 0;
}

/* The function of one part sets the region anew, with one that knows nothing of this. */
START_TEST(cleared_from_now_on)
{
	defers = false;
	set_bar(VFU_REGION_UNCLEARED, NULL);
	ck_assert_int_eq(vfu_device_set_handler(rig.dev, BAR, 0, 16, become_cleared, NULL), 0);
	rig.bar0 = spoil;
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4096), 0);
	expect(read_bar(0, 4096), 4096, 0);
}
END_TEST

/* Where the region did not ask for it all is as ever, whatever is said. */
START_TEST(cleared_buffers_stay_cleared)
{
	defers = _i;
	says = true;
	set_bar(0, fill_some);
	check_filled(100, 50);
	check_filled(4096, 0);
}
END_TEST

/* ---- writes that are received in their place ---- */

enum { PART = 100000, WHOLE = 700000 }; /* the first is more than a read takes at once */

static struct {
	uint16_t id, command;
	uint32_t size, flags, error;
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[WHOLE];
} big;
static size_t sent;

/* A write of WHOLE bytes to offset, of which nothing is sent so far. */
static void begin_write(uint64_t offset, uint32_t flags)
{
	big.id = rig.id++;
	big.command = 10;
	big.flags = flags;
	big.offset = offset;
	big.region = BAR;
	big.count = WHOLE;
	big.size = 32 + WHOLE;
	for (size_t i = 0; i < WHOLE; i++)
		big.data[i] = (uint8_t)(i * 7 + i / 251 + 1);
	sent = 0;
}

/* As much of it as makes n bytes of data in all. */
static void send_until(size_t n)
{
	while (sent < 32 + n) {
		sent += raw_send_bytes(rig.sock, (const uint8_t *)&big + sent, 32 + n - sent);
		rig_pump(&rig);
	}
}

static uint8_t *memory(void)
{
	return vfu_device_region_memory(rig.dev, BAR);
}

static unsigned end_write(void)
{
	send_until(WHOLE);
	return rig_reply(&rig, big.id, 10);
}

/* _i: what a receive takes at most; 0: all there is. */
START_TEST(written_as_it_arrives)
{
	set_bar(0, NULL);
	fault_limit(FAULT_RECV, (size_t)_i * 997);
	begin_write(4095, 0);
	send_until(PART);
	ck_assert_mem_eq(memory() + 4095, big.data, PART);
	expect(memory() + 4095 + PART, 1000, 0);
	ck_assert_uint_eq(end_write(), 0);
	ck_assert_mem_eq(memory() + 4095, big.data, WHOLE);
	expect(memory(), 4095, 0);
	expect(memory() + 4095 + WHOLE, 1000, 0);
	/* Read from there, and behind it as ever. */
	ck_assert_mem_eq(read_bar(4095, 65536), big.data, 65536);
	ck_assert_uint_eq(rig_write(&rig, BAR, 0, 4, 1), 0);
	ck_assert_uint_eq(rig_write(&rig, BAR, 8, 4, 1), 0);
}
END_TEST

START_TEST(posted_as_it_arrives)
{
	set_bar(0, NULL);
	begin_write(0, RAW_NO_REPLY);
	send_until(PART);
	ck_assert_mem_eq(memory(), big.data, PART);
	send_until(WHOLE);
	rig_silence(&rig);
	ck_assert_mem_eq(memory(), big.data, WHOLE);
}
END_TEST

/* It came before the memory did. */
START_TEST(memory_goes_while_it_is_written)
{
	const struct vfu_region none = {.fd = -1};

	set_bar(0, NULL);
	begin_write(0, 0);
	send_until(PART);
	if (_i)
		ck_assert_int_eq(vfu_device_set_region(rig.dev, BAR, &none), 0);
	set_bar(0, NULL);
	ck_assert_uint_eq(end_write(), 0);
	expect(memory(), SIZE, 0);
	begin_write(0, 0);
	ck_assert_uint_eq(end_write(), 0);
	ck_assert_mem_eq(memory(), big.data, WHOLE);
}
END_TEST

/* Another region is none of its business, and neither is one that is refused. */
START_TEST(other_memory_goes)
{
	const struct vfu_region odd = {.size = 5, .fd = -1}, none = {.fd = -1};

	set_bar(0, NULL);
	begin_write(0, 0);
	send_until(PART);
	ck_assert_int_eq(vfu_device_set_region(rig.dev, BAR, &odd), -EINVAL);
	ck_assert_int_eq(vfu_device_set_region(rig.dev, 1, &none), 0);
	ck_assert_uint_eq(end_write(), 0);
	ck_assert_mem_eq(memory(), big.data, WHOLE);
}
END_TEST

static unsigned nseen;

static int see(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req;
	ck_assert(access->is_write);
	ck_assert_mem_eq(access->data, big.data + access->offset, access->count);
	nseen++;
	return 0;
}

/* What somebody has to see is not there before that; what lies between handlers is. */
START_TEST(handlers_see_their_part)
{
	set_bar(0, _i ? see : NULL);
	if (!_i)
		ck_assert_int_eq(vfu_device_set_handler(rig.dev, BAR, 5000, 8, see, NULL), 0);
	nseen = 0;
	begin_write(0, 0);
	send_until(PART);
	if (!_i)
		expect(memory(), WHOLE, 0);
	ck_assert_uint_eq(end_write(), 0);
	ck_assert_uint_eq(nseen, 1);
	if (_i)
		return;
	ck_assert_mem_eq(memory(), big.data, 5000);
	expect(memory() + 5000, 8, 0);
	begin_write(5008, 0);
	send_until(PART);
	ck_assert_mem_eq(memory() + 5008, big.data, PART);
	ck_assert_uint_eq(end_write(), 0);
	ck_assert_uint_eq(nseen, 1);
}
END_TEST

static int think(void *user, enum vfu_gate what)
{
	(void)user;
	return what == VFU_GATE_RESET ? VFU_LATER : 0;
}

/* Nothing of it is done before what came before it. */
START_TEST(written_in_its_turn)
{
	uint16_t reset;

	rig_set_hooks(&rig, think);
	set_bar(0, NULL);
	reset = rig_send(&rig, 13, NULL, 0);
	rig_silence(&rig);
	begin_write(0, 0);
	send_until(_i ? PART : WHOLE);
	expect(memory(), WHOLE, 0);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, reset, 13), 0);
	ck_assert_uint_eq(end_write(), 0);
	ck_assert_mem_eq(memory(), big.data, WHOLE);
}
END_TEST

START_TEST(refused_and_not_written)
{
	const struct vfu_region readonly = {.size = SIZE, .flags = VFU_REGION_READ, .fd = -1};
	int fd = rig_memfd(4096);

	ck_assert_int_eq(vfu_device_set_region(rig.dev, BAR, &readonly), 0);
	begin_write(0, 0);
	ck_assert_uint_eq(end_write(), EACCES);
	set_bar(0, NULL);
	begin_write(SIZE - 1000, 0);
	ck_assert_uint_eq(end_write(), EINVAL);
	begin_write(0, 0);
	big.count--;
	ck_assert_uint_eq(end_write(), EINVAL);
	begin_write(0, 0);
	big.flags = 0x40;
	send_until(WHOLE);
	rig_reply(&rig, big.id, 10);
	if (rig.msg->error)
		expect(memory(), SIZE, 0);
	memset(memory(), 0, SIZE);
	/* Descriptors are not what a write has. */
	begin_write(0, 0);
	ck_assert_uint_eq(rig_call_fds(&rig, 10, &big.offset, 16 + 100000, &fd, 1), EINVAL);
	expect(memory(), SIZE, 0);
	close(fd);
}
END_TEST

/* A client that dies has written what it had sent. */
START_TEST(cut_in_the_middle)
{
	set_bar(0, NULL);
	begin_write(0, 0);
	send_until(PART);
	rig_hang_up(&rig);
	ck_assert_mem_eq(memory(), big.data, PART);
	expect(memory() + PART, SIZE - PART, 0);
	set_bar(0, NULL);
	rig_connect(&rig);
	begin_write(0, 0);
	ck_assert_uint_eq(end_write(), 0);
	ck_assert_mem_eq(memory(), big.data, WHOLE);
}
END_TEST

/* The client has the file, and cuts it: before, or in the middle. */
START_TEST(file_is_cut_while_it_is_written)
{
	struct vfu_region region = {.size = SIZE,
				    .flags = VFU_REGION_READ | VFU_REGION_WRITE | VFU_REGION_MMAP,
				    .fd = rig_memfd(SIZE)};
	int fd = dup(region.fd);

	if (lacks(LACKS_FAULTS, __func__)) {
		close(fd);
		close(region.fd);
		return;
	}
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	ck_assert_int_eq(vfu_device_set_region(rig.dev, BAR, &region), 0);
	begin_write(0, 0);
	if (_i)
		send_until(PART);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_uint_eq(end_write(), EFAULT);
	ck_assert_uint_eq(rig_read(&rig, 0, 0, 4), 0);
	close(fd);
}
END_TEST

/* ---- reads of memory that the device lends ---- */

static uint8_t own[SIZE];
static unsigned nlent, nreleased;
static unsigned lend_flags;
static int lend_status;
static struct vfu_request *answer_too; /* by release */

static void release(void *user, const void *data)
{
	struct vfu_stats stats;

	ck_assert_ptr_eq(user, &nreleased);
	vfu_server_stats(rig.srv, &stats); /* with locks of the server's */
	ck_assert((const uint8_t *)data >= own);
	nreleased++;
	if (answer_too) {
		struct vfu_request *req = answer_too;

		answer_too = NULL;
		ck_assert_int_eq(vfu_request_done(req, 0), 0);
	}
}

static void do_lend(struct vfu_request *req, const struct vfu_access *access)
{
	const uint8_t *data = own + access->offset;

	ck_assert_int_eq(vfu_request_lend(req, data, 2, release, &nreleased), -EINVAL);
	ck_assert_int_eq(vfu_request_lend(req, NULL, 0, release, &nreleased), -EINVAL);
	ck_assert_int_eq(vfu_request_lend(req, data, lend_flags, release, &nreleased), 0);
	nlent++;
}

static int lend(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	if (access->is_write) {
		ck_assert_int_eq(vfu_request_lend(req, own, 0, release, &nreleased), -EINVAL);
		return 0;
	}
	if (defers) {
		later = vfu_request_defer(req);
		return later ? VFU_LATER : -ENOMEM;
	}
	do_lend(req, access);
	if (access->count == SIZE)
		ck_assert_int_eq(vfu_request_lend(req, own, 0, release, &nreleased), -EALREADY);
	return lend_status;
}

static void set_lender(void)
{
	for (size_t i = 0; i < SIZE; i++)
		own[i] = (uint8_t)(i * 13 + i / 255);
	set_bar(0, lend);
	nlent = nreleased = lend_flags = 0;
	lend_status = 0;
	defers = false;
	answer_too = NULL;
}

static uint8_t got[2 * SIZE];

/* The client reads so many bytes; the server goes on meanwhile. */
static void collect(size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t len = recv(rig.sock, got + at, n - at, MSG_DONTWAIT);

		ck_assert_msg(len > 0 || errno == EAGAIN, "the end after %zu bytes", at);
		at += len > 0 ? (size_t)len : 0;
		rig_pump(&rig);
	}
}

/* _i: what a send takes at most; 0: all that goes. */
START_TEST(lent_until_it_is_sent)
{
	set_lender();
	fault_limit(FAULT_SEND, (size_t)_i * 9973);
	rig_send_read(&rig, BAR, 0, SIZE);
	rig_pump(&rig);
	ck_assert_uint_eq(nlent, 1);
	ck_assert_uint_eq(nreleased, 0);
	/* Behind it in the queue: this one's begin, one without, and another that is lent. */
	rig_send_read(&rig, BAR, 100, 4);
	rig_send_read(&rig, 1, 0, 4);
	rig_send_read(&rig, BAR, 5, 65536);
	collect(32 + SIZE - 300000);
	ck_assert_uint_eq(nreleased, 1); /* the copied one */
	/* It is sent from there. */
	own[SIZE - 1] ^= 0xff;
	memcpy(got + SIZE, got, 32 + SIZE - 300000);
	collect(300000);
	ck_assert_mem_eq(got, own + SIZE - 300000, 300000);
	ck_assert_mem_eq(got + SIZE + 32, own, SIZE - 300000);
	collect(36 + 36 + 32 + 65536);
	ck_assert_mem_eq(got + 32, own + 100, 4);
	ck_assert_mem_eq(got + 36 + 36 + 32, own + 5, 65536);
	ck_assert_uint_eq(nlent, 3);
	ck_assert_uint_eq(nreleased, 3);
	ck_assert_uint_eq(rig_write(&rig, BAR, 0, 4, 1), 0);
}
END_TEST

/* What is to be changed soon is not sent changed. */
START_TEST(lent_for_a_moment)
{
	set_lender();
	lend_flags = VFU_LEND_BRIEFLY;
	rig_send_read(&rig, BAR, 0, SIZE);
	rig_pump(&rig);
	ck_assert_uint_eq(nreleased, 1);
	memcpy(got + SIZE, own, SIZE);
	memset(own, 0xee, SIZE);
	memcpy(own, got + SIZE, SIZE / 2); /* for collect overwrites the first half of got alone */
	collect(32 + SIZE / 2);
	ck_assert_mem_eq(got + 32, own, SIZE / 2);
	memcpy(own, got + SIZE, SIZE);
	collect(SIZE / 2);
	ck_assert_mem_eq(got, own + SIZE / 2, SIZE / 2);
	ck_assert_uint_eq(nreleased, 1);
}
END_TEST

/* One who never reads has so much, and then nothing; what it had is given back when it goes. */
START_TEST(lent_to_one_who_never_reads)
{
	unsigned most;

	set_lender();
	for (unsigned i = 0; i < 40; i++)
		rig_send_read(&rig, BAR, 0, SIZE);
	rig_pump(&rig);
	most = nlent;
	ck_assert_uint_ge(most, 4);
	ck_assert_uint_le(most, 8); /* VFU_OPT_QUEUE_BYTES, and what the socket takes */
	if (_i)
		vfu_server_disconnect(rig.srv);
	rig_hang_up(&rig);
	ck_assert_uint_eq(nreleased, nlent); /* more, if it was still read */
	rig_connect(&rig);
	ck_assert_uint_eq(rig_read(&rig, BAR, 0, 65536), 0);
	ck_assert_mem_eq(rig.msg->payload + 16, own, 65536);
	ck_assert_uint_eq(nreleased, nlent);
}
END_TEST

START_TEST(lent_and_copied)
{
	set_lender();
	ck_assert_mem_eq(read_bar(3, 100), own + 3, 100);
	ck_assert_uint_eq(nreleased, 1);
	/* A part of a read. */
	set_bar(_i ? VFU_REGION_UNCLEARED : 0, NULL);
	ck_assert_int_eq(vfu_device_set_handler(rig.dev, BAR, 100, 65536, lend, NULL), 0);
	memset(memory(), '.', 200);
	read_bar(0, 65536);
	expect(rig.msg->payload + 16, 100, '.');
	ck_assert_mem_eq(rig.msg->payload + 116, own + 100, 65436);
	ck_assert_uint_eq(nreleased, 2);
	/* All of one. */
	ck_assert_mem_eq(read_bar(100, 65536), own + 100, 65536);
	ck_assert_uint_eq(nreleased, 3);
	ck_assert_uint_eq(nlent, 3);
}
END_TEST

START_TEST(lent_in_vain)
{
	set_lender();
	lend_status = -ENODEV;
	ck_assert_uint_eq(rig_read(&rig, BAR, 0, 65536), ENODEV);
	ck_assert_uint_eq(nreleased, 1);
	lend_status = VFU_LATER; /* without a request */
	ck_assert_uint_eq(rig_read(&rig, BAR, 0, 65536), EIO);
	ck_assert_uint_eq(nreleased, 2);
}
END_TEST

static int defer_and_lend(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	later = vfu_request_defer(req);
	do_lend(req, access);
	return 0;
}

/* A device that is wrong twice: what it lends is not of the request that it took, nor is that answered yet. */
START_TEST(lent_to_what_was_taken)
{
	uint16_t id;

	set_lender();
	set_bar(0, defer_and_lend);
	id = rig_send_read(&rig, BAR, 0, 65536);
	rig_silence(&rig);
	ck_assert_uint_eq(nreleased, 1);
	ck_assert_int_eq(vfu_request_done(later, 0), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
	expect(rig.msg->payload + 16, 65536, 0);
	rig_silence(&rig);
}
END_TEST

static int lend_and_defer(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	do_lend(req, access);
	later = vfu_request_defer(req);
	return VFU_LATER;
}

/* What was lent goes along with the request that is taken then, be it large, small, or a part. */
START_TEST(lent_and_taken)
{
	static const uint32_t counts[] = {65536, 5000, 8};
	uint16_t id;

	set_lender();
	set_bar(0, lend_and_defer);
	for (unsigned i = 0; i < 4; i++) {
		uint32_t count = counts[i % 3];

		if (i == 3)
			ck_assert_int_eq(
				vfu_device_set_handler(rig.dev, BAR, SIZE - 8, 8, lend, NULL), 0);
		id = rig_send_read(&rig, BAR, i < 3 ? 3 : SIZE - count, count);
		rig_silence(&rig);
		ck_assert_int_eq(vfu_request_done(later, 0), 0);
		ck_assert_uint_eq(rig_reply(&rig, id, 9), 0);
		ck_assert_mem_eq(rig.msg->payload + 16, own + (i < 3 ? 3 : SIZE - count), count);
	}
	ck_assert_uint_eq(nreleased, nlent);
}
END_TEST

static void *answer_elsewhere(void *arg)
{
	*(int *)arg = vfu_request_done(later, 0);
	return NULL;
}

/* _i: good, by another thread, failed, the client is gone. */
START_TEST(lent_later)
{
	int status = _i == 2 ? -ENODEV : 0, rc = 1;
	pthread_t thread;
	uint16_t id;

	set_lender();
	defers = true;
	id = rig_send_read(&rig, BAR, 7, 65536);
	rig_silence(&rig);
	do_lend(later, vfu_request_access(later));
	if (_i == 3)
		rig_hang_up(&rig);
	if (_i == 1) {
		ck_assert_int_eq(pthread_create(&thread, NULL, answer_elsewhere, &rc), 0);
		pthread_join(thread, NULL);
	} else {
		rc = vfu_request_done(later, status);
	}
	ck_assert_int_eq(rc, _i == 3 ? -ENOTCONN : 0);
	if (_i != 3)
		ck_assert_uint_eq(rig_reply(&rig, id, 9), (unsigned)-status);
	if (_i < 2)
		ck_assert_mem_eq(rig.msg->payload + 16, own + 7, 65536);
	ck_assert_uint_eq(nreleased, 1);
}
END_TEST

/* Nothing is locked when it is given back. */
START_TEST(released_and_answered)
{
	set_lender();
	defers = true;
	rig_send_read(&rig, BAR, 0, 8);
	rig_silence(&rig);
	answer_too = later;
	defers = false;
	rig_send_read(&rig, BAR, 0, SIZE);
	collect(32 + SIZE + 40);
	ck_assert_mem_eq(got + 32, own, SIZE);
	ck_assert_uint_eq(nreleased, 1);
	ck_assert_ptr_null(answer_too);
}
END_TEST

static int lend_for_good(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	return vfu_request_lend(req, own + access->offset, 0, NULL, NULL);
}

START_TEST(lent_for_good)
{
	set_lender();
	set_bar(0, lend_for_good);
	rig_send_read(&rig, BAR, 0, SIZE);
	collect(32 + SIZE);
	ck_assert_mem_eq(got + 32, own, SIZE);
	ck_assert_mem_eq(read_bar(9, 50), own + 9, 50);
	rig_send_read(&rig, BAR, 0, SIZE);
	rig_pump(&rig);
}
END_TEST

START_TEST(lent_before_a_fork)
{
	int status;
	pid_t child;

	if (lacks(LACKS_WIPEONFORK, __func__))
		return;
	set_lender();
	rig_send_read(&rig, BAR, 0, SIZE);
	rig_pump(&rig);
	child = fork();
	if (child == 0) {
		vfu_server_free(rig.srv);
		_exit(nreleased == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	collect(32 + SIZE);
	ck_assert_uint_eq(nreleased, 1);
}
END_TEST

/* No memory for what waits: it is an error, or the end. */
START_TEST(lent_without_memory)
{
	set_lender();
	for (unsigned nth = 1; nth < 6; nth++) {
		fault_fail(FAULT_ALLOC, nth, ENOMEM);
		rig_send_read(&rig, BAR, 0, SIZE);
		rig_pump(&rig);
		fault_reset();
		rig_hang_up(&rig);
		ck_assert_uint_eq(nreleased, nlent);
		rig_connect(&rig);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("large");
	TCase *tcase = tcase_create("large");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, what_is_not_filled_is_zeros, 0, 4);
	tcase_add_loop_test(tcase, parts_are_not_cleared_either, 0, 2);
	tcase_add_test(tcase, cleared_from_now_on);
	tcase_add_loop_test(tcase, cleared_buffers_stay_cleared, 0, 2);
	tcase_add_loop_test(tcase, written_as_it_arrives, 0, 4);
	tcase_add_test(tcase, posted_as_it_arrives);
	tcase_add_loop_test(tcase, memory_goes_while_it_is_written, 0, 2);
	tcase_add_test(tcase, other_memory_goes);
	tcase_add_loop_test(tcase, handlers_see_their_part, 0, 2);
	tcase_add_loop_test(tcase, written_in_its_turn, 0, 2);
	tcase_add_test(tcase, refused_and_not_written);
	tcase_add_test(tcase, cut_in_the_middle);
	tcase_add_loop_test(tcase, file_is_cut_while_it_is_written, 0, 2);
	tcase_add_loop_test(tcase, lent_until_it_is_sent, 0, 3);
	tcase_add_test(tcase, lent_for_a_moment);
	tcase_add_loop_test(tcase, lent_to_one_who_never_reads, 0, 2);
	tcase_add_loop_test(tcase, lent_and_copied, 0, 2);
	tcase_add_test(tcase, lent_in_vain);
	tcase_add_test(tcase, lent_to_what_was_taken);
	tcase_add_test(tcase, lent_and_taken);
	tcase_add_loop_test(tcase, lent_later, 0, 4);
	tcase_add_test(tcase, released_and_answered);
	tcase_add_test(tcase, lent_for_good);
	tcase_add_test(tcase, lent_before_a_fork);
	tcase_add_test(tcase, lent_without_memory);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
