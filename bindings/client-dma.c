/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * client-dma.c - a client's memory that the device may reach, and objects of Python in its place.
 */
#include "callbacks.h"

#include <errno.h>
#include <string.h>

/*
 * maps[iova] = entry, also while an exception is on its way. Without memory for that the entry stays
 * for ever: what the device may reach must.
 */
static void note_map(PyObject *maps, PyObject *key, PyObject *entry)
{
	PyObject *type, *exc, *trace;

	PyErr_Fetch(&type, &exc, &trace);
	if (PyObject_SetItem(maps, key, entry)) {
		PyErr_Clear();
		Py_INCREF(entry);
	}
	PyErr_Restore(type, exc, trace);
}

/* How a map has ended. Takes key. */
static PyObject *mapped(struct vfu_client *cl, int rc, PyObject *key, PyObject *maps,
			PyObject *entry)
{
	/* Here, for a signal handler may raise before Python runs on, or has done so while this waited. */
	if (rc == 0)
		note_map(maps, key, entry);
	else
		vfupy_raise_client(cl, rc);
	Py_DECREF(key);
	return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyObject *client_map_buffer(struct vfu_client *cl, uint64_t iova, unsigned flags, PyObject *hold,
			    int fd, uint64_t fd_offset, bool queued, PyObject *maps,
			    PyObject *entry)
{
	int (*map)(struct vfu_client * cl, uint64_t iova, uint64_t size, unsigned flags, void *host,
		   int fd, uint64_t fd_offset) =
		queued ? vfu_client_dma_map_nowait : vfu_client_dma_map;
	Py_buffer *view = vfupy_held(hold);
	PyObject *key;
	int rc;

	if (!view)
		return NULL;
	if (view->readonly && flags & VFU_DMA_WRITE)
		return PyErr_Format(PyExc_BufferError,
				    "the device may not write to a read-only buffer");
	key = PyLong_FromUnsignedLongLong(iova);
	if (!key)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = map(cl, iova, (uint64_t)view->len, flags, view->buf, fd, fd_offset);
	Py_END_ALLOW_THREADS
	return mapped(cl, rc, key, maps, entry);
}

PyObject *client_dma_ranges(struct vfu_client *cl)
{
	struct vfu_dma_range *ranges;
	size_t room, n;

	Py_BEGIN_ALLOW_THREADS
	room = vfu_client_dma_ranges(cl, NULL, 0);
	Py_END_ALLOW_THREADS
	ranges = PyMem_Calloc(room + 1, sizeof(*ranges));
	if (!ranges)
		return PyErr_NoMemory();
	Py_BEGIN_ALLOW_THREADS
	n = vfu_client_dma_ranges(cl, ranges, room);
	Py_END_ALLOW_THREADS
	return vfupy_range_list(ranges, n < room ? n : room);
}

/* ---- ranges that an object serves ---- */

/* What serve has returned for a piece: bytes for data, or a number. */
static int result_of(PyObject *result, void *data, size_t len)
{
	Py_buffer view;
	int rc = -EIO;

	if (PyLong_Check(result))
		return (int)PyLong_AsLong(result);
	if (PyObject_GetBuffer(result, &view, PyBUF_SIMPLE))
		return -EIO;
	if ((size_t)view.len == len) {
		memcpy(data, view.buf, len);
		rc = 0;
	}
	PyBuffer_Release(&view);
	return rc;
}

static int call_serve(void *user, bool is_write, uint64_t iova, void *data, size_t len)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	PyObject *what = is_write ? PyBytes_FromStringAndSize(data, (Py_ssize_t)len)
				  : PyLong_FromSize_t(len);
	PyObject *serve = Py_NewRef(user);
	PyObject *result = NULL;
	int rc = -EIO;

	if (what)
		result = PyObject_CallFunction(serve, "OKO", is_write ? Py_True : Py_False,
					       (unsigned long long)iova, what);
	if (result)
		rc = result_of(result, data, len);
	if (PyErr_Occurred()) {
		vfupy_lost(serve);
		rc = -ECANCELED;
	}
	Py_XDECREF(result);
	Py_XDECREF(what);
	Py_DECREF(serve);
	PyGILState_Release(gil);
	return rc;
}

PyObject *client_map_function(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
			      PyObject *serve, PyObject *maps, PyObject *entry)
{
	PyObject *key = PyLong_FromUnsignedLongLong(iova);
	int rc;

	if (!key)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_dma_map_fn(cl, iova, size, flags, call_serve, serve);
	Py_END_ALLOW_THREADS
	return mapped(cl, rc, key, maps, entry);
}

/* ---- and answers later ---- */

static const char later_name[] = "libvfu.later";

struct later {
	struct vfu_client_dma *dma; /* NULL: answered */
	PyObject *owner;            /* of the client */
	size_t len;                 /* of what is read; 0: it is a write */
};

static int answer(struct later *later, int status)
{
	struct vfu_client_dma *dma = later->dma;
	int rc;

	later->dma = NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_dma_answer(dma, status);
	Py_END_ALLOW_THREADS
	return rc;
}

static void later_free(PyObject *capsule)
{
	struct later *later = PyCapsule_GetPointer(capsule, later_name);
	PyObject *type, *exc, *trace;

	PyErr_Fetch(&type, &exc, &trace);
	if (later->dma)
		answer(later, -ECANCELED);
	Py_DECREF(later->owner);
	PyMem_Free(later);
	PyErr_Restore(type, exc, trace);
}

PyObject *client_dma_later(struct vfu_client *cl, PyObject *owner, size_t len)
{
	struct later *later = PyMem_Calloc(1, sizeof(*later));
	PyObject *capsule = later ? PyCapsule_New(later, later_name, later_free) : NULL;

	if (!capsule) {
		PyMem_Free(later);
		return PyErr_NoMemory();
	}
	later->owner = Py_NewRef(owner);
	later->len = len;
	Py_BEGIN_ALLOW_THREADS
	later->dma = vfu_client_dma_later(cl);
	Py_END_ALLOW_THREADS
	if (!later->dma) {
		vfupy_raise(-ENOBUFS, NULL);
		Py_CLEAR(capsule);
	}
	return capsule;
}

PyObject *client_dma_answer(PyObject *capsule, PyObject *data, int status)
{
	struct later *later = PyCapsule_GetPointer(capsule, later_name);
	int rc;

	if (!later)
		return NULL;
	if (!later->dma)
		return PyErr_Format(PyExc_ValueError, "answered already");
	if (!status && later->len) {
		status = result_of(data, vfu_client_dma_data(later->dma), later->len);
		if (PyErr_Occurred())
			return NULL;
	}
	rc = answer(later, status);
	return PyBool_FromLong(!rc);
}
