/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-irq.c - interrupts: SET_IRQS over all its kinds, INTx as a level, holding and pending, threads.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/events.h"
#include "device/irq.h"
#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "base/os.h"
#include "base/util.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"
#include "checks.h"
#include "policy.h"

#define NONE VFU_WIRE_IRQ_SET_DATA_NONE
#define BOOL VFU_WIRE_IRQ_SET_DATA_BOOL
#define EVENTFD VFU_WIRE_IRQ_SET_DATA_EVENTFD
#define MASK VFU_WIRE_IRQ_SET_ACTION_MASK
#define UNMASK VFU_WIRE_IRQ_SET_ACTION_UNMASK
#define TRIGGER VFU_WIRE_IRQ_SET_ACTION_TRIGGER

static struct vfui_events events;
static int wake_fd; /* of the server that there is not */
static struct vfui_irqs irqs;
static struct vfui_policy policy;
static struct vfu_err err;

static void setup(void)
{
	policy = (struct vfui_policy){0};
	wake_fd = vfui_os_eventfd();
	vfui_events_init(&events);
	vfui_events_restart(&events, wake_fd);
	ck_assert_int_eq(vfui_irqs_init(&irqs, &events), 0);
	ck_assert_int_eq(vfui_irqs_set_count(&irqs, VFU_IRQ_INTX, 1), 0);
	ck_assert_int_eq(vfui_irqs_set_count(&irqs, VFU_IRQ_MSIX, 16), 0);
}

static void teardown(void)
{
	vfui_irqs_fini(&irqs);
	ck_assert_uint_eq(events.n, 0);
	vfui_events_restart(&events, -1);
	close(wake_fd);
}

/* As a server does: what the generated check refuses does not get so far. */
static int set_full(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
		    const uint8_t *bools, int *fds, unsigned nfds)
{
	static const struct vfui_limits agreed = {.max_msg_fds = 16};
	const struct vfu_wire_set_irqs_request in = {
		.argsz = 20, .flags = flags, .index = index, .start = start, .count = count};
	int rc = vfui_check_set_irqs_request(&in, sizeof(in) + (bools ? count : 0), nfds, &agreed,
					     &policy, NULL, NULL);

	if (rc)
		return rc;
	return vfui_irqs_set(&irqs, &in, bools, fds, nfds, &policy, &err);
}

static int set(uint32_t flags, uint32_t index, uint32_t start, uint32_t count)
{
	return set_full(flags, index, start, count, NULL, NULL, 0);
}

/* Arms one vector; returns a copy of its eventfd to look at. */
static int arm(uint32_t index, uint32_t vector)
{
	int fd = passed_eventfd(EFD_NONBLOCK), mine = dup(fd);

	ck_assert_int_eq(set_full(EVENTFD | TRIGGER, index, vector, 1, NULL, &fd, 1), 0);
	ck_assert_int_eq(fd, -1);
	return mine;
}

/* How often an eventfd was signalled since. */
static uint64_t fired(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

START_TEST(tells_flags_and_counts)
{
	static const struct {
		uint32_t flags, count;
	} expected[VFU_IRQS] = {{7, 1}, {1, 0}, {1, 16}, {1, 1}, {1, 1}};
	uint32_t flags, count;

	for (unsigned i = 0; i < VFU_IRQS; i++) {
		ck_assert_int_eq(vfui_irqs_info(&irqs, i, &flags, &count), 0);
		ck_assert_uint_eq(flags, expected[i].flags);
		ck_assert_uint_eq(count, expected[i].count);
	}
	ck_assert_int_eq(vfui_irqs_info(&irqs, VFU_IRQS, &flags, &count), -EINVAL);
}
END_TEST

START_TEST(a_message_interrupt_signals_its_eventfd)
{
	int fd = arm(VFU_IRQ_MSIX, 3);

	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 3), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 3), 0);
	ck_assert_uint_eq(fired(fd), 2);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 4), -ENOENT);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 16), -EINVAL);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSI, 0), -EINVAL);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQS, 0), -EINVAL);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 0);
	close(fd);
}
END_TEST

START_TEST(err_and_req_can_be_armed)
{
	for (unsigned i = VFU_IRQ_ERR; i <= VFU_IRQ_REQ; i++) {
		int fd = arm(i, 0);

		ck_assert_int_eq(vfui_irqs_raise(&irqs, i, 0), 0);
		ck_assert_uint_eq(fired(fd), 1);
		close(fd);
	}
}
END_TEST

