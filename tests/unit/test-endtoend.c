/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-endtoend.c - our client and our server, by the public interface alone: a device served by a
 * thread, and the test as its user.
 */
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/lacks.h"
#include "../lib/suite.h"
#include "vfu.h"

#define PAGE 4096u
#define BAR2_SIZE (16 * PAGE)
#define GUEST_SIZE (8u << 20)
#define GUEST UINT64_C(0x100000000)

static char dir[] = "/tmp/vfu-XXXXXX";
static char path[64];
static struct vfu_device *dev;
static struct vfu_server *srv;
static struct vfu_client *cl;
static pthread_t server_thread;
static int bar2_fd, guest_fd;
static uint8_t *guest;
static uint32_t regs[1024];
static atomic_uint resets;

/* BAR0: registers; the last one refuses. */
static int bar0_access(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	(void)user;
	(void)req;
	if (a->offset + a->count > sizeof(regs) - 4)
		return -EACCES;
	if (a->is_write)
		memcpy((uint8_t *)regs + a->offset, a->data, a->count);
	else
		memcpy(a->data, (uint8_t *)regs + a->offset, a->count);
	return 0;
}

static int on_reset(void *user)
{
	(void)user;
	atomic_fetch_add(&resets, 1);
	return 0;
}

static int memfd(size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static const uint32_t bar2_type[] = {0x80001234, 7};
static const struct vfu_region_capability bar2_caps[] = {{2, 1, bar2_type, sizeof(bar2_type)},
							 {4711, 3, "unheard of", 10}};

static void make_device(void)
{
	static const struct vfu_area areas[] = {{PAGE, PAGE}, {8 * PAGE, 4 * PAGE}};
	static const struct vfu_device_hooks hooks = {.size = sizeof(hooks), .reset = on_reset};
	uint32_t rw = VFU_REGION_READ | VFU_REGION_WRITE;
	struct vfu_region bar0 = {.size = PAGE, .flags = rw, .access = bar0_access, .fd = -1};
	struct vfu_region bar1 = {.size = 4u << 20, .flags = rw, .fd = -1};
	struct vfu_region bar2 = {
		.size = BAR2_SIZE, .flags = rw | VFU_REGION_MMAP, .areas = areas, .nareas = 2};
	struct vfu_region bar4 = {.size = PAGE, .flags = rw, .fd = -1};

	dev = vfu_device_new();
	ck_assert_ptr_nonnull(dev);
	bar2_fd = memfd(BAR2_SIZE);
	bar2.fd = dup(bar2_fd);
	ck_assert_int_eq(vfu_device_set_ids(dev, 0x1234, 0x5678, 0, 0), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 0, &bar0), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 1, &bar1), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 2, &bar2), 0);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(vfu_device_add_region_capability(dev, 2, &bar2_caps[i]), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 4, &bar4), 0);
	ck_assert_int_eq(vfu_device_set_msix(dev, 4, 4, 0, 2048), 0);
	ck_assert_int_eq(vfu_device_set_intx(dev, 1), 0);
	ck_assert_int_eq(vfu_device_set_hooks(dev, &hooks, NULL), 0);
}

static void *serve(void *arg)
{
	(void)arg;
	ck_assert(vfu_server_run(srv) == 0);
	return NULL;
}

static void setup(void)
{
	memset(regs, 0, sizeof(regs));
	atomic_store(&resets, 0);
	strcpy(dir, "/tmp/vfu-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "unix:%s/device.sock", dir);
	make_device();
	srv = vfu_server_new(dev);
	ck_assert_ptr_nonnull(srv);
	ck_assert_int_eq(vfu_server_listen(srv, path), 0);
	ck_assert_int_eq(pthread_create(&server_thread, NULL, serve, NULL), 0);
	guest_fd = memfd(GUEST_SIZE);
	guest = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, guest_fd, 0);
	ck_assert_ptr_ne(guest, MAP_FAILED);
	for (size_t i = 0; i < GUEST_SIZE; i++)
		guest[i] = (uint8_t)(i * 7 + (i >> 9));
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	/* Under valgrind, on a busy machine, things take long. */
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 50000), 0);
	ck_assert_int_eq(vfu_client_connect(cl, path), 0);
}

