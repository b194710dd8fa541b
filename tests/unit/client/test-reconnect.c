/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-reconnect.c - servers that go and come while a client goes on.
 *
 *	begin_server, end_server: a device at path, served by a thread; each is a new one, whose registers,
 *	                          bus mastering and interrupts are as after power on
 *	check_all                 what the client has set up works: memory, interrupt, registers
 *
 * A client may see each end in one request, which then is -ENOTCONN; settle() asks until it does not.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/suite.h"
#include "vfu.h"

enum { PAGE = 4096, RAM = 0x100000, SHARED = 0x200000 };

/* BAR0: writing KICK copies the value to memory and interrupts; reading HANG is never answered. */
enum { KICK = 0, ANSWER = 4, HANG = 8 };

static char dir[32], path[64];
static struct vfu_device *dev;
static struct vfu_server *srv;
static pthread_t server_thread;
static struct vfu_request *hanging[2];
static atomic_uint nhanging;
static atomic_bool is_stopped;
static uint64_t bar1_size, transfer;

static struct vfu_client *cl;
static uint8_t ram[PAGE];
static uint8_t *shared;
static int shared_fd, intx;

/* What the client's function was told. */
static struct vfu_link lost, restored, ended;
static atomic_uint nlost, nrestored, nended;
static atomic_uint ninside, nnested; /* threads in it; that found another one there */
static int in_function;
static void (*when_restored)(void);
static atomic_bool is_signalled;

/* ---- the server ---- */

static int bar0(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	uint32_t value = 42;

	(void)user;
	if (!a->is_write && a->offset == HANG) {
		ck_assert_uint_lt(nhanging, 2);
		hanging[nhanging++] = vfu_request_defer(req);
		return VFU_LATER;
	}
	if (a->is_write && a->offset == KICK) {
		vfu_dma_write(dev, RAM, a->data, a->count);
		vfu_dma_write(dev, SHARED, a->data, a->count);
		vfu_irq_raise(dev, VFU_IRQ_INTX, 0);
		vfu_irq_lower(dev);
	}
	if (!a->is_write)
		memcpy(a->data, &value, a->count < 4 ? a->count : 4);
	return 0;
}

/* vfu_server_run looks only now and then whether it is to stop. */
static void *serve(void *arg)
{
	while (!is_stopped) {
		struct pollfd pfds[4];
		int n = vfu_server_pollfds(srv, pfds, 4);

		poll(pfds, (nfds_t)n, vfu_server_timeout(srv));
		vfu_server_process(srv, 0);
	}
	return arg;
}

/* The device writes to memory as soon as it has it. */
static atomic_bool is_eager;

static void written(void *user, int status)
{
	(void)user, (void)status;
}

static void mapped(void *user, const struct vfu_dma_range *range)
{
	(void)user;
	if (is_eager && range->iova == RAM)
		ck_assert_int_eq(vfu_dma_write_async(dev, RAM, "abcd", 4, written, NULL), 0);
}

static void begin_server(void)
{
	static const struct vfu_device_hooks hooks = {.size = sizeof(hooks), .dma_mapped = mapped};
	uint32_t rw = VFU_REGION_READ | VFU_REGION_WRITE;
	struct vfu_region first = {.size = PAGE, .flags = rw, .access = bar0, .fd = -1};
	struct vfu_region second = {.size = bar1_size, .flags = rw, .fd = -1};

	dev = vfu_device_new();
	ck_assert_ptr_nonnull(dev);
	ck_assert_int_eq(vfu_device_set_ids(dev, 0x1234, 0x5678, 0, 0), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 0, &first), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 1, &second), 0);
	ck_assert_int_eq(vfu_device_set_intx(dev, 1), 0);
	ck_assert_int_eq(vfu_device_set_hooks(dev, &hooks, NULL), 0);
	srv = vfu_server_new(dev);
	ck_assert_ptr_nonnull(srv);
	ck_assert_int_eq(vfu_server_set(srv, VFU_OPT_MAX_DATA_XFER_SIZE, transfer), 0);
	ck_assert_int_eq(vfu_server_listen(srv, path), 0);
	is_stopped = false;
	pthread_create(&server_thread, NULL, serve, NULL);
}