START_TEST(only_eventfds_are_taken)
{
	int pipes[2], fds[2], epoll = epoll_create1(0), file = open("/dev/null", O_WRONLY);
	int others[3];

	ck_assert_int_eq(pipe(pipes), 0);
	others[0] = pipes[1];
	others[1] = epoll;
	others[2] = file;
	fds[0] = passed_eventfd(0);
	for (unsigned i = 0; i < 3; i++) {
		fds[1] = others[i];
		ck_assert_int_eq(set_full(EVENTFD | TRIGGER, VFU_IRQ_MSIX, 0, 2, NULL, fds, 2),
				 -EINVAL);
		ck_assert_str_eq(err.field, "set_irqs.fds");
		ck_assert_int_ge(fds[0], 0);
		ck_assert_int_ge(fds[1], 0);
	}
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 0), -ENOENT);
	fds[1] = 12345;
	ck_assert_int_eq(set_full(EVENTFD | TRIGGER, VFU_IRQ_MSIX, 0, 2, NULL, fds, 2), -EINVAL);
	close(fds[0]);
	close(pipes[0]);
	close(pipes[1]);
	close(epoll);
	close(file);
}
END_TEST

/* What a client does that wants to stop a device: the flag and the counter are its own as well. */
static void fill(int fd)
{
	const uint64_t full = UINT64_MAX - 1;

	ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
}

START_TEST(a_full_eventfd_blocks_nobody)
{
	int fd = arm(VFU_IRQ_MSIX, 0);

	fill(fd);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 0), 0);
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_MSIX, 0, 1), 0);
	ck_assert_uint_ge(fired(fd), UINT64_MAX - 1);
	close(fd);
}
END_TEST

START_TEST(flags_of_an_eventfd_are_left_alone)
{
	int fd, mine;

	if (lacks(LACKS_AIO, __func__))
		return;
	fd = passed_eventfd(0);
	mine = dup(fd);
	ck_assert_int_eq(set_full(EVENTFD | TRIGGER, VFU_IRQ_MSIX, 0, 1, NULL, &fd, 1), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 0), 0);
	ck_assert_int_eq(fcntl(mine, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_uint_eq(fired(mine), 1);
	close(mine);
}
END_TEST

/* Next time the kernel refuses what never sleeps. */
static void refuse(void)
{
	fault_fail(FAULT_AIO, 1, ENOSYS);
}

START_TEST(signals_without_help_of_the_kernel)
{
	int fd = arm(VFU_IRQ_MSIX, 0), line = arm(VFU_IRQ_INTX, 0);

	refuse();
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 0), 0);
	refuse();
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_MSIX, 0, 1), 0);
	ck_assert_uint_eq(fired(fd), 2);
	fill(fd);
	refuse();
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 0), 0);
	ck_assert_uint_eq(fired(fd), UINT64_MAX - 1);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 0);
	refuse();
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	refuse();
	ck_assert_int_eq(set(NONE | UNMASK, VFU_IRQ_INTX, 0, 1), 0);
	ck_assert_uint_eq(fired(line), 2);
	close(fd);
	close(line);
}
END_TEST

START_TEST(what_can_not_be_signalled_stays_pending)
{
	int fd = arm(VFU_IRQ_MSIX, 0);

	refuse();
	fault_fail(FAULT_FD, 1, EMFILE);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 0), -EMFILE);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 1);
	refuse();
	fault_fail(FAULT_FD, 1, EMFILE);
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_MSIX, 0, 1), -EMFILE);
	ck_assert_int_eq(set(NONE | UNMASK, VFU_IRQ_MSIX, 0, 1), 0);
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

START_TEST(disarming_goes_from_start_by_count)
{
	int fds[4];

	for (unsigned i = 0; i < 4; i++)
		fds[i] = arm(VFU_IRQ_MSIX, i);
	ck_assert_int_eq(set(EVENTFD | TRIGGER, VFU_IRQ_MSIX, 2, 1), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, i), i == 2 ? -ENOENT : 0);
		ck_assert_uint_eq(fired(fds[i]), i != 2);
	}
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_MSIX, 0, 0), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, i), -ENOENT);
		close(fds[i]);
	}
}
END_TEST

START_TEST(arming_many_at_once)
{
	int fds[4], mine[4];

	for (unsigned i = 0; i < 4; i++) {
		fds[i] = passed_eventfd(EFD_NONBLOCK);
		mine[i] = dup(fds[i]);
	}
	ck_assert_int_eq(set_full(EVENTFD | TRIGGER, VFU_IRQ_MSIX, 12, 4, NULL, fds, 4), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(fds[i], -1);
		ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 12 + i), 0);
		ck_assert_uint_eq(fired(mine[i]), 1);
		close(mine[i]);
	}
}
END_TEST

