/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * bus.c - a client whose memory is behind a bus that takes its time, for device.c.
 *
 *	bus SOCKET
 *
 * The device's transfers become requests of the bus, which it ends when it gets to them; until then the client
 * goes on with other things. The address for it is the lowest that is free, within 32 bits.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vfu.h>

#define SIZE 0x10000u

static struct request {
	struct vfu_client_dma *dma;
	uint64_t address;
	size_t len;
	bool is_write;
} requests[16];
static unsigned nrequests;

/* Runs in calls of the client that wait. */
static int on_dma(void *user, bool is_write, uint64_t address, void *data, size_t len)
{
	struct vfu_client_dma *dma = nrequests < 16 ? vfu_client_dma_later(user) : NULL;

	(void)data; /* its bytes are in vfu_client_dma_data(dma) from now on */
	if (!dma)
		return -ENOBUFS;
	requests[nrequests++] = (struct request){dma, address, len, is_write};
	return VFU_LATER;
}

static char memory[SIZE];

static void end_request(const struct request *request, uint64_t base)
{
	char *at = memory + (request->address - base), *data = vfu_client_dma_data(request->dma);

	memcpy(request->is_write ? at : data, request->is_write ? data : at, request->len);
	printf("bus: %zu bytes %s %#llx\n", request->len, request->is_write ? "to" : "from",
	       (unsigned long long)request->address);
	vfu_client_dma_answer(request->dma, 0);
}

static int use(struct vfu_client *cl, uint64_t base)
{
	uint32_t address = (uint32_t)base + 0x100;
	int r;

	if ((r = vfu_client_dma_map_fn(cl, base, SIZE, VFU_DMA_READ | VFU_DMA_WRITE, on_dma, cl)) <
		    0 ||
	    (r = vfu_client_region_write(cl, VFU_REGION_BAR0, 0x04, &address, 4)) < 0)
		return r;
	while (!nrequests)
		if ((r = vfu_client_serve(cl, 10)) < 0)
			return r;
	while (nrequests)
		end_request(&requests[--nrequests], base);
	printf("memory: %.5s\n", memory + 0x100);
	return vfu_client_dma_unmap_all(cl);
}

int main(int argc, char **argv)
{
	struct vfu_client *cl = vfu_client_new();
	struct vfu_iova *space = vfu_iova_new(0x80000000, UINT64_MAX);
	struct vfu_err err = {0};
	uint64_t base;
	int r;

	if (argc != 2 || !cl || !space) {
		fprintf(stderr, "usage: bus SOCKET\n");
		return 2;
	}
	r = vfu_iova_alloc(space, SIZE, SIZE, UINT32_MAX, &base);
	if (r == 0 && (r = vfu_client_connect(cl, argv[1])) == 0)
		r = use(cl, base);
	if (r < 0) {
		vfu_client_err(cl, &err);
		fprintf(stderr, "bus: %s: %s\n", strerror(-r), err.text);
	}
	vfu_client_free(cl);
	vfu_iova_free(space);
	return r < 0;
}
