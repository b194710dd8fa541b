/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * Drill: the region capability "heat", which only spec/ knows: a device builds one and gives it to a region, a
 * client reads it, both with what was generated of it.
 */
#include <errno.h>
#include <string.h>

#include <vfu/parts.h>

#include "drill.h"

#define SIZE 65536

/* One of two zones, the second so long. */
static int add(struct vfu_device *dev, unsigned region, uint32_t degrees, uint64_t size)
{
	const struct vfu_wire_heat_zone zones[] = {{0, 4096}, {8192, size}};
	const struct vfu_wire_cap_heat heat = {.degrees = degrees, .many = 2};
	const size_t head = sizeof(struct vfu_wire_region_cap_header);
	uint8_t bytes[sizeof(heat) + sizeof(zones)];
	struct vfu_region_capability cap = {
		.id = VFU_WIRE_REGION_CAP_HEAT, .version = 2, .data = bytes + head};

	memcpy(bytes, &heat, sizeof(heat));
	memcpy(bytes + sizeof(heat), zones, sizeof(zones));
	cap.len = sizeof(bytes) - head;
	return vfu_device_add_region_capability(dev, region, &cap);
}

static void refuse(struct vfu_device *dev, int rc, const char *field)
{
	struct vfu_err err;

	CHECK(rc == -EINVAL);
	vfu_device_err(dev, &err);
	CHECK(strcmp(err.field, field) == 0);
}

static void fill(struct vfu_device *dev)
{
	const struct vfu_region bar = {.size = SIZE, .flags = VFU_REGION_READ, .fd = -1};

	CHECK(vfu_device_set_region(dev, 0, &bar) == 0);
	CHECK(vfu_device_set_region(dev, 1, &bar) == 0);
	refuse(dev, add(dev, 0, 101, 1), "get_region_info.cap_heat.degrees");
	refuse(dev, add(dev, 0, 100, 0), "get_region_info.heat_zone.size");
	refuse(dev, add(dev, 0, 100, SIZE), "get_region_info.heat_zone.offset");
	CHECK(add(dev, 0, 99, SIZE - 8192) == 0);
	refuse(dev, add(dev, 0, 99, 1), "get_region_info.heat");
}

/* By the types that were generated. */
static void read_typed(const struct vfu_region_info *info)
{
	struct vfu_wire_items caps, zones;
	struct vfu_wire_get_region_info_reply_caps cap;
	struct vfu_wire_heat_zone zone;

	caps = vfu_wire_get_region_info_reply_caps_parse(info->reply, info->reply_len);
	CHECK(vfu_wire_get_region_info_reply_caps_next(&caps, &cap));
	CHECK(cap.kind == VFU_WIRE_GET_REGION_INFO_REPLY_CAPS_HEAT);
	CHECK(cap.as.heat.degrees == 99 && cap.as.heat.many == 2);
	zones = vfu_wire_cap_heat_zones_parse(cap.data, cap.rest);
	CHECK(vfu_wire_cap_heat_zones_next(&zones, &zone) && zone.size == 4096);
	CHECK(vfu_wire_cap_heat_zones_next(&zones, &zone) && zone.size == SIZE - 8192);
	CHECK(!vfu_wire_cap_heat_zones_next(&zones, &zone));
	CHECK(!vfu_wire_get_region_info_reply_caps_next(&caps, &cap));
}

static void use(struct vfu_client *cl)
{
	struct vfu_region_capability cap;
	struct vfu_region_info info;

	CHECK(vfu_client_region_info(cl, 1, &info) == 0);
	CHECK(!vfu_region_info_capability(&info, 0, &cap));
	vfu_region_info_fini(&info);
	CHECK(vfu_client_region_info(cl, 0, &info) == 0);
	/* By number. */
	CHECK(vfu_region_info_capability(&info, 0, &cap));
	CHECK(cap.id == VFU_WIRE_REGION_CAP_HEAT && cap.version == 2 && cap.len == 40);
	CHECK(!vfu_region_info_capability(&info, 1, &cap));
	read_typed(&info);
	vfu_region_info_fini(&info);
}

int main(void)
{
	struct drill drill;

	drill_init(&drill);
	fill(drill.dev);
	drill_connect(&drill);
	use(drill.cl);
	drill_part(&drill);
	drill_fini(&drill);
	return 0;
}
