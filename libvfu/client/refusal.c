/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * refusal.c - why a device has refused a request with EINVAL, as far as what it said of itself tells.
 *
 * A request is sent whatever is known of the device: it is the one to refuse, and a client that did so in its place would
 * hide what the device does. But all that comes back is a number. What is kept (kept.c, the table of DMA ranges) often
 * tells more, and nothing is asked for it.
 */
#include <errno.h>
#include <stdio.h>

#include "base/os.h"
#include "client/refusal.h"

static bool is_unexplained(const struct vfu_err *err)
{
	return err->code == -EINVAL && !err->field[0];
}

struct name {
	char text[24];
};

static struct name region_name(unsigned index)
{
	static const char *const others[] = {"rom", "config", "vga"};
	struct name name;

	if (index <= VFU_REGION_BAR5)
		snprintf(name.text, sizeof(name.text), "bar%u", index);
	else if (index < VFU_REGIONS)
		snprintf(name.text, sizeof(name.text), "%s", others[index - VFU_REGION_ROM]);
	else
		snprintf(name.text, sizeof(name.text), "region %u", index);
	return name;
}

void vfui_refusal_of_access(struct vfu_client *cl, const struct vfu_client_access *a,
			    struct vfu_err *err)
{
	struct vfui_kept_region *region =
		a->index < VFUI_KEPT_REGIONS ? atomic_load(&cl->kept.region[a->index]) : NULL;
	const char *field = a->is_write ? "region_write.offset" : "region_read.offset";
	uint32_t needed = a->is_write ? VFU_REGION_WRITE : VFU_REGION_READ;
	struct name name = region_name(a->index);
	unsigned long long size, offset = a->offset;

	if (!is_unexplained(err) || !region)
		return;
	size = region->info.size;
	if (!size)
		vfui_err_set(err, -EINVAL, field, 0, "the device has no %s", name.text);
	else if (!(region->info.flags & needed))
		vfui_err_set(err, -EINVAL, field, 0, "%s can not be %s", name.text,
			     a->is_write ? "written" : "read");
	else if (!vfui_is_inside(offset, a->len, size))
		vfui_err_set(err, -EINVAL, field, 0, "%s+0x%llx ends at 0x%llx, %s at 0x%llx",
			     name.text, offset, offset + a->len, name.text, size);
}

/* False: it is not kept. */
static bool kept_irq(struct vfu_client *cl, unsigned index, struct vfu_irq_info *out)
{
	bool is_known;

	vfui_os_lock(&cl->lock);
	is_known = vfui_kept_irq(&cl->kept, index, out);
	vfui_os_unlock(&cl->lock);
	return is_known;
}

void vfui_refusal_of_irqs(struct vfu_client *cl, unsigned index, unsigned start, unsigned count,
			  bool masks, struct vfu_err *err)
{
	struct vfu_irq_info irq;

	if (!is_unexplained(err) || !kept_irq(cl, index, &irq))
		return;
	if (!vfui_is_inside(start, count, irq.count))
		vfui_err_set(err, -EINVAL, "set_irqs.start", 12,
			     "%u vectors from %u on end at %llu, interrupt %u has %u", count, start,
			     (unsigned long long)start + count, index, irq.count);
	else if (masks && !(irq.flags & VFU_IRQ_MASKABLE))
		vfui_err_set(err, -EINVAL, "set_irqs.flags", 4,
			     "interrupt %u can not be masked (VFU_IRQ_MASKABLE)", index);
}

void vfui_refusal_of_unmap(struct vfu_client *cl, uint64_t first, uint64_t last,
			   struct vfu_err *err)
{
	const struct vfui_range *range;
	unsigned long long from = 0, to = 0;
	uint64_t at = first;

	if (!is_unexplained(err))
		return;
	vfui_os_lock(&cl->lock);
	while ((range = vfui_ranges_from(&cl->ranges, at)) && range->first <= last && !to) {
		if (range->first < first || range->last > last) {
			from = range->first;
			to = range->last;
		}
		if (range->last == UINT64_MAX)
			break;
		at = range->last + 1;
	}
	vfui_os_unlock(&cl->lock);
	if (to)
		vfui_err_set(
			err, -EINVAL, "dma_unmap.size", 16,
			"0x%llx to 0x%llx cuts the range from 0x%llx to 0x%llx: only whole ones "
			"can be unmapped",
			(unsigned long long)first, (unsigned long long)last, from, to);
}
