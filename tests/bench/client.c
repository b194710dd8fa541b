/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * client.c - what vfu_client_* costs: each row in turn with the bare socket.
 *
 *	bare:    drive() of drive.c  <--socket-->  far() below, which looks at headers, for the ids of messages
 *	client:  vfu_client_...      <--socket-->  the same
 *
 *	least:   least_... below      <--socket-->  the same
 *
 * So the cost is the client's alone. Of that no client of its kind can save what "least" costs: the
 * bare socket with a lock, a count of users, ids and a time limit. The last rows need no socket: a loop
 * over memory of the device that is mapped, beside one over memory of the process.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"
#include "vfu.h"

#define MAPPED (1u << 20)

static void check(int ret, const char *what)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
}

/* ---- the far end ---- */

static const char json[] = "{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":1048576,"
			   "\"write_multiple\":true}}";

/* Appends the answer to one message: how many bytes. */
static size_t answer(const struct header *h, const uint8_t *at, uint8_t *out)
{
	struct header reply = {h->id, h->command, sizeof(struct region_part) + 4, FLAG_REPLY, 0};

	if (h->flags & FLAG_NO_REPLY)
		return 0;
	if (h->command == CMD_VERSION) {
		reply.size = sizeof(reply) + 4 + sizeof(json);
		memset(out + sizeof(reply), 0, 4);
		memcpy(out + sizeof(reply) + 4, json, sizeof(json));
	} else {
		memcpy(out + sizeof(reply), at + sizeof(reply), reply.size - sizeof(reply));
	}
	memcpy(out, &reply, sizeof(reply));
	return reply.size;
}

static void far(struct end *e)
{
	size_t fill = 0;

	for (;;) {
		size_t at = 0, len = 0;
		struct header h;

		fill += end_recv(e, e->in + fill, e->room - fill);
		while (fill - at >= sizeof(h)) {
			memcpy(&h, e->in + at, sizeof(h));
			if (fill - at < h.size)
				break;
			len += answer(&h, e->in + at, e->out + len);
			at += h.size;
		}
		fill -= at;
		memmove(e->in, e->in + at, fill);
		end_send(e, e->out, len);
	}
}

/* A device whose BAR0 can be mapped. */
static void serve_mapped(int fd)
{
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *srv = dev ? vfu_server_new(dev) : NULL;
	struct vfu_region region = {.size = MAPPED,
				    .flags = VFU_REGION_READ | VFU_REGION_WRITE | VFU_REGION_MMAP,
				    .fd = memfd_create("bar0", MFD_CLOEXEC)};

	if (!srv || region.fd < 0 || ftruncate(region.fd, MAPPED))
		die("no device");
	check(vfu_device_set_region(dev, VFU_REGION_BAR0, &region), "region");
	check(vfu_server_attach(srv, fd), "attach");
	vfu_server_run(srv);
	exit(0);
}

/* Starts a far end, e->peer: the socket to it. */
static int start_far(bool maps, struct end *e)
{
	struct end other;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		die("no socket");
	e->peer = fork();
	if (!e->peer) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		if (maps)
			serve_mapped(fds[1]);
		end_init(&other, fds[1], false);
		far(&other);
	}
	close(fds[1]);
	return fds[0];
}

static void stop_far(const struct end *e)
{
	kill(e->peer, SIGKILL);
	waitpid(e->peer, NULL, 0);
}

static struct vfu_client *connect_client(bool coalesces, bool maps, struct end *e)
{
	struct vfu_client *cl = vfu_client_new();

	if (!cl)
		die("no client");
	check(vfu_client_set(cl, VFU_OPT_WRITE_MULTIPLE, coalesces), "write_multiple");
	check(vfu_client_set(cl, VFU_OPT_MAPPED, maps), "mapped");
	check(vfu_client_attach(cl, start_far(maps, e)), "VERSION");
	return cl;
}

static void close_client(struct vfu_client *cl, const struct end *e)
{
	stop_far(e);
	vfu_client_free(cl);
}

/* ---- one round of each row ---- */

static void do_calls(struct vfu_client *cl, unsigned ops)
{
	uint32_t value;

	while (ops--)
		check(vfu_client_region_read(cl, 0, 0, &value, 4), "read");
}

struct flight {
	struct vfu_client *cl;
	unsigned left, in_flight;
	uint32_t value;
};

static void landed(void *user, int status)
{
	struct flight *f = user;

	check(status, "asynchronous read");
	f->in_flight--;
	if (!f->left)
		return;
	f->left--;
	f->in_flight++;
	check(vfu_client_region_read_async(f->cl, 0, 0, &f->value, 4, landed, f), "start");
}

/* A loop as a monitor has it; each answer starts the next. */
static void do_async(struct vfu_client *cl, unsigned ops)
{
	struct flight f = {.cl = cl, .left = ops};
	struct pollfd pfds[4];

	for (f.in_flight = 0; f.in_flight < 32; f.in_flight++, f.left--)
		check(vfu_client_region_read_async(cl, 0, 0, &f.value, 4, landed, &f), "start");
	while (f.in_flight) {
		int n = vfu_client_pollfds(cl, pfds, 4);

		poll(pfds, (nfds_t)n, vfu_client_timeout(cl));
		check(vfu_client_process(cl, 0), "process");
	}
}

