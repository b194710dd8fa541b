/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-memory.c - memory that the device may reach no more is not reached, whatever comes behind
 * the answer, or in place of it. One thread reads all the time, as in a client that serves DMA.
 */
#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"
#include "client/state.h"

#define ROUNDS 100
#define IOVA 0x10000
#define SIZE 4096

static struct script far;
static struct vfu_client *cl;
static pthread_t reader;
static uint8_t memory[SIZE];

static void setup(void)
{
	memset(&far, 0, sizeof(far));
	memset(memory, 'm', sizeof(memory));
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 0), 0);
}

static void teardown(void)
{
	vfu_client_free(cl);
}

static void *reads(void *arg)
{
	while (vfu_client_serve(cl, 1000) >= 0)
		;
	return arg;
}

static void start(void (*run)(struct script *s))
{
	script_connect(&far, cl, run);
	ck_assert_int_eq(pthread_create(&reader, NULL, reads, NULL), 0);
}

static void finish(void)
{
	vfu_client_disconnect(cl);
	pthread_join(reader, NULL);
	script_join(&far);
}

static int map(void)
{
	return vfu_client_dma_map(cl, IOVA, SIZE, VFU_DMA_READ | VFU_DMA_WRITE, memory, -1, 0);
}

static int unmap(void)
{
	return vfu_client_dma_unmap(cl, IOVA, SIZE);
}

/* Until the reader has served so many requests of the server. */
static void await_requests(unsigned n)
{
	struct vfu_stats stats;

	do {
		usleep(1000);
		vfu_client_stats(cl, &stats);
	} while (stats.replies_out < n);
}

/* ---- the server's part ---- */

/* Writes a DMA command of len bytes at the start of the range to out; returns its size. */
static size_t put_dma(uint8_t *out, uint16_t command, uint64_t len)
{
	static struct peer_msg msg;
	static uint8_t payload[16 + SIZE];
	uint64_t head[2] = {IOVA, len};
	size_t size;

	memset(payload, 'd', sizeof(payload));
	memcpy(payload, head, sizeof(head));
	size = peer_build(&msg, 7, command, 0, payload,
			  command == VFU_WIRE_CMD_DMA_READ ? 16 : 16 + len);
	memcpy(out, &msg, size);
	return size;
}

/* The answer to the last request and a DMA command behind it, in one piece. */
static void answer_and_dma(struct script *s, uint32_t error, uint16_t command)
{
	static uint8_t bytes[2 * SIZE];
	static struct peer_msg msg;
	size_t payload = error || s->msg.hdr.command == VFU_WIRE_CMD_DMA_MAP ? 0 : 24;
	size_t n = peer_build(&msg, s->msg.hdr.id, s->msg.hdr.command, error ? 0x21 : 1,
			      s->msg.payload, payload);

	msg.hdr.error = error;
	memcpy(bytes, &msg, n);
	n += put_dma(bytes + n, command, SIZE / 2);
	peer_send(s->fd, bytes, n, NULL, 0);
}

/* The refusal of a DMA command. */
static void get_refusal(struct script *s, uint16_t command)
{
	script_get(s, command);
	ck_assert_uint_eq(s->msg.hdr.error, EFAULT);
}

/* The same, and a RESET before or after it, which is answered. */
static void get_refusal_and_reset(struct script *s, uint16_t command)
{
	struct peer_msg *msg = &s->msg;

	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_ne(peer_get(s->fd, msg, s->fds, &s->nfds), 0);
		if (msg->hdr.command == VFU_WIRE_CMD_RESET) {
			script_reply(s, NULL, 0);
		} else {
			ck_assert_uint_eq(msg->hdr.command, command);
			ck_assert_uint_eq(msg->hdr.error, EFAULT);
		}
	}
}

static void dma_refused(struct script *s, uint16_t command)
{
	uint8_t bytes[2 * SIZE];

	peer_send(s->fd, bytes, put_dma(bytes, command, SIZE / 2), NULL, 0);
	get_refusal(s, command);
}

