/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-hostile.c - a server that answers as it likes.
 *
 *	client                          server, a thread
 *	  any call, at random  ------>  the good answer
 *	                                  numbers in it, its length, its header, its descriptors: changed, maybe
 *	                                  before it: commands of the server, good and bad, in numbers
 *	  0, a count or an errno <----    twice, cut off, never, or under another id
 *
 * Each connection has a seed; the numbers are the same in each run, but for what threads make of them. What is tested
 * is that each call ends and says why it failed, that the first cause of a broken connection stays the cause, that what
 * calls return can be used (what may be mapped is there, what is counted is bounded), that the device gets at no other
 * memory than it was given, and that nothing leaks. SEED=N runs one connection, FULL=1 runs 20,000.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"

enum { CONNECTIONS = 1000, CALLS = 12, SECONDS = 4, FDS = 20, IOVA = 0x10000, PAGE = 4096 };

static struct script far;
static struct vfu_client *cl;
static uint8_t memory[3 * PAGE] __attribute__((aligned(4096))); /* its middle is the device's */
static uint8_t buf[8192];
static unsigned done; /* functions that were called at the end of something, and those to come */
static unsigned started;

struct dice {
	uint64_t state;
};
static struct dice ours, theirs; /* of the client's thread and of the server's */

static uint32_t below(struct dice *d, uint32_t n)
{
	d->state ^= d->state << 13;
	d->state ^= d->state >> 7;
	d->state ^= d->state << 17;
	return (uint32_t)(d->state >> 16) % n;
}

/* Edges of what 64 bits may be, where offsets and counts are compared. */
static uint64_t odd(struct dice *d)
{
	static const uint64_t all[] = {0,          1,          2,          3,
				       4,          7,          8,          15,
				       16,         17,         24,         31,
				       32,         33,         40,         47,
				       48,         49,         64,         80,
				       255,        256,        4095,       4096,
				       4097,       65535,      65536,      1048576,
				       0xff00,     1048577,    0x7ffffff,  0x7fffffff,
				       0x80000000, 0xfffffff0, 0xffffffff, 1ull << 32,
				       1ull << 62, INT64_MAX,  1ull << 63, UINT64_MAX - 4095,
				       UINT64_MAX};

	return all[below(d, sizeof(all) / sizeof(all[0]))];
}

/* ---- the server: good answers ---- */

struct answer {
	struct vfu_wire_header hdr;
	uint8_t payload[65536 + 4096];
	size_t len; /* of the payload; the header's size may be another */
	int fds[FDS];
	unsigned nfds;
};

static void put(struct answer *a, const void *bytes, size_t len)
{
	memcpy(a->payload + a->len, bytes, len);
	a->len += len;
}

static const char *const versions[] = {
	"",
	"{}",
	"[]",
	"{",
	"null",
	"\"x\"",
	"{\"capabilities\":[]}",
	"{\"capabilities\":{}}",
	"{\"capabilities\":{\"max_msg_fds\":-1}}",
	"{\"capabilities\":{\"max_msg_fds\":0}}",
	"{\"capabilities\":{\"max_msg_fds\":18446744073709551615}}",
	"{\"capabilities\":{\"max_msg_fds\":1.5}}",
	"{\"capabilities\":{\"max_msg_fds\":\"\33[2J\"}}",
	"{\"capabilities\":{\"max_data_xfer_size\":1}}",
	"{\"capabilities\":{\"max_data_xfer_size\":4294967297}}",
	"{\"capabilities\":{\"max_dma_maps\":0}}",
	"{\"capabilities\":{\"pgsizes\":0}}",
	"{\"capabilities\":{\"pgsizes\":4097}}",
	"{\"capabilities\":{\"write_multiple\":7}}",
	"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}",
	"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":4294967295}}}",
	"{\"capabilities\":{\"sparse_mmap_fds\":true,\"write_multiple\":true}}",
	"{\"capabilities\":{\"max_msg_fds\":1,\"max_msg_fds\":2}}",
	"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
};

/* The server's end of a second socket, -1: none. */
static int twin = -1;

static void offer_twin(struct answer *a)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	twin = ends[0];
	a->fds[a->nfds++] = ends[1];
}

