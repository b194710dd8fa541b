/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-dma.c - the DMA table, pins and copies; the connection is one of the test's own.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "transport/conn.h"
#include "device/dma.h"
#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "base/os.h"
#include "base/shared.h"
#include "base/sigbus.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"
#include "policy.h"
#include "wire.h"

#define PAGE 4096u
#define BASE UINT64_C(0x100000)
#define R VFU_WIRE_DMA_MAP_READABLE
#define W VFU_WIRE_DMA_MAP_WRITEABLE
#define RW (R | W)
#define IO VFU_WIRE_DMA_MAP_FILE_IO

static struct vfui_dma dma;
static struct vfui_policy policy;
static struct vfu_err err;

/* ---- a connection of our own ------------------------------------------------------------------- */

/* One request that was sent and not answered. */
struct sent {
	struct vfui_out out;
	uint64_t address, count;
	uint8_t *data; /* of a write */
	bool is_open;
};

static struct sent sent[4096];
static unsigned nsent, nopen;
static int send_result;
static unsigned send_results; /* how often send_result is given, from now on */
static pthread_mutex_t conn_lock = PTHREAD_MUTEX_INITIALIZER;

int vfui_conn_send(struct vfui_conn *conn, const struct vfui_out *out)
{
	struct sent *s;

	ck_assert_ptr_eq(conn, (struct vfui_conn *)&conn_lock);
	if (send_results) {
		send_results--;
		return send_result;
	}
	pthread_mutex_lock(&conn_lock);
	s = &sent[nsent++];
	nopen++;
	pthread_mutex_unlock(&conn_lock);
	*s = (struct sent){.out = *out};
	ck_assert_uint_eq(out->iov[0].iov_len, 16);
	memcpy(&s->address, out->iov[0].iov_base, 8);
	memcpy(&s->count, (uint8_t *)out->iov[0].iov_base + 8, 8);
	if (out->command == VFU_WIRE_CMD_DMA_WRITE) {
		ck_assert_int_eq(out->niov, 2);
		ck_assert_uint_eq(out->iov[1].iov_len, s->count);
		s->data = malloc(s->count);
		memcpy(s->data, out->iov[1].iov_base, s->count);
	} else {
		ck_assert_int_eq(out->niov, 1);
	}
	pthread_mutex_lock(&conn_lock);
	s->is_open = true;
	pthread_mutex_unlock(&conn_lock);
	return 0;
}

void vfui_conn_wake(struct vfui_conn *conn)
{
	(void)conn;
}

void vfui_conn_drop_sink(struct vfui_conn *conn, const void *memory, size_t len)
{
	ck_assert_ptr_eq(conn, (struct vfui_conn *)&conn_lock);
	for (unsigned i = 0; i < nsent; i++) {
		if (sent[i].is_open &&
		    (uintptr_t)sent[i].out.sink - (uintptr_t)memory < (uintptr_t)len)
			sent[i].out.sink = NULL;
	}
}

int vfui_conn_wait(struct vfui_conn *conn, bool (*ready)(void *arg), void *arg, int timeout_ms)
{
	(void)conn;
	(void)timeout_ms;
	return ready(arg) ? 0 : -ENOTCONN;
}

/* Client memory behind message ranges. */
static uint8_t pattern(uint64_t address)
{
	return (uint8_t)(address * 7 + address / 256);
}

/* Ends request i: with status, or a reply of len bytes that says count. */
static void answer_with(unsigned i, int status, uint64_t count, size_t len)
{
	struct sent *s = &sent[i];
	uint64_t head[2] = {s->address, count};
	uint8_t *payload = calloc(1, 16 + s->count);
	struct vfui_msg msg = {.payload = payload, .len = len};

	ck_assert(s->is_open);
	s->is_open = false;
	nopen--;
	memcpy(payload, head, 16);
	if (len == 12) /* a count of 32 bits */
		memcpy(payload + 8, &(uint32_t){(uint32_t)count}, 4);
	for (uint64_t at = 0; at < s->count && s->out.command == VFU_WIRE_CMD_DMA_READ && !status;
	     at++) {
		payload[16 + at] = pattern(s->address + at);
		if (s->out.sink)
			((uint8_t *)s->out.sink)[at] = payload[16 + at];
	}
	/* As the connection does where the sink was taken away. */
	if (s->out.sink_len && !s->out.sink && !status)
		status = -ECANCELED;
	s->out.done(s->out.user, status, status ? NULL : &msg);
	free(s->data);
	s->data = NULL;
	free(payload);
}

static void answer(unsigned i)
{
	answer_with(i, 0, sent[i].count, 16 + (sent[i].data ? 0 : sent[i].count));
}

/* Answers all there is, newest first if so asked, until no more comes. */
static void answer_all(bool backwards)
{
	while (nopen) {
		for (unsigned i = 0, n = nsent; i < n; i++) {
			unsigned at = backwards ? n - 1 - i : i;

			if (sent[at].is_open)
				answer(at);
		}
	}
}

/* ---- fixture ----------------------------------------------------------------------------------- */

static char hooked[4096];

static void mapped(void *ctx, const struct vfu_dma_range *range)
{
	(void)ctx;
	snprintf(hooked + strlen(hooked), 64, "+%llx ", (unsigned long long)range->iova / PAGE);
}

static void unmapping(void *ctx, const struct vfu_dma_range *range)
{
	(void)ctx;
	snprintf(hooked + strlen(hooked), 64, "-%llx ", (unsigned long long)range->iova / PAGE);
}

static const struct vfui_dma_limits limits = {.max_maps = 65535,
					      .max_xfer = 4 * PAGE,
					      .window = 4,
					      .read_bytes = 6 * PAGE,
					      .bounce_bytes = 32 * PAGE};

/* All tests run twice: as if in callbacks of a server, whose thread copies alone, and not so. */
static bool in_a_round;

static void start(const struct vfui_dma_hooks *hooks, const struct vfui_dma_limits *with)
{
	ck_assert_int_eq(vfui_dma_init(&dma, hooks), 0);
	vfui_dma_set_round(&dma, in_a_round);
	ck_assert_int_eq(vfui_dma_connect(&dma, (struct vfui_conn *)&conn_lock, with), 0);
}

static void setup(void)
{
	const struct vfui_dma_hooks hooks = {.mapped = mapped, .unmapping = unmapping};

	policy = (struct vfui_policy){0};
	nsent = 0;
	send_results = 0;
	hooked[0] = '\0';
	start(&hooks, &limits);
}

static void setup_round(void)
{
	in_a_round = true;
	setup();
}

static void end(void)
{
	vfui_dma_disconnect(&dma);
	for (unsigned i = 0; i < nsent; i++) {
		if (sent[i].is_open)
			answer_with(i, -ENOTCONN, 0, 0);
	}
	nsent = 0;
	vfui_dma_fini(&dma);
}

static void teardown(void)
{
	end();
	in_a_round = false;
}

static int file(uint64_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* As a server does: what the generated check refuses does not get so far. */
static int map(uint32_t flags, uint64_t offset, uint64_t iova, uint64_t size, int fd)
{
	const struct vfui_limits agreed = {.pgsize = PAGE, .max_msg_fds = 1};
	const struct vfu_wire_dma_map_request in = {sizeof(in), flags, offset, iova, size};
	int rc = vfui_check_dma_map_request(&in, sizeof(in), fd >= 0, &agreed, &policy, NULL, NULL);

	if (rc) {
		close(fd);
		return rc;
	}
	return vfui_dma_map(&dma, flags, offset, iova, size, fd, &policy, &err);
}

static int check_unmap(uint64_t iova, uint64_t size, uint32_t flags)
{
	const struct vfu_wire_dma_unmap_request in = {sizeof(in), flags, iova, size};

	return vfui_check_dma_unmap_request(&in, sizeof(in), 0, NULL, &policy, NULL, NULL);
}

static int unmap(uint64_t iova, uint64_t size)
{
	struct vfui_dma_wait *wait;
	int rc = check_unmap(iova, size, 0);

	if (rc)
		return rc;
	rc = vfui_dma_unmap(&dma, iova, size, false, &policy, &wait, &err);
	ck_assert_ptr_null(wait);
	return rc;
}

struct result {
	unsigned n;
	int status;
};

static void done(void *user, int status)
{
	struct result *result = user;

	result->n++;
	result->status = status;
}

/* ---- maps -------------------------------------------------------------------------------------- */

START_TEST(maps_that_are_refused)
{
	const struct {
		uint32_t flags;
		uint64_t offset, iova, size;
		int fd, rc;
	} cases[] = {
		{RW, 0, BASE, 0, -1, -EINVAL},
		{RW, 0, UINT64_MAX - PAGE + 1, 2 * PAGE, -1, -EINVAL},
		{RW, 0, PAGE, UINT64_MAX - PAGE + 1, -1, 0},
		{RW, 0, BASE, 100, -1, -EINVAL},
		{RW, 0, BASE + 1, PAGE, -1, -EINVAL},
		{RW | 16, 0, BASE, PAGE, -1, -EINVAL},
		{RW | 4, 0, BASE, PAGE, -1, -EINVAL},
		{RW | 8, 0, BASE, PAGE, -1, -EINVAL},
		{RW | 12, 0, BASE, PAGE, file(PAGE), -EINVAL},
		{RW, 0, BASE, 2 * PAGE, file(PAGE), -EINVAL},
		{RW, PAGE, BASE, PAGE, file(PAGE), -EINVAL},
		{RW, UINT64_MAX - PAGE + 1, BASE, PAGE, file(PAGE), -EINVAL},
		{RW, INT64_MAX, BASE, PAGE, file(PAGE), -EINVAL},
		{RW, 0, BASE, UINT64_MAX - BASE + 1 - PAGE, file(PAGE), -EINVAL},
		{RW, 0, BASE, PAGE, open("/proc/self/exe", O_RDONLY), -EACCES},
		{R, 0, BASE, PAGE, 12345, -EBADF},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = map(cases[i].flags, cases[i].offset, cases[i].iova, cases[i].size,
			     cases[i].fd);

		ck_assert_msg(rc == cases[i].rc, "case %u: %d", i, rc);
		if (!rc)
			ck_assert_int_eq(unmap(cases[i].iova, cases[i].size), 0);
	}
	int pipes[2];

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(map(R, 0, BASE, PAGE, pipes[0]), -EINVAL);
	ck_assert_int_eq(map(W | IO, 0, BASE, PAGE, pipes[1]), -EINVAL);
	ck_assert_uint_eq(dma.maps.count, 0);
}
END_TEST

static int sealed(uint64_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

START_TEST(files_that_the_policy_takes)
{
	const struct {
		uint32_t flags;
		const char *path; /* NULL: a file of ours */
		int open, regular, sealed, any;
	} cases[] = {
		{RW, NULL, -1, 0, 0, 0},
		{RW | IO, NULL, -1, 0, 0, 0},
		{RW, NULL, 0, 0, -EINVAL, 0},
		{R | IO, NULL, 0, 0, -EINVAL, 0},
		{RW, "/dev/zero", O_RDWR, -EINVAL, -EINVAL, 0},
		{R | IO, "/dev/zero", O_RDONLY, -EINVAL, -EINVAL, -EINVAL},
		{R, "/dev/null", O_RDONLY, -EINVAL, -EINVAL, -EINVAL},
		{R | IO, "/dev/null", O_WRONLY, -EINVAL, -EINVAL, -EACCES},
		/* Made up as they are read: the size says nothing. */
		{RW | IO, "/proc/self/mem", O_RDWR, 0, -EINVAL, 0},
		{RW, "/proc/self/mem", O_RDWR, -EINVAL, -EINVAL, -EINVAL},
		{R, "/proc/self", O_RDONLY | O_DIRECTORY, -EINVAL, -EINVAL, -EINVAL},
	};

	for (unsigned i = 0; i < 3 * sizeof(cases) / sizeof(cases[0]); i++) {
		const int results[] = {cases[i / 3].regular, cases[i / 3].sealed, cases[i / 3].any};
		int fd = cases[i / 3].path   ? open(cases[i / 3].path, cases[i / 3].open)
			 : cases[i / 3].open ? sealed(PAGE)
					     : file(PAGE);
		int rc;

		policy.peer_file = i % 3;
		rc = map(cases[i / 3].flags, 0, BASE, PAGE, fd);
		ck_assert_msg(rc == results[i % 3], "case %u, policy %u: %d", i / 3, i % 3, rc);
		if (!rc)
			ck_assert_int_eq(unmap(BASE, PAGE), 0);
	}
}
END_TEST

static unsigned nexposed;

static void exposed(void *ctx)
{
	(void)ctx;
	nexposed++;
}

/* Stands first: the guard, once on, stays on in a process that runs all tests, and them again in rounds. */
START_TEST(told_of_files_that_can_be_cut)
{
	const struct vfui_dma_hooks hooks = {.exposed = exposed};
	const unsigned told = vfui_sigbus_is_guarded() ? 0 : 1;

	nexposed = 0;
	end();
	start(&hooks, &limits);
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, sealed(PAGE)), 0);
	ck_assert_int_eq(map(RW | IO, 0, BASE + PAGE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 2 * PAGE, PAGE, -1), 0);
	ck_assert_uint_eq(nexposed, 0);
	ck_assert_int_eq(map(RW, 0, BASE + 3 * PAGE, PAGE, file(PAGE)), 0);
	ck_assert_uint_eq(nexposed, told);
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 4 * PAGE, PAGE, file(PAGE)), 0);
	ck_assert_uint_eq(nexposed, told);
}
END_TEST

