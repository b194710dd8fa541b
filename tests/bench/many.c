/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * many.c - what a request costs when its device is one of many, in one epoll loop of one process.
 *
 *	client, a process ==== N socket pairs ==== server: N devices, epoll over vfu_server_fd() of each
 *
 *	one		all requests go to the same device: what do the others cost that do nothing?
 *	in turn		each device gets one, then the next: its state is in no cache any more
 *	at once		64 devices have one each before the loop is looked at
 *
 * The same with bare sockets, which an epoll loop receives from and sends to: what the kernel takes for having many.
 * Processor time of both ends, on one CPU; the least of rounds in which all rows take turns. Prints besides what a
 * device takes in memory and descriptors.
 *
 *	many [ROUNDS [DEVICES]]
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "vfu.h"

enum { REQUESTS = 20000, BURST = 64, EVENTS = 64, ROUNDS_MAX = 99 };

/* ---- the server */

struct one {
	struct vfu_device *dev;
	struct vfu_server *srv;
	int fd;
};

static int read_nothing(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	(void)user, (void)req, (void)access;
	return 0;
}

static void make(struct one *one, int fd)
{
	const struct vfu_region region = {.size = 4096,
					  .flags = VFU_REGION_READ | VFU_REGION_WRITE,
					  .access = read_nothing,
					  .fd = -1};

	one->dev = vfu_device_new();
	one->srv = one->dev ? vfu_server_new(one->dev) : NULL;
	if (!one->srv || vfu_device_set_region(one->dev, VFU_REGION_BAR0, &region) < 0 ||
	    vfu_server_attach(one->srv, fd) < 0)
		die("a device can not be made: %s", strerror(errno));
	one->fd = vfu_server_fd(one->srv);
}

/* As many timeouts are asked for as there are servers that were processed: none is due here, once they have clients. */
static void process(struct one *one)
{
	do {
		if (vfu_server_process(one->srv, 0) < 0)
			exit(0);
	} while (vfu_server_timeout(one->srv) == 0);
}

/* One message of size bytes in, the answer out. */
static void echo(struct one *one)
{
	struct region_part q;
	uint8_t reply[sizeof(q) + 4] = {0};
	ssize_t n = recv(one->fd, &q, sizeof(q), MSG_DONTWAIT);

	if (n == 0)
		exit(0);
	if (n != (ssize_t)sizeof(q))
		die("bare: %zd bytes came", n);
	q.h.flags = FLAG_REPLY;
	q.h.size = sizeof(reply);
	memcpy(reply, &q, sizeof(q));
	if (send(one->fd, reply, sizeof(reply), MSG_NOSIGNAL) != (ssize_t)sizeof(reply))
		exit(0);
}

static void watch(int epoll_fd, struct one *one)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = one}};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, one->fd, &event))
		die("epoll: %s", strerror(errno));
}

static void loop(int epoll_fd, void (*turn)(struct one *one))
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			turn(events[i].data.ptr);
	}
}