static void do_posts(struct vfu_client *cl, unsigned ops)
{
	uint32_t value = 0x5a5a5a5a;

	while (ops--)
		check(vfu_client_region_post(cl, 0, 0, &value, 4), "post");
	do_calls(cl, 1);
}

static void do_batch(struct vfu_client *cl, unsigned ops)
{
	check(vfu_client_post_begin(cl), "begin");
	do_posts(cl, ops);
	check(vfu_client_post_end(cl), "end");
}

/* ---- what none of them can do without ---- */

struct least {
	struct end *e;
	pthread_mutex_t lock;
	atomic_uint users;
	size_t size; /* of a request */
	uint16_t id;
};

/* The next of the requests in e->out gets an id of its own, by a thread that is not alone. */
static void least_begin(struct least *l, unsigned place)
{
	struct header h;

	atomic_fetch_add(&l->users, 1);
	pthread_mutex_lock(&l->lock);
	memcpy(&h, l->e->out + place * l->size, sizeof(h));
	h.id = l->id++;
	memcpy(l->e->out + place * l->size, &h, sizeof(h));
}

static void least_end(struct least *l)
{
	pthread_mutex_unlock(&l->lock);
	atomic_fetch_sub(&l->users, 1);
}

/* With room for descriptors, which nobody may lose. */
static size_t least_recv(struct least *l, int flags)
{
	char control[CMSG_SPACE(16 * sizeof(int))];
	struct iovec iov = {l->e->in, l->e->room};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(l->e->fd, &m, MSG_CMSG_CLOEXEC | flags);

	if (n <= 0)
		die("no answer");
	return (size_t)n;
}

static void least_calls(struct least *l, unsigned ops)
{
	while (ops--) {
		least_begin(l, 0);
		end_send(l->e, l->e->out, l->size);
		least_end(l);
		least_recv(l, 0);
	}
}

static void least_posts(struct least *l, unsigned ops)
{
	while (ops--) {
		least_begin(l, 0);
		end_send(l->e, l->e->out, l->size);
		least_end(l);
	}
}

/* The lock once for each request, and once for each answer, as anybody may ask or give up meanwhile. */
static void least_flight(struct least *l, unsigned ops)
{
	struct pollfd pfd = {.fd = l->e->fd, .events = POLLIN};
	size_t reply = sizeof(struct region_part) + 4;

	for (unsigned depth = 32, sent = 0, got; sent < ops; sent += depth) {
		for (unsigned i = 0; i < depth; i++) {
			least_begin(l, i);
			least_end(l);
		}
		end_send(l->e, l->e->out, depth * l->size);
		for (got = 0; got < depth;) {
			poll(&pfd, 1, 5000);
			for (size_t n = least_recv(l, MSG_DONTWAIT); n >= reply;
			     n -= reply, got++) {
				pthread_mutex_lock(&l->lock);
				pthread_mutex_unlock(&l->lock);
			}
		}
	}
}

/* ---- rows ---- */

struct use {
	const char *name, *title, *bare; /* bare: the row that does the same */
	void (*run)(struct vfu_client *cl, unsigned ops);
	bool coalesces;
	double target;
	void (*least)(struct least *l, unsigned ops); /* in place of the client; no target */
};

static const struct use uses[] = {
	{"call4", "client: 4 B read", "read4", do_calls, false, 1.12, NULL},
	{"least4", "least: 4 B read", "read4", NULL, false, 0, least_calls},
	{"async32", "client: 4 B reads, 32 in flight", "read4x32", do_async, false, 1.3, NULL},
	{"least32", "least: 4 B reads, 32 in flight", "read4x32", NULL, false, 0, least_flight},
	{"postoff", "client: posted, coalescing off", "post1", do_posts, false, 1.1, NULL},
	{"leastpost", "least: posted", "post1", NULL, false, 0, least_posts},
	{"poston", "client: posted, coalescing on", "post1", do_posts, true, 1.1, NULL},
	{"batchoff", "client: a batch, coalescing off", "post1", do_batch, false, 1.1, NULL},
	{"batchon", "client: a batch, coalescing on", "post1", do_batch, true, 1.1, NULL},
};

static const struct row *row_of(const char *name)
{
	for (const struct row *row = rows; row < rows + row_count; row++)
		if (!strcmp(row->name, name))
			return row;
	die("no row %s", name);
}

/* Nothing but operations, for who counts calls and instructions of this process. */
static void count_use(const struct use *u, unsigned ops)
{
	struct end e;
	struct vfu_client *cl = connect_client(u->coalesces, false, &e);

	u->run(cl, ops);
	close_client(cl, &e);
}

static double measure_far(const struct row *row, unsigned ops, enum mode mode)
{
	struct end far, e;
	int fd = start_far(false, &far);
	double ns;

	end_init(&e, fd, false);
	e.peer = far.peer;
	ns = measure(&e, row, ops, mode);
	stop_far(&e);
	end_fini(&e);
	return ns;
}