START_TEST(memory_of_a_process_through_its_file)
{
	static uint8_t there[2 * PAGE];
	uint64_t at = (uintptr_t)there;
	char data[16] = "from the device";

	ck_assert_int_eq(map(RW | IO, at, BASE, sizeof(there), open("/proc/self/mem", O_RDWR)), 0);
	ck_assert_int_eq(vfui_dma_write(&dma, BASE + PAGE - 8, data, sizeof(data)), 0);
	ck_assert_mem_eq(there + PAGE - 8, data, sizeof(data));
	there[0] = 5;
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, data, 1), 0);
	ck_assert_int_eq(data[0], 5);
}
END_TEST

START_TEST(the_last_page_can_be_mapped)
{
	struct vfu_dma_range range;

	ck_assert_int_eq(map(RW, 0, UINT64_MAX - PAGE + 1, PAGE, -1), 0);
	ck_assert_uint_eq(vfui_dma_list(&dma, &range, 1), 1);
	ck_assert_uint_eq(range.iova, UINT64_MAX - PAGE + 1);
	ck_assert_uint_eq(range.size, PAGE);
	ck_assert_int_eq(map(RW, 0, UINT64_MAX - 2 * PAGE + 1, PAGE, -1), 0);
	ck_assert_int_eq(unmap(UINT64_MAX - 2 * PAGE + 1, 2 * PAGE), 0);
	ck_assert_uint_eq(dma.maps.count, 0);
}
END_TEST

START_TEST(overlaps)
{
	ck_assert_int_eq(map(RW, 0, BASE, 4 * PAGE, -1), 0);
	for (unsigned first = 0; first < 6; first++) {
		for (unsigned n = 1; n < 8; n++) {
			bool hits = first < 5 && first + n > 1;
			uint64_t at = BASE - PAGE + first * PAGE;

			ck_assert_int_eq(map(RW, 0, at, n * PAGE, -1), hits ? -EEXIST : 0);
			if (!hits)
				ck_assert_int_eq(unmap(at, n * PAGE), 0);
		}
	}
	policy.map_repeat = VFUI_MAP_REPEAT_ACCEPT;
	ck_assert_int_eq(map(RW, 0, BASE, 4 * PAGE, file(4 * PAGE)), 0);
	ck_assert_int_eq(map(R, 0, BASE, 4 * PAGE, -1), -EEXIST);
	ck_assert_int_eq(map(RW, 0, BASE, 2 * PAGE, -1), -EEXIST);
	ck_assert_uint_eq(dma.maps.count, 1);
}
END_TEST

/* What the spec lets through and we do not know is the device's; how its file is used is ours. */
START_TEST(other_flags_reach_the_device)
{
	const uint32_t other = 1u << 20;
	struct vfu_dma_range range;

	ck_assert_int_eq(vfui_dma_map(&dma, R | other | VFU_WIRE_DMA_MAP_FILE_IO, 0, BASE, PAGE,
				      file(PAGE), &policy, &err),
			 0);
	ck_assert_uint_eq(vfui_dma_list(&dma, &range, 1), 1);
	ck_assert_uint_eq(range.flags, VFU_DMA_READ | other);
	/* A range is the same one only with the same flags. */
	policy.map_repeat = VFUI_MAP_REPEAT_ACCEPT;
	ck_assert_int_eq(map(R, 0, BASE, PAGE, file(PAGE)), -EEXIST);
}
END_TEST

START_TEST(misaligned_by_policy)
{
	policy.map_misaligned = VFUI_MAP_MISALIGNED_ACCEPT;
	int fd = file(3 * PAGE);
	char data[8] = {0};

	ck_assert_int_eq(pwrite(fd, "abcdefgh", 8, 5000), 8);
	ck_assert_int_eq(map(RW, 5000, BASE + 7, 100, fd), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE + 7, data, 8), 0);
	ck_assert_int_eq(memcmp(data, "abcdefgh", 8), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE + 100, data, 8), -EFAULT);
	ck_assert_int_eq(unmap(BASE + 7, 100), 0);
}
END_TEST

START_TEST(no_more_than_agreed)
{
	struct vfui_dma_limits few = limits;

	vfui_dma_disconnect(&dma);
	few.max_maps = 3;
	ck_assert_int_eq(vfui_dma_connect(&dma, (struct vfui_conn *)&conn_lock, &few), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(map(RW, 0, BASE + i * PAGE, PAGE, -1), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 3 * PAGE, PAGE, file(PAGE)), -ENOSPC);
	ck_assert_int_eq(vfui_dma_connect(&dma, (struct vfui_conn *)&conn_lock, &few), -EBUSY);
}
END_TEST

START_TEST(unmaps_that_cover)
{
	for (unsigned i = 1; i <= 5; i++)
		ck_assert_int_eq(map(RW, 0, i * 2 * PAGE, 2 * PAGE, -1), 0);
	hooked[0] = '\0';
	ck_assert_int_eq(unmap(PAGE, 2 * PAGE), -EINVAL);
	ck_assert_int_eq(unmap(3 * PAGE, PAGE), -EINVAL);
	ck_assert_int_eq(unmap(2 * PAGE, PAGE), -EINVAL);
	ck_assert_int_eq(unmap(0, 5 * PAGE), -EINVAL);
	ck_assert_int_eq(unmap(5 * PAGE, UINT64_C(1) << 47), -EINVAL);
	ck_assert_int_eq(unmap(0, 0), -EINVAL);
	ck_assert_int_eq(unmap(PAGE, UINT64_MAX), -EINVAL);
	ck_assert_str_eq(hooked, "");
	ck_assert_int_eq(unmap(UINT64_C(1) << 47, UINT64_C(1) << 47), 0);
	ck_assert_int_eq(unmap(0, 2 * PAGE), 0);
	ck_assert_str_eq(hooked, "");
	ck_assert_int_eq(unmap(4 * PAGE, 4 * PAGE), 0);
	ck_assert_str_eq(hooked, "-4 -6 ");
	ck_assert_int_eq(unmap(0, UINT64_C(1) << 63), 0);
	ck_assert_str_eq(hooked, "-4 -6 -2 -8 -a ");
}
END_TEST

START_TEST(unmaps_that_match)
{
	policy.unmap_range = VFUI_UNMAP_RANGE_EXACT;
	ck_assert_int_eq(map(RW, 0, BASE, 2 * PAGE, -1), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 2 * PAGE, PAGE, -1), 0);
	ck_assert_int_eq(unmap(BASE, PAGE), -ENOENT);
	ck_assert_int_eq(unmap(BASE, 3 * PAGE), -ENOENT);
	ck_assert_int_eq(unmap(0, PAGE), -ENOENT);
	ck_assert_int_eq(unmap(BASE + 4 * PAGE, PAGE), -ENOENT);
	ck_assert_int_eq(unmap(BASE, 2 * PAGE), 0);
	ck_assert_int_eq(unmap(BASE, 2 * PAGE), -ENOENT);
}
END_TEST

START_TEST(unmap_all)
{
	struct vfui_dma_wait *wait;

	ck_assert_int_eq(vfui_dma_unmap(&dma, 0, 0, true, &policy, &wait, &err), 0);
	ck_assert_int_eq(map(RW, 0, 0, PAGE, -1), 0);
	ck_assert_int_eq(map(RW, 0, UINT64_MAX - PAGE + 1, PAGE, -1), 0);
	ck_assert_int_eq(check_unmap(PAGE, 0, VFU_WIRE_DMA_UNMAP_ALL), -EINVAL);
	ck_assert_int_eq(check_unmap(0, PAGE, VFU_WIRE_DMA_UNMAP_ALL), -EINVAL);
	ck_assert_int_eq(vfui_dma_unmap(&dma, 0, 0, true, &policy, &wait, &err), 0);
	ck_assert_uint_eq(dma.maps.count, 0);
}
END_TEST

START_TEST(any_order_of_maps_and_unmaps)
{
	enum { N = 512 };
	uint8_t model[N] = {0}; /* 0: free, else length to the end of its range, 255: inside */
	uint64_t seed = 12345;

	for (unsigned step = 0; step < 40000; step++) {
		unsigned at, n, hits = 0;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		at = (unsigned)(seed >> 40) % N;
		n = 1 + (unsigned)(seed >> 56) % 3;
		if (at + n > N)
			continue;
		for (unsigned i = 0; i < n; i++)
			hits += model[at + i] != 0;
		if (seed >> 33 & 1) {
			ck_assert_int_eq(map(RW, 0, at * PAGE, n * PAGE, -1), hits ? -EEXIST : 0);
			if (!hits) {
				memset(model + at, 255, n);
				model[at] = (uint8_t)n;
			}
		} else {
			bool cuts = model[at] == 255 || (at + n < N && model[at + n] == 255);

			ck_assert_int_eq(unmap(at * PAGE, n * PAGE), cuts ? -EINVAL : 0);
			if (!cuts)
				memset(model + at, 0, n);
		}
		hooked[0] = '\0';
	}
	for (unsigned at = 0, n = 0; at < N; at++) {
		struct vfu_dma_range ranges[N];
		size_t count = vfui_dma_list(&dma, ranges, N);

		if (model[at] && model[at] != 255) {
			ck_assert_uint_lt(n, count);
			ck_assert_uint_eq(ranges[n].iova, at * PAGE);
			ck_assert_uint_eq(ranges[n++].size, model[at] * PAGE);
		}
		if (at == N - 1)
			ck_assert_uint_eq(n, count);
	}
}
END_TEST

/* ---- what is reached without messages ---------------------------------------------------------- */

START_TEST(mapped_and_file_ranges_are_the_same_memory)
{
	int fd = file(8 * PAGE);
	char out[2 * PAGE], in[2 * PAGE];

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 3);
	ck_assert_int_eq(map(RW, PAGE, BASE, 4 * PAGE, dup(fd)), 0);
	ck_assert_int_eq(map(RW | IO, PAGE, BASE + 4 * PAGE, 4 * PAGE, fd), 0);
	ck_assert_int_eq(vfui_dma_write(&dma, BASE + 100, out, sizeof(out)), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE + 4 * PAGE + 100, in, sizeof(in)), 0);
	ck_assert_int_eq(memcmp(in, out, sizeof(in)), 0);
	/* Over the border of the two. */
	ck_assert_int_eq(vfui_dma_write(&dma, BASE + 3 * PAGE, out, sizeof(out)), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE + 3 * PAGE, in, sizeof(in)), 0);
	ck_assert_int_eq(memcmp(in, out, sizeof(in)), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, in, PAGE), 0);
	ck_assert_int_eq(memcmp(in, out + PAGE, PAGE), 0);
	ck_assert_uint_eq(nsent, 0);
}
END_TEST

START_TEST(one_descriptor_per_file)
{
	int fd = file(64 * PAGE), other = file(PAGE), readonly;
	unsigned before = leaks_open_fds();
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (unsigned i = 0; i < 64; i++)
		ck_assert_int_eq(map(RW | IO, i * PAGE, BASE + i * PAGE, PAGE, dup(fd)), 0);
	ck_assert_uint_eq(leaks_open_fds(), before + 1);
	readonly = open(path, O_RDONLY);
	ck_assert_int_eq(map(R | IO, 0, 0, PAGE, readonly), 0);
	ck_assert_uint_eq(leaks_open_fds(), before + 2);
	ck_assert_int_eq(map(RW | IO, 0, PAGE, PAGE, other), 0);
	ck_assert_uint_eq(leaks_open_fds(), before + 2);
	ck_assert_int_eq(unmap(BASE, 63 * PAGE), 0);
	ck_assert_uint_eq(leaks_open_fds(), before + 2);
	ck_assert_int_eq(unmap(0, UINT64_C(1) << 40), 0);
	ck_assert_uint_eq(leaks_open_fds(), before - 1);
	/* Mapped ones need none. */
	for (unsigned i = 0; i < 64; i++)
		ck_assert_int_eq(map(RW, i * PAGE, BASE + i * PAGE, PAGE, dup(fd)), 0);
	ck_assert_uint_eq(leaks_open_fds(), before - 1);
	close(fd);
}
END_TEST

START_TEST(a_file_too_large_to_map_is_read)
{
	uint64_t size = UINT64_C(1) << 50;
	struct vfu_dma_range range;
	int fd = file(size);
	char data[4] = {0};

	/* What Linux says, valgrind's system does not. */
	fault_fail(FAULT_MMAP, 1, ENOMEM);
	ck_assert_int_eq(map(RW, 0, 0, size, fd), 0);
	ck_assert_uint_eq(vfui_dma_list(&dma, &range, 1), 1);
	ck_assert(!range.mapped);
	ck_assert_int_eq(vfui_dma_write(&dma, size - 4, "wxyz", 4), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, size - 4, data, 4), 0);
	ck_assert_int_eq(memcmp(data, "wxyz", 4), 0);
}
END_TEST

START_TEST(a_file_that_was_cut)
{
	int fd = file(2 * PAGE);
	char data[PAGE];

	ck_assert_int_eq(map(R | IO, 0, BASE, 2 * PAGE, dup(fd)), 0);
	ck_assert_int_eq(ftruncate(fd, PAGE), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE + PAGE - 8, data, 16), -EIO);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, data, 16), 0);
	close(fd);
}
END_TEST

static unsigned nlost;

static void lost(void *ctx, const struct vfu_dma_range *range)
{
	(void)ctx;
	ck_assert_uint_eq(range->iova, BASE);
	ck_assert_uint_eq(range->size, 2 * PAGE);
	nlost++;
}

