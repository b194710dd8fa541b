/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-irqs.c - waiting for interrupts in C, with eventfds of the client's making and of the caller's.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"

enum { VECTORS = 6 };

static struct script far;
static struct vfu_client *cl;
static int fds[VECTORS];
static unsigned hooks, hook_says;

static void setup(void)
{
	memset(&far, 0, sizeof(far));
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 0), 0);
	for (unsigned i = 0; i < VECTORS; i++)
		fds[i] = -1;
	hooks = hook_says = 0;
}

static void teardown(void)
{
	vfu_client_free(cl);
}

static void finish(void)
{
	vfu_client_disconnect(cl);
	script_join(&far);
	for (unsigned i = 0; i < VECTORS; i++)
		close(fds[i]);
}

/* Takes eventfds for the vectors from 1 on, 4 in a message, and raises the last of each message twice. */
static void takes_eventfds(struct script *s)
{
	script_version(s);
	for (unsigned done = 0; done < VECTORS; done += s->nfds) {
		script_get(s, VFU_WIRE_CMD_SET_IRQS);
		ck_assert_uint_eq(script_u32(s, 8), VFU_IRQ_REQ);
		ck_assert_uint_eq(script_u32(s, 12), 1 + done);
		ck_assert_uint_eq(s->nfds, done ? 2 : 4);
		for (unsigned i = 0; i < 2; i++)
			ck_assert_int_eq(eventfd_write(s->fds[s->nfds - 1], 1), 0);
		script_reply(s, NULL, 0);
	}
	script_end(s);
}

START_TEST(eventfds_made_and_taken)
{
	uint64_t count = 7;

	if (lacks(LACKS_NOWAIT, __func__) || lacks(LACKS_COUNTS, __func__))
		return;
	fds[3] = passed_eventfd(0); /* the caller's, and one that sleeps */
	script_connect(&far, cl, takes_eventfds);
	ck_assert_int_eq(vfu_client_irq_enable(cl, VFU_IRQ_REQ, 1, VECTORS, fds), 0);
	for (unsigned i = 0; i < VECTORS; i++) {
		bool is_raised = i == 3 || i == 5;

		ck_assert_int_ge(fds[i], 0);
		ck_assert_int_eq(vfu_client_irq_wait(cl, fds[i], 0, &count), is_raised);
		ck_assert_uint_eq(count, is_raised ? 2 : 0);
		ck_assert_int_eq(vfu_eventfd_take(fds[i], &count), -EAGAIN);
	}
	ck_assert_int_eq(eventfd_write(fds[0], 3), 0);
	ck_assert_int_eq(vfu_eventfd_take(fds[0], &count), 0);
	ck_assert_uint_eq(count, 3);
	ck_assert_int_eq(vfu_client_irq_wait(cl, fds[0], 20, &count), 0);
	ck_assert_int_eq(vfu_client_irq_wait(cl, -1, 20, &count), -EBADF);
	finish();
}
END_TEST

static void refuses(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_SET_IRQS);
	script_error(s, EINVAL);
	script_end(s);
}

START_TEST(refused_ones_are_closed)
{
	fds[1] = passed_eventfd(0);
	script_connect(&far, cl, refuses);
	ck_assert_int_eq(vfu_client_irq_enable(cl, VFU_IRQ_ERR, 0, VECTORS, fds), -EINVAL);
	for (unsigned i = 0; i < VECTORS; i++)
		ck_assert_int_eq(fds[i] >= 0, i == 1);
	finish();
	for (unsigned i = 0; i < VECTORS; i++)
		fds[i] = -1;
	ck_assert_int_eq(vfu_client_irq_enable(cl, VFU_IRQ_ERR, 0, 1, fds), -ENOTCONN);
	ck_assert_int_eq(fds[0], -1);
}
END_TEST

/* DMA comes first, and then the interrupt: who waits for it has served that. */
static void does_dma_first(struct script *s)
{
	struct vfu_wire_dma_read_request read = {.address = 0x1000, .count = 4};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	script_get(s, VFU_WIRE_CMD_SET_IRQS);
	s->nfds = 0; /* stays here */
	script_reply(s, NULL, 0);
	peer_put(s->fd, 9, VFU_WIRE_CMD_DMA_READ, 0, 0, &read, sizeof(read));
	ck_assert_uint_ne(peer_get(s->fd, &s->msg, NULL, NULL), 0);
	ck_assert_uint_eq(s->msg.hdr.id, 9);
	ck_assert_mem_eq(s->msg.payload + sizeof(read), "abcd", 4);
	ck_assert_int_eq(eventfd_write(s->fds[0], 1), 0);
	close(s->fds[0]);
	script_end(s);
}

START_TEST(serves_dma_meanwhile)
{
	static char memory[4096] __attribute__((aligned(4096))) = "abcd";
	uint64_t count;

	if (lacks(LACKS_NOWAIT, __func__))
		return;
	script_connect(&far, cl, does_dma_first);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x1000, 4096, VFU_DMA_READ, memory, -1, 0), 0);
	ck_assert_int_eq(vfu_client_irq_enable(cl, VFU_IRQ_INTX, 0, 1, fds), 0);
	ck_assert_int_eq(vfu_client_irq_wait(cl, fds[0], -1, &count), 1);
	finish();
}
END_TEST

static void goes(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_RESET);
	script_reply(s, NULL, 0);
}

static int hook(void *user)
{
	(void)user;
	return ++hooks >= hook_says;
}

START_TEST(ends_of_a_wait)
{
	uint64_t count;

	if (lacks(LACKS_NOWAIT, __func__))
		return;
	fds[0] = passed_eventfd(0);
	ck_assert_int_eq(vfu_client_irq_wait(cl, fds[0], -1, &count), -ENOTCONN);
	vfu_client_set_interrupt(cl, hook, NULL);
	hook_says = 2;
	script_connect(&far, cl, goes);
	ck_assert_int_eq(vfu_client_irq_wait(cl, fds[0], -1, &count), -EINTR);
	ck_assert_uint_eq(hooks, 2);
	hook_says = UINT32_MAX;
	ck_assert_int_eq(vfu_client_reset(cl), 0); /* and the server has gone */
	ck_assert_int_lt(vfu_client_irq_wait(cl, fds[0], -1, &count), 0);
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client-irqs");
	TCase *tcase = tcase_create("irqs");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, eventfds_made_and_taken);
	tcase_add_test(tcase, refused_ones_are_closed);
	tcase_add_test(tcase, serves_dma_meanwhile);
	tcase_add_test(tcase, ends_of_a_wait);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
