/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-comeback.c - a client that connects again, in one thread whose time is virtual.
 *
 *	client --- path --> relay --- inner --> server, device
 *	                    passes so many bytes of answers to the
 *	                    next connection, then hangs up or is silent
 *
 * Before the client sleeps the others work until nothing is left to do (work), and then time passes at once. So what
 * takes long takes no time here, each run is the same, and a server can be made to die at each byte that it sends.
 * test-reconnect.c has servers and clients in threads of their own.
 */
#include <check.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/suite.h"
#include "base/os.h"
#include "client/call.h"
#include "client/info.h"
#include "client/master.h"
#include "client/recall.h"
#include "vfu.h"
#include "wire.h"

enum { PAGE = 4096, RAM = 0x100000, SHARED = 0x200000, VECTORS = 4 };

/* BAR0: writing KICK copies the value to memory and interrupts; reading HANG is never answered. BAR2 can be mapped. */
enum { KICK = 0, ANSWER = 4, HANG = 8 };

static char dir[32], path[64], inner[64];

/* ---- the device and its server ---- */

static struct vfu_device *dev;
static struct vfu_server *srv;
static struct vfu_request *hanging;
static unsigned nmapped;

/* Configuration space of a device that is not reset when its client goes; else the library's. */
static bool keeps_state;
static uint8_t config[256];

static int config_access(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	(void)user, (void)req;
	if (a->is_write)
		memcpy(config + a->offset, a->data, a->count);
	else
		memcpy(a->data, config + a->offset, a->count);
	return 0;
}

static void copied(void *user, int status)
{
	(void)user, (void)status;
	vfu_irq_raise(dev, VFU_IRQ_MSI, 0);
}

/* Its client may be gone. */
static void end_hanging(void)
{
	if (hanging)
		vfu_request_done(hanging, 0);
	hanging = NULL;
}

static int bar0_access(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	static const uint32_t value = 42;

	(void)user;
	if (!a->is_write && a->offset == HANG) {
		end_hanging();
		hanging = vfu_request_defer(req);
		return VFU_LATER;
	}
	if (!a->is_write)
		memcpy(a->data, &value, a->count);
	else if (a->offset == KICK)
		ck_assert_int_eq(vfu_dma_write_async(dev, RAM, a->data, a->count, copied, NULL), 0);
	return 0;
}

static void mapped(void *user, const struct vfu_dma_range *range)
{
	(void)user, (void)range;
	nmapped++;
}

static void unmapping(void *user, const struct vfu_dma_range *range)
{
	(void)user, (void)range;
	nmapped--;
}

static void begin_server(void)
{
	static const struct vfu_device_hooks hooks = {
		.size = sizeof(hooks), .dma_mapped = mapped, .dma_unmapping = unmapping};
	const uint32_t rw = VFU_REGION_READ | VFU_REGION_WRITE;
	struct vfu_region first = {.size = PAGE, .flags = rw, .access = bar0_access, .fd = -1};
	struct vfu_region third = {.size = PAGE, .flags = rw | VFU_REGION_MMAP, .fd = -1};
	struct vfu_region space = {.size = 256, .flags = rw, .access = config_access, .fd = -1};

	nmapped = 0;
	third.fd = memfd_create("bar2", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(third.fd, PAGE), 0);
	dev = vfu_device_new();
	ck_assert_ptr_nonnull(dev);
	ck_assert_int_eq(vfu_device_set_ids(dev, 0x1234, 0x5678, 0, 0), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 0, &first), 0);
	ck_assert_int_eq(vfu_device_set_region(dev, 2, &third), 0);
	if (keeps_state)
		ck_assert_int_eq(vfu_device_set_region(dev, VFU_REGION_CONFIG, &space), 0);
	ck_assert_int_eq(vfu_device_set_msi(dev, VECTORS), 0);
	ck_assert_int_eq(vfu_device_set_hooks(dev, &hooks, NULL), 0);
	srv = vfu_server_new(dev);
	ck_assert_ptr_nonnull(srv);
	ck_assert_int_eq(vfu_server_listen(srv, inner), 0);
}

static void end_server(void)
{
	vfu_server_free(srv);
	end_hanging();
	ck_assert_int_eq(vfu_device_free(dev), 0);
}

static void restart(void)
{
	end_server();
	begin_server();
}

