/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * raw.c - a client of bare messages.
 */
#include "raw.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

size_t raw_put(void *payload, size_t at, const void *value, size_t len)
{
	memcpy((uint8_t *)payload + at, value, len);
	return at + len;
}

uint32_t raw_u32(const struct raw_msg *msg, size_t at)
{
	uint32_t value;

	ck_assert_uint_le(at + sizeof(value), msg->len);
	memcpy(&value, msg->payload + at, sizeof(value));
	return value;
}

uint64_t raw_u64(const struct raw_msg *msg, size_t at)
{
	uint64_t value;

	ck_assert_uint_le(at + sizeof(value), msg->len);
	memcpy(&value, msg->payload + at, sizeof(value));
	return value;
}

void raw_send(int sock, uint16_t id, uint16_t command, uint32_t flags, const void *payload,
	      size_t len, const int *fds, unsigned nfds)
{
	uint8_t header[RAW_HEADER] = {0};
	uint32_t size = RAW_HEADER + (uint32_t)len;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 64)];
	} control = {0};
	struct iovec iov[2] = {{header, sizeof(header)}, {(void *)payload, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t sent;

	raw_put(header, 0, &id, 2);
	raw_put(header, 2, &command, 2);
	raw_put(header, 4, &size, 4);
	raw_put(header, 8, &flags, 4);
	if (nfds) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, sizeof(int) * nfds);
	}
	sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
	ck_assert_msg(sent == (ssize_t)size, "sent %zd of %u: %s", sent, size, strerror(errno));
}

size_t raw_send_bytes(int sock, const void *bytes, size_t len)
{
	ssize_t sent = send(sock, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return sent < 0 ? 0 : (size_t)sent;
}

static void take_fds(struct msghdr *hdr, struct raw_msg *msg)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		ck_assert_uint_le(msg->nfds + n, RAW_FDS);
		memcpy(msg->fds + msg->nfds, CMSG_DATA(c), n * sizeof(int));
		msg->nfds += (unsigned)n;
	}
}

/* 1: all of it; 0: end of file; -1: timeout. */
static int recv_all(int sock, void *buf, size_t len, struct raw_msg *msg, int timeout_ms)
{
	size_t got = 0;

	while (got < len) {
		union {
			struct cmsghdr align;
			char buf[CMSG_SPACE(sizeof(int) * RAW_FDS)];
		} control;
		struct iovec iov = {(uint8_t *)buf + got, len - got};
		struct msghdr hdr = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.buf,
				     .msg_controllen = sizeof(control)};
		struct pollfd pfd = {.fd = sock, .events = POLLIN};
		ssize_t n;

		if (poll(&pfd, 1, timeout_ms) == 0)
			return -1;
		n = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC);
		if (n <= 0)
			return 0;
		take_fds(&hdr, msg);
		got += (size_t)n;
	}
	return 1;
}

int raw_recv(int sock, struct raw_msg *msg, int timeout_ms)
{
	uint8_t header[RAW_HEADER];
	int rc;

	msg->nfds = 0;
	msg->len = 0;
	rc = recv_all(sock, header, sizeof(header), msg, timeout_ms);
	if (rc <= 0)
		return rc;
	memcpy(&msg->id, header, 2);
	memcpy(&msg->command, header + 2, 2);
	memcpy(&msg->size, header + 4, 4);
	memcpy(&msg->flags, header + 8, 4);
	memcpy(&msg->error, header + 12, 4);
	ck_assert_uint_ge(msg->size, RAW_HEADER);
	ck_assert_uint_le(msg->size, RAW_HEADER + RAW_MAX);
	msg->len = msg->size - RAW_HEADER;
	return recv_all(sock, msg->payload, msg->len, msg, timeout_ms);
}

void raw_close_fds(struct raw_msg *msg)
{
	while (msg->nfds)
		close(msg->fds[--msg->nfds]);
}

int raw_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned tries;

	ck_assert_int_ge(fd, 0);
	strcpy(addr.sun_path, path);
	for (tries = 0; tries < 200; tries++) {
		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
			return fd;
		usleep(10000);
	}
	ck_abort_msg("connect %s: %s", path, strerror(errno));
	return -1;
}

unsigned raw_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}
