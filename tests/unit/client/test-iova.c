/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-iova.c - which addresses are free, against a model that knows each page.
 */
#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"
#include "vfu.h"

#define PAGE 4096
#define ANYWHERE UINT64_MAX

static struct vfu_iova *space;

static void setup(void)
{
	space = vfu_iova_new(0, UINT64_MAX);
	ck_assert_ptr_nonnull(space);
}

static void teardown(void)
{
	vfu_iova_free(space);
}

static uint64_t alloc(uint64_t size, uint64_t align, uint64_t last)
{
	uint64_t iova = 1;

	ck_assert_int_eq(vfu_iova_alloc(space, size, align, last, &iova), 0);
	return iova;
}

START_TEST(lowest_first)
{
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), 0);
	ck_assert_uint_eq(alloc(2 << 20, 2 << 20, ANYWHERE), 2 << 20);
	ck_assert_uint_eq(alloc(3 * PAGE, 1, ANYWHERE), PAGE);
	ck_assert_int_eq(vfu_iova_give(space, 0), 0);
	ck_assert_uint_eq(alloc(2 * PAGE, 0, ANYWHERE), 4 * PAGE);
	ck_assert_uint_eq(alloc(100, 0, ANYWHERE), 0);
	/* A page that is not used up is not given to another. */
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), 6 * PAGE);
}
END_TEST

START_TEST(what_is_not_possible)
{
	uint64_t iova = 1;

	ck_assert_ptr_null(vfu_iova_new(1, 0));
	vfu_iova_free(NULL);
	ck_assert_int_eq(vfu_iova_alloc(space, 0, 0, ANYWHERE, &iova), -EINVAL);
	ck_assert_int_eq(vfu_iova_alloc(space, PAGE, 3 * PAGE, ANYWHERE, &iova), -EINVAL);
	ck_assert_int_eq(vfu_iova_alloc(space, UINT64_MAX, 0, ANYWHERE, &iova), -ENOSPC);
	ck_assert_int_eq(vfu_iova_alloc(space, PAGE + 1, 0, PAGE - 1, &iova), -ENOSPC);
	ck_assert_int_eq(vfu_iova_take(space, 0, 0), -EINVAL);
	ck_assert_int_eq(vfu_iova_take(space, PAGE, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(vfu_iova_reserve(space, 0, 0), -EINVAL);
	ck_assert_int_eq(vfu_iova_reserve(space, UINT64_MAX, 2), -EINVAL);
	ck_assert_int_eq(vfu_iova_give(space, 0), -ENOENT);
	ck_assert_int_eq(vfu_iova_take(space, PAGE, PAGE), 0);
	ck_assert_int_eq(vfu_iova_give(space, 2 * PAGE - 1), -ENOENT);
	ck_assert_int_eq(vfu_iova_take(space, PAGE, 1), -EEXIST);
	ck_assert_int_eq(vfu_iova_take(space, 0, PAGE + 1), -EEXIST);
	ck_assert_uint_eq(iova, 1);
}
END_TEST

/* The top of the addresses, and a device that has few bits of them. */
START_TEST(ends)
{
	uint64_t iova, top = UINT64_MAX - PAGE + 1;

	ck_assert_int_eq(vfu_iova_take(space, 0, top), 0);
	ck_assert_int_eq(vfu_iova_alloc(space, PAGE, 0, UINT32_MAX, &iova), -ENOSPC);
	ck_assert_int_eq(vfu_iova_alloc(space, PAGE, 2 * PAGE, ANYWHERE, &iova), -ENOSPC);
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), top);
	ck_assert_int_eq(vfu_iova_alloc(space, 1, 0, ANYWHERE, &iova), -ENOSPC);
	ck_assert_int_eq(vfu_iova_give(space, top), 0);
	ck_assert_int_eq(vfu_iova_give(space, 0), 0);
	ck_assert_uint_eq(alloc(1ull << 63, 1ull << 63, ANYWHERE), 1ull << 63);
	ck_assert_uint_eq(alloc(PAGE, 0, PAGE - 1), 0);
}
END_TEST

START_TEST(what_is_reserved)
{
	/* Interrupts of x86, from the beginning. */
	ck_assert_uint_eq(alloc(0xfee00000, 0, ANYWHERE), 0);
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), 0xfef00000);
	/* Over what is in use, and over one another; who knows what he does takes it. */
	ck_assert_int_eq(vfu_iova_reserve(space, PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(vfu_iova_reserve(space, 3 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(vfu_iova_take(space, 0xfee00000, PAGE), 0);
	ck_assert_int_eq(vfu_iova_give(space, 0xfee00000), 0);
	ck_assert_int_eq(vfu_iova_give(space, 0), 0);
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), 0);
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), 7 * PAGE);
	/* Given back it is free where it is not reserved: at both sides. */
	ck_assert_int_eq(vfu_iova_give(space, 0), 0);
	ck_assert_int_eq(vfu_iova_take(space, 0, 7 * PAGE), 0);
	ck_assert_int_eq(vfu_iova_give(space, 7 * PAGE), 0);
	ck_assert_int_eq(vfu_iova_give(space, 0), 0);
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), 0);
	ck_assert_uint_eq(alloc(2 * PAGE, 0, ANYWHERE), 7 * PAGE);
}
END_TEST

