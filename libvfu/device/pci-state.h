/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-state.h - configuration space as its parts share it: bytes, what a client may change of them, who listens.
 *
 * Kept little-endian, as PCI has it. Owner only.
 */
#ifndef VFUI_PCI_STATE_H
#define VFUI_PCI_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfu.h"

#include "device/msix.h"

struct vfui_dma;
struct vfui_irqs;
struct vfui_regions;

#define VFUI_PCI_CONFIG_MAX 4096

struct vfui_pci_hooks {
	/* After a write of the client took effect. */
	void (*written)(void *ctx, size_t offset, size_t len);
	/*
	 * The client asked for a reset of the function (FLR bit of PCIe or AF; D3hot to D0 without
	 * No_Soft_Reset). The result becomes that of the config write: 0, VFU_LATER (req was
	 * deferred) or negative errno. Whoever resets calls vfui_pci_reset.
	 */
	int (*reset)(void *ctx, struct vfu_request *req);
	void *ctx;
};

struct vfui_pci {
	_Alignas(8) uint8_t config[VFUI_PCI_CONFIG_MAX]; /* also region 7's memory, of registers */
	uint8_t write_mask[VFUI_PCI_CONFIG_MAX];         /* bits the client can write */
	uint8_t w1c_mask[VFUI_PCI_CONFIG_MAX];           /* bits it clears by writing ones */
	uint8_t reset_value[VFUI_PCI_CONFIG_MAX];        /* of the bits of both */
	size_t size;
	bool is_taken[VFUI_PCI_CONFIG_MAX / 4]; /* words that capabilities are made of */
	bool bus_master_matters;                /* E63: the policy is enforce */
	uint8_t msi, msix;                      /* where those capabilities are; 0: none */
	uint8_t msi_len;                        /* how long that of MSI is */
	uint8_t msi_mask;    /* its mask bits, before those of what is pending; 0: it has none */
	uint32_t msi_masked; /* those that vectors have been told of */
	struct vfui_msix tables;
	struct vfui_dma *dma;
	struct vfui_irqs *irqs;
	struct vfui_regions *regions;
	struct vfui_pci_hooks hooks;
};

/* ---- bytes, little-endian on any host ---------------------------------------------------------- */

static inline void vfui_pci_put(uint8_t *at, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static inline uint32_t vfui_pci_get(const uint8_t *at, unsigned size)
{
	uint32_t value = 0;

	while (size--)
		value = value << 8 | at[size];
	return value;
}

#endif