static void stop_serving(void)
{
	is_stopped = true;
	vfu_server_stop(srv);
	pthread_join(server_thread, NULL);
}

static void free_server(void)
{
	vfu_server_free(srv);
	while (nhanging)
		vfu_request_done(hanging[--nhanging], 0);
	ck_assert_int_eq(vfu_device_free(dev), 0);
}

static void end_server(void)
{
	stop_serving();
	free_server();
}

static void restart(void)
{
	end_server();
	begin_server();
}

/* ---- the client ---- */

static void told(void *user, const struct vfu_link *link)
{
	uint32_t value = 0;

	(void)user;
	if (atomic_fetch_add(&ninside, 1))
		nnested++;
	switch (link->event) {
	case VFU_LINK_LOST:
		lost = *link;
		in_function = vfu_client_region_read(cl, 0, ANSWER, &value, 4);
		atomic_fetch_add(&nlost, 1);
		break;
	case VFU_LINK_RESTORED:
		restored = *link;
		in_function = vfu_client_region_read(cl, 0, ANSWER, &value, 4);
		if (when_restored)
			when_restored();
		atomic_fetch_add(&nrestored, 1);
		break;
	case VFU_LINK_ENDED:
		ended = *link;
		atomic_fetch_add(&nended, 1);
		break;
	}
	atomic_fetch_sub(&ninside, 1);
}

static int interrupted(void *user)
{
	(void)user;
	return is_signalled;
}

static void setup(void)
{
	strcpy(dir, "/tmp/vfu-reconnect-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	bar1_size = PAGE;
	transfer = 1 << 20;
	nlost = nrestored = nended = nnested = 0;
	when_restored = NULL;
	is_signalled = is_eager = false;
	begin_server();
	shared_fd = memfd_create("shared", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(shared_fd, PAGE), 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
	intx = passed_eventfd(EFD_NONBLOCK);
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	vfu_client_set_link(cl, told, NULL);
	vfu_client_set_interrupt(cl, interrupted, NULL);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 50000), 0);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_RECONNECT_MS, INT32_MAX), 0);
	ck_assert_int_eq(vfu_client_connect(cl, path), 0);
}

static void teardown(void)
{
	vfu_client_free(cl);
	ck_assert_uint_eq(nnested, 0);
	if (dev)
		end_server();
	dev = NULL;
	munmap(shared, PAGE);
	close(shared_fd);
	close(intx);
	rmdir(dir);
}

static void set_up_device(void)
{
	ck_assert_int_eq(
		vfu_client_dma_map(cl, RAM, PAGE, VFU_DMA_READ | VFU_DMA_WRITE, ram, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, SHARED, PAGE, VFU_DMA_READ | VFU_DMA_WRITE, shared,
					    shared_fd, 0),
			 0);
	ck_assert_int_eq(vfu_client_irq_set_eventfds(cl, VFU_IRQ_INTX, 0, 1, &intx), 0);
}

/* The first request that is none of the connection that has ended. */
static void settle(void)
{
	uint32_t value = 0;
	int ret;

	do {
		ret = vfu_client_region_read(cl, 0, ANSWER, &value, 4);
		ck_assert(ret == 0 || ret == -ENOTCONN);
	} while (ret);
	ck_assert_uint_eq(value, 42);
}

static void check_all(uint32_t value)
{
	struct pollfd pfd = {.fd = intx, .events = POLLIN};
	uint64_t count;

	ck_assert_int_eq(vfu_client_region_write(cl, 0, KICK, &value, 4), 0);
	ck_assert_int_eq(poll(&pfd, 1, 60000), 1);
	ck_assert_int_eq(read(intx, &count, sizeof(count)), sizeof(count));
	ck_assert_mem_eq(ram, &value, 4);
	ck_assert_mem_eq(shared, &value, 4);
}

