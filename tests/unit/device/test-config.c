/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-config.c - what a device puts into configuration space by the public calls, and learns from it.
 */
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/suite.h"
#include "device/handle.h"

static struct vfu_device *dev;
static unsigned resets;

static int on_reset(void *user)
{
	ck_assert_ptr_eq(user, &resets);
	resets++;
	return 0;
}

static void setup(void)
{
	static const struct vfu_device_hooks hooks = {.size = sizeof(hooks), .reset = on_reset};

	resets = 0;
	dev = vfu_device_new();
	ck_assert_ptr_nonnull(dev);
	ck_assert_int_eq(vfu_device_set_hooks(dev, &hooks, &resets), 0);
	vfui_irqs_connect(&dev->irqs); /* as a client does */
}

static void teardown(void)
{
	ck_assert_int_eq(vfu_device_free(dev), 0);
}

/* What the client reads and writes: little-endian values. */
static int client(uint64_t offset, void *data, uint32_t count, bool is_write)
{
	struct vfu_access access = {.offset = offset,
				    .data = data,
				    .count = count,
				    .region = VFU_REGION_CONFIG,
				    .is_write = is_write};

	return vfui_region_access(&dev->regions, NULL, &access);
}

static uint32_t get(unsigned offset, unsigned size)
{
	uint8_t bytes[4] = {0};

	ck_assert_int_eq(client(offset, bytes, size, false), 0);
	return vfui_pci_get(bytes, size);
}

static void put(unsigned offset, unsigned size, uint32_t value)
{
	uint8_t bytes[4];

	vfui_pci_put(bytes, size, value);
	ck_assert_int_eq(client(offset, bytes, size, true), 0);
}

static void refused(int rc, int expected, const char *field)
{
	struct vfu_err err;

	vfu_device_err(dev, &err);
	ck_assert_int_eq(rc, expected);
	ck_assert_int_eq(err.code, expected);
	ck_assert_str_eq(err.field, field);
	ck_assert_str_ne(err.text, "");
}

/* ---- the lists ---------------------------------------------------------------------------------- */

START_TEST(places_are_said_or_found)
{
	static const uint8_t data[190] = {0xaa, 0xbb};

	ck_assert_int_eq(vfu_device_add_capability_at(dev, 0x09, 0x50, data, 6), 0x50);
	ck_assert_int_eq(vfu_device_add_capability(dev, 0x09, data, 10), 0x40);
	ck_assert_int_eq(vfu_device_add_capability(dev, 0x09, data, 10), 0x58);
	ck_assert_int_eq(vfu_device_add_capability_at(dev, 0x03, 0xf8, data, 6), 0xf8);
	/* In the order in which they were added. */
	ck_assert_uint_eq(get(0x34, 1), 0x50);
	ck_assert_uint_eq(get(0x50, 4), 0xbbaa4009);
	ck_assert_uint_eq(get(0x40, 2), 0x5809);
	ck_assert_uint_eq(get(0x58, 2), 0xf809);
	ck_assert_uint_eq(get(0xf8, 2), 0x0003);
	refused(vfu_device_add_capability_at(dev, 9, 0x4c, data, 10), -EEXIST, "capability.offset");
	refused(vfu_device_add_capability_at(dev, 9, 0x48, data, 2), -EEXIST, "capability.offset");
	refused(vfu_device_add_capability_at(dev, 9, 0x3c, data, 2), -EINVAL, "capability.offset");
	refused(vfu_device_add_capability_at(dev, 9, 0x72, data, 2), -EINVAL, "capability.offset");
	refused(vfu_device_add_capability_at(dev, 9, 0xfc, data, 3), -EINVAL, "capability.offset");
	refused(vfu_device_add_capability_at(dev, 9, ~3u, data, 3), -EINVAL, "capability.offset");
	refused(vfu_device_add_capability(dev, 9, data, 190), -ENOSPC, "capability.len");
	refused(vfu_device_add_capability(dev, 9, data, 191), -EINVAL, "capability.len");
	refused(vfu_device_add_capability(dev, 5, data, 12), -EINVAL, "capability.id");
	ck_assert_uint_eq(get(0x34, 1), 0x50);
	ck_assert_uint_eq(get(0xf8, 2), 0x0003);
}
END_TEST