/* Cuts a range of two pages; what is told of it is told once. */
START_TEST(a_mapping_that_was_cut)
{
	const struct vfui_dma_hooks hooks = {.lost = lost};
	struct result result = {0};
	char data[2 * PAGE] = "x";

	if (lacks(LACKS_FAULTS, __func__))
		return;
	end();
	start(&hooks, &limits);
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	for (unsigned how = 0; how < 3; how++) {
		int fd = file(2 * PAGE);

		nlost = 0;
		ck_assert_int_eq(map(RW, 0, BASE, 2 * PAGE, dup(fd)), 0);
		ck_assert_int_eq(map(RW, 0, BASE + 2 * PAGE, PAGE, file(PAGE)), 0);
		ck_assert_int_eq(ftruncate(fd, PAGE), 0);
		ck_assert_int_eq(vfui_dma_write(&dma, BASE + PAGE - 1, data, 1), 0);
		if (how == 0)
			ck_assert_int_eq(vfui_dma_write(&dma, BASE + PAGE, data, 1), -EFAULT);
		else if (how == 1)
			ck_assert_int_eq(vfui_dma_read(&dma, BASE + 2 * PAGE - 1, data, 9),
					 -EFAULT);
		else
			ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, data, 2 * PAGE, done,
							     &result),
					 -EFAULT);
		/* From now on all of it, and none of what is beside it. */
		ck_assert_int_eq(vfui_dma_read(&dma, BASE, data, 1), -EFAULT);
		ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, data, 1, done, &result), -EFAULT);
		ck_assert_int_eq(vfui_dma_write(&dma, BASE + 2 * PAGE, data, 1), 0);
		ck_assert_uint_eq(result.n, 0);
		ck_assert_uint_eq(nlost, 1);
		ck_assert_int_eq(unmap(BASE, 3 * PAGE), 0);
		/* The same addresses mapped anew are as good as any. */
		ck_assert_int_eq(map(RW, 0, BASE, 2 * PAGE, file(2 * PAGE)), 0);
		ck_assert_int_eq(vfui_dma_write(&dma, BASE + PAGE, data, 1), 0);
		ck_assert_int_eq(unmap(BASE, 2 * PAGE), 0);
		close(fd);
	}
}
END_TEST

/* Nobody cut anything: behind an offset it never had any. */
START_TEST(a_device_without_pages)
{
	char data[8] = "x";

	if (lacks(LACKS_FAULTS, __func__))
		return;
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	policy.peer_file = VFUI_PEER_FILE_ANY;
	ck_assert_int_eq(map(RW, 16 * PAGE, BASE, PAGE, open("/dev/zero", O_RDWR)), 0);
	ck_assert_int_eq(vfui_dma_write(&dma, BASE, data, 8), -EFAULT);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, data, 8), -EFAULT);
}
END_TEST

START_TEST(a_pin_whose_file_was_cut)
{
	const struct vfui_dma_hooks hooks = {.lost = lost};
	struct vfu_dma_pin pin, other;
	int fd;

	if (lacks(LACKS_FAULTS, __func__))
		return;
	fd = file(2 * PAGE);
	end();
	start(&hooks, &limits);
	nlost = 0;
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
	ck_assert_int_eq(map(RW, 0, BASE, 2 * PAGE, dup(fd)), 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, PAGE, RW, &pin), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	memset(pin.addr, 1, pin.len);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, PAGE, RW, &other), -EFAULT);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &pin), -EFAULT);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &pin), -EINVAL);
	ck_assert_uint_eq(nlost, 1);
	ck_assert_int_eq(unmap(BASE, 2 * PAGE), 0);
	close(fd);
}
END_TEST

START_TEST(what_may_not_be_reached)
{
	struct result result = {0};
	char data[2 * PAGE];

	ck_assert_int_eq(map(R, 0, BASE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(map(W, 0, BASE + PAGE, PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_write(&dma, BASE, data, 1), -EACCES);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE + PAGE, data, 1), -EACCES);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, data, PAGE + 1), -EACCES);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE - 1, data, 2), -EFAULT);
	ck_assert_int_eq(vfui_dma_write(&dma, BASE + 2 * PAGE - 1, data, 2), -EFAULT);
	ck_assert_int_eq(vfui_dma_read(&dma, UINT64_MAX, data, 2), -EFAULT);
	ck_assert_int_eq(vfui_dma_read_async(&dma, 0, data, 1, done, &result), -EFAULT);
	ck_assert_int_eq(vfui_dma_read(&dma, 0, data, 0), 0);
	vfui_dma_set_blocked(&dma, true);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, data, 1), -EIO);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE + PAGE, data, 1, done, &result), -EIO);
	vfui_dma_set_blocked(&dma, false);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, data, 1, done, &result), 0);
	ck_assert_uint_eq(result.n, 1);
	vfui_dma_disconnect(&dma);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, data, 1), -ENOTCONN);
	ck_assert_uint_eq(result.n, 1);
}
END_TEST

/* ---- pins -------------------------------------------------------------------------------------- */

static atomic_uint unmap_answers;

static void unmap_done(void *user)
{
	ck_assert_ptr_eq(user, &dma);
	unmap_answers++;
}

START_TEST(pins_hold_memory)
{
	struct vfui_dma_wait *wait;
	struct vfu_dma_pin a, b, copy;
	int fd = file(4 * PAGE);
	char data[8];

	unmap_answers = 0;
	ck_assert_int_eq(map(RW, 0, BASE, 2 * PAGE, dup(fd)), 0);
	ck_assert_int_eq(map(RW, 2 * PAGE, BASE + 2 * PAGE, 2 * PAGE, dup(fd)), 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE + PAGE, PAGE, VFU_DMA_READ | VFU_DMA_WRITE, &a),
			 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE + 3 * PAGE, 16, VFU_DMA_WRITE, &b), 0);
	memcpy(a.addr, "pinned", 7);
	ck_assert_int_eq(vfui_dma_unmap(&dma, BASE, 4 * PAGE, false, &policy, &wait, &err),
			 VFU_LATER);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, data, 1), -EFAULT);
	ck_assert_uint_eq(dma.maps.count, 0);
	/* The address can be mapped anew meanwhile. */
	ck_assert_int_eq(map(RW, 0, BASE, 2 * PAGE, -1), 0);
	memcpy((char *)a.addr + PAGE - 4, "end", 4);
	copy = a;
	ck_assert_int_eq(vfui_dma_unpin(&dma, &a), 0);
	ck_assert_ptr_null(a.addr);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &a), -EINVAL);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &copy), -EINVAL);
	vfui_dma_wait_start(&dma, wait, unmap_done, &dma);
	ck_assert_uint_eq(unmap_answers, 0);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b), 0);
	ck_assert_uint_eq(unmap_answers, 1);
	ck_assert_int_eq(pread(fd, data, 7, PAGE), 7);
	ck_assert_str_eq(data, "pinned");
	close(fd);
}
END_TEST

START_TEST(unpinned_before_the_wait_starts)
{
	struct vfui_dma_wait *wait;
	struct vfu_dma_pin pin;

	unmap_answers = 0;
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 1, 0, &pin), 0);
	ck_assert_int_eq(vfui_dma_unmap(&dma, 0, 0, true, &policy, &wait, &err), VFU_LATER);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &pin), 0);
	vfui_dma_wait_start(&dma, wait, unmap_done, &dma);
	ck_assert_uint_eq(unmap_answers, 1);
	/* Nobody has to be told. */
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 1, 0, &pin), 0);
	ck_assert_int_eq(vfui_dma_unmap(&dma, 0, 0, true, &policy, &wait, &err), VFU_LATER);
	vfui_dma_wait_start(&dma, wait, NULL, NULL);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &pin), 0);
}
END_TEST

/* Memory that nobody unpins goes with the table, and who waits for it is told. */
START_TEST(never_unpinned)
{
	struct vfui_dma_wait *wait;
	struct vfu_dma_pin pin;

	unmap_answers = 0;
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 1, 0, &pin), 0);
	ck_assert_int_eq(vfui_dma_unmap(&dma, 0, 0, true, &policy, &wait, &err), VFU_LATER);
	vfui_dma_wait_start(&dma, wait, unmap_done, &dma);
	end();
	ck_assert_uint_eq(unmap_answers, 1);
	start(NULL, &limits);
}
END_TEST

START_TEST(pins_that_are_refused)
{
	struct vfu_dma_pin pin;

	ck_assert_int_eq(map(R, 0, BASE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(map(R, 0, BASE + PAGE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 2 * PAGE, PAGE, -1), 0);
	ck_assert_int_eq(map(RW | IO, 0, BASE + 3 * PAGE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 0, VFU_DMA_READ, &pin), -EINVAL);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 1, 4, &pin), -EINVAL);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 1, VFU_DMA_WRITE, &pin), -EACCES);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE - 1, 2, VFU_DMA_READ, &pin), -EFAULT);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, SIZE_MAX, VFU_DMA_READ, &pin), -EFAULT);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(vfui_dma_pin(&dma, i ? BASE + (1 + i) * PAGE : BASE + 1, PAGE,
					      VFU_DMA_READ | VFU_DMA_PIN_DIRECT, &pin),
				 -EOPNOTSUPP);
	vfui_dma_set_blocked(&dma, true);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 1, VFU_DMA_READ, &pin), -EIO);
	pin = (struct vfu_dma_pin){&pin, 1, (void *)(uintptr_t)12345};
	ck_assert_int_eq(vfui_dma_unpin(&dma, &pin), -EINVAL);
	pin.priv = (void *)UINTPTR_MAX;
	ck_assert_int_eq(vfui_dma_unpin(&dma, &pin), -EINVAL);
}
END_TEST

START_TEST(many_pins_over_a_disconnect)
{
	static struct vfu_dma_pin pins[1000];

	ck_assert_int_eq(map(RW, 0, BASE, PAGE, file(PAGE)), 0);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_int_eq(vfui_dma_pin(&dma, BASE + i, 1, VFU_DMA_WRITE, &pins[i]), 0);
	vfui_dma_disconnect(&dma);
	for (unsigned i = 0; i < 1000; i++) {
		*(char *)pins[i].addr = 1;
		ck_assert_int_eq(vfui_dma_unpin(&dma, &pins[i]), 0);
	}
	ck_assert(vfui_list_is_empty(&dma.doomed));
}
END_TEST

START_TEST(a_pin_that_is_never_given_back)
{
	struct vfu_dma_pin pin;

	ck_assert_int_eq(map(RW, 0, BASE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 1, VFU_DMA_WRITE, &pin), 0);
}
END_TEST

/* ---- messages ---------------------------------------------------------------------------------- */

static uint8_t buffer[64 * PAGE];

static void check_buffer(uint64_t iova, size_t len)
{
	size_t i = 0;

	while (i < len && buffer[i] == pattern(iova + i))
		i++;
	ck_assert_msg(i == len, "byte %zu", i);
}

START_TEST(reads_are_cut_and_bounded)
{
	struct result result = {0};

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE + 5, buffer, 30 * PAGE, done, &result), 0);
	/* Six pages of read data at once, four a message. */
	ck_assert_uint_eq(nsent, 1);
	ck_assert_uint_eq(sent[0].address, BASE + 5);
	ck_assert_uint_eq(sent[0].count, 4 * PAGE);
	answer(0);
	ck_assert_uint_eq(nsent, 2);
	ck_assert_uint_eq(result.n, 0);
	ck_assert(vfui_dma_is_busy(&dma));
	answer_all(false);
	ck_assert_uint_eq(nsent, 8);
	ck_assert_uint_eq(sent[7].count, 2 * PAGE);
	ck_assert_uint_eq(result.n, 1);
	ck_assert_int_eq(result.status, 0);
	ck_assert(!vfui_dma_is_busy(&dma));
	check_buffer(BASE + 5, 30 * PAGE);
}
END_TEST

START_TEST(a_read_larger_than_the_bound_goes_alone)
{
	struct vfui_dma_limits small = limits;
	struct result result = {0};

	vfui_dma_disconnect(&dma);
	small.read_bytes = 100;
	ck_assert_int_eq(vfui_dma_connect(&dma, (struct vfui_conn *)&conn_lock, &small), 0);
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, buffer, 250, done, &result), 0);
	ck_assert_uint_eq(nopen, 1);
	answer_all(false);
	ck_assert_uint_eq(nsent, 3);
	ck_assert_uint_eq(result.n, 1);
	check_buffer(BASE, 250);
}
END_TEST

START_TEST(writes_fill_the_window)
{
	struct result result = {0};

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	for (unsigned i = 0; i < sizeof(buffer); i++)
		buffer[i] = pattern(i);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 40 * PAGE, done, &result), 0);
	ck_assert_uint_eq(nsent, 4);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(memcmp(sent[i].data, buffer + 4 * i * PAGE, 4 * PAGE), 0);
	answer(2);
	ck_assert_uint_eq(nsent, 5);
	answer_all(true);
	ck_assert_uint_eq(nsent, 10);
	ck_assert_uint_eq(result.n, 1);
	ck_assert_int_eq(result.status, 0);
}
END_TEST

