/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-client.c - the client against servers made by hand, most of them hostile.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/lacks.h"
#include "../../lib/leaks.h"
#include "../../lib/script.h"
#include "../../lib/suite.h"

static struct script far;
static struct vfu_client *cl;
static uint8_t data[65536];

static void setup(void)
{
	memset(&far, 0, sizeof(far));
	cl = vfu_client_new();
	ck_assert_ptr_nonnull(cl);
	/* Messages of its own accord are for the tests of that. */
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 0), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + i / 256);
}

static void teardown(void)
{
	vfu_client_free(cl);
}

/* Ends our side and the script. */
static void finish(void)
{
	vfu_client_disconnect(cl);
	script_join(&far);
}

static const char *last_text(void)
{
	static struct vfu_err err;

	vfu_client_err(cl, &err);
	return err.text;
}

/* ---- connecting ---- */

static void only_version(struct script *s)
{
	script_version(s);
	script_end(s);
}

START_TEST(connects)
{
	struct vfu_client_limits limits;
	int fds[2];

	ck_assert_int_eq(vfu_client_status(cl), -ENOTCONN);
	script_connect(&far, cl, only_version);
	ck_assert_int_eq(vfu_client_status(cl), 0);
	ck_assert_int_eq(vfu_client_limits(cl, &limits), 0);
	ck_assert_uint_eq(limits.max_msg_fds, 4);
	ck_assert_uint_eq(limits.max_data_xfer_size, 4096);
	ck_assert_uint_eq(limits.max_dma_maps, 100);
	ck_assert_uint_eq(limits.pgsizes, 4096);
	ck_assert(!limits.write_multiple && !limits.twin_socket);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(vfu_client_attach(cl, fds[0]), -EISCONN);
	close(fds[1]);
	finish();
	ck_assert_int_eq(vfu_client_status(cl), -ENOTCONN);
	ck_assert_int_eq(vfu_client_reset(cl), -ENOTCONN);
	ck_assert_int_eq(vfu_client_limits(cl, &limits), -ENOTCONN);
	script_connect(&far, cl, only_version);
	finish();
}
END_TEST

static void version_error(struct script *s)
{
	script_get(s, VFU_WIRE_CMD_VERSION);
	script_error(s, EINVAL);
	script_end(s);
}

static void version_major(struct script *s)
{
	uint16_t payload[2] = {1, 0};

	script_get(s, VFU_WIRE_CMD_VERSION);
	script_reply(s, payload, sizeof(payload));
	script_end(s);
}

static void version_short(struct script *s)
{
	script_get(s, VFU_WIRE_CMD_VERSION);
	script_reply(s, "\0\0", 2);
	script_end(s);
}

static void version_json(struct script *s)
{
	s->json = "{\"capabilities\":{\"max_data_xfer_size\":-1}}";
	only_version(s);
}

static void version_id(struct script *s)
{
	script_get(s, VFU_WIRE_CMD_VERSION);
	for (unsigned i = 0; i < 65; i++)
		peer_put(s->fd, (uint16_t)(s->msg.hdr.id + 1 + i), VFU_WIRE_CMD_VERSION, 1, 0,
			 "\0\0\0\0", 4);
	script_end(s);
}

static void version_silence(struct script *s)
{
	script_get(s, VFU_WIRE_CMD_VERSION);
	script_end(s);
}

static void version_hangup(struct script *s)
{
	(void)s;
}

static void (*const bad_versions[])(struct script *) = {
	version_error, version_major,  version_short,   version_json,
	version_id,    version_hangup, version_silence,
};

START_TEST(bad_version)
{
	int fd, ret;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 300), 0);
	fd = script_start(&far, bad_versions[_i]);
	ret = vfu_client_attach(cl, fd);
	ck_assert_int_lt(ret, 0);
	ck_assert_str_ne(last_text(), "");
	ck_assert_int_eq(vfu_client_status(cl), -ENOTCONN);
	script_join(&far);
}
END_TEST

static void gives_fds(struct script *s)
{
	int fd = peer_fd();

	script_version(s);
	for (unsigned i = 0; i < 2; i++) {
		script_get(s, i ? VFU_WIRE_CMD_REGION_READ : VFU_WIRE_CMD_RESET);
		memset(s->msg.payload + 16, 0, 4);
		script_reply_fds(s, s->msg.payload, i ? 20 : 0, (int[]){fd, fd}, 2);
	}
	close(fd);
	script_end(s);
}

/* Descriptors with a reply that has none are closed (E50). */
START_TEST(fds_nobody_asked_for)
{
	script_connect(&far, cl, gives_fds);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, data, 4), 0);
	finish();
}
END_TEST

static void bare_version(struct script *s)
{
	uint16_t payload[2] = {0, 0};

	script_get(s, VFU_WIRE_CMD_VERSION);
	script_reply(s, payload, sizeof(payload));
	script_end(s);
}

/* E15: no JSON at all is lawful; the defaults hold. */
START_TEST(version_without_json)
{
	struct vfu_client_limits limits;

	script_connect(&far, cl, bare_version);
	ck_assert_int_eq(vfu_client_limits(cl, &limits), 0);
	ck_assert_uint_eq(limits.max_msg_fds, 1);
	ck_assert_uint_eq(limits.max_data_xfer_size, 1 << 20);
	finish();
}
END_TEST

/* Nothing is a feature that we did not ask for, and no limit is larger than we can use. */
START_TEST(version_with_too_much)
{
	struct vfu_client_limits limits;

	far.json = "{\"capabilities\":{\"max_data_xfer_size\":4294967295,"
		   "\"twin_socket\":{\"supported\":false}}}";
	script_connect(&far, cl, only_version);
	ck_assert_int_eq(vfu_client_limits(cl, &limits), 0);
	ck_assert_uint_eq(limits.max_data_xfer_size, 16 << 20);
	ck_assert(!limits.twin_socket);
	finish();
}
END_TEST

static void huge_reply(struct script *s)
{
	struct vfu_wire_header hdr = {.command = VFU_WIRE_CMD_RESET, .size = 64 << 20, .flags = 1};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_RESET);
	hdr.id = s->msg.hdr.id;
	peer_send(s->fd, &hdr, sizeof(hdr), NULL, 0);
	script_end(s);
}

/* However much it says that it takes, no server has us keep room for gigabytes. */
START_TEST(huge_reply_ends_it)
{
	far.json = "{\"capabilities\":{\"max_data_xfer_size\":4294967295}}";
	script_connect(&far, cl, huge_reply);
	ck_assert_int_eq(vfu_client_reset(cl), -EPROTO);
	ck_assert_int_eq(vfu_client_status(cl), -EPROTO);
	finish();
}
END_TEST

START_TEST(options_are_checked)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAX_MSG_FDS, 0), -EINVAL);
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPTIONS, 1), -EINVAL);
	ck_assert_int_eq(vfu_client_set_policy(cl, "no_such_thing", "x"), -ENOENT);
	ck_assert_str_eq(last_text(), "there is no policy 'no_such_thing'");
	ck_assert_int_eq(vfu_client_set_policy(cl, "minor", "x"), -EINVAL);
	ck_assert_str_eq(last_text(), "policy minor can not be 'x'");
	ck_assert_int_eq(vfu_client_set_policy(cl, "minor", "zero"), 0);
	ck_assert_int_eq(vfu_client_set_profile(cl, "x"), -ENOENT);
	ck_assert_ptr_nonnull(
		strstr(last_text(), "no profile 'x', only default, strict, libvfio-user"));
	ck_assert_int_eq(vfu_client_set_profile(cl, "strict"), 0);
	ck_assert_int_lt(vfu_client_connect(cl, "/nonexistent/socket"), 0);
	ck_assert_str_ne(last_text(), "");
	vfu_client_free(NULL);
	vfu_region_info_fini(NULL);
}
END_TEST

/* ---- simple answers ---- */

static void answers_info(struct script *s)
{
	uint32_t info[4] = {16, 3, 9, 5}, irq[4] = {16, 5, 2, 32};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_INFO);
	ck_assert_uint_eq(s->msg.hdr.size, 32);
	ck_assert_uint_eq(script_u32(s, 0), 16);
	script_reply(s, info, sizeof(info));
	script_get(s, VFU_WIRE_CMD_GET_IRQ_INFO);
	ck_assert_uint_eq(script_u32(s, 8), 2);
	script_reply(s, irq, sizeof(irq));
	script_get(s, VFU_WIRE_CMD_RESET);
	ck_assert_uint_eq(s->msg.hdr.size, 16);
	script_reply(s, NULL, 0);
	script_get(s, VFU_WIRE_CMD_RESET);
	script_error(s, EBUSY);
	script_get(s, VFU_WIRE_CMD_RESET);
	script_error(s, 0);
	script_end(s);
}

START_TEST(asks_the_device)
{
	struct vfu_device_info info;
	struct vfu_irq_info irq;

	script_connect(&far, cl, answers_info);
	ck_assert_int_eq(vfu_client_device_info(cl, &info), 0);
	ck_assert(info.pci && info.reset);
	ck_assert_uint_eq(info.num_regions, 9);
	ck_assert_uint_eq(info.num_irqs, 5);
	ck_assert_int_eq(vfu_client_irq_info(cl, 2, &irq), 0);
	ck_assert_uint_eq(irq.flags, VFU_IRQ_EVENTFD | VFU_IRQ_AUTOMASKED);
	ck_assert_uint_eq(irq.count, 32);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_int_eq(vfu_client_reset(cl), -EBUSY);
	ck_assert_int_eq(vfu_client_reset(cl), -EIO); /* E26 */
	ck_assert_int_eq(vfu_client_status(cl), 0);
	finish();
}
END_TEST

/* Which of the server's numbers is one too large; 3: none is. */
static unsigned too_large;

static void sends_counts(struct script *s)
{
	uint32_t info[4] = {16, 3, 256 + (too_large == 0), 64 + (too_large == 1)};
	uint32_t irq[4] = {16, 1, 2, 2048 + (too_large == 2)};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_INFO);
	script_reply(s, info, sizeof(info));
	if (too_large >= 2) {
		script_get(s, VFU_WIRE_CMD_GET_IRQ_INFO);
		script_reply(s, irq, sizeof(irq));
	}
	script_end(s);
}

