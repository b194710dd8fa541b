/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * replay-server FD WORD...: serves the connected socket FD with the device that the words describe, all numbers in C notation:
 *	ids:VENDOR:DEVICE:SUBVENDOR:SUBDEVICE:CLASS:REVISION
 *	config:SIZE			of configuration space
 *	region:INDEX:SIZE:FLAGS:BAR_FLAGS	plain memory; with VFU_REGION_MMAP in a memfd
 *	area:OFFSET:SIZE		of the next region, may be mapped
 *	intx:PIN msi:VECTORS msix:VECTORS:BAR:TABLE:PBA
 * Log lines go to stderr.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfu.h"

#define NUMBERS 6
#define AREAS 16

static struct vfu_area areas[AREAS];
static unsigned nareas;

static int set_ids(struct vfu_device *dev, const uint64_t *n)
{
	int rc = vfu_device_set_ids(dev, (uint16_t)n[0], (uint16_t)n[1], (uint16_t)n[2],
				    (uint16_t)n[3]);

	return rc ? rc : vfu_device_set_class(dev, (uint32_t)n[4], (uint8_t)n[5]);
}

static int set_config(struct vfu_device *dev, const uint64_t *n)
{
	return vfu_device_set_config_size(dev, n[0]);
}

static int set_region(struct vfu_device *dev, const uint64_t *n)
{
	struct vfu_region region = {.size = n[1],
				    .flags = (uint32_t)n[2],
				    .bar_flags = (uint32_t)n[3],
				    .fd = -1,
				    .areas = areas,
				    .nareas = nareas};

	nareas = 0;
	if (region.flags & VFU_REGION_MMAP) {
		region.fd = memfd_create("replay", MFD_CLOEXEC);
		if (region.fd < 0 || ftruncate(region.fd, (off_t)region.size) < 0)
			return -errno;
	}
	return vfu_device_set_region(dev, (unsigned)n[0], &region);
}

static int add_area(struct vfu_device *dev, const uint64_t *n)
{
	(void)dev;
	if (nareas == AREAS)
		return -ENOSPC;
	areas[nareas++] = (struct vfu_area){n[0], n[1]};
	return 0;
}

static int set_intx(struct vfu_device *dev, const uint64_t *n)
{
	return vfu_device_set_intx(dev, (unsigned)n[0]);
}

static int set_msi(struct vfu_device *dev, const uint64_t *n)
{
	return vfu_device_set_msi(dev, (unsigned)n[0]);
}

static int set_msix(struct vfu_device *dev, const uint64_t *n)
{
	return vfu_device_set_msix(dev, (unsigned)n[0], (unsigned)n[1], (uint32_t)n[2],
				   (uint32_t)n[3]);
}

static const struct {
	const char *name;
	int (*set)(struct vfu_device *dev, const uint64_t *n);
} words[] = {
	{"ids", set_ids},   {"config", set_config}, {"region", set_region}, {"area", add_area},
	{"intx", set_intx}, {"msi", set_msi},       {"msix", set_msix},
};

/* -ENOENT for a word that is none. */
static int apply(struct vfu_device *dev, const char *word)
{
	const char *colon = strchr(word, ':');
	uint64_t n[NUMBERS] = {0};
	char *end = (char *)colon;
	unsigned i;

	for (i = 0; i < NUMBERS && end && *end == ':'; i++)
		n[i] = strtoull(end + 1, &end, 0);
	for (i = 0; colon && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].name) == (size_t)(colon - word) &&
		    !strncmp(word, words[i].name, (size_t)(colon - word)))
			return words[i].set(dev, n);
	}
	return -ENOENT;
}

static void print(void *user, enum vfu_log_level level, const char *text)
{
	(void)user;
	fprintf(stderr, "%d %s\n", (int)level, text);
}

int main(int argc, char **argv)
{
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *srv = dev ? vfu_server_new(dev) : NULL;
	int i, rc;

	if (argc < 2 || !srv)
		return 2;
	vfu_device_set_log(dev, print, NULL);
	for (i = 2; i < argc; i++) {
		rc = apply(dev, argv[i]);
		if (rc < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-rc));
			return 2;
		}
	}
	rc = vfu_server_listen_inherited(srv, atoi(argv[1]));
	if (!rc)
		rc = vfu_server_run(srv);
	vfu_server_free(srv);
	vfu_device_free(dev);
	return rc ? 1 : 0;
}