/* ---- coming back ---- */

START_TEST(all_is_there_again)
{
	set_up_device();
	check_all(1);
	/* It keeps copies of these. */
	close(shared_fd);
	shared_fd = -1;
	for (unsigned i = 2; i < 5; i++) {
		restart();
		settle();
		check_all(i);
		ck_assert_uint_eq(nlost, i - 1);
		ck_assert_uint_eq(nrestored, i - 1);
		ck_assert_int_eq(in_function, 0);
		ck_assert_int_eq(lost.cause.code, -ENOTCONN);
		ck_assert_int_eq(restored.state, VFU_DEVICE_STATE_LOST);
		ck_assert_uint_ge(restored.attempts, 1);
		ck_assert_int_eq(vfu_client_status(cl), 0);
	}
	/* What was taken away stays away. */
	ck_assert_int_eq(vfu_client_dma_unmap(cl, RAM, PAGE), 0);
	ck_assert_int_eq(vfu_client_irq_disable(cl, VFU_IRQ_INTX), 0);
	restart();
	settle();
	memset(ram, 0, sizeof(ram));
	ck_assert_int_eq(vfu_client_region_write(cl, 0, KICK, "abcd", 4), 0);
	ck_assert_uint_eq(ram[0], 0);
	ck_assert_uint_eq(shared[0], 'a');
	ck_assert_int_eq(poll(&(struct pollfd){.fd = intx, .events = POLLIN}, 1, 0), 0);
}
END_TEST

/* Masks are a part of what is said again. */
START_TEST(masks_are_there_again)
{
	set_up_device();
	ck_assert_int_eq(vfu_client_irq_mask(cl, VFU_IRQ_INTX, 0, 1), 0);
	restart();
	settle();
	ck_assert_int_eq(vfu_client_region_write(cl, 0, KICK, "abcd", 4), 0);
	ck_assert_uint_eq(ram[0], 'a');
	ck_assert_int_eq(poll(&(struct pollfd){.fd = intx, .events = POLLIN}, 1, 0), 0);
	ck_assert_int_eq(vfu_client_irq_unmask(cl, VFU_IRQ_INTX, 0, 1), 0);
	restart();
	settle();
	check_all(3);
}
END_TEST

static pthread_t answerer;
static int answered;

static void *answers(void *later)
{
	answered = vfu_client_dma_answer(later, 0);
	return NULL;
}

static int later(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	struct vfu_client_dma *dma = vfu_client_dma_later(cl);

	(void)user, (void)is_write, (void)iova, (void)data, (void)len;
	if (!dma)
		return -ENOBUFS;
	pthread_create(&answerer, NULL, answers, dma);
	return VFU_LATER;
}

static void kick(void)
{
	ck_assert_int_eq(vfu_client_region_write(cl, 0, KICK, "abcd", 4), 0);
}

/* The device has its memory again before calls have the connection: what it does to it is answered, at once or later. */
START_TEST(answered_later_before_calls)
{
	answered = 1;
	ck_assert_int_eq(vfu_client_dma_map_fn(cl, RAM, PAGE, VFU_DMA_WRITE, later, NULL), 0);
	when_restored = kick;
	restart();
	settle();
	ck_assert_uint_eq(nrestored, 1);
	pthread_join(answerer, NULL);
	ck_assert_int_eq(answered, 0);
}
END_TEST

static void *unmaps(void *arg)
{
	uint32_t value;

	ck_assert(vfu_client_dma_unmap(cl, SHARED, PAGE) == -ENOTCONN);
	/* It finds that this connection has ended, of which the function is to be told next. */
	ck_assert(vfu_client_region_read(cl, 0, ANSWER, &value, 4) == -ENOTCONN);
	return arg;
}