static void sends_descriptors(struct script *s)
{
	const uint32_t info[4] = {16, 3, 9, 5};
	int fds[17];

	for (unsigned i = 0; i < 17; i++)
		fds[i] = s->fd;
	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_INFO);
	script_reply_fds(s, info, sizeof(info), fds, too_large ? 17 : 16);
	script_end(s);
}

/* What we say that we take (max_msg_fds, 16) is closed where it is of no use; more breaks a rule. */
START_TEST(replies_with_too_many_descriptors)
{
	struct vfu_device_info info;
	struct vfu_err err;

	for (too_large = 0; too_large < 2; too_large++) {
		script_connect(&far, cl, sends_descriptors);
		ck_assert_int_eq(vfu_client_device_info(cl, &info), too_large ? -EPROTO : 0);
		ck_assert_int_eq(vfu_client_status(cl), too_large ? -EPROTO : 0);
		vfu_client_err(cl, &err);
		if (too_large)
			ck_assert_str_eq(
				err.text,
				"get_info.fds: a reply with 17 descriptors breaks the rule: "
				"is at most max_msg_fds, which is 16");
		finish();
	}
}
END_TEST

/* A server that says how much of everything there is does not say how much memory we use. */
START_TEST(counts_are_bounded)
{
	static const char *const fields[] = {"get_info.num_regions", "get_info.num_irqs",
					     "get_irq_info.count", ""};
	struct vfu_device_info info;
	struct vfu_irq_info irq;
	struct vfu_err err;

	for (too_large = 0; too_large < 4; too_large++) {
		script_connect(&far, cl, sends_counts);
		ck_assert_int_eq(vfu_client_device_info(cl, &info), too_large < 2 ? -EPROTO : 0);
		if (too_large >= 2)
			ck_assert_int_eq(vfu_client_irq_info(cl, 2, &irq),
					 too_large == 2 ? -EPROTO : 0);
		if (too_large < 3) {
			vfu_client_err(cl, &err);
			ck_assert_str_eq(err.field, fields[too_large]);
			ck_assert_ptr_nonnull(strstr(err.text, "at most"));
			ck_assert_int_eq(vfu_client_status(cl), -EPROTO);
		}
		finish();
	}
	ck_assert_uint_eq(info.num_regions, 256);
	ck_assert_uint_eq(irq.count, 2048);
}
END_TEST

static void short_info(struct script *s)
{
	uint32_t info[3] = {12, 3, 9};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_INFO);
	script_reply(s, info, sizeof(info));
	script_end(s);
}

/* What breaks the protocol ends the connection, and the status says why (E48, E65). */
START_TEST(short_reply_ends_it)
{
	struct vfu_device_info info;

	script_connect(&far, cl, short_info);
	ck_assert_int_lt(vfu_client_device_info(cl, &info), 0);
	ck_assert_int_eq(vfu_client_status(cl), -EPROTO);
	ck_assert_ptr_nonnull(strstr(last_text(), "get_info"));
	ck_assert_int_lt(vfu_client_reset(cl), 0);
	script_join(&far);
	/* A failed connection makes way for a new one. */
	script_connect(&far, cl, only_version);
	ck_assert_int_eq(vfu_client_status(cl), 0);
	finish();
}
END_TEST

static const uint32_t irq_info[4] = {16, 1, 4, 2};

static void answers_another(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_IRQ_INFO);
	script_reply(s, irq_info, sizeof(irq_info));
	script_end(s);
}

/* Answers are held to their check whoever asked; the caller is told which field breaks which rule. */
START_TEST(wrong_answer_to_a_call)
{
	uint32_t in[4] = {16, 0, 3, 0};
	struct vfu_call call = {.size = sizeof(call),
				.command = VFU_WIRE_CMD_GET_IRQ_INFO,
				.request = in,
				.request_len = sizeof(in)};
	struct vfu_err err;

	script_connect(&far, cl, answers_another);
	ck_assert_int_eq(vfu_client_call(cl, &call), -EPROTO);
	vfu_client_err(cl, &err);
	ck_assert_str_eq(err.field, "get_irq_info.index");
	ck_assert_ptr_nonnull(strstr(err.text, "equals the request's index"));
	ck_assert_ptr_null(call.reply_owner);
	ck_assert_int_eq(vfu_client_status(cl), -EPROTO);
	finish();
}
END_TEST

static void answers_with_fds(struct script *s)
{
	int fds[2] = {0, 0};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_IRQ_INFO);
	ck_assert_uint_eq(s->nfds, 0);
	script_reply_fds(s, irq_info, sizeof(irq_info), fds, 2);
	script_get(s, 777);
	ck_assert_uint_eq(s->nfds, 3);
	script_reply_fds(s, NULL, 0, fds, 2);
	script_get(s, 777);
	script_error(s, ENOENT);
	script_end(s);
}

/* Those of a message that has none are closed; of an unknown one nobody knows. */
START_TEST(descriptors_of_a_call)
{
	uint32_t in[4] = {16, 0, 4, 0};
	int fds[3] = {0, 1, 2};
	struct vfu_call call = {.size = sizeof(call),
				.command = VFU_WIRE_CMD_GET_IRQ_INFO,
				.request = in,
				.request_len = sizeof(in)};

	script_connect(&far, cl, answers_with_fds);
	ck_assert_int_eq(vfu_client_call(cl, &call), 0);
	ck_assert_uint_eq(call.reply_nfds, 0);
	ck_assert_mem_eq(call.reply, irq_info, sizeof(irq_info));
	vfu_call_fini(&call);
	vfu_call_fini(&call);
	call = (struct vfu_call){.size = sizeof(call), .command = 777, .fds = fds, .nfds = 3};
	ck_assert_int_eq(vfu_client_call(cl, &call), 0);
	ck_assert_uint_eq(call.reply_nfds, 2);
	ck_assert_int_eq(close(call.reply_fds[0]), 0);
	call.reply_fds[0] = -1;
	vfu_call_fini(&call);
	call.nfds = 0;
	ck_assert_int_eq(vfu_client_call(cl, &call), -ENOENT);
	ck_assert_ptr_null(call.reply_owner);
	finish();
}
END_TEST

static void hangs_up(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_RESET);
}

START_TEST(peer_dies_in_a_call)
{
	script_connect(&far, cl, hangs_up);
	ck_assert_int_eq(vfu_client_reset(cl), -ENOTCONN);
	ck_assert_int_eq(vfu_client_status(cl), -ENOTCONN);
	ck_assert_ptr_nonnull(strstr(last_text(), "closed"));
	script_join(&far);
}
END_TEST

/* ---- region info ---- */

struct info {
	uint32_t argsz, flags, index, cap_offset;
	uint64_t size, offset;
	uint8_t caps[96];
};

struct sparse {
	uint16_t id, version;
	uint32_t next, nr_areas, reserved;
	uint64_t area[4];
};

static struct info answer;
static size_t answer_len;
static int answer_fds[3];
static unsigned answer_nfds;
/* With which of two answers it comes; with both, the first one is another. */
static enum { BOTH, FIRST, LAST } fd_comes;

static void sends_info(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_REGION_INFO);
	ck_assert_uint_eq(script_u32(s, 0), 32);
	answer.index = script_u32(s, 8);
	/* The short answer: all but the capabilities, with a descriptor that the next one replaces. */
	if (answer_len > 32) {
		struct info first = answer;
		int fd = fd_comes == FIRST ? dup(answer_fds[0]) : peer_fd();

		first.flags &= ~8u;
		first.cap_offset = 0;
		script_reply_fds(s, &first, 32, &fd, fd_comes != LAST);
		close(fd);
		script_get(s, VFU_WIRE_CMD_GET_REGION_INFO);
		ck_assert_uint_eq(script_u32(s, 0), answer.argsz);
	}
	script_reply_fds(s, &answer, answer_len, answer_fds, fd_comes == FIRST ? 0 : answer_nfds);
	script_end(s);
}

static int file_of(off_t size)
{
	int fd = peer_fd();

	ck_assert_int_eq(ftruncate(fd, size), 0);
	return fd;
}

/* An answer about a region of 64 KiB with two areas, in a file of file_size behind 4 KiB. */
static struct sparse *prepare_info(off_t file_size)
{
	static struct sparse cap;

	answer = (struct info){.flags = 15, .cap_offset = 32, .size = 65536, .offset = 4096};
	cap = (struct sparse){1, 1, 0, 2, 0, {0, 4096, 32768, 8192}};
	answer.argsz = (uint32_t)(answer_len = 32 + sizeof(cap));
	answer_fds[0] = file_of(file_size);
	answer_nfds = 1;
	fd_comes = BOTH;
	return &cap;
}

static int ask_info(struct vfu_region_info *info)
{
	int ret;

	script_connect(&far, cl, sends_info);
	ret = vfu_client_region_info(cl, 2, info);
	finish();
	return ret;
}

START_TEST(region_info_with_areas)
{
	struct vfu_region_info info;
	struct sparse *cap = prepare_info(4096 + 65536);

	memcpy(answer.caps, cap, sizeof(*cap));
	answer_fds[1] = peer_fd();
	answer_fds[2] = peer_fd();
	answer_nfds = 3; /* E14: one is right, more are closed */
	ck_assert_int_eq(ask_info(&info), 0);
	ck_assert_uint_eq(info.size, 65536);
	ck_assert_uint_eq(info.offset, 4096);
	ck_assert_uint_eq(info.flags, VFU_REGION_READ | VFU_REGION_WRITE | VFU_REGION_MMAP);
	ck_assert_uint_eq(info.nareas, 2);
	ck_assert_uint_eq(info.areas[1].offset, 32768);
	ck_assert_uint_eq(info.areas[1].size, 8192);
	ck_assert(peer_fd_is(info.fd, answer_fds[0]));
	vfu_region_info_fini(&info);
	vfu_region_info_fini(&info);
	for (unsigned i = 0; i < 3; i++)
		close(answer_fds[i]);
}
END_TEST

