/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-chan.c - the reader with every split of a stream and descriptors everywhere; the outgoing
 * queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/chan-in.h"
#include "transport/chan-out.h"
#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/wire_peer.h"
#include "../../lib/suite.h"

static int fds[2]; /* we read from 0, the peer writes to 1 */

static void open_pair(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void close_pair(void)
{
	close(fds[0]);
	close(fds[1]);
}

/* What the peer sends: kinds, sizes and descriptors in many orders. */
static const struct piece {
	uint16_t command;
	uint32_t flags;
	size_t len;
	unsigned nfds;
} transcript[] = {
	{VFU_WIRE_CMD_REGION_WRITE, 0, 20, 0},
	{VFU_WIRE_CMD_DMA_MAP, 0, 32, 1},
	{VFU_WIRE_CMD_RESET, 0, 0, 0},
	{VFU_WIRE_CMD_REGION_READ, 0, 16, 0},
	{VFU_WIRE_CMD_SET_IRQS, 0, 20, 3},
	{VFU_WIRE_CMD_DMA_MAP, 0, 32, 0},
	{VFU_WIRE_CMD_DMA_MAP, 0, 32, 1},
	{VFU_WIRE_CMD_REGION_WRITE, 0x10, 117, 0},
	{VFU_WIRE_CMD_GET_REGION_INFO, 1, 32, 1}, /* a reply with its descriptor */
	{VFU_WIRE_CMD_REGION_READ, 1, 40, 0},
	{999, 0, 12, 0}, /* nobody knows it */
	{VFU_WIRE_CMD_SET_IRQS, 0, 20, 64},
	{VFU_WIRE_CMD_REGION_WRITE, 0, 20, 0},
};

#define PIECES VFUI_ARRAY_SIZE(transcript)

static uint8_t stream[4096];
static size_t starts[PIECES + 1];
static int sent_fds[PIECES][64];

static void build_stream(void)
{
	static struct peer_msg msg;
	size_t at = 0;

	for (unsigned i = 0; i < PIECES; i++) {
		size_t size = peer_build(&msg, (uint16_t)i, transcript[i].command,
					 transcript[i].flags, NULL, transcript[i].len);

		starts[i] = at;
		memcpy(stream + at, &msg, size);
		at += size;
		for (unsigned k = 0; k < transcript[i].nfds; k++)
			sent_fds[i][k] = peer_fd();
	}
	starts[PIECES] = at;
}

static void drop_stream(void)
{
	for (unsigned i = 0; i < PIECES; i++) {
		for (unsigned k = 0; k < transcript[i].nfds; k++)
			close(sent_fds[i][k]);
	}
}

/* Sends [from, to) of the stream, a segment for each message; descriptors go with first bytes. */
static void send_range(size_t from, size_t to)
{
	for (unsigned i = 0; i < PIECES; i++) {
		size_t a = from > starts[i] ? from : starts[i];
		size_t b = to < starts[i + 1] ? to : starts[i + 1];

		if (a < b)
			peer_send(fds[1], stream + a, b - a, sent_fds[i],
				  a == starts[i] ? transcript[i].nfds : 0);
	}
}

static void check_message(const struct vfui_msg *msg, unsigned i)
{
	bool good = i < PIECES && msg->hdr.id == i && msg->hdr.command == transcript[i].command &&
		    msg->len == transcript[i].len && msg->nfds == transcript[i].nfds &&
		    peer_is_pattern(msg->payload, msg->len, (uint16_t)i);

	/* One assertion for all: each costs a write, and this runs very often. */
	for (unsigned k = 0; good && k < msg->nfds; k++)
		good = peer_fd_is(msg->fds[k], sent_fds[i][k]) &&
		       fcntl(msg->fds[k], F_GETFD) == FD_CLOEXEC;
	if (!good)
		ck_abort_msg("message %u: id %u, command %u, %zu bytes, %u descriptors", i,
			     msg->hdr.id, msg->hdr.command, msg->len, msg->nfds);
}

/* Reads until nothing is left and checks each message as it comes. */
static void take_all(struct vfui_in *in, unsigned *next)
{
	struct vfui_in_msg m;
	ssize_t n;

	do {
		n = vfui_in_read(in, fds[0], true);
		if (n <= 0 && n != -EAGAIN)
			ck_abort_msg("read: %zd", n);
		while (vfui_in_next(in, &m)) {
			check_message(&m.msg, (*next)++);
			vfui_in_release(in, &m);
		}
	} while (n != -EAGAIN);
}

START_TEST(every_split)
{
	open_pair();
	build_stream();
	for (size_t cut = 0; cut <= starts[PIECES]; cut++) {
		struct vfui_in in;
		unsigned next = 0;

		ck_assert_int_eq(vfui_in_init(&in), 0);
		send_range(0, cut);
		take_all(&in, &next);
		send_range(cut, starts[PIECES]);
		take_all(&in, &next);
		ck_assert_uint_eq(next, PIECES);
		ck_assert(!vfui_in_is_ready(&in));
		ck_assert_uint_eq(in.nmarks, 0);
		vfui_in_fini(&in);
	}
	drop_stream();
	close_pair();
}
END_TEST

/* Segments and reads of every size from one byte on, which do not match each other. */
START_TEST(every_pace)
{
	open_pair();
	build_stream();
	for (size_t step = 1; step < 60; step++) {
		for (size_t limit = 1; limit < 100; limit += 13) {
			struct vfui_in in;
			unsigned next = 0;

			ck_assert_int_eq(vfui_in_init(&in), 0);
			fault_limit(FAULT_RECV, limit);
			for (size_t at = 0; at < starts[PIECES]; at += step) {
				send_range(at, vfui_min(at + step, starts[PIECES]));
				if (at / step % 3 == 0)
					take_all(&in, &next);
			}
			take_all(&in, &next);
			ck_assert_uint_eq(next, PIECES);
			vfui_in_fini(&in);
		}
	}
	drop_stream();
	close_pair();
}
END_TEST

/* A lawful peer may cut its stream anywhere, as long as descriptors go with a first byte. */
START_TEST(segments_that_span_messages)
{
	open_pair();
	build_stream();
	for (unsigned first = 0; first < PIECES; first++) {
		for (size_t before = 0; before < 20 && before <= starts[first]; before++) {
			for (size_t after = 0; after < 20; after++) {
				size_t a = starts[first] - before;
				size_t b = vfui_min(starts[first + 1] + after, starts[PIECES]);
				struct vfui_in in;
				unsigned next = 0;

				/*
				 * Not two that may have descriptors in one segment: nobody could
				 * tell.
				 */
				if (first + 1 < PIECES && b > starts[first + 1] &&
				    (transcript[first + 1].nfds > 0 ||
				     transcript[first + 1].command == VFU_WIRE_CMD_DMA_MAP))
					continue;
				if (first > 0 && before >= 16 && transcript[first - 1].len == 0)
					continue;
				ck_assert_int_eq(vfui_in_init(&in), 0);
				send_range(0, a);
				if (before % 2 == 0)
					take_all(&in, &next);
				peer_send(fds[1], stream + a, b - a, sent_fds[first],
					  transcript[first].nfds);
				take_all(&in, &next);
				send_range(b, starts[PIECES]);
				take_all(&in, &next);
				ck_assert_uint_eq(next, PIECES);
				vfui_in_fini(&in);
			}
		}
	}
	drop_stream();
	close_pair();
}
END_TEST

/* Descriptors with a later byte than the first: they belong to the message all the same. */
START_TEST(descriptors_on_a_later_byte)
{
	struct peer_msg *msg = malloc(sizeof(*msg));
	size_t size = peer_build(msg, 5, VFU_WIRE_CMD_DMA_MAP, 0, NULL, 32);
	int fd = peer_fd();

	open_pair();
	for (size_t at = 1; at < size; at++) {
		struct vfui_in in;
		struct vfui_in_msg m;

		ck_assert_int_eq(vfui_in_init(&in), 0);
		peer_send(fds[1], msg, at, NULL, 0);
		ck_assert_int_eq(vfui_in_read(&in, fds[0], true), (ssize_t)at);
		peer_send(fds[1], (uint8_t *)msg + at, size - at, &fd, 1);
		ck_assert_int_eq(vfui_in_read(&in, fds[0], true), (ssize_t)(size - at));
		ck_assert(vfui_in_next(&in, &m));
		ck_assert_uint_eq(m.msg.nfds, 1);
		ck_assert(peer_fd_is(m.msg.fds[0], fd));
		vfui_in_release(&in, &m);
		vfui_in_fini(&in);
	}
	close(fd);
	free(msg);
	close_pair();
}
END_TEST

/*
 * A message that may have none gets them if no other can be meant, so that its check can refuse
 * them.
 */
START_TEST(descriptors_nobody_takes)
{
	struct peer_msg *msg = malloc(sizeof(*msg));
	struct vfui_in in;
	struct vfui_in_msg m;
	int fd = peer_fd(), taken;

	open_pair();
	ck_assert_int_eq(vfui_in_init(&in), 0);
	for (unsigned i = 0; i < 2; i++) {
		size_t size = peer_build(msg, 1, VFU_WIRE_CMD_REGION_READ, 0, NULL, 16);

		peer_send(fds[1], msg, size, &fd, 1);
	}
	ck_assert_int_eq(vfui_in_read(&in, fds[0], true), 32);
	ck_assert(vfui_in_next(&in, &m));
	ck_assert_uint_eq(m.msg.nfds, 1);
	taken = vfui_msg_take_fd(&m.msg, 0);
	ck_assert(peer_fd_is(taken, fd));
	ck_assert_int_eq(vfui_msg_take_fd(&m.msg, 0), -1);
	ck_assert_int_eq(vfui_msg_take_fd(&m.msg, 1), -1);
	vfui_in_release(&in, &m);
	/* The second stays unread: its descriptor is closed with the reader. */
	ck_assert_int_eq(vfui_in_read(&in, fds[0], true), 32);
	vfui_in_fini(&in);
	close(taken);
	close(fd);
	free(msg);
	close_pair();
}
END_TEST

START_TEST(too_many_descriptors)
{
	struct peer_msg *msg;
	size_t size;
	struct vfui_in in;
	int many[80], fd;

	if (lacks(LACKS_CTRUNC, __func__))
		return;
	msg = malloc(sizeof(*msg));
	size = peer_build(msg, 1, VFU_WIRE_CMD_SET_IRQS, 0, NULL, 20);
	fd = peer_fd();
	for (unsigned i = 0; i < 80; i++)
		many[i] = fd;
	open_pair();
	ck_assert_int_eq(vfui_in_init(&in), 0);
	/* More than a message may carry: the kernel cuts them off. */
	peer_send(fds[1], msg, size, many, 80);
	ck_assert_int_eq(vfui_in_read(&in, fds[0], true), -EBADMSG);
	vfui_in_fini(&in);
	/* One with every byte. */
	ck_assert_int_eq(vfui_in_init(&in), 0);
	for (unsigned i = 0; i < 10; i++) {
		ssize_t n;

		peer_send(fds[1], (uint8_t *)msg + i, 1, &fd, 1);
		n = vfui_in_read(&in, fds[0], true);
		ck_assert_int_eq(n, i < VFUI_IN_MARKS ? 1 : -EPROTO);
	}
	vfui_in_fini(&in);
	close(fd);
	free(msg);
	close_pair();
}
END_TEST

/* What was handed out stays where it is, whatever is read meanwhile. */
START_TEST(pinned_messages_stay)
{
	struct peer_msg *msg = malloc(sizeof(*msg));
	struct vfui_in_msg held[40];
	struct vfui_in in;
	unsigned n = 0;

	open_pair();
	ck_assert_int_eq(vfui_in_init(&in), 0);
	for (uint16_t i = 0; i < 40; i++) {
		size_t len = i % 5 == 4 ? 100000 : i * 301u;
		size_t size = peer_build(msg, i, VFU_WIRE_CMD_REGION_WRITE, 0, NULL, len), at = 0;

		while (at < size) {
			size_t piece = vfui_min(size - at, 30000);

			peer_send(fds[1], (uint8_t *)msg + at, piece, NULL, 0);
			at += piece;
			ck_assert_int_gt(vfui_in_read(&in, fds[0], true), 0);
		}
		while (vfui_in_next(&in, &held[n]))
			n++;
	}
	while (vfui_in_read(&in, fds[0], true) > 0) {
		while (vfui_in_next(&in, &held[n]))
			n++;
	}
	ck_assert_uint_eq(n, 40);
	for (uint16_t i = 0; i < 40; i++) {
		ck_assert_uint_eq(held[i].msg.len, i % 5 == 4 ? 100000 : i * 301u);
		ck_assert(peer_is_pattern(held[i].msg.payload, held[i].msg.len, i));
	}
	for (uint16_t i = 0; i < 40; i++)
		vfui_in_release(&in, &held[i * 7 % 40]);
	vfui_in_fini(&in);
	free(msg);
	close_pair();
}
END_TEST

START_TEST(direct_into_a_sink)
{
	static uint8_t sink[100000];
	struct peer_msg *msg = malloc(sizeof(*msg));

	open_pair();
	for (unsigned drop = 0; drop < 2; drop++) {
		for (size_t first = 1; first < 3000; first += 97) {
			size_t size = peer_build(msg, 9, VFU_WIRE_CMD_REGION_READ, 1, NULL, 100016);
			struct vfui_in in;
			struct vfui_in_msg m;
			bool direct = false;
			size_t at = 0;

			memset(sink, 0, sizeof(sink));
			ck_assert_int_eq(vfui_in_init(&in), 0);
			while (at < size) {
				size_t piece = vfui_min(size - at, at == 0 ? first : 20000);

				peer_send(fds[1], (uint8_t *)msg + at, piece, NULL, 0);
				at += piece;
				ck_assert_int_gt(vfui_in_read(&in, fds[0], true), 0);
				if (!direct)
					direct = vfui_in_set_direct(&in, 16, sink);
				if (drop != 0 && direct && at > 50000)
					vfui_in_drop_direct(&in);
			}
			while (vfui_in_read(&in, fds[0], true) > 0) {}
			ck_assert(vfui_in_next(&in, &m));
			ck_assert_uint_eq(m.msg.len, 100016);
			ck_assert(peer_is_pattern(m.msg.payload, 16, 9));
			if (drop == 0)
				ck_assert(memcmp(sink, msg->payload + 16, sizeof(sink)) == 0);
			vfui_in_release(&in, &m);
			/* The next message is in step. */
			size = peer_build(msg, 3, VFU_WIRE_CMD_RESET, 0, NULL, 0);
			peer_send(fds[1], msg, size, NULL, 0);
			ck_assert_int_eq(vfui_in_read(&in, fds[0], true), 16);
			ck_assert(vfui_in_next(&in, &m));
			ck_assert_uint_eq(m.msg.hdr.id, 3);
			ck_assert(!vfui_in_set_direct(&in, 0, sink));
			vfui_in_release(&in, &m);
			vfui_in_fini(&in);
		}
	}
	free(msg);
	close_pair();
}
END_TEST

START_TEST(reading_fails_in_every_way)
{
	struct peer_msg *msg = malloc(sizeof(*msg));
	size_t size = peer_build(msg, 1, VFU_WIRE_CMD_REGION_WRITE, 0, NULL, 100000);
	struct vfui_in in;
	struct vfui_in_msg m;

	open_pair();
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	ck_assert_int_eq(vfui_in_init(&in), -ENOMEM);
	fault_fail(FAULT_ALLOC, 2, ENOMEM);
	ck_assert_int_eq(vfui_in_init(&in), -ENOMEM);
	ck_assert_int_eq(vfui_in_init(&in), 0);
	ck_assert_int_eq(vfui_in_read(&in, fds[0], true), -EAGAIN);
	fault_fail(FAULT_RECV, 1, EINTR);
	ck_assert_int_eq(vfui_in_read(&in, fds[0], true), -EINTR);
	peer_send(fds[1], msg, 30000, NULL, 0);
	ck_assert_int_eq(vfui_in_read(&in, fds[0], true), 30000);
	/* No memory for the rest: what is there stays. */
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	ck_assert_int_eq(vfui_in_read(&in, fds[0], true), -ENOMEM);
	peer_send(fds[1], (uint8_t *)msg + 30000, 70016, NULL, 0);
	while (vfui_in_read(&in, fds[0], true) > 0) {}
	ck_assert(vfui_in_next(&in, &m));
	ck_assert(peer_is_pattern(m.msg.payload, size - 16, 1));
	vfui_in_release(&in, &m);
	close(fds[1]);
	ck_assert_int_eq(vfui_in_read(&in, fds[0], true), 0);
	vfui_in_fini(&in);
	close(fds[0]);
	free(msg);
}
END_TEST

/* ---- outgoing ---- */

static void expect(uint16_t id, size_t len, unsigned nfds, int fd)
{
	static struct peer_msg msg;
	int got[64];
	unsigned n;

	ck_assert_uint_eq(peer_get(fds[0], &msg, got, &n), len + 16);
	ck_assert_uint_eq(msg.hdr.id, id);
	ck_assert(peer_is_pattern(msg.payload, len, id));
	ck_assert_uint_eq(n, nfds);
	for (unsigned i = 0; i < n; i++) {
		ck_assert(peer_fd_is(got[i], fd));
		close(got[i]);
	}
}

static struct iovec *pieces(struct peer_msg *msg, struct iovec iov[3], uint16_t id, size_t len)
{
	peer_build(msg, id, VFU_WIRE_CMD_DMA_MAP, 0, NULL, len);
	iov[0] = (struct iovec){&msg->hdr, 16};
	iov[1] = (struct iovec){msg->payload, len / 3};
	iov[2] = (struct iovec){msg->payload + len / 3, len - len / 3};
	return iov;
}

/* Queued and in-place messages, with and without descriptors, sent in bits of every size. */
static struct vfui_rest rest_of(const struct iovec *iov, unsigned niov, const int *with,
				unsigned nfds)
{
	struct vfui_rest rest = {.niov = niov, .fds = with, .nfds = nfds};

	memcpy(rest.iov, iov, niov * sizeof(*iov));
	return rest;
}

static int push(struct vfui_outq *queue, const struct iovec *iov, const int *with, unsigned nfds)
{
	struct vfui_rest rest = rest_of(iov, 3, with, nfds);

	return vfui_outq_push(queue, &rest);
}

/* Sends what goes, and queues what is left. */
static int send_or_push(struct vfui_outq *queue, const struct iovec *iov, const int *with,
			unsigned nfds)
{
	struct vfui_rest rest = rest_of(iov, 3, with, nfds);
	int r = vfui_outq_send(queue, fds[1], &rest);

	return r == -EAGAIN ? vfui_outq_push(queue, &rest) : r;
}

START_TEST(out_keeps_order)
{
	struct peer_msg *msg = malloc(sizeof(*msg));
	int fd = peer_fd();

	open_pair();
	for (size_t limit = 7; limit < 30000; limit = limit * 2 + 1) {
		struct vfui_outq queue;
		struct iovec iov[3];

		vfui_outq_init(&queue);
		fault_limit(FAULT_SEND, limit);
		for (uint16_t i = 0; i < 60; i++) {
			size_t len = i % 9 == 8 ? 1000 : i * 7u;
			unsigned nfds = i % 4 == 3 ? 1 : 0;

			pieces(msg, iov, i, len);
			if (i % 3 == 0)
				ck_assert_int_eq(push(&queue, iov, &fd, nfds), 0);
			else
				ck_assert_int_eq(send_or_push(&queue, iov, &fd, nfds), 0);
			if (i % 10 != 9)
				continue;
			for (uint16_t k = (uint16_t)(i - 9); k <= i; k++) {
				vfui_outq_flush(&queue, fds[1]);
				expect(k, k % 9 == 8 ? 1000 : k * 7u, k % 4 == 3 ? 1 : 0, fd);
			}
			ck_assert_uint_eq(queue.bytes, 0);
		}
		vfui_outq_fini(&queue);
	}
	close(fd);
	free(msg);
	close_pair();
}
END_TEST

/* What others queue while a message is half out comes after its end. */
START_TEST(out_begun_goes_first)
{
	struct peer_msg *msg = malloc(2 * sizeof(*msg));
	int fd = peer_fd();
	struct vfui_outq queue;
	struct vfui_rest rest;
	struct iovec iov[3];

	open_pair();
	vfui_outq_init(&queue);
	fault_limit(FAULT_SEND, 100);
	pieces(msg, iov, 1, 1000);
	rest = rest_of(iov, 3, &fd, 1);
	ck_assert_int_eq(vfui_outq_send(&queue, fds[1], &rest), -EAGAIN);
	ck_assert(rest.is_begun);
	for (uint16_t i = 2; i < 5; i++) {
		pieces(msg + 1, iov, i, 20);
		ck_assert_int_eq(push(&queue, iov, &fd, i == 3), 0);
	}
	ck_assert_int_eq(vfui_outq_push(&queue, &rest), 0);
	fault_limit(FAULT_SEND, 0);
	ck_assert_int_eq(vfui_outq_flush(&queue, fds[1]), 0);
	ck_assert_uint_eq(queue.gone, 1016 - 100 + 3 * 36);
	expect(1, 1000, 1, fd);
	for (uint16_t i = 2; i < 5; i++)
		expect(i, 20, i == 3, fd);
	vfui_outq_fini(&queue);
	close(fd);
	free(msg);
	close_pair();
}
END_TEST

START_TEST(out_full_socket)
{
	struct peer_msg *msg = malloc(sizeof(*msg));
	struct vfui_outq queue;
	struct iovec iov[3];
	uint16_t sent = 0, got = 0;
	int fd = peer_fd();

	open_pair();
	vfui_outq_init(&queue);
	/*
	 * Far more than the socket holds, descriptors in between; they are copied, so ours may
	 * close.
	 */
	for (; sent < 100; sent++) {
		int copy = dup(fd);

		pieces(msg, iov, sent, 20000);
		ck_assert_int_eq(send_or_push(&queue, iov, &copy, sent % 5 == 0), 0);
		close(copy);
	}
	ck_assert_uint_gt(queue.bytes, 1000000);
	ck_assert_int_eq(vfui_outq_flush(&queue, fds[1]), -EAGAIN);
	while (got < sent) {
		expect(got, 20000, got % 5 == 0, fd);
		got++;
		vfui_outq_flush(&queue, fds[1]);
	}
	ck_assert_uint_eq(queue.bytes, 0);
	vfui_outq_fini(&queue);
	close(fd);
	free(msg);
	close_pair();
}
END_TEST

START_TEST(out_fails_in_every_way)
{
	struct peer_msg *msg = malloc(sizeof(*msg));
	struct vfui_outq queue;
	struct iovec iov[3];
	int fd = peer_fd();

	open_pair();
	vfui_outq_init(&queue);
	pieces(msg, iov, 1, 1000);
	for (unsigned i = 1; i <= 2; i++) {
		fault_fail(FAULT_ALLOC, i, ENOMEM);
		ck_assert_int_eq(push(&queue, iov, &fd, 1), -ENOMEM);
	}
	fault_fail(FAULT_FD, 1, EMFILE);
	ck_assert_int_eq(push(&queue, iov, &fd, 1), -EMFILE);
	ck_assert_uint_eq(queue.bytes, 0);
	/* A signal and a full socket are not failures. */
	fault_fail(FAULT_SEND, 1, EINTR);
	ck_assert_int_eq(send_or_push(&queue, iov, NULL, 0), 0);
	expect(1, 1000, 0, -1);
	fault_fail(FAULT_SEND, 1, EAGAIN);
	ck_assert_int_eq(send_or_push(&queue, iov, &fd, 1), 0);
	ck_assert_uint_eq(queue.bytes, 1016);
	fault_fail(FAULT_SEND, 1, ENOBUFS);
	ck_assert_int_eq(vfui_outq_flush(&queue, fds[1]), -EAGAIN);
	fault_fail(FAULT_SEND, 1, ETOOMANYREFS);
	ck_assert_int_eq(vfui_outq_flush(&queue, fds[1]), -EAGAIN);
	ck_assert_int_eq(vfui_outq_flush(&queue, fds[1]), 0);
	expect(1, 1000, 1, fd);
	/* Cut in the middle with no memory for the rest. */
	vfui_outq_fini(&queue);
	fault_limit(FAULT_SEND, 100);
	fault_fail(FAULT_ALLOC, 1, ENOMEM);
	ck_assert_int_eq(send_or_push(&queue, iov, &fd, 1), -ENOMEM);
	/* Bad descriptor, dead peer. */
	fault_reset();
	ck_assert_int_eq(send_or_push(&queue, iov, (int[]){-1}, 1), -EBADF);
	close(fds[0]);
	ck_assert_int_eq(send_or_push(&queue, iov, NULL, 0), -EPIPE);
	vfui_outq_fini(&queue);
	close(fds[1]);
	close(fd);
	free(msg);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chan");
	TCase *tcase = tcase_create("chan");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, every_split);
	tcase_add_test(tcase, every_pace);
	tcase_add_test(tcase, segments_that_span_messages);
	tcase_add_test(tcase, descriptors_on_a_later_byte);
	tcase_add_test(tcase, descriptors_nobody_takes);
	tcase_add_test(tcase, too_many_descriptors);
	tcase_add_test(tcase, pinned_messages_stay);
	tcase_add_test(tcase, direct_into_a_sink);
	tcase_add_test(tcase, reading_fails_in_every_way);
	tcase_add_test(tcase, out_keeps_order);
	tcase_add_test(tcase, out_begun_goes_first);
	tcase_add_test(tcase, out_full_socket);
	tcase_add_test(tcase, out_fails_in_every_way);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
