/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * test-sock.c - addresses, socket files, inherited descriptors.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../lib/leaks.h"
#include "../../lib/os_fault.h"
#include "../../lib/wire_peer.h"
#include "../../lib/suite.h"
#include "transport/sock.h"

static char dir[64];
static char path[512];
static struct vfu_err err;

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/vfu-sock-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
}

static void drop_dir(void)
{
	ck_assert_int_eq(rmdir(dir), 0);
}

static void check_connection(int listener, const char *address)
{
	int a = vfui_sock_connect(address, 1000, NULL, NULL, &err), b;
	char c = 0;

	ck_assert_msg(a >= 0, "%s", err.text);
	b = vfui_sock_accept(listener);
	ck_assert_int_ge(b, 0);
	ck_assert_int_eq(vfui_sock_kind(a), VFUI_SOCK_CONNECTED);
	ck_assert_int_eq(send(a, "x", 1, 0), 1);
	ck_assert_int_eq(recv(b, &c, 1, 0), 1);
	ck_assert_int_eq(c, 'x');
	close(a);
	close(b);
}

START_TEST(listen_connect_remove)
{
	struct vfui_sock_file file;
	char address[600];
	int fd;

	make_dir();
	snprintf(address, sizeof(address), "unix:%s", path);
	fd = vfui_sock_listen(address, 0, &file, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert_int_eq(vfui_sock_kind(fd), VFUI_SOCK_LISTENER);
	ck_assert_int_eq(vfui_sock_accept(fd), -EAGAIN);
	check_connection(fd, address);
	check_connection(fd, path);
	close(fd);
	vfui_sock_remove(&file);
	ck_assert_int_eq(access(path, F_OK), -1);
	vfui_sock_remove(&file);
	drop_dir();
}
END_TEST

START_TEST(stale_file_is_replaced_live_one_is_not)
{
	struct vfui_sock_file old, fresh, none;
	int a, b;

	make_dir();
	a = vfui_sock_listen(path, 0, &old, &err);
	ck_assert_int_eq(vfui_sock_listen(path, 0, &none, &err), -EADDRINUSE);
	ck_assert_int_eq(err.code, -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	/* Its owner dies without removing it. */
	close(a);
	b = vfui_sock_listen(path, 0, &fresh, &err);
	ck_assert_msg(b >= 0, "%s", err.text);
	/* The first owner's file is not this one. */
	vfui_sock_remove(&old);
	check_connection(b, path);
	close(b);
	vfui_sock_remove(&fresh);
	drop_dir();
}
END_TEST

START_TEST(other_files_are_left_alone)
{
	struct vfui_sock_file file;
	FILE *plain;

	make_dir();
	plain = fopen(path, "w");
	fclose(plain);
	ck_assert_int_eq(vfui_sock_listen(path, 0, &file, &err), -EADDRINUSE);
	ck_assert_int_eq(access(path, F_OK), 0);
	unlink(path);
	drop_dir();
}
END_TEST

START_TEST(long_paths)
{
	struct vfui_sock_file stale, file;
	size_t at;
	int fd;

	make_dir();
	/* A directory whose path alone is longer than a socket address. */
	at = (size_t)snprintf(path, sizeof(path), "%s/", dir);
	memset(path + at, 'd', 150);
	path[at + 150] = '\0';
	ck_assert_int_eq(mkdir(path, 0700), 0);
	strcat(path, "/s");
	fd = vfui_sock_listen(path, 0, &stale, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	check_connection(fd, path);
	close(fd);
	/* Stale, and replaced, there too. */
	fd = vfui_sock_listen(path, 0, &file, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	vfui_sock_remove(&stale);
	ck_assert_int_eq(access(path, F_OK), 0);
	close(fd);
	vfui_sock_remove(&file);
	/* A name that no file system takes. */
	memset(path + strlen(path), 'n', 300);
	path[at + 150 + 300] = '\0';
	ck_assert_int_eq(vfui_sock_listen(path, 0, &file, &err), -ENAMETOOLONG);
	ck_assert_int_eq(vfui_sock_connect(path, 10, NULL, NULL, &err), -ENAMETOOLONG);
	path[at + 150] = '\0';
	rmdir(path);
	drop_dir();
}
END_TEST

/* Names that the system takes: any bytes, any length, here and there. */
START_TEST(all_sorts_of_names)
{
	struct vfui_sock_file stale, file;
	size_t at;
	int fd;

	make_dir();
	at = (size_t)snprintf(path, sizeof(path), "%s/", dir);
	for (size_t len = 1; len <= 255; len += len < 70 || len > 110 ? 37 : 1) {
		memset(path + at, len % 2 ? '\xff' : 'n', len);
		path[at + len] = '\0';
		fd = vfui_sock_listen(path, 0, &stale, &err);
		ck_assert_msg(fd >= 0, "%zu: %s", len, err.text);
		check_connection(fd, path);
		close(fd);
		fd = vfui_sock_listen(path, 0, &file, &err);
		ck_assert_msg(fd >= 0, "%zu: %s", len, err.text);
		check_connection(fd, path);
		vfui_sock_remove(&stale);
		vfui_sock_remove(&file);
		close(fd);
	}
	/* In the directory where we are. */
	ck_assert_int_eq(chdir(dir), 0);
	fd = vfui_sock_listen("s", 0, &file, &err);
	check_connection(fd, "s");
	close(fd);
	vfui_sock_remove(&file);
	drop_dir();
}
END_TEST

/* ---- many servers at once ---- */

enum { SERVERS = 8 };

static struct vfui_sock_file files[SERVERS];
static int listeners[SERVERS];
static pthread_barrier_t start_line;

static void *listens(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	pthread_barrier_wait(&start_line);
	listeners[i] = vfui_sock_listen(path, 0, &files[i], NULL);
	return NULL;
}

/* Of servers that start at once one gets the place, stale or empty, and nothing else is left. */
START_TEST(one_server_gets_it)
{
	pthread_t threads[SERVERS];
	unsigned winner = SERVERS;
	struct vfui_sock_file stale;

	make_dir();
	close(vfui_sock_listen(path, 0, &stale, &err));
	if (_i % 2)
		vfui_sock_remove(&stale);
	pthread_barrier_init(&start_line, NULL, SERVERS);
	for (uintptr_t i = 0; i < SERVERS; i++)
		pthread_create(&threads[i], NULL, listens, (void *)i);
	for (unsigned i = 0; i < SERVERS; i++) {
		pthread_join(threads[i], NULL);
		if (listeners[i] >= 0) {
			ck_assert_uint_eq(winner, SERVERS);
			winner = i;
		} else {
			ck_assert_int_eq(listeners[i], -EADDRINUSE);
		}
	}
	ck_assert_uint_lt(winner, SERVERS);
	/* The others have looked whether somebody is there. */
	for (int fd; (fd = vfui_sock_accept(listeners[winner])) >= 0;)
		close(fd);
	check_connection(listeners[winner], path);
	vfui_sock_remove(&stale);
	vfui_sock_remove(&files[winner]);
	close(listeners[winner]);
	pthread_barrier_destroy(&start_line);
	drop_dir();
}
END_TEST

/* What was killed in the middle leaves files, but nobody is kept out by them. */
START_TEST(left_over_files_do_no_harm)
{
	struct vfui_sock_file stale, file;
	char lock[600];
	int fd;

	make_dir();
	close(vfui_sock_listen(path, 0, &stale, &err));
	snprintf(lock, sizeof(lock), "%s.lock", path);
	close(open(lock, O_CREAT | O_RDWR, 0600));
	fd = vfui_sock_listen(path, 0, &file, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert_int_eq(access(lock, F_OK), -1);
	/* Locked by another: that one is about to take it. */
	close(fd);
	fd = open(lock, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	vfui_sock_remove(&stale);
	ck_assert_int_eq(vfui_sock_listen(path, 0, &stale, &err), -EADDRINUSE);
	close(fd);
	unlink(lock);
	vfui_sock_remove(&file);
	drop_dir();
}
END_TEST

START_TEST(bad_addresses)
{
	struct vfui_sock_file file;
	int fd = peer_fd();

	ck_assert_int_eq(vfui_sock_connect("unix:", 10, NULL, NULL, &err), -EINVAL);
	ck_assert_int_eq(vfui_sock_connect("/nonexistent/s", 10, NULL, NULL, &err), -ENOENT);
	ck_assert_int_eq(vfui_sock_listen("/nonexistent/s", 0, &file, &err), -ENOENT);
	vfui_sock_remove(&file);
	ck_assert_int_eq(vfui_sock_kind(fd), -ENOTSOCK);
	close(fd);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ck_assert_int_eq(vfui_sock_kind(fd), -EPROTOTYPE);
	close(fd);
	ck_assert_int_eq(vfui_sock_kind(fd), -EBADF);
}
END_TEST

static int third_time(void *asked)
{
	return ++*(unsigned *)asked == 3 ? -ECANCELED : 0;
}

/* A server that accepts nobody: its queue fills, and connecting must not hang. */
START_TEST(full_queue_times_out)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fds[8], r = 0;
	unsigned n = 0, asked = 0;

	make_dir();
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	while (n < 8 && (r = vfui_sock_connect(path, 20, NULL, NULL, &err)) >= 0)
		fds[n++] = r;
	ck_assert_int_eq(r, -ETIMEDOUT);
	/* Asked whether to go on, at once when a signal comes and in any case. */
	ck_assert_int_eq(vfui_sock_connect(path, 0, third_time, &asked, &err), -ECANCELED);
	ck_assert_uint_eq(asked, 3);
	while (n > 0)
		close(fds[--n]);
	close(listener);
	unlink(path);
	drop_dir();
}
END_TEST

/* As doc/reference/limits.md has it. */
START_TEST(so_many_wait)
{
	struct vfui_sock_file file;
	int fds[18], listener, r = 0;
	unsigned n = 0;

	make_dir();
	listener = vfui_sock_listen(path, 0, &file, &err);
	ck_assert_int_ge(listener, 0);
	while (n < 18 && (r = vfui_sock_connect(path, 20, NULL, NULL, &err)) >= 0)
		fds[n++] = r;
	ck_assert_int_eq(r, -ETIMEDOUT);
	ck_assert_uint_eq(n, 17);
	while (n > 0)
		close(fds[--n]);
	close(listener);
	vfui_sock_remove(&file);
	drop_dir();
}
END_TEST

/* ---- permissions ---- */

static mode_t mode_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(lstat(name, &st), 0);
	return st.st_mode & 07777;
}

static unsigned files_seen, modes_seen;

/* What there is when a socket is about to listen, under whatever name. */
static void look_at_files(void)
{
	DIR *list = opendir(dir);
	struct dirent *entry;
	char name[512];

	ck_assert_ptr_nonnull(list);
	while ((entry = readdir(list))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(name, sizeof(name), "%s/%s", dir, entry->d_name);
		modes_seen |= mode_of(name);
		files_seen++;
	}
	closedir(list);
}

/* Before anybody can connect the file has its permissions, whatever the umask says of others'. */
START_TEST(permissions_are_there_before_it_listens)
{
	static const mode_t modes[] = {0600, 0660, 0777, 0200};
	mode_t old = umask(_i < 4 ? 0 : 0777);
	struct vfui_sock_file file;
	mode_t mode = modes[_i % 4];
	int fd;

	make_dir();
	files_seen = modes_seen = 0;
	fault_on_listen(look_at_files);
	fd = vfui_sock_listen(path, mode, &file, &err);
	fault_on_listen(NULL);
	umask(old);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert_uint_eq(files_seen, 1);
	ck_assert_uint_eq(modes_seen, mode);
	ck_assert_uint_eq(mode_of(path), mode);
	close(fd);
	vfui_sock_remove(&file);
	drop_dir();
}
END_TEST

/* So has the one that takes the place of a file that was left behind, and 0 is what the umask leaves. */
START_TEST(permissions_of_a_replaced_file)
{
	mode_t old = umask(027);
	struct vfui_sock_file stale, file;
	int fd;

	make_dir();
	close(vfui_sock_listen(path, 0, &stale, &err));
	ck_assert_uint_eq(mode_of(path), 0750);
	fd = vfui_sock_listen(path, 0606, &file, &err);
	umask(old);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert_uint_eq(mode_of(path), 0606);
	close(fd);
	vfui_sock_forget(&stale);
	vfui_sock_remove(&file);
	drop_dir();
}
END_TEST

START_TEST(permissions_that_can_not_be_set)
{
	struct vfui_sock_file file;
	mode_t old = umask(022);
	int fd;

	make_dir();
	fault_fail(FAULT_CHMOD, 1, EROFS);
	ck_assert_int_eq(vfui_sock_listen(path, 0660, &file, &err), -EROFS);
	ck_assert_ptr_nonnull(strstr(err.text, "cannot listen at"));
	/* No /proc: nobody can give it what the umask takes. */
	fault_fail(FAULT_CHMOD, 1, ENOENT);
	ck_assert_int_eq(vfui_sock_listen(path, 0660, &file, &err), -EOPNOTSUPP);
	/* What it leaves needs none. */
	fault_fail(FAULT_CHMOD, 1, ENOENT);
	fd = vfui_sock_listen(path, 0640, &file, &err);
	fault_reset();
	umask(old);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert_uint_eq(mode_of(path), 0640);
	close(fd);
	vfui_sock_remove(&file);
	drop_dir();
}
END_TEST

START_TEST(every_call_fails)
{
	make_dir();
	for (unsigned nth = 1; nth < 4; nth++) {
		struct vfui_sock_file file;
		int fd;

		fault_fail(FAULT_FD, nth, EMFILE);
		fd = vfui_sock_listen(path, 0, &file, &err);
		if (fd >= 0)
			close(fd);
		vfui_sock_remove(&file);
		fault_reset();
		fault_fail(FAULT_ALLOC, nth, ENOMEM);
		fd = vfui_sock_listen(path, 0, &file, &err);
		ck_assert(fd >= 0 || fd == -ENOMEM);
		if (fd >= 0)
			close(fd);
		vfui_sock_remove(&file);
		ck_assert_int_eq(access(path, F_OK), -1);
	}
	drop_dir();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sock");
	TCase *tcase = tcase_create("sock");

	leaks_watch(tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, listen_connect_remove);
	tcase_add_test(tcase, stale_file_is_replaced_live_one_is_not);
	tcase_add_test(tcase, other_files_are_left_alone);
	tcase_add_test(tcase, long_paths);
	tcase_add_test(tcase, all_sorts_of_names);
	tcase_add_loop_test(tcase, one_server_gets_it, 0, 200);
	tcase_add_test(tcase, left_over_files_do_no_harm);
	tcase_add_test(tcase, bad_addresses);
	tcase_add_test(tcase, full_queue_times_out);
	tcase_add_test(tcase, so_many_wait);
	tcase_add_loop_test(tcase, permissions_are_there_before_it_listens, 0, 8);
	tcase_add_test(tcase, permissions_of_a_replaced_file);
	tcase_add_test(tcase, permissions_that_can_not_be_set);
	tcase_add_test(tcase, every_call_fails);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
