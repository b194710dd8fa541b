/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * wire_peer.c - a peer made by hand: messages as bytes over a socket, for tests of one end.
 */
#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire_peer.h"

static uint8_t pattern(uint16_t id, size_t i)
{
	return (uint8_t)(id * 31 + i + (i >> 8));
}

size_t peer_build(struct peer_msg *msg, uint16_t id, uint16_t command, uint32_t flags,
		  const void *payload, size_t len)
{
	msg->hdr = (struct vfu_wire_header){.id = id,
					    .command = command,
					    .size = (uint32_t)(sizeof(msg->hdr) + len),
					    .flags = flags};
	for (size_t i = 0; payload == NULL && i < len; i++)
		msg->payload[i] = pattern(id, i);
	if (payload != NULL && len > 0)
		memcpy(msg->payload, payload, len);
	return msg->hdr.size;
}

int peer_is_pattern(const void *data, size_t len, uint16_t id)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != pattern(id, i))
			return 0;
	}
	return 1;
}

void peer_send(int fd, const void *data, size_t len, const int *fds, unsigned nfds)
{
	const uint8_t *bytes = data;

	while (len > 0) {
		struct iovec iov = {(void *)(uintptr_t)bytes, len};
		char control[CMSG_SPACE(sizeof(int) * 128)] = {0};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;

		if (nfds > 0) {
			struct cmsghdr *cmsg;

			msg.msg_control = control;
			msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
			cmsg = CMSG_FIRSTHDR(&msg);
			cmsg->cmsg_level = SOL_SOCKET;
			cmsg->cmsg_type = SCM_RIGHTS;
			cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
			memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
		}
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		ck_assert_msg(n > 0, "peer_send: %s", strerror(errno));
		bytes += n;
		len -= (size_t)n;
		nfds = 0;
	}
}

void peer_put(int fd, uint16_t id, uint16_t command, uint32_t flags, uint32_t error,
	      const void *payload, size_t len)
{
	static _Thread_local struct peer_msg msg;
	size_t size = peer_build(&msg, id, command, flags, payload, len);

	msg.hdr.error = error;
	peer_send(fd, &msg, size, NULL, 0);
}

/* Receives exactly len bytes; false at the end of the stream. */
static int get_bytes(int fd, void *data, size_t len, int *fds, unsigned *nfds)
{
	size_t done = 0;

	while (done < len) {
		char control[CMSG_SPACE(sizeof(int) * 64)];
		struct iovec iov = {(uint8_t *)data + done, len - done};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control,
				     .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
		struct cmsghdr *cmsg;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		cmsg = CMSG_FIRSTHDR(&msg);
		if (cmsg != NULL) {
			unsigned got = (unsigned)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));

			ck_assert_ptr_nonnull(fds);
			memcpy(fds + *nfds, CMSG_DATA(cmsg), got * sizeof(int));
			*nfds += got;
		}
		done += (size_t)n;
	}
	return 1;
}

size_t peer_get(int fd, struct peer_msg *msg, int *fds, unsigned *nfds)
{
	if (nfds != NULL)
		*nfds = 0;
	if (!get_bytes(fd, &msg->hdr, sizeof(msg->hdr), fds, nfds))
		return 0;
	ck_assert_uint_ge(msg->hdr.size, sizeof(msg->hdr));
	ck_assert_uint_le(msg->hdr.size, sizeof(*msg));
	if (!get_bytes(fd, msg->payload, msg->hdr.size - sizeof(msg->hdr), fds, nfds))
		return 0;
	return msg->hdr.size;
}

size_t peer_waiting(int fd)
{
	int n = 0;

	ck_assert_int_eq(ioctl(fd, FIONREAD, &n), 0);
	return (size_t)n;
}

int peer_fd(void)
{
	int fd = memfd_create("peer", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

int peer_fd_is(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}