START_TEST(mixed_ranges)
{
	struct result result = {0};
	int fd = file(2 * PAGE);
	uint8_t page[PAGE];

	memset(page, 0x11, PAGE);
	ck_assert_int_eq(pwrite(fd, page, PAGE, 0), PAGE);
	memset(page, 0x22, PAGE);
	ck_assert_int_eq(pwrite(fd, page, PAGE, PAGE), PAGE);
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, dup(fd)), 0);
	ck_assert_int_eq(map(RW, 0, BASE + PAGE, PAGE, -1), 0);
	ck_assert_int_eq(map(RW | IO, PAGE, BASE + 2 * PAGE, PAGE, fd), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 3 * PAGE, PAGE, -1), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 4 * PAGE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, buffer, 5 * PAGE, done, &result), 0);
	ck_assert_uint_eq(nsent, 2);
	ck_assert_uint_eq(sent[1].address, BASE + 3 * PAGE);
	answer_all(true);
	ck_assert_uint_eq(result.n, 1);
	for (unsigned i = 0; i < PAGE; i++) {
		ck_assert_uint_eq(buffer[i], 0x11);
		ck_assert_uint_eq(buffer[PAGE + i], pattern(BASE + PAGE + i));
		ck_assert_uint_eq(buffer[2 * PAGE + i], 0x22);
		ck_assert_uint_eq(buffer[3 * PAGE + i], pattern(BASE + 3 * PAGE + i));
		ck_assert_uint_eq(buffer[4 * PAGE + i], 0);
	}
}
END_TEST

/* One write, and one read, from within a mapped range over one that is a file to within one by message, and on. */
START_TEST(one_copy_of_all_kinds)
{
	struct result result = {0};
	int memory = file(PAGE), io = file(PAGE), last = file(PAGE);
	uint8_t from[2 * PAGE + 300], back[sizeof(from)], page[PAGE];

	for (unsigned i = 0; i < sizeof(from); i++)
		from[i] = pattern(BASE + PAGE - 100 + i);
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, dup(memory)), 0);
	ck_assert_int_eq(map(RW | IO, 0, BASE + PAGE, PAGE, dup(io)), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 2 * PAGE, PAGE, -1), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 3 * PAGE, PAGE, dup(last)), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE + PAGE - 100, from, sizeof(from), done,
					      &result),
			 0);
	ck_assert_uint_eq(nsent, 1);
	ck_assert_uint_eq(sent[0].address, BASE + 2 * PAGE);
	ck_assert_uint_eq(sent[0].count, PAGE);
	ck_assert_mem_eq(sent[0].data, from + 100 + PAGE, PAGE);
	answer(0);
	ck_assert_uint_eq(result.n, 1);
	ck_assert_int_eq(result.status, 0);
	ck_assert_int_eq(pread(memory, page, PAGE, 0), PAGE);
	ck_assert_mem_eq(page + PAGE - 100, from, 100);
	ck_assert_uint_eq(page[PAGE - 101], 0);
	ck_assert_int_eq(pread(io, page, PAGE, 0), PAGE);
	ck_assert_mem_eq(page, from + 100, PAGE);
	ck_assert_int_eq(pread(last, page, PAGE, 0), PAGE);
	ck_assert_mem_eq(page, from + 100 + 2 * PAGE, 200);
	ck_assert_uint_eq(page[200], 0);
	/* The client gives what a write of the same would have left there. */
	ck_assert_int_eq(
		vfui_dma_read_async(&dma, BASE + PAGE - 100, back, sizeof(back), done, &result), 0);
	answer(1);
	ck_assert_uint_eq(result.n, 2);
	ck_assert_mem_eq(back, from, sizeof(from));
	close(memory);
	close(io);
	close(last);
}
END_TEST

/* ---- order: as started, mapped or by message --------------------------------------------------- */

static char order[64];

static void done_named(void *user, int status)
{
	if (status)
		strcat(order, status == -ECANCELED ? "!" : "?");
	strcat(order, user);
}

#define MESSAGES BASE
#define MAPPED (BASE + 8 * PAGE)

/* Eight pages by message, then eight that are mapped: where the caller finds them. */
static uint8_t *map_both(void)
{
	int fd = file(8 * PAGE);
	uint8_t *there = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(there, MAP_FAILED);
	order[0] = '\0';
	ck_assert_int_eq(map(RW, 0, MESSAGES, 8 * PAGE, -1), 0);
	ck_assert_int_eq(map(RW, 0, MAPPED, 8 * PAGE, fd), 0);
	return there;
}

static void write_named(uint64_t iova, const void *from, size_t len, const char *name)
{
	ck_assert_int_eq(vfui_dma_write_async(&dma, iova, from, len, done_named,
					      (void *)(uintptr_t)name),
			 0);
}

START_TEST(mapped_copies_wait_for_messages_before_them)
{
	uint8_t *there = map_both(), now[2] = {0}, later[2] = {0};

	there[1] = 5;
	write_named(MAPPED, "x", 1, "at once ");
	ck_assert_str_eq(order, "at once ");
	write_named(MESSAGES, "entry", 5, "entry ");
	ck_assert_int_eq(vfui_dma_read_async(&dma, MESSAGES, now, 1, done_named, (void *)"read "),
			 0);
	write_named(MAPPED, "y", 1, "index ");
	ck_assert_int_eq(vfui_dma_read_async(&dma, MAPPED, later, 2, done_named, (void *)"both "),
			 0);
	write_named(MESSAGES, "next", 4, "next ");
	/* The first two are sent; what is behind them can not be seen yet, and is not overtaken. */
	ck_assert_uint_eq(nsent, 2);
	ck_assert_int_eq(there[0], 'x');
	answer(1);
	there[1] = 6;
	ck_assert_int_eq(there[0], 'x');
	ck_assert_uint_eq(nsent, 2);
	answer(0);
	ck_assert_int_eq(there[0], 'y');
	ck_assert_mem_eq(later, "y\6", 2);
	ck_assert_uint_eq(nsent, 3);
	answer(2);
	ck_assert_str_eq(order, "at once read entry index both next ");
	ck_assert(!vfui_dma_is_busy(&dma));
	munmap(there, 8 * PAGE);
}
END_TEST

/* Files are reached without messages, too; and of a copy of both kinds no part comes early. */
START_TEST(mixed_copies_keep_the_order)
{
	uint8_t *there = map_both(), byte = 0;
	int fd = file(PAGE);

	ck_assert_int_eq(map(RW | IO, 0, MAPPED + 8 * PAGE, PAGE, dup(fd)), 0);
	write_named(MESSAGES, "1", 1, "a ");
	write_named(MAPPED - 1, "22", 2, "b ");
	write_named(MAPPED + 8 * PAGE, "3", 1, "c ");
	ck_assert_uint_eq(nsent, 1);
	ck_assert_int_eq(there[0], 0);
	answer(0);
	ck_assert_int_eq(there[0], '2');
	ck_assert_uint_eq(nsent, 2);
	ck_assert_int_eq(pread(fd, &byte, 1, 0), 1);
	ck_assert_int_eq(byte, 0);
	answer(1);
	ck_assert_int_eq(pread(fd, &byte, 1, 0), 1);
	ck_assert_int_eq(byte, '3');
	ck_assert_str_eq(order, "a b c ");
	munmap(there, 8 * PAGE);
	close(fd);
}
END_TEST

START_TEST(mapped_copies_need_nothing_but_memory)
{
	uint8_t *there = map_both();
	long blocks = fault_blocks();

	fault_fail(FAULT_ALLOC, 0, ENOMEM);
	for (uint8_t i = 0; i < 100; i++)
		write_named(MAPPED, &i, 1, "");
	fault_reset();
	ck_assert_int_eq(fault_blocks(), blocks);
	ck_assert_int_eq(there[0], 99);
	ck_assert_uint_eq(nsent, 0);
	munmap(there, 8 * PAGE);
}
END_TEST

/* In a callback of its server a device needs not even the lock, but all rules hold. */
START_TEST(the_owner_copies_alone)
{
	uint8_t *there = map_both(), byte = 0;
	struct result result = {0};

	vfui_dma_set_round(&dma, true);
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED, "1", 1), 0);
	/* Whoever takes it from now on waits for ever. */
	vfui_os_lock(&dma.lock);
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED + PAGE, "2", 1), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, MAPPED, &byte, 1), 0);
	ck_assert_int_eq(byte, '1');
	ck_assert_int_eq(vfui_dma_write_async(&dma, MAPPED, "3", 1, done, &result), 0);
	ck_assert_int_eq(vfui_dma_read_async(&dma, MAPPED + PAGE, &byte, 1, done, &result), 0);
	vfui_os_unlock(&dma.lock);
	ck_assert_uint_eq(result.n, 2);
	ck_assert_int_eq(there[0], '3');
	ck_assert_int_eq(byte, '2');
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED + 8 * PAGE - 1, "22", 2), -EFAULT);
	ck_assert_int_eq(vfui_dma_write(&dma, UINT64_MAX, "22", 2), -EFAULT);
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED, "", 0), 0);
	vfui_dma_set_blocked(&dma, true);
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED, "4", 1), -EIO);
	vfui_dma_set_blocked(&dma, false);
	ck_assert_int_eq(unmap(MAPPED, 8 * PAGE), 0);
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED, "4", 1), -EFAULT);
	ck_assert_int_eq(there[0], '3');
	ck_assert_int_eq(map(R, 0, MAPPED, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, MAPPED, &byte, 1), 0);
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED, "4", 1), -EACCES);
	munmap(there, 8 * PAGE);
}
END_TEST

static void *copy_while_owned(void *arg)
{
	const unsigned *first = arg;
	uint8_t byte = 1;

	for (unsigned i = *first; i < 4000; i += 2) {
		int rc = vfui_dma_write(&dma, MAPPED + i % PAGE, &byte, 1);

		ck_assert(!rc || rc == -EFAULT);
	}
	return NULL;
}

static void set_flag(void *user)
{
	atomic_store((atomic_bool *)user, true);
}

