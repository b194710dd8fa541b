/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-threads.c - one client used by many threads, against our server: every kind of request at once.
 *
 *	8 threads ----- reads, writes, posts, async, interrupts, info ---> device
 *	one of them  <- DMA_READ, DMA_WRITE: memory and callback --------- its copies
 *	reads for all
 *
 * Each thread has registers, a window of plain memory and eventfds of its own, so it knows what it must
 * find. It makes 100,000 requests, or with a slow machine (a sanitizer, valgrind) as many as it can in a
 * few seconds; all with FULL=1 in the environment.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/suite.h"
#include "vfu.h"

enum { THREADS = 8, REQUESTS = 100000, SECONDS = 3, WINDOW = 32 };

/* Of each thread: registers in BAR0, and bytes of plain memory in BAR1. */
enum { VALUE = 0, COPY = 8, REGS = 16, SLICE = 4096 };

/* What the device copies: from memory that is there to what a callback serves. */
enum { PAGE = 4096, FROM = 0x100000, TO = 0x200000, PIECE = 64 };

static struct vfu_device *dev;
static struct vfu_server *srv;
static struct vfu_client *cl;
static pthread_t server_thread;
static uint64_t values[THREADS];    /* the device's */
static atomic_uint copies, refused; /* of the device: ended well, and not */
static uint8_t memory[PAGE];        /* at FROM */
static atomic_uint served;          /* calls of the callback at TO */
static atomic_uint odd;             /* of them with other bytes than memory has */
static struct timespec until;

/* ---- the device ---- */

struct copy {
	uint8_t data[PIECE];
	uint64_t at;
	bool is_write;
};

static void copied(void *user, int status)
{
	struct copy *copy = user;

	if (!status && !copy->is_write) {
		copy->is_write = true;
		status = vfu_dma_write_async(dev, TO + copy->at, copy->data, PIECE, copied, copy);
		if (!status)
			return;
	}
	atomic_fetch_add(status ? &refused : &copies, 1);
	free(copy);
}

/* Starts a copy; with too many under way (-ENOBUFS) the client is told so. */
static int start_copy(uint64_t at)
{
	struct copy *copy = calloc(1, sizeof(*copy));
	int ret;

	ck_assert_ptr_nonnull(copy);
	copy->at = at;
	ret = vfu_dma_read_async(dev, FROM + at, copy->data, PIECE, copied, copy);
	if (ret)
		free(copy);
	return ret;
}

static int bar0(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	uint64_t *value = &values[a->offset / REGS % THREADS];
	uint64_t number = 0;

	(void)user;
	(void)req;
	if (!a->is_write) {
		memcpy(a->data, value, a->count);
		return 0;
	}
	memcpy(&number, a->data, a->count);
	if (a->offset % REGS == COPY)
		return start_copy(number % (PAGE / PIECE) * PIECE);
	*value = number;
	return 0;
}

static void *serve(void *arg)
{
	int ret;

	(void)arg;
	do
		ret = vfu_server_run(srv);
	while (ret == -EINTR);
	ck_assert(ret == 0);
	return NULL;
}

static void make_device(int fd)
{
	uint32_t rw = VFU_REGION_READ | VFU_REGION_WRITE;
	struct vfu_region regs = {.size = PAGE, .flags = rw, .access = bar0, .fd = -1};
	struct vfu_region plain = {.size = THREADS * SLICE, .flags = rw, .fd = -1};
	struct vfu_region table = {.size = PAGE, .flags = rw, .fd = -1};

	dev = vfu_device_new();
	ck_assert_ptr_nonnull(dev);
	ck_assert_int_eq(vfu_device_set_region(dev, 0, &regs), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 1, &plain), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 4, &table), 0);
	ck_assert_int_eq(vfu_device_set_msix(dev, THREADS, 4, 0, 2048), 0);
	srv = vfu_server_new(dev);
	ck_assert_ptr_nonnull(srv);
	ck_assert_int_eq(vfu_server_listen_inherited(srv, fd), 0);
	ck_assert_int_eq(pthread_create(&server_thread, NULL, serve, NULL), 0);
}

/* ---- the client ---- */

/* By whatever thread reads just now. */
static int serve_dma(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	(void)user;
	atomic_fetch_add(&served, 1);
	if (!is_write || iova < TO || iova + len > TO + PAGE ||
	    memcmp(data, memory + (iova - TO), len) != 0)
		atomic_fetch_add(&odd, 1);
	return 0;
}

static void setup(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	memset(values, 0, sizeof(values));
	atomic_store(&copies, 0);
	atomic_store(&refused, 0);
	atomic_store(&served, 0);
	for (unsigned i = 0; i < PAGE; i++)
		memory[i] = (uint8_t)(i * 7 + (i >> 8));
	make_device(fds[1]);
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 100000), 0);
	ck_assert_int_eq(vfu_client_attach(cl, fds[0]), 0);
	vfu_client_set_dma(cl, serve_dma, NULL);
	ck_assert_int_eq(vfu_client_dma_map(cl, FROM, PAGE, VFU_DMA_READ, memory, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, TO, PAGE, VFU_DMA_WRITE, NULL, -1, 0), 0);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SECONDS;
}

static void teardown(void)
{
	vfu_client_free(cl);
	pthread_join(server_thread, NULL);
	vfu_server_free(srv);
	ck_assert_int_eq(vfu_device_free(dev), 0);
}

/* ---- a thread ---- */

