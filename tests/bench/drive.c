/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * drive.c - the client's side of each row.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "bench.h"

enum { BATCH = 64 };

/* A 4-byte read of BAR0: done when all before it is. */
static void fence(struct end *e)
{
	struct region_part q = {{0, CMD_REGION_READ, sizeof(q), 0, 0}, 0, 0, 4};
	uint8_t reply[sizeof(q) + 4];

	end_send(e, &q, sizeof(q));
	end_recv_all(e, reply, sizeof(reply));
}

static void drive_calls(struct end *e, const struct row *row, unsigned ops)
{
	size_t q = row_request_size(row), r = row_reply_size(row);
	struct header want = {0, row->command, (uint32_t)r, FLAG_REPLY, 0};

	pump(e, q, r, row->depth, ops, &want);
}

static void drive_posts(struct end *e, const struct row *row, unsigned ops)
{
	size_t q = row_request_size(row);

	for (unsigned done = 0; done < ops; done += row->depth)
		end_send(e, e->out, q * row->depth);
	fence(e);
}

static uint8_t *guest_at(struct end *e, const struct dma_part *q)
{
	if (q->address < GUEST_MESSAGE || q->count > GUEST_HALF ||
	    q->address - GUEST_MESSAGE > GUEST_HALF - q->count)
		die("DMA outside of the guest's memory: %#llx + %#llx",
		    (unsigned long long)q->address, (unsigned long long)q->count);
	return e->guest + (q->address - GUEST_MESSAGE);
}

static void send_iov(struct end *e, struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};

	while (m.msg_iovlen) {
		ssize_t s = sendmsg(e->fd, &m, MSG_NOSIGNAL);

		if (s < 0 && errno != EINTR)
			die("sendmsg: %s", strerror(errno));
		for (; s > 0 && (size_t)s >= m.msg_iov->iov_len; m.msg_iov++, m.msg_iovlen--)
			s -= (ssize_t)m.msg_iov->iov_len;
		if (s > 0) {
			m.msg_iov->iov_base = (char *)m.msg_iov->iov_base + s;
			m.msg_iov->iov_len -= (size_t)s;
		}
		while (m.msg_iovlen && !m.msg_iov->iov_len) {
			m.msg_iov++;
			m.msg_iovlen--;
		}
	}
}

/* The message at `at` if it is whole: its size, else 0. */
static size_t whole(const uint8_t *at, size_t len, struct dma_part *q)
{
	if (len < sizeof(q->h))
		return 0;
	memcpy(&q->h, at, sizeof(q->h));
	if (q->h.size > len)
		return 0;
	if (q->h.flags != 0 && q->h.flags != FLAG_REPLY)
		die("DMA: unexpected flags %#x", q->h.flags);
	memcpy(q, at, sizeof(*q));
	return q->h.size;
}

/* One request of the device: its reply is two pieces in iov. */
static void answer(struct end *e, const uint8_t *at, const struct dma_part *q,
		   struct dma_part *reply, struct iovec *iov)
{
	uint8_t *mem = guest_at(e, q);
	size_t data = 0;

	if (q->h.command == CMD_DMA_READ)
		data = q->count;
	else if (q->h.command == CMD_DMA_WRITE)
		memcpy(mem, at + sizeof(*q), q->count);
	else
		die("command %u instead of DMA", q->h.command);
	*reply = *q;
	reply->h.flags = FLAG_REPLY;
	reply->h.size = (uint32_t)(sizeof(*reply) + data);
	iov[0] = (struct iovec){reply, sizeof(*reply)};
	iov[1] = (struct iovec){mem, data};
}

