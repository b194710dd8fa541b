/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * msix.h - the two tables of MSI-X in a BAR: vectors, and what is pending. Owner only.
 */
#ifndef VFUI_MSIX_H
#define VFUI_MSIX_H

#include <stdbool.h>
#include <stdint.h>

struct vfu_err;
struct vfu_region;
struct vfui_irqs;
struct vfui_regions;

/* Offsets in a BAR; vectors 0: nowhere. */
struct vfui_msix_place {
	unsigned bar;
	uint32_t table, pba, vectors;
};

struct vfui_msix {
	struct vfui_irqs *irqs;
	struct vfui_regions *regions;
	struct vfui_msix_place place;
	uint8_t (*entries)[16]; /* NULL: nothing was written since the last reset */
	bool always;            /* entries count also before they are written, E66 */
};

/* Bytes that they take. */
uint32_t vfui_msix_table_size(uint32_t vectors);
uint32_t vfui_msix_pba_size(uint32_t vectors);

void vfui_msix_init(struct vfui_msix *msix, struct vfui_irqs *irqs, struct vfui_regions *regions);
void vfui_msix_fini(struct vfui_msix *msix);
/* -EINVAL, -EEXIST: not in a memory BAR, not apart, or where something else is; then nothing changes. */
int vfui_msix_move(struct vfui_msix *msix, const struct vfui_msix_place *place,
		   struct vfu_err *err);
/* The tables, if they are in this BAR, still are when it is as def says: 0 or -EINVAL. One that goes away (size 0) may. */
int vfui_msix_check_bar(const struct vfui_msix *msix, unsigned bar, const struct vfu_region *def,
			struct vfu_err *err);
/* The BAR was replaced. */
int vfui_msix_route(struct vfui_msix *msix);
/* No entry was ever written: they read as masked, and mask nothing (E66). */
void vfui_msix_reset(struct vfui_msix *msix);
/* The client is gone: its successor has written to no entry so far. Contents stay. */
void vfui_msix_disconnect(struct vfui_msix *msix);
void vfui_msix_set_always(struct vfui_msix *msix, bool on);

#endif
