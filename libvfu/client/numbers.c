/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * numbers.c - little-endian numbers in regions, as PCI has them.
 */
#include <endian.h>

#include "vfu.h"

static int get(struct vfu_client *cl, unsigned index, uint64_t offset, size_t width,
	       uint64_t *value)
{
	uint64_t le = 0;
	int ret = vfu_client_region_read(cl, index, offset, &le, width);

	*value = le64toh(le);
	return ret;
}

static int put(struct vfu_client *cl, unsigned index, uint64_t offset, size_t width, uint64_t value)
{
	uint64_t le = htole64(value);

	return vfu_client_region_write(cl, index, offset, &le, width);
}

int vfu_client_region_read8(struct vfu_client *cl, unsigned index, uint64_t offset, uint8_t *value)
{
	uint64_t number;
	int ret = get(cl, index, offset, sizeof(*value), &number);

	if (!ret)
		*value = (uint8_t)number;
	return ret;
}

int vfu_client_region_read16(struct vfu_client *cl, unsigned index, uint64_t offset,
			     uint16_t *value)
{
	uint64_t number;
	int ret = get(cl, index, offset, sizeof(*value), &number);

	if (!ret)
		*value = (uint16_t)number;
	return ret;
}

int vfu_client_region_read32(struct vfu_client *cl, unsigned index, uint64_t offset,
			     uint32_t *value)
{
	uint64_t number;
	int ret = get(cl, index, offset, sizeof(*value), &number);

	if (!ret)
		*value = (uint32_t)number;
	return ret;
}

int vfu_client_region_read64(struct vfu_client *cl, unsigned index, uint64_t offset,
			     uint64_t *value)
{
	uint64_t number;
	int ret = get(cl, index, offset, sizeof(*value), &number);

	if (!ret)
		*value = number;
	return ret;
}

int vfu_client_region_write8(struct vfu_client *cl, unsigned index, uint64_t offset, uint8_t value)
{
	return put(cl, index, offset, sizeof(value), value);
}

int vfu_client_region_write16(struct vfu_client *cl, unsigned index, uint64_t offset,
			      uint16_t value)
{
	return put(cl, index, offset, sizeof(value), value);
}

int vfu_client_region_write32(struct vfu_client *cl, unsigned index, uint64_t offset,
			      uint32_t value)
{
	return put(cl, index, offset, sizeof(value), value);
}

int vfu_client_region_write64(struct vfu_client *cl, unsigned index, uint64_t offset,
			      uint64_t value)
{
	return put(cl, index, offset, sizeof(value), value);
}