/* ---- an answer, and something behind it ---- */

static void reads_behind_unmap(struct script *s)
{
	script_version(s);
	for (unsigned i = 0; i < ROUNDS; i++) {
		script_get(s, VFU_WIRE_CMD_DMA_MAP);
		script_reply(s, NULL, 0);
		script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
		answer_and_dma(s, 0, VFU_WIRE_CMD_DMA_READ);
		get_refusal_and_reset(s, VFU_WIRE_CMD_DMA_READ);
	}
	script_end(s);
}

START_TEST(unmapped_before_the_next_message)
{
	start(reads_behind_unmap);
	for (unsigned i = 0; i < ROUNDS; i++) {
		ck_assert_int_eq(map(), 0);
		ck_assert_int_eq(unmap(), 0);
		ck_assert_int_eq(vfu_client_reset(cl), 0);
	}
	finish();
}
END_TEST

static void writes_behind_refusal(struct script *s)
{
	script_version(s);
	for (unsigned i = 0; i < ROUNDS; i++) {
		script_get(s, VFU_WIRE_CMD_DMA_MAP);
		answer_and_dma(s, ENOSPC, VFU_WIRE_CMD_DMA_WRITE);
		get_refusal_and_reset(s, VFU_WIRE_CMD_DMA_WRITE);
	}
	script_end(s);
}

START_TEST(refused_before_the_next_message)
{
	start(writes_behind_refusal);
	for (unsigned i = 0; i < ROUNDS; i++) {
		ck_assert_int_eq(map(), -ENOSPC);
		ck_assert_int_eq(vfu_client_reset(cl), 0);
	}
	finish();
	ck_assert_uint_eq(memory[0], 'm');
}
END_TEST

/* What the server will not unmap it may go on using. */
static void refuses_unmap(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	answer_and_dma(s, EBUSY, VFU_WIRE_CMD_DMA_WRITE);
	script_get(s, VFU_WIRE_CMD_DMA_WRITE);
	ck_assert_uint_eq(s->msg.hdr.error, 0);
	script_end(s);
}

START_TEST(refused_unmap_changes_nothing)
{
	start(refuses_unmap);
	ck_assert_int_eq(map(), 0);
	ck_assert_int_eq(unmap(), -EBUSY);
	ck_assert_int_eq(map(), -EEXIST);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, 0, 0), -EINVAL);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, UINT64_MAX - 4095, 8192), -EINVAL);
	await_requests(1);
	finish();
	ck_assert_uint_eq(memory[0], 'd');
}
END_TEST

/* ---- no answer ---- */

static void answers_too_late(struct script *s)
{
	struct vfu_wire_header late;
	uint8_t payload[24];

	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	late = s->msg.hdr;
	memcpy(payload, s->msg.payload, sizeof(payload));
	script_get(s, VFU_WIRE_CMD_RESET); /* by now the unmap was given up */
	script_reply(s, NULL, 0);
	dma_refused(s, VFU_WIRE_CMD_DMA_READ);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	/* The late answer is not about the range that is there now. */
	s->msg.hdr = late;
	memcpy(s->msg.payload, payload, sizeof(payload));
	answer_and_dma(s, 0, VFU_WIRE_CMD_DMA_READ);
	script_get(s, VFU_WIRE_CMD_DMA_READ);
	ck_assert_uint_eq(s->msg.hdr.error, 0);
	ck_assert_int_eq(shutdown(s->fd, SHUT_RDWR), 0);
}

START_TEST(unmap_not_answered_in_time)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 1500), 0);
	start(answers_too_late);
	ck_assert_int_eq(map(), 0);
	ck_assert_int_eq(unmap(), -ETIMEDOUT);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	await_requests(1);
	ck_assert_int_eq(map(), 0);
	pthread_join(reader, NULL);
	script_join(&far);
	vfu_client_disconnect(cl);
}
END_TEST