/* ---- the relay ---- */

static struct {
	int listener, near, far; /* sockets; -1: none */
	long cut;                /* the next connection: so many bytes of answers; -1: all */
	bool is_silent;          /* does not hang up then */
	bool is_over;            /* so it is with those that follow */
	long left;               /* of this one */
	unsigned passed;         /* bytes of its answers */
	unsigned cuts;           /* connections that were cut */
	unsigned most_maps;      /* that came at once */
} relay;

static void hang_up(void)
{
	if (relay.near >= 0)
		close(relay.near);
	if (relay.far >= 0)
		close(relay.far);
	relay.near = relay.far = -1;
}

static int socket_at(const char *at, int (*what)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, at);
	ck_assert_int_eq(what(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void open_relay(void)
{
	relay.near = relay.far = -1;
	relay.cut = -1;
	relay.cuts = 0;
	relay.listener = socket_at(path, bind);
	ck_assert_int_eq(listen(relay.listener, 8), 0);
}

static bool is_readable(int fd)
{
	return fd >= 0 && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1;
}

static void accept_next(void)
{
	hang_up();
	relay.near = accept4(relay.listener, NULL, NULL, SOCK_CLOEXEC);
	relay.far = socket_at(inner, connect);
	relay.left = relay.cut;
	if (!relay.is_over)
		relay.cut = -1;
	relay.passed = 0;
}

static void count_maps(const uint8_t *bytes, size_t len)
{
	struct vfu_wire_header header;
	unsigned n = 0;

	for (; len >= sizeof(header); bytes += header.size, len -= header.size) {
		memcpy(&header, bytes, sizeof(header));
		if (header.size > len || header.command != VFU_WIRE_CMD_DMA_MAP)
			break;
		n++;
	}
	if (n > relay.most_maps)
		relay.most_maps = n;
}

/* What is there, up to most bytes, with its descriptors. 0: the end. */
static size_t pass(int from, int to, size_t most)
{
	static uint8_t bytes[65536];
	struct iovec iov = {bytes, most < sizeof(bytes) ? most : sizeof(bytes)};
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int) * 64)];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.data,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(from, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd;

	if (n <= 0)
		return 0;
	iov.iov_len = (size_t)n;
	if (to == relay.far)
		count_maps(bytes, iov.iov_len);
	if (sendmsg(to, &msg, MSG_NOSIGNAL) != n)
		n = 0;
	for (size_t i = 0; msg.msg_controllen && i < (control.align.cmsg_len - CMSG_LEN(0)) / 4;
	     i++) {
		memcpy(&fd, CMSG_DATA(&control.align) + 4 * i, sizeof(fd));
		close(fd);
	}
	return (size_t)n;
}

static void pass_answers(void)
{
	size_t n = pass(relay.far, relay.near, relay.left < 0 ? SIZE_MAX : (size_t)relay.left);

	relay.passed += (unsigned)n;
	if (relay.left >= 0)
		relay.left -= (long)n;
	if (!n)
		hang_up();
}

/* True: it has moved something. */
static bool run_relay(void)
{
	bool is_silent = relay.left == 0 && relay.is_silent;

	if (is_readable(relay.listener)) {
		accept_next();
	} else if (relay.near >= 0 && relay.left == 0 && !relay.is_silent) {
		relay.cuts++;
		hang_up();
	} else if (is_readable(relay.near)) {
		if (!pass(relay.near, relay.far, SIZE_MAX))
			hang_up();
	} else if (is_readable(relay.far) && !is_silent) {
		pass_answers();
	} else {
		return false;
	}
	return true;
}

/* ---- all that is not the client ---- */

static bool run_server(void)
{
	struct pollfd pfds[4];
	int n = vfu_server_pollfds(srv, pfds, 4);
	bool is_busy = poll(pfds, (nfds_t)n, 0) > 0 || vfu_server_timeout(srv) == 0;

	ck_assert_int_ge(vfu_server_process(srv, 0), 0);
	return is_busy;
}

static void work(void)
{
	static bool is_working;

	if (is_working)
		return;
	is_working = true;
	for (unsigned idle = 0; idle < 2; idle++)
		while (run_server() || run_relay())
			idle = 0;
	is_working = false;
}

/* ---- the client ---- */

