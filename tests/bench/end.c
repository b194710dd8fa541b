/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * end.c - one end of a connection: plain sends and receives.
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t cpu_ns(const struct end *e)
{
	clockid_t clocks[] = {CLOCK_PROCESS_CPUTIME_ID, 0};
	uint64_t sum = 0;

	if (clock_getcpuclockid(e->peer, &clocks[1]))
		die("no processor time of process %d", e->peer);
	for (unsigned i = 0; i < 2; i++) {
		struct timespec ts;

		clock_gettime(clocks[i], &ts);
		sum += (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	}
	return sum;
}

void pin(int pid, int cpu)
{
	char path[64];
	cpu_set_t set;
	struct dirent *d;
	DIR *dir;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	snprintf(path, sizeof(path), "/proc/%d/task", pid ? pid : getpid());
	dir = opendir(path);
	if (!dir)
		die("%s: %s", path, strerror(errno));
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.' && sched_setaffinity(atoi(d->d_name), sizeof(set), &set))
			die("binding %s to CPU %d: %s", d->d_name, cpu, strerror(errno));
	closedir(dir);
}

void end_init(struct end *e, int fd, bool spin)
{
	memset(e, 0, sizeof(*e));
	e->fd = fd;
	e->spin = spin;
	e->room = (1u << 20) + 4096;
	e->in = malloc(e->room);
	e->out = malloc(e->room);
	e->guest_fd = -1;
	if (!e->in || !e->out)
		die("out of memory");
	memset(e->in, 0, e->room);
	memset(e->out, 0, e->room);
}

void end_fini(struct end *e)
{
	close(e->fd);
	free(e->in);
	free(e->out);
	if (e->guest)
		munmap(e->guest, 2 * (size_t)GUEST_HALF);
	if (e->guest_fd >= 0)
		close(e->guest_fd);
}

void guest_open(struct end *e)
{
	e->guest_fd = memfd_create("guest", MFD_CLOEXEC);
	if (e->guest_fd < 0 || ftruncate(e->guest_fd, 2 * (off_t)GUEST_HALF))
		die("guest memory: %s", strerror(errno));
	e->guest = mmap(NULL, 2 * (size_t)GUEST_HALF, PROT_READ | PROT_WRITE, MAP_SHARED,
			e->guest_fd, 0);
	if (e->guest == MAP_FAILED)
		die("guest memory: %s", strerror(errno));
	for (size_t i = 0; i < 2 * (size_t)GUEST_HALF; i++)
		e->guest[i] = (uint8_t)(i * 31 + i / 256);
}

void end_send(struct end *e, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = send(e->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("send: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
}

size_t end_recv(struct end *e, void *data, size_t room)
{
	for (;;) {
		ssize_t n = recv(e->fd, data, room, e->spin ? MSG_DONTWAIT : 0);

		if (n > 0)
			return (size_t)n;
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		die("recv: %s", n ? strerror(errno) : "the peer closed the connection");
	}
}

void end_recv_all(struct end *e, void *data, size_t len)
{
	for (size_t done = 0; done < len;)
		done += end_recv(e, (uint8_t *)data + done, len - done);
}

static void check(const uint8_t *reply, const void *want)
{
	const struct header *w = want;
	struct header h;

	memcpy(&h, reply, sizeof(h));
	if (memcmp(&h, want, sizeof(h)))
		die("wrong message: id %u command %u size %u flags %#x error %u; "
		    "expected id %u command %u size %u flags %#x error %u",
		    h.id, h.command, h.size, h.flags, h.error, w->id, w->command, w->size, w->flags,
		    w->error);
}

void pump(struct end *e, size_t q, size_t r, unsigned depth, unsigned total, const void *want)
{
	unsigned sent = depth < total ? depth : total, got = 0;
	size_t fill = 0;

	end_send(e, e->out, sent * q);
	while (got < total) {
		unsigned ready = 0, more;

		fill += end_recv(e, e->in + fill, e->room - fill);
		for (; (ready + 1) * r <= fill; ready++)
			check(e->in + ready * r, want);
		fill -= ready * r;
		memmove(e->in, e->in + ready * r, fill);
		got += ready;
		more = ready < total - sent ? ready : total - sent;
		if (more)
			end_send(e, e->out, more * q);
		sent += more;
	}
}