/* Servers differ in which answer the descriptor goes with: either will do (E12, E13). */
START_TEST(region_info_fd_comes_once)
{
	struct vfu_region_info info;

	for (unsigned i = 0; i < 2; i++) {
		struct sparse *cap = prepare_info(4096 + 65536);

		memcpy(answer.caps, cap, sizeof(*cap));
		fd_comes = i ? FIRST : LAST;
		ck_assert_int_eq(ask_info(&info), 0);
		ck_assert(peer_fd_is(info.fd, answer_fds[0]));
		vfu_region_info_fini(&info);
		close(answer_fds[0]);
	}
}
END_TEST

START_TEST(region_info_plain)
{
	struct vfu_region_info info;

	answer = (struct info){.argsz = 32, .flags = 3, .size = 256};
	answer_len = 32;
	answer_nfds = 0;
	ck_assert_int_eq(ask_info(&info), 0);
	ck_assert_int_eq(info.fd, -1);
	ck_assert_uint_eq(info.size, 256);
	vfu_region_info_fini(&info);
}
END_TEST

/* Each spoils one thing of a good answer. */
static void spoil(struct sparse *cap, unsigned how)
{
	switch (how) {
	case 0: /* an area leaves the region */
		cap->area[2] = 65536 - 4096;
		break;
	case 1: /* and wraps */
		cap->area[2] = UINT64_MAX - 4095;
		break;
	case 2: /* more areas than there is room for */
		cap->nr_areas = 3;
		break;
	case 3:
		cap->nr_areas = UINT32_MAX;
		break;
	case 4: /* a chain that bites its tail */
		cap->next = 32;
		break;
	case 5: /* a capability outside of the answer */
		cap->next = 4000;
		break;
	case 6:
		answer.cap_offset = UINT32_MAX - 3;
		break;
	case 7:
		answer.cap_offset = 8;
		break;
	case 8: /* an area of nothing */
		cap->area[3] = 0;
		break;
	case 9: /* no file */
		close(answer_fds[0]);
		answer_nfds = 0;
		break;
	case 10: /* the file ends before the area does (E57) */
		ck_assert_int_eq(ftruncate(answer_fds[0], 4096 + 32768 + 8191), 0);
		break;
	case 11: /* the file ends before the region begins */
		answer.offset = UINT64_MAX - 4095;
		break;
	default: /* never satisfied */
		answer.argsz = 65569;
	}
}

#define SPOILS 13

START_TEST(region_info_spoilt)
{
	struct vfu_region_info info = {.fd = -1};
	struct sparse *cap = prepare_info(4096 + 65536);

	spoil(cap, (unsigned)_i);
	memcpy(answer.caps, cap, sizeof(*cap));
	if (_i == 12)
		answer_len = 32;
	ck_assert_int_lt(ask_info(&info), 0);
	if (answer_nfds)
		close(answer_fds[0]);
}
END_TEST

/* An answer with areas that have files of their own: two areas, and which descriptors they name. */
struct file_areas {
	uint16_t id, version;
	uint32_t next, nr_areas, reserved;
	struct {
		uint64_t offset, fd_offset, size;
		uint32_t fd_index, pad;
	} area[2];
};

static struct file_areas *prepare_files(void)
{
	static struct file_areas cap;

	answer = (struct info){.flags = 15, .cap_offset = 32, .size = 65536};
	cap = (struct file_areas){16, 1, 0, 2, 0, {{0, 8192, 4096, 1, 0}, {32768, 0, 8192, 0, 0}}};
	answer.argsz = (uint32_t)(answer_len = 32 + sizeof(cap));
	answer_fds[0] = file_of(8192);
	answer_fds[1] = file_of(12288);
	answer_fds[2] = peer_fd();
	answer_nfds = 3;
	fd_comes = LAST;
	far.json = "{\"capabilities\":{\"sparse_mmap_fds\":true}}";
	ck_assert_int_eq(vfu_client_set_capability(cl, "sparse_mmap_fds", 1), 0);
	return &cap;
}

static void close_answer(void)
{
	for (unsigned i = 0; i < answer_nfds; i++)
		close(answer_fds[i]);
}

/* E14: with SPARSE_MMAP_FDS each area names its descriptor; those that none names are closed. */
START_TEST(e14_region_info_with_files)
{
	struct vfu_region_info info;
	struct file_areas *cap = prepare_files();

	memcpy(answer.caps, cap, sizeof(*cap));
	ck_assert_int_eq(ask_info(&info), 0);
	ck_assert_int_eq(info.fd, -1);
	ck_assert_uint_eq(info.nareas, 2);
	ck_assert_uint_eq(info.areas[1].offset, 32768);
	ck_assert_uint_eq(info.areas[1].size, 8192);
	ck_assert(peer_fd_is(info.files[0].fd, answer_fds[1]));
	ck_assert_uint_eq(info.files[0].offset, 8192);
	ck_assert(peer_fd_is(info.files[1].fd, answer_fds[0]));
	vfu_region_info_fini(&info);
	vfu_region_info_fini(&info);
	/* Both in one. */
	cap->area[0].fd_index = 0;
	cap->area[0].fd_offset = 0;
	memcpy(answer.caps, cap, sizeof(*cap));
	ck_assert_int_eq(ask_info(&info), 0);
	ck_assert_int_eq(info.files[0].fd, info.files[1].fd);
	vfu_region_info_fini(&info);
	close_answer();
}
END_TEST

/* A server says so only if that was agreed on. */
START_TEST(files_that_nobody_asked_for)
{
	struct vfu_region_info info = {.fd = -1};
	struct file_areas *cap = prepare_files();

	ck_assert_int_eq(vfu_client_set_capability(cl, "sparse_mmap_fds", 0), 0);
	memcpy(answer.caps, cap, sizeof(*cap));
	ck_assert_int_eq(ask_info(&info), -EPROTO);
	close_answer();
}
END_TEST

static void spoil_files(struct file_areas *cap, unsigned how)
{
	switch (how) {
	case 0: /* no such descriptor */
		cap->area[1].fd_index = 3;
		break;
	case 1:
		cap->area[1].fd_index = UINT32_MAX;
		break;
	case 2: /* the file ends before the area does */
		cap->area[1].fd_offset = 4096;
		break;
	case 3:
		cap->area[1].fd_offset = UINT64_MAX - 4095;
		break;
	case 4: /* an area leaves the region */
		cap->area[1].offset = 65536 - 4096;
		break;
	case 5: /* overlaps the other one */
		cap->area[1].offset = 0;
		break;
	case 6:
		cap->area[1].size = 0;
		break;
	case 7:
		cap->nr_areas = 0;
		break;
	case 8:
		cap->nr_areas = UINT32_MAX;
		break;
	default: /* none of them came */
		fd_comes = FIRST;
	}
}

START_TEST(files_spoilt)
{
	struct vfu_region_info info = {.fd = -1};
	struct file_areas *cap = prepare_files();

	spoil_files(cap, (unsigned)_i);
	memcpy(answer.caps, cap, sizeof(*cap));
	ck_assert_int_eq(ask_info(&info), -EPROTO);
	close_answer();
}
END_TEST

/* ---- descriptors that take accesses ---- */

struct io_answer {
	uint32_t argsz, flags, index, count;
	uint8_t entries[144];
};

static struct io_answer io_answer;
static bool io_twice; /* room is short at first */

static void sends_io_fds(struct script *s)
{
	struct info region = {.argsz = 32, .flags = 3, .size = 4096};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_REGION_INFO);
	io_answer.index = region.index = script_u32(s, 8);
	script_reply(s, &region, 32);
	script_get(s, VFU_WIRE_CMD_GET_REGION_IO_FDS);
	if (io_twice) {
		struct io_answer none = {.argsz = 5000, .index = region.index};

		script_reply(s, &none, 16);
		script_get(s, VFU_WIRE_CMD_GET_REGION_IO_FDS);
		ck_assert_uint_eq(script_u32(s, 0), 5000);
	}
	script_reply_fds(s, &io_answer, io_answer.argsz, answer_fds, answer_nfds);
	script_end(s);
}

/* Entries of the text's layout, or of libvfio-user's. */
static void put_entry(unsigned i, size_t stride, const struct vfu_wire_io_fd_shadow *entry)
{
	struct vfu_wire_io_fd_shadow one = *entry;

	if (stride == 40)
		one.shadow_offset = one.datamatch;
	memcpy(io_answer.entries + i * stride, &one, stride);
	io_answer.count = i + 1;
	io_answer.argsz = (uint32_t)(16 + (i + 1) * stride);
}

static int ask_io_fds(struct vfu_io_fds *fds, unsigned nfds)
{
	int ret;

	answer_nfds = nfds;
	for (unsigned i = 0; i < nfds; i++)
		answer_fds[i] = peer_fd();
	script_connect(&far, cl, sends_io_fds);
	ret = vfu_client_io_fds(cl, 2, fds);
	finish();
	return ret;
}

/* E3, E4: both layouts; types that nobody knows are skipped. E5: none is a good answer. */
START_TEST(e3_io_fds_in_both_layouts)
{
	static const struct vfu_wire_io_fd_shadow entries[] = {
		{.gpa_offset = 8, .size = 4, .fd_index = 1, .flags = 1, .datamatch = 7},
		{.gpa_offset = 64, .size = 4, .type = 9},
		{.gpa_offset = 4092,
		 .size = 4,
		 .type = 2,
		 .fd_index = 0,
		 .shadow_mem_fd_index = 1,
		 .shadow_offset = 24}};
	struct vfu_io_fds fds;

	for (size_t stride = 40; stride <= 48; stride += 8) {
		unsigned n = stride == 40 ? 2 : 3;

		for (unsigned i = 0; i < n; i++)
			put_entry(i, stride, &entries[i]);
		io_twice = stride == 48;
		ck_assert_int_eq(ask_io_fds(&fds, 2), 0);
		ck_assert_uint_eq(fds.n, n - 1);
		ck_assert_uint_eq(fds.list[0].offset, 8);
		ck_assert_uint_eq(fds.list[0].size, 4);
		ck_assert_uint_eq(fds.list[0].type, VFU_IO_EVENTFD);
		ck_assert_uint_eq(fds.list[0].flags, VFU_IOEVENT_MATCH);
		ck_assert_uint_eq(fds.list[0].datamatch, 7);
		ck_assert_int_eq(fds.list[0].shadow_fd, -1);
		ck_assert(peer_fd_is(fds.list[0].fd, answer_fds[1]));
		if (n == 3) {
			ck_assert_uint_eq(fds.list[1].type, VFU_IO_SHADOW);
			ck_assert(peer_fd_is(fds.list[1].shadow_fd, answer_fds[1]));
			ck_assert_uint_eq(fds.list[1].shadow_offset, 24);
		}
		vfu_io_fds_fini(&fds);
		vfu_io_fds_fini(&fds);
		close_answer();
	}
	io_twice = false;
	io_answer = (struct io_answer){.argsz = 16};
	ck_assert_int_eq(ask_io_fds(&fds, 0), 0);
	ck_assert_uint_eq(fds.n, 0);
	vfu_io_fds_fini(&fds);
}
END_TEST

