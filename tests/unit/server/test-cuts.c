/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-cuts.c - a client dies, at any byte; the next one finds the device as it was left, and nothing of the other.
 *
 *	session: VERSION | map | write | SET_IRQS ...		a client's whole life, with its descriptors
 *		 -------------------X				all bytes up to here come, with the descriptors of
 *								the messages that begin before it; then the end
 *	next:	 VERSION, and a look: memory is there, ranges, eventfds, files and mappings are not
 *
 * Done for each byte, in each of the ways in which a server may get to see that (ways). What is written differs from
 * cut to cut, so what is kept is told from what is left of the cut before.
 */
#include "config.h"

#include <check.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

enum { GREET = 1, MAP, UNMAP, GET_INFO, SET_IRQS = 8, READ, WRITE };
enum { EVENTFD = 4, UNMASK = 16, TRIGGER = 32 };
enum { MAPPED = 0x10000, BY_MESSAGE = 0x40000, PAGE = 4096, VECTORS = 4, MESSAGES = 16 };
#define PROPOSAL                                                                                   \
	"\0\0\0\0{\"capabilities\": {\"max_msg_fds\": 8, \"twin_socket\": {\"supported\": false}}}"

static struct rig rig;

/* ---- the session ---- */

/* What comes with the first byte of a message. */
enum cargo { NOTHING, MEMORY, EVENTFDS, AN_EVENTFD };

static struct {
	uint8_t bytes[2048];
	size_t size;
	struct {
		size_t from, to;
		enum cargo cargo;
	} msg[MESSAGES];
	unsigned n;
	size_t written; /* behind the message that writes the value */
} session;

static void add(uint16_t command, bool posted, const void *payload, size_t len, enum cargo cargo)
{
	const struct {
		uint16_t id, command;
		uint32_t size, flags, error;
	} header = {(uint16_t)session.n, command, (uint32_t)(16 + len), posted ? RAW_NO_REPLY : 0,
		    0};
	size_t at = session.size;

	ck_assert_uint_lt(session.n, MESSAGES);
	ck_assert_uint_le(at + 16 + len, sizeof(session.bytes));
	at = raw_put(session.bytes, at, &header, sizeof(header));
	at = raw_put(session.bytes, at, payload, len);
	session.msg[session.n].from = session.size;
	session.msg[session.n].to = session.size = at;
	session.msg[session.n++].cargo = cargo;
}

static void add_write(bool posted, uint32_t region, uint64_t offset, uint32_t value)
{
	struct rig_access in = {.offset = offset, .region = region, .count = 4};

	value = htole32(value);
	memcpy(in.data, &value, sizeof(value));
	add(WRITE, posted, &in, 20, NOTHING);
}

static void add_irqs(uint32_t flags, uint32_t index, uint32_t count, enum cargo cargo)
{
	const struct rig_irqs in = {20, flags, index, 0, count};

	add(SET_IRQS, false, &in, sizeof(in), cargo);
}

/* value: what stands in BAR1 when it has been written. */
static void make_session(uint32_t value)
{
	const struct rig_map mapped = {
		.argsz = 32, .flags = 3, .address = MAPPED, .size = 2 * PAGE};
	const struct rig_map by_message = {
		.argsz = 32, .flags = 3, .address = BY_MESSAGE, .size = PAGE};
	const struct rig_unmap gone = {.argsz = 24, .address = BY_MESSAGE, .size = PAGE};
	const struct rig_access in = {.region = 1, .count = 4};
	static const uint32_t info[4] = {16};

	session.n = 0;
	session.size = 0;
	add(GREET, false, PROPOSAL, sizeof(PROPOSAL), NOTHING);
	add(GET_INFO, false, info, sizeof(info), NOTHING);
	add(MAP, false, &mapped, sizeof(mapped), MEMORY);
	add(MAP, false, &by_message, sizeof(by_message), NOTHING);
	add_write(false, 7, 4, 6); /* Command: memory, bus master */
	add_irqs(EVENTFD | TRIGGER, VFU_IRQ_MSIX, VECTORS, EVENTFDS);
	add_write(false, 1, 0, value);
	session.written = session.size;
	add(READ, false, &in, 16, NOTHING);
	add_write(true, 0, 0, 0); /* starts DMA, which nobody answers */
	add_irqs(EVENTFD | TRIGGER, VFU_IRQ_INTX, 1, AN_EVENTFD);
	add_irqs(EVENTFD | UNMASK, VFU_IRQ_INTX, 1, AN_EVENTFD);
	add(UNMAP, false, &gone, sizeof(gone), NOTHING);
	add_write(true, 0, 0, 0); /* has nowhere to go */
	add(READ, false, &in, 16, NOTHING);
}