START_TEST(they_are_found_again)
{
	static const uint8_t data[8] = {0};

	ck_assert_int_eq(vfu_device_find_capability(dev, 0x09, 0), -ENOENT);
	ck_assert_int_eq(vfu_device_find_extended_capability(dev, 0x0b, 0), -ENOENT);
	ck_assert_int_eq(vfu_device_add_capability_at(dev, 0x09, 0x80, data, 6), 0x80);
	ck_assert_int_eq(vfu_device_add_capability(dev, 0x03, data, 6), 0x40);
	ck_assert_int_eq(vfu_device_add_capability(dev, 0x09, data, 6), 0x48);
	ck_assert_int_eq(vfu_device_set_msi(dev, 1), 0);
	ck_assert_int_eq(vfu_device_find_capability(dev, 0x09, 0), 0x80);
	ck_assert_int_eq(vfu_device_find_capability(dev, 0x09, 0x80), 0x48);
	ck_assert_int_eq(vfu_device_find_capability(dev, 0x09, 0x48), -ENOENT);
	ck_assert_int_eq(vfu_device_find_capability(dev, 0x05, 0), 0x50);
	for (unsigned after = 0; after < 0x3000; after += 0xff)
		ck_assert_int_eq(vfu_device_find_capability(dev, 0, after), -ENOENT);
	ck_assert_int_eq(vfu_device_find_capability(dev, 0x09, 0xffffffff), -ENOENT);
	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 0x0b, 1, 0, data, 8), 0x100);
	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 3, 1, 0, data, 8), 0x10c);
	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 0x0b, 2, 0, data, 0), 0x118);
	ck_assert_int_eq(vfu_device_find_extended_capability(dev, 3, 0), 0x10c);
	ck_assert_int_eq(vfu_device_find_extended_capability(dev, 0x0b, 0), 0x100);
	ck_assert_int_eq(vfu_device_find_extended_capability(dev, 0x0b, 0x100), 0x118);
	ck_assert_int_eq(vfu_device_find_extended_capability(dev, 0x0b, 0x118), -ENOENT);
	ck_assert_int_eq(vfu_device_find_extended_capability(dev, 0x0b, 0xffffffff), -ENOENT);
}
END_TEST

START_TEST(extended_ones_are_a_list)
{
	static const uint8_t serial[8] = {1, 2, 3, 4, 5, 6, 7, 8}, many[4096];
	uint8_t byte = 0;

	ck_assert_int_eq(client(0x100, &byte, 1, false), -EINVAL);
	/* The list begins at 0x100, also if nothing is there. */
	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 0x0b, 15, 0x200, serial, 8),
			 0x200);
	ck_assert_uint_eq(get(0x100, 4), 0x20000000);
	ck_assert_uint_eq(get(0x200, 4), 0x000f000b);
	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 0x23, 1, 0, many, 248), 0x100);
	ck_assert_uint_eq(get(0x100, 4), 0x20010023);
	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 0x03, 1, 0, serial, 8), 0x20c);
	ck_assert_uint_eq(get(0x200, 4), 0x20cf000b);
	ck_assert_uint_eq(get(0x20c, 4), 0x00010003);
	ck_assert_uint_eq(get(0x210, 4), 0x04030201);
	ck_assert_uint_eq(get(0x214, 4), 0x08070605);
	put(0x214, 4, 0xffffffff);
	ck_assert_uint_eq(get(0x214, 4), 0x08070605);
	refused(vfu_device_add_extended_capability(dev, 3, 1, 0x1fc, serial, 1), -EEXIST,
		"capability.offset");
	refused(vfu_device_add_extended_capability(dev, 3, 1, 0xfc, serial, 0), -EINVAL,
		"capability.offset");
	refused(vfu_device_add_extended_capability(dev, 3, 1, 0xffc, serial, 1), -EINVAL,
		"capability.offset");
	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 3, 1, 0xffc, serial, 0), 0xffc);
	refused(vfu_device_add_extended_capability(dev, 3, 16, 0, serial, 8), -EINVAL,
		"capability.version");
	refused(vfu_device_add_extended_capability(dev, 0, 1, 0, serial, 8), -EINVAL,
		"capability.id");
	refused(vfu_device_add_extended_capability(dev, 0xffff, 1, 0, serial, 8), -EINVAL,
		"capability.id");
	refused(vfu_device_add_extended_capability(dev, 3, 1, 0, many, 3837), -EINVAL,
		"capability.len");
	refused(vfu_device_add_extended_capability(dev, 3, 1, 0, many, 3836), -ENOSPC,
		"capability.len");
	ck_assert_int_eq(vfu_device_set_config_size(dev, 4096), 0);
	ck_assert_int_eq(vfu_device_set_config_size(dev, 256), -EBUSY);
}
END_TEST