/* Each spoils a good entry of 4 bytes at 8. */
static const struct vfu_wire_io_fd_shadow spoilt_entries[] = {
	{.gpa_offset = 4093, .size = 4, .fd_index = 0}, {.gpa_offset = 4096, .size = 0},
	{.gpa_offset = UINT64_MAX - 3, .size = 4},      {.gpa_offset = 8, .size = 4, .fd_index = 1},
	{.gpa_offset = 8, .size = UINT64_MAX},          {.type = 2, .shadow_mem_fd_index = 1},
	{.gpa_offset = 8, .size = 4097, .type = 1},
};

START_TEST(io_fds_spoilt)
{
	struct vfu_io_fds fds;

	io_twice = false;
	put_entry(0, 48, &spoilt_entries[_i]);
	ck_assert_int_eq(ask_io_fds(&fds, 1), -EPROTO);
	vfu_io_fds_fini(&fds);
	close_answer();
}
END_TEST

static void takes_bools(struct script *s)
{
	script_version(s);
	for (unsigned i = 0; i < 3; i++) {
		script_get(s, VFU_WIRE_CMD_SET_IRQS);
		ck_assert_uint_eq(s->msg.hdr.size, 16 + 20 + 3);
		ck_assert_uint_eq(script_u32(s, 0), 23);
		ck_assert_uint_eq(script_u32(s, 4), 2u | 8u << i);
		ck_assert_uint_eq(script_u32(s, 12), 5);
		ck_assert_uint_eq(script_u32(s, 16), 3);
		ck_assert_mem_eq(s->msg.payload + 20, "\1\0\1", 3);
		script_reply(s, NULL, 0);
	}
	script_end(s);
}

/* E34: a byte for each vector, and no others. */
START_TEST(e34_some_vectors_in_one_message)
{
	static const uint8_t which[3] = {1, 0, 1};

	script_connect(&far, cl, takes_bools);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(vfu_client_irq_do(cl, 2, 8u << i, 5, 3, which), 0);
	ck_assert_int_eq(vfu_client_irq_do(cl, 2, 4, 5, 3, which), -EINVAL);
	ck_assert_int_eq(vfu_client_irq_do(cl, 2, 40, 5, 3, which), -EINVAL);
	ck_assert_int_eq(vfu_client_irq_do(cl, 2, VFU_IRQ_DO_MASK, 5, 0, which), -EINVAL);
	finish();
}
END_TEST

/* ---- regions ---- */

static void moves_data(struct script *s)
{
	static const uint32_t pieces[] = {4096, 4096, 1808};
	uint8_t reply[16 + 4096];

	script_version(s);
	for (unsigned i = 0; i < 3; i++) {
		script_get(s, VFU_WIRE_CMD_REGION_READ);
		ck_assert_uint_eq(script_u64(s, 0), 100 + 4096 * i);
		ck_assert_uint_eq(script_u32(s, 12), pieces[i]);
		memcpy(reply, s->msg.payload, 16);
		memcpy(reply + 16, data + 4096 * i, pieces[i]);
		script_reply(s, reply, 16 + pieces[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		script_get(s, VFU_WIRE_CMD_REGION_WRITE);
		ck_assert_uint_eq(s->msg.hdr.flags, 0);
		ck_assert_uint_eq(s->msg.hdr.size, 32 + pieces[i]);
		ck_assert_int_eq(memcmp(s->msg.payload + 16, data + 4096 * i, pieces[i]), 0);
		script_reply(s, s->msg.payload, 16);
	}
	script_end(s);
}

START_TEST(access_is_split)
{
	uint8_t buf[10000] = {0};

	script_connect(&far, cl, moves_data);
	ck_assert_int_eq(vfu_client_region_read(cl, 1, 100, buf, sizeof(buf)), 0);
	ck_assert_int_eq(memcmp(buf, data, sizeof(buf)), 0);
	ck_assert_int_eq(vfu_client_region_write(cl, 1, 100, buf, sizeof(buf)), 0);
	ck_assert_int_eq(vfu_client_region_read(cl, 1, 0, buf, 0), 0);
	finish();
}
END_TEST

/* Replies to a read of 8 bytes that each lie in one thing. */
static int lie;

static void lies(struct script *s)
{
	uint64_t reply[4] = {100, 1 | (uint64_t)8 << 32, 0, 0};
	size_t len = 24;

	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	switch (lie) {
	case 0:
		reply[0] = 101;
		break;
	case 1:
		reply[1] = 2 | (uint64_t)8 << 32;
		break;
	case 2:
		reply[1] = 1 | (uint64_t)9 << 32;
		break;
	case 3:
		len = 32;
		break;
	case 4:
		len = 20;
		break;
	default:
		len = 0;
	}
	script_reply(s, reply, len);
	script_end(s);
}

START_TEST(read_reply_lies)
{
	uint64_t buf[2] = {0, 77};

	lie = _i;
	script_connect(&far, cl, lies);
	ck_assert_int_eq(vfu_client_region_read(cl, 1, 100, buf, 8), -EPROTO);
	ck_assert_uint_eq(buf[1], 77);
	ck_assert_int_eq(vfu_client_status(cl), -EPROTO);
	script_join(&far);
	vfu_client_disconnect(cl);
}
END_TEST

static int read_later(void)
{
	uint32_t value;

	return vfu_client_region_read32(cl, 1, 0, &value);
}

static int post_later(void)
{
	return vfu_client_region_post(cl, 1, 0, "abcd", 4);
}

static int start_later(void)
{
	static uint32_t value;

	return vfu_client_region_read_async(cl, 1, 0, &value, 4, NULL, NULL);
}

static int map_later(void)
{
	static char memory[4096];

	return vfu_client_dma_map(cl, 0, sizeof(memory), VFU_DMA_READ, memory, -1, 0);
}

static int reset_later(void)
{
	return vfu_client_reset(cl);
}

static int enable_later(void)
{
	int fd = -1;

	return vfu_client_irq_enable(cl, VFU_IRQ_MSIX, 0, 1, &fd);
}

static int ask_later(void)
{
	struct vfu_device_info info;

	return vfu_client_device_info(cl, &info);
}

static int serve_later(void)
{
	return vfu_client_serve(cl, 0);
}

static int process_later(void)
{
	return vfu_client_process(cl, 0);
}

static int status_later(void)
{
	return vfu_client_status(cl);
}

static int (*const later[])(void) = {read_later,    post_later,  start_later,  map_later,
				     reset_later,   ask_later,   enable_later, serve_later,
				     process_later, status_later};

static void hangs_up_later(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
}

/* Whether the peer has broken a rule or hung up: the call that finds it and all later ones say that. */
START_TEST(end_has_one_cause)
{
	int code = _i ? -ENOTCONN : -EPROTO;
	struct vfu_err first, err;
	uint64_t buf;

	lie = 0;
	script_connect(&far, cl, _i ? hangs_up_later : lies);
	ck_assert_int_eq(vfu_client_region_read(cl, 1, 100, &buf, 8), code);
	vfu_client_err(cl, &first);
	ck_assert_int_eq(first.code, code);
	ck_assert_str_eq(first.field, _i ? "" : "region_read.offset");
	for (unsigned i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		ck_assert_msg(later[i]() == code, "call %u", i);
		vfu_client_err(cl, &err);
		ck_assert_int_eq(err.code, code);
		ck_assert_str_eq(err.text, first.text);
		ck_assert_str_eq(err.field, first.field);
	}
	script_join(&far);
	vfu_client_disconnect(cl);
	ck_assert_int_eq(read_later(), -ENOTCONN);
}
END_TEST

static void is_late(struct script *s)
{
	uint8_t reply[24] = {0};
	uint16_t id;

	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	id = s->msg.hdr.id;
	memset(reply, 0xee, sizeof(reply));
	memcpy(reply, s->msg.payload, 16);
	script_get(s, VFU_WIRE_CMD_RESET);
	ck_assert_uint_ne(s->msg.hdr.id, id);
	peer_put(s->fd, id, VFU_WIRE_CMD_REGION_READ, 1, 0, reply, sizeof(reply));
	script_reply(s, NULL, 0);
	script_end(s);
}

/* A reply that comes too late harms neither the next request nor the old buffer. */
START_TEST(late_reply)
{
	struct vfu_stats stats;
	uint64_t buf = 0;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_TIMEOUT_MS, 1500), 0);
	script_connect(&far, cl, is_late);
	ck_assert_int_eq(vfu_client_region_read(cl, 0, 0, &buf, 8), -ETIMEDOUT);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_uint_eq(buf, 0);
	vfu_client_stats(cl, &stats);
	ck_assert_uint_eq(stats.late_replies, 1);
	finish();
}
END_TEST

static void gets_posts(struct script *s)
{
	script_version(s);
	for (uint32_t i = 0; i < 1000; i++) {
		script_get(s, VFU_WIRE_CMD_REGION_WRITE);
		ck_assert_uint_eq(s->msg.hdr.flags, VFU_WIRE_HEADER_NO_REPLY);
		ck_assert_uint_eq(script_u32(s, 16), i);
	}
	script_get(s, VFU_WIRE_CMD_RESET);
	script_reply(s, NULL, 0);
	script_end(s);
}

