/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * eventfd.h - signalling an eventfd that somebody else holds too, without ever sleeping.
 */
#ifndef VFUI_EVENTFD_H
#define VFUI_EVENTFD_H

#include <stdbool.h>

/*
 * Adds 1 to the counter, before it returns, and never sleeps: may be called with a lock held. A full
 * counter is a signal that was not consumed yet. -EAGAIN: the kernel has no way to promise that, and
 * nothing happened. Any thread.
 */
int vfui_eventfd_signal(int fd);

/*
 * The same where vfui_eventfd_signal can not. It sleeps if the other side wants it to: not with a
 * lock held, and fd is one that nobody closes meanwhile. Any thread.
 */
void vfui_eventfd_signal_slowly(int fd);

/* Whether it is one: writing to anything else could block, or be a way into a file of ours. */
bool vfui_is_eventfd(int fd);

/* vfu_eventfd_take of vfu.h takes the count. */

/* Empties the counter where that can be done without sleeping. Any thread. */
void vfui_eventfd_drain(int fd);

#endif