/* The owner copies alone, and unmaps; others, who do not, have their maps until they are done. No two write one byte. */
START_TEST(others_copy_beside_the_owner)
{
	static unsigned first[2] = {0, 1};
	pthread_t threads[2];

	in_a_round = true;
	vfui_dma_set_round(&dma, true);
	ck_assert_int_eq(map(RW, 0, MAPPED, PAGE, file(PAGE)), 0);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, copy_while_owned, &first[i]), 0);
	for (unsigned i = 0; i < 300; i++) {
		struct vfui_dma_wait *wait;
		atomic_bool is_free = false;

		ck_assert_int_eq(vfui_dma_write(&dma, MAPPED + PAGE - 3, "abc", 3), 0);
		if (vfui_dma_unmap(&dma, MAPPED, PAGE, false, &policy, &wait, &err) == VFU_LATER) {
			vfui_dma_wait_start(&dma, wait, set_flag, &is_free);
			while (!atomic_load(&is_free))
				sched_yield();
		}
		ck_assert_int_eq(map(RW, 0, MAPPED, PAGE, file(PAGE)), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

/* What waits for its turn ends as messages do. */
START_TEST(mapped_copies_that_wait_can_be_cancelled)
{
	uint8_t *there = map_both();

	write_named(MESSAGES, "1", 1, "a ");
	write_named(MAPPED, "2", 1, "b ");
	ck_assert_int_eq(unmap(MAPPED, 8 * PAGE), 0);
	ck_assert_str_eq(order, "!b ");
	answer(0);
	ck_assert_str_eq(order, "!b a ");
	ck_assert_int_eq(there[0], 0);
	/* The range may come again, of another kind. */
	ck_assert_int_eq(map(RW, 0, MAPPED, PAGE, -1), 0);
	write_named(MAPPED, "3", 1, "c ");
	answer_all(false);
	/* The deadline of the one before it is its own. */
	ck_assert_int_eq(unmap(MAPPED, PAGE), 0);
	ck_assert_int_eq(map(RW, 0, MAPPED, PAGE, file(PAGE)), 0);
	order[0] = '\0';
	for (unsigned i = 0; i < 5; i++)
		write_named(MESSAGES, "1", 1, "m");
	write_named(MAPPED, "2", 1, "d ");
	for (unsigned i = 2; i < 6; i++)
		answer_with(i, -ETIMEDOUT, 0, 0);
	ck_assert_str_eq(order, "?m?m?m?m");
	answer_with(6, -ETIMEDOUT, 0, 0);
	ck_assert_str_eq(order, "?m?m?m?m?m?d ");
	write_named(MESSAGES, "1", 1, "e ");
	write_named(MAPPED, "2", 1, "f ");
	vfui_dma_disconnect(&dma);
	ck_assert_str_eq(order, "?m?m?m?m?m?d !f ");
	munmap(there, 8 * PAGE);
}
END_TEST

static void *write_mixed(void *arg)
{
	struct result *result = arg;

	for (unsigned i = 0; i < 300; i++)
		ck_assert(vfui_dma_write_async(&dma, MAPPED - i % 3, "abc", 3, done, result) == 0);
	return NULL;
}

/* Replies come in while other threads start copies: whoever pumps does what waits for its turn. */
START_TEST(other_threads_mix)
{
	uint8_t *there = map_both();
	struct result results[3] = {{0}};
	pthread_t threads[3];
	unsigned total = 0;

	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_mixed, &results[i]), 0);
	for (unsigned answered = 0; answered < 3 * 200;) {
		bool is_there;

		pthread_mutex_lock(&conn_lock);
		is_there = answered < nsent && sent[answered].is_open;
		pthread_mutex_unlock(&conn_lock);
		if (is_there)
			answer(answered++);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	while (vfui_dma_is_busy(&dma))
		;
	for (unsigned i = 0; i < 3; i++)
		total += results[i].n;
	ck_assert_uint_eq(total, 3 * 300);
	munmap(there, 8 * PAGE);
}
END_TEST

/* Of any length at any place the same bytes; a value of the right length at the right place at once. */
START_TEST(integers_in_shared_memory)
{
	_Alignas(16) uint8_t shared[32], own[17], back[17];

	for (size_t i = 0; i < sizeof(own); i++)
		own[i] = (uint8_t)(i + 1);
	for (size_t at = 0; at < 16; at++) {
		for (size_t len = 0; len < 16; len++) {
			memset(shared, 0xee, sizeof(shared));
			memset(back, 0xee, sizeof(back));
			vfui_shared_write(shared + at, own + 1, len);
			ck_assert_mem_eq(shared + at, own + 1, len);
			ck_assert_uint_eq(shared[at + len], 0xee);
			ck_assert(!at || shared[at - 1] == 0xee);
			vfui_shared_read(back + 1, shared + at, len);
			ck_assert_mem_eq(back + 1, own + 1, len);
			ck_assert_uint_eq(back[len + 1], 0xee);
		}
	}
	ck_assert_uint_eq(vfui_shared_unit(shared + 4, 4), 4);
	ck_assert_uint_eq(vfui_shared_unit(shared + 2, 4), 0);
	ck_assert_uint_eq(vfui_shared_unit(shared, 3) + vfui_shared_unit(shared, 1), 0);
}
END_TEST

/* The driver's side: looks at an index until it is the last. The thread sanitizer sees what is not one access. */
static void *watch_index(void *arg)
{
	uint32_t *index = arg, seen = 0, last = 0;

	while (last != 2000) {
		last = __atomic_load_n(index, __ATOMIC_SEQ_CST);
		ck_assert(last >= seen);
		/* What was written before it is there. */
		ck_assert(__atomic_load_n(index + 64, __ATOMIC_SEQ_CST) >= last);
		seen = last;
	}
	return NULL;
}

START_TEST(an_index_is_written_at_once)
{
	uint8_t *there = map_both();
	pthread_t driver;

	ck_assert_int_eq(pthread_create(&driver, NULL, watch_index, there), 0);
	for (uint32_t i = 1; i <= 2000; i++) {
		ck_assert_int_eq(vfui_dma_write(&dma, MAPPED + 256, &i, 4), 0);
		ck_assert_int_eq(vfui_dma_write(&dma, MAPPED, &i, 4), 0);
	}
	pthread_join(driver, NULL);
	munmap(there, 8 * PAGE);
}
END_TEST

START_TEST(all_sorts_of_answers)
{
	static const struct {
		bool write;
		int status;
		uint64_t count;
		size_t len;
		int expected;
	} cases[] = {
		{false, -ENODEV, 0, 0, -ENODEV},
		{true, -E2BIG, 0, 0, -E2BIG},
		{true, -ETIMEDOUT, 0, 0, -ETIMEDOUT},
		{true, -ENOTCONN, 0, 0, -ECANCELED},
		{false, 0, 99, 16 + 99, -EIO},
		{false, 0, 0, 16, -EIO},
		{false, 0, 101, 16 + 101, -EIO},
		{true, 0, 100, 16, 0},
		{true, 0, 100, 12, 0},
		{true, 0, 0, 0, 0},
		{true, 0, 99, 16, -EIO},
		{true, 0, 99, 12, -EIO},
		{true, 0, 100, 8, -EIO},
		{true, 0, UINT64_MAX, 16, -EIO},
	};

	ck_assert_int_eq(map(RW, 0, BASE, PAGE, -1), 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct result result = {0};

		if (cases[i].write)
			ck_assert_int_eq(
				vfui_dma_write_async(&dma, BASE, buffer, 100, done, &result), 0);
		else
			ck_assert_int_eq(
				vfui_dma_read_async(&dma, BASE, buffer, 100, done, &result), 0);
		answer_with(nsent - 1, cases[i].status, cases[i].count, cases[i].len);
		ck_assert_uint_eq(result.n, 1);
		ck_assert_msg(result.status == cases[i].expected, "case %u: %d", i, result.status);
	}
}
END_TEST

START_TEST(the_first_error_ends_it_once)
{
	struct result result = {0};

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 64 * PAGE, done, &result), 0);
	answer_with(1, -ENODEV, 0, 0);
	ck_assert_uint_eq(nsent, 4);
	ck_assert_uint_eq(result.n, 0);
	answer_with(0, -EPERM, 0, 0);
	answer(3);
	answer(2);
	ck_assert_uint_eq(nsent, 4);
	ck_assert_uint_eq(result.n, 1);
	ck_assert_int_eq(result.status, -ENODEV);
}
END_TEST

START_TEST(an_unmap_cancels)
{
	struct result first = {0}, second = {0}, other = {0};
	uint8_t *small = malloc(100);

	ck_assert_int_eq(map(RW, 0, BASE, 16 * PAGE, -1), 0);
	ck_assert_int_eq(map(RW, 0, 2 * BASE, PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 16 * PAGE, done, &first), 0);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, small, 100, done, &second), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, 2 * BASE, buffer, 10, done, &other), 0);
	ck_assert_uint_eq(nsent, 4);
	ck_assert_int_eq(unmap(BASE, 16 * PAGE), 0);
	/* Not sent yet: over at once. */
	ck_assert_uint_eq(second.n, 1);
	ck_assert_int_eq(second.status, -ECANCELED);
	free(small);
	ck_assert_uint_eq(first.n, 0);
	answer_all(false);
	ck_assert_uint_eq(nsent, 5);
	ck_assert_uint_eq(first.n, 1);
	ck_assert_int_eq(first.status, -ECANCELED);
	ck_assert_uint_eq(other.n, 1);
	ck_assert_int_eq(other.status, 0);
}
END_TEST

START_TEST(a_disconnect_cancels)
{
	struct result first = {0}, second = {0};

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 64 * PAGE, done, &first), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 1, done, &second), 0);
	vfui_dma_disconnect(&dma);
	ck_assert_uint_eq(second.n, 1);
	ck_assert_int_eq(vfui_dma_connect(&dma, (struct vfui_conn *)&conn_lock, &limits), -EBUSY);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(first.n, 0);
		answer_with(i, -ENOTCONN, 0, 0);
	}
	ck_assert_uint_eq(first.n, 1);
	ck_assert_int_eq(first.status, -ECANCELED);
	ck_assert_int_eq(vfui_dma_connect(&dma, (struct vfui_conn *)&conn_lock, &limits), 0);
}
END_TEST

START_TEST(a_full_queue_is_tried_again)
{
	struct result result = {0};

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 1, done, &result), 0);
	send_result = -ENOBUFS;
	send_results = 1;
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 6 * PAGE, done, &result), 0);
	ck_assert_uint_eq(nsent, 1);
	answer(0);
	ck_assert_uint_eq(nsent, 3);
	ck_assert_uint_eq(sent[1].address, BASE);
	answer_all(false);
	ck_assert_uint_eq(result.n, 2);
	ck_assert_int_eq(result.status, 0);
}
END_TEST

START_TEST(a_send_that_fails)
{
	struct result result = {0};

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	send_result = -ENOBUFS;
	send_results = 1;
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 6 * PAGE, done, &result), 0);
	ck_assert_uint_eq(result.n, 1);
	ck_assert_int_eq(result.status, -ENOBUFS);
	send_result = -ENOTCONN;
	send_results = 1;
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, buffer, 6 * PAGE, done, &result), 0);
	ck_assert_uint_eq(result.n, 2);
	ck_assert_int_eq(result.status, -ECANCELED);
	send_result = -ENOMEM;
	send_results = 1;
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, buffer, 6 * PAGE), -ENOMEM);
	ck_assert_uint_eq(nsent, 0);
}
END_TEST

/* Starts the next copy from the callback of the last. */
static void chain(void *user, int status)
{
	struct result *result = user;

	result->n++;
	result->status = status;
	if (result->n < 50)
		ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, buffer, 10, chain, result), 0);
}

/* What an op is charged beside its bytes. */
static size_t overhead(struct vfui_account *account, void *buf)
{
	struct result result = {0};
	size_t cost;

	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 1, done, &result), 0);
	cost = vfui_account_used(account, VFUI_DMA) - 1;
	answer_all(false);
	ck_assert_uint_eq(result.n, 1);
	ck_assert_uint_eq(vfui_account_used(account, VFUI_DMA), 0);
	return cost;
}

static void start_with(struct vfui_account *account)
{
	struct vfui_dma_limits with = limits;

	end();
	with.account = account;
	start(NULL, &with);
	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 64 * PAGE, PAGE, file(PAGE)), 0);
}

START_TEST(no_more_than_the_account_allows)
{
	struct vfui_account *account = vfui_account_new();
	static char buf[64 * PAGE];
	struct result result = {0};
	unsigned n;
	size_t cost;

	start_with(account);
	atomic_store(&account->limit, 64 * PAGE);
	cost = overhead(account, buf);
	/* What is done at once does not count. */
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE + 64 * PAGE, buf, 1, done, &result), 0);
	ck_assert_uint_eq(result.n, 1);
	for (n = 0; !vfui_dma_write_async(&dma, BASE, buf, PAGE, done, &result); n++)
		;
	ck_assert_uint_eq(n, 64 * PAGE / (PAGE + cost));
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, PAGE, done, &result), -ENOBUFS);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE + 64 * PAGE - 1, buf, PAGE, done, &result),
			 -ENOBUFS);
	/* What waits for its turn does. */
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE + 64 * PAGE, buf, PAGE, done, &result),
			 -ENOBUFS);
	/* One that ends makes room for one. */
	answer(1);
	ck_assert_uint_eq(result.n, 2);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, PAGE, done, &result), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, PAGE, done, &result), -ENOBUFS);
	answer_all(true);
	ck_assert_uint_eq(result.n, n + 2);
	/* A large one is let through alone; what requests hold counts as well. */
	atomic_store(&account->limit, PAGE);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 2 * PAGE, done, &result), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 1, done, &result), -ENOBUFS);
	answer_all(false);
	atomic_store(&account->limit, 64 * PAGE);
	vfui_account_add(account, VFUI_LATER, 64 * PAGE);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 1, done, &result), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 1, done, &result), -ENOBUFS);
	vfui_account_sub(account, VFUI_LATER, 64 * PAGE);
	answer_all(false);
	ck_assert_uint_eq(vfui_account_used(account, VFUI_DMA), 0);
	vfui_account_unref(account);
}
END_TEST

/* However an op ends, nothing of it stays charged. */
START_TEST(the_account_is_level_in_the_end)
{
	struct vfui_account *account = vfui_account_new();
	static char buf[4 * PAGE];
	struct result result = {0};
	int fd = file(PAGE);

	start_with(account);
	atomic_store(&account->limit, SIZE_MAX);
	/* Part of it is gone before it begins. */
	ck_assert_int_eq(map(RW | IO, 0, BASE + 65 * PAGE, PAGE, dup(fd)), 0);
	ck_assert_int_eq(map(RW, 0, BASE + 66 * PAGE, PAGE, -1), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE + 65 * PAGE, buf, 2 * PAGE, done, &result),
			 0);
	ck_assert_int_eq(result.status, -EIO);
	ck_assert_uint_eq(vfui_account_used(account, VFUI_DMA), 0);
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, buf, PAGE, done, &result), 0);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, buf, PAGE, done, &result), -ENOMEM);
	fault_reset();
	answer_all(false);
	ck_assert_uint_eq(vfui_account_used(account, VFUI_DMA), 0);
	/* Unmapped, and disconnected. */
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, buf, PAGE, done, &result), 0);
	ck_assert_int_eq(unmap(BASE, 64 * PAGE), 0);
	ck_assert_uint_gt(vfui_account_used(account, VFUI_DMA), 0);
	end();
	ck_assert_uint_eq(vfui_account_used(account, VFUI_DMA), 0);
	ck_assert_uint_eq(result.n, 10);
	vfui_account_unref(account);
	start(NULL, &limits);
	close(fd);
}
END_TEST

/* The deadline of a copy does not begin with its turn: else a queue takes it a window at a time. */
START_TEST(a_deadline_is_for_all_that_wait)
{
	static char buf[8 * PAGE];
	struct result old[20] = {{0}}, large = {0}, young = {0};

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 8, done, &old[i]), 0);
	ck_assert_uint_eq(nopen, 4);
	/* The others came later than these were sent. */
	for (unsigned i = 0; i < 4; i++)
		answer_with(i, -ETIMEDOUT, 0, 0);
	ck_assert_uint_eq(nopen, 4);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 8, done, &young), 0);
	answer_with(4, -ETIMEDOUT, 0, 0);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_msg(old[i].n == (i < 5 || i > 7), "copy %u: %u", i, old[i].n);
	ck_assert_int_eq(old[19].status, -ETIMEDOUT);
	/* Those in flight have deadlines of their own. */
	ck_assert_uint_eq(nopen, 4);
	answer_all(false);
	ck_assert_uint_eq(young.n, 1);
	ck_assert_int_eq(young.status + old[5].status + old[6].status + old[7].status, 0);
	/* One that has begun is answered as it goes, and ends when a part of its own fails. */
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 8, done, &old[0]), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 8 * PAGE, done, &large), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 8 * PAGE, done, &large), 0);
	ck_assert_uint_eq(nopen, 4);
	answer_with(nsent - 4, -ETIMEDOUT, 0, 0);
	ck_assert_uint_eq(large.n, 0);
	answer_all(false);
	ck_assert_uint_eq(large.n, 2);
	ck_assert_int_eq(large.status, 0);
}
END_TEST

START_TEST(copies_started_by_callbacks)
{
	struct result result = {0};

	ck_assert_int_eq(map(RW, 0, BASE, PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, buffer, 10, chain, &result), 0);
	answer_all(false);
	ck_assert_uint_eq(result.n, 50);
}
END_TEST