static struct vfu_client *cl;
static uint8_t ram[PAGE];
static int eventfds[VECTORS];
static struct vfu_link lost, restored, ended;
static unsigned nlost, nrestored, nended, replayed;
static void (*when_lost)(void), (*when_restored)(void);
static char events[16]; /* one letter each */

static void told(void *user, const struct vfu_link *link)
{
	size_t n = strlen(events);

	(void)user;
	if (n + 1 < sizeof(events))
		events[n] = "LRE"[link->event];
	switch (link->event) {
	case VFU_LINK_LOST:
		lost = *link;
		nlost++;
		if (when_lost)
			when_lost();
		break;
	case VFU_LINK_RESTORED:
		restored = *link;
		replayed = relay.passed;
		nrestored++;
		if (when_restored)
			when_restored();
		break;
	case VFU_LINK_ENDED:
		ended = *link;
		nended++;
		break;
	}
}

static void setup(void)
{
	strcpy(dir, "/tmp/vfu-comeback-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/relay", dir);
	snprintf(inner, sizeof(inner), "%s/server", dir);
	nlost = nrestored = nended = 0;
	when_lost = when_restored = NULL;
	memset(events, 0, sizeof(events));
	keeps_state = relay.is_silent = relay.is_over = false;
	memset(config, 0, sizeof(config));
	fault_virtual_time(true);
	fault_on_sleep(work);
	begin_server();
	open_relay();
	for (unsigned i = 0; i < VECTORS; i++)
		eventfds[i] = passed_eventfd(EFD_NONBLOCK | EFD_CLOEXEC);
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	vfu_client_set_link(cl, told, NULL);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_RECONNECT_MS, 60000), 0);
}

static void teardown(void)
{
	vfu_client_free(cl);
	fault_on_sleep(NULL);
	hang_up();
	close(relay.listener);
	end_server();
	for (unsigned i = 0; i < VECTORS; i++)
		close(eventfds[i]);
	unlink(path);
	rmdir(dir);
	fault_virtual_time(false);
}

static void connect_to(const char *address)
{
	ck_assert_int_eq(vfu_client_connect(cl, address), 0);
}

/* Memory that the device reaches by message, and by file; interrupts. */
static void set_up_device(void)
{
	const unsigned rw = VFU_DMA_READ | VFU_DMA_WRITE;
	int fd = memfd_create("shared", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, PAGE), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, RAM, PAGE, rw, ram, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, SHARED, PAGE, rw, NULL, fd, 0), 0);
	close(fd);
	ck_assert_int_eq(vfu_client_irq_set_eventfds(cl, VFU_IRQ_MSI, 0, VECTORS, eventfds), 0);
}

/* The first request that is none of a connection that has ended. */
static void settle(void)
{
	uint32_t value = 0;
	int ret;

	do {
		ret = vfu_client_region_read(cl, 0, ANSWER, &value, 4);
		ck_assert(ret == 0 || ret == -ENOTCONN);
		ck_assert_uint_eq(nended, 0);
	} while (ret);
	ck_assert_uint_eq(value, 42);
}

static void check_all(uint32_t value)
{
	uint64_t count;

	ck_assert_uint_eq(nmapped, 2);
	ck_assert_int_eq(vfu_client_region_write(cl, 0, KICK, &value, 4), 0);
	ck_assert_int_eq(vfu_client_irq_wait(cl, eventfds[0], -1, &count), 1);
	ck_assert_uint_eq(count, 1);
	ck_assert_mem_eq(ram, &value, 4);
}

static void store(void *user, int status)
{
	*(int *)user = status;
}

/* ---- servers that die ---- */

/*
 * After each byte of what the server answers to a client that comes again: VERSION, what the device is, bus mastering,
 * memory, interrupts (on a slow machine not each of the last ones). That attempt fails; the next one is whole. What was on its way before is -ENOTCONN, once.
 */