START_TEST(posted_writes)
{
	script_connect(&far, cl, gets_posts);
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_int_eq(vfu_client_region_post(cl, 0, 8, &i, 4), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
}
END_TEST

static void reads_slowly(struct script *s)
{
	script_version(s);
	usleep(200000);
	for (uint32_t i = 0; i < 2000; i++) {
		script_get(s, VFU_WIRE_CMD_REGION_WRITE);
		ck_assert_uint_eq(script_u32(s, 16), i);
	}
	script_end(s);
}

/* More than socket and queue take: the writer waits for the server. */
START_TEST(posted_writes_wait_for_room)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_QUEUE_BYTES, 65536), 0);
	script_connect(&far, cl, reads_slowly);
	for (uint32_t i = 0; i < 2000; i++) {
		memcpy(data, &i, 4);
		ck_assert_int_eq(vfu_client_region_post(cl, 0, 0, data, 1024), 0);
	}
	while (vfu_client_process(cl, 0) >= 0) {
		struct vfu_stats stats;

		vfu_client_stats(cl, &stats);
		if (stats.bytes_out >= 2000 * (32 + 1024))
			break;
		usleep(1000);
	}
	finish();
}
END_TEST

static void wants_answers(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_REGION_WRITE);
	ck_assert_uint_eq(s->msg.hdr.flags, 0);
	script_reply(s, s->msg.payload, 16);
	script_end(s);
}

START_TEST(posting_can_be_off)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_POSTED, 0), 0);
	script_connect(&far, cl, wants_answers);
	ck_assert_int_eq(vfu_client_region_post(cl, 0, 0, data, 4), 0);
	finish();
}
END_TEST

/* ---- accesses with a callback ---- */

static int results[64];
static unsigned nresults;

static void note_result(void *user, int status)
{
	(void)user;
	results[nresults++] = status;
}

static void answers_reads(struct script *s)
{
	uint8_t reply[16 + 64];

	script_version(s);
	for (unsigned i = 0; i < 8; i++) {
		script_get(s, VFU_WIRE_CMD_REGION_READ);
		memcpy(reply, s->msg.payload, 16);
		memset(reply + 16, (int)i, 64);
		if (i == 5)
			script_error(s, EACCES);
		else
			script_reply(s, reply, 16 + 64);
	}
	script_get(s, VFU_WIRE_CMD_REGION_WRITE);
	script_reply(s, s->msg.payload, 16);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	script_end(s);
}

START_TEST(async_accesses)
{
	uint8_t buf[9][64];
	struct pollfd pfd = {.events = POLLIN};

	nresults = 0;
	script_connect(&far, cl, answers_reads);
	pfd.fd = vfu_client_fd(cl);
	ck_assert_int_ge(pfd.fd, 0);
	ck_assert_int_eq(vfu_client_region_read_async(cl, 0, 0, buf, 0, note_result, NULL),
			 -EINVAL);
	ck_assert_int_eq(vfu_client_region_read_async(cl, 0, 0, buf, 4097, note_result, NULL),
			 -EINVAL);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(
			vfu_client_region_read_async(cl, 0, i, buf[i], 64, note_result, NULL), 0);
	ck_assert_int_eq(vfu_client_region_write_async(cl, 0, 0, data, 100, note_result, NULL), 0);
	while (nresults < 9) {
		ck_assert_int_ge(poll(&pfd, 1, 5000), 0);
		ck_assert_int_ge(vfu_client_process(cl, 0), 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_int_eq(results[i], i == 5 ? -EACCES : 64);
		ck_assert(i == 5 || buf[i][63] == i);
	}
	ck_assert_int_eq(results[8], 100);
	/* What is not answered when the connection ends has ended too. */
	ck_assert_int_eq(vfu_client_region_read_async(cl, 0, 8, buf[8], 64, note_result, NULL), 0);
	vfu_client_disconnect(cl);
	ck_assert_uint_eq(nresults, 10);
	ck_assert_int_eq(results[9], -ENOTCONN);
	script_join(&far);
}
END_TEST

static void answers_one(struct script *s)
{
	uint8_t reply[16 + 64] = {0};

	script_version(s);
	for (unsigned i = 0; i < 3; i++) {
		script_get(s, VFU_WIRE_CMD_REGION_READ);
		if (!i) {
			memcpy(reply, s->msg.payload, 16);
			script_reply(s, reply, 16 + 64);
		}
	}
	script_end(s);
}

static void hang_up_callback(void *user, int status)
{
	note_result(user, status);
	vfu_client_disconnect(cl);
}

/* A callback may end the connection it runs on. */
START_TEST(disconnect_in_callback)
{
	uint8_t buf[64];

	nresults = 0;
	script_connect(&far, cl, answers_one);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(
			vfu_client_region_read_async(cl, 0, i, buf, 64, hang_up_callback, NULL), 0);
	while (vfu_client_status(cl) == 0)
		vfu_client_process(cl, 1);
	ck_assert_uint_eq(nresults, 3);
	ck_assert_int_eq(results[0], 64);
	ck_assert_int_eq(results[2], -ENOTCONN);
	script_join(&far);
}
END_TEST

/* ---- interrupts ---- */

/* start, count, descriptors of each message; 4 descriptors are the server's limit. */
static const unsigned irq_messages[][3] = {{2, 1, 1}, {3, 2, 0}, {5, 4, 4}, {9, 1, 1}};
static int irq_fds[8];

static void gets_irqs(struct script *s)
{
	script_version(s);
	for (unsigned i = 0; i < 4; i++) {
		script_get(s, VFU_WIRE_CMD_SET_IRQS);
		ck_assert_uint_eq(s->msg.hdr.size, 36);
		ck_assert_uint_eq(script_u32(s, 4), 4 | 32);
		ck_assert_uint_eq(script_u32(s, 8), 2);
		ck_assert_uint_eq(script_u32(s, 12), irq_messages[i][0]);
		ck_assert_uint_eq(script_u32(s, 16), irq_messages[i][1]);
		ck_assert_uint_eq(s->nfds, irq_messages[i][2]);
		for (unsigned j = 0; j < s->nfds; j++)
			ck_assert_int_eq(eventfd_write(s->fds[j], 1 + irq_messages[i][0] - 2 + j),
					 0);
		script_reply(s, NULL, 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		static const uint32_t flags[] = {1 | 32, 1 | 8, 1 | 16, 1 | 32};

		script_get(s, VFU_WIRE_CMD_SET_IRQS);
		ck_assert_uint_eq(script_u32(s, 4), flags[i]);
		ck_assert_uint_eq(script_u32(s, 16), i ? 3 : 0);
		script_reply(s, NULL, 0);
	}
	script_end(s);
}

START_TEST(irqs_are_split)
{
	int fds[8];
	eventfd_t value;

	for (unsigned i = 0; i < 8; i++)
		fds[i] = irq_fds[i] = i == 1 || i == 2 ? -1 : passed_eventfd(EFD_NONBLOCK);
	script_connect(&far, cl, gets_irqs);
	ck_assert_int_eq(vfu_client_irq_set_eventfds(cl, 2, 2, 8, fds), 0);
	for (unsigned i = 0; i < 8; i++) {
		if (fds[i] < 0)
			continue;
		ck_assert_int_eq(eventfd_read(fds[i], &value), 0);
		ck_assert_uint_eq(value, 1 + i);
		close(fds[i]);
	}
	ck_assert_int_eq(vfu_client_irq_disable(cl, 2), 0);
	ck_assert_int_eq(vfu_client_irq_mask(cl, 2, 1, 3), 0);
	ck_assert_int_eq(vfu_client_irq_unmask(cl, 2, 1, 3), 0);
	ck_assert_int_eq(vfu_client_irq_trigger(cl, 2, 1, 3), 0);
	ck_assert_int_eq(vfu_client_irq_trigger(cl, 2, 0, 0), -EINVAL);
	finish();
}
END_TEST

/* ---- refusals ---- */

static const uint16_t refused[] = {VFU_WIRE_CMD_REGION_READ,  VFU_WIRE_CMD_REGION_READ,
				   VFU_WIRE_CMD_REGION_WRITE, VFU_WIRE_CMD_REGION_READ,
				   VFU_WIRE_CMD_REGION_READ,  VFU_WIRE_CMD_SET_IRQS,
				   VFU_WIRE_CMD_SET_IRQS,     VFU_WIRE_CMD_DMA_UNMAP};

static void refuses_all(struct script *s)
{
	const uint32_t bar[8] = {32, VFU_REGION_READ, 0, 0, 0}, irq[4] = {16, 1, 2, 4};
	uint8_t info[32];
	const uint64_t size = 4096;

	memcpy(info, bar, sizeof(info));
	memcpy(info + 16, &size, sizeof(size));
	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_REGION_INFO);
	script_reply(s, info, sizeof(info));
	script_get(s, VFU_WIRE_CMD_GET_IRQ_INFO);
	script_reply(s, irq, sizeof(irq));
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		script_get(s, refused[i]);
		script_error(s, EINVAL);
	}
	script_end(s);
}

static void check_refused(int ret, const char *field, const char *text)
{
	struct vfu_err err;

	ck_assert_int_eq(ret, -EINVAL);
	vfu_client_err(cl, &err);
	ck_assert_str_eq(err.field, field);
	ck_assert_str_eq(err.text, text);
}

