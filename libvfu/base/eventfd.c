/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * eventfd.c - signalling an eventfd that somebody else holds too, without ever sleeping.
 *
 * write() to an eventfd sleeps while its counter is full, unless O_NONBLOCK is set. Counter and flag
 * belong to the open file, and that the client has as well: it can fill the one and clear the other
 * at any moment, and whoever then raises an interrupt sleeps for ever. So nobody writes:
 *
 *	       us            the open file           the client
 *	 io_submit ----+    +-------------+    +---- F_SETFL, write
 *	   read 0      |    | O_NONBLOCK  |<---+
 *	   bytes, +----+--->| counter     |<---+
 *	   tell   |         +-------------+
 *	   here --+ completed: the kernel adds 1, as it does for interrupts of hardware
 *
 * An asynchronous request names an eventfd that its completion adds 1 to; that never sleeps, and at
 * the top it adds nothing. The request itself is the cheapest there is: to read no bytes from that
 * very eventfd, which fails at once and is thereby complete when io_submit returns. It is marked
 * RWF_NOWAIT, so that it can not sleep whatever a kernel thinks of such a read.
 *
 * Requests belong to a context, one for the process, made when first needed and never given back
 * (that takes the kernel 25 ms). Its ring keeps what came of each request, and is emptied when full,
 * every 250 signals. A child of fork() has no context: where ours is noted is memory that the kernel
 * clears in a child, which so makes its own.
 *
 * Where there are no contexts (a seccomp filter, emulated processors, the system's limit), or eventfds
 * can not be read so (before Linux 5.8), signalling is a write after all: outside of all locks, after
 * setting the flag and looking at the counter. Who changes both in between stops the thread that
 * raised, and nobody else.
 */
#include "base/eventfd.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "vfu.h"

enum { NO_CONTEXT = 1 }; /* contexts are addresses of pages; 0: not tried yet */
enum { RING = 64, TRIES = 3 };

/* Where the context is noted: a page that reads 0 in a child. */
static _Atomic(atomic_ulong *) noted;
static atomic_ulong nowhere = NO_CONTEXT;

static atomic_ulong *context_note(void)
{
	atomic_ulong *note = atomic_load(&noted), *other = NULL;

	if (note)
		return note;
	note = vfui_os_wiped_page_new();
	if (!note)
		note = &nowhere;
	if (atomic_compare_exchange_strong(&noted, &other, note))
		return note;
	if (note != &nowhere)
		vfui_os_wiped_page_free(note);
	return other;
}

static unsigned long context_of_process(void)
{
	atomic_ulong *note = context_note();
	unsigned long context = atomic_load(note), other = 0;

	if (context)
		return context;
	if (vfui_os_io_setup(RING, &context) < 0)
		context = NO_CONTEXT;
	if (atomic_compare_exchange_strong(note, &other, context))
		return context;
	if (context != NO_CONTEXT)
		vfui_os_io_destroy(context);
	return other;
}

int vfui_eventfd_signal(int fd)
{
	unsigned long context = context_of_process();
	struct io_event events[RING];
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_rw_flags = RWF_NOWAIT,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};

	for (int i = 0; i < TRIES && context != NO_CONTEXT; i++) {
		int rc = vfui_os_io_submit(context, &request);

		if (rc == 1)
			return 0;
		if (rc != -EAGAIN)
			break;
		vfui_os_io_getevents(context, events, RING);
	}
	return -EAGAIN;
}

void vfui_eventfd_signal_slowly(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	const uint64_t one = 1;

	vfui_os_set_nonblock(fd);
	if (vfui_os_poll(&pfd, 1, 0) == 1)
		vfui_os_write(fd, &one, sizeof(one));
}

void vfui_eventfd_drain(int fd)
{
	uint64_t count;

	vfui_os_read_nowait(fd, &count, sizeof(count));
}

/* Before Linux 5.8 the other side must be quick to get in between. */
static int take_slowly(int fd, uint64_t *count)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (vfui_os_poll(&pfd, 1, 0) < 1 || vfui_os_set_nonblock(fd))
		return -EAGAIN;
	n = vfui_os_read(fd, count, sizeof(*count));
	return n < 0 ? (int)n : 0;
}

int vfu_eventfd_take(int fd, uint64_t *count)
{
	ssize_t n = vfui_os_read_nowait(fd, count, sizeof(*count));

	if (n >= 0)
		return 0;
	*count = 0;
	return n == -EOPNOTSUPP || n == -ENOSYS ? take_slowly(fd, count) : (int)n;
}

bool vfui_is_eventfd(int fd)
{
	char path[32], name[32];
	int len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = vfui_os_readlink(path, name, sizeof(name) - 1);
	if (len < 0 || (size_t)len >= sizeof(name))
		return false;
	name[len] = '\0';
	return !strcmp(name, "anon_inode:[eventfd]");
}
