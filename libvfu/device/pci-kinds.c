/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-kinds.c - capabilities whose fields are made here: power management, PCI Express.
 *
 * What a client may write of them is in pci-masks.c, what its writes set off in pci-access.c.
 */
#include "device/pci-kinds.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/err.h"
#include "base/util.h"
#include "device/pci-caps.h"

enum { EXPRESS_LEN = PCI_EXP_SLTSTA2 + 2, SPEED_MAX = 6, PAYLOAD_MIN = 128, PAYLOAD_MAX = 4096 };

int vfui_pci_add_power(struct vfui_pci *pci, unsigned flags, unsigned offset, struct vfu_err *err)
{
	uint8_t cap[PCI_PM_SIZEOF] = {0};
	unsigned pmc = 3; /* revision 1.2 */

	if (flags & ~(unsigned)(VFU_PM_D1 | VFU_PM_D2 | VFU_PM_NO_SOFT_RESET))
		return vfui_err_set(err, -EINVAL, "power.flags", 0, "unknown flags 0x%x", flags);
	pmc |= flags & VFU_PM_D1 ? PCI_PM_CAP_D1 : 0;
	pmc |= flags & VFU_PM_D2 ? PCI_PM_CAP_D2 : 0;
	vfui_pci_put(cap + PCI_PM_PMC, 2, pmc);
	cap[PCI_PM_CTRL] = flags & VFU_PM_NO_SOFT_RESET ? PCI_PM_CTRL_NO_SOFT_RESET : 0;
	return vfui_pci_add_capability(pci, PCI_CAP_ID_PM, offset, cap + 2, sizeof(cap) - 2, err);
}

static bool is_width(unsigned lanes)
{
	return lanes == 12 || (lanes && lanes <= 32 && !(lanes & (lanes - 1)));
}

static int check_express(const struct vfu_express *e, struct vfu_err *err)
{
	if (e->type != VFU_EXPRESS_ENDPOINT && e->type != VFU_EXPRESS_LEGACY &&
	    e->type != VFU_EXPRESS_INTEGRATED)
		return vfui_err_set(err, -EINVAL, "express.type", 0, "no type of endpoint is %u",
				    e->type);
	if (e->flags & ~(uint32_t)VFU_EXPRESS_FLR)
		return vfui_err_set(err, -EINVAL, "express.flags", 0, "unknown flags 0x%x",
				    e->flags);
	if (!e->speed || e->speed > SPEED_MAX)
		return vfui_err_set(err, -EINVAL, "express.speed", 0, "1 to %u, not %u", SPEED_MAX,
				    e->speed);
	if (!is_width(e->width))
		return vfui_err_set(err, -EINVAL, "express.width", 0,
				    "1, 2, 4, 8, 12, 16 or 32 lanes, not %u", e->width);
	if (e->max_payload < PAYLOAD_MIN || e->max_payload > PAYLOAD_MAX ||
	    e->max_payload & (e->max_payload - 1))
		return vfui_err_set(err, -EINVAL, "express.max_payload", 0,
				    "a power of two from %u to %u bytes, not %u", PAYLOAD_MIN,
				    PAYLOAD_MAX, e->max_payload);
	return 0;
}

/* A link that runs as fast and wide as it can. What lies inside the root complex has none, and zeros. */
static void put_link(uint8_t *cap, unsigned speed, unsigned width)
{
	unsigned link = speed | width << 4;

	vfui_pci_put(cap + PCI_EXP_LNKCAP, 4, link);
	vfui_pci_put(cap + PCI_EXP_LNKSTA, 2, link | PCI_EXP_LNKSTA_SLC);
	vfui_pci_put(cap + PCI_EXP_LNKCAP2, 4, ((1u << speed) - 1) << 1);
	vfui_pci_put(cap + PCI_EXP_LNKCTL2, 2, speed);
}

int vfui_pci_add_express(struct vfui_pci *pci, const struct vfu_express *express, unsigned offset,
			 struct vfu_err *err)
{
	struct vfu_express e = {0};
	uint8_t cap[EXPRESS_LEN] = {0};
	unsigned payload = 0;
	int rc;

	if (express->size < sizeof(express->size) || express->size > sizeof(e))
		return vfui_err_set(err, -EINVAL, "express.size", 0,
				    "size %zu is not that of struct vfu_express", express->size);
	memcpy(&e, express, express->size);
	e.speed = e.speed ? e.speed : 1;
	e.width = e.width ? e.width : 1;
	e.max_payload = e.max_payload ? e.max_payload : PAYLOAD_MIN;
	rc = check_express(&e, err);
	if (rc)
		return rc;
	while (PAYLOAD_MIN << payload < (int)e.max_payload)
		payload++;
	vfui_pci_put(cap + PCI_EXP_FLAGS, 2, 2 | e.type << 4);
	vfui_pci_put(cap + PCI_EXP_DEVCAP, 4,
		     payload | PCI_EXP_DEVCAP_RBER |
			     (e.flags & VFU_EXPRESS_FLR ? PCI_EXP_DEVCAP_FLR : 0));
	/* As PCI Express has it after reset: requests of up to 512 bytes. */
	vfui_pci_put(cap + PCI_EXP_DEVCTL, 2,
		     PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN |
			     PCI_EXP_DEVCTL_READRQ_512B);
	if (e.type != VFU_EXPRESS_INTEGRATED)
		put_link(cap, e.speed, e.width);
	return vfui_pci_add_capability(pci, PCI_CAP_ID_EXP, offset, cap + 2, sizeof(cap) - 2, err);
}