START_TEST(ranges_are_checked_without_overflow)
{
	int fd = passed_eventfd(0);

	ck_assert_int_eq(set_full(EVENTFD | TRIGGER, VFU_IRQ_MSIX, 16, 1, NULL, &fd, 1), -EINVAL);
	ck_assert_int_eq(set_full(EVENTFD | TRIGGER, VFU_IRQ_MSIX, UINT32_MAX, 1, NULL, &fd, 1),
			 -EINVAL);
	ck_assert_int_eq(set_full(EVENTFD | TRIGGER, VFU_IRQ_MSIX, 1, UINT32_MAX, NULL, &fd, 1),
			 -EINVAL);
	ck_assert_int_eq(set_full(EVENTFD | TRIGGER, VFU_IRQ_MSIX, 0, 2, NULL, &fd, 1), -EINVAL);
	/* Nobody asked for it: it stays the message's, and is closed with that. */
	ck_assert_int_eq(set_full(NONE | TRIGGER, VFU_IRQ_MSIX, 0, 1, NULL, &fd, 1), 0);
	ck_assert_int_eq(set(EVENTFD | TRIGGER, VFU_IRQS, 0, 1), -EINVAL);
	ck_assert_str_eq(err.field, "set_irqs.index");
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

START_TEST(flags_are_one_kind_and_one_action)
{
	for (uint32_t flags = 0; flags < 128; flags++) {
		uint32_t data = flags & 7, action = flags & 0x78;
		bool one_data = data == NONE || data == BOOL || data == EVENTFD;
		bool one_action = action == MASK || action == UNMASK || action == TRIGGER;
		int rc = set_full(flags, VFU_IRQ_INTX, 0, 1,
				  flags & BOOL ? (const uint8_t[]){0} : NULL, NULL, 0);

		if (!one_data || !one_action)
			ck_assert_int_eq(rc, -EINVAL);
		else
			ck_assert_int_eq(rc, 0);
	}
}
END_TEST

/* What the spec lets through and we do not know keeps nothing from being done. */
START_TEST(other_flags_change_nothing)
{
	const struct vfu_wire_set_irqs_request in = {
		.argsz = 20, .flags = NONE | TRIGGER | 1u << 20, .index = VFU_IRQ_MSIX, .count = 1};
	int fd = arm(VFU_IRQ_MSIX, 0);

	ck_assert_int_eq(vfui_irqs_set(&irqs, &in, NULL, NULL, 0, &policy, &err), 0);
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

START_TEST(e36_only_intx_can_be_masked_but_all_unmasked)
{
	for (unsigned i = 0; i < VFU_IRQS; i++) {
		bool has = i != VFU_IRQ_MSI;

		ck_assert_int_eq(set(NONE | MASK, i, 0, has), i == VFU_IRQ_INTX ? 0 : -EINVAL);
		ck_assert_int_eq(set(NONE | UNMASK, i, 0, has), 0);
	}
}
END_TEST

START_TEST(e35_an_empty_index_follows_the_policy)
{
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_MSI, 0, 0), 0);
	policy.empty_irq_index = VFUI_EMPTY_IRQ_INDEX_REJECT;
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_MSI, 0, 0), -EINVAL);
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_MSIX, 0, 0), 0);
}
END_TEST

/* ---- the matrix: what each kind of data does with each action ---- */

/* Has done what the client's signals ask for, as the server does in each round. */
static unsigned look(void)
{
	uint64_t keys[VFUI_EVENTS_TAKEN];
	unsigned n = vfui_events_take(&events, keys);

	for (unsigned i = 0; i < n; i++)
		vfui_irqs_signalled(&irqs, keys[i]);
	return n;
}

/* Gives INTx an eventfd for an action; returns a copy to signal. */
static int lead(uint32_t action, int flags)
{
	int fd = passed_eventfd(flags), mine = dup(fd);

	ck_assert_int_eq(set_full(EVENTFD | action, VFU_IRQ_INTX, 0, 1, NULL, &fd, 1), 0);
	ck_assert_int_eq(fd, -1);
	return mine;
}

static void signal_it(int fd)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