static void answer_version(struct answer *a)
{
	const char *json = "{\"capabilities\":{\"max_msg_fds\":16,\"sparse_mmap_fds\":true}}";

	if (!below(&theirs, 6))
		json = versions[below(&theirs, sizeof(versions) / sizeof(versions[0]))];
	if (below(&theirs, 2)) {
		json = "{\"capabilities\":{\"max_msg_fds\":16,\"write_multiple\":true,"
		       "\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}";
		offer_twin(a);
	}
	put(a, "\0\0\0\0", 4);
	put(a, json, strlen(json) + !!below(&theirs, 30));
}

static void answer_region_info(struct script *s, struct answer *a)
{
	struct {
		struct vfu_wire_get_region_info_reply head;
		struct vfu_wire_cap_type type;
		struct vfu_wire_sparse_mmap sparse;
		struct vfu_wire_sparse_mmap_area area[2];
	} all = {{.flags = 15, .index = script_u32(s, 8), .cap_offset = 32, .size = 2 * PAGE},
		 {.id = 2, .version = 1, .next = 32 + 20, .type = 7, .subtype = 3},
		 {.id = 1, .version = 1, .nr_areas = 2},
		 {{0, PAGE}, {PAGE, PAGE}}};
	struct {
		struct vfu_wire_get_region_info_reply head;
		struct vfu_wire_sparse_mmap_fds sparse;
		struct vfu_wire_sparse_fd_area area[2];
	} files = {{.flags = 15, .index = all.head.index, .cap_offset = 32, .size = 2 * PAGE},
		   {.id = 16, .version = 1, .nr_areas = 2},
		   {{.size = PAGE, .fd_index = 0},
		    {.offset = PAGE, .size = PAGE, .fd_offset = PAGE, .fd_index = 1}}};
	bool has_files = all.head.index == 1;
	void *reply = has_files ? (void *)&files : (void *)&all;
	uint32_t full = has_files ? sizeof(files) : sizeof(all);

	memcpy(reply, &full, sizeof(full));
	if (all.head.index > 1) /* plain */
		all.head = (struct vfu_wire_get_region_info_reply){
			.argsz = full = 32, .flags = 3, .index = all.head.index, .size = PAGE};
	else if (script_u32(s, 0) < full)
		((struct vfu_wire_get_region_info_reply *)reply)->flags = 7;
	put(a, reply, script_u32(s, 0) < full ? 32 : full);
	while (all.head.index < 2 && a->len == full && a->nfds < 1u + has_files) {
		a->fds[a->nfds] = peer_fd();
		ck_assert_int_eq(ftruncate(a->fds[a->nfds], 2 * PAGE), 0);
		a->nfds++;
	}
}

static void answer_io_fds(struct script *s, struct answer *a)
{
	const struct vfu_wire_io_fd entry[2] = {{.offset = 16, .size = 4},
						{.offset = 32, .size = 8, .type = 1}};
	const struct vfu_wire_get_region_io_fds_reply head = {
		.argsz = sizeof(head) + sizeof(entry), .index = script_u32(s, 8), .count = 2};

	put(a, &head, sizeof(head));
	put(a, entry, sizeof(entry));
	a->fds[a->nfds++] = passed_eventfd(EFD_CLOEXEC);
}

/* What is in configuration space is a header, lists that end, or anything. */
static void answer_read(struct script *s, struct answer *a)
{
	uint32_t count = script_u32(s, 12), at = script_u32(s, 0);

	put(a, s->msg.payload, 16);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t byte = at + i == 6      ? 0x10
			       : at + i == 0x34 ? 0x40
			       : at + i == 0x40 ? 0x11
						: 0;

		if (!below(&theirs, 4))
			byte = (uint8_t)below(&theirs, 256);
		put(a, &byte, 1);
	}
}

static void answer_feature(struct script *s, struct answer *a)
{
	bool is_get = script_u32(s, 4) & VFU_WIRE_FEATURE_GET;

	put(a, s->msg.payload, is_get ? 8 : s->msg.hdr.size - 16);
	if (is_get)
		put(a, "\1\0\0\0\0\0\0\0", 8);
}

