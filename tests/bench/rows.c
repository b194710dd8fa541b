/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * rows.c - what is measured, and the bytes of each row.
 */
#include <string.h>

#include "bench.h"

#define MIB (1u << 20)

const struct row rows[] = {
	{"read4", "4 B read", ROW_CALL, CMD_REGION_READ, 4, 1, 20000, 1.12},
	{"read4x32", "4 B reads, 32 in flight", ROW_CALL, CMD_REGION_READ, 4, 32, 100000, 1.25},
	{"post1", "posted 4 B writes, 1 per send", ROW_POST, CMD_REGION_WRITE, 4, 1, 40000, 1.05},
	{"post32", "posted 4 B writes, 32 per send", ROW_POST, CMD_REGION_WRITE, 4, 32, 400000,
	 1.25},
	{"multi16", "WRITE_MULTI of 16, posted", ROW_POST, CMD_WRITE_MULTI, 16, 1, 40000, 1.15},
	{"read4k", "4 KiB reads", ROW_CALL, CMD_REGION_READ, 4096, 1, 20000, 1.12},
	{"read1m", "1 MiB reads", ROW_CALL, CMD_REGION_READ, MIB, 1, 150, 1.05},
	{"write1m", "1 MiB writes", ROW_CALL, CMD_REGION_WRITE, MIB, 1, 150, 1.05},
	{"dma4k", "message DMA, 4 KiB read", ROW_DMA, CMD_DMA_READ, 4096, 1, 20000, 1.20},
	{"dma4kw", "message DMA, 4 KiB write", ROW_DMA, CMD_DMA_WRITE, 4096, 1, 20000, 1.20},
	{"dma4kx16", "message DMA, 4 KiB, window 16", ROW_DMA, CMD_DMA_READ, 4096, 16, 40000, 3.4},
	{"dma1m", "message DMA, 1 MiB read", ROW_DMA, CMD_DMA_READ, MIB, 1, 150, 1.10},
	{"dma1mw", "message DMA, 1 MiB write", ROW_DMA, CMD_DMA_WRITE, MIB, 1, 150, 1.10},
	{"mapped4k", "mapped DMA, 4 KiB read", ROW_MAPPED, CMD_REGION_WRITE, 4096, 1, 20000, 1.10},
	{"loop4k", "mapped DMA, 4 KiB reads in a loop", ROW_LOOP, CMD_DMA_READ, 4096, 1, 200000,
	 1.35},
	{"loop4kw", "mapped DMA, 4 KiB writes in a loop", ROW_LOOP, CMD_DMA_WRITE, 4096, 1, 200000,
	 1.35},
};
const unsigned row_count = sizeof(rows) / sizeof(rows[0]);

static bool carries_data_out(uint16_t command)
{
	return command == CMD_REGION_WRITE || command == CMD_DMA_WRITE;
}

/* The mapped row's operation is a register write; its count is what the device then copies. */
static uint32_t data_size(const struct row *row)
{
	return row->kind == ROW_MAPPED ? 4 : row->count;
}

size_t row_request_size(const struct row *row)
{
	if (row->command == CMD_WRITE_MULTI)
		return sizeof(struct multi_part);
	return sizeof(struct region_part) + (carries_data_out(row->command) ? data_size(row) : 0);
}

size_t row_reply_size(const struct row *row)
{
	if (row->kind == ROW_POST)
		return 0;
	return sizeof(struct region_part) + (carries_data_out(row->command) ? 0 : data_size(row));
}

static void multi_request(struct multi_part *m)
{
	memset(m, 0, sizeof(*m));
	m->h = (struct header){0, CMD_WRITE_MULTI, sizeof(*m), FLAG_NO_REPLY, 0};
	m->count = 16;
	for (unsigned i = 0; i < 16; i++) {
		m->write[i].offset = 8 * i;
		m->write[i].count = 8;
		m->write[i].data = i;
	}
}

static void one(const struct row *row, uint8_t *buf, size_t size, uint32_t flags)
{
	struct header h = {0, row->command, (uint32_t)size, flags, 0};

	memset(buf, 0x5a, size);
	if (row->kind == ROW_DMA) {
		struct dma_part d = {h, GUEST_MESSAGE, row->count};

		memcpy(buf, &d, sizeof(d));
	} else {
		struct region_part r = {h, 0, 0, data_size(row)};

		if (row->kind == ROW_MAPPED) {
			uint32_t start = START_MAPPED_READ;

			r.region = 1;
			r.offset = REG_START;
			if (size > sizeof(r))
				memcpy(buf + sizeof(r), &start, sizeof(start));
		}
		memcpy(buf, &r, sizeof(r));
	}
}

void row_requests(const struct row *row, void *buf, unsigned n)
{
	size_t size = row_request_size(row);

	for (unsigned i = 0; i < n; i++) {
		uint8_t *at = (uint8_t *)buf + i * size;

		if (row->command == CMD_WRITE_MULTI)
			multi_request((struct multi_part *)at);
		else
			one(row, at, size, row->kind == ROW_POST ? FLAG_NO_REPLY : 0);
	}
}

void row_replies(const struct row *row, void *buf, unsigned n)
{
	size_t size = row_reply_size(row);

	for (unsigned i = 0; i < n; i++)
		one(row, (uint8_t *)buf + i * size, size, FLAG_REPLY);
}