static void teardown(void)
{
	vfu_client_free(cl);
	vfu_server_stop(srv);
	pthread_join(server_thread, NULL);
	vfu_server_free(srv);
	ck_assert_int_eq(vfu_device_free(dev), 0);
	munmap(guest, GUEST_SIZE);
	close(guest_fd);
	close(bar2_fd);
	ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(description)
{
	struct vfu_device_info info;
	struct vfu_region_info region;
	struct vfu_irq_info irq;
	uint16_t ids[2];

	ck_assert_int_eq(vfu_client_device_info(cl, &info), 0);
	ck_assert_uint_eq(info.num_regions, 9);
	ck_assert_uint_eq(info.num_irqs, 5);
	ck_assert(info.pci && info.reset);
	ck_assert_int_eq(vfu_client_region_info(cl, 1, &region), 0);
	ck_assert_uint_eq(region.size, 4 << 20);
	ck_assert_int_eq(region.fd, -1);
	vfu_region_info_fini(&region);
	ck_assert_int_eq(vfu_client_region_info(cl, 3, &region), 0);
	ck_assert_uint_eq(region.size, 0);
	vfu_region_info_fini(&region);
	ck_assert_int_eq(vfu_client_region_info(cl, 9, &region), -EINVAL);
	ck_assert_int_eq(vfu_client_irq_info(cl, VFU_IRQ_MSIX, &irq), 0);
	ck_assert_uint_eq(irq.count, 4);
	ck_assert_int_eq(vfu_client_region_read(cl, VFU_REGION_CONFIG, 0, ids, 4), 0);
	ck_assert_uint_eq(le16toh(ids[0]), 0x1234);
	ck_assert_uint_eq(le16toh(ids[1]), 0x5678);
}
END_TEST

/* What a device says of its regions, whatever it is. */
START_TEST(region_capabilities)
{
	struct vfu_region_capability got;
	struct vfu_region_info info;

	ck_assert_int_eq(vfu_client_region_info(cl, 1, &info), 0);
	ck_assert(!vfu_region_info_capability(&info, 0, &got));
	vfu_region_info_fini(&info);
	ck_assert_int_eq(vfu_client_region_info(cl, 2, &info), 0);
	ck_assert_uint_eq(info.nareas, 2);
	ck_assert_uint_eq(info.type, 0x80001234);
	ck_assert_uint_eq(info.subtype, 7);
	ck_assert(vfu_region_info_capability(&info, 0, &got));
	ck_assert_uint_eq(got.id, 1);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert(vfu_region_info_capability(&info, i + 1, &got));
		ck_assert_uint_eq(got.id, bar2_caps[i].id);
		ck_assert_uint_eq(got.version, bar2_caps[i].version);
		ck_assert_uint_eq(got.len, bar2_caps[i].len);
		ck_assert_mem_eq(got.data, bar2_caps[i].data, got.len);
	}
	ck_assert(!vfu_region_info_capability(&info, 3, &got));
	vfu_region_info_fini(&info);
	ck_assert(!vfu_region_info_capability(&info, 0, &got));
}
END_TEST

START_TEST(registers)
{
	uint32_t v = 0x12345678, w = 0;

	ck_assert_int_eq(vfu_client_region_write(cl, 0, 16, &v, 4), 0);
	ck_assert_uint_eq(regs[4], v);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 16, &w, 4), 0);
	ck_assert_uint_eq(w, v);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, PAGE - 4, &w, 4), -EACCES);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, PAGE, &w, 4), -EINVAL);
	ck_assert_int_eq(vfu_client_region_read(cl, 3, 0, &w, 4), -EINVAL);
	/* A posted write that fails says nothing, and the next answer is the right one. */
	ck_assert_int_eq(vfu_client_region_post(cl, 0, PAGE - 4, &v, 4), 0);
	ck_assert_int_eq(vfu_client_region_post(cl, 0, 20, &v, 4), 0);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 20, &w, 4), 0);
	ck_assert_uint_eq(w, v);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_uint_eq(atomic_load(&resets), 1);
}
END_TEST

/* Sizes below, at and above what one message holds. */
START_TEST(large_accesses)
{
	static const size_t sizes[] = {1, 4095, 65536, 100001, 1 << 20, (3 << 20) + 17};
	uint8_t *back = malloc(4 << 20);

	for (unsigned i = 0; i < 6; i++) {
		memset(back, 0, sizes[i]);
		ck_assert_int_eq(vfu_client_region_write(cl, 1, i, guest, sizes[i]), 0);
		ck_assert_int_eq(vfu_client_region_read(cl, 1, i, back, sizes[i]), 0);
		ck_assert_int_eq(memcmp(back, guest, sizes[i]), 0);
	}
	free(back);
}
END_TEST

