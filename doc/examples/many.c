/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * many.c - many devices in one process, in one epoll loop, and who may have them.
 *
 *	many DIRECTORY
 *
 * Each has a socket of its own, which its user alone may connect to, and one register, its number. A process may have one
 * of them. The client here takes the last one and wants another. The loop asks for the time that a server wants to
 * sleep at most only when that one has been processed: what it does depends on what comes, not on how many there are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vfu.h>

enum { DEVICES = 5 };

struct one {
	struct vfu_device *dev;
	struct vfu_server *srv;
	uint32_t number;
	int64_t due; /* ms: when it wants to be processed whatever comes; -1: never */
};

static struct one devices[DEVICES];

/* ---- the devices */

static int is_taken_by(const struct one *one, int32_t pid)
{
	struct vfu_peer peer;

	return vfu_device_peer(one->dev, &peer) == 0 && peer.pid == pid;
}

static int accept_client(void *user, const struct vfu_peer *peer, char *reason, size_t size)
{
	int i;

	(void)user;
	for (i = 0; i < DEVICES; i++) {
		if (is_taken_by(&devices[i], peer->pid)) {
			snprintf(reason, size, "process %d has device %d", (int)peer->pid, i);
			return -EBUSY;
		}
	}
	return 0;
}

static int registers(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	const struct one *one = user;

	(void)req;
	if (access->is_write)
		return -EPERM;
	memcpy(access->data, &one->number, 4);
	return 0;
}

static void log_line(void *user, enum vfu_log_level level, const char *text)
{
	if (level <= VFU_LOG_WARN)
		fprintf(stderr, "device %u: %s\n", ((struct one *)user)->number, text);
}

static int make(struct one *one, const char *path)
{
	const struct vfu_region region = {.size = 4096,
					  .flags = VFU_REGION_READ | VFU_REGION_WRITE,
					  .access = registers,
					  .user = one,
					  .widths = VFU_WIDTH_4,
					  .fd = -1};
	const struct vfu_device_hooks hooks = {.size = sizeof(hooks), .accept = accept_client};

	one->dev = vfu_device_new();
	if (!one->dev)
		return -ENOMEM;
	vfu_device_set_log(one->dev, log_line, one);
	one->srv = vfu_server_new(one->dev);
	if (!one->srv || vfu_device_set_region(one->dev, VFU_REGION_BAR0, &region) < 0 ||
	    vfu_device_set_hooks(one->dev, &hooks, one) < 0 ||
	    vfu_server_set(one->srv, VFU_OPT_SOCKET_MODE, 0600) < 0)
		return -EINVAL;
	return vfu_server_listen(one->srv, path);
}

/* ---- the loop */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void process(struct one *one)
{
	int timeout;

	vfu_server_process(one->srv, 0);
	timeout = vfu_server_timeout(one->srv);
	one->due = timeout < 0 ? -1 : now_ms() + timeout;
}

/* Few have a time, so a list of those would do; with thousands of devices, a heap. */
static int next_timeout(void)
{
	int64_t now = now_ms(), first = -1;
	int i;

	for (i = 0; i < DEVICES; i++)
		if (devices[i].due >= 0 && (first < 0 || devices[i].due < first))
			first = devices[i].due;
	return first < 0 ? -1 : first > now ? (int)(first - now) : 0;
}

/* Until the process that uses them has ended. */
static int serve(int epoll_fd, pid_t client)
{
	struct epoll_event events[16];
	int status, n, i, timeout;

	while (waitpid(client, &status, WNOHANG) == 0) {
		timeout = next_timeout();
		n = epoll_wait(epoll_fd, events, 16, timeout < 0 || timeout > 100 ? 100 : timeout);
		for (i = 0; i < n; i++)
			process(events[i].data.ptr);
		for (i = 0; i < DEVICES; i++)
			if (devices[i].due >= 0 && devices[i].due <= now_ms())
				process(&devices[i]);
	}
	return status != 0;
}

static int watch(int epoll_fd, struct one *one)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = one}};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, vfu_server_fd(one->srv), &event);
}

/* ---- the client */

static int use(char paths[][200])
{
	struct vfu_client *first = vfu_client_new(), *second = vfu_client_new();
	uint32_t number = 0;
	int r = 1;

	if (first && second && vfu_client_connect(first, paths[DEVICES - 1]) == 0 &&
	    vfu_client_region_read(first, VFU_REGION_BAR0, 0, &number, 4) == 0) {
		r = vfu_client_connect(second, paths[0]) == 0;
		printf("device: %u, another: %s\n", number, r ? "taken" : "refused");
	}
	vfu_client_free(second);
	vfu_client_free(first);
	return r;
}

int main(int argc, char **argv)
{
	char paths[DEVICES][200];
	int i, r = 0, epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	pid_t pid;

	if (argc != 2 || epoll_fd < 0 || vfu_sigbus_guard() < 0)
		return 2;
	for (i = 0; i < DEVICES && r == 0; i++) {
		devices[i].number = (uint32_t)i;
		snprintf(paths[i], sizeof(paths[i]), "%s/%d.sock", argv[1], i);
		r = make(&devices[i], paths[i]);
		if (r < 0)
			break;
		r = watch(epoll_fd, &devices[i]);
		process(&devices[i]);
	}
	pid = r == 0 ? fork() : -1;
	if (pid == 0)
		exit(use(paths));
	r = pid < 0 || serve(epoll_fd, pid);
	for (i = 0; i < DEVICES; i++) {
		vfu_server_free(devices[i].srv);
		vfu_device_free(devices[i].dev);
	}
	return r;
}