/* Its function takes longer than others wait. */
static void unmap_meanwhile(void)
{
	pthread_t other;

	when_restored = NULL;
	vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 20);
	pthread_create(&other, NULL, unmaps, NULL);
	pthread_join(other, NULL);
	vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 50000);
}

/* Nobody can ask the device for it then; so it is a connection that was told of the memory which ends. */
START_TEST(unmapped_before_calls)
{
	set_up_device();
	when_restored = unmap_meanwhile;
	restart();
	settle();
	ck_assert_int_eq(vfu_client_region_write(cl, 0, KICK, "abcd", 4), 0);
	ck_assert_uint_eq(ram[0], 'a');
	ck_assert_uint_eq(shared[0], 0);
}
END_TEST

static int unmap_itself(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	(void)is_write, (void)iova, (void)data, (void)len;
	*(int *)user = vfu_client_dma_unmap(cl, RAM, PAGE);
	return 0;
}

/* Nothing waits for itself, whatever the connection is at. */
START_TEST(unmapped_in_its_function)
{
	int status = 1;

	set_up_device();
	ck_assert_int_eq(vfu_client_dma_unmap(cl, RAM, PAGE), 0);
	ck_assert_int_eq(vfu_client_dma_map_fn(cl, RAM, PAGE, VFU_DMA_WRITE, unmap_itself, &status),
			 0);
	is_eager = true;
	restart();
	settle();
	ck_assert_int_eq(status, -EDEADLK);
}
END_TEST

static void *restarts_when_it_hangs(void *arg)
{
	while (nhanging < 2)
		poll(NULL, 0, 1);
	restart();
	return arg;
}

static void store(void *user, int status)
{
	*(int *)user = status;
}

/* The request that is on its way has a defined end, and is not repeated. */
START_TEST(requests_in_flight)
{
	pthread_t other;
	uint32_t value, late;
	int status = 1;

	ck_assert_int_eq(vfu_client_region_read_async(cl, 0, HANG, &late, 4, store, &status), 0);
	pthread_create(&other, NULL, restarts_when_it_hangs, NULL);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, HANG, &value, 4), -ENOTCONN);
	ck_assert_int_eq(status, -ENOTCONN);
	pthread_join(other, NULL);
	settle();
	ck_assert_uint_eq(nhanging, 0);
	ck_assert_uint_eq(nrestored, 1);
}
END_TEST

/* A map that nobody waits for and that was under way is not there: the next fence says so, on whichever connection. */
START_TEST(maps_in_flight)
{
	struct vfu_dma_range range;

	ck_assert_int_eq(vfu_client_use_bus_master(cl), 0);
	stop_serving();
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, RAM, PAGE, VFU_DMA_READ, ram, -1, 0), 0);
	free_server();
	begin_server();
	settle();
	ck_assert_uint_eq(vfu_client_dma_ranges(cl, &range, 1), 0);
	ck_assert_int_eq(vfu_client_fence(cl), -ENOTCONN);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
}
END_TEST

/* Writes that want no answer may be lost, unless a later access was answered. */
START_TEST(posts_in_flight)
{
	uint32_t value = 7;

	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(vfu_client_region_post(cl, 0, 16, &value, 4), 0);
	if (_i)
		settle();
	restart();
	settle();
	ck_assert_uint_eq(lost.posts, _i ? 0 : 3);
	restart();
	settle();
	ck_assert_uint_eq(lost.posts, 0);
}
END_TEST

/* A batch of two connections, of which the first may have been lost; and one of the second alone. */
START_TEST(batches_in_flight)
{
	int (*const end[])(struct vfu_client *) = {vfu_client_post_end, vfu_client_post_leave};
	struct vfu_err err;

	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(vfu_client_post_begin(cl), 0);
		ck_assert_int_eq(vfu_client_region_post(cl, 0, 16, "abcd", 4), 0);
		restart();
		settle();
		ck_assert_int_eq(vfu_client_region_post(cl, 0, 16, "abcd", 4), 0);
		ck_assert_int_eq(end[i](cl), -ENOTCONN);
		vfu_client_err(cl, &err);
		ck_assert_ptr_nonnull(strstr(err.text, "batch"));
		ck_assert_int_eq(vfu_client_post_begin(cl), 0);
		ck_assert_int_eq(vfu_client_region_post(cl, 0, 16, "abcd", 4), 0);
		ck_assert_int_eq(end[i](cl), 0);
	}
}
END_TEST