START_TEST(sparse_mmap)
{
	struct vfu_region_info info;
	uint32_t v = 0;
	uint8_t *map;

	ck_assert_int_eq(vfu_client_region_info(cl, 2, &info), 0);
	ck_assert_uint_eq(info.flags, VFU_REGION_READ | VFU_REGION_WRITE | VFU_REGION_MMAP);
	ck_assert_uint_eq(info.nareas, 2);
	ck_assert_uint_eq(info.areas[1].offset, 8 * PAGE);
	ck_assert_uint_eq(info.areas[1].size, 4 * PAGE);
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, info.fd,
		   (off_t)(info.offset + 8 * PAGE));
	ck_assert_ptr_ne(map, MAP_FAILED);
	memcpy(map + 100, "here", 4);
	ck_assert_int_eq(vfu_client_region_read(cl, 2, 8 * PAGE + 100, &v, 4), 0);
	ck_assert_int_eq(memcmp(&v, "here", 4), 0);
	memcpy(&v, "back", 4);
	ck_assert_int_eq(vfu_client_region_write(cl, 2, 8 * PAGE + 104, &v, 4), 0);
	ck_assert_int_eq(memcmp(map + 100, "hereback", 8), 0);
	ck_assert_int_eq(pread(bar2_fd, &v, 4, 8 * PAGE + 104), 4);
	ck_assert_int_eq(memcmp(&v, "back", 4), 0);
	munmap(map, 4 * PAGE);
	vfu_region_info_fini(&info);
}
END_TEST

START_TEST(interrupts)
{
	int fds[4];
	eventfd_t n;

	for (unsigned i = 0; i < 4; i++)
		fds[i] = passed_eventfd(EFD_NONBLOCK);
	ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_MSIX, 1), -ENOENT);
	ck_assert_int_eq(vfu_client_irq_set_eventfds(cl, VFU_IRQ_MSIX, 0, 4, fds), 0);
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned j = 0; j <= i; j++)
			ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_MSIX, i), 0);
		ck_assert_int_eq(eventfd_read(fds[i], &n), 0);
		ck_assert_uint_eq(n, i + 1);
	}
	ck_assert_int_eq(vfu_client_irq_trigger(cl, VFU_IRQ_MSIX, 2, 1), 0);
	ck_assert_int_eq(eventfd_read(fds[2], &n), 0);
	ck_assert_int_eq(vfu_client_irq_disable(cl, VFU_IRQ_MSIX), 0);
	ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_MSIX, 1), -ENOENT);
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
}
END_TEST

/* ---- DMA ---- */

static atomic_int dma_left, dma_status;

static void dma_done(void *user, int status)
{
	(void)user;
	if (status)
		atomic_store(&dma_status, status);
	atomic_fetch_sub(&dma_left, 1);
}

/* Has the device read or write guest memory, serving it meanwhile. */
static int device_dma(bool is_write, uint64_t iova, void *buf, size_t len)
{
	int ret;

	atomic_store(&dma_left, 1);
	atomic_store(&dma_status, 0);
	ret = is_write ? vfu_dma_write_async(dev, iova, buf, len, dma_done, NULL)
		       : vfu_dma_read_async(dev, iova, buf, len, dma_done, NULL);
	if (ret)
		return ret;
	while (atomic_load(&dma_left) > 0)
		ck_assert_int_ge(vfu_client_serve(cl, 1), 0);
	return atomic_load(&dma_status);
}

static void copy_around(uint64_t iova)
{
	static const size_t sizes[] = {1, 4096, 100000, 1 << 20, (3 << 20) + 5};
	uint8_t *buf = malloc(4 << 20);

	for (unsigned i = 0; i < 5; i++) {
		uint8_t *to = guest + (4 << 20) + 9;

		memset(buf, 0, sizes[i]);
		ck_assert_int_eq(device_dma(false, iova + 3, buf, sizes[i]), 0);
		ck_assert_int_eq(memcmp(buf, guest + 3, sizes[i]), 0);
		memset(to, 0, sizes[i] + 1);
		ck_assert_int_eq(device_dma(true, iova + (4 << 20) + 9, buf, sizes[i]), 0);
		ck_assert_int_eq(memcmp(to, buf, sizes[i]), 0);
		ck_assert_uint_eq(to[sizes[i]], 0);
	}
	free(buf);
}

START_TEST(dma_by_message)
{
	uint8_t buf[64];

	ck_assert_int_eq(vfu_client_dma_map(cl, GUEST, GUEST_SIZE, 3, guest, -1, 0), 0);
	copy_around(GUEST);
	ck_assert_int_eq(device_dma(false, GUEST + GUEST_SIZE - 8, buf, 64), -EFAULT);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, GUEST, GUEST_SIZE), 0);
	ck_assert_int_eq(device_dma(false, GUEST, buf, 64), -EFAULT);
	ck_assert_int_eq(vfu_client_dma_map(cl, GUEST, PAGE, VFU_DMA_READ, guest, -1, 0), 0);
	ck_assert_int_eq(device_dma(true, GUEST, buf, 64), -EACCES);
}
END_TEST

