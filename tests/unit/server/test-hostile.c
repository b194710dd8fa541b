/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-hostile.c - a client that sends what it likes to configuration space and interrupts.
 *
 *	SET_IRQS	all data, all actions, ranges at the edges, descriptors of all kinds
 *	config space	all widths at all offsets, one write after the other and over all of it: resets, too
 *	infos		any argsz
 *
 * The device has all that configuration space may have, and thinks about resets for a while. What is tested is that each
 * request has one answer, that nothing leaks, and that masks, what is held and the lists are what the bytes say. The
 * numbers are the same in each run.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

enum { MESSAGES = 4000, WINDOW = 0x60, CONFIG = 4096 };
enum { REGION_INFO = 5, IO_FDS = 6, IRQ_INFO = 7, SET_IRQS = 8, READ = 9, WRITE = 10, RESET = 13 };
enum { DATA_BOOL = 2, DATA_EVENTFD = 4 };

static struct rig rig;
static uint64_t state;
static unsigned unanswered;
static uint8_t is_waiting[65536]; /* by id */
static uint8_t payload[16 + CONFIG + 1];

static uint32_t below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16) % n;
}

/* Edges of what 32 bits may be. */
static uint32_t odd(void)
{
	static const uint32_t all[] = {0,   1,    2,     4,          5,          8,
				       15,  16,   20,    31,         32,         33,
				       48,  64,   80,    96,         97,         99,
				       100, 4096, 65536, 0x7fffffff, 0xfffffffe, 0xffffffff};

	return all[below(sizeof(all) / sizeof(all[0]))];
}

/* ---- the device */

static int think(void *user, enum vfu_gate what)
{
	(void)user, (void)what;
	return below(2) ? VFU_LATER : below(4) ? 0 : -EBUSY;
}

static int window(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct vfu_request *later = below(4) ? NULL : vfu_request_defer(req);

	(void)user;
	if (!access->is_write)
		memset(access->data, 0x77, access->count);
	return later ? (vfu_request_done(later, 0), VFU_LATER) : 0;
}

static void ring(void *user)
{
	(void)user;
	vfu_irq_raise(rig.dev, VFU_IRQ_MSIX, 1);
}

static void setup(void)
{
	static const struct vfu_express express = {.size = sizeof(express),
						   .flags = VFU_EXPRESS_FLR};
	static const struct vfu_register status = {
		.size = sizeof(status), .offset = 0x300, .width = 4, .w1c = 0xff, .rc = 0xff00};
	static const struct vfu_ioevent_place bell = {.offset = 0x40, .size = 4};

	rig_open(&rig);
	ck_assert_int_gt(vfu_device_add_power_management(rig.dev, VFU_PM_D1, 0), 0);
	ck_assert_int_gt(vfu_device_add_capability_at(rig.dev, 9, WINDOW, "\10\0\0\0\0\0", 6), 0);
	ck_assert_int_eq(
		vfu_device_set_handler(rig.dev, VFU_REGION_CONFIG, WINDOW + 4, 4, window, NULL), 0);
	ck_assert_int_gt(vfu_device_add_express(rig.dev, &express, 0), WINDOW);
	ck_assert_int_eq(vfu_device_set_msi_layout(rig.dev, 4, VFU_MSI_MASKABLE), 0);
	ck_assert_int_eq(vfu_device_add_extended_capability(rig.dev, 3, 1, 0, "12345678", 8), 256);
	ck_assert_int_eq(vfu_device_add_register(rig.dev, VFU_REGION_CONFIG, &status), 0);
	ck_assert_int_eq(vfu_device_set_rom(rig.dev, "\x55\xaa", 2), 0);
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, &bell, 1, ring, NULL), 0);
	rig_set_hooks(&rig, think);
	rig_connect(&rig);
	unanswered = 0;
	memset(is_waiting, 0, sizeof(is_waiting));
}

static void teardown(void)
{
	rig_set_hooks(&rig, NULL);
	rig_close(&rig);
}

/* ---- the client */

static void send_it(uint16_t command, size_t len, int *fds, unsigned nfds)
{
	bool posted = command == WRITE && !below(3);
	uint16_t id = posted ? rig_post(&rig, command, payload, len)
			     : rig_send_fds(&rig, command, payload, len, fds, nfds);

	is_waiting[id] = !posted;
	unanswered += !posted;
	while (nfds)
		close(fds[--nfds]);
}

static int any_fd(void)
{
	switch (below(8)) {
	case 0:
		return rig_memfd(4096);
	case 1:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 2:
		return passed_eventfd(EFD_SEMAPHORE);
	default:
		return passed_eventfd(0);
	}
}