/* KiB that are this process's alone. */
static unsigned long private_kib(void)
{
	unsigned long sum = 0, kib;
	char line[256];
	FILE *file = fopen("/proc/self/smaps_rollup", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Private_Dirty: %lu", &kib) == 1)
			sum = kib;
	if (file)
		fclose(file);
	return sum;
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 65536; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void serve(const int *fds, unsigned n, bool bare, bool tell)
{
	struct one *ones = calloc(n, sizeof(*ones));
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	unsigned long before = private_kib();
	unsigned open = count_fds();

	for (unsigned i = 0; i < n; i++) {
		if (bare)
			ones[i].fd = fds[i];
		else
			make(&ones[i], fds[i]);
		watch(epoll_fd, &ones[i]);
	}
	if (tell)
		printf("a device: %.1f KiB, %.1f descriptors beside its socket\n",
		       (double)(private_kib() - before) / n, (double)(count_fds() - open) / n);
	fflush(stdout);
	loop(epoll_fd, bare ? echo : process);
}

/* ---- the client */

struct crowd {
	const char *name;
	bool bare;
	unsigned n;      /* devices */
	unsigned in_use; /* the first of them get requests */
	unsigned burst;
	struct end peer; /* whose processor time counts */
	int *fds;
	double ns[ROUNDS_MAX];
};

static void greet(struct end *e)
{
	static const struct {
		struct header h;
		uint16_t major, minor;
	} version = {{1, CMD_VERSION, sizeof(version), 0, 0}, 0, 0};
	uint8_t reply[512];

	end_send(e, &version, sizeof(version));
	end_recv(e, reply, sizeof(reply));
}

static void start(struct crowd *c, bool tell)
{
	int *theirs = calloc(c->n, sizeof(int));

	c->fds = calloc(c->n, sizeof(int));
	if (!theirs || !c->fds)
		die("out of memory");
	for (unsigned i = 0; i < c->n; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			die("socketpair: %s", strerror(errno));
		c->fds[i] = pair[0];
		theirs[i] = pair[1];
	}
	c->peer.peer = fork();
	if (c->peer.peer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned i = 0; i < c->n; i++)
			close(c->fds[i]);
		serve(theirs, c->n, c->bare, tell);
	}
	for (unsigned i = 0; i < c->n; i++) {
		close(theirs[i]);
		c->peer.fd = c->fds[i];
		if (!c->bare)
			greet(&c->peer);
	}
	free(theirs);
}

static void stop(struct crowd *c)
{
	kill(c->peer.peer, SIGKILL);
	waitpid(c->peer.peer, NULL, 0);
	for (unsigned i = 0; i < c->n; i++)
		close(c->fds[i]);
	free(c->fds);
}

/* Requests to the devices in turn, burst of them before the answers are awaited. */
static void drive_crowd(struct crowd *c, unsigned total)
{
	struct region_part q = {{0, CMD_REGION_READ, sizeof(q), 0, 0}, 0, 0, 4};
	uint8_t reply[sizeof(q) + 4];

	for (unsigned done = 0; done < total; done += c->burst) {
		for (unsigned i = 0; i < c->burst; i++) {
			c->peer.fd = c->fds[(done + i) % c->in_use];
			end_send(&c->peer, &q, sizeof(q));
		}
		for (unsigned i = 0; i < c->burst; i++) {
			c->peer.fd = c->fds[(done + i) % c->in_use];
			end_recv_all(&c->peer, reply, sizeof(reply));
		}
	}
}

static double round_of(struct crowd *c)
{
	uint64_t begin = cpu_ns(&c->peer);

	drive_crowd(c, REQUESTS);
	return (double)(cpu_ns(&c->peer) - begin) / REQUESTS;
}

/* What other work on the machine adds is never less than nothing. */
static double least(const double *values, unsigned n)
{
	double min = values[0];

	for (unsigned i = 1; i < n; i++)
		min = values[i] < min ? values[i] : min;
	return min;
}

static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	struct crowd crowds[] = {
		{"one of one", false, 1, 1, 1},
		{"one of many", false, n, 1, 1},
		{"in turn", false, n, n, 1},
		{"at once", false, n, n, BURST},
		{"64 at once", false, BURST, BURST, BURST},
		{"bare, one of one", true, 1, 1, 1},
		{"bare, one of many", true, n, 1, 1},
		{"bare, in turn", true, n, n, 1},
		{"bare, at once", true, n, n, BURST},
		{"bare, 64 at once", true, BURST, BURST, BURST},
	};
	enum { ROWS = sizeof(crowds) / sizeof(crowds[0]), OURS = ROWS / 2 };

	if (rounds < 1 || rounds > ROUNDS_MAX || n < BURST)
		die("many [ROUNDS [DEVICES]]: 1 to %d rounds, %d devices or more", ROUNDS_MAX,
		    BURST);
	allow_descriptors();
	pin(0, 0);
	for (unsigned i = 0; i < ROWS; i++)
		start(&crowds[i], i == 2);
	for (unsigned round = 0; round <= rounds; round++)
		for (unsigned i = 0; i < ROWS; i++) {
			double ns = round_of(&crowds[i]);

			if (round) /* the first warms up */
				crowds[i].ns[round - 1] = ns;
		}
	printf("%-20s %10s %10s\n", "", "ns", "of one");
	for (unsigned i = 0; i < ROWS; i++) {
		unsigned base = i < OURS ? 0 : OURS;
		double ns = least(crowds[i].ns, rounds);

		printf("%-20s %10.0f %10.2f\n", crowds[i].name, ns,
		       ns / least(crowds[base].ns, rounds));
		fflush(stdout);
	}
	for (unsigned i = 0; i < ROWS; i++)
		stop(&crowds[i]);
	return 0;
}