/* ---- blocking ---------------------------------------------------------------------------------- */

static int wait_result;

static int wait_answering(void *ctx, bool (*ready)(void *arg), void *arg)
{
	(void)ctx;
	/* Only the question whether it may wait. */
	if (ready(arg))
		return 0;
	while (!wait_result && nopen)
		answer_all(true);
	ck_assert_int_eq(ready(arg), !wait_result);
	return wait_result;
}

START_TEST(blocking_copies)
{
	const struct vfui_dma_hooks hooks = {.wait = wait_answering};

	end();
	start(&hooks, &limits);
	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE + 3, buffer, 20 * PAGE), 0);
	check_buffer(BASE + 3, 20 * PAGE);
	/* Received in their place. */
	ck_assert_ptr_eq(sent[0].out.sink, buffer);
	ck_assert_ptr_eq(sent[1].out.sink, buffer + sent[0].count);
	ck_assert_int_eq(vfui_dma_write(&dma, BASE + 3, buffer, 20 * PAGE), 0);
	ck_assert_uint_eq(nopen, 0);
}
END_TEST

/* Another thread than the owner. */
static int wait_never(void *ctx, bool (*ready)(void *arg), void *arg)
{
	(void)ctx;
	(void)ready;
	(void)arg;
	return -EPERM;
}

START_TEST(blocking_copies_keep_the_order)
{
	const struct vfui_dma_hooks owner = {.wait = wait_answering}, other = {.wait = wait_never};
	uint8_t *there;

	end();
	start(&owner, &limits);
	there = map_both();
	write_named(MESSAGES, "1", 1, "a ");
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED, "2", 1), 0);
	ck_assert_str_eq(order, "a ");
	ck_assert_int_eq(there[0], '2');
	/* One that may not wait for it, and need not: at once, which is said of it. */
	end();
	munmap(there, 8 * PAGE);
	start(&other, &limits);
	there = map_both();
	write_named(MESSAGES, "1", 1, "a ");
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED, "2", 1), 0);
	ck_assert_str_eq(order, "");
	ck_assert_int_eq(there[0], '2');
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED - 1, "33", 2), -EPERM);
	ck_assert_uint_eq(nopen, 1);
	/* Where the owner may not wait either nothing is done. */
	wait_result = -EDEADLK;
	dma.hooks = owner;
	ck_assert_int_eq(vfui_dma_write(&dma, MAPPED, "4", 1), -EDEADLK);
	ck_assert_int_eq(there[0], '2');
	wait_result = 0;
	answer_all(false);
	ck_assert_int_eq(there[0], '2');
	munmap(there, 8 * PAGE);
}
END_TEST

/* While another thread asks whether it may wait the owner maps other memory there. */
static int wait_and_change(void *ctx, bool (*ready)(void *arg), void *arg)
{
	(void)ctx, (void)ready, (void)arg;
	ck_assert_int_eq(unmap(BASE, PAGE), 0);
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, -1), 0);
	return -EPERM;
}

/* What needs messages by now is not passed over as if it was copied. */
START_TEST(maps_that_change_under_a_copy)
{
	const struct vfui_dma_hooks hooks = {.wait = wait_and_change};
	struct vfui_dma_copy what = {.iova = BASE, .buf = buffer, .len = 2 * PAGE};
	struct result result = {0};

	end();
	start(&hooks, &limits);
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, file(PAGE)), 0);
	ck_assert_int_eq(map(RW, 0, BASE + PAGE, PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE + PAGE, buffer, 1, done, &result), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, buffer, 8), -EPERM);
	answer_all(false);
	ck_assert_int_eq(vfui_dma_copy_direct(&dma, &what, NULL, false), -ECANCELED);
	ck_assert_int_eq(vfui_dma_copy_direct(&dma, &what, NULL, true), 0);
}
END_TEST

START_TEST(a_wait_that_is_given_up)
{
	const struct vfui_dma_hooks hooks = {.wait = wait_answering};
	uint8_t *mine = malloc(6 * PAGE);

	wait_result = 0;
	end();
	start(&hooks, &limits);
	wait_result = -EDEADLK;
	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, mine, 6 * PAGE), -EDEADLK);
	ck_assert_int_eq(vfui_dma_write(&dma, BASE, mine, 6 * PAGE), -EDEADLK);
	/* Answers that come now must not find it. */
	free(mine);
	ck_assert_uint_gt(nopen, 0);
	answer_all(false);
	ck_assert(!vfui_dma_is_busy(&dma));
	/* Nor does it wait for another thread that sends other ops without end. */
	dma.pumping = true;
	ck_assert_int_eq(vfui_dma_write(&dma, BASE, buffer, 6 * PAGE), -EDEADLK);
	dma.pumping = false;
	/* And through the connection alone. */
	end();
	start(NULL, &limits);
	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_read(&dma, BASE, buffer, 100), -ENOTCONN);
}
END_TEST

/* ---- lists, fills ------------------------------------------------------------------------------ */

START_TEST(lists_of_pieces)
{
	uint8_t *there = map_both();
	const struct vfu_dma_piece pieces[] = {
		{MAPPED + 8, 3}, {MESSAGES, 2}, {MAPPED - 1, 2}, {0, 0}};
	struct result result = {0};
	uint8_t buf[7];

	ck_assert_int_eq(
		vfui_dma_list_async(&dma, pieces, 3, (uint8_t *)"abcdefg", true, done, &result), 0);
	ck_assert_mem_eq(there + 8, "abc", 3);
	ck_assert_mem_eq(sent[0].data, "de", 2);
	ck_assert_uint_eq(nsent, 1);
	answer(0);
	ck_assert_uint_eq(there[0], 'g');
	ck_assert_mem_eq(sent[1].data, "f", 1);
	ck_assert_uint_eq(result.n, 0);
	answer(1);
	ck_assert_uint_eq(result.n, 1);
	ck_assert_int_eq(vfui_dma_list_async(&dma, pieces, 3, buf, false, done, &result), 0);
	answer_with(2, -EPERM, 0, 0);
	answer(3);
	ck_assert_uint_eq(result.n, 2);
	ck_assert_int_eq(result.status, -EPERM);
	ck_assert_mem_eq(buf, "abc", 3);
	ck_assert_uint_eq(buf[6], 'g');
	/* Of nothing; and of pieces of which one can not be done. */
	ck_assert_int_eq(vfui_dma_list_async(&dma, pieces, 0, buf, false, done, &result), 0);
	ck_assert_int_eq(result.status, 0);
	there[8] = 'x';
	for (unsigned i = 0; i < 2; i++) {
		const struct vfu_dma_piece bad[] = {
			{MAPPED + 8, 3}, {MESSAGES, 2}, {i ? MESSAGES : 5, i ? SIZE_MAX : 1}};

		ck_assert_int_eq(vfui_dma_list_async(&dma, bad, 3, (uint8_t *)"abcdefg", true, done,
						     &result),
				 i ? -EINVAL : -EFAULT);
	}
	ck_assert_uint_eq(result.n, 3);
	ck_assert_uint_eq(nsent, 4);
	ck_assert_uint_eq(there[8], 'x');
	munmap(there, 8 * PAGE);
}
END_TEST

/* A list is let through whole, or not. */
START_TEST(lists_are_paid_for)
{
	struct vfui_account *account = vfui_account_new();
	struct vfu_dma_piece pieces[20];
	static uint8_t buf[20 * PAGE];
	struct result result = {0};

	for (unsigned i = 0; i < 20; i++)
		pieces[i] = (struct vfu_dma_piece){BASE + (uint64_t)i * PAGE, PAGE};
	start_with(account);
	atomic_store(&account->limit, 16 * PAGE);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buf, 1, done, &result), 0);
	ck_assert_int_eq(vfui_dma_list_async(&dma, pieces, 20, buf, true, done, &result), -ENOBUFS);
	ck_assert_int_eq(vfui_dma_list_async(&dma, pieces, 8, buf, true, done, &result), 0);
	ck_assert_int_eq(vfui_dma_list_async(&dma, pieces, 8, buf, true, done, &result), -ENOBUFS);
	answer_all(false);
	ck_assert_uint_eq(result.n, 2);
	for (unsigned i = 1; i <= 3; i++) {
		int rc;

		fault_fail(FAULT_ALLOC, i, ENOMEM);
		rc = vfui_dma_list_async(&dma, pieces, 3, buf, true, done, &result);
		fault_reset();
		ck_assert(rc == 0 || rc == -ENOMEM);
		answer_all(false);
		ck_assert_uint_eq(vfui_account_used(account, VFUI_DMA), 0);
	}
	end();
	vfui_account_unref(account);
	start(NULL, &limits);
}
END_TEST

/* Over ranges of all kinds, of which the last message is short; no buffer of that size. */
START_TEST(fills)
{
	uint8_t *there = map_both(), expected[4 * PAGE];
	struct result result = {0};
	int fd = file(PAGE);
	uint8_t byte = 0;

	ck_assert_int_eq(map(RW | IO, 0, MAPPED + 8 * PAGE, PAGE, dup(fd)), 0);
	memset(expected, 0xa5, sizeof(expected));
	ck_assert_int_eq(
		vfui_dma_fill_async(&dma, MESSAGES + 1, 17 * PAGE - 2, 0xa5, done, &result), 0);
	ck_assert_uint_eq(nsent, 2);
	ck_assert_mem_eq(sent[0].data, expected, 4 * PAGE);
	ck_assert_uint_eq(sent[1].count, 4 * PAGE - 1);
	ck_assert_mem_eq(sent[1].data, expected, 4 * PAGE - 1);
	for (unsigned i = 0; i < 8 * PAGE; i++)
		ck_assert_uint_eq(there[i], 0xa5);
	ck_assert_int_eq(pread(fd, &byte, 1, PAGE - 2), 1);
	ck_assert_uint_eq(byte, 0xa5);
	ck_assert_int_eq(pread(fd, &byte, 1, PAGE - 1), 1);
	ck_assert_uint_eq(byte, 0);
	answer_all(false);
	ck_assert_uint_eq(result.n, 1);
	ck_assert_int_eq(vfui_dma_fill_async(&dma, 5, 1, 0, done, &result), -EFAULT);
	ck_assert_int_eq(vfui_dma_fill_async(&dma, MESSAGES, 0, 0, done, &result), 0);
	ck_assert_uint_eq(result.n, 2);
	/* Larger than the buffer, and than the machine has memory. */
	ck_assert_int_eq(map(RW, 0, MAPPED + 16 * PAGE, UINT64_C(1) << 30, -1), 0);
	ck_assert_int_eq(vfui_dma_fill_async(&dma, MAPPED + 16 * PAGE, 40 * PAGE, 1, done, &result),
			 0);
	answer_all(false);
	ck_assert_uint_eq(result.n, 3);
	ck_assert_int_eq(result.status, 0);
	munmap(there, 8 * PAGE);
	close(fd);
}
END_TEST

/* ---- buffers of pins --------------------------------------------------------------------------- */

struct bounced {
	struct vfu_dma_pin pin;
	struct result result;
};

static void pin_named(uint64_t iova, size_t len, unsigned flags, struct bounced *b)
{
	*b = (struct bounced){.result.status = 1};
	ck_assert_int_eq(vfui_dma_pin_async(&dma, iova, len, flags, &b->pin, done, &b->result), 0);
}

static void unpin_named(struct bounced *b, const char *name)
{
	ck_assert_int_eq(vfui_dma_unpin_async(&dma, &b->pin, done_named, (void *)(uintptr_t)name),
			 0);
}

/* Read in at first; what was touched is written back, and nothing beside it. */
START_TEST(a_buffer_stands_for_messages)
{
	struct bounced b, other;
	uint8_t *at;

	order[0] = '\0';
	ck_assert_int_eq(map(RW, 0, BASE, 16 * PAGE, -1), 0);
	pin_named(BASE + 100, 10 * PAGE, RW, &b);
	pin_named(BASE, 10, R, &other);
	ck_assert_uint_eq(b.result.n, 0);
	answer_all(true);
	ck_assert_uint_eq(b.result.n + other.result.n, 2);
	ck_assert_int_eq(b.result.status + other.result.status, 0);
	at = b.pin.addr;
	ck_assert_uint_eq(b.pin.len, 10 * PAGE);
	for (unsigned i = 0; i < 10 * PAGE; i++)
		ck_assert_uint_eq(at[i], pattern(BASE + 100 + i));
	nsent = 0;
	at[0] ^= 1;
	at[1] = pattern(BASE + 101);
	at[2] ^= 1;
	at[3] ^= 1;
	at[10 * PAGE - 1] ^= 1;
	unpin_named(&b, "b ");
	unpin_named(&other, "other ");
	/* Only to be read: over at once. */
	ck_assert_str_eq(order, "other ");
	ck_assert_uint_eq(nsent, 3);
	ck_assert_uint_eq(sent[0].address, BASE + 100);
	ck_assert_uint_eq(sent[0].count, 1);
	ck_assert_uint_eq(sent[1].address, BASE + 102);
	ck_assert_uint_eq(sent[1].count, 2);
	ck_assert_uint_eq(sent[2].address, BASE + 100 + 10 * PAGE - 1);
	answer_all(true);
	ck_assert_str_eq(order, "other b ");
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b.pin), -EINVAL);
	/* Nothing was touched. */
	pin_named(BASE, PAGE, RW, &b);
	answer_all(true);
	nsent = 0;
	unpin_named(&b, "c ");
	ck_assert_uint_eq(nsent, 0);
	ck_assert_str_eq(order, "other b c ");
	/* Only to be written: nothing is read, all of it is written, cut as copies are. */
	pin_named(BASE, 5 * PAGE, W, &b);
	ck_assert_int_eq(b.result.status, 0);
	ck_assert_uint_eq(((uint8_t *)b.pin.addr)[0], 0);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b.pin), 0);
	ck_assert_uint_eq(nsent, 2);
	ck_assert_uint_eq(sent[0].count, 4 * PAGE);
	answer_all(true);
	ck_assert_uint_eq(dma.bounced, 0);
}
END_TEST