START_TEST(dma_mapped)
{
	struct vfu_dma_pin pin;

	ck_assert_int_eq(vfu_client_dma_map(cl, GUEST, GUEST_SIZE, 3, guest, guest_fd, 0), 0);
	copy_around(GUEST);
	ck_assert_int_eq(vfu_dma_pin(dev, GUEST + 4096, 4096, VFU_DMA_WRITE, &pin), 0);
	memcpy(pin.addr, "pinned", 6);
	ck_assert_int_eq(memcmp(guest + 4096, "pinned", 6), 0);
	ck_assert_int_eq(vfu_dma_unpin(dev, &pin), 0);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, GUEST, GUEST_SIZE), 0);
}
END_TEST

/* A transfer over a mapped range, one by message, and one that the callback serves. */
static int from_callback(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	uint8_t *to = data;

	(void)user;
	if (is_write)
		return -EROFS;
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)(iova + i);
	return 0;
}

START_TEST(dma_over_all_kinds)
{
	uint8_t buf[3 * PAGE];

	vfu_client_set_dma(cl, from_callback, NULL);
	ck_assert_int_eq(vfu_client_dma_map(cl, GUEST, PAGE, 3, guest, guest_fd, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, GUEST + PAGE, PAGE, 3, guest + PAGE, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, GUEST + 2 * PAGE, PAGE, 3, NULL, -1, 0), 0);
	ck_assert_int_eq(device_dma(false, GUEST, buf, sizeof(buf)), 0);
	ck_assert_int_eq(memcmp(buf, guest, 2 * PAGE), 0);
	ck_assert_uint_eq(buf[2 * PAGE + 77], 77);
	ck_assert_int_eq(device_dma(true, GUEST, buf, sizeof(buf)), -EROFS);
}
END_TEST

START_TEST(many_maps)
{
	for (unsigned i = 0; i < 20000; i++)
		ck_assert_int_eq(vfu_client_dma_map_nowait(cl, (uint64_t)i * 2 * PAGE, PAGE, 3,
							   guest, -1, 0),
				 0);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
	ck_assert_uint_eq(vfu_dma_ranges(dev, NULL, 0), 20000);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, 0, UINT64_C(40000) * PAGE), 0);
	ck_assert_uint_eq(vfu_dma_ranges(dev, NULL, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, PAGE, 3, guest, -1, 0), 0);
}
END_TEST

/* ---- all at once ---- */

static atomic_uint answered, wrong;

static void count_answer(void *user, int status)
{
	(void)user;
	if (status != 4)
		atomic_fetch_add(&wrong, 1);
	atomic_fetch_add(&answered, 1);
}

static void *start_dma(void *arg)
{
	static const uint8_t from[256];
	static uint8_t to[256];

	for (unsigned i = 0; i < 10000; i++) {
		int ret;

		while (atomic_load(&dma_left) > 256)
			usleep(100);
		atomic_fetch_add(&dma_left, 1);
		ret = i % 2 ? vfu_dma_write_async(dev, GUEST + 4096, from, 256, dma_done, NULL)
			    : vfu_dma_read_async(dev, GUEST, to, 256, dma_done, NULL);
		ck_assert(ret == 0);
	}
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

/* 10,000 requests each way, crossing each other on the way. */
START_TEST(storm)
{
	pthread_t thread;
	atomic_bool started = false;
	static uint32_t values[10000];
	unsigned n = 0;

	atomic_store(&dma_left, 0);
	atomic_store(&dma_status, 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, GUEST, GUEST_SIZE, 3, guest, -1, 0), 0);
	for (unsigned i = 0; i < 1000; i++)
		regs[i] = i;
	pthread_create(&thread, NULL, start_dma, &started);
	while (atomic_load(&answered) < 10000 || !atomic_load(&started) || atomic_load(&dma_left)) {
		while (n < 10000 && n - atomic_load(&answered) < 512) {
			ck_assert_int_eq(vfu_client_region_read_async(cl, 0, n % 1000 * 4,
								      &values[n], 4, count_answer,
								      NULL),
					 0);
			n++;
		}
		ck_assert_int_ge(vfu_client_process(cl, 0), 0);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(atomic_load(&wrong), 0);
	ck_assert_int_eq(atomic_load(&dma_status), 0);
	for (unsigned i = 0; i < 10000; i++)
		ck_assert_uint_eq(values[i], i % 1000);
}
END_TEST

static void *call_often(void *arg)
{
	uint32_t index = (uint32_t)(uintptr_t)arg, v;

	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t w = index << 16 | i;

		if (i % 3)
			ck_assert(vfu_client_region_post(cl, 0, index * 4, &w, 4) == 0);
		else
			ck_assert(vfu_client_region_write(cl, 0, index * 4, &w, 4) == 0);
		ck_assert(vfu_client_region_read(cl, 0, index * 4, &v, 4) == 0);
		ck_assert(v == w);
	}
	return NULL;
}

