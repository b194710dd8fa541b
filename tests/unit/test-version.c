/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-version.c - the version is the one configure knows.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>

#include "vfu.h"
#include "../lib/suite.h"

START_TEST(is_the_package_version)
{
	ck_assert_str_eq(vfu_version(), PACKAGE_VERSION);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("version");
	TCase *tcase = tcase_create("version");

	tcase_add_test(tcase, is_the_package_version);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