static void answer(struct script *s, struct answer *a)
{
	const struct vfu_wire_get_info_reply info = {
		.argsz = sizeof(info), .flags = 3, .num_regions = 9, .num_irqs = 5};
	const struct vfu_wire_get_irq_info_reply irq = {
		.argsz = sizeof(irq), .flags = 3, .index = script_u32(s, 8), .count = 4};

	*a = (struct answer){
		.hdr = {.id = s->msg.hdr.id, .command = s->msg.hdr.command, .flags = 1}};
	switch (s->msg.hdr.command) {
	case VFU_WIRE_CMD_VERSION:
		return answer_version(a);
	case VFU_WIRE_CMD_DMA_UNMAP:
		return put(a, s->msg.payload, 24);
	case VFU_WIRE_CMD_GET_INFO:
		return put(a, &info, sizeof(info));
	case VFU_WIRE_CMD_GET_REGION_INFO:
		return answer_region_info(s, a);
	case VFU_WIRE_CMD_GET_REGION_IO_FDS:
		return answer_io_fds(s, a);
	case VFU_WIRE_CMD_GET_IRQ_INFO:
		return put(a, &irq, sizeof(irq));
	case VFU_WIRE_CMD_REGION_READ:
		return answer_read(s, a);
	case VFU_WIRE_CMD_REGION_WRITE:
		return put(a, s->msg.payload, 16);
	case VFU_WIRE_CMD_DEVICE_FEATURE:
		return answer_feature(s, a);
	case VFU_WIRE_CMD_MIG_DATA_READ:
		return put(a, "\22\0\0\0\12\0\0\0state data", 18);
	default:
		return;
	}
}

/* ---- the server: what becomes of them ---- */

/* Whatever goes; a client that has gone is none to complain of. */
static void send_bytes(struct script *s, const void *bytes, size_t len, const int *fds,
		       unsigned nfds)
{
	char control[CMSG_SPACE(sizeof(int) * FDS)] = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds) {
		struct cmsghdr *cmsg;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
}

static void send_answer(struct script *s, const struct answer *a)
{
	static struct peer_msg msg; /* the server's alone */

	msg.hdr = a->hdr;
	memcpy(msg.payload, a->payload, a->len);
	send_bytes(s, &msg, sizeof(msg.hdr) + a->len, a->fds, a->nfds);
}

/* More descriptors, or fewer, of any kind. */
static void change_fds(struct answer *a)
{
	unsigned n = below(&theirs, 4) ? below(&theirs, 4) : below(&theirs, FDS + 1);
	int ends[2];

	while (a->nfds > n)
		close(a->fds[--a->nfds]);
	while (a->nfds < n) {
		int fd = -1;

		switch (below(&theirs, 4)) {
		case 0:
			fd = peer_fd(); /* empty */
			break;
		case 1:
			fd = passed_eventfd(EFD_CLOEXEC);
			break;
		case 2:
			fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
			break;
		default:
			ck_assert_int_eq(pipe(ends), 0);
			close(ends[1]);
			fd = ends[0];
		}
		a->fds[a->nfds++] = fd;
	}
}

static void change_number(struct answer *a)
{
	uint64_t value = odd(&theirs);
	size_t width = below(&theirs, 3) ? 4 : 8;
	size_t at = a->len < width ? 0 : 4 * below(&theirs, (uint32_t)((a->len - width) / 4 + 1));

	if (a->len >= width)
		memcpy(a->payload + at, &value, width);
}

static void change(struct answer *a)
{
	switch (below(&theirs, 12)) {
	case 0:
		a->len = below(&theirs, (uint32_t)a->len + 1);
		break;
	case 1:
		a->len += below(&theirs, 4) ? below(&theirs, 100) : below(&theirs, 65536);
		if (a->len > sizeof(a->payload))
			a->len = sizeof(a->payload);
		break;
	case 2:
		a->hdr.id = (uint16_t)(a->hdr.id + 1 + below(&theirs, 3) * 32767);
		break;
	case 3:
		a->hdr.command = (uint16_t)below(&theirs, 22);
		break;
	case 4:
		a->hdr.flags = (uint32_t)odd(&theirs);
		break;
	case 5:
		a->hdr.flags |= VFU_WIRE_HEADER_ERROR;
		a->hdr.error = (uint32_t)odd(&theirs);
		break;
	case 6:
	case 7:
		change_fds(a);
		break;
	default:
		change_number(a);
	}
}

