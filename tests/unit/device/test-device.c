/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-device.c - a device's own functions, and devices and servers whose system fails them.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/raw.h"
#include "../../lib/suite.h"
#include "vfu.h"

static struct vfu_device *dev;

static void setup(void)
{
	fault_reset();
	dev = vfu_device_new();
	ck_assert_ptr_nonnull(dev);
}

static void teardown(void)
{
	ck_assert_int_eq(vfu_device_free(dev), 0);
}

static void expect_err(int code)
{
	struct vfu_err err;

	vfu_device_err(dev, &err);
	ck_assert_int_eq(err.code, code);
	ck_assert((err.text[0] != '\0') == (code != 0));
}

START_TEST(errors_are_explained)
{
	const struct vfu_region odd = {.size = 100, .flags = VFU_REGION_READ, .fd = -1};

	expect_err(0);
	ck_assert_int_lt(vfu_device_set_region(dev, 0, &odd), 0);
	expect_err(-EINVAL);
	ck_assert_int_eq(vfu_device_set_ids(dev, 1, 2, 3, 4), 0);
	expect_err(0);
	ck_assert_int_eq(vfu_device_set_config_size(dev, 512), -EINVAL);
	expect_err(-EINVAL);
	ck_assert_int_eq(vfu_device_set_msi(dev, 3), -EINVAL);
	ck_assert_int_eq(vfu_device_set_msix(dev, 4, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(vfu_device_set_intx(dev, 5), -EINVAL);
	ck_assert_int_eq(vfu_device_config_read(dev, 4096, NULL, 1), -EINVAL);
	expect_err(-EINVAL);
}
END_TEST

START_TEST(configuration_space)
{
	uint8_t data[4] = {0};

	ck_assert_int_eq(vfu_device_set_ids(dev, 0x1234, 0x5678, 0, 0), 0);
	ck_assert_int_eq(vfu_device_set_class(dev, 0x020000, 7), 0);
	ck_assert_int_eq(vfu_device_config_read(dev, 0, data, 4), 0);
	ck_assert_mem_eq(data, "\x34\x12\x78\x56", 4);
	ck_assert_int_eq(vfu_device_config_read(dev, 8, data, 4), 0);
	ck_assert_mem_eq(data, "\7\0\0\2", 4);
	ck_assert_int_eq(vfu_device_config_write(dev, 0x40, "abcd", 4), 0);
	ck_assert_int_eq(vfu_device_config_read(dev, 0x40, data, 4), 0);
	ck_assert_mem_eq(data, "abcd", 4);
}
END_TEST

START_TEST(hooks_have_a_size)
{
	struct vfu_device_hooks hooks = {.size = sizeof(hooks)};

	ck_assert_int_eq(vfu_device_set_hooks(dev, &hooks, NULL), 0);
	hooks.size = sizeof(hooks.size);
	ck_assert_int_eq(vfu_device_set_hooks(dev, &hooks, NULL), 0);
	hooks.size = 0;
	ck_assert_int_eq(vfu_device_set_hooks(dev, &hooks, NULL), -EINVAL);
	hooks.size = sizeof(hooks) + 8;
	ck_assert_int_eq(vfu_device_set_hooks(dev, &hooks, NULL), -EINVAL);
	ck_assert_int_eq(vfu_device_set_hooks(dev, NULL, NULL), 0);
}
END_TEST

START_TEST(without_a_client)
{
	struct vfu_dma_pin pin;
	char buf[4];

	ck_assert_int_eq(vfu_device_gate_done(dev, 0), -EALREADY);
	ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_ERR, 0), -ENOENT);
	ck_assert_int_eq(vfu_irq_raise_after(dev, VFU_IRQ_ERR, 0), -ENOENT);
	ck_assert_int_eq(vfu_irq_raise(dev, VFU_IRQ_MSIX, 0), -EINVAL);
	ck_assert_int_lt(vfu_dma_read(dev, 0, buf, 4), 0);
	ck_assert_int_lt(vfu_dma_write(dev, 0, buf, 4), 0);
	ck_assert_int_lt(vfu_dma_pin(dev, 0, 4, VFU_DMA_READ, &pin), 0);
	ck_assert_uint_eq(vfu_dma_ranges(dev, NULL, 0), 0);
}
END_TEST