START_TEST(cut_at_each_byte)
{
	const time_t end = time(NULL) + 10;
	const bool is_all = getenv("FULL");
	unsigned n = 0, all;

	connect_to(path);
	set_up_device();
	check_all(1);
	hang_up();
	settle();
	all = replayed;
	ck_assert_uint_gt(all, 500);
	for (; n < all; n += is_all || time(NULL) < end ? 1 : 16) {
		unsigned before = nrestored, cuts = relay.cuts;
		uint32_t value;
		int status = 1;

		ck_assert_int_eq(
			vfu_client_region_read_async(cl, 0, HANG, &value, 4, store, &status), 0);
		work();
		relay.cut = (long)n;
		hang_up();
		settle();
		ck_assert_int_eq(status, -ENOTCONN);
		ck_assert_uint_eq(relay.cuts, cuts + 1);
		ck_assert_uint_eq(nrestored, before + 1);
		ck_assert_uint_eq(nlost, before + 1);
		ck_assert_uint_eq(restored.attempts, 2);
		check_all(n);
	}
}
END_TEST

/* A server that answers no more from some byte on, to a client that waits for ever for an answer: not to come again. */
START_TEST(silent_at_some_bytes)
{
	uint32_t value;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 0), 0);
	connect_to(path);
	set_up_device();
	hang_up();
	settle();
	nlost = nrestored = 0;
	relay.cut = replayed * _i / 5;
	relay.is_silent = true;
	hang_up();
	while (!nended)
		ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	ck_assert_int_eq(ended.cause.code, -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(ended.cause.text, "no answer"));
	ck_assert_uint_eq(nrestored, 0);
	ck_assert_uint_eq(nlost, 1);
}
END_TEST

/* Servers that all die: they are tried until the time is up, four times in a second. */
START_TEST(dead_ever_after)
{
	uint32_t value;

	connect_to(path);
	set_up_device();
	relay.cut = 100 * _i;
	relay.is_over = true;
	hang_up();
	while (!nended)
		ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	ck_assert_str_eq(events, "LE");
	ck_assert_int_eq(ended.cause.code, -ENOTCONN);
	ck_assert_uint_ge(ended.attempts, 60 * 4 - 8);
	ck_assert_uint_le(ended.attempts, 60 * 4 + 8);
}
END_TEST

/* Who looks after his client when the time is up finds a server that is there. */
START_TEST(late_caller)
{
	uint32_t value;

	connect_to(path);
	set_up_device();
	hang_up();
	ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	fault_advance(UINT64_C(100) * 1000000000);
	settle();
	ck_assert_str_eq(events, "LR");
	check_all(1);
}
END_TEST

/* ---- what is told ---- */

static void lose_again(void)
{
	uint32_t value;

	when_restored = NULL;
	restart();
	ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	ck_assert_str_eq(events, "LR");
}

/* What happens while the user's function runs is told when it has returned. */
START_TEST(one_event_at_a_time)
{
	connect_to(inner);
	when_restored = lose_again;
	restart();
	settle();
	ck_assert_str_eq(events, "LRLR");
}
END_TEST

static void fail_otherwise(void)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPTIONS, 0), -EINVAL);
}

/* What its calls say is not what the call says in which it was told. */
START_TEST(each_has_an_error_of_its_own)
{
	struct vfu_err err;
	uint32_t value;

	connect_to(inner);
	when_lost = fail_otherwise;
	restart();
	ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	ck_assert_str_eq(events, "L");
	vfu_client_err(cl, &err);
	ck_assert_int_eq(err.code, -ENOTCONN);
}
END_TEST

static void read_all(void)
{
	ck_assert_int_eq(vfu_client_set_reader(cl, true), 0);
}

static void *read_elsewhere(void *ret)
{
	uint32_t value;
	struct vfu_client_access access = {.size = sizeof(access),
					   .offset = ANSWER,
					   .buf = &value,
					   .len = 4,
					   .timeout_ms = 1000};

	*(int *)ret = vfu_client_region_access(cl, &access);
	return NULL;
}