/* One cell: the line is up and fired when it is begun with; how often it fired since, in steps. */
static const struct cell {
	uint32_t data, action;
	const uint8_t *bools;
	int needs_signal;       /* what is asked for is done when the client signals */
	unsigned masked, after; /* fired: while masked by hand before; when then unmasked */
} cells[] = {
	/* data, action, bools, signal; from masked: fires now; then a plain UNMASK fires */
	{NONE, MASK, NULL, 0, 0, 1},
	{BOOL, MASK, (const uint8_t[]){1}, 0, 0, 1},
	{BOOL, MASK, (const uint8_t[]){0}, 0, 0, 1},
	{EVENTFD, MASK, NULL, 1, 0, 1},
	{NONE, UNMASK, NULL, 0, 1, 1},
	{BOOL, UNMASK, (const uint8_t[]){1}, 0, 1, 1},
	{BOOL, UNMASK, (const uint8_t[]){0}, 0, 0, 1},
	{EVENTFD, UNMASK, NULL, 1, 1, 1},
	/* A masked vector fires for nobody, the client's own test included. */
	{NONE, TRIGGER, NULL, 0, 0, 1},
	{BOOL, TRIGGER, (const uint8_t[]){1}, 0, 0, 1},
};

/* E36: what is advertised, MASKABLE and AUTOMASKED, is done, whatever comes along with it. */
START_TEST(e36_each_kind_of_data_with_each_action)
{
	const struct cell *cell = &cells[_i];
	int fd = arm(VFU_IRQ_INTX, 0), mine = -1;

	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_uint_eq(fired(fd), 1); /* and is masked by that */
	if (cell->needs_signal)
		mine = lead(cell->action, 0);
	else
		ck_assert_int_eq(set_full(cell->data | cell->action, VFU_IRQ_INTX, 0, 1,
					  cell->bools, NULL, 0),
				 0);
	if (cell->needs_signal) {
		ck_assert_uint_eq(look(), 0);
		ck_assert_uint_eq(fired(fd), 0);
		signal_it(mine);
		ck_assert_uint_eq(look(), 1);
		ck_assert_uint_eq(look(), 0);
	}
	ck_assert_uint_eq(fired(fd), cell->masked);
	ck_assert_int_eq(set(NONE | UNMASK, VFU_IRQ_INTX, 0, 1), 0);
	ck_assert_uint_eq(fired(fd), cell->after);
	if (mine >= 0)
		close(mine);
	close(fd);
}
END_TEST

/* From unmasked: a line that goes up after MASK does not fire, after all others it does. */
START_TEST(e36_each_kind_of_data_with_each_action_from_unmasked)
{
	const struct cell *cell = &cells[_i];
	bool masks = cell->action == MASK && !(cell->bools && !cell->bools[0]);
	unsigned test = cell->action == TRIGGER;
	int fd = arm(VFU_IRQ_INTX, 0), mine = -1;

	if (cell->needs_signal) {
		mine = lead(cell->action, 0);
		signal_it(mine);
		ck_assert_uint_eq(look(), 1);
	} else {
		ck_assert_int_eq(set_full(cell->data | cell->action, VFU_IRQ_INTX, 0, 1,
					  cell->bools, NULL, 0),
				 0);
	}
	ck_assert_uint_eq(fired(fd), test);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_uint_eq(fired(fd), !masks);
	if (mine >= 0)
		close(mine);
	close(fd);
}
END_TEST

/* KVM's resampling: each end of an interrupt is told by a signal, and finds the line up or down. */
START_TEST(resampling)
{
	int fd = arm(VFU_IRQ_INTX, 0), mine = lead(UNMASK, 0);

	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_uint_eq(fired(fd), 1);
	for (unsigned i = 0; i < 3; i++) {
		signal_it(mine);
		ck_assert_uint_eq(look(), 1);
		ck_assert_uint_eq(fired(fd), 1);
	}
	ck_assert_int_eq(vfui_irqs_lower(&irqs), 0);
	signal_it(mine);
	ck_assert_uint_eq(look(), 1);
	ck_assert_uint_eq(fired(fd), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_uint_eq(fired(fd), 1);
	close(mine);
	close(fd);
}
END_TEST

/* As the kernel does: what came before it was given counts. */
START_TEST(a_signal_that_came_before_counts)
{
	int fd = arm(VFU_IRQ_INTX, 0), one = passed_eventfd(0), mine = dup(one);

	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	signal_it(one);
	ck_assert_int_eq(set_full(EVENTFD | UNMASK, VFU_IRQ_INTX, 0, 1, NULL, &one, 1), 0);
	ck_assert_uint_eq(look(), 1);
	ck_assert_uint_eq(fired(fd), 2);
	close(mine);
	close(fd);
}
END_TEST

static void take_one(uint32_t action)
{
	ck_assert_int_eq(set(EVENTFD | action, VFU_IRQ_INTX, 0, 1), 0);
}

static void take_all(uint32_t action)
{
	(void)action;
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_INTX, 0, 0), 0);
}