/* Answers the device's DMA until the reply to the write that started it comes. */
static void serve(struct end *e)
{
	struct dma_part q, reply[BATCH];
	struct iovec iov[2 * BATCH];
	size_t fill = 0, size, at;
	bool done = false;

	while (!done) {
		unsigned n = 0;

		fill += end_recv(e, e->in + fill, e->room - fill);
		for (at = 0; !done && n < BATCH; at += size) {
			size = whole(e->in + at, fill - at, &q);
			if (!size)
				break;
			if (q.h.flags == FLAG_REPLY) {
				if (q.h.error)
					die("the device's DMA failed: error %u", q.h.error);
				done = true;
			} else {
				answer(e, e->in + at, &q, &reply[n], &iov[2 * n]);
				n++;
			}
		}
		fill -= at;
		memmove(e->in, e->in + at, fill);
		send_iov(e, iov, (int)(2 * n));
	}
}

static void post_reg(struct end *e, unsigned reg, uint64_t value, unsigned size)
{
	struct region_part q = {
		{0, CMD_REGION_WRITE, (uint32_t)(sizeof(q) + size), 0, 0}, reg, 1, size};
	uint8_t buf[sizeof(q) + 8];

	memcpy(buf, &q, sizeof(q));
	memcpy(buf + sizeof(q), &value, size);
	end_send(e, buf, sizeof(q) + size);
}

void write_reg(struct end *e, unsigned reg, uint64_t value, unsigned size)
{
	struct region_part r;

	post_reg(e, reg, value, size);
	end_recv_all(e, &r, sizeof(r.h));
	if (r.h.error || r.h.size != sizeof(r))
		die("writing register %#x: error %u, size %u", reg, r.h.error, r.h.size);
	end_recv_all(e, (uint8_t *)&r + sizeof(r.h), sizeof(r) - sizeof(r.h));
}

/* The register writes weigh nothing among thousands of transfers. */
static void set_dma(struct end *e, uint64_t address, uint32_t len, unsigned repeat, unsigned window)
{
	write_reg(e, REG_ADDRESS, address, 8);
	write_reg(e, REG_LENGTH, len, 8);
	write_reg(e, REG_REPEAT, repeat, 8);
	write_reg(e, REG_WINDOW, window, 8);
}

void run_dma(struct end *e, uint32_t start, uint64_t address, uint32_t len, unsigned repeat,
	     unsigned window)
{
	set_dma(e, address, len, repeat, window);
	post_reg(e, REG_START, start, 4);
	serve(e);
}

static void drive_mapped(struct end *e, const struct row *row, unsigned ops)
{
	set_dma(e, GUEST_MAPPED, row->count, 1, 1);
	drive_calls(e, row, ops);
}

static void drive_loop(struct end *e, const struct row *row, unsigned ops)
{
	set_dma(e, GUEST_MAPPED, row->count, ops, 1);
	write_reg(e, REG_REACH, GUEST_HALF, 8);
	write_reg(e, REG_START,
		  row->command == CMD_DMA_WRITE ? START_MAPPED_WRITE : START_MAPPED_READ, 4);
	write_reg(e, REG_REACH, 0, 8);
}

void drive(struct end *e, const struct row *row, unsigned ops)
{
	switch (row->kind) {
	case ROW_CALL:
		drive_calls(e, row, ops);
		break;
	case ROW_POST:
		drive_posts(e, row, ops);
		break;
	case ROW_DMA:
		run_dma(e, row->command == CMD_DMA_READ ? START_READ : START_WRITE, GUEST_MESSAGE,
			row->count, ops, row->depth);
		break;
	case ROW_MAPPED:
		drive_mapped(e, row, ops);
		break;
	case ROW_LOOP:
		drive_loop(e, row, ops);
		break;
	}
}

double measure(struct end *e, const struct row *row, unsigned ops, enum mode mode)
{
	bool cpu = mode == MODE_CPUTIME;
	uint64_t start;

	row_requests(row, e->out, row->depth);
	drive(e, row, ops);
	start = cpu ? cpu_ns(e) : now_ns();
	drive(e, row, ops);
	return (double)((cpu ? cpu_ns(e) : now_ns()) - start) / ops;
}
