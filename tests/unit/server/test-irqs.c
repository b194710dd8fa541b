/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-irqs.c - interrupts through a server: eventfds that the client signals, in every kind of loop.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/rig.h"

enum { NONE = 1, EVENTFD = 4, MASK = 8, UNMASK = 16, TRIGGER = 32 };
enum { SET_IRQS = 8 };

static struct rig rig;
static int line; /* INTx's */

static unsigned set(uint32_t flags, uint32_t index, uint32_t start, uint32_t count, const int *fds)
{
	const struct rig_irqs in = {20, flags, index, start, count};

	return rig_call_fds(&rig, SET_IRQS, &in, sizeof(in), fds, fds ? count : 0);
}

static void setup(void)
{
	rig_open(&rig);
	rig_connect(&rig);
	line = passed_eventfd(EFD_NONBLOCK);
	ck_assert_uint_eq(set(EVENTFD | TRIGGER, VFU_IRQ_INTX, 0, 1, &line), 0);
}

static void teardown(void)
{
	close(line);
	rig_close(&rig);
}

static uint64_t fired(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* INTx gets an eventfd that unmasks it. */
static int resample(void)
{
	int fd = passed_eventfd(0);

	ck_assert_uint_eq(set(EVENTFD | UNMASK, VFU_IRQ_INTX, 0, 1, &fd), 0);
	return fd;
}

static void signal_it(int fd)
{
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
}

static void raise_once(void)
{
	ck_assert_int_eq(vfu_irq_raise(rig.dev, VFU_IRQ_INTX, 0), 0);
	ck_assert_uint_eq(fired(line), 1);
}

START_TEST(e36_resampling_in_a_loop_of_the_callers)
{
	int fd = resample();

	raise_once();
	for (unsigned i = 0; i < 3; i++) {
		signal_it(fd);
		rig_pump(&rig);
		ck_assert_uint_eq(fired(line), 1);
	}
	ck_assert_int_eq(vfu_irq_lower(rig.dev), 0);
	signal_it(fd);
	rig_pump(&rig);
	ck_assert_uint_eq(fired(line), 0);
	close(fd);
}
END_TEST

/* The descriptor that stands for all; it is asked for before there are such eventfds, and after. */
START_TEST(e36_resampling_behind_one_descriptor)
{
	struct pollfd pfd = {.fd = _i ? -1 : vfu_server_fd(rig.srv), .events = POLLIN};
	int fd = resample();

	pfd.fd = vfu_server_fd(rig.srv);
	raise_once();
	rig_pump(&rig);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	signal_it(fd);
	ck_assert_int_eq(poll(&pfd, 1, 0), 1);
	rig_pump(&rig);
	ck_assert_uint_eq(fired(line), 1);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	ck_assert_uint_eq(set(EVENTFD | UNMASK, VFU_IRQ_INTX, 0, 1, NULL), 0);
	signal_it(fd);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	close(fd);
}
END_TEST

static void *run(void *arg)
{
	(void)arg;
	vfu_server_run(rig.srv);
	return NULL;
}

/* A read that the server answers: it has seen what came before. */
static void ask(void)
{
	rig_send_read(&rig, 0, 0, 4);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 10000), 1);
}

/* A server that sleeps in the receive itself would hear of nothing else; one that is told while it does, too. */
START_TEST(e36_resampling_in_run)
{
	const struct rig_irqs in = {20, EVENTFD | UNMASK, VFU_IRQ_INTX, 0, 1};
	struct pollfd pfd = {.fd = line, .events = POLLIN};
	int fd = passed_eventfd(0);
	pthread_t thread;

	raise_once();
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	ask();
	rig_send_fds(&rig, SET_IRQS, &in, sizeof(in), &fd, 1);
	ck_assert_int_eq(raw_recv(rig.sock, rig.msg, 10000), 1);
	for (unsigned i = 0; i < 20; i++) {
		signal_it(fd);
		ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
		ck_assert_uint_eq(fired(line), 1);
		ask();
	}
	vfu_server_stop(rig.srv);
	pthread_join(thread, NULL);
	close(fd);
}
END_TEST

static atomic_bool is_over;

static void *storm(void *arg)
{
	while (!atomic_load(&is_over))
		eventfd_write(*(int *)arg, 1);
	return NULL;
}

/* Who signals without a pause has its interrupts, and its requests are served. */
START_TEST(a_storm_starves_nobody)
{
	int fds[2] = {resample(), passed_eventfd(0)};
	pthread_t thread, noise[2];

	ck_assert_uint_eq(set(EVENTFD | MASK, VFU_IRQ_INTX, 0, 1, &fds[1]), 0);
	raise_once();
	atomic_store(&is_over, false);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&noise[i], NULL, storm, &fds[i]), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	for (unsigned i = 0; i < 500; i++)
		ask();
	vfu_server_stop(rig.srv);
	pthread_join(thread, NULL);
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(noise[i], NULL);
		close(fds[i]);
	}
}
END_TEST