/* Callers of four threads, while the device does DMA: whoever reads serves it. */
START_TEST(many_threads)
{
	pthread_t threads[4], dma;
	atomic_bool started = false;

	atomic_store(&dma_left, 0);
	atomic_store(&dma_status, 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, GUEST, GUEST_SIZE, 3, guest, -1, 0), 0);
	pthread_create(&dma, NULL, start_dma, &started);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, call_often, (void *)i);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	while (!atomic_load(&started) || atomic_load(&dma_left))
		ck_assert_int_ge(vfu_client_serve(cl, 1), 0);
	pthread_join(dma, NULL);
	ck_assert_int_eq(atomic_load(&dma_status), 0);
}
END_TEST

START_TEST(reconnects)
{
	uint32_t v = 42, w;
	struct vfu_client *second;

	ck_assert_int_eq(vfu_client_dma_map(cl, GUEST, PAGE, 3, guest, -1, 0), 0);
	ck_assert_int_eq(vfu_client_region_write(cl, 0, 0, &v, 4), 0);
	for (unsigned i = 0; i < 20; i++) {
		vfu_client_disconnect(cl);
		ck_assert_int_eq(vfu_client_connect(cl, path), 0);
		/* The device's state stays, the maps go. */
		ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &w, 4), 0);
		ck_assert_uint_eq(w, 42);
		ck_assert_int_eq(vfu_client_dma_map(cl, GUEST, PAGE, 3, guest, -1, 0), 0);
	}
	vfu_client_disconnect(cl);
	second = vfu_client_new();
	ck_assert_int_eq(vfu_client_connect(second, path), 0);
	ck_assert_int_eq(vfu_client_region_read(second, 0, 0, &w, 4), 0);
	vfu_client_free(second);
}
END_TEST

static void *call_until_it_ends(void *unused)
{
	uint32_t v;

	(void)unused;
	while (vfu_client_region_read(cl, 0, 0, &v, 4) == 0)
		;
	return NULL;
}

static void *ask_for_counts(void *is_over)
{
	struct vfu_stats stats;
	uint64_t value;

	while (!atomic_load((atomic_bool *)is_over)) {
		vfu_client_stats(cl, &stats);
		vfu_client_agreed(cl, "pgsizes", &value);
		vfu_server_stats(srv, &stats);
		vfu_server_agreed(srv, "pgsizes", &value);
	}
	return NULL;
}

/* Asked in another thread, also while a connection is made, and while calls leave one that ends. */
START_TEST(counts_of_connections_that_end)
{
	pthread_t callers[2], asker;
	atomic_bool is_over = false;

	pthread_create(&asker, NULL, ask_for_counts, &is_over);
	for (unsigned n = 0; n < 10; n++) {
		for (unsigned i = 0; i < 2; i++)
			pthread_create(&callers[i], NULL, call_until_it_ends, NULL);
		usleep(1000);
		vfu_client_disconnect(cl);
		for (unsigned i = 0; i < 2; i++)
			pthread_join(callers[i], NULL);
		ck_assert_int_eq(vfu_client_connect(cl, path), 0);
	}
	atomic_store(&is_over, true);
	pthread_join(asker, NULL);
}
END_TEST

START_TEST(server_goes)
{
	uint32_t v;

	vfu_server_stop(srv);
	pthread_join(server_thread, NULL);
	vfu_server_disconnect(srv);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &v, 4), -ENOTCONN);
	ck_assert_int_eq(vfu_client_status(cl), -ENOTCONN);
	ck_assert_int_eq(pthread_create(&server_thread, NULL, serve, NULL), 0);
	ck_assert_int_eq(vfu_client_connect(cl, path), 0);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &v, 4), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		description,
		region_capabilities,
		registers,
		large_accesses,
		sparse_mmap,
		interrupts,
		dma_by_message,
		dma_mapped,
		dma_over_all_kinds,
		many_maps,
		storm,
		many_threads,
		reconnects,
		counts_of_connections_that_end,
		server_goes,
	};
	Suite *suite = suite_create("end to end");
	TCase *tcase = tcase_create("end to end");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
