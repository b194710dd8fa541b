/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * window.c - a device whose registers are reached through a capability: address and data, as early firmware likes it; and a client of it, which
 * reads and writes BAR 0 through that.
 *
 *	 configuration space                            BAR 0
 *	 0x60 | 09 | next | 0c | 0 |  vendor-specific   +--------+
 *	 0x64 | address            | -----------------> |        | 0x000 + address
 *	 0x68 | data               | <----------------> |        |
 *	                                                +--------+
 *
 * Besides it has power management, PCI Express with a function-level reset, and a serial number. MSI has mask bits.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <vfu.h>

enum { WINDOW = 0x60, ADDRESS = WINDOW + 4, DATA = WINDOW + 8, BAR_SIZE = 4096 };

/* ---- device */

static unsigned address_of(struct vfu_device *dev)
{
	unsigned char bytes[4];

	vfu_device_config_read(dev, ADDRESS, bytes, sizeof(bytes));
	return (bytes[0] | (unsigned)bytes[1] << 8) % BAR_SIZE & ~3u;
}

/* Reads and writes what the address says; the client may ask for some of the 4 bytes. */
static int on_data(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct vfu_device *dev = user;
	unsigned char *memory = vfu_device_region_memory(dev, VFU_REGION_BAR0);
	unsigned char *at = memory + address_of(dev) + (access->offset - DATA);

	(void)req;
	memcpy(access->is_write ? at : access->data, access->is_write ? access->data : at,
	       access->count);
	return 0;
}

/* The device learns when the client turns bus mastering, power or interrupts on and off. */
static void config_written(void *user, size_t offset, size_t len)
{
	struct vfu_device *dev = user;
	int state = vfu_device_config_state(dev, VFU_CONFIG_POWER_STATE);

	if (state > 0)
		fprintf(stderr, "device: in D%d after a write of %zu bytes to 0x%zx\n", state, len,
			offset);
}

static int set_up(struct vfu_device *dev)
{
	static const struct vfu_device_hooks hooks = {.size = sizeof(hooks),
						      .config_written = config_written};
	static const struct vfu_region bar = {
		.size = BAR_SIZE, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1};
	static const struct vfu_express express = {
		.size = sizeof(express), .flags = VFU_EXPRESS_FLR, .speed = 3, .width = 4};
	static const struct vfu_register address = {
		.size = sizeof(address), .offset = ADDRESS, .width = 4, .write = BAR_SIZE - 4};
	static const unsigned char window[10] = {12}, serial[8] = {8, 7, 6, 5, 4, 3, 2, 1};
	static const unsigned char rom[] = {0x55, 0xaa};
	int r;

	if ((r = vfu_device_set_ids(dev, 0x1234, 0x0006, 0, 0)) < 0 ||
	    (r = vfu_device_set_class(dev, 0xff0000, 0)) < 0 ||
	    (r = vfu_device_set_hooks(dev, &hooks, dev)) < 0 ||
	    (r = vfu_device_set_region(dev, VFU_REGION_BAR0, &bar)) < 0 ||
	    (r = vfu_device_set_rom(dev, rom, sizeof(rom))) < 0)
		return r;
	if ((r = vfu_device_add_capability_at(dev, 0x09, WINDOW, window, sizeof(window))) < 0 ||
	    (r = vfu_device_add_register(dev, VFU_REGION_CONFIG, &address)) < 0 ||
	    (r = vfu_device_set_handler(dev, VFU_REGION_CONFIG, DATA, 4, on_data, dev)) < 0)
		return r;
	if ((r = vfu_device_add_power_management(dev, 0, 0)) < 0 ||
	    (r = vfu_device_add_express(dev, &express, 0)) < 0 ||
	    (r = vfu_device_set_msi_layout(dev, 4, VFU_MSI_64 | VFU_MSI_MASKABLE)) < 0)
		return r;
	return vfu_device_add_extended_capability(dev, 0x03, 1, 0, serial, sizeof(serial));
}

static void *serve(void *arg)
{
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *srv = NULL;
	struct vfu_err err = {0};

	if (dev && set_up(dev) < 0) {
		vfu_device_err(dev, &err);
		fprintf(stderr, "device: %s: %s\n", err.field, err.text);
	} else if (!dev || !(srv = vfu_server_new(dev)) ||
		   vfu_server_set(srv, VFU_OPT_ONE_CLIENT, 1) < 0 ||
		   vfu_server_attach(srv, *(int *)arg) < 0 || vfu_server_run(srv) < 0) {
		fprintf(stderr, "device: can not be served\n");
	}
	vfu_server_free(srv);
	vfu_device_free(dev);
	return NULL;
}

/* ---- client */

/* Writes to BAR 0 through the window, and finds it there. */
static int use(struct vfu_client *cl)
{
	unsigned char caps = 0, serial[12];
	char text[5] = "";
	int r;

	if ((r = vfu_client_region_read(cl, VFU_REGION_CONFIG, 0x34, &caps, 1)) < 0 ||
	    (r = vfu_client_region_write(cl, VFU_REGION_CONFIG, ADDRESS, "\x20\x01\0", 4)) < 0 ||
	    (r = vfu_client_region_write(cl, VFU_REGION_CONFIG, DATA, "seen", 4)) < 0 ||
	    (r = vfu_client_region_read(cl, VFU_REGION_BAR0, 0x120, text, 4)) < 0 ||
	    (r = vfu_client_region_read(cl, VFU_REGION_CONFIG, 0x100, serial, 12)) < 0)
		return r;
	printf("capabilities: from 0x%02x, window: %s, serial number: %02x...%02x\n", caps, text,
	       serial[11], serial[4]);
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