/* A command of the server's: DMA of any place, what it should not send, what nobody knows. */
static void command(struct script *s)
{
	static struct answer c;
	int fd = s->fd;
	struct vfu_wire_dma_read_request in = {
		below(&theirs, 2) ? odd(&theirs) : IOVA + below(&theirs, 2 * PAGE),
		below(&theirs, 4) ? below(&theirs, 5000) : odd(&theirs)};

	c = (struct answer){.hdr = {.id = (uint16_t)below(&theirs, 65536),
				    .command = (uint16_t)(below(&theirs, 4) ? 11 + below(&theirs, 2)
									    : below(&theirs, 24))}};
	put(&c, &in, sizeof(in));
	if (c.hdr.command == VFU_WIRE_CMD_DMA_WRITE)
		c.len += in.count < 5000 ? in.count : below(&theirs, 5000);
	memset(c.payload + sizeof(in), 0xee, c.len - sizeof(in));
	if (!below(&theirs, 12))
		change(&c);
	c.hdr.flags &= ~(uint32_t)VFU_WIRE_HEADER_TYPE_MASK;
	c.hdr.size = (uint32_t)(sizeof(c.hdr) + c.len);
	if (twin >= 0 && below(&theirs, 8))
		s->fd = twin; /* where they belong */
	send_answer(s, &c);
	s->fd = fd;
	while (c.nfds)
		close(c.fds[--c.nfds]);
}

/* Sends it, or does worse. False: that was the end. */
static bool send_somehow(struct script *s, struct answer *a)
{
	unsigned how = below(&theirs, 200);

	a->hdr.size = (uint32_t)(sizeof(a->hdr) + a->len);
	if (how == 0)
		a->hdr.size = (uint32_t)odd(&theirs);
	if (how < 3)
		send_answer(s, a); /* once more */
	if (how == 4) {
		send_bytes(s, a, below(&theirs, 30), a->fds, a->nfds);
		return false;
	}
	if (how != 5) /* never */
		send_answer(s, a);
	return how != 6;
}

static void is_hostile(struct script *s)
{
	static struct answer a;
	bool goes_on = true;

	twin = -1;
	while (goes_on && peer_get(s->fd, &s->msg, s->fds, &s->nfds)) {
		while (s->nfds)
			close(s->fds[--s->nfds]);
		if (s->msg.hdr.flags & VFU_WIRE_HEADER_TYPE_MASK)
			continue; /* to a command of ours */
		for (unsigned i = below(&theirs, 8) ? 0 : below(&theirs, 6); i; i--)
			command(s);
		if (s->msg.hdr.flags & VFU_WIRE_HEADER_NO_REPLY && below(&theirs, 20))
			continue;
		answer(s, &a);
		for (unsigned i = below(&theirs, 4) ? 0 : 1 + below(&theirs, 2); i; i--)
			change(&a);
		goes_on = send_somehow(s, &a);
		while (a.nfds)
			close(a.fds[--a.nfds]);
	}
	if (twin >= 0)
		close(twin);
}

/* ---- the client: calls, and what they return ---- */

