/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-trace.c - what lines of the log say of a message, and show of its bytes.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/msg.h"
#include "transport/trace.h"
#include "wire-region.h"
#include "../../lib/suite.h"

enum { LINES = 20 };
static char lines[LINES][512];
static unsigned count;
static unsigned at_trace;
static char text[] = "0123456789abcdefg", odd[] = "\x7f~";

static void take(void *user, enum vfu_log_level level, const char *said)
{
	(void)user;
	ck_assert_uint_lt(count, LINES);
	at_trace += level == VFU_LOG_TRACE;
	snprintf(lines[count++], sizeof(lines[0]), "%s", said);
}

static const struct vfui_log out = {.fn = take};

static struct vfu_wire_header header(uint16_t command, uint32_t len)
{
	count = at_trace = 0;
	return (struct vfu_wire_header){.id = 7, .command = command, .size = 16 + len};
}

START_TEST(name_and_number)
{
	struct vfu_wire_header hdr = header(VFU_WIRE_CMD_REGION_WRITE, 0);

	ck_assert_str_eq(vfui_msg_label(&hdr).text, "region_write(10) id=7");
	hdr.command = 4711;
	ck_assert_str_eq(vfui_msg_label(&hdr).text, "unknown(4711) id=7");
}
END_TEST

START_TEST(a_line_for_each)
{
	struct vfu_wire_region_write_request fields = {.offset = 4, .region = 0, .count = 4};
	struct vfu_wire_header hdr = header(VFU_WIRE_CMD_REGION_WRITE, sizeof(fields) + 4);
	struct iovec iov[] = {{&fields, sizeof(fields)}, {text, 4}};

	vfui_trace(&out, false, "got", &hdr, iov, 2, 2);
	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(lines[0], "got region_write(10) command id=7, 36 bytes, 2 fds: "
				   "offset=0x4 region=bar0 count=4");
	hdr = header(4711, 0);
	hdr.flags = VFU_WIRE_HEADER_TYPE_REPLY | VFU_WIRE_HEADER_ERROR;
	hdr.error = 22;
	vfui_trace(&out, false, "sent", &hdr, NULL, 0, 0);
	ck_assert_str_eq(lines[0], "sent unknown(4711) reply id=7, 16 bytes, error 22 "
				   "(Invalid argument)");
}
END_TEST

/* All numbers of this header have both bytes alike, whatever the machine's order. */
START_TEST(bytes_of_all_pieces)
{
	struct vfu_wire_header hdr = header(0x1111, 0);
	struct iovec iov[] = {{text, 17}, {NULL, 0}, {odd, 2}};

	hdr.id = 0x2222, hdr.size = 0x33333333, hdr.flags = 0x44444444, hdr.error = 0x55555555;
	vfui_trace(&out, true, "got", &hdr, iov, 3, 0);
	ck_assert_uint_eq(count, 5);
	ck_assert_uint_eq(at_trace, 4);
	ck_assert_str_eq(lines[1],
			 "unknown(4369) id=8738 0000: "
			 "22 22 11 11 33 33 33 33 44 44 44 44 55 55 55 55 |\"\"..3333DDDDUUUU|");
	ck_assert_str_eq(lines[2],
			 "unknown(4369) id=8738 0010: "
			 "30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66 |0123456789abcdef|");
	ck_assert_str_eq(lines[3], "unknown(4369) id=8738 0020: "
				   "67 7f 7e                                        |g.~|");
	ck_assert_str_eq(lines[4], "unknown(4369) id=8738 0023: and 858993424 more bytes");
}
END_TEST

START_TEST(bytes_are_bounded)
{
	static uint8_t data[1 << 20];
	struct vfu_wire_header hdr = header(4711, sizeof(data));
	struct iovec iov[] = {{data, 200}, {data, sizeof(data) - 200}};

	vfui_trace(&out, true, "sent", &hdr, iov, 2, 0);
	ck_assert_uint_eq(count, 1 + 256 / 16 + 1);
	ck_assert_str_eq(lines[17], "unknown(4711) id=7 0100: and 1048336 more bytes");
	hdr = header(4711, 240);
	iov[1].iov_len = 40;
	vfui_trace(&out, true, "sent", &hdr, iov, 2, 0);
	ck_assert_uint_eq(count, 1 + 256 / 16);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace");
	TCase *tcase = tcase_create("trace");

	tcase_add_test(tcase, name_and_number);
	tcase_add_test(tcase, a_line_for_each);
	tcase_add_test(tcase, bytes_of_all_pieces);
	tcase_add_test(tcase, bytes_are_bounded);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
