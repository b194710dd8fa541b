/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * leaks.c - what tests share that look for leaks.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "leaks.h"
#include "os_fault.h"

static unsigned fds_before;
static long blocks_before;

unsigned leaks_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void begin(void)
{
	fault_reset();
	fault_virtual_time(false);
	fds_before = leaks_open_fds();
	blocks_before = fault_blocks();
}

static void end(void)
{
	fault_reset();
	ck_assert_uint_eq(leaks_open_fds(), fds_before);
	ck_assert_int_eq(fault_blocks(), blocks_before);
}

void leaks_watch(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, begin, end);
}

void fault_each_alloc(int (*what)(void))
{
	for (unsigned n = 1;; n++) {
		unsigned calls;
		int rc;

		fault_fail(FAULT_ALLOC, n, ENOMEM);
		rc = what();
		calls = fault_calls(FAULT_ALLOC);
		fault_reset();
		ck_assert_int_eq(rc, calls < n ? 0 : -ENOMEM);
		if (calls < n)
			return;
	}
}