/* What may be mapped is there. */
static void touch(const struct vfu_area *area, int fd, uint64_t offset)
{
	uint8_t *p;

	ck_assert_uint_gt(area->size, 0);
	ck_assert_int_ge(fd, 0);
	if (offset % PAGE || area->size > 16 * PAGE)
		return; /* not for mmap, or a sparse file */
	p = mmap(NULL, area->size, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_uint_le(*(volatile uint8_t *)(p + area->size - 1), 255);
	munmap(p, area->size);
}

static int get_region_info(void)
{
	struct vfu_region_capability cap;
	struct vfu_region_info info;
	int ret = vfu_client_region_info(cl, below(&ours, 10), &info);

	if (ret)
		return ret;
	for (unsigned i = 0; i < info.nareas; i++) {
		ck_assert_uint_le(info.areas[i].size, info.size);
		ck_assert_uint_le(info.areas[i].offset, info.size - info.areas[i].size);
		if (info.flags & VFU_REGION_MMAP)
			touch(&info.areas[i], info.files ? info.files[i].fd : info.fd,
			      info.files ? info.files[i].offset
					 : info.offset + info.areas[i].offset);
	}
	if (info.flags & VFU_REGION_MMAP && !info.nareas)
		touch(&(struct vfu_area){0, info.size}, info.fd, info.offset);
	for (unsigned n = 0; vfu_region_info_capability(&info, n, &cap); n++)
		ck_assert_uint_le(cap.len, info.reply_len);
	vfu_region_info_fini(&info);
	return 0;
}

static int get_device_info(void)
{
	struct vfu_device_info info;
	int ret = vfu_client_device_info(cl, &info);

	if (!ret) {
		ck_assert_uint_le(info.num_regions, 256);
		ck_assert_uint_le(info.num_irqs, 64);
	}
	return ret;
}

static int get_irq_info(void)
{
	struct vfu_irq_info info;
	int ret = vfu_client_irq_info(cl, below(&ours, 5), &info);

	if (!ret)
		ck_assert_uint_le(info.count, 2048);
	return ret;
}

static int get_io_fds(void)
{
	struct vfu_io_fds fds;
	int ret = vfu_client_io_fds(cl, below(&ours, 8), &fds);

	for (unsigned i = 0; !ret && i < fds.n; i++)
		ck_assert_int_ge(fcntl(fds.list[i].fd, F_GETFD), 0);
	if (!ret)
		vfu_io_fds_fini(&fds);
	return ret;
}

static int read_region(void)
{
	return vfu_client_region_read(cl, below(&ours, 9), below(&ours, 5000), buf,
				      below(&ours, 5000));
}

static int write_many(void)
{
	int ret = vfu_client_post_begin(cl), end;

	for (unsigned i = 0; i < 20 && !ret; i++)
		ret = vfu_client_region_post(cl, 0, 8 * i, buf, 1 + below(&ours, 8));
	end = vfu_client_post_end(cl);
	return end ? end : ret;
}

static int write_region(void)
{
	if (!below(&ours, 4))
		return write_many();
	if (below(&ours, 2))
		return vfu_client_region_post(cl, 0, below(&ours, 5000), buf, below(&ours, 5000));
	return vfu_client_region_write(cl, 0, below(&ours, 5000), buf, below(&ours, 5000));
}

static void at_end(void *user, int status)
{
	(void)user;
	ck_assert_int_le(status, 64);
	done++;
}

static void call_at_end(void *user, int status, struct vfu_call *answer)
{
	if (!status)
		ck_assert(answer->reply || !answer->reply_len);
	at_end(user, status);
}

static int call_async(void)
{
	const struct vfu_wire_get_info_request in = {.argsz = sizeof(in)};
	struct vfu_call call = {.size = sizeof(call),
				.command = VFU_WIRE_CMD_GET_INFO,
				.request = &in,
				.request_len = sizeof(in)};
	int ret = vfu_client_call_async(cl, &call, call_at_end, NULL);

	started += !ret;
	return ret ? ret : vfu_client_serve(cl, 1);
}

static int read_async(void)
{
	static uint8_t into[8][64];
	int ret = 0;

	for (unsigned i = 0; i < 8 && !ret; i++) {
		ret = vfu_client_region_read_async(cl, 0, 0, into[i], 64, at_end, NULL);
		started += !ret;
	}
	return ret ? ret : vfu_client_serve(cl, 1);
}

static int look_at_pci(void)
{
	struct vfu_client_capability list[4];
	struct vfu_client_bar bars[VFU_BARS];
	struct vfu_client_msix msix;

	switch (below(&ours, 8)) {
	case 0:
		return vfu_client_bars(cl, bars);
	case 1:
		return vfu_client_assign_bars(cl, NULL, bars);
	case 2:
		return vfu_client_msix(cl, &msix);
	case 3:
		return vfu_client_find_capability(cl, 0x11, 0);
	default:
		return vfu_client_capabilities(cl, below(&ours, 2), list, 4);
	}
}

static int use_irqs(void)
{
	const uint8_t which[4] = {1, 0, 1, 1};
	int fds[2] = {peer_fd(), peer_fd()};
	int ret = below(&ours, 2) ? vfu_client_irq_set_eventfds(cl, VFU_IRQ_INTX, 0, 2, fds)
				  : vfu_client_irq_do(cl, 2, VFU_IRQ_DO_TRIGGER, 0, 4, which);

	close(fds[0]);
	close(fds[1]);
	return ret ? ret : vfu_client_irq_disable(cl, 2);
}

static int use_memory(void)
{
	int ret = vfu_client_dma_map(cl, IOVA, PAGE, VFU_DMA_READ | VFU_DMA_WRITE, memory + PAGE,
				     -1, 0);

	if (!ret || ret == -EEXIST)
		ret = vfu_client_dma_map_nowait(cl, IOVA + PAGE * (1 + below(&ours, 9)), PAGE,
						VFU_DMA_READ, memory + PAGE, -1, 0);
	if (!ret && below(&ours, 2))
		ret = vfu_client_dma_unmap(cl, IOVA, PAGE);
	if (!ret && below(&ours, 2))
		ret = vfu_client_dma_unmap_all(cl);
	return ret ? ret : vfu_client_fence(cl);
}

static int use_feature(void)
{
	size_t len = 1 + below(&ours, 64);
	size_t room = len;
	int ret = vfu_client_feature(cl, VFU_WIRE_FEATURE_GET | (1 + below(&ours, 12)), buf, &len);

	ck_assert_uint_le(len, room);
	return ret;
}

static int call_anything(void)
{
	static const uint16_t which[] = {VFU_WIRE_CMD_MIG_DATA_READ, VFU_WIRE_CMD_GET_PRECOPY_INFO,
					 1000, VFU_WIRE_CMD_GET_REGION_INFO};
	static const uint32_t in[8] = {64, 10, 3};
	struct vfu_call call = {
		.size = sizeof(call), .command = which[below(&ours, 4)], .request = in};
	int ret;

	call.request_len = call.command == VFU_WIRE_CMD_MIG_DATA_READ     ? 8
			   : call.command == VFU_WIRE_CMD_GET_REGION_INFO ? 32
									  : 24;
	ret = vfu_client_call(cl, &call);
	for (unsigned i = 0; !ret && i < call.reply_nfds; i++)
		ck_assert_int_ge(fcntl(call.reply_fds[i], F_GETFD), 0);
	if (!ret)
		vfu_call_fini(&call);
	return ret;
}

static int reset_or_serve(void)
{
	return below(&ours, 4) ? vfu_client_reset(cl) : vfu_client_serve(cl, 1);
}

static int (*const calls[])(void) = {get_region_info, get_device_info, get_irq_info, get_io_fds,
				     read_region,     write_region,    read_async,   look_at_pci,
				     use_irqs,        use_memory,      use_feature,  call_anything,
				     reset_or_serve,  call_async};

/* It says why; and of a connection that was broken, why that is, always the same. How often that was asked. */
static unsigned check_error(int ret, struct vfu_err *cause, unsigned asked)
{
	struct vfu_err err, now;

	if (ret >= 0)
		return asked;
	vfu_client_err(cl, &err);
	ck_assert_int_eq(err.code, ret);
	ck_assert_str_ne(err.text, "");
	if (vfu_client_status(cl) == 0)
		return asked;
	vfu_client_err(cl, &now);
	/* That nothing can be sent is noticed before what the server said last is read. */
	if (!cause->code || (cause->code == -ENOTCONN && now.code == -EPROTO))
		*cause = now;
	ck_assert_str_eq(now.text, cause->text);
	ck_assert_int_eq(now.code, cause->code);
	return asked + 1;
}

static void use(unsigned seed)
{
	struct vfu_err cause = {0};
	unsigned asked = 0;
	int ret;

	ours.state = 88172645463325252u + seed * 7919ull;
	theirs.state = 362436069362436069u + seed * 104729ull;
	done = started = 0;
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TWIN_SOCKET, seed % 2), 0);
	ret = vfu_client_attach(cl, script_start(&far, is_hostile));
	for (unsigned i = 0; i < CALLS && !ret && asked < 3; i++)
		asked = check_error(calls[below(&ours, sizeof(calls) / sizeof(calls[0]))](), &cause,
				    asked);
	if (ret < 0) {
		vfu_client_err(cl, &cause);
		ck_assert_str_ne(cause.text, "");
	}
	vfu_client_disconnect(cl);
	script_join(&far);
	ck_assert_uint_eq(done, started);
	for (unsigned i = 0; i < PAGE; i++)
		ck_assert_uint_eq(memory[i] | memory[2 * PAGE + i], 0);
}

static void setup(void)
{
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 4), 0);
	ck_assert_int_eq(vfu_client_set_capability(cl, "sparse_mmap_fds", 1), 0);
	ck_assert_int_eq(vfu_sigbus_guard(), 0);
}

static void teardown(void)
{
	vfu_client_free(cl);
}

/* With a slow machine (a sanitizer, valgrind) as many as it can in a few seconds. */
START_TEST(each_call_ends)
{
	unsigned n = getenv("FULL") ? 20000 : CONNECTIONS;
	time_t end = time(NULL) + SECONDS;

	if (getenv("SEED"))
		use((unsigned)atoi(getenv("SEED")));
	for (unsigned seed = 1; seed <= n && !getenv("SEED"); seed++) {
		use(seed);
		if (time(NULL) > end && !getenv("FULL"))
			return;
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile");
	TCase *tcase = tcase_create("hostile");

	tcase_set_timeout(tcase, getenv("FULL") ? 600 : 120);
	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_call_ends);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
