/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-log.c - a flood of lines is counted, not printed.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "../../lib/suite.h"

static struct vfui_log_limit limit;
static struct vfui_log out;
static uint64_t now;
static unsigned lines;
static char last[400];

static uint64_t tell_time(void *user)
{
	(void)user;
	return now;
}

static void take(void *user, enum vfu_log_level level, const char *text)
{
	(void)user, (void)level;
	lines++;
	snprintf(last, sizeof(last), "%s", text);
}

static void setup(void)
{
	ck_assert_int_eq(vfui_log_limit_init(&limit), 0);
	limit.clock.now = tell_time;
	out = (struct vfui_log){.fn = take, .limit = &limit};
	now = 12345;
	lines = 0;
}

static void teardown(void)
{
	vfui_log_limit_fini(&limit);
}

static void flood(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		vfui_log(&out, VFU_LOG_WARN, "command %u refused", i);
}

START_TEST(flood_is_counted)
{
	flood(1000);
	ck_assert_uint_eq(lines, VFUI_LOG_BURST);
	ck_assert_str_eq(last, "command 9 refused");
	now += VFUI_LOG_WHILE - 1;
	flood(1);
	ck_assert_uint_eq(lines, VFUI_LOG_BURST);
	now++;
	flood(1);
	ck_assert_str_eq(last, "command 0 refused (and 991 more like that)");
	flood(3);
	ck_assert_uint_eq(lines, VFUI_LOG_BURST + 4);
	ck_assert_str_eq(last, "command 2 refused");
	vfui_log_flush(&out, true);
	ck_assert_uint_eq(lines, VFUI_LOG_BURST + 4);
}
END_TEST

/* What never comes again is told at the end, once. */
START_TEST(flush_tells_the_rest)
{
	flood(100);
	vfui_log_flush(&out, false);
	ck_assert_uint_eq(lines, VFUI_LOG_BURST);
	vfui_log_flush(&out, true);
	ck_assert_str_eq(last, "command 9 refused (and 90 more like that)");
	vfui_log_flush(&out, true);
	ck_assert_uint_eq(lines, VFUI_LOG_BURST + 1);
}
END_TEST

/* One kind does not drown the others, and what people ask for is not limited. */
START_TEST(kinds_are_apart)
{
	flood(100);
	vfui_log(&out, VFU_LOG_INFO, "client connected");
	ck_assert_str_eq(last, "client connected");
	for (unsigned i = 0; i < 100; i++)
		vfui_log(&out, VFU_LOG_DEBUG, "got %u", i);
	ck_assert_uint_eq(lines, VFUI_LOG_BURST + 1 + 100);
}
END_TEST

START_TEST(more_kinds_than_places)
{
	static char formats[2 * VFUI_LOG_KINDS][16];

	for (unsigned i = 0; i < 2 * VFUI_LOG_KINDS; i++) {
		snprintf(formats[i], sizeof(formats[i]), "kind %u %%s", i);
		now++;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		vfui_log(&out, VFU_LOG_WARN, formats[i], "x");
#pragma GCC diagnostic pop
		ck_assert_uint_eq(lines, i + 1);
	}
	flood(100);
	ck_assert_uint_eq(lines, 2 * VFUI_LOG_KINDS + VFUI_LOG_BURST);
}
END_TEST

START_TEST(no_limit_and_silence)
{
	out.limit = NULL;
	flood(100);
	vfui_log_flush(&out, true);
	ck_assert_uint_eq(lines, 100);
	out = (struct vfui_log){.limit = &limit};
	flood(100);
	vfui_log_flush(&out, true);
	ck_assert_uint_eq(lines, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("log");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, flood_is_counted);
	tcase_add_test(tcase, flush_tells_the_rest);
	tcase_add_test(tcase, kinds_are_apart);
	tcase_add_test(tcase, more_kinds_than_places);
	tcase_add_test(tcase, no_limit_and_silence);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
