/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-irqs.c - interrupts through a server, and eventfds that the client signals: in every kind of loop, and of regions.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/rig.h"
#include "../../lib/suite.h"

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
	pthread_t thread, noise[2];
	int fds[2];

	/* It would be full at once, and who writes to it would sleep. */
	if (lacks(LACKS_COUNTS, __func__))
		return;
	fds[0] = resample();
	fds[1] = passed_eventfd(0);
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
	int fd, twin;

	close(mkstemp(path));
	unlink(path);
	rig_hang_up(&rig);
	ck_assert_int_eq(vfu_server_listen(rig.srv, path), 0);
	rig_attach(&rig);
	rig_version(&rig, "{\"capabilities\": {\"max_msg_fds\": 8, "
			  "\"twin_socket\": {\"supported\": true}}}");
	ck_assert_uint_eq(rig.msg->nfds, 1);
	twin = rig.msg->fds[0];
	rig.msg->nfds = 0;
	ck_assert_int_eq(vfu_server_pollfds(rig.srv, pfds, 8), 4);
	ck_assert_int_eq(pfds[2].fd, vfu_server_conn_fd(rig.srv));
	ck_assert_int_eq(pfds[3].fd, vfu_server_twin_fd(rig.srv));
	fd = resample();
	ck_assert_int_eq(vfu_server_pollfds(rig.srv, pfds, 8), 4);
	signal_it(fd);
	ck_assert_int_eq(poll(pfds, 1, 0), 1);
	close(fd);
	close(twin);
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

/* ---- writes that come as events ---- */

enum { GET_REGION_IO_FDS = 6 };
static unsigned rung[3];

static void ring(void *user)
{
	++*(unsigned *)user;
}

/* What the client is told of region 0; its descriptors are in rig.msg. */
static unsigned ask_for_fds(uint32_t argsz)
{
	const uint32_t in[4] = {argsz, 0, 0, 0};

	ck_assert_uint_eq(rig_call(&rig, GET_REGION_IO_FDS, in, sizeof(in)), 0);
	return raw_u32(rig.msg, 12);
}

static void add_bells(void)
{
	static const struct vfu_ioevent_place two[] = {
		{.offset = 0x40, .size = 4},
		{.offset = 0x44, .size = 2, .datamatch = 7, .flags = VFU_IOEVENT_MATCH}};
	static const struct vfu_ioevent_place one = {.offset = 0x80};

	rung[0] = rung[1] = 0;
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, two, 2, ring, &rung[0]), 0);
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, &one, 1, ring, &rung[1]), 0);
}

/* E3, E4: entries as the text has them; places that share an eventfd name the same one. */
START_TEST(e3_writes_come_as_events)
{
	static const uint64_t entries[3][5] = {
		/* offset, size, fd_index and type, flags, datamatch */
		{0x40, 4, 0, 0, 0},
		{0x44, 2, 0, 1, 7},
		{0x80, 0, 1, 0, 0}};
	int fds[2];

	add_bells();
	ck_assert_uint_eq(ask_for_fds(4096), 3);
	ck_assert_uint_eq(raw_u32(rig.msg, 0), 16 + 3 * 40);
	ck_assert_uint_eq(rig.msg->len, 16 + 3 * 40);
	ck_assert_uint_eq(rig.msg->nfds, 2);
	for (unsigned i = 0; i < 3; i++) {
		size_t at = 16 + i * 40;

		ck_assert_uint_eq(raw_u64(rig.msg, at), entries[i][0]);
		ck_assert_uint_eq(raw_u64(rig.msg, at + 8), entries[i][1]);
		ck_assert_uint_eq(raw_u32(rig.msg, at + 16), entries[i][2]);
		ck_assert_uint_eq(raw_u32(rig.msg, at + 20), 0);
		ck_assert_uint_eq(raw_u32(rig.msg, at + 24), entries[i][3]);
		ck_assert_uint_eq(raw_u64(rig.msg, at + 32), entries[i][4]);
	}
	memcpy(fds, rig.msg->fds, sizeof(fds));
	rig.msg->nfds = 0;
	signal_it(fds[0]);
	signal_it(fds[0]);
	rig_pump(&rig);
	ck_assert_uint_eq(rung[0], 1);
	signal_it(fds[1]);
	rig_pump(&rig);
	ck_assert_uint_eq(rung[0], 1);
	ck_assert_uint_eq(rung[1], 1);
	/* Asked again: the same; a message goes to the region's callback. */
	ck_assert_uint_eq(ask_for_fds(4096), 3);
	signal_it(rig.msg->fds[0]);
	raw_close_fds(rig.msg);
	ck_assert_uint_eq(rig_write(&rig, 0, 0x40, 4, 1), 0);
	ck_assert_uint_eq(rung[0], 2);
	ck_assert_uint_eq(rig.writes, 1);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* E5: too little room, and more events than the client takes descriptors. */
START_TEST(e5_as_much_as_there_is_room_for)
{
	static const struct vfu_ioevent_place place = {.offset = 0x100};

	add_bells();
	ck_assert_uint_eq(ask_for_fds(16 + 3 * 40 - 1), 0);
	ck_assert_uint_eq(raw_u32(rig.msg, 0), 16 + 3 * 40);
	ck_assert_uint_eq(rig.msg->len, 16);
	ck_assert_uint_eq(rig.msg->nfds, 0);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, &place, 1, ring, &rung[2]), 0);
	ck_assert_uint_eq(ask_for_fds(4096), 9); /* two of one, seven of one */
	ck_assert_uint_eq(rig.msg->nfds, 8);
	raw_close_fds(rig.msg);
}
END_TEST