/* The device may write what it likes: lists that do not end, or lead elsewhere. */
START_TEST(nonsense_in_the_lists_ends)
{
	static const uint8_t loop[4] = {0x0b, 0, 0x01, 0x10}, data[8];

	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 0x0b, 1, 0, data, 8), 0x100);
	ck_assert_int_eq(vfu_device_config_write(dev, 0x100, loop, 4), 0);
	ck_assert_int_eq(vfu_device_find_extended_capability(dev, 3, 0), -ENOENT);
	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 3, 1, 0, data, 8), 0x10c);
	for (unsigned next = 0; next < 0x1000; next += 4) {
		uint8_t link[2] = {(uint8_t)(next << 4 | 1), (uint8_t)(next >> 4)};

		ck_assert_int_eq(vfu_device_config_write(dev, 0x102, link, 2), 0);
		vfu_device_find_extended_capability(dev, 3, 0);
	}
}
END_TEST

/* ---- of known kinds ----------------------------------------------------------------------------- */

START_TEST(power_management)
{
	int pm = vfu_device_add_power_management(dev, VFU_PM_D1, 0);
	unsigned pmcsr = (unsigned)pm + PCI_PM_CTRL;

	ck_assert_int_eq(pm, 0x40);
	ck_assert_uint_eq(get(0x42, 2), 3 | PCI_PM_CAP_D1);
	refused(vfu_device_add_power_management(dev, 0, 0), -EEXIST, "capability.id");
	refused(vfu_device_add_power_management(dev, 8, 0), -EINVAL, "power.flags");
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_POWER_STATE), 0);
	put(pmcsr, 2, 1);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_POWER_STATE), 1);
	/* It has no D2: nothing changes. */
	put(pmcsr, 2, 2);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_POWER_STATE), 1);
	put(pmcsr, 2, 0);
	ck_assert_uint_eq(resets, 0);
	put(pmcsr, 2, 3);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_POWER_STATE), 3);
	ck_assert_uint_eq(resets, 0);
	put(pmcsr, 2, 0);
	ck_assert_uint_eq(resets, 1);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_POWER_STATE), 0);
	/* It sends no events, so there are none to enable. */
	put(pmcsr, 2, 0xfffc);
	ck_assert_uint_eq(get(pmcsr, 2), 0);
}
END_TEST

START_TEST(no_soft_reset)
{
	int pm = vfu_device_add_power_management(dev, VFU_PM_NO_SOFT_RESET | VFU_PM_D2, 0x60);

	ck_assert_int_eq(pm, 0x60);
	put(0x64, 2, 2);
	ck_assert_uint_eq(get(0x64, 2), 0x000a);
	put(0x64, 2, 3);
	put(0x64, 2, 0);
	ck_assert_uint_eq(resets, 0);
	ck_assert_uint_eq(get(0x64, 2), 0x0008);
}
END_TEST

START_TEST(express)
{
	const struct vfu_express plain = {.size = sizeof(plain)}, fast = {.size = sizeof(fast),
									  .flags = VFU_EXPRESS_FLR,
									  .speed = 3,
									  .width = 16,
									  .max_payload = 512};

	ck_assert_int_eq(vfu_device_add_express(dev, &fast, 0x80), 0x80);
	ck_assert_uint_eq(get(0x82, 2), 0x0002);
	ck_assert_uint_eq(get(0x84, 4), PCI_EXP_DEVCAP_FLR | PCI_EXP_DEVCAP_RBER | 2);
	ck_assert_uint_eq(get(0x88, 2), 0x2810);
	ck_assert_uint_eq(get(0x8c, 4), 0x0103);
	ck_assert_uint_eq(get(0x92, 2), 0x1103);
	ck_assert_uint_eq(get(0x94, 4), 0);
	ck_assert_uint_eq(get(0xac, 4), 0x000e);
	ck_assert_uint_eq(get(0xb0, 2), 3);
	refused(vfu_device_add_express(dev, &plain, 0), -EEXIST, "capability.id");
	put(0x88, 2, 0x2810 | PCI_EXP_DEVCTL_BCR_FLR);
	ck_assert_uint_eq(resets, 1);
	ck_assert_uint_eq(get(0x88, 2), 0x2810);
}
END_TEST

