/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-memory.c - client memory as a server serves it, whose time is the test's.
 */
#include "config.h"

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/os_fault.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

#define IOVA 0x40000
#define MS UINT64_C(1000000)

static struct rig rig;

static void setup(void)
{
	fault_reset();
	fault_virtual_time(true);
	rig_open(&rig);
	rig_connect(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
	fault_virtual_time(false);
}

/* A second passes, and who waits for the pin is told of it: once, with its place. */
START_TEST(a_pin_that_holds_up_an_unmap)
{
	static const struct rig_unmap unmap = {.argsz = 24, .address = IOVA, .size = 8192};
	struct vfu_dma_pin pin, other;
	int fd = memfd_create("guest", MFD_CLOEXEC);
	unsigned lines;
	uint16_t id;

	ck_assert_int_eq(ftruncate(fd, 8192), 0);
	ck_assert_uint_eq(rig_map(&rig, IOVA, 8192, fd), 0);
	lines = rig.lines;
	ck_assert_int_eq(vfu_dma_pin(rig.dev, IOVA + 4100, 10, VFU_DMA_WRITE, &pin), 0);
	ck_assert_int_eq(vfu_dma_pin(rig.dev, IOVA, 1, VFU_DMA_READ, &other), 0);
	id = rig_send(&rig, 3, &unmap, sizeof(unmap));
	rig_silence(&rig);
	ck_assert_int_eq(vfu_server_timeout(rig.srv), 1000);
	fault_advance(999 * MS);
	rig_silence(&rig);
	ck_assert_int_eq(vfu_server_timeout(rig.srv), 1);
	ck_assert_uint_eq(rig.lines, lines);
	fault_advance(MS);
	ck_assert_int_eq(vfu_server_timeout(rig.srv), 0);
	rig_silence(&rig);
	ck_assert_uint_eq(rig.lines, lines + 1);
	ck_assert_str_eq(rig.last, "a pin of 0xa bytes at 0x41004, the first of 2, holds up an "
				   "unmap for a second");
	ck_assert_int_eq(vfu_server_timeout(rig.srv), -1);
	fault_advance(5000 * MS);
	rig_silence(&rig);
	ck_assert_uint_eq(rig.lines, lines + 1);
	ck_assert_int_eq(vfu_dma_unpin(rig.dev, &other), 0);
	rig_silence(&rig);
	ck_assert_int_eq(vfu_dma_unpin(rig.dev, &pin), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 3), 0);
	/* One that is given back in time is no news. */
	ck_assert_uint_eq(rig_map(&rig, IOVA, 8192, fd), 0);
	ck_assert_int_eq(vfu_dma_pin(rig.dev, IOVA, 1, VFU_DMA_READ, &pin), 0);
	id = rig_send(&rig, 3, &unmap, sizeof(unmap));
	rig_silence(&rig);
	ck_assert_int_eq(vfu_dma_unpin(rig.dev, &pin), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 3), 0);
	fault_advance(1000 * MS);
	rig_silence(&rig);
	ck_assert_int_eq(vfu_server_timeout(rig.srv), -1);
	ck_assert_uint_eq(rig.lines, lines + 1);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory");
	TCase *tcase = tcase_create("memory");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_pin_that_holds_up_an_unmap);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