/* Besides the bells: a shadow, and a file that takes accesses, whose other end this returns. */
static int add_other_kinds(int memory)
{
	static const struct vfu_ioevent_place place = {
		.offset = 0xc0, .size = 4, .datamatch = 9, .flags = VFU_IOEVENT_MATCH};
	int pair[2];

	add_bells();
	rung[2] = 0;
	ck_assert_int_eq(ftruncate(memory, 64), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(
		vfu_device_add_shadow_ioevent(rig.dev, 0, &place, memory, 16, ring, &rung[2]), 0);
	ck_assert_int_eq(vfu_device_add_ioregion(rig.dev, 0, 0x100, 0x200,
						 VFU_IOREGION_POSTED_WRITES, 77, pair[0]),
			 0);
	close(pair[0]);
	return pair[1];
}

static void check_longer_entries(void)
{
	/* fd_index, type, flags, shadow_mem_fd_index. */
	static const uint32_t halves[5][4] = {
		{0, 0, 0, 0}, {0, 0, 1, 0}, {1, 0, 0, 0}, {2, 2, 1, 3}, {4, 1, 2, 0}};
	/* offset, size, shadow_offset, datamatch; of an ioregionfd its user data, as the text has it, and zeros. */
	static const uint64_t wide[5][4] = {{0x40, 4, 0, 0},
					    {0x44, 2, 0, 7},
					    {0x80, 0, 0, 0},
					    {0xc0, 4, 16, 9},
					    {0x100, 0x200, 77, 0}};

	for (unsigned i = 0; i < 5; i++) {
		size_t at = 16 + i * 48;

		ck_assert_uint_eq(raw_u64(rig.msg, at), wide[i][0]);
		ck_assert_uint_eq(raw_u64(rig.msg, at + 8), wide[i][1]);
		for (unsigned k = 0; k < 4; k++)
			ck_assert_uint_eq(raw_u32(rig.msg, at + 16 + 4 * k), halves[i][k]);
		ck_assert_uint_eq(raw_u64(rig.msg, at + 32), wide[i][2]);
		ck_assert_uint_eq(raw_u64(rig.msg, at + 40), wide[i][3]);
	}
}

/* E3, E4: in libvfio-user's layout, with a shadow, and a file that takes accesses. */
START_TEST(e4_entries_of_the_longer_layout)
{
	int memory = memfd_create("shadow", 0), far = add_other_kinds(memory);
	char text[4] = "";

	/* The text's layout has no room for the shadow. */
	ck_assert_uint_eq(ask_for_fds(4096), 4);
	ck_assert_uint_eq(rig.msg->len, 16 + 4 * 40);
	ck_assert_uint_eq(rig.msg->nfds, 3);
	ck_assert_uint_eq(raw_u32(rig.msg, 16 + 3 * 40 + 20), 1);
	ck_assert_uint_eq(raw_u64(rig.msg, 16 + 3 * 40 + 32), 77);
	raw_close_fds(rig.msg);
	rig_hang_up(&rig);
	rig_pump(&rig);
	ck_assert_int_eq(vfu_server_set_profile(rig.srv, "libvfio-user"), 0);
	rig_connect(&rig);
	ck_assert_uint_eq(ask_for_fds(4096), 5);
	ck_assert_uint_eq(rig.msg->len, 16 + 5 * 48);
	ck_assert_uint_eq(rig.msg->nfds, 5);
	check_longer_entries();
	/* The client stores and signals; what it writes to the other file comes out at its end. */
	ck_assert_int_eq(pwrite(rig.msg->fds[3], "abcd", 4, 16), 4);
	signal_it(rig.msg->fds[2]);
	rig_pump(&rig);
	ck_assert_uint_eq(rung[2], 1);
	ck_assert_int_eq(pread(memory, text, 4, 16), 4);
	ck_assert_mem_eq(text, "abcd", 4);
	ck_assert_int_eq(write(rig.msg->fds[4], "x", 1), 1);
	ck_assert_int_eq(read(far, text, 4), 1);
	raw_close_fds(rig.msg);
	close(far);
	close(memory);
}
END_TEST

START_TEST(entries_that_can_not_be)
{
	struct vfu_ioevent_place place = {.offset = 0, .size = 8};
	int memory = memfd_create("shadow", 0), fd = open("/dev/null", O_RDWR);

	ck_assert_int_eq(ftruncate(memory, 64), 0);
#define SHADOW(fd, offset) vfu_device_add_shadow_ioevent(rig.dev, 0, &place, fd, offset, ring, rung)
	ck_assert_int_eq(SHADOW(memory, 57), -EINVAL);
	ck_assert_int_eq(SHADOW(memory, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(SHADOW(fd, 0), -EINVAL);
	ck_assert_int_eq(SHADOW(-1, 0), -EBADF);
	place.size = 0;
	ck_assert_int_eq(SHADOW(memory, 0), -EINVAL);
	place.size = 4;
	place.offset = 4096;
	ck_assert_int_eq(SHADOW(memory, 0), -EINVAL);
#undef SHADOW
	ck_assert_int_eq(vfu_device_add_ioregion(rig.dev, 0, 0, 0, 0, 0, fd), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioregion(rig.dev, 0, 0, 4097, 0, 0, fd), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioregion(rig.dev, 0, UINT64_MAX, 2, 0, 0, fd), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioregion(rig.dev, 0, 0, 4, 4, 0, fd), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioregion(rig.dev, 3, 0, 4, 0, 0, fd), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioregion(rig.dev, 0, 0, 4, 0, 0, -1), -EBADF);
	ck_assert_uint_eq(ask_for_fds(4096), 0);
	/* Of two descriptors for which there is no room none goes; and none behind it. */
	place.offset = 0;
	for (unsigned i = 0; i < 7; i++)
		ck_assert_int_eq(vfu_device_add_ioregion(rig.dev, 0, 0, 4, 0, 0, fd), 0);
	ck_assert_int_eq(
		vfu_device_add_shadow_ioevent(rig.dev, 0, &place, memory, 0, ring, &rung[2]), 0);
	ck_assert_int_eq(vfu_device_add_ioregion(rig.dev, 0, 0, 4, 0, 0, fd), 0);
	rig_hang_up(&rig);
	rig_pump(&rig);
	ck_assert_int_eq(vfu_server_set_policy(rig.srv, "io_fd_layout", "longer"), 0);
	rig_connect(&rig);
	ck_assert_uint_eq(ask_for_fds(4096), 7);
	ck_assert_uint_eq(rig.msg->nfds, 7);
	raw_close_fds(rig.msg);
	close(memory);
	close(fd);
}
END_TEST

/* What a client that is gone has kept rings no bell, not that of the next one either. */
START_TEST(an_old_clients_eventfd_is_nobodys)
{
	int fd;

	add_bells();
	ck_assert_uint_eq(ask_for_fds(4096), 3);
	fd = dup(rig.msg->fds[0]);
	raw_close_fds(rig.msg);
	rig_hang_up(&rig);
	signal_it(fd);
	rig_connect(&rig);
	ck_assert_uint_eq(ask_for_fds(4096), 3);
	signal_it(fd);
	rig_pump(&rig);
	ck_assert_uint_eq(rung[0], 0);
	signal_it(rig.msg->fds[0]);
	rig_pump(&rig);
	ck_assert_uint_eq(rung[0], 1);
	raw_close_fds(rig.msg);
	close(fd);
}
END_TEST

/* Rung before a reset, or while it is being thought about, is not rung after it. */
START_TEST(a_reset_ends_what_was_rung)
{
	uint16_t id;
	int fd;

	if (lacks(LACKS_NOWAIT, __func__))
		return;
	rig_set_hooks(&rig, gate_later);
	add_bells();
	ck_assert_uint_eq(ask_for_fds(4096), 3);
	fd = dup(rig.msg->fds[0]);
	raw_close_fds(rig.msg);
	id = rig_send(&rig, 13, NULL, 0);
	rig_silence(&rig);
	signal_it(fd);
	ck_assert_int_eq(vfu_device_gate_done(rig.dev, 0), 0);
	rig_pump(&rig);
	ck_assert_uint_eq(rung[0], 0);
	signal_it(fd);
	rig_pump(&rig);
	ck_assert_uint_eq(rung[0], 1);
	close(fd);
	ck_assert_uint_eq(rig_reply(&rig, id, 13), 0);
}
END_TEST

static void replace_region(void *user)
{
	const struct vfu_region region = {.size = 4096, .flags = 3, .fd = -1};

	ring(user);
	ck_assert_int_eq(vfu_device_set_region(rig.dev, 0, &region), 0);
}

/* The first of two that were signalled takes the region away. */
START_TEST(an_event_may_take_its_region_away)
{
	static const struct vfu_ioevent_place place = {.offset = 0};

	rung[0] = rung[1] = 0;
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, &place, 1, replace_region, &rung[0]),
			 0);
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, &place, 1, ring, &rung[1]), 0);
	ck_assert_uint_eq(ask_for_fds(4096), 2);
	signal_it(rig.msg->fds[0]);
	signal_it(rig.msg->fds[1]);
	rig_pump(&rig);
	ck_assert_uint_eq(rung[0], 1);
	ck_assert_uint_eq(rung[1], 0);
	raw_close_fds(rig.msg);
	ck_assert_uint_eq(ask_for_fds(4096), 0);
}
END_TEST