START_TEST(express_of_other_types)
{
	const struct vfu_express inside = {.size = sizeof(inside), .type = VFU_EXPRESS_INTEGRATED};

	ck_assert_int_eq(vfu_device_add_express(dev, &inside, 0), 0x40);
	ck_assert_uint_eq(get(0x42, 2), 0x0092);
	ck_assert_uint_eq(get(0x4c, 4), 0);
	ck_assert_uint_eq(get(0x52, 2), 0);
	put(0x48, 2, PCI_EXP_DEVCTL_BCR_FLR);
	ck_assert_uint_eq(resets, 0);
	/* There is no link to be controlled. */
	put(0x50, 2, 0xffff);
	put(0x70, 2, 0xffff);
	ck_assert_uint_eq(get(0x50, 2), 0);
	ck_assert_uint_eq(get(0x70, 2), 0);
}
END_TEST

START_TEST(express_that_is_none)
{
	static const struct {
		struct vfu_express express;
		const char *field;
	} cases[] = {
		{{.size = sizeof(size_t) - 1}, "express.size"},
		{{.size = sizeof(struct vfu_express) + 1}, "express.size"},
		{{.size = sizeof(struct vfu_express), .type = 2}, "express.type"},
		{{.size = sizeof(struct vfu_express), .flags = 2}, "express.flags"},
		{{.size = sizeof(struct vfu_express), .speed = 7}, "express.speed"},
		{{.size = sizeof(struct vfu_express), .width = 3}, "express.width"},
		{{.size = sizeof(struct vfu_express), .width = 64}, "express.width"},
		{{.size = sizeof(struct vfu_express), .max_payload = 64}, "express.max_payload"},
		{{.size = sizeof(struct vfu_express), .max_payload = 8192}, "express.max_payload"},
		{{.size = sizeof(struct vfu_express), .max_payload = 192}, "express.max_payload"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		refused(vfu_device_add_express(dev, &cases[i].express, 0), -EINVAL, cases[i].field);
}
END_TEST

/* ---- MSI ---------------------------------------------------------------------------------------- */

START_TEST(msi_in_four_layouts)
{
	static const struct {
		unsigned flags, control, data, mask, end;
	} cases[] = {
		{0, 0x0004, 8, 0, 10},
		{VFU_MSI_64, 0x0084, 12, 0, 14},
		{VFU_MSI_MASKABLE, 0x0104, 8, 12, 20},
		{VFU_MSI_64 | VFU_MSI_MASKABLE, 0x0184, 12, 16, 24},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_int_eq(vfu_device_set_msi_layout(dev, 4, cases[i].flags), 0);
		ck_assert_uint_eq(get(0x42, 2), cases[i].control);
		for (unsigned at = 0x40; at < 0x60; at += 4)
			put(at, 4, 0xffffffff);
		ck_assert_uint_eq(get(0x40, 4), 0x00710005 | cases[i].control << 16);
		ck_assert_uint_eq(get(0x44, 4), 0xfffffffc);
		ck_assert_uint_eq(get(0x40 + cases[i].data, 4), 0xffff);
		if (cases[i].flags & VFU_MSI_64)
			ck_assert_uint_eq(get(0x48, 4), 0xffffffff);
		if (cases[i].mask)
			ck_assert_uint_eq(get(0x40 + cases[i].mask, 4), 0xf);
		for (unsigned at = cases[i].end; at < 0x30; at++)
			ck_assert_uint_eq(get(0x40 + at, 1), 0);
	}
	ck_assert_int_eq(vfu_device_set_msi_layout(dev, 4, 4), -EINVAL);
	ck_assert_int_eq(vfu_device_set_msi_layout(dev, 3, 0), -EINVAL);
	ck_assert_int_eq(vfu_device_set_msi_layout(dev, 0, 0), 0);
	ck_assert_uint_eq(get(0x34, 1), 0);
	ck_assert_uint_eq(get(0x50, 4), 0);
}
END_TEST

START_TEST(a_masked_message_waits)
{
	eventfd_t count;
	int fd = passed_eventfd(EFD_NONBLOCK);

	ck_assert_int_eq(vfu_device_set_msi_layout(dev, 32, VFU_MSI_MASKABLE), 0);
	/* Nobody listens, but it is masked: pending. */
	put(0x4c, 4, 1u << 31 | 1u << 5);
	ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_MSI, 31), 0);
	ck_assert_uint_eq(get(0x50, 4), 1u << 31);
	dev->irqs.index[VFU_IRQ_MSI].vectors[5].fd = fd;
	ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_MSI, 5), 0);
	ck_assert_int_eq(eventfd_read(fd, &count), -1);
	ck_assert_uint_eq(get(0x50, 4), 1u << 31 | 1u << 5);
	ck_assert_uint_eq(get(0x50, 1), 1u << 5);
	put(0x50, 4, 0);
	ck_assert_uint_eq(get(0x50, 4), 1u << 31 | 1u << 5);
	put(0x4c, 1, 0);
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(get(0x50, 4), 1u << 31);
	ck_assert_uint_eq(get(0x4c, 4), 1u << 31);
	ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_MSI, 5), 0);
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	/* A reset clears masks, and what is pending before. */
	put(0x4c, 4, 0xffffffff);
	ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_MSI, 5), 0);
	ck_assert_int_eq(vfui_device_reset(dev), 0);
	ck_assert_int_eq(eventfd_read(fd, &count), -1);
	ck_assert_uint_eq(get(0x4c, 4), 0);
	ck_assert_uint_eq(get(0x50, 4), 0);
	/* One without mask bits masks nothing. */
	put(0x4c, 4, 0xffffffff);
	ck_assert_int_eq(vfu_device_set_msi(dev, 32), 0);
	ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_MSI, 5), 0);
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
}
END_TEST

