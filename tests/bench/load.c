/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * load.c - drives a server that has the bench device; each row in turn with the bare socket.
 *
 * The client is written on the socket, so that any server can be judged by it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "options.h"

static int connect_to(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(un.sun_path))
		die("%s: %s", path, fd < 0 ? strerror(errno) : "name too long");
	memcpy(un.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)))
		die("%s: %s", path, strerror(errno));
	return fd;
}

/* Receives one reply; its payload, of len bytes, is then in e->in. */
static uint32_t reply(struct end *e, uint16_t command)
{
	struct header h;

	end_recv_all(e, &h, sizeof(h));
	if (h.command != command || h.flags != FLAG_REPLY || h.size < sizeof(h) ||
	    h.size - sizeof(h) > e->room)
		die("command %u: reply with command %u flags %#x size %u error %u", command,
		    h.command, h.flags, h.size, h.error);
	end_recv_all(e, e->in, h.size - sizeof(h));
	return h.size - (uint32_t)sizeof(h);
}

/* True: the server takes REGION_WRITE_MULTI. */
static bool negotiate(struct end *e)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":1,"
				   "\"max_data_xfer_size\":1048576,\"max_dma_maps\":65535,"
				   "\"write_multiple\":true}}";
	struct {
		struct header h;
		uint16_t major, minor;
		char json[sizeof(json)];
	} q = {.h = {0, CMD_VERSION, sizeof(struct header) + 4 + sizeof(json), 0, 0}};

	uint32_t len;

	memcpy(q.json, json, sizeof(json));
	end_send(e, &q, q.h.size);
	len = reply(e, CMD_VERSION);
	return memmem(e->in, len, "\"write_multiple\"", 16) && memmem(e->in, len, "true", 4);
}