/* With a twin socket and a listener, however many eventfds there are. */
START_TEST(a_loop_watches_four_descriptors)
{
	struct pollfd pfds[8];
	char path[] = "/tmp/vfu-irqs-XXXXXX";
	int fd;

	close(mkstemp(path));
	unlink(path);
	rig_hang_up(&rig);
	ck_assert_int_eq(vfu_server_listen(rig.srv, path), 0);
	rig_attach(&rig);
	rig_version(&rig, "{\"capabilities\": {\"max_msg_fds\": 8, "
			  "\"twin_socket\": {\"supported\": true}}}");
	raw_close_fds(rig.msg);
	ck_assert_int_eq(vfu_server_pollfds(rig.srv, pfds, 8), 3);
	fd = resample();
	ck_assert_int_eq(vfu_server_pollfds(rig.srv, pfds, 8), 3);
	signal_it(fd);
	ck_assert_int_eq(poll(pfds, 1, 0), 1);
	close(fd);
}
END_TEST

static int gate_later(void *user, enum vfu_gate what)
{
	(void)user, (void)what;
	return what == VFU_GATE_RESET ? VFU_LATER : 0;
}

/* While the device thinks about a change nothing starts, and nobody spins for it. */
START_TEST(signals_wait_for_the_gate)
{
	int fd = resample();
	struct pollfd pfds[4];
	uint16_t id;

	rig_set_hooks(&rig, gate_later);
	raise_once();
	id = rig_send(&rig, 13, NULL, 0);
	rig_silence(&rig);
	signal_it(fd);
	rig_pump(&rig);
	ck_assert_uint_eq(fired(line), 0);
	ck_assert_int_eq(poll(pfds, (nfds_t)vfu_server_pollfds(rig.srv, pfds, 4), 0), 0);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, -EBUSY), 0);
	ck_assert_uint_eq(rig_reply(&rig, id, 13), EBUSY);
	ck_assert_uint_eq(fired(line), 1);
	close(fd);
}
END_TEST

/* vfio.h: what disables an index ends all of it; and so does the end of the client. */
START_TEST(disabled_and_disconnected_hear_nothing)
{
	int fd = resample();
	struct pollfd pfds[4];

	raise_once();
	if (_i)
		rig_hang_up(&rig);
	else
		ck_assert_uint_eq(set(NONE | TRIGGER, VFU_IRQ_INTX, 0, 0, NULL), 0);
	signal_it(fd);
	rig_pump(&rig);
	ck_assert_uint_eq(fired(line), 0);
	ck_assert_int_eq(poll(pfds, (nfds_t)vfu_server_pollfds(rig.srv, pfds, 4), 0), 0);
	close(fd);
	if (_i)
		return;
	/* Another takes its place. */
	ck_assert_uint_eq(set(EVENTFD | TRIGGER, VFU_IRQ_INTX, 0, 1, &line), 0);
	ck_assert_uint_eq(fired(line), 1);
	fd = resample();
	signal_it(fd);
	rig_pump(&rig);
	ck_assert_uint_eq(fired(line), 1);
	close(fd);
}
END_TEST

/* E32: more vectors than go into a message come in pieces, each all with or all without descriptors. */
START_TEST(e32_vectors_come_in_pieces)
{
	int fds[8], mine[24];

	ck_assert_int_eq(vfu_device_set_msix(rig.dev, 24, 4, 0, 2048), 0);
	for (unsigned start = 0; start < 24; start += 8) {
		for (unsigned i = 0; i < 8; i++)
			fds[i] = mine[start + i] = passed_eventfd(EFD_NONBLOCK);
		ck_assert_uint_eq(set(EVENTFD | TRIGGER, VFU_IRQ_MSIX, start, 8, fds), 0);
	}
	ck_assert_uint_eq(set(EVENTFD | TRIGGER, VFU_IRQ_MSIX, 20, 2, NULL), 0);
	for (unsigned i = 0; i < 24; i++) {
		bool is_gone = i == 20 || i == 21;

		ck_assert_int_eq(vfu_irq_raise(rig.dev, VFU_IRQ_MSIX, i), is_gone ? -ENOENT : 0);
		ck_assert_uint_eq(fired(mine[i]), !is_gone);
		close(mine[i]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("irqs");
	TCase *tcase = tcase_create("irqs");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, e36_resampling_in_a_loop_of_the_callers);
	tcase_add_loop_test(tcase, e36_resampling_behind_one_descriptor, 0, 2);
	tcase_add_test(tcase, e36_resampling_in_run);
	tcase_add_test(tcase, a_storm_starves_nobody);
	tcase_add_test(tcase, a_loop_watches_four_descriptors);
	tcase_add_test(tcase, signals_wait_for_the_gate);
	tcase_add_loop_test(tcase, disabled_and_disconnected_hear_nothing, 0, 2);
	tcase_add_test(tcase, e32_vectors_come_in_pieces);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
