/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * client-dma.c - a client's memory that the device may reach.
 */
#include "callbacks.h"

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

PyObject *client_map_buffer(struct vfu_client *cl, uint64_t iova, unsigned flags, PyObject *hold,
			    int fd, uint64_t fd_offset, PyObject *maps, PyObject *entry)
{
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
	rc = vfu_client_dma_map(cl, iova, (uint64_t)view->len, flags, view->buf, fd, fd_offset);
	Py_END_ALLOW_THREADS
	/* Here, for a signal handler may raise before Python runs on, or has done so while this waited. */
	if (rc == 0)
		note_map(maps, key, entry);
	else
		vfupy_raise_client(cl, rc);
	Py_DECREF(key);
	return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
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