/* ---- what a device learns ----------------------------------------------------------------------- */

START_TEST(states)
{
	static const struct vfu_region bar = {
		.size = 4096, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1};

	for (unsigned i = 0; i <= VFU_CONFIG_MSIX_MASKED; i++)
		ck_assert_int_eq(vfu_device_config_state(dev, i), 0);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MSIX_MASKED + 1), -EINVAL);
	ck_assert_int_eq(vfu_device_config_state(dev, (enum vfu_config_state) - 1), -EINVAL);
	ck_assert_int_eq(vfu_device_set_region(dev, 0, &bar), 0);
	ck_assert_int_eq(vfu_device_set_msix(dev, 2, 0, 0, 0x800), 0);
	ck_assert_int_eq(vfu_device_set_msi(dev, 4), 0);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MSI_VECTORS), 1);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_IO);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_IO), 1);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MEMORY), 0);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_BUS_MASTER), 1);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_INTX_OFF), 0);
	put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MEMORY), 1);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_INTX_OFF), 1);
	put(0x42, 2, PCI_MSIX_FLAGS_ENABLE);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MSIX), 1);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MSIX_MASKED), 0);
	put(0x42, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MSIX_MASKED), 1);
	put(0x4e, 2, PCI_MSI_FLAGS_ENABLE | 1 << 4);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MSI), 1);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MSI_VECTORS), 2);
	put(0x4e, 2, PCI_MSI_FLAGS_ENABLE | 7 << 4);
	ck_assert_int_eq(vfu_device_config_state(dev, VFU_CONFIG_MSI_VECTORS), 4);
}
END_TEST

/* ---- registers and handlers --------------------------------------------------------------------- */

static struct vfu_register reg(uint64_t offset)
{
	return (struct vfu_register){
		.size = sizeof(struct vfu_register), .offset = offset, .width = 4};
}

