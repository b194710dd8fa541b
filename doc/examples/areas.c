/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * areas.c - a BAR whose areas are files of their own, which the client maps: sparse_mmap_fds, a draft of the protocol.
 *
 *	areas SOCKET
 *
 * Of 4 pages the second is in one file, and the last in another: so each queue of a device may be shared with whoever
 * works on it. Both ends have to say that they know of it; else the client does all by messages.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vfu.h>

enum { AREAS = 2 };

/* ---- the device */

static int file(size_t size)
{
	FILE *f = tmpfile();
	int fd = f ? dup(fileno(f)) : -1;

	if (f)
		fclose(f);
	if (fd < 0 || ftruncate(fd, (off_t)size) == 0)
		return fd;
	close(fd);
	return -1;
}

static int add_bar(struct vfu_device *dev, uint64_t page)
{
	const struct vfu_area areas[AREAS] = {{page, page}, {3 * page, page}};
	const struct vfu_area_file files[AREAS] = {{file(page), 0}, {file(page), 0}};
	const struct vfu_region bar = {.size = 4 * page,
				       .flags =
					       VFU_REGION_READ | VFU_REGION_WRITE | VFU_REGION_MMAP,
				       .areas = areas,
				       .files = files,
				       .nareas = AREAS,
				       .fd = -1};
	int r = vfu_device_set_region(dev, VFU_REGION_BAR0, &bar);

	for (unsigned i = 0; i < AREAS; i++)
		close(files[i].fd);
	return r;
}

static struct vfu_server *set_up(struct vfu_device *dev, const char *path)
{
	struct vfu_server *server = vfu_server_new(dev);

	if (server && add_bar(dev, (uint64_t)sysconf(_SC_PAGESIZE)) == 0 &&
	    vfu_server_set_capability(server, "sparse_mmap_fds", 1) == 0 &&
	    vfu_server_set(server, VFU_OPT_ONE_CLIENT, 1) == 0 &&
	    vfu_server_listen(server, path) == 0)
		return server;
	vfu_server_free(server);
	return NULL;
}

/* ---- the client, a process of its own */

/* Writes to an area by its file, and reads that back by message. */
static int try_area(struct vfu_client *client, const struct vfu_region_info *info, unsigned i)
{
	const struct vfu_area *area = &info->areas[i];
	char text[16] = "";
	char *map = mmap(NULL, (size_t)area->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 info->files[i].fd, (off_t)info->files[i].offset);

	if (map == MAP_FAILED)
		return -1;
	snprintf(map, sizeof(text), "area %u", i);
	munmap(map, (size_t)area->size);
	if (vfu_client_region_read(client, VFU_REGION_BAR0, area->offset, text, sizeof(text)) < 0)
		return -1;
	printf("%.*s\n", (int)sizeof(text), text);
	return 0;
}

static int use(const char *path)
{
	struct vfu_client *client = vfu_client_new();
	struct vfu_region_info info = {.fd = -1};
	int r = -1;

	if (client && vfu_client_set_capability(client, "sparse_mmap_fds", 1) == 0 &&
	    vfu_client_connect(client, path) == 0 &&
	    vfu_client_region_info(client, VFU_REGION_BAR0, &info) == 0 && info.files)
		r = 0;
	for (unsigned i = 0; !r && i < info.nareas; i++)
		r = try_area(client, &info, i);
	fflush(stdout);
	vfu_region_info_fini(&info);
	vfu_client_free(client);
	return r != 0;
}

int main(int argc, char **argv)
{
	struct vfu_device *dev = vfu_device_new();
	struct vfu_server *server;
	int status = 1;
	pid_t child;

	if (argc != 2 || !dev || !(server = set_up(dev, argv[1]))) {
		fprintf(stderr, "usage: areas SOCKET\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		_exit(use(argv[1]));
	if (child < 0 || vfu_server_run(server) < 0 || waitpid(child, &status, 0) != child)
		fprintf(stderr, "areas: it can not be served\n");
	vfu_server_free(server);
	vfu_device_free(dev);
	return status != 0;
}