/* ---- an event loop ---- */

static void turn_for(int most)
{
	struct pollfd pfds[4];
	int n = vfu_client_pollfds(cl, pfds, 4), timeout = vfu_client_timeout(cl);

	ck_assert_int_gt(n, 0);
	ck_assert(poll(pfds, (nfds_t)n, timeout < 0 || timeout > most ? most : timeout) >= 0);
	ck_assert_int_ge(vfu_client_process(cl, 0), 0);
}

static void turn(void)
{
	turn_for(60000);
}

/* The same with the one descriptor that stands for all. */
static void turn_of_fd(void)
{
	struct pollfd pfd = {.fd = vfu_client_fd(cl), .events = POLLIN};
	int timeout = vfu_client_timeout(cl);

	ck_assert(poll(&pfd, 1, timeout < 0 ? 60000 : timeout) >= 0);
	ck_assert_int_ge(vfu_client_process(cl, 0), 0);
}

START_TEST(in_a_loop)
{
	void (*one)(void) = _i ? turn_of_fd : turn;
	uint32_t value = 0;
	int status = 1;

	set_up_device();
	for (unsigned i = 1; i < 4; i++) {
		end_server();
		while (nlost < i)
			one();
		ck_assert_int_eq(vfu_client_status(cl), -EINPROGRESS);
		ck_assert_int_eq(vfu_client_region_read_async(cl, 0, ANSWER, &value, 4, store,
							      &status),
				 -ENOTCONN);
		one();
		begin_server();
		while (nrestored < i)
			one();
		status = 1;
		ck_assert_int_eq(
			vfu_client_region_read_async(cl, 0, ANSWER, &value, 4, store, &status), 0);
		while (status == 1)
			one();
		ck_assert_int_eq(status, 4);
		check_all(i);
	}
}
END_TEST

/* ---- threads ---- */

static atomic_bool is_over;
static atomic_uint odd;

static void *asks_on(void *arg)
{
	unsigned answers = 0;

	while (!is_over || !answers) {
		uint32_t value = 0;
		int ret = vfu_client_region_read(cl, 0, ANSWER, &value, 4);

		if ((ret && ret != -ENOTCONN) || (!ret && value != 42))
			odd++;
		answers += !ret;
	}
	return arg;
}

static void *serves_on(void *arg)
{
	ck_assert(vfu_client_serve(cl, -1) == -ENOTCONN);
	return arg;
}

START_TEST(many_threads)
{
	pthread_t threads[4], server;

	is_over = false;
	odd = 0;
	set_up_device();
	pthread_create(&server, NULL, serves_on, NULL);
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, asks_on, NULL);
	for (unsigned i = 0; i < 10; i++) {
		poll(NULL, 0, 5);
		restart();
	}
	is_over = true;
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(odd, 0);
	settle();
	check_all(7);
	ck_assert_int_eq(vfu_client_disconnect(cl), 0);
	pthread_join(server, NULL);
}
END_TEST

static atomic_bool has_answers;

static void *asks_once(void *arg)
{
	uint32_t value;
	int ret;

	while ((ret = vfu_client_region_read(cl, 0, ANSWER, &value, 4)))
		ck_assert(ret == -ENOTCONN);
	has_answers = true;
	return arg;
}

