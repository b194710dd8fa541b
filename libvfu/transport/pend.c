/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pend.c - requests sent and not answered yet, by message id.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "transport/pend.h"

void vfui_pend_init(struct vfui_pend_table *table)
{
	memset(table, 0, sizeof(*table));
	vfui_list_init(&table->waiting);
	vfui_list_init(&table->spare);
}

void vfui_pend_fini(struct vfui_pend_table *table)
{
	struct vfui_list *node;

	for (unsigned i = 0; i < table->cap; i++)
		vfui_os_free(table->slots[i]);
	while ((node = vfui_list_pop(&table->spare)) != NULL)
		vfui_os_free(vfui_pend_of(node));
	vfui_os_free(table->slots);
	vfui_pend_init(table);
}

/* Ids that differ in their low bits differ in more of them too, so nothing can collide. */
static int grow(struct vfui_pend_table *table)
{
	unsigned cap = table->cap == 0 ? 16 : table->cap * 2;
	struct vfui_pend **slots = vfui_os_calloc(cap, sizeof(struct vfui_pend *));

	if (slots == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < table->cap; i++) {
		if (table->slots[i] != NULL)
			slots[table->slots[i]->id & (cap - 1)] = table->slots[i];
	}
	vfui_os_free(table->slots);
	table->slots = slots;
	table->cap = cap;
	return 0;
}

/* Deadlines mostly come in rising order, so the place is near the end. */
static void insert_by_deadline(struct vfui_pend_table *table, struct vfui_pend *pend)
{
	struct vfui_list *pos = &table->waiting;

	while (pos->prev != &table->waiting && vfui_pend_of(pos->prev)->deadline > pend->deadline)
		pos = pos->prev;
	vfui_list_insert(pos, &pend->node);
}

struct vfui_pend *vfui_pend_add(struct vfui_pend_table *table, uint64_t deadline, int *error)
{
	struct vfui_list *node;
	struct vfui_pend *pend;

	*error = table->used >= VFUI_PEND_MAX ? -ENOBUFS : -ENOMEM;
	if (table->used >= VFUI_PEND_MAX)
		return NULL;
	if (table->used * 2 >= table->cap && grow(table) != 0)
		return NULL;
	node = vfui_list_pop(&table->spare);
	pend = node != NULL ? vfui_pend_of(node) : vfui_os_malloc(sizeof(*pend));
	if (pend == NULL)
		return NULL;
	while (table->slots[table->next_id & (table->cap - 1)] != NULL ||
	       table->next_id == VFUI_PEND_POSTED)
		table->next_id++;
	pend->id = table->next_id++;
	pend->deadline = deadline;
	pend->is_reserved = false;
	table->slots[pend->id & (table->cap - 1)] = pend;
	table->used++;
	table->nwaiting++;
	insert_by_deadline(table, pend);
	return pend;
}

struct vfui_pend *vfui_pend_find(const struct vfui_pend_table *table, uint16_t id)
{
	struct vfui_pend *pend = table->cap > 0 ? table->slots[id & (table->cap - 1)] : NULL;

	return pend != NULL && pend->id == id ? pend : NULL;
}

void vfui_pend_reserve(struct vfui_pend_table *table, struct vfui_pend *pend)
{
	vfui_list_remove(&pend->node);
	pend->is_reserved = true;
	table->nwaiting--;
}

void vfui_pend_drop_sinks(struct vfui_pend_table *table, const void *memory, size_t len)
{
	struct vfui_list *node;

	vfui_list_for_each(node, &table->waiting) {
		struct vfui_pend *pend = vfui_pend_of(node);

		if ((uintptr_t)pend->sink - (uintptr_t)memory < len)
			pend->sink = NULL;
	}
}

void vfui_pend_take(struct vfui_pend_table *table, struct vfui_pend *pend)
{
	if (!pend->is_reserved)
		table->nwaiting--;
	vfui_list_remove(&pend->node);
	table->slots[pend->id & (table->cap - 1)] = NULL;
	table->used--;
}

void vfui_pend_remove(struct vfui_pend_table *table, struct vfui_pend *pend)
{
	vfui_pend_take(table, pend);
	vfui_pend_reuse(table, pend);
}

struct vfui_pend *vfui_pend_first(const struct vfui_pend_table *table)
{
	return vfui_list_is_empty(&table->waiting) ? NULL : vfui_pend_of(table->waiting.next);
}