/* The device says EINVAL; what it has said before says why. Nothing more is asked. */
START_TEST(refusals_are_explained)
{
	struct vfu_region_info info;
	struct vfu_irq_info irq;
	uint32_t value;
	int fd = -1;

	script_connect(&far, cl, refuses_all);
	ck_assert_int_eq(vfu_client_region_info(cl, 0, &info), 0);
	vfu_region_info_fini(&info);
	ck_assert_int_eq(vfu_client_irq_info(cl, VFU_IRQ_MSIX, &irq), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, 8192, 3, data, -1, 0), 0);
	check_refused(vfu_client_region_read32(cl, 0, 0xffe, &value), "region_read.offset",
		      "bar0+0xffe ends at 0x1002, bar0 at 0x1000");
	check_refused(vfu_client_region_read32(cl, 0, UINT64_MAX - 7, &value), "region_read.offset",
		      "bar0+0xfffffffffffffff8 ends at 0xfffffffffffffffc, bar0 at 0x1000");
	check_refused(vfu_client_region_write32(cl, 0, 0, 1), "region_write.offset",
		      "bar0 can not be written");
	check_refused(vfu_client_region_read32(cl, 0, 0, &value), "",
		      "region_read: Invalid argument");
	check_refused(vfu_client_region_read32(cl, 1, 0, &value), "",
		      "region_read: Invalid argument");
	check_refused(vfu_client_irq_set_eventfds(cl, VFU_IRQ_MSIX, 3, 4,
						  (const int[]){fd, fd, fd, fd}),
		      "set_irqs.start", "4 vectors from 3 on end at 7, interrupt 2 has 4");
	check_refused(vfu_client_irq_mask(cl, VFU_IRQ_MSIX, 0, 1), "set_irqs.flags",
		      "interrupt 2 can not be masked (VFU_IRQ_MASKABLE)");
	check_refused(
		vfu_client_dma_unmap(cl, 4096, 4096), "dma_unmap.size",
		"0x1000 to 0x1fff cuts the range from 0x0 to 0x1fff: only whole ones can be unmapped");
	finish();
}
END_TEST

/* ---- memory without a guard ---- */

static char logged[400];

static void note_line(void *user, enum vfu_log_level level, const char *text)
{
	(void)user;
	if (level == VFU_LOG_WARN)
		snprintf(logged, sizeof(logged), "%s", text);
}

static void says_version(struct script *s)
{
	script_version(s);
	script_end(s);
}

/* What would do nothing says so, once a connection. */
START_TEST(mapped_wants_a_guard)
{
	for (uint64_t mapped = 0; mapped < 2; mapped++) {
		logged[0] = 0;
		vfu_client_set_log(cl, note_line, NULL);
		ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_MAPPED, mapped), 0);
		script_connect(&far, cl, says_version);
		ck_assert_int_eq(!!strstr(logged, "vfu_sigbus_guard"), (int)mapped);
		finish();
	}
}
END_TEST

/* ---- bus mastering ---- */

static struct {
	uint32_t info; /* flags of GET_INFO */
	uint16_t command;
	bool refuses,
		has_told; /* GET_INFO, which is asked for once a connection, also when it was reset */
} mastered;

static void answer_get_info(struct script *s)
{
	const uint32_t out[4] = {16, mastered.info, 9, 5};

	if (mastered.has_told)
		return;
	mastered.has_told = true;
	script_get(s, VFU_WIRE_CMD_GET_INFO);
	script_reply(s, out, sizeof(out));
}

static void answer_command(struct script *s)
{
	const struct vfu_wire_region_read_request access = {4, VFU_REGION_CONFIG, 2};
	/* Configuration space is little-endian everywhere. */
	const uint8_t command[2] = {(uint8_t)mastered.command, (uint8_t)(mastered.command >> 8)};
	uint8_t out[sizeof(access) + 2];

	memcpy(out, &access, sizeof(access));
	memcpy(out + sizeof(access), command, 2);
	script_get(s, VFU_WIRE_CMD_REGION_READ);
	ck_assert_mem_eq(s->msg.payload, out, sizeof(access));
	if (mastered.refuses) {
		script_error(s, EINVAL);
		return;
	}
	script_reply(s, out, sizeof(out));
	if (command[0] & 4)
		return;
	out[sizeof(access)] |= 4;
	script_get(s, VFU_WIRE_CMD_REGION_WRITE);
	ck_assert_mem_eq(s->msg.payload, out, sizeof(out));
	script_reply(s, out, sizeof(access));
}

/* The next request of that kind, with what comes before it if bus mastering is turned on. */
static void mastered_request(struct script *s, uint16_t command, bool first)
{
	if (first) {
		answer_get_info(s);
		if (mastered.info & VFU_WIRE_DEVICE_INFO_PCI)
			answer_command(s);
	}
	script_get(s, command);
	script_reply(s, NULL, 0);
}

static void masters(struct script *s)
{
	mastered.has_told = false;
	script_version(s);
	mastered_request(s, VFU_WIRE_CMD_SET_IRQS, false); /* INTx */
	mastered_request(s, VFU_WIRE_CMD_SET_IRQS, false); /* none */
	mastered_request(s, VFU_WIRE_CMD_SET_IRQS, true);
	mastered_request(s, VFU_WIRE_CMD_DMA_MAP, false);
	mastered_request(s, VFU_WIRE_CMD_RESET, false);
	mastered_request(s, VFU_WIRE_CMD_DMA_MAP, true);
	mastered_request(s, VFU_WIRE_CMD_RESET, false);
	mastered_request(s, VFU_WIRE_CMD_DMA_MAP, true); /* without waiting */
	mastered_request(s, VFU_WIRE_CMD_RESET, false);
	answer_get_info(s);
	if (mastered.info & VFU_WIRE_DEVICE_INFO_PCI)
		answer_command(s);
	script_end(s);
}

static void use_all(void)
{
	int fd = passed_eventfd(0), none = -1;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 1), 0);
	script_connect(&far, cl, masters);
	ck_assert_int_eq(vfu_client_irq_set_eventfds(cl, VFU_IRQ_INTX, 0, 1, &fd), 0);
	ck_assert_int_eq(vfu_client_irq_set_eventfds(cl, VFU_IRQ_MSIX, 0, 1, &none), 0);
	ck_assert_int_eq(vfu_client_irq_set_eventfds(cl, VFU_IRQ_MSIX, 0, 1, &fd), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, 4096, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 4096, 4096, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 8192, 4096, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	ck_assert_int_eq(vfu_client_use_bus_master(cl), 0);
	ck_assert_int_eq(vfu_client_use_bus_master(cl), 0);
	finish();
	close(fd);
}

START_TEST(turns_bus_mastering_on)
{
	mastered.info = VFU_WIRE_DEVICE_INFO_RESET | VFU_WIRE_DEVICE_INFO_PCI;
	mastered.command = 0x0402;
	use_all();
	/* Already. */
	mastered.command = 0x0406;
	use_all();
	/* No such register. */
	mastered.refuses = true;
	use_all();
	/* No PCI device: region 7 may be anything. */
	mastered.info = VFU_WIRE_DEVICE_INFO_RESET;
	use_all();
}
END_TEST

static void goes_away(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_GET_INFO);
}

START_TEST(bus_mastering_ends_with_the_connection)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_BUS_MASTER, 1), 0);
	ck_assert_int_eq(vfu_client_use_bus_master(cl), -ENOTCONN);
	script_connect(&far, cl, goes_away);
	ck_assert_int_lt(vfu_client_dma_map(cl, 0, 4096, 3, data, -1, 0), 0);
	ck_assert_int_ne(vfu_client_status(cl), 0);
	finish();
}
END_TEST

/* ---- DMA ---- */

static void gets_maps(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	ck_assert_uint_eq(s->msg.hdr.size, 48);
	ck_assert_uint_eq(script_u32(s, 0), 32);
	ck_assert_uint_eq(script_u32(s, 4), 3);
	ck_assert_uint_eq(script_u64(s, 8), 8192);
	ck_assert_uint_eq(script_u64(s, 16), 0x10000);
	ck_assert_uint_eq(script_u64(s, 24), 4096);
	ck_assert_uint_eq(s->nfds, 1);
	script_reply(s, NULL, 0);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	ck_assert_uint_eq(s->nfds, 0);
	ck_assert_uint_eq(script_u64(s, 8), 0);
	script_error(s, ENOSPC);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	ck_assert_uint_eq(script_u64(s, 8), 0x10000);
	script_reply(s, s->msg.payload, 24);
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	script_error(s, ENOENT);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	script_end(s);
}

START_TEST(maps_and_unmaps)
{
	int fd = peer_fd();

	script_connect(&far, cl, gets_maps);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x10000, 4096, 3, data, fd, 8192), 0);
	close(fd);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x10000, 4096, 3, data, -1, 0), -EEXIST);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0xf000, 8192, 3, data, -1, 0), -EEXIST);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, 0, 3, data, -1, 0), -EINVAL);
	ck_assert_int_eq(vfu_client_dma_map(cl, UINT64_MAX - 4095, 8192, 3, data, -1, 0), -EINVAL);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x20000, 4096, 8, data, -1, 0), -EINVAL);
	/* More than pointers reach. */
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x20000, UINTPTR_MAX - 0xfffff, 3, data, -1, 0),
			 -EINVAL);
	/* A map that failed is not there. */
	ck_assert_int_eq(vfu_client_dma_map(cl, UINT64_MAX - 4095, 4096, 3, data, -1, 5), -ENOSPC);
	ck_assert_int_eq(vfu_client_dma_map(cl, UINT64_MAX - 4095, 4096, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, 0x10000, 4096), 0);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, 0x10000, 4096), -ENOENT);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x10000, 4096, 1, NULL, -1, 0), 0);
	finish();
}
END_TEST

static void gets_sound_requests(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_RESET);
	script_reply(s, NULL, 0);
	script_end(s);
}

/* The last call was refused for a rule of that field. */
static void broke_rule(int ret, const char *field, const char *rule)
{
	struct vfu_err err;

	ck_assert_int_eq(ret, -EINVAL);
	vfu_client_err(cl, &err);
	ck_assert_str_eq(err.field, field);
	ck_assert_msg(strstr(err.text, rule), "%s", err.text);
}

