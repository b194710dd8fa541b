/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * commands.c - any message by its number, a feature, and memory that is mapped without waiting. For device.c.
 *
 *	commands SOCKET
 */
#include <errno.h>
#include <stdio.h>

#include <vfu.h>

enum { RANGES = 8, PAGE = 4096, MIGRATION = 1, PROBE = 1 << 18 };

static char memory[RANGES][PAGE] __attribute__((aligned(4096)));

/* The payload is in the host's order; vfu/wire.h has structures for those of all messages. */
static int ask(struct vfu_client *cl)
{
	const uint32_t in[4] = {sizeof(in)}; /* argsz, flags, num_regions, num_irqs */
	struct vfu_call call = {.size = sizeof(call),
				.command = (unsigned)vfu_command_number("get_info"),
				.request = in,
				.request_len = sizeof(in)};
	int r = vfu_client_call(cl, &call);

	if (r < 0)
		return r;
	printf("regions: %u\n", ((const uint32_t *)call.reply)[2]);
	vfu_call_fini(&call); /* the answer was the library's until now */
	return 0;
}

/* Whether the device can migrate: -ENOTTY says that it does not know the feature. */
static int probe(struct vfu_client *cl)
{
	size_t len = 0;
	int r = vfu_client_feature(cl, MIGRATION | PROBE, NULL, &len);

	if (r < 0 && r != -ENOTTY)
		return r;
	printf("migration: %s\n", r == 0 ? "yes" : "no");
	return 0;
}

/* All are on their way before the first is answered; the fence says how it went. */
static int map_all(struct vfu_client *cl)
{
	unsigned flags = VFU_DMA_READ | VFU_DMA_WRITE;
	int r = 0;

	for (unsigned i = 0; i < RANGES && r == 0; i++)
		r = vfu_client_dma_map_nowait(cl, i * 0x10000u, PAGE, flags, memory[i], -1, 0);
	if (r == 0)
		r = vfu_client_fence(cl);
	if (r == 0)
		printf("ranges: %u\n", (unsigned)vfu_client_dma_ranges(cl, NULL, 0));
	return r < 0 ? r : vfu_client_dma_unmap_all(cl);
}

int main(int argc, char **argv)
{
	struct vfu_client *cl = vfu_client_new();
	struct vfu_err err;
	int r;

	if (argc != 2 || !cl) {
		fprintf(stderr, "usage: commands SOCKET\n");
		return 2;
	}
	if ((r = vfu_client_connect(cl, argv[1])) == 0 && (r = ask(cl)) == 0 &&
	    (r = probe(cl)) == 0)
		r = map_all(cl);
	vfu_client_err(cl, &err);
	if (r < 0)
		fprintf(stderr, "commands: %s\n", err.text);
	vfu_client_free(cl);
	return r < 0;
}