START_TEST(registers_have_masks)
{
	struct vfu_register status = reg(0x60);

	status.write = 0xff00;
	status.w1c = 0x7;
	ck_assert_int_eq(vfu_device_add_register(dev, VFU_REGION_CONFIG, &status), 0);
	ck_assert_int_eq(vfu_device_update_register(dev, VFU_REGION_CONFIG, 0x60, 4, ~0u, 0x1000f),
			 0);
	put(0x60, 4, 0xaaaaaaa5);
	ck_assert_uint_eq(get(0x60, 4), 0x1aa0a);
	put(0x62, 2, 0xffff);
	ck_assert_uint_eq(get(0x5e, 4), 0xaa0a0000);
	/* A capability finds its place beside it, one that is placed lies over it. */
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(vfu_device_add_capability(dev, 9, "1234567890", 6),
				 0x40 + (int)i * 8);
	ck_assert_int_eq(vfu_device_add_capability(dev, 9, "12", 2), 0x64);
	ck_assert_int_eq(vfu_device_add_capability_at(dev, 9, 0x5c + 0x1c, "1234567890", 10), 0x78);
	vfu_device_set_handler(dev, VFU_REGION_CONFIG, 0x60, 4, NULL, NULL);
	put(0x60, 4, 0);
	ck_assert_uint_eq(get(0x60, 4), 0x1aa0a);
}
END_TEST

static uint32_t read_counter(void)
{
	const uint8_t *at = vfu_device_region_memory(dev, VFU_REGION_CONFIG);

	return le32toh(
		__atomic_load_n((const uint32_t *)(const void *)(at + 0x60), __ATOMIC_RELAXED));
}

static void *count_up(void *arg)
{
	const atomic_bool *is_over = arg;
	uint32_t value = 0;

	while (!atomic_load(is_over)) {
		vfu_device_update_register(dev, VFU_REGION_CONFIG, 0x60, 4, ~0u, ++value);
		ck_assert(read_counter() == value);
	}
	return NULL;
}

/* A register is its own: a reset puts back what the client wrote elsewhere, and takes away nothing that another thread writes. */
START_TEST(a_reset_does_not_write_registers)
{
	const struct vfu_register counter = reg(0x60);
	atomic_bool is_over = false;
	pthread_t thread;

	ck_assert_int_eq(vfu_device_add_register(dev, VFU_REGION_CONFIG, &counter), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, count_up, &is_over), 0);
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_int_eq(vfui_device_reset(dev), 0);
		get(0x60, 4);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
}
END_TEST

static unsigned accesses;

/* The capability's data is a window: what is read of it is what is behind. */
static int window(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	uint8_t *behind = user;

	(void)req;
	accesses++;
	ck_assert_uint_eq(access->region, VFU_REGION_CONFIG);
	ck_assert_uint_ge(access->offset, 0x44);
	if (access->is_write)
		memcpy(behind + (access->offset - 0x44), access->data, access->count);
	else
		memcpy(access->data, behind + (access->offset - 0x44), access->count);
	return 0;
}

START_TEST(a_capability_is_a_window)
{
	uint8_t behind[4] = {1, 2, 3, 4}, all[256];

	accesses = 0;
	ck_assert_int_eq(vfu_device_add_capability(dev, 9, "\x08zzzzz", 6), 0x40);
	ck_assert_int_eq(vfu_device_set_handler(dev, VFU_REGION_CONFIG, 0x44, 4, window, behind),
			 0);
	ck_assert_uint_eq(get(0x44, 4), 0x04030201);
	put(0x46, 1, 9);
	ck_assert_uint_eq(behind[2], 9);
	ck_assert_uint_eq(accesses, 2);
	/* All at once, as machine monitors read it. */
	ck_assert_int_eq(client(0, all, sizeof(all), false), 0);
	ck_assert_int_eq(memcmp(all + 0x44, behind, 4), 0);
	ck_assert_uint_eq(all[0x40], 9);
	ck_assert_uint_eq(all[0x42], 8);
	/* What lies in it stays when the space grows. */
	ck_assert_int_eq(vfu_device_add_extended_capability(dev, 3, 1, 0, behind, 4), 0x100);
	ck_assert_uint_eq(get(0x44, 4), 0x04090201);
	ck_assert_uint_eq(get(0x104, 4), 0x04090201);
}
END_TEST

