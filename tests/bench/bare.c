/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * bare.c - the far end of the bare socket: knows how many bytes come and go, and nothing else.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* Takes n requests of q bytes and sends as many replies of r bytes, as many at once as there are. */
static void respond(struct end *e, size_t q, size_t r, unsigned n, const uint8_t *copy_from)
{
	static uint8_t copy_to[1 << 20];
	size_t fill = 0;

	while (n) {
		unsigned ready;

		fill += end_recv(e, e->in + fill, e->room - fill);
		ready = (unsigned)(fill / q);
		fill -= ready * q;
		memmove(e->in, e->in + ready * q, fill);
		if (!ready)
			continue;
		if (copy_from) {
			memcpy(copy_to, copy_from, 4096);
			__asm__ volatile("" : : "r"(copy_to) : "memory");
		}
		end_send(e, e->out, ready * r);
		n -= ready;
	}
}

/* The replies to register writes, and to the read that fences posted writes. */
static void small(struct end *e, uint16_t command, size_t q, size_t r, unsigned n)
{
	struct region_part reply = {{0, command, (uint32_t)r, FLAG_REPLY, 0}, 0, 0, 4};
	uint8_t in[64], out[64] = {0};

	memcpy(out, &reply, sizeof(reply));
	while (n--) {
		end_recv_all(e, in, q);
		end_send(e, out, r);
	}
}

static void set_regs(struct end *e, unsigned n)
{
	small(e, CMD_REGION_WRITE, sizeof(struct region_part) + 8, sizeof(struct region_part), n);
}

static void regs(struct end *e)
{
	set_regs(e, 4);
}

static void posts(struct end *e, size_t bytes)
{
	while (bytes)
		bytes -= end_recv(e, e->in, bytes < e->room ? bytes : e->room);
	small(e, CMD_REGION_READ, sizeof(struct region_part), sizeof(struct region_part) + 4, 1);
}

static void dma(struct end *e, const struct row *row, unsigned ops)
{
	struct region_part done = {
		{0, CMD_REGION_WRITE, sizeof(done), FLAG_REPLY, 0}, REG_START, 1, 4};
	size_t r = row_reply_size(row);
	struct header want = {0, row->command, (uint32_t)r, FLAG_REPLY, 0};
	uint8_t start[sizeof(done) + 4];

	regs(e);
	end_recv_all(e, start, sizeof(start));
	pump(e, row_request_size(row), r, row->depth, ops, &want);
	end_send(e, &done, sizeof(done));
}

/* What the device copies for one register write. */
static void loop(struct end *e, const struct row *row, unsigned ops)
{
	static uint8_t own[1 << 20] __attribute__((aligned(4096)));
	uint8_t *guest = e->guest + GUEST_HALF;
	bool is_write = row->command == CMD_DMA_WRITE;
	struct region_part done = {
		{0, CMD_REGION_WRITE, sizeof(done), FLAG_REPLY, 0}, REG_START, 1, 4};
	uint8_t start[sizeof(done) + 4];

	set_regs(e, 5);
	end_recv_all(e, start, sizeof(start));
	for (size_t at = 0; ops--; at = (at + row->count) % GUEST_HALF) {
		memcpy(is_write ? guest + at : own, is_write ? own : guest + at, row->count);
		__asm__ volatile("" : : "r"(own), "r"(guest) : "memory");
	}
	end_send(e, &done, sizeof(done));
	set_regs(e, 1);
}

static void rounds(struct end *e, const struct row *row, unsigned ops)
{
	size_t q = row_request_size(row), r = row_reply_size(row);

	if (row->kind == ROW_DMA)
		row_requests(row, e->out, row->depth);
	else if (row->kind != ROW_POST)
		row_replies(row, e->out, row->depth);
	for (;;) {
		switch (row->kind) {
		case ROW_CALL:
			respond(e, q, r, ops, NULL);
			break;
		case ROW_POST:
			posts(e, q * ops);
			break;
		case ROW_DMA:
			dma(e, row, ops);
			break;
		case ROW_MAPPED:
			regs(e);
			respond(e, q, r, ops, e->guest + GUEST_HALF);
			break;
		case ROW_LOOP:
			loop(e, row, ops);
			break;
		}
	}
}

int bare_start(struct end *e, const struct row *row, unsigned ops, enum mode mode)
{
	int fds[2], pid;
	struct end far;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		die("socketpair: %s", strerror(errno));
	end_init(e, fds[0], mode == MODE_SPIN);
	guest_open(e);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* the parent may die of a fault */
		close(fds[0]);
		end_init(&far, fds[1], mode == MODE_SPIN);
		far.guest = e->guest;
		if (mode != MODE_FREE)
			pin(0, 0);
		rounds(&far, row, ops);
	}
	close(fds[1]);
	e->peer = pid;
	return pid;
}

void bare_stop(struct end *e, int pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	end_fini(e);
}

double measure_bare(const struct row *row, unsigned ops, enum mode mode)
{
	struct end e;
	int pid = bare_start(&e, row, ops, mode);
	double ns = measure(&e, row, ops, mode);

	bare_stop(&e, pid);
	return ns;
}
