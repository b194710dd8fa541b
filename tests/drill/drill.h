/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * drill.h - a device, its server in a thread of its own, and a client. A drill ends with status 1 at the first
 * thing that is not as it should be.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <vfu.h>

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #what);             \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct drill {
	struct vfu_device *dev;
	struct vfu_server *srv;
	struct vfu_client *cl;
	pthread_t thread;
};

static void drill_init(struct drill *drill)
{
	drill->dev = vfu_device_new();
	drill->srv = vfu_server_new(drill->dev);
	drill->cl = vfu_client_new();
}

static void *drill_run(void *srv)
{
	CHECK(vfu_server_run(srv) == 0);
	return NULL;
}

/* Once all has been said that is to be said before. */
static void drill_connect(struct drill *drill)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	CHECK(vfu_server_attach(drill->srv, pair[0]) == 0);
	CHECK(pthread_create(&drill->thread, NULL, drill_run, drill->srv) == 0);
	CHECK(vfu_client_attach(drill->cl, pair[1]) == 0);
}

/* The client goes, and the server has ended. */
static void drill_part(struct drill *drill)
{
	vfu_client_free(drill->cl);
	pthread_join(drill->thread, NULL);
}

static void drill_fini(struct drill *drill)
{
	vfu_server_free(drill->srv);
	CHECK(vfu_device_free(drill->dev) == 0);
}
