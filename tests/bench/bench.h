/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * bench.h - speed of a server against the bare socket.
 *
 * Written on the socket alone, with the protocol's numbers in plain sight: it must be able to judge
 * the library, so it uses none of it. The client half of every row is one function, whatever is at
 * the other end: a server, or a peer that sends and receives the same bytes and does nothing else.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CMD_VERSION = 1, CMD_DMA_MAP = 2, CMD_REGION_READ = 9, CMD_REGION_WRITE = 10 };
enum { CMD_DMA_READ = 11, CMD_DMA_WRITE = 12, CMD_WRITE_MULTI = 15 };
enum { FLAG_REPLY = 1, FLAG_NO_REPLY = 0x10 };

struct header {
	uint16_t id, command;
	uint32_t size, flags, error;
};

/* REGION_READ, REGION_WRITE: before the data. */
struct region_part {
	struct header h;
	uint64_t offset;
	uint32_t region, count;
};

/* DMA_READ, DMA_WRITE: before the data. */
struct dma_part {
	struct header h;
	uint64_t address, count;
};

struct map_part {
	struct header h;
	uint32_t argsz, flags;
	uint64_t offset, address, size;
};

struct multi_part {
	struct header h;
	uint64_t count;
	struct {
		uint64_t offset;
		uint32_t region, count;
		uint64_t data;
	} write[16];
};

/* The bench device: BAR0 is memory of 2 MiB, BAR1 these registers. */
enum { REG_ADDRESS = 0, REG_LENGTH = 8, REG_REPEAT = 0x10, REG_START = 0x18, REG_DONE = 0x20 };
enum { REG_WINDOW = 0x28, REG_REACH = 0x30 };
enum { START_READ = 1, START_WRITE, START_MAPPED_READ, START_MAPPED_WRITE };

/* Guest memory: one half reached by message, one that the device may map. */
#define GUEST_HALF (4u << 20)
#define GUEST_MESSAGE 0x10000000ull
#define GUEST_MAPPED 0x20000000ull

/*
 * Calls; posted messages; DMA by message; a register write each, upon which the device copies; one
 * register write, upon which it copies one piece of memory after the other.
 */
enum kind { ROW_CALL, ROW_POST, ROW_DMA, ROW_MAPPED, ROW_LOOP };

struct row {
	const char *name, *title;
	enum kind kind;
	uint16_t command;
	uint32_t count; /* bytes of data per operation */
	unsigned depth; /* in flight; posted: messages per send; DMA: window */
	unsigned ops;   /* per round */
	double target;  /* most that a good server costs, over the bare socket; 0: not set */
};

extern const struct row rows[];
extern const unsigned row_count;

/* Bytes of one request and its reply (0: none), from the client's side, or of the device's DMA. */
size_t row_request_size(const struct row *row);
size_t row_reply_size(const struct row *row);
/* Fills buf with n copies of the row's request or reply. */
void row_requests(const struct row *row, void *buf, unsigned n);
void row_replies(const struct row *row, void *buf, unsigned n);

enum mode { MODE_SAMECORE, MODE_CPUTIME, MODE_SPIN, MODE_FREE };

/* One end of a connection. */
struct end {
	int fd;
	bool spin;  /* never sleep in a receive */
	bool multi; /* server takes REGION_WRITE_MULTI */
	uint8_t *in, *out;
	size_t room; /* of each */
	uint8_t *guest;
	int guest_fd;
	int peer; /* process at the other end */
};

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
uint64_t now_ns(void);
/* Processor time of both ends together: the same as time on one core that nobody else uses. */
uint64_t cpu_ns(const struct end *e);
/* Binds a process, all its threads, to one CPU. */
void pin(int pid, int cpu);
void end_init(struct end *e, int fd, bool spin);
void end_fini(struct end *e);
void end_send(struct end *e, const void *data, size_t len);
/* At least one byte; dies at the end of the stream. */
size_t end_recv(struct end *e, void *data, size_t room);
void end_recv_all(struct end *e, void *data, size_t len);

/*
 * Sends total requests of q bytes, depth of them in flight, and receives as many replies of r bytes,
 * each beginning with the header `want`. e->out holds depth requests.
 */
void pump(struct end *e, size_t q, size_t r, unsigned depth, unsigned total, const void *want);

/* Client side of one round: ops operations. Returns when all are known to have been done. */
void drive(struct end *e, const struct row *row, unsigned ops);
/* Has the device move len bytes by message, repeat times, and serves it. */
void run_dma(struct end *e, uint32_t start, uint64_t address, uint32_t len, unsigned repeat,
	     unsigned window);
/* A register of the bench device. */
void write_reg(struct end *e, unsigned reg, uint64_t value, unsigned size);

/* The bare socket's far end: a process. Does rounds of ops operations until the stream ends. */
int bare_start(struct end *e, const struct row *row, unsigned ops, enum mode mode);
void bare_stop(struct end *e, int pid);

/* The first round warms up; the second counts. Nanoseconds per operation. */
double measure(struct end *e, const struct row *row, unsigned ops, enum mode mode);
double measure_bare(const struct row *row, unsigned ops, enum mode mode);

/* Shared memory for the guest: both halves, in one memfd. */
void guest_open(struct end *e);

#endif
