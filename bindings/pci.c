/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci.c - BARs of a client's device, as lists of tuples.
 */
#include "callbacks.h"

/* [(size, address, flags)...] of all six. */
static PyObject *list_bars(const struct vfu_client_bar *bars)
{
	PyObject *list = PyList_New(0);

	for (unsigned i = 0; list && i < VFU_BARS; i++) {
		PyObject *item =
			Py_BuildValue("(KKI)", (unsigned long long)bars[i].size,
				      (unsigned long long)bars[i].address, (unsigned)bars[i].flags);

		if (!item || PyList_Append(list, item))
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list;
}

/* A signal handler may have raised although it was done. */
static PyObject *result(struct vfu_client *cl, int rc, const struct vfu_client_bar *bars)
{
	if (rc < 0)
		vfupy_raise_client(cl, rc);
	return PyErr_Occurred() ? NULL : list_bars(bars);
}

PyObject *client_bars(struct vfu_client *cl)
{
	struct vfu_client_bar bars[VFU_BARS];
	int rc;

	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_bars(cl, bars);
	Py_END_ALLOW_THREADS
	return result(cl, rc, bars);
}

PyObject *client_assign_bars(struct vfu_client *cl, bool rom, uint64_t io, uint64_t io_size,
			     uint64_t memory, uint64_t memory_size, uint64_t memory64,
			     uint64_t memory64_size)
{
	struct vfu_client_windows windows = {.size = sizeof(windows),
					     .io = {io, io_size},
					     .memory = {memory, memory_size},
					     .memory64 = {memory64, memory64_size},
					     .is_rom_on = rom};
	struct vfu_client_bar bars[VFU_BARS];
	int rc;

	Py_BEGIN_ALLOW_THREADS
	rc = vfu_client_assign_bars(cl, &windows, bars);
	Py_END_ALLOW_THREADS
	return result(cl, rc, bars);
}
