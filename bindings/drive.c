/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * drive.c - serving and waiting in C, without the GIL, and calls whose results SWIG has no words for.
 */
#include "callbacks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 250, TURNS = 64, MAX_POLLFDS = 8 };

/* ---- server ---- */

PyObject *server_step(struct vfu_server *srv, struct vfupy_device *d)
{
	int rc, timeout;

	Py_BEGIN_ALLOW_THREADS
	rc = vfu_server_process(srv, 0);
	timeout = rc < 0 ? 0 : vfu_server_timeout(srv);
	Py_END_ALLOW_THREADS
	if (d->raised)
		return device_reraise(d);
	if (rc == -ENOTCONN)
		Py_RETURN_NONE;
	if (rc < 0) {
		vfupy_raise_server(srv, rc);
		return NULL;
	}
	return PyLong_FromLong(timeout);
}

/*
 * vfu_server_run sleeps in the receive itself: one request costs no poll. What ends it is the hook of
 * server_set_hooks, asked when a signal comes and now and then, and vfupy_failed.
 */
PyObject *server_serve(struct vfu_server *srv, struct vfupy_device *d)
{
	int rc;

	d->serving = srv;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_server_run(srv);
	if (rc == 0)
		rc = vfu_server_listen_fd(srv) >= 0 || vfu_server_conn_fd(srv) >= 0;
	Py_END_ALLOW_THREADS
	d->serving = NULL;
	if (d->raised)
		return device_reraise(d);
	if (rc < 0)
		vfupy_raise_server(srv, rc);
	return PyErr_Occurred() ? NULL : PyBool_FromLong(rc);
}

PyObject *server_check_ended(struct vfu_server *srv)
{
	struct vfu_err err;
	int rc = vfu_server_ended(srv, &err);

	if (rc < 0) {
		vfupy_raise(rc, &err);
		return NULL;
	}
	Py_RETURN_NONE;
}

/* ---- client ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* What is left until deadline (-1: for ever), but no more than limit (-1: none). */
static int left_ms(int64_t deadline, int limit)
{
	int64_t left = deadline < 0 ? -1 : deadline - now_ms();

	if (deadline >= 0 && left < 0)
		left = 0;
	if (limit >= 0 && (left < 0 || left > limit))
		left = limit;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/*
 * Sleeps until the eventfd, the socket or a deadline has something, and serves the device's DMA. 1: look
 * again, 0: the deadline has passed. -EINTR also after a while, for a signal that comes just before the
 * sleep does not interrupt it. When another thread reads the socket, process leaves it to that one.
 */
static int wait_once(struct vfu_client *cl, int fd, int64_t deadline)
{
	struct pollfd pfds[MAX_POLLFDS + 1] = {{.fd = fd, .events = POLLIN}};
	int n = vfu_client_pollfds(cl, pfds + 1, MAX_POLLFDS);
	int timeout = vfu_client_timeout(cl);
	bool is_tick = timeout < 0 || timeout > TICK_MS;
	int rc, handled;

	if (n <= 0)
		return n ? n : -ENOTCONN;
	rc = poll(pfds, (nfds_t)n + 1, left_ms(deadline, is_tick ? TICK_MS : timeout));
	rc = rc < 0 ? -errno : rc;
	/* In any case: who has asked for pollfds is thought to sleep on them. */
	handled = vfu_client_process(cl, 0);
	if (rc < 0)
		return rc;
	if (handled < 0)
		return handled;
	/* The socket has data but somebody else reads it: do not spin until that thread has run. */
	if (rc > 0 && handled == 0 && !pfds[0].revents)
		poll(pfds, 1, left_ms(deadline, 1));
	if (deadline >= 0 && now_ms() >= deadline)
		return 0;
	return rc == 0 && is_tick ? -EINTR : 1;
}

/*
 * Takes what an eventfd counts, if anything, and never sleeps: O_NONBLOCK and the counter are as much
 * the device's as ours. 0, or -1 and errno. The kernel promises it since Linux 5.8; before, the device
 * must be quick to get in between.
 */
static int take_count(int fd, eventfd_t *count)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct iovec iov = {.iov_base = count, .iov_len = sizeof(*count)};
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
		return n < 0 ? -1 : 0;
	if (poll(&pfd, 1, 0) < 1 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK)) {
		errno = EAGAIN;
		return -1;
	}
	return eventfd_read(fd, count);
}

/* Until there is a count (1, in count), the deadline has passed (0), or -EINTR: signals are to be looked at. */
static int wait_for_count(struct vfu_client *cl, int fd, int64_t deadline, eventfd_t *count)
{
	int rc = 1;

	for (int i = 0; i < TURNS; i++) {
		if (take_count(fd, count) == 0)
			return 1;
		if (errno != EAGAIN)
			return -errno;
		if (rc <= 0)
			return rc;
		rc = wait_once(cl, fd, deadline);
	}
	return -EINTR;
}

