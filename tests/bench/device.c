/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * device.c - the bench device on libvfu: BAR0 is memory, BAR1 starts DMA.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfu.h"

#define BAR0_SIZE (2u << 20)
#define DMA_MAX (1u << 20)

enum { REG_ADDRESS, REG_LENGTH, REG_REPEAT, REG_START, REG_DONE, REG_WINDOW, REG_REACH, REGS };
enum { START_READ = 1, START_WRITE, START_MAPPED_READ, START_MAPPED_WRITE };
enum { WINDOW_MAX = 64 };

struct bench {
	struct vfu_device *dev;
	uint8_t *bar0;
	uint64_t reg[REGS];
	uint8_t *slots; /* a DMA buffer per transfer in flight */
	unsigned next_slot;
	/* The transfers under way; request is the write that waits for their end. */
	struct vfu_request *request;
	uint64_t left, offset;
	unsigned in_flight;
	uint32_t start;
	int status;
	bool pumping;
};

static struct vfu_server *server;

static void stop(int sig)
{
	(void)sig;
	vfu_server_stop(server);
}

/* What baseline figures are about: the server alone. */
static int bar0_nothing(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	(void)user;
	(void)req;
	(void)a;
	return 0;
}

static int bar0_copy(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	struct bench *b = user;

	(void)req;
	if (a->is_write)
		memcpy(b->bar0 + a->offset, a->data, a->count);
	else
		memcpy(a->data, b->bar0 + a->offset, a->count);
	return 0;
}

/* Sent from where it is. */
static int bar0_lend(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	struct bench *b = user;

	return a->is_write
		       ? bar0_copy(user, req, a)
		       : vfu_request_lend(req, b->bar0 + a->offset, VFU_LEND_BRIEFLY, NULL, NULL);
}

/* What was there before, as after a DMA into it. */
static int bar0_filled(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	(void)user;
	return a->is_write ? 0 : vfu_request_set_filled(req, a->count);
}

static void transfer_done(void *user, int status);

static int transfer(struct bench *b)
{
	uint8_t *buf = b->slots + (size_t)b->next_slot * DMA_MAX;
	uint64_t address = b->reg[REG_ADDRESS] + b->offset;
	size_t len = b->reg[REG_LENGTH];

	/* Where the last one ended, as long as all of it is in reach. */
	b->offset += len;
	if (b->offset >= b->reg[REG_REACH])
		b->offset = 0;
	b->next_slot = (b->next_slot + 1) % (unsigned)b->reg[REG_WINDOW];
	switch (b->start) {
	case START_READ:
		return vfu_dma_read_async(b->dev, address, buf, len, transfer_done, b);
	case START_WRITE:
		return vfu_dma_write_async(b->dev, address, buf, len, transfer_done, b);
	case START_MAPPED_READ:
		return vfu_dma_read(b->dev, address, buf, len);
	default:
		return vfu_dma_write(b->dev, address, buf, len);
	}
}

static bool is_async(const struct bench *b)
{
	return b->start == START_READ || b->start == START_WRITE;
}

/* Keeps the window full. A transfer may be done before the call that starts it returns. */
static void pump(struct bench *b)
{
	b->pumping = true;
	while (b->left && !b->status && b->in_flight < b->reg[REG_WINDOW]) {
		int err;

		b->left--;
		b->in_flight++;
		err = transfer(b);
		if (err || !is_async(b))
			transfer_done(b, err);
	}
	b->pumping = false;
	if (!b->in_flight && b->request) {
		struct vfu_request *req = b->request;

		b->request = NULL;
		vfu_request_done(req, b->status);
	}
}

static void transfer_done(void *user, int status)
{
	struct bench *b = user;

	b->in_flight--;
	if (status && !b->status)
		b->status = status;
	if (!status)
		b->reg[REG_DONE]++;
	if (!b->pumping)
		pump(b);
}

static int start(struct bench *b, struct vfu_request *req, uint32_t what)
{
	if (b->in_flight || b->request)
		return -EBUSY;
	if (what < START_READ || what > START_MAPPED_WRITE || !b->reg[REG_LENGTH] ||
	    b->reg[REG_LENGTH] > DMA_MAX || !b->reg[REG_WINDOW] || b->reg[REG_WINDOW] > WINDOW_MAX)
		return -EINVAL;
	b->start = what;
	b->status = 0;
	b->next_slot = 0;
	b->left = b->reg[REG_REPEAT];
	b->offset = 0;
	if (!is_async(b)) {
		pump(b);
		return b->status;
	}
	b->request = vfu_request_defer(req);
	if (!b->request)
		return -ENOMEM;
	pump(b);
	return VFU_LATER;
}

static int bar1_access(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	struct bench *b = user;
	unsigned reg = (unsigned)(a->offset / 8);

	if (a->offset % 8 || reg >= REGS || a->count > 8)
		return -EINVAL;
	if (!a->is_write) {
		memcpy(a->data, &b->reg[reg], a->count);
		return 0;
	}
	b->reg[reg] = 0;
	memcpy(&b->reg[reg], a->data, a->count);
	return reg == REG_START ? start(b, req, (uint32_t)b->reg[reg]) : 0;
}

