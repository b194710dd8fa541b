/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * client.c - a client in C, for device.c or python/examples/counter.py.
 *
 *	client SOCKET
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vfu.h>

#define IOVA 0x80000000u

static char memory[4096] __attribute__((aligned(4096)));

static int use(struct vfu_client *cl, int *irq)
{
	uint32_t ticks = 42, address = IOVA;
	uint16_t command = 0x2; /* memory accesses on; bus mastering comes by itself */
	uint64_t count;
	int r;

	if ((r = vfu_client_region_write(cl, VFU_REGION_CONFIG, 0x04, &command, 2)) < 0 ||
	    (r = vfu_client_region_write(cl, VFU_REGION_BAR0, 0x00, &ticks, 4)) < 0)
		return r;
	ticks = 0;
	if ((r = vfu_client_region_read(cl, VFU_REGION_BAR0, 0x00, &ticks, 4)) < 0)
		return r;
	printf("ticks: %u\n", ticks);

	/* No file behind the memory: the device reaches it by messages, which our waits serve. */
	if ((r = vfu_client_dma_map(cl, IOVA, sizeof(memory), VFU_DMA_READ | VFU_DMA_WRITE, memory,
				    -1, 0)) < 0 ||
	    (r = vfu_client_irq_enable(cl, VFU_IRQ_MSIX, 0, 1, irq)) < 0 ||
	    (r = vfu_client_region_write(cl, VFU_REGION_BAR0, 0x04, &address, 4)) < 0)
		return r;
	r = vfu_client_irq_wait(cl, *irq, -1, &count); /* which serves the device's DMA */
	if (r < 0)
		return r;
	printf("memory: %.5s\n", memory);
	return 0;
}

int main(int argc, char **argv)
{
	struct vfu_client *cl = vfu_client_new();
	int irq = -1; /* an eventfd is made for it */
	struct vfu_err err;
	int r;

	if (argc != 2 || !cl) {
		fprintf(stderr, "usage: client SOCKET\n");
		return 2;
	}
	r = vfu_client_connect(cl, argv[1]);
	if (r == 0)
		r = use(cl, &irq);
	if (r < 0) {
		vfu_client_err(cl, &err);
		fprintf(stderr, "client: %s: %s\n", strerror(-r), err.text);
	}
	vfu_client_free(cl);
	close(irq);
	return r < 0;
}
