/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci.c - configuration space put together: identity, region 7, and what follows regions and policy.
 *
 *	 offset
 *	 0x000  +----------------------+  identity, Command: pci.c; BARs: pci-bars.c
 *	        | header of type 0     |
 *	 0x040  +----------------------+  a list, linked by offsets: pci-caps.c;
 *	        | capabilities         |  of interrupts: pci-irq.c, msix.c
 *	 0x100  +----------------------+
 *	        | extended ones        |  there from the first one on
 *	 0x1000 +----------------------+
 *
 * All is bytes, and beside each byte lie the bits of it that a client writes and those that it clears by
 * ones (pci-masks.c). A client's write goes through these masks; then what is in the bytes is told to
 * interrupts and DMA, and a bit that asks for a reset has one done (pci-access.c). Where the device has handlers
 * or registers of its own, behind the header, they are region 7's (region.c) and none of this sees their accesses.
 */
#include "device/pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/err.h"
#include "device/pci-bars.h"
#include "device/pci-masks.h"
#include "device/region.h"
#include "policy.h"

int vfui_pci_set_ids(struct vfui_pci *pci, uint16_t vendor, uint16_t device, uint16_t subvendor,
		     uint16_t subdevice)
{
	vfui_pci_put(pci->config + PCI_VENDOR_ID, 2, vendor);
	vfui_pci_put(pci->config + PCI_DEVICE_ID, 2, device);
	vfui_pci_put(pci->config + PCI_SUBSYSTEM_VENDOR_ID, 2, subvendor);
	vfui_pci_put(pci->config + PCI_SUBSYSTEM_ID, 2, subdevice);
	return 0;
}

int vfui_pci_set_class(struct vfui_pci *pci, uint32_t class_code, uint8_t revision)
{
	if (class_code > 0xffffff)
		return -EINVAL;
	pci->config[PCI_REVISION_ID] = revision;
	vfui_pci_put(pci->config + PCI_CLASS_PROG, 3, class_code);
	return 0;
}

/* ---- what of it may be the device's ------------------------------------------------------------- */

static bool overlaps(uint64_t offset, uint64_t size, uint64_t at, uint64_t len)
{
	return len && offset < at + len && (offset >= at || size > at - offset);
}

/* Of MSI-X, in its BAR. */
static int check_bar_handler(const struct vfui_msix_place *place, unsigned index, uint64_t offset,
			     uint64_t size, struct vfu_err *err)
{
	if (index != place->bar ||
	    (!overlaps(offset, size, place->table, vfui_msix_table_size(place->vectors)) &&
	     !overlaps(offset, size, place->pba, vfui_msix_pba_size(place->vectors))))
		return 0;
	return vfui_err_set(err, -EINVAL, "handler.offset", 0,
			    "the table of MSI-X and its pending bits are the library's");
}

int vfui_pci_check_handler(const struct vfui_pci *pci, unsigned index, uint64_t offset,
			   uint64_t size, struct vfu_err *err)
{
	if (index != VFU_REGION_CONFIG)
		return check_bar_handler(&pci->tables.place, index, offset, size, err);
	if (!vfui_pci_is_ours(pci))
		return 0;
	if (offset < PCI_STD_HEADER_SIZEOF)
		return vfui_err_set(err, -EINVAL, "handler.offset", 0,
				    "the header, below 0x%x, is the library's",
				    PCI_STD_HEADER_SIZEOF);
	if (overlaps(offset, size, pci->msi, pci->msi_len) ||
	    overlaps(offset, size, pci->msix, pci->msix ? PCI_CAP_MSIX_SIZEOF : 0))
		return vfui_err_set(err, -EINVAL, "handler.offset", 0,
				    "MSI and MSI-X are the library's");
	return 0;
}

int vfui_pci_check_register(const struct vfui_pci *pci, const struct vfu_register *reg,
			    struct vfu_err *err)
{
	uint64_t size;
	int rc;

	/* What is not sound is refused when it is added. */
	if (reg->size < offsetof(struct vfu_register, write))
		return 0;
	size = reg->width + (reg->count ? reg->count - UINT64_C(1) : 0) *
				    (reg->stride ? reg->stride : reg->width);
	rc = vfui_pci_check_handler(pci, VFU_REGION_CONFIG, reg->offset, size, err);
	if (!rc && reg->flags & VFU_REGISTER_VIEW)
		rc = vfui_pci_check_handler(pci, VFU_REGION_CONFIG, reg->target, size, err);
	return rc;
}

/* ---- region 7, and what follows the others ------------------------------------------------------ */

static int set_config_region(struct vfui_pci *pci)
{
	struct vfu_region def = {
		.size = pci->size,
		.flags = VFU_REGION_READ | VFU_REGION_WRITE,
		.access = vfui_pci_access,
		.user = pci,
		.fd = -1,
	};

	int rc = vfui_region_set(pci->regions, VFU_REGION_CONFIG, &def, NULL);

	/* For registers (device/register.c) which the device puts into it. */
	if (!rc)
		pci->regions->region[VFU_REGION_CONFIG].memory = pci->config;
	return rc;
}

int vfui_pci_region_changed(struct vfui_pci *pci, unsigned index)
{
	const struct vfu_region *config = &pci->regions->region[VFU_REGION_CONFIG].def;
	int rc = 0;

	vfui_pci_set_bars(pci);
	if (index == pci->tables.place.bar)
		rc = vfui_msix_route(&pci->tables);
	if (!rc && !config->size)
		rc = set_config_region(pci);
	vfui_pci_apply(pci);
	return rc;
}

void vfui_pci_set_policy(struct vfui_pci *pci, const struct vfui_policy *policy)
{
	pci->bus_master_matters = policy->bus_master == VFUI_BUS_MASTER_ENFORCE;
	vfui_msix_set_always(&pci->tables, policy->msix_mask == VFUI_MSIX_MASK_ALWAYS);
	vfui_pci_apply(pci);
}

void vfui_pci_disconnect(struct vfui_pci *pci)
{
	vfui_msix_disconnect(&pci->tables);
}

int vfui_pci_init(struct vfui_pci *pci, struct vfui_dma *dma, struct vfui_irqs *irqs,
		  struct vfui_regions *regions, const struct vfui_pci_hooks *hooks)
{
	memset(pci, 0, sizeof(*pci));
	pci->size = 256;
	pci->dma = dma;
	pci->irqs = irqs;
	pci->regions = regions;
	if (hooks)
		pci->hooks = *hooks;
	vfui_msix_init(&pci->tables, irqs, regions);
	vfui_pci_set_masks(pci, VFUI_PCI_HEADER, 0, PCI_STD_HEADER_SIZEOF);
	return set_config_region(pci);
}

void vfui_pci_fini(struct vfui_pci *pci)
{
	vfui_msix_fini(&pci->tables);
}
