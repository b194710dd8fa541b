/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * choices.c - what a client may choose before it connects, each tried on a connection of its own. For device.c.
 *
 *	choices SOCKET
 *
 *	twin socket   the device's DMA goes by a second one, and does not cross our requests
 *	share 0       the device does not get the file behind memory: all it does there comes by message
 *	profile       a server that reads one command at a time has none posted
 *	interrupt     a hook that each wait asks whether it is to end, as for a signal
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vfu.h>

#define IOVA 0x80000000u

/* Has the device write to memory that is mapped with its file; returns how many messages it asked us for that. */
static int kick(struct vfu_client *cl, bool *has_file)
{
	const uint32_t address = IOVA;
	struct vfu_dma_range range;
	struct vfu_stats before, after;
	void *memory;
	uint64_t count;
	int irq = -1, r;

	vfu_client_stats(cl, &before);
	if ((r = vfu_client_dma_alloc(cl, IOVA, 4096, VFU_DMA_READ | VFU_DMA_WRITE, &memory)) < 0 ||
	    (r = vfu_client_irq_enable(cl, VFU_IRQ_MSIX, 0, 1, &irq)) < 0 ||
	    (r = vfu_client_region_write(cl, VFU_REGION_BAR0, 0x04, &address, 4)) < 0)
		return r;
	r = vfu_client_irq_wait(cl, irq, -1, &count);
	close(irq);
	vfu_client_dma_ranges(cl, &range, 1);
	*has_file = range.mapped;
	vfu_client_stats(cl, &after);
	return r < 0                        ? r
	       : memcmp(memory, "hello", 5) ? -EIO
					    : (int)(after.requests_in - before.requests_in);
}

static int twin(struct vfu_client *cl)
{
	uint64_t has_twin;
	int r = vfu_client_agreed(cl, "twin_socket.supported", &has_twin);

	if (r == 0)
		printf("twin socket: %s\n", has_twin ? "yes" : "no");
	return r;
}

static int share(struct vfu_client *cl)
{
	bool has_file;
	int r = kick(cl, &has_file);

	if (r >= 0)
		printf("file: %s, messages of the device: %d\n", has_file ? "yes" : "no", r);
	return r < 0 ? r : 0;
}

static int profile(struct vfu_client *cl)
{
	const uint32_t ticks = 42;
	struct vfu_stats before, after;
	int r;

	vfu_client_stats(cl, &before);
	r = vfu_client_region_post(cl, VFU_REGION_BAR0, 0x00, &ticks, 4);
	vfu_client_stats(cl, &after);
	if (r == 0)
		printf("posted: 1, answered: %u\n",
		       (unsigned)(after.replies_in - before.replies_in));
	return r;
}

static int ask_hook(void *user)
{
	unsigned *asked = user;

	return ++*asked > 2; /* a program would look whether it has had a signal */
}

static int interrupt(struct vfu_client *cl)
{
	int r = vfu_client_serve(cl, -1);

	printf("interrupted: %s\n", r == -EINTR ? "yes" : "no");
	return r == -EINTR ? 0 : r;
}

static int choose(struct vfu_client *cl, unsigned which, unsigned *asked)
{
	switch (which) {
	case 0:
		return vfu_client_set(cl, VFU_OPT_TWIN_SOCKET, 1);
	case 1:
		return vfu_client_set(cl, VFU_OPT_DMA_SHARE, 0);
	case 2:
		return vfu_client_set_profile(cl, "one-at-a-time");
	default:
		vfu_client_set_interrupt(cl, ask_hook, asked);
		return 0;
	}
}

int main(int argc, char **argv)
{
	static int (*const uses[])(struct vfu_client * cl) = {twin, share, profile, interrupt};
	struct vfu_client *cl = argc == 2 ? vfu_client_new() : NULL;
	struct vfu_err err;
	unsigned asked = 0;
	int r = 0;

	if (!cl) {
		fprintf(stderr, "usage: choices SOCKET\n");
		return 2;
	}
	vfu_client_set(cl, VFU_OPT_CONNECT_WAIT_MS,
		       10000); /* the device has the last one, a moment more */
	for (unsigned i = 0; i < sizeof(uses) / sizeof(uses[0]) && r == 0; i++)
		if ((r = choose(cl, i, &asked)) == 0 &&
		    (r = vfu_client_connect(cl, argv[1])) == 0 && (r = uses[i](cl)) == 0)
			r = vfu_client_disconnect(cl);
	vfu_client_err(cl, &err);
	if (r < 0)
		fprintf(stderr, "choices: %s\n", err.text);
	vfu_client_free(cl);
	return r < 0;
}
