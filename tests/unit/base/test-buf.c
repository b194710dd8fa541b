/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-buf.c - buffers of bytes, sets of descriptors, errors, clocks, pending requests: the small
 * parts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fds.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "transport/pend.h"
#include "../../lib/wire_peer.h"
#include "../../lib/suite.h"

START_TEST(buf_fills_and_empties)
{
	struct vfui_buf buf = {0};

	ck_assert_int_eq(vfui_buf_reserve(&buf, 8), 0);
	vfui_buf_append(&buf, "abcdefgh", 8);
	vfui_buf_consume(&buf, 3);
	ck_assert_uint_eq(vfui_buf_len(&buf), 5);
	/* Room by moving to the front, then by growing. */
	ck_assert_int_eq(vfui_buf_reserve(&buf, 3), 0);
	ck_assert_uint_eq(buf.start, 0);
	ck_assert_uint_eq(buf.cap, 8);
	vfui_buf_append(&buf, "ijk", 3);
	ck_assert_int_eq(vfui_buf_reserve(&buf, 100), 0);
	ck_assert_uint_ge(buf.cap, 108);
	ck_assert_mem_eq(buf.data, "defghijk", 8);
	vfui_buf_consume(&buf, 8);
	ck_assert_uint_eq(buf.end, 0);
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	ck_assert_int_eq(vfui_buf_reserve(&buf, 1000), -ENOMEM);
	ck_assert_uint_ge(buf.cap, 108);
	vfui_buf_fini(&buf);
}
END_TEST

START_TEST(fds_are_copied_moved_closed)
{
	int from[3] = {peer_fd(), peer_fd(), peer_fd()};
	struct vfui_fds a, b = {.n = 0};

	ck_assert_int_eq(vfui_fds_dup(&a, from, 3), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert(peer_fd_is(a.fd[i], from[i]));
		ck_assert_int_eq(fcntl(a.fd[i], F_GETFD), FD_CLOEXEC);
	}
	ck_assert_int_eq(vfui_fds_move(&b, &a), 0);
	ck_assert_uint_eq(a.n, 0);
	b.fd[1] = (close(b.fd[1]), -1);
	vfui_fds_close(&b);
	b.n = VFUI_FDS_MAX - 2;
	a.n = 3;
	ck_assert_int_eq(vfui_fds_move(&b, &a), -EMSGSIZE);
	ck_assert_int_eq(vfui_fds_dup(&a, from, VFUI_FDS_MAX + 1), -EMSGSIZE);
	fault_fail(FAULT_FD, 3, EMFILE);
	ck_assert_int_eq(vfui_fds_dup(&a, from, 3), -EMFILE);
	ck_assert_uint_eq(a.n, 0);
	for (int i = 0; i < 3; i++)
		close(from[i]);
}
END_TEST

START_TEST(err_keeps_what_it_is_told)
{
	struct vfui_fault fault = {.message = "dma_map",
				   .field = "size",
				   .rule = "is at least 1",
				   .offset = 24,
				   .value = 0};
	struct vfu_err err;
	char longest[400];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(vfui_err_set(&err, -EINVAL, longest, 3, "%s", longest), -EINVAL);
	ck_assert_uint_eq(strlen(err.field), sizeof(err.field) - 1);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	ck_assert_int_eq(vfui_err_set(NULL, -EIO, NULL, 0, "x"), -EIO);
	ck_assert_int_eq(vfui_err_fault(&err, -EINVAL, &fault), -EINVAL);
	ck_assert_str_eq(err.field, "dma_map.size");
	ck_assert_uint_eq(err.offset, 24);
	ck_assert_ptr_nonnull(strstr(err.text, "is at least 1"));
	ck_assert_int_eq(vfui_err_fault(NULL, -EINVAL, &fault), -EINVAL);
}
END_TEST

static uint64_t at_seven(void *user)
{
	(void)user;
	return 7 * VFUI_MS;
}

START_TEST(clock_counts_down)
{
	struct vfui_clock clock = {.now = at_seven};
	struct vfui_clock real = {0};

	ck_assert_uint_eq(vfui_clock_deadline(&clock, 3), 10 * VFUI_MS);
	ck_assert_uint_eq(vfui_clock_deadline(&clock, -1), VFUI_NEVER);
	ck_assert_int_eq(vfui_clock_left(&clock, 10 * VFUI_MS), 3 * VFUI_MS);
	ck_assert_int_eq(vfui_clock_left(&clock, 6 * VFUI_MS), 0);
	ck_assert_int_eq(vfui_clock_left(&clock, VFUI_NEVER), -1);
	ck_assert_uint_gt(vfui_clock_now(&real), 0);
}
END_TEST

START_TEST(pend_ids_are_unique_and_found)
{
	struct vfui_pend_table table;
	static struct vfui_pend *all[VFUI_PEND_MAX];
	int error;

	vfui_pend_init(&table);
	ck_assert_ptr_null(vfui_pend_find(&table, 0));
	/* Some stay for long while ids wrap around. */
	for (unsigned i = 0; i < 100; i++)
		all[i] = vfui_pend_add(&table, 1000 - i, &error);
	for (unsigned i = 0; i < 200000; i++) {
		struct vfui_pend *pend = vfui_pend_add(&table, 5000, &error);

		if (pend == NULL || vfui_pend_find(&table, pend->id) != pend)
			ck_abort_msg("number %u is not found", i);
		vfui_pend_remove(&table, pend);
	}
	ck_assert_uint_eq(table.cap, 256);
	ck_assert_uint_eq(table.nwaiting, 100);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_ptr_eq(vfui_pend_find(&table, all[i]->id), all[i]);
	for (unsigned i = 100; i < VFUI_PEND_MAX; i++)
		all[i] = vfui_pend_add(&table, 7000, &error);
	ck_assert_ptr_null(vfui_pend_add(&table, 1, &error));
	ck_assert_int_eq(error, -ENOBUFS);
	for (unsigned i = 0; i < VFUI_PEND_MAX; i++) {
		if (all[i] == NULL || vfui_pend_find(&table, all[i]->id) != all[i])
			ck_abort_msg("number %u is not found", i);
	}
	vfui_pend_fini(&table);
}
END_TEST

START_TEST(pend_first_is_the_earliest)
{
	static const uint64_t deadlines[] = {50, 20, 40, 10, 30};
	struct vfui_pend_table table;
	int error;

	vfui_pend_init(&table);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_ptr_nonnull(vfui_pend_add(&table, deadlines[i], &error));
	for (unsigned i = 1; i <= 5; i++) {
		struct vfui_pend *pend = vfui_pend_first(&table);

		ck_assert_uint_eq(pend->deadline, i * 10);
		if (i == 2) /* given up: found, but nobody waits for it */
			vfui_pend_reserve(&table, pend);
		else
			vfui_pend_remove(&table, pend);
	}
	ck_assert_ptr_null(vfui_pend_first(&table));
	ck_assert_uint_eq(table.used, 1);
	ck_assert_uint_eq(table.nwaiting, 0);
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	vfui_pend_fini(&table);
	ck_assert_ptr_null(vfui_pend_add(&table, 1, &error));
	ck_assert_int_eq(error, -ENOMEM);
	vfui_pend_fini(&table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buf");
	TCase *tcase = tcase_create("buf");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, buf_fills_and_empties);
	tcase_add_test(tcase, fds_are_copied_moved_closed);
	tcase_add_test(tcase, err_keeps_what_it_is_told);
	tcase_add_test(tcase, clock_counts_down);
	tcase_add_test(tcase, pend_ids_are_unique_and_found);
	tcase_add_test(tcase, pend_first_is_the_earliest);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