static void set_irqs(void)
{
	struct rig_irqs in = {20, 1u << below(3) | 8u << below(3), below(6), below(4), below(5)};
	unsigned nfds = 0;
	size_t len = sizeof(in);
	int fds[8];

	if (!below(4))
		in.start = odd();
	if (!below(4))
		in.count = odd();
	if (!below(8))
		in.flags = odd();
	if (in.flags & DATA_BOOL && in.count <= 8)
		len += in.count;
	if (!below(16))
		len++;
	if (in.flags & DATA_EVENTFD ? below(3) : !below(8))
		nfds = in.count <= 8 && below(8) ? in.count : below(9);
	memcpy(payload, &in, sizeof(in));
	for (size_t i = sizeof(in); i < len; i++)
		payload[i] = (uint8_t)below(2);
	for (unsigned i = 0; i < nfds; i++)
		fds[i] = any_fd();
	send_it(SET_IRQS, len, fds, nfds);
}

/* Regions: configuration space, the tables of MSI-X, any. */
static void use_region(bool is_write)
{
	static const uint32_t widths[] = {1, 2, 4, 8, 3, 16, 64, 256};
	struct {
		uint64_t offset;
		uint32_t region, count;
	} in = {below(CONFIG + 8), below(3) ? 7 : 4, widths[below(8)]};

	if (below(2))
		in.offset %= 0x140;
	if (!below(8)) {
		in.offset = 0;
		in.count = CONFIG + !below(8);
	}
	if (!below(16))
		in.offset = UINT64_MAX - below(8);
	if (!below(16))
		in.region = odd();
	memcpy(payload, &in, sizeof(in));
	for (uint32_t i = 0; i < in.count; i++)
		payload[sizeof(in) + i] = (uint8_t)(below(3) ? below(256) : below(2) * 0xff);
	send_it(is_write ? WRITE : READ, sizeof(in) + (is_write ? in.count : 0), NULL, 0);
}

static void ask(void)
{
	const uint32_t in[8] = {odd(), below(8) ? 0 : odd(), below(8) ? below(10) : odd()};
	uint16_t command = (uint16_t)(REGION_INFO + below(3));

	memcpy(payload, in, sizeof(in));
	send_it(command, command == REGION_INFO ? 32 : 16, NULL, 0);
}

/* ---- what must hold */

static uint32_t get(unsigned offset, unsigned size)
{
	uint8_t bytes[4];
	uint32_t value = 0;

	ck_assert_int_eq(vfu_device_config_read(rig.dev, offset, bytes, size), 0);
	while (size--)
		value = value << 8 | bytes[size];
	return value;
}

static void take_answers(void)
{
	rig_pump(&rig);
	while (raw_recv(rig.sock, rig.msg, 0) > 0) {
		ck_assert_uint_eq(is_waiting[rig.msg->id], 1);
		is_waiting[rig.msg->id] = 0;
		unanswered--;
		raw_close_fds(rig.msg);
	}
	rig.calls[0] = '\0';
}

/* The identity and the lists are what they were; nothing that may not be written has been. */
static void check_config(void)
{
	ck_assert_uint_eq(get(0, 4), 0x56781234);
	ck_assert_int_eq(vfu_device_find_capability(rig.dev, 9, 0), WINDOW);
	ck_assert_uint_eq(get(WINDOW + 2, 1), 8);
	for (unsigned id = 1; id <= 0x11; id++)
		if (id == 1 || id == 5 || id == 9 || id >= 0x10)
			ck_assert_int_gt(vfu_device_find_capability(rig.dev, id, 0), 0x3f);
	ck_assert_uint_eq(get(0x100, 4), 0x00010003);
	ck_assert_uint_eq(get(0x104, 4), 0x34333231);
	ck_assert_uint_le(get(0x300, 4), 0xffff);
}

/* The device does something now and then. */
static void be_a_device(void)
{
	if (!below(2))
		vfu_device_gate_done(rig.dev, below(3) ? 0 : -EBUSY);
	vfu_irq_raise(rig.dev, below(VFU_IRQS), below(5));
	if (!below(2))
		vfu_irq_lower(rig.dev);
	vfu_device_update_register(rig.dev, VFU_REGION_CONFIG, 0x300, 4, 0xffff, below(0x10000));
}

static void act(void)
{
	switch (below(8)) {
	case 0:
	case 1:
	case 2:
		set_irqs();
		break;
	case 3:
	case 4:
		use_region(true);
		break;
	case 5:
		use_region(false);
		break;
	case 6:
		ask();
		break;
	default:
		if (!below(8))
			send_it(RESET, 0, NULL, 0);
		be_a_device();
	}
}

START_TEST(each_request_has_one_answer)
{
	state = 88172645463325252u + (unsigned)_i * 7919u;
	for (unsigned i = 0; i < MESSAGES; i++) {
		act();
		take_answers();
	}
	while (vfu_device_gate_done(rig.dev, 0) == 0)
		take_answers();
	ck_assert_uint_eq(unanswered, 0);
	check_config();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile");
	TCase *tcase = tcase_create("hostile");

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, each_request_has_one_answer, 0, 4);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
