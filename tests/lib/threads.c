/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * threads.c - Check's assertions in a test's other threads.
 *
 * Check notes where each assertion is that holds, and what one said that does not: in one file, for one
 * thread. All test programs are linked with --wrap, so that its two functions are called from here alone. The
 * first thread of a process is the one that Check knows; what another one asserts and holds leaves no note,
 * and what does not ends the process.
 */
#include <check.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

void __real__mark_point(const char *file, int line);
void __wrap__mark_point(const char *file, int line);
void __real__ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...);
_Noreturn void __wrap__ck_assert_failed(const char *file, int line, const char *expr,
					const char *msg, ...) CK_ATTRIBUTE_FORMAT(printf, 4, 5);

static bool is_first_thread(void)
{
	static _Thread_local pid_t process; /* 0 until asked, and a child has another */
	static _Thread_local bool is_first;

	if (process != getpid()) {
		process = getpid();
		is_first = syscall(SYS_gettid) == process;
	}
	return is_first;
}

void __wrap__mark_point(const char *file, int line)
{
	if (is_first_thread())
		__real__mark_point(file, line);
}

void __wrap__ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...)
{
	char text[512] = "";
	va_list args;

	va_start(args, msg);
	if (msg)
		vsnprintf(text, sizeof(text), msg, args);
	va_end(args);
	if (is_first_thread())
		__real__ck_assert_failed(file, line, expr, msg ? "%s" : NULL, text);
	fprintf(stderr, "%s:%d: in a thread: %s %s\n", file, line, expr, text);
	abort();
}