/* Only the thread of an event loop reads; what others ask for waits until it has connected again. */
START_TEST(one_who_reads)
{
	pthread_t other;

	set_up_device();
	ck_assert_int_eq(vfu_client_set_reader(cl, true), 0);
	for (unsigned i = 1; i < 6; i++) {
		restart();
		has_answers = false;
		pthread_create(&other, NULL, asks_once, NULL);
		while (nrestored < i || !has_answers)
			turn_for(10);
		pthread_join(other, NULL);
		check_all(i);
	}
	ck_assert_int_eq(vfu_client_set_reader(cl, false), 0);
}
END_TEST

/* vfu_client_serve alone does it, too: for a thread that serves the device while others sleep. */
START_TEST(one_who_only_serves)
{
	pthread_t server;

	set_up_device();
	pthread_create(&server, NULL, serves_on, NULL);
	for (unsigned i = 1; i < 4; i++) {
		restart();
		while (nrestored < i)
			poll(NULL, 0, 1);
	}
	settle();
	check_all(1);
	ck_assert_int_eq(vfu_client_disconnect(cl), 0);
	pthread_join(server, NULL);
}
END_TEST

/* Who waits for something of a time of its own, without an answer, waits so long for a connection. */
START_TEST(with_times_of_their_own)
{
	uint64_t count;
	uint32_t value;

	set_up_device();
	end_server();
	dev = NULL;
	while (vfu_client_status(cl) != -EINPROGRESS)
		vfu_client_process(cl, 0);
	ck_assert_int_eq(vfu_client_serve(cl, 0), 0);
	ck_assert_int_eq(vfu_client_serve(cl, 1), 0);
	ck_assert_int_eq(vfu_client_irq_wait(cl, intx, 1, &count), 0);
	ck_assert_int_eq(write(intx, &(uint64_t){3}, 8), 8);
	ck_assert_int_eq(vfu_client_irq_wait(cl, intx, -1, &count), 1);
	ck_assert_uint_eq(count, 3);
	ck_assert_int_eq(vfu_client_region_read_async(cl, 0, ANSWER, &value, 4, store, NULL),
			 -ENOTCONN);
}
END_TEST

/* ---- ends ---- */

static void await_end_of_link(int code, const char *text)
{
	uint32_t value;
	struct vfu_err err;

	while (!nended)
		ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	ck_assert_int_eq(ended.cause.code, code);
	ck_assert_ptr_nonnull(strstr(ended.cause.text, text));
	ck_assert_int_eq(vfu_client_status(cl), code);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	vfu_client_err(cl, &err);
	ck_assert_ptr_nonnull(strstr(err.text, text));
	ck_assert_uint_eq(nended, 1);
}

START_TEST(another_device)
{
	set_up_device();
	end_server();
	bar1_size = 2 * (uint64_t)PAGE;
	begin_server();
	await_end_of_link(-ESTALE, "the size of region 1 is 8192 and was 4096");
	ck_assert_uint_eq(nrestored, 0);
	/* It is a new beginning. */
	ck_assert_int_eq(vfu_client_disconnect(cl), 0);
	ck_assert_int_eq(vfu_client_connect(cl, path), 0);
	settle();
	set_up_device();
	check_all(5);
}
END_TEST

START_TEST(other_limits)
{
	end_server();
	transfer = 65536;
	begin_server();
	await_end_of_link(-ESTALE, "max_data_xfer_size is 65536 and was 1048576");
}
END_TEST

START_TEST(given_up)
{
	ck_assert_int_eq(vfu_client_disconnect(cl), 0);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_RECONNECT_MS, 20), 0);
	ck_assert_int_eq(vfu_client_connect(cl, path), 0);
	end_server();
	dev = NULL;
	await_end_of_link(-ENOENT, "cannot connect to");
	ck_assert_int_eq(vfu_client_serve(cl, -1), -ENOTCONN);
	ck_assert_int_eq(vfu_client_process(cl, 0), -ENOTCONN);
	ck_assert_int_eq(vfu_client_connect(cl, path), -ENOENT);
}
END_TEST