/* Memory of the library, or a callback that does nothing, says that it has filled the buffer, copies or lends. */
static bool set_bar0(struct vfu_region *bar0, const char *name)
{
	static const struct {
		const char *name;
		vfu_access_fn *fn;
		uint32_t flags;
	} kinds[] = {
		{"nothing", bar0_nothing, 0}, {"filled", bar0_filled, VFU_REGION_UNCLEARED},
		{"copy", bar0_copy, 0},       {"lend", bar0_lend, VFU_REGION_UNCLEARED},
		{"memory", NULL, 0},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, name))
			continue;
		bar0->access = kinds[i].fn;
		bar0->flags |= kinds[i].flags;
		return true;
	}
	return false;
}

static int bench_init(struct bench *b, const char *kind)
{
	struct vfu_region bar0 = {.size = BAR0_SIZE, .user = b, .fd = -1};
	struct vfu_region bar1 = {.size = 4096, .access = bar1_access, .user = b, .fd = -1};

	bar0.flags = bar1.flags = VFU_REGION_READ | VFU_REGION_WRITE;
	b->bar0 = calloc(1, BAR0_SIZE);
	b->slots = calloc(WINDOW_MAX, DMA_MAX);
	b->dev = vfu_device_new();
	if (!b->bar0 || !b->slots || !b->dev)
		return -ENOMEM;
	if (!set_bar0(&bar0, kind))
		return -EINVAL;
	b->reg[REG_REPEAT] = b->reg[REG_WINDOW] = 1;
	if (vfu_device_set_ids(b->dev, 0x1234, 0xbe7c, 0, 0) ||
	    vfu_device_set_region(b->dev, 0, &bar0) || vfu_device_set_region(b->dev, 1, &bar1))
		return -EINVAL;
	/* Memory that nobody has written costs less to read. */
	memset(b->bar0, 0x5a, BAR0_SIZE);
	if (vfu_device_region_memory(b->dev, 0))
		memset(vfu_device_region_memory(b->dev, 0), 0x5a, BAR0_SIZE);
	return 0;
}

static void bench_fini(struct bench *b)
{
	vfu_device_free(b->dev);
	free(b->slots);
	free(b->bar0);
}

static void print_stats(void)
{
	struct vfu_stats s;

	vfu_server_stats(server, &s);
	printf("requests in %llu out %llu, replies in %llu out %llu, bytes in %llu out %llu, "
	       "sends %llu\n",
	       (unsigned long long)s.requests_in, (unsigned long long)s.requests_out,
	       (unsigned long long)s.replies_in, (unsigned long long)s.replies_out,
	       (unsigned long long)s.bytes_in, (unsigned long long)s.bytes_out,
	       (unsigned long long)s.batches);
}

static int serve(const char *path)
{
	struct sigaction sa = {.sa_handler = stop};
	struct vfu_err err;
	int ret;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	ret = vfu_server_listen(server, path);
	if (!ret)
		ret = vfu_server_run(server);
	if (ret) {
		vfu_server_err(server, &err);
		fprintf(stderr, "bench device: %s: %s: %s\n", path, strerror(-ret), err.text);
	}
	print_stats();
	return ret ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {{"socket-path", required_argument, NULL, 's'},
					      {"dma-read-bytes", required_argument, NULL, 'd'},
					      {"bar0", required_argument, NULL, 'b'},
					      {"spin", no_argument, NULL, 'p'},
					      {NULL, 0, NULL, 0}};
	struct bench bench = {0};
	const char *path = NULL, *dma_read_bytes = "1048576", *bar0 = "nothing";
	bool spin = false;
	int c, ret = 1;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 's')
			path = optarg;
		else if (c == 'd')
			dma_read_bytes = optarg;
		else if (c == 'b')
			bar0 = optarg;
		else if (c == 'p')
			spin = true;
		else
			path = NULL, optind = argc;
	}
	if (!path) {
		fprintf(stderr,
			"usage: %s --socket-path=PATH [--dma-read-bytes=N] [--spin]\n"
			"       [--bar0=nothing|filled|copy|lend|memory]\n",
			argv[0]);
		return 2;
	}
	if (!vfu_sigbus_guard() && !bench_init(&bench, bar0))
		server = vfu_server_new(bench.dev);
	if (server &&
	    !vfu_server_set(server, VFU_OPT_DMA_READ_BYTES, strtoull(dma_read_bytes, NULL, 10)) &&
	    !vfu_server_set(server, VFU_OPT_BUSY_POLL_US, spin ? 1000 : 0))
		ret = serve(path);
	else
		fprintf(stderr, "bench device: not set up\n");
	vfu_server_free(server);
	bench_fini(&bench);
	return ret;
}
