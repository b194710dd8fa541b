/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * threads.c - many threads use one client, each for itself, while another waits for an interrupt. For device.c.
 *
 *	threads SOCKET
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <vfu.h>

enum { THREADS = 8, ROUNDS = 100, FIRST = 0x100, VECTOR = 1 };

static struct vfu_client *cl;

/* Each has a register of its own. Whoever waits reads for all; nobody has to run a loop. */
static void *count(void *arg)
{
	uint64_t offset = FIRST + 4 * (uintptr_t)arg;
	uint32_t value = 0;

	for (unsigned i = 0; i < ROUNDS; i++)
		if (vfu_client_region_read32(cl, VFU_REGION_BAR0, offset, &value) < 0 ||
		    vfu_client_region_write32(cl, VFU_REGION_BAR0, offset, value + 1) < 0)
			return NULL;
	return arg;
}

static void *await(void *arg)
{
	uint64_t n = 0;

	return vfu_client_irq_wait(cl, *(int *)arg, 10000, &n) == 1 ? arg : NULL;
}

static int use(int *irq)
{
	pthread_t counters[THREADS], waiter;
	unsigned started = 0, good = 0;
	void *is_good;

	if (vfu_client_irq_enable(cl, VFU_IRQ_MSIX, VECTOR, 1, irq) < 0 ||
	    pthread_create(&waiter, NULL, await, irq))
		return -1;
	while (started < THREADS &&
	       !pthread_create(&counters[started], NULL, count, (void *)(uintptr_t)(started + 1)))
		started++;
	while (started-- > 0) {
		pthread_join(counters[started], &is_good);
		good += is_good != NULL;
	}
	vfu_client_irq_trigger(cl, VFU_IRQ_MSIX, VECTOR, 1);
	pthread_join(waiter, &is_good);
	printf("threads: %u, interrupt: %s\n", good, is_good ? "yes" : "no");
	return 0;
}

int main(int argc, char **argv)
{
	int irq = -1, r;

	cl = vfu_client_new();
	if (argc != 2 || !cl) {
		fprintf(stderr, "usage: threads SOCKET\n");
		return 2;
	}
	r = vfu_client_connect(cl, argv[1]);
	if (r == 0)
		r = use(&irq);
	if (r < 0) {
		struct vfu_err err;

		vfu_client_err(cl, &err);
		fprintf(stderr, "threads: %s\n", err.text);
	}
	if (irq >= 0)
		close(irq);
	vfu_client_free(cl);
	return r < 0;
}