static void answers_no_map(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_get(s, VFU_WIRE_CMD_RESET);
	script_reply(s, NULL, 0);
	dma_refused(s, VFU_WIRE_CMD_DMA_WRITE);
	script_end(s);
}

START_TEST(map_not_answered_in_time)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 1500), 0);
	start(answers_no_map);
	ck_assert_int_eq(map(), -ETIMEDOUT);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	await_requests(1);
	finish();
}
END_TEST

static void writes_and_is_deaf(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	shutdown(s->fd, SHUT_RD);
	answer_and_dma(s, 0, VFU_WIRE_CMD_DMA_WRITE);
}

/* Nothing can be sent any more, while there is still something to be read. */
START_TEST(not_asked_any_more)
{
	script_connect(&far, cl, writes_and_is_deaf);
	ck_assert_int_eq(map(), 0);
	ck_assert_int_eq(unmap(), -ENOTCONN);
	while (vfu_client_process(cl, 0) >= 0)
		;
	ck_assert_uint_eq(memory[0], 'm');
	script_join(&far);
}
END_TEST

/* ---- in use by another thread at that moment ---- */

enum { BEFORE, IN_DMA, GIVEN_UP, DMA_DONE, RETURNED };
static atomic_int stage;
static pthread_t impatient;

static void await_stage(int wanted)
{
	while (atomic_load(&stage) < wanted)
		usleep(1000);
}

/* Somebody waits until this range is not in use any more. Not for ever: an unmap that does not wait is to be seen. */
static void await_users_awaited(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 5000 && n == 0; i++) {
		pthread_mutex_lock(&cl->lock);
		n = cl->users_awaited;
		pthread_mutex_unlock(&cl->lock);
		usleep(1000);
	}
}

static int slow_dma(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	(void)user, (void)iova;
	if (!is_write)
		memset(data, 's', len);
	atomic_store(&stage, IN_DMA);
	await_stage(GIVEN_UP);
	await_users_awaited();
	atomic_store(&stage, DMA_DONE);
	return 0;
}

static int interrupted(void *user)
{
	int now = IN_DMA;

	(void)user;
	if (!pthread_equal(impatient, pthread_self()))
		return 0;
	return atomic_compare_exchange_strong(&stage, &now, GIVEN_UP) ? -1 : 0;
}

static void reads_slow_memory(struct script *s)
{
	uint8_t bytes[2 * SIZE];

	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	peer_send(s->fd, bytes, put_dma(bytes, VFU_WIRE_CMD_DMA_READ, 16), NULL, 0);
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	script_get(s, VFU_WIRE_CMD_DMA_READ);
	ck_assert_uint_eq(s->msg.hdr.error, 0);
	await_stage(RETURNED);
	dma_refused(s, VFU_WIRE_CMD_DMA_READ);
	script_end(s);
}

/* Ctrl-C ends the wait for the answer, not that for the end of a copy that has begun. */
START_TEST(in_use_when_given_up)
{
	atomic_store(&stage, BEFORE);
	impatient = pthread_self();
	vfu_client_set_dma(cl, slow_dma, NULL);
	vfu_client_set_interrupt(cl, interrupted, NULL);
	start(reads_slow_memory);
	ck_assert_int_eq(vfu_client_dma_map(cl, IOVA, SIZE, VFU_DMA_READ, NULL, -1, 0), 0);
	await_stage(IN_DMA); /* so the other thread reads */
	ck_assert_int_eq(unmap(), -EINTR);
	ck_assert_int_eq(atomic_exchange(&stage, RETURNED), DMA_DONE);
	await_requests(2);
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory");
	TCase *tcase = tcase_create("memory");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, unmapped_before_the_next_message);
	tcase_add_test(tcase, refused_before_the_next_message);
	tcase_add_test(tcase, refused_unmap_changes_nothing);
	tcase_add_test(tcase, unmap_not_answered_in_time);
	tcase_add_test(tcase, map_not_answered_in_time);
	tcase_add_test(tcase, not_asked_any_more);
	tcase_add_test(tcase, in_use_when_given_up);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