static unsigned make_cargo(enum cargo cargo, int *fds)
{
	unsigned n = cargo == EVENTFDS ? VECTORS : cargo != NOTHING;

	for (unsigned i = 0; i < n; i++)
		fds[i] = cargo == MEMORY ? rig_memfd(2 * PAGE) : passed_eventfd(EFD_CLOEXEC);
	return n;
}

/* A message, or its beginning, as one send. */
static void send_part(const uint8_t *bytes, size_t len, enum cargo cargo)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int) * VECTORS)];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[VECTORS];
	unsigned n = make_cargo(cargo, fds);

	if (n) {
		msg.msg_control = control.data;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * n);
	}
	ck_assert_int_eq(sendmsg(rig.sock, &msg, MSG_NOSIGNAL), (ssize_t)len);
	while (n)
		close(fds[--n]);
}

/* ---- the ways ---- */

enum way {
	AT_ONCE,   /* the server wakes when all is over: bytes, then the end */
	MEANWHILE, /* it has handled what came, and waits for the rest; answers are not read */
	ANSWERED,  /* the same, and the client has read its answers */
	HALF,      /* the client sends no more, but reads on until the server ends it */
	WAYS
};

static void read_all(void)
{
	while (raw_recv(rig.sock, rig.msg, 0) == 1)
		raw_close_fds(rig.msg);
}

static void live_until(size_t cut, enum way way)
{
	for (unsigned i = 0; i < session.n && session.msg[i].from < cut; i++) {
		size_t end = session.msg[i].to < cut ? session.msg[i].to : cut;

		send_part(session.bytes + session.msg[i].from, end - session.msg[i].from,
			  session.msg[i].cargo);
		if (way != AT_ONCE)
			rig_pump(&rig);
		if (way == ANSWERED)
			read_all();
	}
	if (way == HALF) {
		shutdown(rig.sock, SHUT_WR);
		rig_pump(&rig);
		read_all();
	}
	rig_hang_up(&rig);
}

/* ---- what is left ---- */

static unsigned started, ended;

static void dma_ended(void *user, int status)
{
	(void)user;
	ck_assert_int_lt(status, 0);
	ended++;
}

/* BAR0: a write starts DMA by message. */
static int start_dma(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	static const uint8_t data[16];

	(void)user;
	(void)req;
	if (access->is_write &&
	    vfu_dma_write_async(rig.dev, BY_MESSAGE, data, sizeof(data), dma_ended, NULL) == 0)
		started++;
	return 0;
}

/* Mappings of the client's memory in this process. */
static unsigned count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "memfd:rig") != NULL;
	fclose(maps);
	return n;
}

static void look(uint32_t value)
{
	struct vfu_peer peer;

	ck_assert_int_eq(vfu_device_peer(rig.dev, &peer), -ENOTCONN);
	ck_assert_uint_eq(vfu_dma_ranges(rig.dev, NULL, 0), 0);
	ck_assert_uint_eq(started, ended);
	rig_connect(&rig);
	ck_assert_uint_eq(rig_read(&rig, 1, 0, 4), 0);
	ck_assert_uint_eq(rig_data(&rig), value);
	/* Its ranges can be announced anew, and no interrupt goes anywhere. */
	ck_assert_uint_eq(rig_map(&rig, MAPPED, PAGE, -1), 0);
	for (unsigned i = 0; i < VECTORS; i++)
		ck_assert_int_eq(vfu_irq_raise(rig.dev, VFU_IRQ_MSIX, i), -ENOENT);
	rig_hang_up(&rig);
}

static void setup(void)
{
	rig_open(&rig);
	rig.bar0 = start_dma;
	started = ended = 0;
}

static void teardown(void)
{
	rig_close(&rig);
}

START_TEST(dies_at_any_byte)
{
	unsigned fds, maps = count_mappings();
	uint32_t kept = 0;

	/* What a device makes once and keeps, as the epoll descriptor of its clients' eventfds. */
	make_session(0);
	rig_attach(&rig);
	live_until(session.size, ANSWERED);
	fds = raw_count_fds();
	for (size_t cut = 0; cut <= session.size; cut++) {
		uint32_t value = (uint32_t)(0x1000 * (_i + 1) + cut);

		make_session(value);
		rig_attach(&rig);
		live_until(cut, (enum way)_i);
		if (cut >= session.written)
			kept = value;
		ck_assert_msg(raw_count_fds() == fds, "cut at %zu of %zu: %u descriptors, not %u",
			      cut, session.size, raw_count_fds(), fds);
		ck_assert_uint_eq(count_mappings(), maps);
		look(kept);
		ck_assert_uint_eq(raw_count_fds(), fds);
	}
	/* All of it did what it says. */
	ck_assert_uint_gt(started, 0);
	ck_assert_uint_eq(kept, 0x1000 * ((unsigned)_i + 1) + session.size);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cuts");
	TCase *tcase = tcase_create("cuts");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, dies_at_any_byte, 0, WAYS);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
