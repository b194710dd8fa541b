/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * suite.h - how each Check program ends, and what its threads assert.
 */
#ifndef SUITE_H
#define SUITE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Runs the suite, which it frees; what main() returns. CK_VERBOSITY of the environment says how much it tells. */
static inline int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline void thread_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: in a thread: %s\n", file, line, condition);
	abort();
}

/* In a function that runs as a thread: Check's own are for one thread at a time, as each writes where it has come. */
#define thread_assert(condition)                                                                   \
	((condition) ? (void)0 : thread_failed(#condition, __FILE__, __LINE__))

#endif