/* The connection that it is told of has its reader, too: nobody else reads. */
START_TEST(reader_of_the_next)
{
	pthread_t thread;
	int ret = 0;

	connect_to(inner);
	when_restored = read_all;
	restart();
	settle();
	ck_assert_int_eq(pthread_create(&thread, NULL, read_elsewhere, &ret), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(ret, -ETIMEDOUT);
	settle();
}
END_TEST

/* A call that asks more than one thing goes by one connection: nobody makes another as long as it has that. */
START_TEST(inside_of_a_call)
{
	struct vfui_kept_region *region;
	struct vfu_err err;
	uint64_t since;
	uint32_t value;
	int ret;
	struct vfui_conn *conn;

	connect_to(inner);
	conn = vfui_client_begin(cl, true, &ret);
	ck_assert_ptr_nonnull(conn);
	restart();
	ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	since = vfui_os_now();
	ck_assert_int_eq(vfui_client_region(cl, conn, 0, &region), -ENOTCONN);
	atomic_store(&cl->is_master, false);
	ck_assert_int_eq(vfui_client_use_master(cl, conn, &err), -ENOTCONN);
	ck_assert_uint_eq(vfui_os_now(), since);
	ck_assert_int_eq(vfui_client_end(cl, -ENOTCONN, NULL), -ENOTCONN);
	settle();
}
END_TEST

/* A server may agree to vectors that no device can have. */
START_TEST(vectors_beyond_all)
{
	connect_to(inner);
	vfui_recall_mask(cl, VFU_IRQ_MSI, UINT32_MAX, 1, NULL, true);
	vfui_recall_mask(cl, VFU_IRQ_MSI, 1, UINT32_MAX, NULL, true);
	ck_assert_int_eq(vfui_recall_eventfds(cl, 0, VFU_IRQ_MSI, UINT32_MAX, 1, eventfds),
			 -ENOSPC);
	restart();
	settle();
}
END_TEST

static void give_up(void)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_RECONNECT_MS, 0), 0);
	lose_again();
}

/* The end, too; and with it all is over, although there is a server. */
START_TEST(the_end_comes_last)
{
	uint32_t value;

	connect_to(inner);
	when_restored = give_up;
	restart();
	while (!nended)
		ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, ANSWER, &value, 4), -ENOTCONN);
	ck_assert_str_eq(events, "LRLE");
}
END_TEST

static void disconnect_it(void)
{
	lose_again();
	ck_assert_int_eq(vfu_client_disconnect(cl), 0);
}

/* Who disconnects is told nothing more. */
START_TEST(nothing_after_the_end)
{
	uint32_t value;

	connect_to(inner);
	when_restored = disconnect_it;
	restart();
	while (vfu_client_status(cl) != -ENOTCONN)
		vfu_client_region_read(cl, 0, ANSWER, &value, 4);
	ck_assert_str_eq(events, "LR");
	connect_to(inner);
	settle();
	ck_assert_str_eq(events, "LR");
}
END_TEST

/* ---- what is known of the device ---- */

static void check_state(enum vfu_device_state state)
{
	uint16_t command = 0;

	restart();
	settle();
	ck_assert_int_eq(restored.state, state);
	ck_assert_int_eq(vfu_client_region_read(cl, VFU_REGION_CONFIG, 4, &command, 2), 0);
	if (state != VFU_DEVICE_STATE_UNKNOWN)
		ck_assert_uint_eq(le16toh(command) & 4, 4);
}

/* A device that lives through it keeps bus mastering; one that is reset has lost it, and gets it again. */
START_TEST(device_that_lives_on)
{
	keeps_state = true;
	restart();
	connect_to(inner);
	set_up_device();
	check_state(VFU_DEVICE_STATE_KEPT);
	check_state(VFU_DEVICE_STATE_KEPT);
	memset(config, 0, sizeof(config));
	check_state(VFU_DEVICE_STATE_LOST);
	check_state(VFU_DEVICE_STATE_KEPT);
	/* The user has reset it: bus mastering is off, and so it tells nothing. */
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	check_state(VFU_DEVICE_STATE_UNKNOWN);
}
END_TEST

START_TEST(device_without_bus_mastering)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 0), 0);
	connect_to(inner);
	set_up_device();
	check_state(VFU_DEVICE_STATE_UNKNOWN);
}
END_TEST

/* ---- with other features ---- */

static void post_reads(void)
{
	uint32_t value;

	ck_assert_int_eq(vfu_client_region_read(cl, 2, 0, &value, 4), 0);
	ck_assert_uint_eq(value, 0);
	ck_assert_int_eq(vfu_client_region_write(cl, 2, 0, "abcd", 4), 0);
}

/* Each connection has mappings of its own: those of the last one are another device's memory. */
START_TEST(mapped_regions)
{
	struct vfu_region_info info;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAPPED, 1), 0);
	connect_to(inner);
	for (unsigned i = 0; i < 3; i++) {
		post_reads();
		ck_assert_mem_eq(vfu_device_region_memory(dev, 2), "abcd", 4);
		when_restored = i ? post_reads : NULL;
		restart();
		settle();
		if (i)
			ck_assert_mem_eq(vfu_device_region_memory(dev, 2), "abcd", 4);
		memset(vfu_device_region_memory(dev, 2), 0, 4);
		ck_assert_int_eq(vfu_client_region_info(cl, 2, &info), 0);
		vfu_region_info_fini(&info);
	}
}
END_TEST

