/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci.h - configuration space: type 0 header, BAR sizing, capabilities and what writing them does.
 *
 * Region 7 is served from here unless the device gave it a callback. Kept little-endian, as PCI has it. Owner only.
 */
#ifndef VFUI_PCI_H
#define VFUI_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfu.h"

#include "device/msix.h"

struct vfui_dma;
struct vfui_irqs;
struct vfui_policy;
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
	uint8_t config[VFUI_PCI_CONFIG_MAX];
	uint8_t write_mask[VFUI_PCI_CONFIG_MAX];  /* bits the client can write */
	uint8_t w1c_mask[VFUI_PCI_CONFIG_MAX];    /* bits it clears by writing ones */
	uint8_t reset_value[VFUI_PCI_CONFIG_MAX]; /* of the bits of both */
	size_t size;
	uint64_t caps_used;      /* one bit per 4 bytes from 0x40 on */
	bool bus_master_matters; /* E63: the policy is enforce */
	uint8_t msi, msix;       /* where those capabilities are; 0: none */
	struct vfui_msix tables;
	struct vfui_dma *dma;
	struct vfui_irqs *irqs;
	struct vfui_regions *regions;
	struct vfui_pci_hooks hooks;
};

/* Also makes region 7. The other parts are set up before, and outlive it. */
int vfui_pci_init(struct vfui_pci *pci, struct vfui_dma *dma, struct vfui_irqs *irqs,
		  struct vfui_regions *regions, const struct vfui_pci_hooks *hooks);

void vfui_pci_fini(struct vfui_pci *pci);

/* Bodies of the public functions. */
int vfui_pci_set_ids(struct vfui_pci *pci, uint16_t vendor, uint16_t device, uint16_t subvendor,
		     uint16_t subdevice);
int vfui_pci_set_class(struct vfui_pci *pci, uint32_t class_code, uint8_t revision);
int vfui_pci_set_size(struct vfui_pci *pci, size_t size);
int vfui_pci_add_capability(struct vfui_pci *pci, uint8_t id, const void *data, size_t len);
int vfui_pci_read(struct vfui_pci *pci, size_t offset, void *buf, size_t len);
int vfui_pci_write(struct vfui_pci *pci, size_t offset, const void *buf, size_t len);
int vfui_pci_set_intx(struct vfui_pci *pci, unsigned pin);
int vfui_pci_set_msi(struct vfui_pci *pci, unsigned vectors);
int vfui_pci_set_msix(struct vfui_pci *pci, unsigned vectors, unsigned bar, uint32_t table_offset,
		      uint32_t pba_offset);

/* Call after vfui_region_set: BAR registers, the tables of MSI-X and the default region 7 follow what the region is now. */
int vfui_pci_region_changed(struct vfui_pci *pci, unsigned index);
/* What of the policy configuration space and tables look at: E63, E66. */
void vfui_pci_set_policy(struct vfui_pci *pci, const struct vfui_policy *policy);
/* The client is gone. */
void vfui_pci_disconnect(struct vfui_pci *pci);
/* What the client can write goes back to its reset value. Interrupts are reset before, else what is pending fires. */
void vfui_pci_reset(struct vfui_pci *pci);

#endif