PyObject *client_wait_eventfd(struct vfu_client *cl, int fd, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	/* The number may mean something else once another thread has closed the client. */
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	eventfd_t count = 0;
	int rc;

	if (own < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	do {
		Py_BEGIN_ALLOW_THREADS
		rc = wait_for_count(cl, own, deadline, &count);
		/* What others have left to this loop. */
		if (rc > 0)
			vfu_client_flush(cl);
		Py_END_ALLOW_THREADS
	} while (rc == -EINTR && !PyErr_CheckSignals());
	close(own);
	if (rc >= 0 && !PyErr_Occurred())
		return PyLong_FromUnsignedLongLong(count);
	vfupy_raise_client(cl, rc);
	return NULL;
}

PyObject *eventfd_take(int fd)
{
	eventfd_t count = 0;

	if (take_count(fd, &count) && errno != EAGAIN)
		return PyErr_SetFromErrno(PyExc_OSError);
	return PyLong_FromUnsignedLongLong(count);
}

PyObject *eventfd_new(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(fd);
}

typedef int set_eventfds_fn(struct vfu_client *cl, unsigned index, unsigned start, unsigned count,
			    const int *fds);

static PyObject *set_eventfds(struct vfu_client *cl, set_eventfds_fn *set, unsigned index,
			      unsigned start, PyObject *fds)
{
	unsigned n;
	int *list = vfupy_parse_fds(fds, &n);
	int rc;

	if (!list)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = set(cl, index, start, n, list);
	Py_END_ALLOW_THREADS
	PyMem_Free(list);
	if (rc < 0)
		vfupy_raise_client(cl, rc);
	/* A signal handler may have raised although it was done. */
	return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyObject *client_set_eventfds(struct vfu_client *cl, unsigned index, unsigned start, PyObject *fds)
{
	return set_eventfds(cl, vfu_client_irq_set_eventfds, index, start, fds);
}

PyObject *client_set_mask_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				   PyObject *fds)
{
	return set_eventfds(cl, vfu_client_irq_set_mask_eventfds, index, start, fds);
}

PyObject *client_set_unmask_eventfds(struct vfu_client *cl, unsigned index, unsigned start,
				     PyObject *fds)
{
	return set_eventfds(cl, vfu_client_irq_set_unmask_eventfds, index, start, fds);
}

/* Files of areas, [(descriptor, offset)]; areas that share one have the same descriptor. */
static PyObject *list_files(const struct vfu_region_info *info)
{
	PyObject *list = PyList_New(0);

	for (unsigned i = 0; list && info->files && i < info->nareas; i++) {
		PyObject *item = Py_BuildValue("(iK)", info->files[i].fd,
					       (unsigned long long)info->files[i].offset);

		if (!item || PyList_Append(list, item))
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list;
}

PyObject *client_region_info(struct vfu_client *cl, unsigned index)
{
	struct vfu_region_info info;
	PyObject *areas, *files, *result;
	int rc;

	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_region_info(cl, index, &info);
	Py_END_ALLOW_THREADS
	if (rc < 0) {
		vfupy_raise_client(cl, rc);
		return NULL;
	}
	areas = PyErr_Occurred() ? NULL : PyList_New(0);
	for (unsigned i = 0; areas && i < info.nareas; i++) {
		PyObject *item = Py_BuildValue("(KK)", (unsigned long long)info.areas[i].offset,
					       (unsigned long long)info.areas[i].size);

		if (!item || PyList_Append(areas, item))
			Py_CLEAR(areas);
		Py_XDECREF(item);
	}
	files = areas ? list_files(&info) : NULL;
	if (!files) {
		Py_XDECREF(areas);
		vfu_region_info_fini(&info);
		return NULL;
	}
	result = Py_BuildValue("(KKIiNIIy#N)", (unsigned long long)info.size,
			       (unsigned long long)info.offset, (unsigned)info.flags, info.fd,
			       areas, (unsigned)info.type, (unsigned)info.subtype, info.reply,
			       (Py_ssize_t)info.reply_len, files);
	/* The caller's now. */
	for (unsigned i = 0; result && info.files && i < info.nareas; i++)
		info.files[i].fd = -1;
	if (result)
		info.fd = -1;
	vfu_region_info_fini(&info);
	return result;
}

int vfupy_init(PyObject *module)
{
	if (vfupy_init_device(module) || vfupy_init_access() || vfupy_init_buffers(module) ||
	    vfupy_init_commands(module) || vfupy_init_port())
		return -1;
	return 0;
}

static PyObject *list_io_fds(const struct vfu_io_fds *fds)
{
	PyObject *list = PyList_New(0);

	for (unsigned i = 0; list && i < fds->n; i++) {
		const struct vfu_io_fd *one = &fds->list[i];
		PyObject *item =
			Py_BuildValue("(IIKKKiiK)", (unsigned)one->type, (unsigned)one->flags,
				      (unsigned long long)one->offset,
				      (unsigned long long)one->size,
				      (unsigned long long)one->datamatch, one->fd, one->shadow_fd,
				      (unsigned long long)one->shadow_offset);

		if (!item || PyList_Append(list, item))
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list;
}

PyObject *client_io_fds(struct vfu_client *cl, unsigned index)
{
	PyObject *list, *numbers, *result = NULL;
	struct vfu_io_fds fds;
	int rc;

	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_io_fds(cl, index, &fds);
	Py_END_ALLOW_THREADS
	if (rc < 0) {
		vfupy_raise_client(cl, rc);
		return NULL;
	}
	list = PyErr_Occurred() ? NULL : list_io_fds(&fds);
	numbers = list ? PyList_New(0) : NULL;
	for (unsigned i = 0; numbers && i < fds.answer.reply_nfds; i++) {
		PyObject *number = PyLong_FromLong(fds.answer.reply_fds[i]);

		if (!number || PyList_Append(numbers, number))
			Py_CLEAR(numbers);
		Py_XDECREF(number);
	}
	if (numbers)
		result = Py_BuildValue("(OO)", list, numbers);
	for (unsigned i = 0; result && i < fds.answer.reply_nfds; i++)
		fds.answer.reply_fds[i] = -1; /* the caller's now */
	Py_XDECREF(list);
	Py_XDECREF(numbers);
	vfu_io_fds_fini(&fds);
	return result;
}