START_TEST(the_librarys_own_is_not_for_handlers)
{
	struct vfu_register low = reg(0x3c), array = reg(0x38), view = reg(0x80);

	view.flags = VFU_REGISTER_VIEW;
	view.target = 4;
	array.count = 3;
	ck_assert_int_eq(vfu_device_set_msi(dev, 1), 0);
	refused(vfu_device_set_handler(dev, VFU_REGION_CONFIG, 0, 256, window, NULL), -EINVAL,
		"handler.offset");
	refused(vfu_device_set_handler(dev, VFU_REGION_CONFIG, 0x3c, 8, window, NULL), -EINVAL,
		"handler.offset");
	refused(vfu_device_set_handler(dev, VFU_REGION_CONFIG, 0x4d, 1, window, NULL), -EINVAL,
		"handler.offset");
	refused(vfu_device_set_handler(dev, VFU_REGION_CONFIG, 0x50, UINT64_MAX, window, NULL),
		-EINVAL, "handler.offset");
	refused(vfu_device_add_register(dev, VFU_REGION_CONFIG, &low), -EINVAL, "handler.offset");
	refused(vfu_device_add_register(dev, VFU_REGION_CONFIG, &array), -EINVAL, "handler.offset");
	refused(vfu_device_add_register(dev, VFU_REGION_CONFIG, &view), -EINVAL, "handler.offset");
	view.target = 0x44;
	refused(vfu_device_add_register(dev, VFU_REGION_CONFIG, &view), -EINVAL, "handler.offset");
	view.size = 8;
	refused(vfu_device_add_register(dev, VFU_REGION_CONFIG, &view), -EINVAL, "register.size");
	ck_assert_int_eq(vfu_device_update_register(dev, VFU_REGION_CONFIG, 4, 2, 4, 4), -EINVAL);
	ck_assert_int_eq(vfu_device_update_register(dev, VFU_REGION_CONFIG, 0x4c, 4, 1, 0),
			 -EINVAL);
	ck_assert_int_eq(vfu_device_set_handler(dev, VFU_REGION_CONFIG, 0x50, 4, window, NULL), 0);
	ck_assert_int_eq(vfu_device_set_config_size(dev, 4096), 0);
	ck_assert_int_eq(vfu_device_set_handler(dev, VFU_REGION_CONFIG, 0xffc, 4, window, NULL), 0);
	ck_assert_int_eq(vfu_device_set_config_size(dev, 256), -EBUSY);
}
END_TEST

/* Each says which field, and the rule. A BAR that has the tables keeps room for them; it may go, and they elsewhere. */
START_TEST(the_tables_fit_their_bar)
{
	struct vfu_region bar = {.size = 4096, .flags = VFU_REGION_READ, .fd = -1};

	refused(vfu_device_set_msix(dev, 4, 0, 0, 0x800), -EINVAL, "msix.bar");
	ck_assert_int_eq(vfu_device_set_region(dev, 0, &bar), 0);
	refused(vfu_device_set_msix(dev, 2049, 0, 0, 0x800), -EINVAL, "msix.vectors");
	refused(vfu_device_set_msix(dev, 4, 6, 0, 0x800), -EINVAL, "msix.bar");
	refused(vfu_device_set_msix(dev, 4, 0, 0xff0, 0x800), -EINVAL, "msix.table_offset");
	refused(vfu_device_set_msix(dev, 4, 0, 4, 0x800), -EINVAL, "msix.table_offset");
	refused(vfu_device_set_msix(dev, 4, 0, 0, 0x1000), -EINVAL, "msix.pba_offset");
	refused(vfu_device_set_msix(dev, 4, 0, 0, 0x38), -EINVAL, "msix.pba_offset");
	ck_assert_int_eq(vfu_device_set_msix(dev, 4, 0, 0, 0x800), 0);
	bar.size = 2048;
	refused(vfu_device_set_region(dev, 0, &bar), -EINVAL, "region.size");
	bar = (struct vfu_region){.size = 256, .bar_flags = VFU_BAR_IO, .fd = -1};
	refused(vfu_device_set_region(dev, 0, &bar), -EINVAL, "region.size");
	ck_assert_uint_eq(dev->regions.region[0].def.size, 4096);
	ck_assert_int_eq(vfu_device_set_msix(dev, 4, 0, 0, 0x400), 0);
	bar = (struct vfu_region){.size = 2048, .flags = VFU_REGION_READ, .fd = -1};
	ck_assert_int_eq(vfu_device_set_region(dev, 0, &bar), 0);
	bar.size = 0;
	ck_assert_int_eq(vfu_device_set_region(dev, 0, &bar), 0);
}
END_TEST

