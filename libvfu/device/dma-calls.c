/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-calls.c - the public functions of DMA. Any thread may call them, so they leave no detail behind.
 */
#include <errno.h>

#include "device/handle.h"

int vfu_dma_read_async(struct vfu_device *dev, uint64_t iova, void *buf, size_t len, vfu_dma_fn *fn,
		       void *user)
{
	return vfui_device_is_child(dev) ? -EOWNERDEAD
					 : vfui_dma_read_async(&dev->dma, iova, buf, len, fn, user);
}

int vfu_dma_write_async(struct vfu_device *dev, uint64_t iova, const void *buf, size_t len,
			vfu_dma_fn *fn, void *user)
{
	return vfui_device_is_child(dev)
		       ? -EOWNERDEAD
		       : vfui_dma_write_async(&dev->dma, iova, buf, len, fn, user);
}

int vfu_dma_read(struct vfu_device *dev, uint64_t iova, void *buf, size_t len)
{
	return vfui_device_is_child(dev) ? -EOWNERDEAD : vfui_dma_read(&dev->dma, iova, buf, len);
}

int vfu_dma_write(struct vfu_device *dev, uint64_t iova, const void *buf, size_t len)
{
	return vfui_device_is_child(dev) ? -EOWNERDEAD : vfui_dma_write(&dev->dma, iova, buf, len);
}

int vfu_dma_readv_async(struct vfu_device *dev, const struct vfu_dma_piece *pieces, size_t n,
			void *buf, vfu_dma_fn *fn, void *user)
{
	return vfui_device_is_child(dev)
		       ? -EOWNERDEAD
		       : vfui_dma_list_async(&dev->dma, pieces, n, buf, false, fn, user);
}

int vfu_dma_writev_async(struct vfu_device *dev, const struct vfu_dma_piece *pieces, size_t n,
			 const void *buf, vfu_dma_fn *fn, void *user)
{
	return vfui_device_is_child(dev)
		       ? -EOWNERDEAD
		       : vfui_dma_list_async(&dev->dma, pieces, n, (uint8_t *)(uintptr_t)buf, true,
					     fn, user);
}

int vfu_dma_fill_async(struct vfu_device *dev, uint64_t iova, size_t len, uint8_t byte,
		       vfu_dma_fn *fn, void *user)
{
	return vfui_device_is_child(dev)
		       ? -EOWNERDEAD
		       : vfui_dma_fill_async(&dev->dma, iova, len, byte, fn, user);
}

int vfu_dma_pin(struct vfu_device *dev, uint64_t iova, size_t len, unsigned flags,
		struct vfu_dma_pin *pin)
{
	return vfui_device_is_child(dev) ? -EOWNERDEAD
					 : vfui_dma_pin(&dev->dma, iova, len, flags, pin);
}

int vfu_dma_pin_async(struct vfu_device *dev, uint64_t iova, size_t len, unsigned flags,
		      struct vfu_dma_pin *pin, vfu_dma_fn *fn, void *user)
{
	return vfui_device_is_child(dev)
		       ? -EOWNERDEAD
		       : vfui_dma_pin_async(&dev->dma, iova, len, flags, pin, fn, user);
}

int vfu_dma_unpin_async(struct vfu_device *dev, struct vfu_dma_pin *pin, vfu_dma_fn *fn, void *user)
{
	return vfui_device_is_child(dev) ? -EOWNERDEAD
					 : vfui_dma_unpin_async(&dev->dma, pin, fn, user);
}

int vfu_dma_unpin(struct vfu_device *dev, struct vfu_dma_pin *pin)
{
	return vfui_device_is_child(dev) ? -EOWNERDEAD : vfui_dma_unpin(&dev->dma, pin);
}

size_t vfu_dma_ranges(struct vfu_device *dev, struct vfu_dma_range *out, size_t n)
{
	return vfui_device_is_child(dev) ? 0 : vfui_dma_list(&dev->dma, out, n);
}