START_TEST(twin_socket)
{
	uint64_t is_twin = 0;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TWIN_SOCKET, 1), 0);
	connect_to(_i ? path : inner);
	set_up_device();
	for (unsigned i = 1; i < 5; i++) {
		check_all(i);
		ck_assert_int_eq(vfu_client_agreed(cl, "twin_socket.supported", &is_twin), 0);
		ck_assert_uint_eq(is_twin, 1);
		if (_i)
			relay.cut = 100 * i;
		restart();
		settle();
		ck_assert_uint_eq(nrestored, i);
	}
}
END_TEST

/* Thousands of ranges go many at once, unless the server or the user wants it otherwise. */
START_TEST(many_ranges)
{
	enum { RANGES = 1000 };

	if (_i == 1)
		ck_assert_int_eq(vfu_client_set_profile(cl, "one-at-a-time"), 0);
	if (_i == 2)
		ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAX_REQUESTS, 1), 0);
	connect_to(path);
	for (unsigned i = 0; i < RANGES; i++)
		ck_assert_int_eq(vfu_client_dma_map(cl, (uint64_t)(RANGES - i) * 2 * PAGE, PAGE,
						    VFU_DMA_READ, ram, -1, 0),
				 0);
	for (unsigned i = 1; i < 4; i++) {
		relay.cut = i == 1 ? 1500 : -1; /* in the middle of them */
		relay.most_maps = 0;
		restart();
		settle();
		ck_assert_uint_eq(nmapped, RANGES);
		ck_assert_uint_eq(nrestored, i);
		if (_i)
			ck_assert_uint_eq(relay.most_maps, 1);
		else
			ck_assert_uint_gt(relay.most_maps, 16);
	}
}
END_TEST

/* ---- again and again ---- */

static unsigned count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned n = 0;

	ck_assert_ptr_nonnull(tasks);
	while (readdir(tasks))
		n++;
	closedir(tasks);
	return n;
}

/* 10,000 new servers; with a slow machine (valgrind, a sanitizer) as many as there are in a few seconds. */
START_TEST(restarts_leave_nothing)
{
	const time_t end = time(NULL) + 3;
	const bool is_all = getenv("FULL");
	unsigned fds = 0, threads = 0, n;
	long blocks = 0;

	connect_to(inner);
	set_up_device();
	for (n = 0; n < 10000 && (is_all || time(NULL) < end); n++) {
		if (n == 10) {
			check_all(n);
			fds = leaks_open_fds();
			threads = count_threads();
			blocks = fault_blocks();
		}
		restart();
		settle();
	}
	check_all(n);
	ck_assert_uint_eq(nlost, n);
	ck_assert_uint_eq(nrestored, n);
	ck_assert_uint_eq(leaks_open_fds(), fds);
	ck_assert_uint_eq(count_threads(), threads);
	ck_assert_int_eq(fault_blocks(), blocks);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("comeback");
	TCase *tcase = tcase_create("comeback");

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, cut_at_each_byte);
	tcase_add_loop_test(tcase, silent_at_some_bytes, 0, 5);
	tcase_add_loop_test(tcase, dead_ever_after, 0, 2);
	tcase_add_test(tcase, late_caller);
	tcase_add_test(tcase, one_event_at_a_time);
	tcase_add_test(tcase, each_has_an_error_of_its_own);
	tcase_add_test(tcase, reader_of_the_next);
	tcase_add_test(tcase, inside_of_a_call);
	tcase_add_test(tcase, vectors_beyond_all);
	tcase_add_test(tcase, the_end_comes_last);
	tcase_add_test(tcase, nothing_after_the_end);
	tcase_add_test(tcase, device_that_lives_on);
	tcase_add_test(tcase, device_without_bus_mastering);
	tcase_add_test(tcase, mapped_regions);
	tcase_add_loop_test(tcase, twin_socket, 0, 2);
	tcase_add_loop_test(tcase, many_ranges, 0, 3);
	tcase_add_test(tcase, restarts_leave_nothing);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
