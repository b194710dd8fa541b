/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * list.h - doubly linked lists whose nodes lie in the things they link.
 */
#ifndef VFUI_LIST_H
#define VFUI_LIST_H

#include "base/util.h"

/* A node, and also the head of a list. A head or a node in no list points to itself. */
struct vfui_list {
	struct vfui_list *prev, *next;
};

static inline void vfui_list_init(struct vfui_list *list)
{
	list->prev = list;
	list->next = list;
}

static inline bool vfui_list_is_empty(const struct vfui_list *head)
{
	return head->next == head;
}

/* Links node, which is in no list, in front of pos. */
static inline void vfui_list_insert(struct vfui_list *pos, struct vfui_list *node)
{
	node->prev = pos->prev;
	node->next = pos;
	pos->prev->next = node;
	pos->prev = node;
}

static inline void vfui_list_push(struct vfui_list *head, struct vfui_list *node)
{
	vfui_list_insert(head, node);
}

/* Takes node out of its list; does nothing if it is in none. */
static inline void vfui_list_remove(struct vfui_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	vfui_list_init(node);
}

/* Takes the first node out, NULL if there is none. */
static inline struct vfui_list *vfui_list_pop(struct vfui_list *head)
{
	struct vfui_list *node = head->next;

	if (node == head)
		return NULL;
	vfui_list_remove(node);
	return node;
}

#define vfui_list_for_each(node, head) for (node = (head)->next; node != (head); node = node->next)

/* The body may remove node; after is a second variable. */
#define vfui_list_for_each_safe(node, after, head)                                                 \
	for (node = (head)->next, after = node->next; node != (head);                              \
	     node = after, after = node->next)

#endif