static double measure_use(const struct use *u, unsigned ops, enum mode mode)
{
	bool cpu = mode == MODE_CPUTIME;
	struct end e;
	struct vfu_client *cl = connect_client(u->coalesces, false, &e);
	uint64_t start;
	double ns;

	u->run(cl, ops);
	start = cpu ? cpu_ns(&e) : now_ns();
	u->run(cl, ops);
	ns = (double)((cpu ? cpu_ns(&e) : now_ns()) - start) / ops;
	close_client(cl, &e);
	return ns;
}

static double measure_least(const struct use *u, const struct row *row, unsigned ops,
			    enum mode mode)
{
	const struct timeval tick = {.tv_usec = 250000};
	bool cpu = mode == MODE_CPUTIME;
	struct least l = {.lock = PTHREAD_MUTEX_INITIALIZER, .size = row_request_size(row)};
	struct end far, e;
	int fd = start_far(false, &far);
	uint64_t start;
	double ns;

	end_init(&e, fd, false);
	e.peer = far.peer;
	l.e = &e;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
	row_requests(row, e.out, row->depth);
	u->least(&l, ops);
	start = cpu ? cpu_ns(&e) : now_ns();
	u->least(&l, ops);
	ns = (double)((cpu ? cpu_ns(&e) : now_ns()) - start) / ops;
	stop_far(&e);
	end_fini(&e);
	return ns;
}

static void print(const struct options *o, const char *title, double *base, double *ratio,
		  double target)
{
	double middle = median(ratio, o->rounds);

	printf("%-32s %10.1f %9.2f %7.2f..%.2f", title, median(base, o->rounds), middle, ratio[0],
	       ratio[o->rounds - 1]);
	if (target > 0)
		printf(" %9.2f%s", target, middle > target ? "  over" : "");
	putchar('\n');
	fflush(stdout);
}

static void run_use(const struct options *o, const struct use *u, double *base, double *ratio)
{
	const struct row *row = row_of(u->bare);
	unsigned ops = options_ops(o, row);

	if (o->count) {
		if (u->run)
			count_use(u, ops);
		return;
	}
	for (unsigned i = 0; i < o->rounds; i++) {
		base[i] = measure_far(row, ops, o->mode);
		ratio[i] = (u->least ? measure_least(u, row, ops, o->mode)
				     : measure_use(u, ops, o->mode)) /
			   base[i];
	}
	print(o, u->title, base, ratio, u->target);
}

/* ---- mapped memory ---- */

/* Loads and stores all words of it, again and again: nanoseconds for one. */
static double walk(volatile uint32_t *memory, unsigned turns)
{
	uint64_t start = 0;

	for (unsigned turn = 0; turn <= turns; turn++) {
		if (turn == 1)
			start = now_ns();
		for (unsigned i = 0; i < MAPPED / 4; i++)
			memory[i] = memory[i] + 1;
	}
	return (double)(now_ns() - start) / turns / (MAPPED / 4);
}

/* The same number of reads by vfu_client_region_read, which finds the memory each time. */
static double read_mapped(struct vfu_client *cl, unsigned ops)
{
	uint64_t start = now_ns();

	do_calls(cl, ops);
	return (double)(now_ns() - start) / ops;
}

static void run_mapped(const struct options *o, double *base, double *ratio)
{
	struct end e;
	struct vfu_client *cl = connect_client(false, true, &e);
	uint32_t *own = malloc(MAPPED);
	struct vfu_region_map map;

	if (!own)
		die("out of memory");
	memset(own, 0, MAPPED);
	check(vfu_client_region_map(cl, 0, 0, 0, &map), "map");
	for (unsigned i = 0; i < o->rounds; i++) {
		base[i] = walk(own, 50);
		ratio[i] = walk(map.addr, 50) / base[i];
	}
	print(o, "client: words of mapped memory", base, ratio, 1.05);
	vfu_sigbus_guard();
	read_mapped(cl, 1000);
	printf("%-32s %10.1f ns\n", "the same by vfu_client_region_read", read_mapped(cl, 100000));
	vfu_region_map_fini(&map);
	free(own);
	close_client(cl, &e);
}

int main(int argc, char **argv)
{
	const struct row mapped = {.name = "mapped"};
	double *base, *ratio;
	struct options o;

	options_parse(&o, argc, argv);
	base = calloc(o.rounds, sizeof(*base));
	ratio = calloc(o.rounds, sizeof(*ratio));
	if (!base || !ratio)
		die("out of memory");
	if (o.mode != MODE_FREE)
		pin(0, 0);
	printf("%-32s %10s %9s %13s %9s\n", "", "bare ns/op", "cost", "spread", "target");
	fflush(stdout);
	for (const struct use *u = uses; u < uses + sizeof(uses) / sizeof(uses[0]); u++)
		if (options_row(&o, &(struct row){.name = u->name}))
			run_use(&o, u, base, ratio);
	if (options_row(&o, &mapped))
		run_mapped(&o, base, ratio);
	free(base);
	free(ratio);
	return 0;
}