/* What the generated checks refuse is not sent: the device sees the RESET alone. */
START_TEST(own_requests_keep_the_rules)
{
	uint8_t buf[8];
	size_t len = sizeof(buf);

	script_connect(&far, cl, gets_sound_requests);
	broke_rule(vfu_client_dma_map(cl, 0, 0, 3, data, -1, 0), "dma_map.size", "at least 1");
	broke_rule(vfu_client_dma_map(cl, 1, 4096, 3, data, -1, 0), "dma_map.address", "multiple");
	broke_rule(vfu_client_dma_map(cl, 0, 4096, 1u << 31, data, -1, 0), "dma_map.flags", "bit");
	broke_rule(vfu_client_dma_map(cl, 0, 4096, VFU_WIRE_DMA_MAP_MMAP, data, -1, 0),
		   "dma_map.fds", "descriptor");
	broke_rule(vfu_client_dma_map_nowait(cl, UINT64_MAX - 4095, 8192, 3, data, -1, 0),
		   "dma_map.address", "");
	broke_rule(vfu_client_dma_unmap(cl, 0, 0), "dma_unmap.size", "at least 1");
	broke_rule(vfu_client_irq_mask(cl, 2, UINT32_MAX, 2), "set_irqs.start", "");
	broke_rule(vfu_client_region_read(cl, 0, UINT64_MAX, buf, 8), "region_read.offset", "");
	broke_rule(vfu_client_region_post(cl, 0, UINT64_MAX, buf, 8), "region_write.offset", "");
	broke_rule(vfu_client_region_write_async(cl, 0, UINT64_MAX, buf, 8, NULL, NULL),
		   "region_write.offset", "");
	/* Not taken for a feature that the device lacks. */
	broke_rule(vfu_client_feature(cl, 1u << 30 | VFU_WIRE_FEATURE_PROBE, buf, &len),
		   "device_feature.flags", "bit");
	broke_rule(vfu_client_feature(
			   cl, VFU_WIRE_FEATURE_INDEX_MIG_DEVICE_STATE | VFU_WIRE_FEATURE_SET,
			   (uint32_t[]){77, 0}, &len),
		   "device_feature.feature_device_state.device_state", "value");
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
}
END_TEST

static void storm(struct script *s)
{
	script_version(s);
	for (unsigned i = 0; i < 5000; i++) {
		script_get(s, VFU_WIRE_CMD_DMA_MAP);
		if (i == 70 || i == 90)
			script_error(s, i);
		else
			script_reply(s, NULL, 0);
	}
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	script_end(s);
}

/* Many maps at once, one fence, the first error; what failed may be mapped again. */
START_TEST(maps_without_waiting)
{
	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_QUEUE_BYTES, 65536), 0);
	script_connect(&far, cl, storm);
	for (unsigned i = 0; i < 5000; i++)
		ck_assert_int_eq(
			vfu_client_dma_map_nowait(cl, (uint64_t)i << 12, 4096, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 0, 4096, 3, data, -1, 0), -EEXIST);
	ck_assert_int_eq(vfu_client_fence(cl), -70);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 70 << 12, 4096, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
	finish();
}
END_TEST

static void unanswered(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	script_reply(s, s->msg.payload, 24);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
}

static void gets_one_map(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_end(s);
}

/* Maps that ended with one connection are no business of the next. */
START_TEST(fence_is_of_its_connection)
{
	script_connect(&far, cl, gets_one_map);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 0, 4096, 3, data, -1, 0), 0);
	finish();
	script_connect(&far, cl, only_version);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
	finish();
	/* The same if the server ended it. */
	script_connect(&far, cl, unanswered);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 0, 4096, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, 0, 4096), 0);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 0, 4096, 3, data, -1, 0), 0);
	ck_assert_int_lt(vfu_client_serve(cl, -1), 0);
	script_join(&far);
	script_connect(&far, cl, only_version);
	ck_assert_int_eq(vfu_client_fence(cl), 0);
	finish();
}
END_TEST

/* Replies may overtake; and a connection that ends leaves nothing of a map. */
START_TEST(map_unmapped_before_its_reply)
{
	script_connect(&far, cl, unanswered);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 0, 4096, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, 0, 4096), 0);
	ck_assert_int_eq(vfu_client_dma_map_nowait(cl, 0, 4096, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_fence(cl), -ENOTCONN);
	finish();
}
END_TEST

static void refused_and_unmapped(struct script *s)
{
	uint16_t map;

	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	map = s->msg.hdr.id;
	script_get(s, VFU_WIRE_CMD_DMA_UNMAP);
	script_reply(s, s->msg.payload, 24);
	script_get(s, VFU_WIRE_CMD_RESET);
	script_reply(s, NULL, 0);
	peer_put(s->fd, map, VFU_WIRE_CMD_DMA_MAP, 0x21, ENOSPC, "", 0);
	script_end(s);
}

static void *map_thread(void *arg)
{
	*(int *)arg = vfu_client_dma_map(cl, 0, 4096, 3, data, -1, 0);
	return NULL;
}

/* One thread's map is refused after another's unmap has dropped it. */
START_TEST(map_unmapped_before_it_is_refused)
{
	struct vfu_stats stats;
	pthread_t thread;
	int ret = 0;

	script_connect(&far, cl, refused_and_unmapped);
	ck_assert_int_eq(pthread_create(&thread, NULL, map_thread, &ret), 0);
	do {
		sched_yield();
		vfu_client_stats(cl, &stats);
	} while (stats.requests_out < 2);
	ck_assert_int_eq(vfu_client_dma_unmap(cl, 0, 1 << 20), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(ret, -ENOSPC);
	finish();
}
END_TEST

/* Does DMA while RESET is unanswered: the reply's payload is then in s->msg, or its error. */
static unsigned dma(struct script *s, uint16_t command, uint64_t address, uint64_t count,
		    size_t payload_len)
{
	static uint8_t payload[16 + 8192];

	memcpy(payload, &address, 8);
	memcpy(payload + 8, &count, 8);
	for (size_t i = 16; i < payload_len; i++)
		payload[i] = (uint8_t)(i * 3);
	peer_put(s->fd, 0x4242, command, 0, 0, payload, payload_len);
	script_get(s, command);
	ck_assert_uint_eq(s->msg.hdr.id, 0x4242);
	if (s->msg.hdr.error) {
		ck_assert_uint_eq(s->msg.hdr.flags, 0x21);
		ck_assert_uint_eq(s->msg.hdr.size, 16);
	} else {
		ck_assert_uint_eq(s->msg.hdr.flags, 1);
		ck_assert_uint_eq(script_u64(s, 0), address);
		ck_assert_uint_eq(script_u64(s, 8), count);
		ck_assert_uint_eq(s->msg.hdr.size,
				  32 + (command == VFU_WIRE_CMD_DMA_READ ? count : 0));
	}
	return s->msg.hdr.error;
}

/* The client's memory: 0 read-write, 0x1000 read-only next to it, 0x3000 the callback's. */
static void does_dma(struct script *s)
{
	const uint8_t *got = s->msg.payload + 16;
	uint16_t id;

	script_version(s);
	for (unsigned i = 0; i < 4; i++) {
		script_get(s, VFU_WIRE_CMD_DMA_MAP);
		script_reply(s, NULL, 0);
	}
	script_get(s, VFU_WIRE_CMD_RESET);
	id = s->msg.hdr.id;
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 8, 100, 16), 0);
	ck_assert_int_eq(memcmp(got, data + 8, 100), 0);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 0xff0, 32, 16), 0);
	ck_assert_int_eq(memcmp(got, data + 0xff0, 16), 0);
	ck_assert_int_eq(memcmp(got + 16, data + 0x5000, 16), 0);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_WRITE, 0xff0, 32, 48), EACCES);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_WRITE, 16, 32, 48), 0);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 16, 32, 16), 0);
	ck_assert_uint_eq(got[31], (uint8_t)(47 * 3));
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 0x1ff0, 32, 16), EFAULT);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, UINT64_MAX - 3, 4, 16), EFAULT);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, UINT64_MAX - 3, 8, 16), EINVAL);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 0, 0, 16), EINVAL);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 0, 2 << 20, 16), EINVAL);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_WRITE, 0, 8, 16 + 4), EINVAL);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 0, 8, 12), EINVAL);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 0x3010, 8, 16), 0);
	ck_assert_uint_eq(got[7], 0x17);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 0x3ff0, 32, 16), 0);
	ck_assert_uint_eq(got[16], 0x00);
	ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_WRITE, 0x3010, 8, 24), ENXIO);
	s->msg.hdr = (struct vfu_wire_header){.id = id, .command = VFU_WIRE_CMD_RESET};
	script_reply(s, NULL, 0);
	script_end(s);
}

static int dma_callback(void *user, bool is_write, uint64_t iova, void *buf, size_t len)
{
	uint8_t *bytes = buf;
	struct vfu_device_info info;

	ck_assert_ptr_eq(user, data);
	/* Waiting here would be waiting for itself. */
	ck_assert_int_eq(vfu_client_reset(cl), -EDEADLK);
	ck_assert_int_eq(vfu_client_device_info(cl, &info), -EDEADLK);
	ck_assert_int_eq(vfu_client_fence(cl), -EDEADLK);
	ck_assert_int_eq(vfu_client_serve(cl, 0), -EDEADLK);
	if (is_write)
		return -ENXIO;
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(iova + i);
	return 0;
}

START_TEST(serves_dma)
{
	struct vfu_stats stats;

	vfu_client_set_dma(cl, dma_callback, data);
	script_connect(&far, cl, does_dma);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, 0x1000, 3, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x1000, 0x1000, 1, data + 0x5000, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x3000, 0x1000, 3, NULL, -1, 0), 0);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0x4000, 0x1000, 3, NULL, -1, 0), 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	vfu_client_stats(cl, &stats);
	ck_assert_uint_eq(stats.requests_in, 15);
	finish();
}
END_TEST

static atomic_bool may_end;

static void dma_alone(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_eq(dma(s, VFU_WIRE_CMD_DMA_READ, 8 * i, 8, 16), 0);
	peer_put(s->fd, 7, VFU_WIRE_CMD_RESET, 0, 0, "", 0); /* not the server's to send */
	script_get(s, VFU_WIRE_CMD_RESET);
	ck_assert_uint_eq(s->msg.hdr.error, ENOSYS);
	while (!may_end)
		usleep(1000);
}

START_TEST(serves_while_idle)
{
	script_connect(&far, cl, dma_alone);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, 4096, 1, data, -1, 0), 0);
	for (int n = 0, served = 0; served < 10; served += n) {
		n = vfu_client_serve(cl, 50);
		ck_assert_int_ge(n, 0);
	}
	may_end = true;
	ck_assert_int_eq(vfu_client_serve(cl, -1), -ENOTCONN);
	finish();
}
END_TEST

