/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma.c - what a device does with its client's memory. Both ends in one process, for there is no more to see
 * than memory: the device in a thread, its client in main().
 *
 * BAR 0, a write to 0x00: a command is completed. Its data goes to memory that is reached by messages, then
 * its entry and the index of the entries to a ring that is mapped. None of these is waited for: copies take
 * effect in the order in which they are started.
 *
 * A write to 0x04: the text at that address becomes capitals in its place. It is reached by messages, so the
 * pin is a buffer; only the letters that were changed go back. Behind it a list of two pieces is written, and
 * a range is filled.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <vfu.h>

#define DATA 0x10000u
#define RING 0x20000u
#define PAGE 4096u
#define ENTRY 64

/* ---- device */

static void written(void *user, int status)
{
	(void)user;
	if (status < 0)
		fprintf(stderr, "device: DMA failed: %s\n", strerror(-status));
}

static int complete(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	static const uint32_t index = 1;
	struct vfu_device *dev = user;
	int r;

	(void)req;
	if (!access->is_write)
		return 0;
	if ((r = vfu_dma_write_async(dev, DATA, "data", 4, written, dev)) < 0 ||
	    (r = vfu_dma_write_async(dev, RING + ENTRY, "entry", 5, written, dev)) < 0)
		return r;
	return vfu_dma_write_async(dev, RING, &index, sizeof(index), written, dev);
}

static struct vfu_dma_pin text;

static void pinned(void *user, int status)
{
	static const struct vfu_dma_piece pieces[] = {{DATA + 14, 1}, {DATA + 15, 4}};
	static const uint32_t index = 2;
	struct vfu_device *dev = user;

	if (status < 0) {
		fprintf(stderr, "device: no pin: %s\n", strerror(-status));
		return;
	}
	for (size_t i = 0; i < text.len; i++)
		((char *)text.addr)[i] = (char)toupper(((char *)text.addr)[i]);
	vfu_dma_unpin(dev, &text);
	/* All of these come behind it. */
	vfu_dma_writev_async(dev, pieces, 2, " too!", written, dev);
	vfu_dma_fill_async(dev, DATA + 64, 1024, '.', written, dev);
	vfu_dma_write_async(dev, RING, &index, sizeof(index), written, dev);
}

static int shout(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	uint32_t address = 0;

	(void)req;
	if (!access->is_write)
		return 0;
	memcpy(&address, access->data, access->count < 4 ? access->count : 4);
	return vfu_dma_pin_async(user, address, 16, VFU_DMA_READ | VFU_DMA_WRITE, &text, pinned,
				 user);
}

static void *serve(void *arg)
{
	const struct vfu_region registers = {
		.size = PAGE, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1};
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *srv = dev ? vfu_server_new(dev) : NULL;

	vfu_sigbus_guard();
	if (!srv || vfu_device_set_region(dev, VFU_REGION_BAR0, &registers) < 0 ||
	    vfu_device_set_handler(dev, VFU_REGION_BAR0, 0, 4, complete, dev) < 0 ||
	    vfu_device_set_handler(dev, VFU_REGION_BAR0, 4, 4, shout, dev) < 0 ||
	    vfu_server_set(srv, VFU_OPT_ONE_CLIENT, 1) < 0 ||
	    vfu_server_attach(srv, *(int *)arg) < 0 || vfu_server_run(srv) < 0)
		fprintf(stderr, "device: can not be served\n");
	vfu_server_free(srv);
	vfu_device_free(dev);
	return NULL;
}

/* ---- client */

/* Serves the device until the ring says so. */
static int serve_until(struct vfu_client *cl, const char *ring, uint32_t index)
{
	int r;

	while (__atomic_load_n((const uint32_t *)ring, __ATOMIC_ACQUIRE) != index)
		if ((r = vfu_client_serve(cl, 10)) < 0)
			return r;
	return 0;
}

static int use(struct vfu_client *cl)
{
	static char data[PAGE] __attribute__((aligned(4096))) = "---- and so on";
	uint32_t address = DATA;
	void *memory;
	char *ring;
	int r;

	if ((r = vfu_client_dma_map(cl, DATA, PAGE, VFU_DMA_READ | VFU_DMA_WRITE, data, -1, 0)) <
		    0 ||
	    (r = vfu_client_dma_alloc(cl, RING, PAGE, VFU_DMA_WRITE, &memory)) < 0)
		return r;
	ring = memory; /* until the client is freed */
	if ((r = vfu_client_region_write(cl, VFU_REGION_BAR0, 0, "\1\0\0", 4)) < 0 ||
	    (r = serve_until(cl, ring, 1)) < 0)
		return r;
	printf("ring: %.5s, memory: %.4s\n", ring + ENTRY, data);
	if ((r = vfu_client_region_write(cl, VFU_REGION_BAR0, 4, &address, 4)) < 0 ||
	    (r = serve_until(cl, ring, 2)) < 0)
		return r;
	printf("memory: %s %.3s\n", data, data + 64 + 1021);
	return 0;
}

int main(void)
{
	struct vfu_client *cl = vfu_client_new();
	struct vfu_err err;
	pthread_t thread;
	int ends[2], r;

	if (!cl || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
	    pthread_create(&thread, NULL, serve, &ends[0]))
		return 2;
	r = vfu_client_attach(cl, ends[1]);
	if (r == 0)
		r = use(cl);
	if (r < 0) {
		vfu_client_err(cl, &err);
		fprintf(stderr, "client: %s: %s\n", strerror(-r), err.text);
	}
	vfu_client_free(cl);
	pthread_join(thread, NULL);
	return r < 0;
}