/* Mapped, by file and by message in one; what lies in one mapping alone needs no buffer. */
START_TEST(a_buffer_stands_for_all_kinds)
{
	uint8_t *there = map_both(), *at;
	int fd = file(PAGE);
	struct bounced b;

	ck_assert_int_eq(map(RW | IO, 0, MAPPED + 8 * PAGE, PAGE, dup(fd)), 0);
	there[0] = 7;
	pin_named(MAPPED, 8, RW, &b);
	ck_assert_int_eq(b.result.status, 0);
	ck_assert_uint_eq(dma.bounced, 0);
	unpin_named(&b, "direct ");
	pin_named(MAPPED - 4, 8 * PAGE + 8, RW, &b);
	answer(0);
	at = b.pin.addr;
	ck_assert_uint_eq(at[0], pattern(MAPPED - 4));
	ck_assert_uint_eq(at[4], 7);
	at[0] ^= 1;
	at[5] = 8;
	at[8 * PAGE + 7] = 9;
	/* Written by the client meanwhile. */
	there[0] = 17;
	unpin_named(&b, "b ");
	ck_assert_uint_eq(nsent, 2);
	ck_assert_uint_eq(sent[1].count, 1);
	answer(1);
	ck_assert_str_eq(order, "direct b ");
	ck_assert_uint_eq(there[0], 17);
	ck_assert_uint_eq(there[1], 8);
	ck_assert_int_eq(pread(fd, order, 4, 0), 4);
	ck_assert_uint_eq(order[3], 9);
	munmap(there, 8 * PAGE);
	close(fd);
}
END_TEST

START_TEST(buffers_wait_for_room)
{
	struct bounced b[4], large;
	struct vfu_dma_pin pin;

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 16 * PAGE + 1, RW, &pin), -E2BIG);
	ck_assert_int_eq(vfui_dma_pin_async(&dma, BASE, 33 * PAGE, R, &pin, done, NULL), -E2BIG);
	/* Two of these fit, as a copy of what was read in is kept. */
	for (unsigned i = 0; i < 4; i++)
		pin_named(BASE, 8 * PAGE, RW, &b[i]);
	pin_named(BASE, 32 * PAGE, R, &large);
	answer_all(false);
	ck_assert_uint_eq(b[1].result.n, 1);
	ck_assert_uint_eq(b[2].result.n, 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE, 1, W, &pin), -ENOBUFS);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b[1].pin), 0);
	answer_all(false);
	ck_assert_uint_eq(b[2].result.n, 1);
	ck_assert_uint_eq(b[3].result.n, 0);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b[2].pin), 0);
	answer_all(false);
	ck_assert_uint_eq(b[3].result.n, 1);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b[3].pin), 0);
	ck_assert_uint_eq(large.result.n, 0);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b[0].pin), 0);
	answer_all(false);
	ck_assert_int_eq(large.result.status, 0);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &large.pin), 0);
	ck_assert_uint_eq(dma.bounced, 0);
}
END_TEST

/* After a fork nobody hears of them: it is the parent who waits. */
START_TEST(buffers_that_are_abandoned)
{
	struct bounced live, reading, waiting;

	order[0] = '\0';
	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	pin_named(BASE, 8 * PAGE, RW, &live);
	answer_all(false);
	pin_named(BASE, 4 * PAGE, RW, &reading);
	pin_named(BASE, 8 * PAGE, RW, &waiting);
	vfui_dma_abandon(&dma);
	ck_assert_uint_eq(live.result.n, 1);
	ck_assert_uint_eq(reading.result.n, 0);
	ck_assert_uint_eq(waiting.result.n, 0);
	for (unsigned i = 0; i < nsent; i++)
		sent[i].is_open = false;
	nopen = 0;
	start(NULL, &limits);
}
END_TEST

/* An unmap waits for none of them; what comes to the same place is not written to. */
START_TEST(buffers_whose_memory_goes)
{
	struct bounced live, reading, waiting, later;

	order[0] = '\0';
	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	pin_named(BASE, 8 * PAGE, RW, &live);
	answer_all(false);
	((uint8_t *)live.pin.addr)[0] ^= 1;
	pin_named(BASE, 4 * PAGE, RW, &reading);
	pin_named(BASE, 8 * PAGE, RW, &waiting);
	ck_assert_int_eq(map(RW, 0, 2 * BASE, 64 * PAGE, -1), 0);
	pin_named(2 * BASE, 4 * PAGE, R, &later);
	ck_assert_int_eq(unmap(BASE, 64 * PAGE), 0);
	ck_assert_int_eq(waiting.result.status, -ECANCELED);
	ck_assert_uint_eq(reading.result.n, 0);
	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	answer_all(false);
	ck_assert_int_eq(reading.result.status, -ECANCELED);
	ck_assert_int_eq(later.result.status, 0);
	nsent = 0;
	ck_assert_int_eq(vfui_dma_unpin(&dma, &live.pin), -ECANCELED);
	ck_assert_uint_eq(nsent, 0);
	/* On its way back when the client goes; and what nobody gives back. */
	pin_named(BASE, 8, RW, &live);
	pin_named(BASE, 8 * PAGE, RW, &reading);
	answer_all(false);
	((uint8_t *)live.pin.addr)[0] ^= 1;
	unpin_named(&live, "gone ");
	pin_named(BASE, 16 * PAGE, RW, &waiting);
	vfui_dma_disconnect(&dma);
	ck_assert_int_eq(waiting.result.status, -ECANCELED);
	answer_with(nsent - 1, -ENOTCONN, 0, 0);
	ck_assert_str_eq(order, "!gone ");
}
END_TEST

static void give_back(void *user, int status)
{
	struct bounced *b = user;

	ck_assert_int_eq(status, -ECANCELED);
	b->result.n++;
	b->result.status = vfui_dma_unpin(&dma, &b->pin);
}

/* Nor is one written that is given back by who hears of the end of a copy. */
START_TEST(buffers_given_back_by_callbacks)
{
	enum { RESET, UNMAP, DISCONNECT };
	struct result first = {0};
	struct bounced b;

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	pin_named(BASE, 8, RW, &b);
	answer_all(false);
	((uint8_t *)b.pin.addr)[0] ^= 1;
	/* It fills the window, and another one is over at once. */
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 16 * PAGE, done, &first), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 8, give_back, &b), 0);
	if (_i == RESET)
		vfui_dma_reset(&dma);
	else if (_i == UNMAP)
		ck_assert_int_eq(unmap(BASE, 64 * PAGE), 0);
	else
		vfui_dma_disconnect(&dma);
	ck_assert_uint_eq(b.result.n, 2);
	ck_assert_int_eq(b.result.status, -ECANCELED);
	/* Nothing has come behind what was in the window. */
	for (unsigned i = 0, n = nsent; i < n; i++) {
		if (sent[i].is_open)
			answer_with(i, -EIO, 0, 0);
		ck_assert_uint_eq(nsent, n);
	}
	ck_assert_uint_eq(first.n, 1);
	ck_assert_uint_eq(dma.bounced, 0);
}
END_TEST

static void unwritten(void *ctx, uint64_t iova, size_t len, int status)
{
	(void)ctx;
	snprintf(hooked, sizeof(hooked), "%x+%zx: %d", (unsigned)iova, len, status);
}

START_TEST(buffers_that_fail)
{
	struct vfui_account *account = vfui_account_new();
	struct bounced b, many[64];
	unsigned n = 0;
	int rc;

	order[0] = '\0';
	start_with(account);
	dma.hooks.unwritten = unwritten;
	pin_named(BASE, 16, RW, &b);
	answer_with(0, -EPERM, 0, 0);
	ck_assert_int_eq(b.result.status, -EPERM);
	for (unsigned i = 1; i <= 3; i++) {
		fault_fail(FAULT_ALLOC, i, ENOMEM);
		rc = vfui_dma_pin_async(&dma, BASE, 16, W, &b.pin, done, &b.result);
		fault_reset();
		ck_assert_msg(rc == -ENOMEM || (!rc && b.result.status == -ENOMEM), "%u: %d", i,
			      rc);
	}
	pin_named(BASE, 16, W, &b);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b.pin), 0);
	answer_with(nsent - 1, -EPERM, 0, 0);
	ck_assert_str_eq(hooked, "100000+10: -1");
	/* As many may wait as a client can make us keep, and a wait counts however it ends. */
	atomic_store(&account->limit, 16 * 1024);
	pin_named(BASE, 16 * PAGE, RW, &b);
	answer_all(false);
	do {
		rc = vfui_dma_pin_async(&dma, BASE, 16, RW, &many[n].pin, done, &many[n].result);
		n += !rc;
	} while (!rc && n < 64);
	ck_assert_int_eq(rc, -ENOBUFS);
	ck_assert_uint_gt(n, 8);
	ck_assert_int_eq(unmap(BASE, 64 * PAGE), 0);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b.pin), -ECANCELED);
	ck_assert_uint_eq(vfui_account_used(account, VFUI_DMA), 0);
	ck_assert_uint_eq(dma.bounced, 0);
	end();
	vfui_account_unref(account);
	start(NULL, &limits);
}
END_TEST

START_TEST(buffers_that_are_waited_for)
{
	const struct vfui_dma_hooks owner = {.wait = wait_answering}, other = {.wait = wait_never};
	struct vfu_dma_pin pin;

	wait_result = 0;
	end();
	start(&owner, &limits);
	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE + 1, 8, R, &pin), 0);
	ck_assert_uint_eq(*(uint8_t *)pin.addr, pattern(BASE + 1));
	ck_assert_int_eq(vfui_dma_unpin(&dma, &pin), 0);
	dma.hooks = other;
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE + 1, 8, R, &pin), -EPERM);
	ck_assert_int_eq(vfui_dma_pin(&dma, BASE + 1, 8, W, &pin), 0);
	ck_assert_int_eq(vfui_dma_unpin(&dma, &pin), 0);
	ck_assert_uint_eq(nopen, 1);
	answer_all(false);
	ck_assert_uint_eq(dma.bounced, 0);
}
END_TEST

/* A callback that gives back and pins again does not pile up. */
static struct bounced chained[2];

static void pin_again(void *user, int status)
{
	struct bounced *b = user;

	ck_assert_int_eq(status, 0);
	b->result.n++;
	ck_assert_int_eq(vfui_dma_unpin(&dma, &b->pin), 0);
	if (b->result.n < 50000)
		ck_assert_int_eq(vfui_dma_pin_async(&dma, BASE, PAGE, R, &b->pin, pin_again, b), 0);
}

START_TEST(buffers_pinned_by_callbacks)
{
	ck_assert_int_eq(map(RW | IO, 0, BASE, PAGE, file(PAGE)), 0);
	for (unsigned i = 0; i < 2; i++) {
		chained[i].result.n = 0;
		ck_assert_int_eq(vfui_dma_pin_async(&dma, BASE, PAGE, R, &chained[i].pin, pin_again,
						    &chained[i]),
				 0);
		ck_assert_uint_eq(chained[i].result.n, 50000);
	}
}
END_TEST

/* ---- fences ------------------------------------------------------------------------------------ */

static void fence(void *user, unsigned a, unsigned b)
{
	(void)user;
	snprintf(order + strlen(order), 16, "f%u%u ", a, b);
}

START_TEST(fences_come_after_what_was_before)
{
	order[0] = '\0';
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_after(&dma, fence, NULL, 0, 1), 0);
	ck_assert_str_eq(order, "f01 ");
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 1, done_named, (void *)"a "), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 1, done_named, (void *)"b "), 0);
	ck_assert_int_eq(vfui_dma_after(&dma, fence, NULL, 1, 2), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 1, done_named, (void *)"c "), 0);
	ck_assert_int_eq(vfui_dma_after(&dma, fence, NULL, 2, 3), 0);
	answer(2);
	answer(1);
	ck_assert_str_eq(order, "f01 c b ");
	answer(0);
	ck_assert_str_eq(order, "f01 c b a f12 f23 ");
	order[0] = '\0';
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 1, done_named, (void *)"a "), 0);
	ck_assert_int_eq(vfui_dma_after(&dma, fence, NULL, 3, 4), 0);
	vfui_dma_disconnect(&dma);
	ck_assert_str_eq(order, "");
	answer_with(3, -ENOTCONN, 0, 0);
	ck_assert_str_eq(order, "!a f34 ");
}
END_TEST

/* Doorbells of a client that answers no DMA must not buy one fence each. */
START_TEST(one_fence_of_a_kind)
{
	long blocks;

	order[0] = '\0';
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, -1), 0);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 1, done_named, (void *)"a "), 0);
	ck_assert_int_eq(vfui_dma_after(&dma, fence, NULL, 0, 1), 0);
	ck_assert_int_eq(vfui_dma_after(&dma, fence, NULL, 0, 2), 0);
	blocks = fault_blocks();
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_int_eq(vfui_dma_after(&dma, fence, NULL, 0, 1 + i % 2), 0);
	ck_assert_int_eq(fault_blocks(), blocks);
	ck_assert_int_eq(vfui_dma_write_async(&dma, BASE, buffer, 1, done_named, (void *)"b "), 0);
	ck_assert_int_eq(vfui_dma_after(&dma, fence, NULL, 0, 1), 0);
	answer(1);
	answer(0);
	ck_assert_str_eq(order, "b a f01 f02 f01 ");
}
END_TEST