static void leave(uint32_t action)
{
	(void)action;
	vfui_irqs_disconnect(&irqs);
}

static void shrink(uint32_t action)
{
	(void)action;
	ck_assert_int_eq(vfui_irqs_set_count(&irqs, VFU_IRQ_INTX, 0), 0);
}

static void replace(uint32_t action)
{
	close(lead(action, 0));
}

/* vfio.h: no descriptors (the kernel's -1) take the present one away; what else ends it does too. */
START_TEST(e33_what_was_taken_away_is_not_heard)
{
	static void (*const ends[])(uint32_t action) = {take_one, take_all, leave, shrink, replace};

	for (unsigned i = 0; i < 2; i++) {
		uint32_t action = i ? UNMASK : MASK;
		int mine = lead(action, 0);

		ck_assert_uint_eq(events.n, 1);
		signal_it(mine);
		ends[_i](action);
		ck_assert_uint_eq(events.n, ends[_i] == replace);
		ck_assert_uint_eq(look(), 0);
		signal_it(mine);
		ck_assert_uint_eq(look(), 0);
		close(mine);
		teardown();
		setup();
	}
}
END_TEST

START_TEST(taking_one_away_leaves_the_others)
{
	int fd = arm(VFU_IRQ_INTX, 0), mask = lead(MASK, 0), unmask = lead(UNMASK, 0);

	take_one(MASK);
	ck_assert_uint_eq(vfui_irqs_eventfds(&irqs, NULL), 2);
	signal_it(mask);
	signal_it(unmask);
	ck_assert_uint_eq(look(), 1);
	take_one(TRIGGER);
	ck_assert_uint_eq(vfui_irqs_eventfds(&irqs, NULL), 1);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), -ENOENT);
	close(mask);
	close(unmask);
	close(fd);
}
END_TEST

/* One that masks and one that unmasks in the same look, of which the first takes the second away. */
START_TEST(what_an_event_takes_away_in_the_same_look_is_nothing)
{
	int mine = lead(UNMASK, 0);
	uint64_t keys[VFUI_EVENTS_TAKEN];

	signal_it(mine);
	ck_assert_uint_eq(vfui_events_take(&events, keys), 1);
	take_one(UNMASK);
	vfui_irqs_signalled(&irqs, keys[0]);
	ck_assert_int_eq(vfui_irqs_set_count(&irqs, VFU_IRQ_INTX, 0), 0);
	vfui_irqs_signalled(&irqs, keys[0]);
	close(mine);
}
END_TEST

/*
 * A semaphore; one that blocks whoever reads; one whose counter is emptied before we look, or full. Each signal is
 * heard once, none makes us sleep, and who writes finds room again.
 */