static void *ends_it(void *arg)
{
	poll(NULL, 0, 20);
	if (arg)
		is_signalled = true;
	else
		vfu_client_disconnect(cl);
	return NULL;
}

/* Who waits for a server to come back can be stopped. */
START_TEST(waits_can_be_ended)
{
	uint32_t value;
	pthread_t other;
	int ret;

	set_up_device();
	end_server();
	dev = NULL;
	while (!nlost)
		vfu_client_region_read(cl, 0, ANSWER, &value, 4);
	pthread_create(&other, NULL, ends_it, _i ? &other : NULL);
	ret = vfu_client_region_read(cl, 0, ANSWER, &value, 4);
	ck_assert_int_eq(ret, _i ? -EINTR : -ENOTCONN);
	pthread_join(other, NULL);
	ck_assert_int_eq(vfu_client_status(cl), _i ? -EINPROGRESS : -ENOTCONN);
	/* What is unmapped while there is no server is unmapped, and no more. */
	ck_assert_int_lt(vfu_client_dma_unmap(cl, RAM, PAGE), 0);
	ck_assert_int_lt(vfu_client_dma_unmap(cl, 0, 0), 0);
	ck_assert_uint_eq(vfu_client_dma_ranges(cl, NULL, 0), _i ? 1 : 0);
	is_signalled = false;
	ck_assert_int_eq(vfu_client_disconnect(cl), 0);
	ck_assert_int_eq(vfu_client_status(cl), -ENOTCONN);
}
END_TEST

/* A child has no part in it, whatever locks others held when it was made. */
START_TEST(children)
{
	int status;
	pid_t pid;

	if (lacks(LACKS_WIPEONFORK, __func__))
		return;
	set_up_device();
	end_server();
	dev = NULL;
	pid = fork();
	if (pid == 0) {
		bool is_told = vfu_client_status(cl) == -EOWNERDEAD &&
			       vfu_client_dma_unmap(cl, RAM, PAGE) == -EOWNERDEAD &&
			       vfu_client_dma_unmap_all(cl) == -EOWNERDEAD;

		_exit(!is_told);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- again and again ---- */

/* For a second; each pause is longer than the last. test-comeback does as many as are wanted, without pauses. */
START_TEST(restarts_leave_nothing)
{
	struct timespec now, until;
	unsigned fds, n;

	set_up_device();
	restart();
	settle();
	fds = leaks_open_fds();
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	for (n = 0; n < 10000; n++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (n >= 20 && now.tv_sec >= until.tv_sec)
			break;
		restart();
		settle();
	}
	check_all(n);
	ck_assert_uint_eq(nlost, n + 1);
	ck_assert_uint_eq(nrestored, n + 1);
	ck_assert_uint_eq(leaks_open_fds(), fds);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reconnect");
	TCase *tcase = tcase_create("reconnect");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, all_is_there_again);
	tcase_add_test(tcase, masks_are_there_again);
	tcase_add_test(tcase, answered_later_before_calls);
	tcase_add_test(tcase, unmapped_before_calls);
	tcase_add_test(tcase, unmapped_in_its_function);
	tcase_add_test(tcase, requests_in_flight);
	tcase_add_test(tcase, maps_in_flight);
	tcase_add_loop_test(tcase, posts_in_flight, 0, 2);
	tcase_add_test(tcase, batches_in_flight);
	tcase_add_loop_test(tcase, in_a_loop, 0, 2);
	tcase_add_test(tcase, many_threads);
	tcase_add_test(tcase, one_who_reads);
	tcase_add_test(tcase, one_who_only_serves);
	tcase_add_test(tcase, with_times_of_their_own);
	tcase_add_test(tcase, another_device);
	tcase_add_test(tcase, other_limits);
	tcase_add_test(tcase, given_up);
	tcase_add_loop_test(tcase, waits_can_be_ended, 0, 2);
	tcase_add_test(tcase, children);
	tcase_add_test(tcase, restarts_leave_nothing);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