/* ---- threads, and many ------------------------------------------------------------------------- */

static atomic_bool stop;

static void *use_memory(void *arg)
{
	unsigned seed = *(unsigned *)arg;

	while (!atomic_load(&stop)) {
		uint64_t at = BASE + rand_r(&seed) % (8 * PAGE);
		struct vfu_dma_pin pin;
		struct vfu_dma_range ranges[8];
		uint32_t word;

		vfui_dma_read(&dma, at, &word, sizeof(word));
		if (!vfui_dma_pin(&dma, at, 1, VFU_DMA_READ, &pin)) {
			ck_assert(*(volatile uint8_t *)pin.addr == 0);
			ck_assert(vfui_dma_unpin(&dma, &pin) == 0);
		}
		vfui_dma_list(&dma, ranges, 8);
	}
	return NULL;
}

START_TEST(other_threads_use_what_comes_and_goes)
{
	unsigned seeds[3] = {1, 2, 3};
	int fd = file(PAGE);
	pthread_t threads[3];

	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use_memory, &seeds[i]), 0);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t at = BASE + i % 8 * PAGE;
		struct vfui_dma_wait *wait = NULL;

		ck_assert_int_eq(map(RW | (i % 3 ? 0 : IO), 0, at, PAGE, dup(fd)), 0);
		if (i >= 4)
			vfui_dma_unmap(&dma, BASE + (i - 4) % 8 * PAGE, PAGE, false, &policy, &wait,
				       &err);
		if (wait)
			vfui_dma_wait_start(&dma, wait, unmap_done, &dma);
		hooked[0] = '\0';
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	close(fd);
}
END_TEST

static void *write_messages(void *arg)
{
	struct result *result = arg;

	for (unsigned i = 0; i < 100; i++)
		ck_assert(vfui_dma_write_async(&dma, BASE, buffer, 5 * PAGE, done, result) == 0);
	return NULL;
}

START_TEST(other_threads_start_messages)
{
	struct result results[3] = {{0}};
	pthread_t threads[3];
	unsigned total = 0, answered = 0;

	ck_assert_int_eq(map(RW, 0, BASE, 64 * PAGE, -1), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_messages, &results[i]), 0);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	while (nopen) {
		answer(answered++);
		ck_assert_uint_le(nopen, 4);
	}
	for (unsigned i = 0; i < 3; i++)
		total += results[i].n;
	ck_assert_uint_eq(total, 300);
	ck_assert_uint_eq(nsent, 600);
}
END_TEST

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* As many as the protocol allows, in the order that the index i gives. */
static void storm(const char *name, unsigned multiplier, bool with_file)
{
	const char *preload = getenv("LD_PRELOAD");
	/* Valgrind has room for 30,000 mappings. */
	unsigned n = preload && strstr(preload, "vgpreload") ? 4096 : 65535;
	int fd = file(PAGE);
	double begin = now();

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = (uint64_t)(i * multiplier % 65536) * 2 * PAGE;

		ck_assert_int_eq(map(RW, 0, at, PAGE, with_file ? dup(fd) : -1), 0);
	}
	fprintf(stderr, "%u maps, %s: %.3f s", n, name, now() - begin);
	begin = now();
	vfui_dma_disconnect(&dma);
	fprintf(stderr, ", gone in %.3f s\n", now() - begin);
	ck_assert_int_eq(vfui_dma_connect(&dma, (struct vfui_conn *)&conn_lock, &limits), 0);
	close(fd);
}

START_TEST(a_storm_of_maps)
{
	end();
	start(NULL, &limits);
	storm("ascending", 1, false);
	storm("descending", 65535, false);
	storm("scattered", 40503, false);
	storm("scattered, files", 40503, true);
}
END_TEST

static int map_by_message(void)
{
	return map(RW, 0, BASE, PAGE, -1);
}

static int map_a_file(void)
{
	return map(RW | IO, 0, BASE + PAGE, PAGE, file(PAGE));
}

static int unmap_them(void)
{
	return unmap(0, UINT64_C(1) << 40);
}

static int pin_many(void)
{
	struct vfu_dma_pin pins[40];
	int rc = map(RW, 0, 0, PAGE, file(PAGE));

	for (unsigned i = 0; i < 40; i++)
		pins[i] = (struct vfu_dma_pin){0};
	for (unsigned i = 0; i < 40 && !rc; i++)
		rc = vfui_dma_pin(&dma, 0, 1, VFU_DMA_READ, &pins[i]);
	for (unsigned i = 0; i < 40; i++)
		vfui_dma_unpin(&dma, &pins[i]);
	fault_fail(FAULT_ALLOC, 0, 0);
	unmap(0, PAGE);
	return rc;
}

static int copy_by_message(void)
{
	static struct result result;
	int rc = vfui_dma_read_async(&dma, BASE, buffer, 10, done, &result);

	answer_all(false);
	return rc;
}

static int connect_again(void)
{
	vfui_dma_disconnect(&dma);
	return vfui_dma_connect(&dma, (struct vfui_conn *)&conn_lock, &limits);
}

START_TEST(out_of_memory)
{
	struct result result = {0};

	fault_each_alloc(map_by_message);
	fault_each_alloc(map_a_file);
	fault_each_alloc(copy_by_message);
	ck_assert_int_eq(vfui_dma_read_async(&dma, BASE, buffer, 10, done, &result), 0);
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	ck_assert_int_eq(vfui_dma_after(&dma, fence, NULL, 1, 2), -ENOMEM);
	ck_assert_uint_eq(dma.maps.count, 2);
	answer_all(false);
	fault_each_alloc(unmap_them);
	ck_assert_uint_eq(dma.maps.count, 0);
	fault_each_alloc(connect_again);
}
END_TEST

START_TEST(pins_without_memory)
{
	for (unsigned n = 1; n < 6; n++) {
		fault_fail(FAULT_ALLOC, n, ENOMEM);
		if (n == 1)
			ck_assert_int_eq(pin_many(), -ENOMEM);
		else
			pin_many();
	}
	ck_assert_int_eq(pin_many(), 0);
}
END_TEST

START_TEST(maps_that_run_out)
{
	struct vfu_dma_range range;
	char data[4] = {0};
	int fd = file(PAGE);

	/* For their number: through the file. */
	fault_fail(FAULT_MMAP, 1, ENOMEM);
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, dup(fd)), 0);
	ck_assert_uint_eq(vfui_dma_list(&dma, &range, 1), 1);
	ck_assert(!range.mapped);
	ck_assert_int_eq(vfui_dma_write(&dma, BASE, "abc", 4), 0);
	ck_assert_int_eq(pread(fd, data, 4, 0), 4);
	ck_assert_str_eq(data, "abc");
	/* For anything else: no. */
	fault_fail(FAULT_MMAP, 1, EPERM);
	ck_assert_int_eq(map(RW, 0, BASE + PAGE, PAGE, fd), -EPERM);
}
END_TEST

/* A process may have so many mappings, and needs some for itself: what comes beyond goes through the file. */
START_TEST(so_many_are_mapped)
{
	struct vfu_dma_range ranges[2];
	int fd = file(PAGE);

	dma.nmapped += 61439;
	ck_assert_int_eq(map(RW, 0, BASE, PAGE, dup(fd)), 0);
	ck_assert_int_eq(map(RW, 0, BASE + PAGE, PAGE, fd), 0);
	ck_assert_uint_eq(vfui_dma_list(&dma, ranges, 2), 2);
	ck_assert(ranges[0].mapped);
	ck_assert(!ranges[1].mapped);
	ck_assert_int_eq(vfui_dma_write(&dma, BASE + PAGE, "abc", 4), 0);
	dma.nmapped -= 61439;
}
END_TEST

static void add_map_tests(TCase *tcase)
{
	tcase_add_test(tcase, told_of_files_that_can_be_cut);
	tcase_add_test(tcase, maps_that_are_refused);
	tcase_add_test(tcase, the_last_page_can_be_mapped);
	tcase_add_test(tcase, overlaps);
	tcase_add_test(tcase, misaligned_by_policy);
	tcase_add_test(tcase, other_flags_reach_the_device);
	tcase_add_test(tcase, no_more_than_agreed);
	tcase_add_test(tcase, unmaps_that_cover);
	tcase_add_test(tcase, unmaps_that_match);
	tcase_add_test(tcase, unmap_all);
	tcase_add_test(tcase, any_order_of_maps_and_unmaps);
	tcase_add_test(tcase, mapped_and_file_ranges_are_the_same_memory);
	tcase_add_test(tcase, one_descriptor_per_file);
	tcase_add_test(tcase, a_file_too_large_to_map_is_read);
	tcase_add_test(tcase, a_file_that_was_cut);
	tcase_add_test(tcase, a_mapping_that_was_cut);
	tcase_add_test(tcase, a_device_without_pages);
	tcase_add_test(tcase, a_pin_whose_file_was_cut);
	tcase_add_test(tcase, files_that_the_policy_takes);
	tcase_add_test(tcase, memory_of_a_process_through_its_file);
	tcase_add_test(tcase, what_may_not_be_reached);
	tcase_add_test(tcase, pins_hold_memory);
	tcase_add_test(tcase, unpinned_before_the_wait_starts);
	tcase_add_test(tcase, never_unpinned);
	tcase_add_test(tcase, pins_that_are_refused);
	tcase_add_test(tcase, many_pins_over_a_disconnect);
	tcase_add_test(tcase, a_pin_that_is_never_given_back);
}

static void add_copy_tests(TCase *tcase)
{
	tcase_add_test(tcase, reads_are_cut_and_bounded);
	tcase_add_test(tcase, a_read_larger_than_the_bound_goes_alone);
	tcase_add_test(tcase, writes_fill_the_window);
	tcase_add_test(tcase, mixed_ranges);
	tcase_add_test(tcase, one_copy_of_all_kinds);
	tcase_add_test(tcase, mapped_copies_wait_for_messages_before_them);
	tcase_add_test(tcase, mixed_copies_keep_the_order);
	tcase_add_test(tcase, mapped_copies_need_nothing_but_memory);
	tcase_add_test(tcase, mapped_copies_that_wait_can_be_cancelled);
	tcase_add_test(tcase, the_owner_copies_alone);
	tcase_add_test(tcase, others_copy_beside_the_owner);
	tcase_add_test(tcase, blocking_copies_keep_the_order);
	tcase_add_test(tcase, other_threads_mix);
	tcase_add_test(tcase, integers_in_shared_memory);
	tcase_add_test(tcase, an_index_is_written_at_once);
	tcase_add_test(tcase, all_sorts_of_answers);
	tcase_add_test(tcase, the_first_error_ends_it_once);
	tcase_add_test(tcase, an_unmap_cancels);
	tcase_add_test(tcase, a_disconnect_cancels);
	tcase_add_test(tcase, a_full_queue_is_tried_again);
	tcase_add_test(tcase, a_send_that_fails);
	tcase_add_test(tcase, no_more_than_the_account_allows);
	tcase_add_test(tcase, the_account_is_level_in_the_end);
	tcase_add_test(tcase, a_deadline_is_for_all_that_wait);
	tcase_add_test(tcase, copies_started_by_callbacks);
	tcase_add_test(tcase, blocking_copies);
	tcase_add_test(tcase, maps_that_change_under_a_copy);
	tcase_add_test(tcase, a_wait_that_is_given_up);
	tcase_add_test(tcase, lists_of_pieces);
	tcase_add_test(tcase, lists_are_paid_for);
	tcase_add_test(tcase, fills);
	tcase_add_test(tcase, a_buffer_stands_for_messages);
	tcase_add_test(tcase, a_buffer_stands_for_all_kinds);
	tcase_add_test(tcase, buffers_wait_for_room);
	tcase_add_test(tcase, buffers_whose_memory_goes);
	tcase_add_test(tcase, buffers_that_are_abandoned);
	tcase_add_loop_test(tcase, buffers_given_back_by_callbacks, 0, 3);
	tcase_add_test(tcase, buffers_that_fail);
	tcase_add_test(tcase, buffers_that_are_waited_for);
	tcase_add_test(tcase, buffers_pinned_by_callbacks);
	tcase_add_test(tcase, fences_come_after_what_was_before);
	tcase_add_test(tcase, one_fence_of_a_kind);
	tcase_add_test(tcase, other_threads_use_what_comes_and_goes);
	tcase_add_test(tcase, other_threads_start_messages);
	tcase_add_test(tcase, a_storm_of_maps);
	tcase_add_test(tcase, out_of_memory);
	tcase_add_test(tcase, pins_without_memory);
	tcase_add_test(tcase, maps_that_run_out);
	tcase_add_test(tcase, so_many_are_mapped);
}

static void add_case(Suite *suite, const char *name, void (*begin)(void))
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 120);
	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, begin, teardown);
	add_map_tests(tcase);
	add_copy_tests(tcase);
	suite_add_tcase(suite, tcase);
}

int main(void)
{
	Suite *suite = suite_create("dma");

	add_case(suite, "dma", setup);
	add_case(suite, "dma in rounds", setup_round);
	return run_suite(suite);
}
