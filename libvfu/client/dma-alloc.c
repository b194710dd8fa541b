/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-alloc.c - memory for the device that the library makes: a file in memory, mapped here and there.
 *
 *	alloc --> range --> unmap, of whatever kind: the memory goes with the range
 *	            | the connection ends
 *	            +--> left --> the next connection, or vfu_client_free
 *
 * The device, or what it gives the file to, keeps the pages for as long as it has them mapped. The file itself is
 * closed here once it is sent; a client that connects again keeps one to send it again.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/os.h"
#include "client/call.h"
#include "client/dma-table.h"

/* Maps the file of *own's memory, and then that for the device. Own stays where no range has taken it. */
static int map(struct vfu_client *cl, uint64_t iova, unsigned flags, int fd,
	       struct vfui_client_own **own, void **host)
{
	struct vfui_client_memory memory = {.fd = fd, .own = own};
	size_t size = (*own)->size;
	int ret = 0;

	memory.host = vfui_os_mmap(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, &ret);
	if (!memory.host)
		return vfui_client_fail(cl, ret, "the memory can not be mapped here");
	(*own)->host = memory.host;
	ret = vfui_client_map(cl, iova, size, flags, memory, 0);
	if (!ret)
		*host = memory.host;
	return ret;
}

int vfu_client_dma_alloc(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
			 void **host)
{
	struct vfui_client_own *own;
	int fd, ret;

	*host = NULL;
	if (!size || !*cl->fork_mark) /* which is refused in the words of the rule */
		return vfu_client_dma_map(cl, iova, size, flags, NULL, -1, 0);
	own = size <= SIZE_MAX ? vfui_os_calloc(1, sizeof(*own)) : NULL;
	fd = own ? vfui_os_memfd("vfu-dma", size) : -ENOMEM;
	if (fd < 0) {
		vfui_os_free(own);
		return vfui_client_fail(cl, fd, "no memory for the device");
	}
	own->size = (size_t)size;
	ret = map(cl, iova, flags, fd, &own, host);
	vfui_os_close(fd);
	vfui_client_own_free(own);
	return ret;
}
