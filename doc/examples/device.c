/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * device.c - a device in C: python/examples/counter.py without its sum.
 *
 *	device SOCKET
 *
 * BAR 0: 0x00 ticks, plain storage; 0x04 kick: writes "hello" by DMA to the address written there,
 * then raises MSI-X vector 0.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <vfu.h>

static struct vfu_server *server;

static void on_signal(int number)
{
	(void)number;
	vfu_server_stop(server);
}

static void print_log(void *user, enum vfu_log_level level, const char *text)
{
	(void)user;
	if (level <= VFU_LOG_WARN)
		fprintf(stderr, "device: %s\n", text);
}

static void written(void *user, int status)
{
	struct vfu_device *dev = user;

	if (status == 0)
		vfu_irq_raise(dev, VFU_IRQ_MSIX, 0);
	else
		fprintf(stderr, "device: DMA failed: %s\n", strerror(-status));
}

/* Starts the DMA and answers the write at once: whoever waits for it may be who serves the DMA. */
static int kick(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	static const char hello[] = "hello";
	struct vfu_device *dev = user;
	uint32_t address = 0;

	(void)req;
	if (!access->is_write) {
		memset(access->data, 0, access->count);
		return 0;
	}
	memcpy(&address, access->data, access->count < 4 ? access->count : 4);
	return vfu_dma_write_async(dev, address, hello, sizeof(hello) - 1, written, dev);
}

static int set_up(struct vfu_device *dev)
{
	const struct vfu_region registers = {
		.size = 4096, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1};
	int r;

	vfu_device_set_log(dev, print_log, NULL);
	if ((r = vfu_device_set_ids(dev, 0x1234, 0x0001, 0, 0)) < 0 ||
	    (r = vfu_device_set_class(dev, 0xff0000, 0)) < 0 ||
	    (r = vfu_device_set_region(dev, VFU_REGION_BAR0, &registers)) < 0 ||
	    (r = vfu_device_set_region(dev, VFU_REGION_BAR0 + 1, &registers)) < 0 ||
	    (r = vfu_device_set_handler(dev, VFU_REGION_BAR0, 0x04, 4, kick, dev)) < 0 ||
	    (r = vfu_device_set_intx(dev, 1)) < 0 ||
	    (r = vfu_device_set_msix(dev, 4, VFU_REGION_BAR0 + 1, 0, 0x800)) < 0)
		return r;
	return 0;
}

int main(int argc, char **argv)
{
	struct vfu_device *dev = vfu_device_new();
	struct vfu_err err = {0};
	int r = 1;

	if (argc != 2 || !dev || set_up(dev) < 0 || !(server = vfu_server_new(dev))) {
		fprintf(stderr, "usage: device SOCKET\n");
		return 2;
	}
	/* A client may cut the file behind the memory it gave us. */
	vfu_sigbus_guard();
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	if (vfu_server_listen(server, argv[1]) == 0)
		r = vfu_server_run(server) < 0;
	vfu_server_err(server, &err);
	if (r)
		fprintf(stderr, "device: %s\n", err.text);
	vfu_server_free(server);
	vfu_device_free(dev);
	return r;
}