START_TEST(one_server_a_device)
{
	struct vfu_server *srv = vfu_server_new(dev);
	struct vfu_err err;

	ck_assert_ptr_nonnull(srv);
	ck_assert_ptr_null(vfu_server_new(dev));
	ck_assert_int_eq(errno, EBUSY);
	ck_assert_int_eq(vfu_device_free(dev), -EBUSY);
	ck_assert_int_eq(vfu_server_process(srv, 0), -ENOTCONN);
	ck_assert_int_eq(vfu_server_run(srv), 0);
	ck_assert_int_eq(vfu_server_conn_fd(srv), -1);
	ck_assert_int_eq(vfu_server_listen_fd(srv), -1);
	vfu_server_disconnect(srv);
	ck_assert_int_eq(vfu_server_set(srv, VFU_OPT_MAX_MSG_FDS, 0), -EINVAL);
	ck_assert_int_eq(vfu_server_set(srv, VFU_OPTIONS, 1), -EINVAL);
	ck_assert_int_eq(vfu_server_set(srv, VFU_OPT_MAX_MSG_FDS, 64), 0);
	ck_assert_int_eq(vfu_server_set_policy(srv, "no_such", "x"), -ENOENT);
	ck_assert_int_eq(vfu_server_set_policy(srv, "disconnect", "x"), -EINVAL);
	vfu_server_err(srv, &err);
	ck_assert_int_eq(err.code, -EINVAL);
	ck_assert_int_eq(vfu_server_set_profile(srv, "strict"), 0);
	ck_assert_int_eq(vfu_server_set_profile(srv, "lax"), -ENOENT);
	vfu_server_free(srv);
	vfu_server_free(NULL);
	ck_assert_int_eq(vfu_device_free(NULL), 0);
}
END_TEST

