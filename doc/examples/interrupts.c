/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * interrupts.c - a device's vectors: enabled, raised, waited for, masked if they can be, disabled. For device.c.
 *
 *	interrupts SOCKET
 *
 * A client can have the device raise a vector itself (trigger), which tests the way back without a driver.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <vfu.h>

enum { VECTORS = 4, TRIED = 2 };

/* How often each vector was raised, as one line. */
static int show(struct vfu_client *cl, const char *when, const int *irqs)
{
	printf("%s:", when);
	for (unsigned i = 0; i < VECTORS; i++) {
		uint64_t count = 0;
		int r = vfu_client_irq_wait(cl, irqs[i], i == TRIED ? 1000 : 0, &count);

		if (r < 0)
			return r;
		printf(" %u", r > 0 ? (unsigned)count : 0);
	}
	printf("\n");
	return 0;
}

/* Only the line can be masked this way; of MSI-X a driver masks the entry in the BAR. Nothing comes meanwhile. */
static int mask(struct vfu_client *cl, int *line)
{
	uint64_t count = 0;
	struct vfu_irq_info info;
	int r, before = 0, after = 0;

	if ((r = vfu_client_irq_info(cl, VFU_IRQ_INTX, &info)) < 0 ||
	    !(info.flags & VFU_IRQ_MASKABLE))
		return r;
	if ((r = vfu_client_irq_enable(cl, VFU_IRQ_INTX, 0, 1, line)) < 0 ||
	    (r = vfu_client_irq_mask(cl, VFU_IRQ_INTX, 0, 1)) < 0 ||
	    (r = vfu_client_irq_trigger(cl, VFU_IRQ_INTX, 0, 1)) < 0 ||
	    (before = vfu_client_irq_wait(cl, *line, 0, &count)) < 0 ||
	    (r = vfu_client_irq_unmask(cl, VFU_IRQ_INTX, 0, 1)) < 0 ||
	    (r = vfu_client_irq_trigger(cl, VFU_IRQ_INTX, 0, 1)) < 0 ||
	    (after = vfu_client_irq_wait(cl, *line, 1000, &count)) < 0)
		return r < 0 ? r : before < 0 ? before : after;
	printf("masked: %d, unmasked: %d\n", before, after);
	return vfu_client_irq_disable(cl, VFU_IRQ_INTX);
}

static int use(struct vfu_client *cl, int *irqs)
{
	int r;

	if ((r = vfu_client_irq_enable(cl, VFU_IRQ_MSIX, 0, VECTORS, irqs)) < 0 ||
	    (r = vfu_client_irq_trigger(cl, VFU_IRQ_MSIX, TRIED, 1)) < 0 ||
	    (r = show(cl, "raised", irqs)) < 0 ||
	    (r = vfu_client_irq_disable(cl, VFU_IRQ_MSIX)) < 0)
		return r;
	return mask(cl, &irqs[VECTORS]);
}

int main(int argc, char **argv)
{
	struct vfu_client *cl = vfu_client_new();
	int irqs[VECTORS + 1] = {-1, -1, -1, -1, -1}, r; /* -1: an eventfd is made for it */
	struct vfu_err err;

	if (argc != 2 || !cl) {
		fprintf(stderr, "usage: interrupts SOCKET\n");
		return 2;
	}
	r = vfu_client_connect(cl, argv[1]);
	if (r == 0)
		r = use(cl, irqs);
	vfu_client_err(cl, &err);
	if (r < 0)
		fprintf(stderr, "interrupts: %s\n", err.text);
	for (unsigned i = 0; i <= VECTORS; i++)
		if (irqs[i] >= 0)
			close(irqs[i]);
	vfu_client_free(cl);
	return r < 0;
}
