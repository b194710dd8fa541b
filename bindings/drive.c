/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * drive.c - serving and waiting in C, without the GIL, and calls whose results SWIG has no words for.
 */
#include "callbacks.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

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

PyObject *client_wait_eventfd(struct vfu_client *cl, int fd, int timeout_ms)
{
	uint64_t count;
	int rc;

	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_irq_wait(cl, fd, timeout_ms, &count);
	Py_END_ALLOW_THREADS
	if (rc < 0)
		vfupy_raise_client(cl, rc);
	/* A signal handler may have raised although it has come. */
	return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(count);
}

PyObject *eventfd_take(int fd)
{
	uint64_t count;
	int rc = vfu_eventfd_take(fd, &count);

	if (!rc || rc == -EAGAIN)
		return PyLong_FromUnsignedLongLong(rc ? 0 : count);
	errno = -rc;
	return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *client_irq_do(struct vfu_client *cl, unsigned index, unsigned what, unsigned start,
			PyObject *which)
{
	Py_buffer view;
	int rc;

	if (PyObject_GetBuffer(which, &view, PyBUF_SIMPLE))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_irq_do(cl, index, what, start, (unsigned)view.len, view.buf);
	Py_END_ALLOW_THREADS
	PyBuffer_Release(&view);
	if (rc < 0)
		vfupy_raise_client(cl, rc);
	return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
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