START_TEST(hostile_eventfds_are_heard_once)
{
	const uint64_t most = UINT64_MAX - 1;
	int fd, mine;

	if (_i && lacks(LACKS_COUNTS, __func__))
		return;
	fd = arm(VFU_IRQ_INTX, 0);
	mine = lead(UNMASK, _i ? EFD_SEMAPHORE : 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_int_eq(fcntl(mine, F_SETFL, O_RDWR), 0);
	signal_it(mine);
	signal_it(mine);
	ck_assert_uint_eq(look(), 1);
	ck_assert_uint_eq(look(), 0);
	ck_assert_uint_eq(fired(fd), 2);
	ck_assert_int_eq(fcntl(mine, F_SETFL, O_RDWR | O_NONBLOCK), 0);
	while (fired(mine))
		;
	signal_it(mine);
	ck_assert_uint_eq(fired(mine), 1); /* stolen back: nothing came */
	ck_assert_uint_eq(look(), 0);
	ck_assert_int_eq(write(mine, &most, sizeof(most)), sizeof(most));
	ck_assert_uint_eq(look(), 1);
	if (!_i && !lacks(LACKS_AIO, __func__))
		ck_assert_int_eq(write(mine, &most, sizeof(most)), sizeof(most));
	close(mine);
	close(fd);
}
END_TEST

START_TEST(what_can_not_be_masked_has_no_eventfd_for_it)
{
	int fd = passed_eventfd(0);

	for (unsigned i = VFU_IRQ_MSIX; i < VFU_IRQS; i++) {
		ck_assert_int_eq(set_full(EVENTFD | MASK, i, 0, 1, NULL, &fd, 1), -EINVAL);
		ck_assert_str_eq(err.field, "set_irqs.flags");
		ck_assert_int_eq(set_full(EVENTFD | UNMASK, i, 0, 1, NULL, &fd, 1), -EINVAL);
		ck_assert_int_ge(fd, 0);
	}
	close(fd);
}
END_TEST

START_TEST(what_can_not_be_watched_stays_the_clients)
{
	int fds[2], before = lead(UNMASK, 0), fd = passed_eventfd(0);

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(set_full(EVENTFD | UNMASK, VFU_IRQ_INTX, 0, 1, NULL, fds, 1), -EINVAL);
	ck_assert_int_ge(fds[0], 0);
	close(fds[0]);
	close(fds[1]);
	take_one(UNMASK);
	vfui_events_restart(&events, wake_fd);
	fault_fail(FAULT_FD, 1, EMFILE);
	ck_assert_int_eq(set_full(EVENTFD | UNMASK, VFU_IRQ_INTX, 0, 1, NULL, &fd, 1), -EMFILE);
	ck_assert_int_ge(fd, 0);
	vfui_events_restart(&events, -1); /* nobody would look */
	ck_assert_int_eq(set_full(EVENTFD | UNMASK, VFU_IRQ_INTX, 0, 1, NULL, &fd, 1), -ENOTSUP);
	ck_assert_int_ge(fd, 0);
	close(fd);
	close(before);
}
END_TEST

START_TEST(one_descriptor_stands_for_the_wake_up_too)
{
	int mine = lead(UNMASK, 0);
	struct pollfd pfd = {.fd = events.epoll_fd, .events = POLLIN};

	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	signal_it(wake_fd);
	ck_assert_int_eq(poll(&pfd, 1, 0), 1);
	ck_assert_uint_eq(look(), 0);
	ck_assert_uint_eq(fired(wake_fd), 1);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	signal_it(mine);
	ck_assert_int_eq(poll(&pfd, 1, 0), 1);
	ck_assert_uint_eq(look(), 1);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	close(mine);
}
END_TEST

START_TEST(loopback_triggers)
{
	static const uint8_t bools[] = {1, 0, 255};
	int fds[3];

	for (unsigned i = 0; i < 3; i++)
		fds[i] = arm(VFU_IRQ_MSIX, i + 1);
	ck_assert_int_eq(set_full(BOOL | TRIGGER, VFU_IRQ_MSIX, 1, 3, bools, NULL, 0), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(fired(fds[i]), bools[i] != 0);
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_MSIX, 0, 16), 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(fired(fds[i]), 1);
		close(fds[i]);
	}
	ck_assert_int_eq(set_full(BOOL | TRIGGER, VFU_IRQ_MSIX, 1, 3, NULL, NULL, 0), -EINVAL);
}
END_TEST

START_TEST(intx_is_a_level)
{
	int fd = arm(VFU_IRQ_INTX, 0);

	ck_assert(!vfui_irqs_line(&irqs));
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert(vfui_irqs_line(&irqs));
	/* Masked by itself: no storm. */
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_uint_eq(fired(fd), 1);
	/* Still up: again. */
	ck_assert_int_eq(set(NONE | UNMASK, VFU_IRQ_INTX, 0, 1), 0);
	ck_assert_uint_eq(fired(fd), 1);
	ck_assert_int_eq(vfui_irqs_lower(&irqs), 0);
	ck_assert(!vfui_irqs_line(&irqs));
	ck_assert_int_eq(set_full(BOOL | UNMASK, VFU_IRQ_INTX, 0, 1, (const uint8_t[]){1}, NULL, 0),
			 0);
	ck_assert_uint_eq(fired(fd), 0);
	/* The client's own mask. */
	ck_assert_int_eq(set(NONE | MASK, VFU_IRQ_INTX, 0, 1), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_uint_eq(fired(fd), 0);
	ck_assert_int_eq(set(NONE | UNMASK, VFU_IRQ_INTX, 0, 1), 0);
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

START_TEST(a_line_that_was_up_fires_when_armed)
{
	int fd;

	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), -ENOENT);
	ck_assert(vfui_irqs_line(&irqs));
	fd = arm(VFU_IRQ_INTX, 0);
	ck_assert_uint_eq(fired(fd), 1);
	/* Turned off and on, as a driver that reloads: masks are gone, the line is not. */
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_INTX, 0, 0), 0);
	close(fd);
	fd = arm(VFU_IRQ_INTX, 0);
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

