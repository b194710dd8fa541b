/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-list.c - linked lists.
 */
#include <stdlib.h>

#include "../../lib/leaks.h"
#include "../../lib/suite.h"
#include "base/list.h"

struct thing {
	int n;
	struct vfui_list node;
};

static int value_of(struct vfui_list *node)
{
	return vfui_container_of(node, struct thing, node)->n;
}

START_TEST(push_and_pop_keep_order)
{
	struct thing things[3] = {{.n = 0}, {.n = 1}, {.n = 2}};
	struct vfui_list head;

	vfui_list_init(&head);
	ck_assert(vfui_list_is_empty(&head));
	ck_assert_ptr_null(vfui_list_pop(&head));
	for (int i = 0; i < 3; i++)
		vfui_list_push(&head, &things[i].node);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(value_of(vfui_list_pop(&head)), i);
	ck_assert(vfui_list_is_empty(&head));
}
END_TEST

START_TEST(insert_goes_in_front)
{
	struct thing things[3] = {{.n = 0}, {.n = 1}, {.n = 2}};
	struct vfui_list head, *node;
	int n = 0;

	vfui_list_init(&head);
	vfui_list_push(&head, &things[0].node);
	vfui_list_push(&head, &things[2].node);
	vfui_list_insert(&things[2].node, &things[1].node);
	vfui_list_for_each(node, &head)
		ck_assert_int_eq(value_of(node), n++);
	ck_assert_int_eq(n, 3);
}
END_TEST

START_TEST(the_body_may_remove)
{
	struct thing things[4] = {{.n = 0}, {.n = 1}, {.n = 2}, {.n = 3}};
	struct vfui_list head, *node, *after;

	vfui_list_init(&head);
	for (int i = 0; i < 4; i++)
		vfui_list_push(&head, &things[i].node);
	vfui_list_for_each_safe(node, after, &head) {
		if (value_of(node) % 2 == 0)
			vfui_list_remove(node);
	}
	ck_assert_int_eq(value_of(vfui_list_pop(&head)), 1);
	ck_assert_int_eq(value_of(vfui_list_pop(&head)), 3);
	ck_assert(vfui_list_is_empty(&head));
	/* A node that is in no list may be removed again. */
	vfui_list_remove(&things[0].node);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("list");
	TCase *tcase = tcase_create("list");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, push_and_pop_keep_order);
	tcase_add_test(tcase, insert_goes_in_front);
	tcase_add_test(tcase, the_body_may_remove);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