static void map(struct end *e, uint64_t address, int fd, uint64_t offset)
{
	struct map_part q = {{0, CMD_DMA_MAP, sizeof(q), 0, 0}, 32, 3, offset, address, GUEST_HALF};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&q, sizeof(q)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (fd >= 0) {
		m.msg_control = control.buf;
		m.msg_controllen = sizeof(control.buf);
		control.align = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
						 .cmsg_level = SOL_SOCKET,
						 .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	if (sendmsg(e->fd, &m, MSG_NOSIGNAL) != sizeof(q))
		die("DMA_MAP: %s", strerror(errno));
	reply(e, CMD_DMA_MAP);
}

static void region(struct end *e, uint16_t command, uint64_t offset, uint32_t count)
{
	uint32_t data = command == CMD_REGION_WRITE ? count : 0;
	struct region_part q = {{0, command, (uint32_t)sizeof(q) + data, 0, 0}, offset, 0, count};

	end_send(e, &q, sizeof(q));
	end_send(e, e->out, data);
	if (reply(e, command) != sizeof(q) - sizeof(q.h) + count - data)
		die("command %u: wrong length of the reply", command);
}

/* Written data must come back. False: the device keeps nothing. */
static bool check_region(struct end *e, uint64_t offset, uint32_t count)
{
	const uint8_t *back = e->in + sizeof(struct region_part) - sizeof(struct header);

	for (uint32_t i = 0; i < count; i++)
		e->out[i] = (uint8_t)(i * 7 + offset + count);
	region(e, CMD_REGION_WRITE, offset, count);
	region(e, CMD_REGION_READ, offset, count);
	if (!memcmp(back, e->out, count))
		return true;
	for (uint32_t i = 0; i < count; i++)
		if (back[i] != back[0])
			die("read of %u bytes at %#llx: byte %u is %#x instead of %#x", count,
			    (unsigned long long)offset, i, back[i], e->out[i]);
	return false;
}

/* Has the device read guest memory, and write elsewhere what it read. */
static void check_dma(struct end *e, uint32_t len)
{
	uint8_t *from = e->guest, *to = e->guest + GUEST_HALF / 2;

	memset(to, 0, len);
	run_dma(e, START_READ, GUEST_MESSAGE, len, 1, 1);
	run_dma(e, START_WRITE, GUEST_MESSAGE + GUEST_HALF / 2, len, 1, 1);
	if (memcmp(from, to, len))
		die("message DMA: not the data that was read before");
	write_reg(e, REG_ADDRESS, GUEST_MAPPED, 8);
	write_reg(e, REG_START, START_MAPPED_WRITE, 4);
	if (memcmp(e->guest + GUEST_HALF, from, len))
		die("mapped DMA: not the data that was read before");
}

static void open_server(struct end *e, const struct options *o)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	end_init(e, connect_to(o->socket_path), o->mode == MODE_SPIN);
	guest_open(e);
	if (getsockopt(e->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		die("SO_PEERCRED: %s", strerror(errno));
	if (o->mode != MODE_FREE)
		pin(peer.pid, 0);
	e->peer = peer.pid;
	e->multi = negotiate(e);
	map(e, GUEST_MESSAGE, -1, 0);
	map(e, GUEST_MAPPED, e->guest_fd, GUEST_HALF);
}

static double measure_server(const struct options *o, const struct row *row)
{
	struct end e;
	double ns;

	open_server(&e, o);
	if (row->command == CMD_WRITE_MULTI && !e.multi)
		die("%s: the server does not take it", row->name);
	ns = measure(&e, row, options_ops(o, row), o->mode);
	end_fini(&e);
	return ns;
}

static void run_row(const struct options *o, const struct row *row, double *bare, double *ratio)
{
	double target = o->target > 0 ? o->target : row->target;

	for (unsigned i = 0; i < o->rounds; i++) {
		bare[i] = measure_bare(row, options_ops(o, row), o->mode);
		ratio[i] = measure_server(o, row) / bare[i];
	}
	printf("%-32s %10.0f %9.2f", row->title, median(bare, o->rounds), median(ratio, o->rounds));
	printf(" %7.2f..%.2f", ratio[0], ratio[o->rounds - 1]);
	if (o->mode <= MODE_CPUTIME && target > 0)
		printf(" %9.2f%s", target, median(ratio, o->rounds) > target ? "  over" : "");
	printf("\n");
	fflush(stdout);
}

static void count_row(const struct options *o, const struct row *row)
{
	struct end e;

	open_server(&e, o);
	if (row->command == CMD_WRITE_MULTI && !e.multi)
		die("%s: the server does not take it", row->name);
	row_requests(row, e.out, row->depth);
	drive(&e, row, options_ops(o, row));
	end_fini(&e);
}

static void check_all(const struct options *o)
{
	static const uint32_t sizes[] = {1, 2, 4, 8, 13, 4096, 65536, 100000, 1u << 20};
	struct end e;
	bool kept = true;

	open_server(&e, o);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		kept = check_region(&e, 0, sizes[i]) && kept;
		kept = check_region(&e, 4093, sizes[i]) && kept;
	}
	if (!kept)
		die("BAR0 does not keep what is written");
	check_dma(&e, 4096);
	check_dma(&e, 1u << 20);
	end_fini(&e);
}

int main(int argc, char **argv)
{
	struct options o;
	double *bare, *ratio;

	options_parse(&o, argc, argv);
	if (!o.socket_path)
		die("--socket-path=PATH is needed");
	if (o.mode != MODE_FREE)
		pin(0, o.mode == MODE_SPIN);
	if (o.check) {
		check_all(&o);
		return 0;
	}
	bare = calloc(o.rounds, sizeof(*bare));
	ratio = calloc(o.rounds, sizeof(*ratio));
	if (!bare || !ratio)
		die("out of memory");
	if (!o.count)
		printf("%-32s %10s %9s %13s %9s\n", "", "bare ns/op", "cost", "spread", "target");
	for (const struct row *row = rows; row < rows + row_count; row++) {
		if (!options_row(&o, row))
			continue;
		if (o.count)
			count_row(&o, row);
		else
			run_row(&o, row, bare, ratio);
	}
	free(bare);
	free(ratio);
	return 0;
}