START_TEST(a_held_line_waits)
{
	int fd = arm(VFU_IRQ_INTX, 0);

	vfui_irqs_hold(&irqs, VFU_IRQ_INTX, true);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_uint_eq(fired(fd), 0);
	vfui_irqs_hold(&irqs, VFU_IRQ_INTX, false);
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

START_TEST(held_messages_are_pending_then_come_once)
{
	int fd = arm(VFU_IRQ_MSIX, 9), late;

	vfui_irqs_hold(&irqs, VFU_IRQ_MSIX, true);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 9), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 9), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 15), 0);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 0);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 1), 0x82);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 2), 0);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, UINT32_MAX), 0);
	ck_assert_uint_eq(fired(fd), 0);
	vfui_irqs_hold(&irqs, VFU_IRQ_MSIX, false);
	ck_assert_uint_eq(fired(fd), 1);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 1), 0x80);
	late = arm(VFU_IRQ_MSIX, 15);
	ck_assert_uint_eq(fired(late), 1);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 1), 0);
	close(fd);
	close(late);
}
END_TEST

/* vfu_irq_raise has said that it is pending: that nobody listens when it is unmasked, and raised again, does not lose it. */
START_TEST(what_is_pending_waits_for_an_eventfd)
{
	int fd;

	vfui_irqs_mask(&irqs, VFU_IRQ_MSIX, 3, true);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 3), 0);
	vfui_irqs_mask(&irqs, VFU_IRQ_MSIX, 3, false);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 8);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 3), -ENOENT);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 8);
	fd = arm(VFU_IRQ_MSIX, 3);
	ck_assert_uint_eq(fired(fd), 1);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 0);
	close(fd);
}
END_TEST

START_TEST(turning_off_forgets_messages_reset_the_line)
{
	vfui_irqs_hold(&irqs, VFU_IRQ_MSIX, true);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 0), 0);
	vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0);
	ck_assert_int_eq(set(NONE | TRIGGER, VFU_IRQ_MSIX, 0, 0), 0);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 0);
	ck_assert(vfui_irqs_line(&irqs));
	vfui_irqs_reset(&irqs);
	ck_assert(!vfui_irqs_line(&irqs));
}
END_TEST

START_TEST(a_disconnect_disarms_and_unmasks)
{
	int fd = arm(VFU_IRQ_INTX, 0);

	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_uint_eq(fired(fd), 1);
	vfui_irqs_disconnect(&irqs);
	close(fd);
	ck_assert(vfui_irqs_line(&irqs));
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_INTX, 0), -ENOENT);
	vfui_irqs_connect(&irqs);
	fd = arm(VFU_IRQ_INTX, 0);
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

/* E47: as of a device that VFIO closes. Held or masked makes no difference: there is nobody to let them go. */
START_TEST(messages_without_a_client_are_lost)
{
	static const unsigned indices[] = {VFU_IRQ_MSIX, VFU_IRQ_ERR, VFU_IRQ_REQ};

	vfui_irqs_hold(&irqs, VFU_IRQ_MSIX, VFUI_HELD_NO_MASTER);
	vfui_irqs_mask(&irqs, VFU_IRQ_MSIX, 0, true);
	ck_assert_int_ge(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 0), 0);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 1);
	vfui_irqs_disconnect(&irqs);
	ck_assert_uint_eq(vfui_irqs_pending(&irqs, VFU_IRQ_MSIX, 0), 0);
	for (unsigned i = 0; i < VFUI_ARRAY_SIZE(indices); i++)
		ck_assert_int_eq(vfui_irqs_raise(&irqs, indices[i], 0), -ENOENT);
	vfui_irqs_connect(&irqs);
	vfui_irqs_mask(&irqs, VFU_IRQ_MSIX, 0, false);
	vfui_irqs_hold(&irqs, VFU_IRQ_MSIX, 0);
	for (unsigned i = 0; i < VFUI_ARRAY_SIZE(indices); i++) {
		int fd = arm(indices[i], 0);

		ck_assert_uint_eq(fired(fd), 0);
		ck_assert_int_eq(vfui_irqs_raise(&irqs, indices[i], 0), 0);
		ck_assert_uint_eq(fired(fd), 1);
		close(fd);
	}
}
END_TEST

START_TEST(counts_may_change)
{
	int low = arm(VFU_IRQ_MSIX, 0), high = arm(VFU_IRQ_MSIX, 15);

	ck_assert_int_eq(vfui_irqs_set_count(&irqs, VFU_IRQ_MSIX, 8), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 0), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 15), -EINVAL);
	ck_assert_int_eq(vfui_irqs_set_count(&irqs, VFU_IRQ_MSIX, 2048), 0);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 15), -ENOENT);
	ck_assert_uint_eq(fired(low), 1);
	ck_assert_int_eq(vfui_irqs_set_count(&irqs, VFU_IRQ_INTX, 0), 0);
	ck_assert_int_eq(vfui_irqs_lower(&irqs), -EINVAL);
	ck_assert(!vfui_irqs_line(&irqs));
	close(low);
	close(high);
}
END_TEST