#define FLOOD 100

/* The client has sent what the socket takes: no more comes for a while. */
static void await_full(int fd)
{
	size_t before;

	do {
		before = peer_waiting(fd);
		usleep(50000);
	} while (before == 0 || peer_waiting(fd) > before);
}

static void does_not_read(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_DMA_MAP);
	script_reply(s, NULL, 0);
	for (uint16_t i = 0; i < FLOOD; i++)
		peer_put(s->fd, i, VFU_WIRE_CMD_DMA_READ, 0, 0, (uint64_t[]){0, sizeof(data)}, 16);
	await_full(s->fd);
	for (uint16_t i = 0; i < FLOOD; i++) {
		script_get(s, VFU_WIRE_CMD_DMA_READ);
		ck_assert_uint_eq(s->msg.hdr.id, i);
		ck_assert_int_eq(memcmp(s->msg.payload + 16, data, sizeof(data)), 0);
	}
}

/* A device that does not read its answers for a while is served again when it does. */
START_TEST(serves_a_slow_reader)
{
	struct vfu_stats stats;

	ck_assert_int_eq(vfu_client_set(cl, VFU_OPT_QUEUE_BYTES, 65536), 0);
	script_connect(&far, cl, does_not_read);
	ck_assert_int_eq(vfu_client_dma_map(cl, 0, sizeof(data), 1, data, -1, 0), 0);
	ck_assert_int_eq(vfu_client_serve(cl, -1), -ENOTCONN);
	vfu_client_stats(cl, &stats);
	ck_assert_uint_eq(stats.requests_in, FLOOD);
	finish();
}
END_TEST

/* ---- features ---- */

static void has_features(struct script *s)
{
	static const struct {
		uint32_t argsz, flags;
		uint64_t value;
	} get = {16, 1 | 1 << 16, 3}, state = {16, 2 | 1 << 17, 2};

	script_version(s);
	script_get(s, VFU_WIRE_CMD_DEVICE_FEATURE);
	ck_assert_uint_eq(s->msg.hdr.size, 24);
	ck_assert_uint_eq(script_u32(s, 0), 16);
	script_reply(s, &get, sizeof(get));
	script_get(s, VFU_WIRE_CMD_DEVICE_FEATURE);
	ck_assert_uint_eq(s->msg.hdr.size, 32);
	script_reply(s, &state, sizeof(state));
	script_get(s, VFU_WIRE_CMD_DEVICE_FEATURE);
	ck_assert_uint_eq(s->msg.hdr.size, 24);
	script_error(s, EINVAL);
	script_get(s, VFU_WIRE_CMD_DEVICE_FEATURE);
	script_error(s, EINVAL);
	script_end(s);
}

START_TEST(features)
{
	uint64_t value = 0;
	size_t len = 8;

	script_connect(&far, cl, has_features);
	ck_assert_int_eq(vfu_client_feature(cl, 1 | 1 << 16, &value, &len), 0);
	ck_assert_uint_eq(value, 3);
	ck_assert_uint_eq(len, 8);
	value = 2;
	ck_assert_int_eq(vfu_client_feature(cl, 2 | 1 << 17, &value, &len), 0);
	ck_assert_int_eq(vfu_client_feature(cl, 6 | 1 << 17 | 1 << 18, &value, &len), -ENOTTY);
	ck_assert_int_eq(vfu_client_feature(cl, 2 | 1 << 17, &value, &len), -EINVAL);
	len = 16; /* a report needs 24 to ask */
	ck_assert_int_eq(vfu_client_feature(cl, 8 | 1 << 16, data, &len), -EINVAL);
	finish();
}
END_TEST

/* ---- threads, processes, signals ---- */

static void answers_late(struct script *s)
{
	script_version(s);
	for (unsigned i = 0; i < 4; i++)
		script_get(s, VFU_WIRE_CMD_RESET);
	script_end(s);
}

static void *resets(void *arg)
{
	*(int *)arg = vfu_client_reset(cl);
	return NULL;
}

/* A disconnect frees all who wait, and returns when they are out. */
START_TEST(disconnect_frees_waiters)
{
	pthread_t threads[4];
	int status[4];
	struct vfu_stats stats;

	script_connect(&far, cl, answers_late);
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, resets, &status[i]);
	do {
		usleep(1000);
		vfu_client_stats(cl, &stats);
	} while (stats.requests_out < 5);
	vfu_client_disconnect(cl);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(status[i], -ENOTCONN);
	}
	script_join(&far);
}
END_TEST

static void *fails_differently(void *arg)
{
	ck_assert(vfu_client_set(cl, VFU_OPTIONS, 0) == -EINVAL);
	vfu_client_err(cl, arg);
	return NULL;
}

START_TEST(errors_are_per_thread)
{
	struct vfu_err err[20];
	pthread_t thread;

	ck_assert_int_eq(vfu_client_reset(cl), -ENOTCONN);
	for (unsigned i = 1; i < 20; i++) {
		pthread_create(&thread, NULL, fails_differently, &err[i]);
		pthread_join(thread, NULL);
		ck_assert_int_eq(err[i].code, -EINVAL);
		if (i < 10) {
			vfu_client_err(cl, &err[0]);
			ck_assert_int_eq(err[0].code, -ENOTCONN);
		}
	}
}
END_TEST

static int in_child(void)
{
	struct vfu_region_info info;
	uint64_t v = 0;

	if (vfu_client_reset(cl) != -EOWNERDEAD || vfu_client_status(cl) != -EOWNERDEAD ||
	    vfu_client_region_read(cl, 0, 0, &v, 8) != -EOWNERDEAD ||
	    vfu_client_region_post(cl, 0, 0, &v, 8) != -EOWNERDEAD ||
	    vfu_client_region_info(cl, 0, &info) != -EOWNERDEAD ||
	    vfu_client_process(cl, 0) != -EOWNERDEAD || vfu_client_connect(cl, "x") != -EOWNERDEAD)
		return 1;
	vfu_client_disconnect(cl);
	vfu_client_free(cl);
	return 0;
}

static void answers_reset(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_RESET);
	script_reply(s, NULL, 0);
	script_end(s);
}

START_TEST(child_may_only_free)
{
	int status;
	pid_t pid;

	if (lacks(LACKS_WIPEONFORK, __func__))
		return;
	script_connect(&far, cl, answers_reset);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(in_child());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(vfu_client_reset(cl), 0);
	finish();
}
END_TEST

static pthread_t main_thread;

static int interrupted(void *user)
{
	++*(unsigned *)user;
	return *(unsigned *)user > 1 ? -1 : 0;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void signals(struct script *s)
{
	script_version(s);
	script_get(s, VFU_WIRE_CMD_RESET);
	for (unsigned i = 0; i < 20; i++) {
		usleep(10000);
		pthread_kill(main_thread, SIGUSR1);
	}
	script_end(s);
}

/* A signal ends a wait if the hook says so, not before. */
START_TEST(signal_interrupts)
{
	struct sigaction sa = {.sa_handler = on_signal};
	unsigned asked = 0;

	main_thread = pthread_self();
	sigaction(SIGUSR1, &sa, NULL);
	vfu_client_set_interrupt(cl, interrupted, &asked);
	script_connect(&far, cl, signals);
	ck_assert_int_eq(vfu_client_reset(cl), -EINTR);
	ck_assert_uint_eq(asked, 2);
	ck_assert_int_eq(vfu_client_status(cl), 0);
	vfu_client_disconnect(cl);
	script_join(&far);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *const *tests)
{
	TCase *tcase = tcase_create(name);

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	for (; *tests; tests++)
		tcase_add_test(tcase, *tests);
	suite_add_tcase(suite, tcase);
}

static void add_loop(Suite *suite, const char *name, const TTest *test, int n)
{
	TCase *tcase = tcase_create(name);

	leaks_watch(tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, test, 0, n);
	suite_add_tcase(suite, tcase);
}

int main(void)
{
	Suite *suite = suite_create("client");

	add(suite, "connecting",
	    (const TTest *const[]){connects, version_without_json, version_with_too_much,
				   fds_nobody_asked_for, huge_reply_ends_it, options_are_checked,
				   NULL});
	add_loop(suite, "bad version", bad_version, 7);
	add(suite, "asking",
	    (const TTest *const[]){asks_the_device, short_reply_ends_it, wrong_answer_to_a_call,
				   descriptors_of_a_call, peer_dies_in_a_call,
				   region_info_with_areas, region_info_fd_comes_once,
				   region_info_plain, e14_region_info_with_files,
				   files_that_nobody_asked_for, counts_are_bounded,
				   replies_with_too_many_descriptors, refusals_are_explained,
				   mapped_wants_a_guard, features, NULL});
	add_loop(suite, "spoilt region info", region_info_spoilt, SPOILS);
	add_loop(suite, "spoilt files", files_spoilt, 10);
	add_loop(suite, "lying replies", read_reply_lies, 6);
	add_loop(suite, "one cause", end_has_one_cause, 2);
	add(suite, "regions",
	    (const TTest *const[]){
		    access_is_split, late_reply, posted_writes, posted_writes_wait_for_room,
		    posting_can_be_off, async_accesses, disconnect_in_callback, irqs_are_split,
		    e3_io_fds_in_both_layouts, e34_some_vectors_in_one_message, NULL});
	add_loop(suite, "spoilt io fds", io_fds_spoilt,
		 sizeof(spoilt_entries) / sizeof(spoilt_entries[0]));
	add(suite, "bus mastering",
	    (const TTest *const[]){turns_bus_mastering_on, bus_mastering_ends_with_the_connection,
				   NULL});
	add(suite, "dma",
	    (const TTest *const[]){maps_and_unmaps, own_requests_keep_the_rules,
				   maps_without_waiting, fence_is_of_its_connection,
				   map_unmapped_before_its_reply, map_unmapped_before_it_is_refused,
				   serves_dma, serves_while_idle, serves_a_slow_reader, NULL});
	add(suite, "threads",
	    (const TTest *const[]){disconnect_frees_waiters, errors_are_per_thread,
				   child_may_only_free, signal_interrupts, NULL});
	return run_suite(suite);
}
