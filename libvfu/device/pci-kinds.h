/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-kinds.h - capabilities whose fields are made here: power management, PCI Express. Owner only.
 */
#ifndef VFUI_PCI_KINDS_H
#define VFUI_PCI_KINDS_H

#include "device/pci-state.h"

/* Bodies of the public functions. */
int vfui_pci_add_power(struct vfui_pci *pci, unsigned flags, unsigned offset, struct vfu_err *err);
int vfui_pci_add_express(struct vfui_pci *pci, const struct vfu_express *express, unsigned offset,
			 struct vfu_err *err);

#endif