/* What lies beyond the ends is never given, whoever has given it back. */
START_TEST(beyond_the_ends)
{
	uint64_t iova;

	vfu_iova_free(space);
	space = vfu_iova_new(16 * PAGE, 32 * PAGE - 1);
	ck_assert_int_eq(vfu_iova_take(space, 0, 64 * PAGE), 0);
	ck_assert_int_eq(vfu_iova_give(space, 0), 0);
	ck_assert_int_eq(vfu_iova_take(space, 0, PAGE), 0);
	ck_assert_int_eq(vfu_iova_give(space, 0), 0);
	ck_assert_uint_eq(alloc(16 * PAGE, 0, ANYWHERE), 16 * PAGE);
	ck_assert_int_eq(vfu_iova_alloc(space, PAGE, 0, ANYWHERE, &iova), -ENOSPC);
}
END_TEST

START_TEST(without_memory)
{
	uint64_t iova;

	for (unsigned i = 1; i <= 4; i++) {
		fault_fail(FAULT_ALLOC, i, ENOMEM);
		ck_assert_ptr_null(vfu_iova_new(0, UINT64_MAX));
	}
	for (unsigned i = 1; i <= 2; i++) {
		fault_fail(FAULT_ALLOC, i, ENOMEM);
		ck_assert_int_eq(vfu_iova_alloc(space, PAGE, 0, ANYWHERE, &iova), -ENOMEM);
		fault_fail(FAULT_ALLOC, i, ENOMEM);
		ck_assert_int_eq(vfu_iova_take(space, 0, PAGE), -ENOMEM);
		fault_fail(FAULT_ALLOC, i, ENOMEM);
		ck_assert_int_eq(vfu_iova_reserve(space, 0, PAGE), -ENOMEM);
	}
	/* Two ranges become free, and there is memory for one: the other is lost, and nothing else. */
	ck_assert_int_eq(vfu_iova_reserve(space, PAGE, PAGE), 0);
	ck_assert_int_eq(vfu_iova_reserve(space, 3 * PAGE, PAGE), 0);
	ck_assert_int_eq(vfu_iova_take(space, 0, 6 * PAGE), 0);
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), 6 * PAGE);
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	ck_assert_int_eq(vfu_iova_give(space, 0), 0);
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), 0);
	ck_assert_uint_eq(alloc(PAGE, 0, ANYWHERE), 4 * PAGE);
}
END_TEST

/* ---- against a model */

#define PAGES 256
#define ROUNDS 20000

enum { FREE, RESERVED = 1, USED = 2 };
static uint8_t model[PAGES]; /* bits */
static unsigned sizes[PAGES];

/* The lowest, or PAGES. */
static unsigned lowest(unsigned n, unsigned align, unsigned end)
{
	for (unsigned at = 0; at + n <= end; at += align) {
		unsigned i = 0;

		while (i < n && !model[at + i])
			i++;
		if (i == n)
			return at;
	}
	return PAGES;
}

static void mark(unsigned at, unsigned n, uint8_t bit, bool on)
{
	for (unsigned i = at; i < at + n; i++)
		model[i] = (uint8_t)(on ? model[i] | bit : model[i] & ~bit);
}

static bool has_used(unsigned at, unsigned n)
{
	for (unsigned i = at; i < at + n; i++)
		if (model[i] & USED)
			return true;
	return false;
}

static void try_alloc(unsigned n)
{
	unsigned align = 1u << rand() % 4, end = (unsigned)rand() % PAGES + 1;
	unsigned at = lowest(n, align, end);
	uint64_t iova = 0;
	int ret = vfu_iova_alloc(space, (uint64_t)n * PAGE, (uint64_t)align * PAGE,
				 (uint64_t)end * PAGE - 1, &iova);

	ck_assert_int_eq(ret, at == PAGES ? -ENOSPC : 0);
	if (ret)
		return;
	ck_assert_uint_eq(iova, (uint64_t)at * PAGE);
	mark(at, n, USED, true);
	sizes[at] = n;
}

static void try_take(unsigned at, unsigned n)
{
	bool is_used = has_used(at, n);

	ck_assert_int_eq(vfu_iova_take(space, (uint64_t)at * PAGE, (uint64_t)n * PAGE),
			 is_used ? -EEXIST : 0);
	if (is_used)
		return;
	mark(at, n, USED, true);
	sizes[at] = n;
}

static void try_give(unsigned at)
{
	ck_assert_int_eq(vfu_iova_give(space, (uint64_t)at * PAGE), sizes[at] ? 0 : -ENOENT);
	mark(at, sizes[at], USED, false);
	sizes[at] = 0;
}

START_TEST(as_the_model)
{
	srand((unsigned)_i);
	memset(model, 0, sizeof(model));
	memset(sizes, 0, sizeof(sizes));
	vfu_iova_free(space);
	space = vfu_iova_new(0, (uint64_t)PAGES * PAGE - 1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned at = (unsigned)rand() % PAGES, n = (unsigned)rand() % 12 + 1;

		if (at + n > PAGES)
			n = PAGES - at;
		if (rand() % 1000 == 0) {
			ck_assert_int_eq(vfu_iova_reserve(space, (uint64_t)at * PAGE,
							  (uint64_t)n * PAGE),
					 0);
			mark(at, n, RESERVED, true);
		} else if (rand() % 4 == 0) {
			try_take(at, n);
		} else if (rand() % 2) {
			try_alloc(n);
		} else {
			try_give(at);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("iova");
	TCase *tcase = tcase_create("iova");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, lowest_first);
	tcase_add_test(tcase, what_is_not_possible);
	tcase_add_test(tcase, ends);
	tcase_add_test(tcase, what_is_reserved);
	tcase_add_test(tcase, beyond_the_ends);
	tcase_add_test(tcase, without_memory);
	tcase_add_loop_test(tcase, as_the_model, 0, 3);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