/* Nor are the tables of MSI-X, which a handler for just these bytes would replace, or take away (fn NULL). */
START_TEST(the_tables_are_not_for_handlers)
{
	static const struct {
		uint64_t offset, size;
	} ranges[] = {{0x100, 64}, {0x800, 8}, {0, 4096},
		      {0x13f, 1},  {0x807, 8}, {0x80, UINT64_MAX}};
	const struct vfu_region bar = {
		.size = 4096, .flags = VFU_REGION_READ | VFU_REGION_WRITE, .fd = -1};
	uint8_t behind[4], control = 0;
	struct vfu_access read = {.offset = 0x10c, .data = &control, .count = 1};

	ck_assert_int_eq(vfu_device_set_region(dev, 0, &bar), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 1, &bar), 0);
	ck_assert_int_eq(vfu_device_set_msix(dev, 4, 0, 0x100, 0x800), 0);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		for (unsigned on = 0; on < 2; on++)
			refused(vfu_device_set_handler(dev, 0, ranges[i].offset, ranges[i].size,
						       on ? window : NULL, behind),
				-EINVAL, "handler.offset");
	ck_assert_int_eq(vfui_region_access(&dev->regions, NULL, &read), 0);
	ck_assert_uint_eq(control, 1); /* masked, as after reset */
	ck_assert_int_eq(vfu_device_set_handler(dev, 1, 0x100, 64, window, behind), 0);
	ck_assert_int_eq(vfu_device_set_handler(dev, 0, 0x140, 64, window, behind), 0);
	ck_assert_int_eq(vfu_device_set_msix(dev, 0, 0, 0, 0), 0);
	ck_assert_int_eq(vfu_device_set_handler(dev, 0, 0x100, 64, window, behind), 0);
}
END_TEST

START_TEST(a_rom_of_memory)
{
	static const uint8_t rom[3000] = {0x55, 0xaa, [2999] = 7};
	uint8_t read[4096];
	struct vfu_access access = {.region = VFU_REGION_ROM, .count = sizeof(read), .data = read};

	refused(vfu_device_set_rom(dev, rom, 0), -EINVAL, "rom.len");
	refused(vfu_device_set_rom(dev, rom, (1 << 24) + 1), -EINVAL, "rom.len");
	ck_assert_int_eq(vfu_device_set_rom(dev, rom, sizeof(rom)), 0);
	ck_assert_int_eq(vfui_region_access(&dev->regions, NULL, &access), 0);
	ck_assert_int_eq(memcmp(read, rom, sizeof(rom)), 0);
	ck_assert_uint_eq(read[3000] | read[4095], 0);
	access.is_write = true;
	ck_assert_int_eq(vfui_region_access(&dev->regions, NULL, &access), -EACCES);
	put(0x30, 4, 0xffffffff);
	ck_assert_uint_eq(get(0x30, 4), 0xfffff001);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tcase = tcase_create("all");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, places_are_said_or_found);
	tcase_add_test(tcase, they_are_found_again);
	tcase_add_test(tcase, extended_ones_are_a_list);
	tcase_add_test(tcase, nonsense_in_the_lists_ends);
	tcase_add_test(tcase, power_management);
	tcase_add_test(tcase, no_soft_reset);
	tcase_add_test(tcase, express);
	tcase_add_test(tcase, express_of_other_types);
	tcase_add_test(tcase, express_that_is_none);
	tcase_add_test(tcase, msi_in_four_layouts);
	tcase_add_test(tcase, a_masked_message_waits);
	tcase_add_test(tcase, states);
	tcase_add_test(tcase, registers_have_masks);
	tcase_add_test(tcase, a_reset_does_not_write_registers);
	tcase_add_test(tcase, a_capability_is_a_window);
	tcase_add_test(tcase, the_librarys_own_is_not_for_handlers);
	tcase_add_test(tcase, the_tables_fit_their_bar);
	tcase_add_test(tcase, the_tables_are_not_for_handlers);
	tcase_add_test(tcase, a_rom_of_memory);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