static void *raise_many(void *arg)
{
	unsigned vector = *(unsigned *)arg;

	for (unsigned i = 0; i < 5000; i++)
		vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, vector);
	return NULL;
}

START_TEST(raising_races_with_arming)
{
	unsigned vectors[4] = {0, 1, 1, 2};
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, raise_many, &vectors[i]), 0);
	for (unsigned i = 0; i < 500; i++) {
		close(arm(VFU_IRQ_MSIX, i % 3));
		vfui_irqs_set_count(&irqs, VFU_IRQ_MSIX, 3 + i % 7);
		if (i % 5 == 0)
			set(NONE | TRIGGER, VFU_IRQ_MSIX, 0, 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

static int init_another(void)
{
	struct vfui_irqs another;
	int rc = vfui_irqs_init(&another, &events);

	if (!rc)
		vfui_irqs_fini(&another);
	return rc;
}

static int more_vectors(void)
{
	return vfui_irqs_set_count(&irqs, VFU_IRQ_MSIX, 32);
}

START_TEST(out_of_memory)
{
	int fd = arm(VFU_IRQ_MSIX, 15);

	fault_each_alloc(init_another);
	fault_each_alloc(more_vectors);
	ck_assert_int_eq(vfui_irqs_raise(&irqs, VFU_IRQ_MSIX, 15), 0);
	ck_assert_uint_eq(fired(fd), 1);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("irq");
	TCase *tcase = tcase_create("irq");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, tells_flags_and_counts);
	tcase_add_test(tcase, a_message_interrupt_signals_its_eventfd);
	tcase_add_test(tcase, err_and_req_can_be_armed);
	tcase_add_test(tcase, only_eventfds_are_taken);
	tcase_add_test(tcase, a_full_eventfd_blocks_nobody);
	tcase_add_test(tcase, flags_of_an_eventfd_are_left_alone);
	tcase_add_test(tcase, signals_without_help_of_the_kernel);
	tcase_add_test(tcase, what_can_not_be_signalled_stays_pending);
	tcase_add_test(tcase, disarming_goes_from_start_by_count);
	tcase_add_test(tcase, arming_many_at_once);
	tcase_add_test(tcase, ranges_are_checked_without_overflow);
	tcase_add_test(tcase, flags_are_one_kind_and_one_action);
	tcase_add_test(tcase, other_flags_change_nothing);
	tcase_add_test(tcase, e36_only_intx_can_be_masked_but_all_unmasked);
	tcase_add_test(tcase, e35_an_empty_index_follows_the_policy);
	tcase_add_loop_test(tcase, e36_each_kind_of_data_with_each_action, 0,
			    sizeof(cells) / sizeof(cells[0]));
	tcase_add_loop_test(tcase, e36_each_kind_of_data_with_each_action_from_unmasked, 0,
			    sizeof(cells) / sizeof(cells[0]));
	tcase_add_test(tcase, resampling);
	tcase_add_test(tcase, a_signal_that_came_before_counts);
	tcase_add_loop_test(tcase, e33_what_was_taken_away_is_not_heard, 0, 5);
	tcase_add_test(tcase, taking_one_away_leaves_the_others);
	tcase_add_test(tcase, what_an_event_takes_away_in_the_same_look_is_nothing);
	tcase_add_loop_test(tcase, hostile_eventfds_are_heard_once, 0, 2);
	tcase_add_test(tcase, what_can_not_be_masked_has_no_eventfd_for_it);
	tcase_add_test(tcase, what_can_not_be_watched_stays_the_clients);
	tcase_add_test(tcase, one_descriptor_stands_for_the_wake_up_too);
	tcase_add_test(tcase, loopback_triggers);
	tcase_add_test(tcase, intx_is_a_level);
	tcase_add_test(tcase, a_line_that_was_up_fires_when_armed);
	tcase_add_test(tcase, a_held_line_waits);
	tcase_add_test(tcase, held_messages_are_pending_then_come_once);
	tcase_add_test(tcase, what_is_pending_waits_for_an_eventfd);
	tcase_add_test(tcase, turning_off_forgets_messages_reset_the_line);
	tcase_add_test(tcase, a_disconnect_disarms_and_unmasks);
	tcase_add_test(tcase, messages_without_a_client_are_lost);
	tcase_add_test(tcase, counts_may_change);
	tcase_add_test(tcase, raising_races_with_arming);
	tcase_add_test(tcase, out_of_memory);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