START_TEST(events_that_can_not_be)
{
	static const struct {
		struct vfu_ioevent_place place;
		const char *field;
	} wrong[] = {
		{{.offset = 4096}, "ioevent.offset"},
		{{.offset = 4090, .size = 8}, "ioevent.offset"},
		{{.offset = UINT64_MAX, .size = 8}, "ioevent.offset"},
		{{.size = 3}, "ioevent.size"},
		{{.size = 16}, "ioevent.size"},
		{{.flags = VFU_IOEVENT_MATCH}, "ioevent.size"},
		{{.size = 1, .datamatch = 256, .flags = VFU_IOEVENT_MATCH}, "ioevent.datamatch"},
		{{.size = 4, .datamatch = UINT64_MAX, .flags = VFU_IOEVENT_MATCH},
		 "ioevent.datamatch"},
		{{.flags = 4}, "ioevent.flags"},
	};
	static const struct vfu_ioevent_place places[1025];
	struct vfu_err err;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, &wrong[i].place, 1, ring, rung),
				 -EINVAL);
		vfu_device_err(rig.dev, &err);
		ck_assert_str_eq(err.field, wrong[i].field);
	}
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, places, 1025, ring, rung), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, places, 0, ring, rung), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, places, 1, NULL, rung), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 3, places, 1, ring, rung), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 9, places, 1, ring, rung), -EINVAL);
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, places, 1024, ring, rung), 0);
	ck_assert_int_eq(vfu_device_add_ioevent(rig.dev, 0, places, 1, ring, rung), -EINVAL);
	ck_assert_uint_eq(ask_for_fds(65536), 1024);
	raw_close_fds(rig.msg);
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
	tcase_add_test(tcase, e3_writes_come_as_events);
	tcase_add_test(tcase, e5_as_much_as_there_is_room_for);
	tcase_add_test(tcase, e4_entries_of_the_longer_layout);
	tcase_add_test(tcase, entries_that_can_not_be);
	tcase_add_test(tcase, an_old_clients_eventfd_is_nobodys);
	tcase_add_test(tcase, a_reset_ends_what_was_rung);
	tcase_add_test(tcase, an_event_may_take_its_region_away);
	tcase_add_test(tcase, events_that_can_not_be);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
