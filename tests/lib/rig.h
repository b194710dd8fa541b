/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * rig.h - a device, its server and a raw client, driven by one thread. Regions:
 *	BAR0	4 KiB callback: the test's own
 *	BAR1	64 KiB plain memory
 *	BAR2	64 KiB memfd, the client may map its first page and its last
 *	BAR4	4 KiB, MSI-X table and PBA, 4 vectors
 * and configuration space of 256 bytes with INTx.
 */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include "raw.h"
#include "vfu.h"

#define RIG_BAR1_SIZE 65536
#define RIG_LOG 64

struct rig {
	struct vfu_device *dev;
	struct vfu_server *srv;
	int sock;            /* the client's end, -1: none */
	struct raw_msg *msg; /* last received */
	uint16_t id;         /* of the next request */
	vfu_access_fn *bar0; /* NULL: reads give 0x5a, writes are counted */
	void *user;
	unsigned writes, reads, lines;
	unsigned fds;             /* open before rig_open */
	char calls[RIG_LOG * 16]; /* what hooks saw, one word each */
	char last[RIG_LOG * 4];   /* the last line of the log */
};

void rig_open(struct rig *rig);
/* Also checks that nothing leaks. */
void rig_close(struct rig *rig);
/* Hooks that note their names in rig->calls. */
void rig_set_hooks(struct rig *rig, int (*gate)(void *user, enum vfu_gate what));
void rig_note(struct rig *rig, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A connection by socket pair without VERSION, and with. */
void rig_attach(struct rig *rig);
void rig_connect(struct rig *rig);
void rig_version(struct rig *rig, const char *json);
void rig_hang_up(struct rig *rig);

/* Has the server work until it has nothing to do. */
void rig_pump(struct rig *rig);

/* Sends a request and returns its id. */
uint16_t rig_send(struct rig *rig, uint16_t command, const void *payload, size_t len);
uint16_t rig_post(struct rig *rig, uint16_t command, const void *payload, size_t len);
uint16_t rig_send_fds(struct rig *rig, uint16_t command, const void *payload, size_t len,
		      const int *fds, unsigned nfds);
/* Pumps; the next message must be the reply to id. 0 or its errno. */
unsigned rig_reply(struct rig *rig, uint16_t id, uint16_t command);
/* Both. */
unsigned rig_call(struct rig *rig, uint16_t command, const void *payload, size_t len);
unsigned rig_call_fds(struct rig *rig, uint16_t command, const void *payload, size_t len,
		      const int *fds, unsigned nfds);
/* Pumps; nothing may come. */
void rig_silence(struct rig *rig);
/* Pumps; the server must have hung up. */
void rig_gone(struct rig *rig);

/* Payloads. */
struct rig_access {
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[16];
};
struct rig_write {
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[8];
};
struct rig_many { /* REGION_WRITE_MULTI */
	uint64_t n;
	struct rig_write entry[4];
};
struct rig_map {
	uint32_t argsz, flags;
	uint64_t offset, address, size;
};
struct rig_unmap {
	uint32_t argsz, flags;
	uint64_t address, size;
};
struct rig_irqs {
	uint32_t argsz, flags, index, start, count;
};

uint16_t rig_send_read(struct rig *rig, uint32_t region, uint64_t offset, uint32_t count);
uint16_t rig_send_write(struct rig *rig, bool posted, uint32_t region, uint64_t offset,
			uint32_t count, uint64_t value);
unsigned rig_read(struct rig *rig, uint32_t region, uint64_t offset, uint32_t count);
unsigned rig_write(struct rig *rig, uint32_t region, uint64_t offset, uint32_t count,
		   uint64_t value);
/* The first 4 bytes of what was read. Data of regions is little-endian here, as PCI has it. */
uint32_t rig_data(const struct rig *rig);
unsigned rig_map(struct rig *rig, uint64_t address, uint64_t size, int fd);
unsigned rig_unmap(struct rig *rig, uint64_t address, uint64_t size);

/* A memfd of that size. */
int rig_memfd(uint64_t size);

#endif