/* Serves for a while of virtual time; then the client's end is closed, or not. */
static bool is_dropped(struct vfu_server *srv, int sock, unsigned ms)
{
	char byte;

	fault_advance(ms * (uint64_t)1000000);
	vfu_server_process(srv, 0);
	return recv(sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

/* Silence, and a VERSION that never ends. */
START_TEST(clients_that_do_not_greet)
{
	static const struct {
		uint16_t id, command;
		uint32_t size, flags, error;
	} begun = {.id = 1, .command = 1, .size = 20};
	struct vfu_server *srv = vfu_server_new(dev);
	struct vfu_err err;
	int fds[2];
	unsigned i;

	fault_virtual_time(true);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		ck_assert_int_eq(vfu_server_attach(srv, fds[1]), 0);
		if (i)
			raw_send_bytes(fds[0], &begun, sizeof(begun));
		ck_assert_int_eq(vfu_server_timeout(srv), 5000);
		ck_assert(!is_dropped(srv, fds[0], 4999));
		ck_assert_int_eq(vfu_server_timeout(srv), 1);
		ck_assert(is_dropped(srv, fds[0], 1));
		vfu_server_err(srv, &err);
		ck_assert_int_eq(err.code, -ETIMEDOUT);
		ck_assert_int_eq(vfu_server_conn_fd(srv), -1);
		close(fds[0]);
	}
	fault_virtual_time(false);
	vfu_server_free(srv);
}
END_TEST

/* One that has greeted may be silent, one that is looked at late may have; and 0 is for ever. */
START_TEST(clients_that_may_stay)
{
	struct vfu_server *srv = vfu_server_new(dev);
	int fds[2];
	unsigned i;

	fault_virtual_time(true);
	for (i = 0; i < 2; i++) {
		if (i)
			ck_assert_int_eq(vfu_server_set(srv, VFU_OPT_TIMEOUT_MS, 0), 0);
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		ck_assert_int_eq(vfu_server_attach(srv, fds[1]), 0);
		if (!i)
			raw_send(fds[0], 1, 1, 0, "\0\0\0\0", 4, NULL, 0);
		ck_assert(!is_dropped(srv, fds[0], 9000));
		ck_assert_int_eq(vfu_server_timeout(srv), -1);
		ck_assert(!is_dropped(srv, fds[0], 9000));
		close(fds[0]);
		vfu_server_process(srv, 0);
	}
	fault_virtual_time(false);
	vfu_server_free(srv);
}
END_TEST

/* ---- a system that fails ---- */

static struct vfu_request *later[8];
static unsigned nlater;

static int bar0(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user;
	if (access->offset < 0x100)
		return 0;
	later[nlater] = vfu_request_defer(req);
	return later[nlater] ? (nlater++, VFU_LATER) : -ENOMEM;
}

static int gate(void *user, enum vfu_gate what)
{
	(void)user;
	return what == VFU_GATE_RESET || what == VFU_GATE_DISCONNECT ? VFU_LATER : 0;
}

static void send_all(int sock)
{
	static const char version[] = "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8}}      ";
	static const uint32_t map[8] = {32, 3, 0, 0, 0x10000, 0, 4096, 0};
	static const uint32_t unmap[6] = {24, 0, 0x10000, 0, 4096, 0};
	static const uint32_t info[8] = {80, 0, 2};
	static const uint32_t read[4] = {0, 0, 0, 4}, slow_read[4] = {0x100, 0, 0, 4};
	static const uint32_t big_read[4] = {0, 0, 1, 65536};
	static const uint32_t post[5] = {0x100, 0, 0, 4, 1};
	static const uint32_t irq[5] = {20, 0x24, 0, 0, 1};
	int fd = passed_eventfd(0);

	raw_send(sock, 1, 1, 0, version, sizeof(version), NULL, 0);
	raw_send(sock, 2, 2, 0, map, sizeof(map), NULL, 0);
	raw_send(sock, 3, 5, 0, info, sizeof(info), NULL, 0);
	raw_send(sock, 4, 8, 0, irq, sizeof(irq), &fd, 1);
	raw_send(sock, 5, 9, 0, slow_read, sizeof(slow_read), NULL, 0);
	raw_send(sock, 6, 9, 0, big_read, sizeof(big_read), NULL, 0);
	raw_send(sock, 7, 10, 0x10, post, sizeof(post), NULL, 0);
	raw_send(sock, 8, 9, 0, read, sizeof(read), NULL, 0);
	raw_send(sock, 9, 13, 0, NULL, 0, NULL, 0);
	raw_send(sock, 10, 3, 0, unmap, sizeof(unmap), NULL, 0);
	close(fd);
}

/* All that may fail may be refused, but nothing may crash or leak. */
static void serve_once(void)
{
	const struct vfu_device_hooks hooks = {.size = sizeof(hooks), .gate = gate};
	const struct vfu_region regions[] = {
		{.size = 4096,
		 .flags = VFU_REGION_READ | VFU_REGION_WRITE,
		 .access = bar0,
		 .fd = -1},
		{.size = 65536, .flags = VFU_REGION_READ, .fd = -1},
		{.size = 65536,
		 .flags = VFU_REGION_READ | VFU_REGION_MMAP,
		 .fd = memfd_create("bar2", MFD_CLOEXEC)},
	};
	struct vfu_device *device = vfu_device_new();
	struct vfu_server *srv = device ? vfu_server_new(device) : NULL;
	struct raw_msg *msg = malloc(sizeof(*msg));
	int fds[2];
	unsigned i;

	nlater = 0;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(ftruncate(regions[2].fd, 65536), 0);
	send_all(fds[0]);
	if (srv) {
		for (i = 0; i < 3; i++)
			vfu_device_set_region(device, i, &regions[i]);
		vfu_device_set_intx(device, 1);
		vfu_device_set_hooks(device, &hooks, NULL);
		vfu_server_attach(srv, fds[1]);
		vfu_server_fd(srv);
		for (i = 0; i < 60; i++) {
			vfu_server_process(srv, 0);
			if (i > 20 && nlater)
				vfu_request_done(later[--nlater], 0);
			if (i > 40)
				vfu_device_gate_done(device, 0);
		}
		while (raw_recv(fds[0], msg, 0) == 1)
			raw_close_fds(msg);
	} else {
		close(fds[1]);
		close(regions[2].fd);
	}
	vfu_server_free(srv);
	while (nlater)
		vfu_request_done(later[--nlater], 0);
	vfu_device_free(device);
	close(fds[0]);
	free(msg);
}

/* How many calls of a kind one round makes, and then each of them fails once. */
static void fail_each(enum fault_kind kind, int error)
{
	unsigned calls, n;

	fault_reset();
	serve_once();
	calls = fault_calls(kind);
	ck_assert_uint_gt(calls, 0);
	for (n = 1; n <= calls; n++) {
		fault_reset();
		fault_fail(kind, n, error);
		serve_once();
	}
}

START_TEST(out_of_memory)
{
	fail_each(FAULT_ALLOC, ENOMEM);
}
END_TEST

START_TEST(out_of_descriptors)
{
	fail_each(FAULT_FD, EMFILE);
}
END_TEST

START_TEST(sockets_fail)
{
	fail_each(FAULT_RECV, EINTR);
	fail_each(FAULT_RECV, EIO);
	fail_each(FAULT_SEND, EINTR);
	fail_each(FAULT_SEND, EPIPE);
}
END_TEST

START_TEST(maps_fail)
{
	fail_each(FAULT_MMAP, ENOMEM);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device");
	TCase *tcase = tcase_create("device"), *faults = tcase_create("faults");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, errors_are_explained);
	tcase_add_test(tcase, configuration_space);
	tcase_add_test(tcase, hooks_have_a_size);
	tcase_add_test(tcase, without_a_client);
	tcase_add_test(tcase, one_server_a_device);
	tcase_add_test(tcase, clients_that_do_not_greet);
	tcase_add_test(tcase, clients_that_may_stay);
	suite_add_tcase(suite, tcase);
	leaks_watch(faults);
	tcase_set_timeout(faults, 60);
	tcase_add_test(faults, out_of_memory);
	tcase_add_test(faults, out_of_descriptors);
	tcase_add_test(faults, sockets_fail);
	tcase_add_test(faults, maps_fail);
	suite_add_tcase(suite, faults);
	return run_suite(suite);
}
