/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * simulator.c - a discrete-event simulator as the client of device.c or python/examples/counter.py: it has a loop of its
 * own, and time that it makes itself. Its memory answers the device after 100 ns of that.
 *
 *	simulator SOCKET
 *
 *	events left? --yes--> time is that of the earliest, which happens: it asks the device, or memory answers it
 *	      | no
 *	poll(what the library says, the interrupt) --> vfu_client_process --> answers, DMA: they make events
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vfu.h>

#define IOVA 0x80000000u
#define PAGE 4096u
#define ACCESS 500u /* nanoseconds that the driver needs between two accesses */
#define MEMORY 100u /* and that memory needs */

/* ---- simulated time */

typedef void event_fn(void *arg);

static struct event {
	uint64_t at;
	event_fn *fn;
	void *arg;
} events[16];
static unsigned nevents;
static uint64_t now;

static void after(uint64_t ns, event_fn *fn, void *arg)
{
	if (nevents < sizeof(events) / sizeof(events[0]))
		events[nevents++] = (struct event){now + ns, fn, arg};
}

/* The earliest; of those of one time whichever. */
static void next_event(void)
{
	unsigned first = 0;
	struct event event;

	for (unsigned i = 1; i < nevents; i++)
		if (events[i].at < events[first].at)
			first = i;
	event = events[first];
	events[first] = events[--nevents];
	now = event.at;
	event.fn(event.arg);
}

/* ---- memory */

static struct vfu_client *cl;
static char memory[PAGE];

struct transfer {
	struct vfu_client_dma *dma;
	bool is_write;
	size_t at, len;
};

/* What the device wants has taken its time. */
static void transferred(void *arg)
{
	struct transfer *t = arg;
	void *data = vfu_client_dma_data(t->dma);

	if (t->is_write)
		memcpy(memory + t->at, data, t->len);
	else
		memcpy(data, memory + t->at, t->len);
	vfu_client_dma_answer(t->dma, 0);
	printf("%llu ns: %zu bytes of DMA\n", (unsigned long long)now, t->len);
	free(t);
}

/* The device wants memory: it is answered later, and the simulator goes on. */
static int access_memory(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	struct transfer *t = malloc(sizeof(*t));
	struct vfu_client_dma *dma = t ? vfu_client_dma_later(cl) : NULL;

	(void)user;
	(void)data;
	if (!dma) {
		free(t);
		return -ENOBUFS;
	}
	*t = (struct transfer){dma, is_write, iova - IOVA, len};
	after(MEMORY, transferred, t);
	return VFU_LATER;
}

/* ---- the driver */

static uint32_t ticks = 42, got;
static int status = 1; /* of it all; 1: it is not over */

static void failed(int code)
{
	fprintf(stderr, "simulator: %s\n", strerror(-code));
	status = code;
}

static void started(void *user, int code)
{
	(void)user;
	if (code < 0)
		failed(code);
}

/* Has the device write to memory, and raise its interrupt. */
static void kick(void *arg)
{
	uint32_t address = IOVA;
	int r = vfu_client_region_write_async(cl, VFU_REGION_BAR0, 0x04, &address, 4, started, arg);

	if (r < 0)
		failed(r);
}

static void got_ticks(void *user, int code)
{
	if (code < 0) {
		failed(code);
		return;
	}
	printf("%llu ns: ticks: %u\n", (unsigned long long)now, got);
	after(ACCESS, kick, user);
}

static void read_ticks(void *arg)
{
	int r = vfu_client_region_read_async(cl, VFU_REGION_BAR0, 0x00, &got, 4, got_ticks, arg);

	if (r < 0)
		failed(r);
}

static void wrote_ticks(void *user, int code)
{
	if (code < 0)
		failed(code);
	else
		after(ACCESS, read_ticks, user);
}

static void write_ticks(void *arg)
{
	int r = vfu_client_region_write_async(cl, VFU_REGION_BAR0, 0x00, &ticks, 4, wrote_ticks,
					      arg);

	if (r < 0)
		failed(r);
}

static void interrupted(void *arg)
{
	(void)arg;
	printf("%llu ns: interrupt, memory: %.5s\n", (unsigned long long)now, memory);
	status = 0;
}

/* ---- the loop */

/* Nothing happens by itself: until the device says something. */
static int wait_for_device(int irq)
{
	struct pollfd pfds[5] = {{.fd = irq, .events = POLLIN}};
	int n = vfu_client_pollfds(cl, pfds + 1, 4);
	uint64_t count;

	if (n < 0)
		return n;
	poll(pfds, (nfds_t)n + 1, vfu_client_timeout(cl));
	if (pfds[0].revents && vfu_eventfd_take(irq, &count) == 0 && count)
		after(0, interrupted, NULL);
	return vfu_client_process(cl, 0);
}

static int simulate(int irq)
{
	int r = 0;

	after(0, write_ticks, NULL);
	while (status > 0 && r >= 0) {
		if (nevents)
			next_event();
		else
			r = wait_for_device(irq);
	}
	return r < 0 ? r : status;
}

/* Before time begins one may wait. Functions run on this thread alone, whoever else has calls under way. */
static int set_up(const char *path, int irq)
{
	uint16_t command = 0x2;
	int r;

	if ((r = vfu_client_set_reader(cl, true)) < 0 || (r = vfu_client_connect(cl, path)) < 0 ||
	    (r = vfu_client_region_write(cl, VFU_REGION_CONFIG, 0x04, &command, 2)) < 0 ||
	    (r = vfu_client_dma_map_fn(cl, IOVA, PAGE, VFU_DMA_READ | VFU_DMA_WRITE, access_memory,
				       NULL)) < 0)
		return r;
	return vfu_client_irq_set_eventfds(cl, VFU_IRQ_MSIX, 0, 1, &irq);
}

int main(int argc, char **argv)
{
	int irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), r;
	struct vfu_err err;

	cl = vfu_client_new();
	if (argc != 2 || !cl || irq < 0) {
		fprintf(stderr, "usage: simulator SOCKET\n");
		return 2;
	}
	r = set_up(argv[1], irq);
	if (r == 0)
		r = simulate(irq);
	if (r < 0) {
		vfu_client_err(cl, &err);
		fprintf(stderr, "simulator: %s: %s\n", strerror(-r), err.text);
	}
	vfu_client_free(cl);
	close(irq);
	return r < 0;
}