struct user {
	pthread_t thread;
	unsigned n, done;         /* which one, and its requests */
	uint64_t value, posted;   /* what it wrote last */
	unsigned triggers, kicks; /* interrupts and copies asked for */
	int eventfd;
	atomic_uint asked, answered, failed; /* async */
	uint8_t into[WINDOW];
};

static void answered(void *user, int status)
{
	struct user *u = user;

	atomic_fetch_add(status == 1 ? &u->answered : &u->failed, 1);
}

static void read_back(struct user *u)
{
	uint64_t got = 0;

	ck_assert_int_eq(vfu_client_region_read(cl, 0, u->n * REGS + VALUE, &got, 8), 0);
	ck_assert_uint_eq(got, u->value);
}

static void write_value(struct user *u)
{
	u->value = u->value * 3 + u->n + 1;
	ck_assert_int_eq(vfu_client_region_write(cl, 0, u->n * REGS + VALUE, &u->value, 8), 0);
}

/* What was posted is there when a later request of this thread is served. */
static void post(struct user *u)
{
	uint64_t got = 0;

	u->posted++;
	ck_assert_int_eq(vfu_client_region_post(cl, 1, u->n * SLICE, &u->posted, 8), 0);
	if (u->posted % 8)
		return;
	ck_assert_int_eq(vfu_client_region_read(cl, 1, u->n * SLICE, &got, 8), 0);
	ck_assert_uint_eq(got, u->posted);
}

/* A full queue, or a full window, is waited for. */
static void start(struct user *u, bool is_write)
{
	unsigned i = atomic_load(&u->asked) % WINDOW;
	uint64_t at = u->n * SLICE + 64 + i;
	int ret;

	while (u->asked - u->answered - u->failed >= WINDOW)
		read_back(u);
	ret = is_write ? vfu_client_region_write_async(cl, 1, at, "x", 1, answered, u)
		       : vfu_client_region_read_async(cl, 1, at, &u->into[i], 1, answered, u);
	if (ret)
		ck_assert_int_eq(ret, -ENOBUFS);
	else
		atomic_fetch_add(&u->asked, 1);
}

static void trigger(struct user *u)
{
	u->triggers++;
	ck_assert_int_eq(vfu_client_irq_trigger(cl, VFU_IRQ_MSIX, u->n, 1), 0);
}

static void kick(struct user *u)
{
	uint32_t number = u->kicks;
	int ret = vfu_client_region_write(cl, 0, u->n * REGS + COPY, &number, 4);

	if (ret)
		ck_assert_int_eq(ret, -ENOBUFS);
	else
		u->kicks++;
}

static void ask(struct user *u)
{
	struct vfu_irq_info info;

	(void)u;
	ck_assert_int_eq(vfu_client_irq_info(cl, VFU_IRQ_MSIX, &info), 0);
	ck_assert_uint_eq(info.count, THREADS);
}

static void one_request(struct user *u)
{
	switch ((u->done + u->n) % 8) {
	case 0:
		write_value(u);
		break;
	case 1:
		start(u, false);
		break;
	case 2:
		post(u);
		break;
	case 3:
		read_back(u);
		break;
	case 4:
		start(u, true);
		break;
	case 5:
		trigger(u);
		break;
	case 6:
		kick(u);
		break;
	default:
		ask(u);
		break;
	}
	u->done++;
}

static bool is_late(const struct user *u)
{
	struct timespec now;

	if (!u->done || u->done % 64 || getenv("FULL"))
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > until.tv_sec ||
	       (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec);
}

static void *use(void *arg)
{
	struct user *u = arg;

	u->eventfd = passed_eventfd(EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert(u->eventfd >= 0);
	ck_assert(vfu_client_irq_set_eventfds(cl, VFU_IRQ_MSIX, u->n, 1, &u->eventfd) == 0);
	while (u->done < REQUESTS && !is_late(u))
		one_request(u);
	while (u->asked > u->answered + u->failed)
		read_back(u);
	return NULL;
}

static void check(struct user *u, bool counts)
{
	eventfd_t count = 0;

	read_back(u);
	ck_assert_uint_eq(u->failed, 0);
	ck_assert_uint_ge(u->done, 64);
	if (u->triggers)
		ck_assert_int_eq(eventfd_read(u->eventfd, &count), 0);
	if (counts)
		ck_assert_uint_eq(count, u->triggers);
	close(u->eventfd);
}

START_TEST(mixed)
{
	struct user users[THREADS] = {{0}};
	unsigned kicks = 0;
	bool counts = !lacks(LACKS_COUNTS, __func__);
	struct vfu_stats stats;

	for (unsigned i = 0; i < THREADS; i++) {
		users[i].n = i;
		ck_assert_int_eq(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(users[i].thread, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		check(&users[i], counts);
		kicks += users[i].kicks;
	}
	while (atomic_load(&copies) + atomic_load(&refused) < kicks)
		ck_assert_int_ge(vfu_client_serve(cl, 10), 0);
	ck_assert_uint_eq(atomic_load(&refused), 0);
	ck_assert_uint_eq(atomic_load(&served), kicks);
	ck_assert_uint_eq(atomic_load(&odd), 0);
	vfu_client_stats(cl, &stats);
	ck_assert_uint_eq(stats.violations + stats.drops + stats.late_replies, 0);
	ck_assert_uint_eq(stats.requests_in, 2 * (uint64_t)kicks);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads");
	TCase *tcase = tcase_create("one handle");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 900);
	tcase_add_test(tcase, mixed);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
