/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-bars.h - BAR and ROM registers, from which a client reads sizes. Owner only.
 */
#ifndef VFUI_PCI_BARS_H
#define VFUI_PCI_BARS_H

#include "device/pci-state.h"

/* They follow what the regions are now. */
void vfui_pci_set_bars(struct vfui_pci *pci);

#endif
