/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * buffers.c - memory shared between C and Python: DMA, pinned ranges, region memory, data of requests.
 *
 * What Python holds of a buffer (slices, casts, arrays of ctypes or numpy) can not be taken back, nor can
 * it be told how long it will be held. So whatever is handed out as a buffer stays for as long as any of
 * that lives, by one type that all of it refers to, struct memory:
 *
 *	pinned    client memory         unpinned by the last one to let go; until then an unmap waits
 *	region    memory of a device    keeps the device; a region can not be replaced meanwhile
 *	data      a copy of its own     of a request, which itself ends with its callback
 */
#include "callbacks.h"

#include <errno.h>
#include <string.h>

enum kind { PINNED, REGION, DATA };

struct memory {
	PyObject_HEAD struct vfupy_device *owner; /* NULL: of DATA */
	void *addr;                               /* NULL once released */
	Py_ssize_t len;
	Py_ssize_t exports;
	enum kind kind;
	bool readonly;
	struct vfu_dma_pin pin;
};

/* One copy under way. All but the library's own use of the memory happens with the GIL. */
struct dma_op {
	PyObject *done;
	PyObject *data; /* bytes to be filled, or NULL: the buffer in view is */
	Py_buffer view;
	struct vfupy_device *owner; /* of a pin that is made: what it needs for its memory */
	struct vfu_dma_pin pin;
	bool readonly;
	int status;
	bool starting, finished;
};

static PyTypeObject *memory_type;

static const char hold_name[] = "libvfu.hold";
static const char watch_name[] = "libvfu.watch";

/* ---- DMA ---- */

static void op_free(struct dma_op *op)
{
	if (op->view.obj)
		PyBuffer_Release(&op->view);
	Py_XDECREF(op->data);
	Py_XDECREF(op->done);
	Py_XDECREF((PyObject *)op->owner);
	PyMem_Free(op);
}

static struct memory *pinned_new(struct vfupy_device *owner, struct vfu_dma_pin *pin,
				 bool readonly);

/* What was pinned becomes an object: 0 or negative errno. */
static int op_pinned(struct dma_op *op)
{
	op->data = (PyObject *)pinned_new(op->owner, &op->pin, op->readonly);
	if (op->data)
		return 0;
	PyErr_Clear();
	return -ENOMEM;
}

static PyObject *op_result(const struct dma_op *op)
{
	return Py_NewRef(op->data ? op->data : Py_True);
}

/* Runs on the owner of the device, or inside the call that started the copy. */
static void on_dma_done(void *user, int status)
{
	struct dma_op *op = user;
	PyGILState_STATE gil = PyGILState_Ensure();
	PyObject *data, *result;

	op->status = status || !op->owner ? status : op_pinned(op);
	status = op->status;
	op->finished = true;
	if (!op->starting) {
		data = status ? Py_NewRef(Py_None) : op_result(op);
		result = PyObject_CallFunction(op->done, "iN", status, data);
		if (!result)
			vfupy_lost(op->done);
		Py_XDECREF(result);
		op_free(op);
	}
	PyGILState_Release(gil);
}

/* rc: of the call that started it. Tells what became of the copy so far. */
static PyObject *op_started(struct dma_op *op, int rc)
{
	PyObject *result;

	if (rc == 0 && !op->finished) {
		op->starting = false;
		Py_RETURN_NONE;
	}
	if (rc == 0)
		rc = op->status;
	result = rc < 0 ? NULL : op_result(op);
	if (rc < 0)
		vfupy_raise(rc, NULL);
	op_free(op);
	return result;
}

static struct dma_op *op_new(PyObject *done)
{
	struct dma_op *op = PyMem_Calloc(1, sizeof(*op));

	if (!op) {
		PyErr_NoMemory();
		return NULL;
	}
	op->done = Py_NewRef(done);
	op->starting = true;
	return op;
}

PyObject *dma_read(struct vfupy_device *d, uint64_t iova, PyObject *into, PyObject *done)
{
	struct dma_op *op = op_new(done);
	Py_ssize_t len;
	void *buf;
	int rc;

	if (!op)
		return NULL;
	if (PyIndex_Check(into)) {
		len = PyNumber_AsSsize_t(into, PyExc_OverflowError);
		op->data = len >= 0 ? PyBytes_FromStringAndSize(NULL, len) : NULL;
		if (!PyErr_Occurred() && !op->data)
			PyErr_SetString(PyExc_ValueError, "negative length");
	} else {
		PyObject_GetBuffer(into, &op->view, PyBUF_WRITABLE);
	}
	if (PyErr_Occurred()) {
		op_free(op);
		return NULL;
	}
	buf = op->data ? PyBytes_AS_STRING(op->data) : op->view.buf;
	len = op->data ? PyBytes_GET_SIZE(op->data) : op->view.len;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_dma_read_async(d->dev, iova, buf, (size_t)len, on_dma_done, op);
	Py_END_ALLOW_THREADS
	return op_started(op, rc);
}

PyObject *dma_write(struct vfupy_device *d, uint64_t iova, PyObject *data, PyObject *done)
{
	struct dma_op *op = op_new(done);
	int rc;

	if (!op)
		return NULL;
	if (PyObject_GetBuffer(data, &op->view, PyBUF_SIMPLE)) {
		op_free(op);
		return NULL;
	}
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_dma_write_async(d->dev, iova, op->view.buf, (size_t)op->view.len, on_dma_done, op);
	Py_END_ALLOW_THREADS
	return op_started(op, rc);
}

/* An address; OverflowError for what is none, which the format K would cut to 64 bits. */
static unsigned long long address_of(PyObject *number)
{
	PyObject *index = PyNumber_Index(number);
	unsigned long long address = index ? PyLong_AsUnsignedLongLong(index) : 0;

	Py_XDECREF(index);
	return address;
}

/* (iova, size) of each, in memory of its own, *n of them; NULL: an exception. */
static struct vfu_dma_piece *pieces_of(PyObject *sequence, size_t *n, size_t *total)
{
	PyObject *list = PySequence_Fast(sequence, "pieces are pairs of an address and a size");
	struct vfu_dma_piece *pieces = NULL;

	if (!list)
		return NULL;
	*n = (size_t)PySequence_Fast_GET_SIZE(list);
	*total = 0;
	pieces = PyMem_Calloc(*n + 1, sizeof(*pieces));
	if (!pieces)
		PyErr_NoMemory();
	for (size_t i = 0; pieces && i < *n; i++) {
		PyObject *pair = PySequence_Tuple(PySequence_Fast_GET_ITEM(list, (Py_ssize_t)i));
		PyObject *address;
		unsigned long long iova = 0;
		Py_ssize_t len = 0;

		if (pair && PyArg_ParseTuple(pair, "On", &address, &len))
			iova = address_of(address);
		if (!PyErr_Occurred() && (len < 0 || (size_t)len > PY_SSIZE_T_MAX - *total))
			PyErr_SetString(PyExc_ValueError,
					"a size is negative, or all are too large");
		Py_XDECREF(pair);
		if (PyErr_Occurred()) {
			PyMem_Free(pieces);
			pieces = NULL;
			break;
		}
		pieces[i] = (struct vfu_dma_piece){iova, (size_t)len};
		*total += (size_t)len;
	}
	Py_DECREF(list);
	return pieces;
}

/* data: what is written, or NULL: it is read. */
static PyObject *copy_list(struct vfupy_device *d, PyObject *sequence, PyObject *data,
			   PyObject *done)
{
	struct dma_op *op = op_new(done);
	struct vfu_dma_piece *pieces;
	size_t n = 0, total = 0;
	int rc;

	if (!op)
		return NULL;
	pieces = pieces_of(sequence, &n, &total);
	if (pieces && !data)
		op->data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
	else if (pieces && !PyObject_GetBuffer(data, &op->view, PyBUF_SIMPLE) &&
		 (size_t)op->view.len != total)
		PyErr_Format(PyExc_ValueError, "%zd bytes for pieces of %zu", op->view.len, total);
	if (PyErr_Occurred()) {
		PyMem_Free(pieces);
		op_free(op);
		return NULL;
	}
	Py_BEGIN_ALLOW_THREADS
	rc = data ? vfu_dma_writev_async(d->dev, pieces, n, op->view.buf, on_dma_done, op)
		  : vfu_dma_readv_async(d->dev, pieces, n, PyBytes_AS_STRING(op->data), on_dma_done,
					op);
	Py_END_ALLOW_THREADS
	PyMem_Free(pieces);
	return op_started(op, rc);
}

PyObject *dma_readv(struct vfupy_device *d, PyObject *pieces, PyObject *done)
{
	return copy_list(d, pieces, NULL, done);
}

PyObject *dma_writev(struct vfupy_device *d, PyObject *pieces, PyObject *data, PyObject *done)
{
	return copy_list(d, pieces, data, done);
}

PyObject *dma_fill(struct vfupy_device *d, uint64_t iova, size_t len, unsigned byte, PyObject *done)
{
	struct dma_op *op = op_new(done);
	int rc;

	if (!op)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_dma_fill_async(d->dev, iova, len, (uint8_t)byte, on_dma_done, op);
	Py_END_ALLOW_THREADS
	return op_started(op, rc);
}

/* ---- memory as a buffer ---- */

static struct memory *memory_new(enum kind kind, struct vfupy_device *owner, void *addr, size_t len,
				 bool readonly)
{
	struct memory *m = PyObject_New(struct memory, memory_type);

	if (!m)
		return NULL;
	m->owner = owner;
	Py_XINCREF((PyObject *)owner);
	if (kind == REGION)
		owner->views++;
	m->addr = addr;
	m->len = (Py_ssize_t)len;
	m->exports = 0;
	m->kind = kind;
	m->readonly = readonly;
	return m;
}

static int memory_get(PyObject *object, Py_buffer *view, int flags)
{
	struct memory *m = (struct memory *)object;

	if (!m->addr) {
		view->obj = NULL;
		PyErr_SetString(PyExc_BufferError, "this memory was released");
		return -1;
	}
	if (PyBuffer_FillInfo(view, object, m->addr, m->len, m->readonly, flags))
		return -1;
	m->exports++;
	return 0;
}

static void memory_put(PyObject *object, Py_buffer *view)
{
	(void)view;
	((struct memory *)object)->exports--;
}

/* -EFAULT: it was lost while it was pinned. */
static int memory_drop(struct memory *m)
{
	struct vfupy_device *owner = m->owner;
	void *addr = m->addr;
	int rc = 0;

	m->addr = NULL;
	m->owner = NULL;
	if (addr && m->kind == PINNED) {
		Py_BEGIN_ALLOW_THREADS
		rc = vfu_dma_unpin(owner->dev, &m->pin);
		Py_END_ALLOW_THREADS
	} else if (addr && m->kind == REGION) {
		owner->views--;
	} else if (m->kind == DATA) {
		PyMem_Free(addr);
	}
	Py_XDECREF((PyObject *)owner);
	return rc;
}

static PyObject *memory_release(PyObject *object, PyObject *args)
{
	struct memory *m = (struct memory *)object;
	int rc;

	(void)args;
	if (m->exports) {
		PyErr_Format(PyExc_BufferError, "%zd views of this memory are in use", m->exports);
		return NULL;
	}
	rc = memory_drop(m);
	if (rc < 0) {
		vfupy_raise(rc, NULL);
		return NULL;
	}
	Py_RETURN_NONE;
}

static PyObject *memory_view(PyObject *object, PyObject *args)
{
	(void)args;
	return PyMemoryView_FromObject(object);
}

static PyObject *memory_enter(PyObject *object, PyObject *args)
{
	(void)args;
	Py_INCREF(object);
	return object;
}

static PyObject *memory_repr(PyObject *object)
{
	struct memory *m = (struct memory *)object;
	const char *name = m->kind == PINNED ? "vfu.PinnedMemory" : "libvfu.Memory";
	char size[32];

	if (!m->addr)
		return PyUnicode_FromFormat("<%s, released>", name);
	snprintf(size, sizeof(size), "0x%zx", (size_t)m->len); /* Python has no %zx */
	return PyUnicode_FromFormat("<%s %s bytes>", name, size);
}

static Py_ssize_t memory_len(PyObject *object)
{
	return ((struct memory *)object)->len;
}

static void memory_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);
	PyObject *kind, *exc, *trace;

	/* An exception may be on its way, and who waits for the room of a pin is told of it now. */
	PyErr_Fetch(&kind, &exc, &trace);
	memory_drop((struct memory *)object);
	PyErr_Restore(kind, exc, trace);
	PyObject_Free(object);
	Py_DECREF(type);
}

static PyMethodDef memory_methods[] = {
	{"release", memory_release, METH_NOARGS,
	 "Ends the use of the memory. BufferError while views exist; EFAULT: the client has cut the "
	 "file behind it meanwhile."},
	{"view", memory_view, METH_NOARGS, "A memoryview of it."},
	{"__enter__", memory_enter, METH_NOARGS, "Itself."},
	{"__exit__", memory_release, METH_VARARGS, "As release(), also of what was released."},
	{NULL, NULL, 0, NULL},
};

static PyType_Spec memory_spec = {
	.name = "libvfu.Memory",
	.basicsize = sizeof(struct memory),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots =
		(PyType_Slot[]){
			{Py_tp_doc,
			 (void *)"Memory of a device or its client: supports the buffer protocol, and "
				 "with, whose end is release()."},
			{Py_tp_methods, memory_methods},
			{Py_tp_repr, memory_repr},
			{Py_tp_dealloc, memory_dealloc},
			{Py_sq_length, memory_len},
			{Py_bf_getbuffer, memory_get},
			{Py_bf_releasebuffer, memory_put},
			{0, NULL},
		},
};

PyObject *device_memory(struct vfupy_device *d, unsigned region)
{
	void *addr = vfu_device_region_memory(d->dev, region);

	if (!addr)
		return PyErr_Format(PyExc_MemoryError, "no memory for region %u", region);
	return (PyObject *)memory_new(REGION, d, addr, d->sizes[region], false);
}

PyObject *vfupy_data_new(const void *from, size_t len)
{
	void *addr = from ? PyMem_Malloc(len) : PyMem_Calloc(1, len);
	struct memory *m = addr ? memory_new(DATA, NULL, addr, len, from != NULL) : NULL;

	if (!m) {
		PyMem_Free(addr);
		return PyErr_NoMemory();
	}
	if (from)
		memcpy(addr, from, len);
	return (PyObject *)m;
}

void vfupy_data_get(PyObject *object, void *to)
{
	struct memory *m = (struct memory *)object;

	if (m->addr)
		memcpy(to, m->addr, (size_t)m->len);
	else
		memset(to, 0, (size_t)m->len);
}

/* Takes pin, also when it fails. */
static struct memory *pinned_new(struct vfupy_device *owner, struct vfu_dma_pin *pin, bool readonly)
{
	struct memory *m = memory_new(PINNED, owner, pin->addr, pin->len, readonly);

	if (m) {
		m->pin = *pin;
		return m;
	}
	Py_BEGIN_ALLOW_THREADS
	vfu_dma_unpin(owner->dev, pin);
	Py_END_ALLOW_THREADS
	return NULL;
}

PyObject *dma_pin_async(struct vfupy_device *d, uint64_t iova, size_t len, unsigned flags,
			PyObject *done)
{
	struct dma_op *op = op_new(done);
	int rc;

	if (!op)
		return NULL;
	op->owner = (struct vfupy_device *)Py_NewRef((PyObject *)d);
	op->readonly = !(flags & VFU_DMA_WRITE);
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_dma_pin_async(d->dev, iova, len, flags, &op->pin, on_dma_done, op);
	Py_END_ALLOW_THREADS
	return op_started(op, rc);
}

PyObject *dma_unpin(PyObject *object, PyObject *done)
{
	struct memory *m = (struct memory *)object;
	struct vfupy_device *owner;
	struct dma_op *op;
	int rc;

	if (Py_TYPE(object) != memory_type || m->kind != PINNED)
		return PyErr_Format(PyExc_TypeError, "%R is no pin", object);
	if (m->exports || !m->addr)
		return PyErr_Format(PyExc_BufferError,
				    m->addr ? "%zd views of this memory are in use"
					    : "this memory was released",
				    m->exports);
	op = op_new(done);
	if (!op)
		return NULL;
	owner = m->owner;
	m->owner = NULL;
	m->addr = NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_dma_unpin_async(owner->dev, &m->pin, on_dma_done, op);
	Py_END_ALLOW_THREADS
	Py_DECREF((PyObject *)owner);
	return op_started(op, rc);
}

PyObject *dma_pin(struct vfupy_device *d, uint64_t iova, size_t len, unsigned flags)
{
	struct vfu_dma_pin pin;
	int rc;

	Py_BEGIN_ALLOW_THREADS
	rc = vfu_dma_pin(d->dev, iova, len, flags, &pin);
	Py_END_ALLOW_THREADS
	if (rc) {
		vfupy_raise(rc, NULL);
		return NULL;
	}
	return (PyObject *)pinned_new(d, &pin, !(flags & VFU_DMA_WRITE));
}

PyObject *vfupy_range_list(struct vfu_dma_range *ranges, size_t n)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < n; i++) {
		const struct vfu_dma_range *r = &ranges[i];
		PyObject *item = Py_BuildValue("(KKIO)", (unsigned long long)r->iova,
					       (unsigned long long)r->size, (unsigned)r->flags,
					       r->mapped ? Py_True : Py_False);

		if (!item || PyList_Append(list, item))
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	PyMem_Free(ranges);
	return list;
}

PyObject *dma_ranges(struct vfupy_device *d)
{
	struct vfu_dma_range *ranges;
	size_t room, n;

	Py_BEGIN_ALLOW_THREADS
	room = vfu_dma_ranges(d->dev, NULL, 0);
	Py_END_ALLOW_THREADS
	ranges = PyMem_Calloc(room + 1, sizeof(*ranges));
	if (!ranges)
		return PyErr_NoMemory();
	Py_BEGIN_ALLOW_THREADS
	n = vfu_dma_ranges(d->dev, ranges, room);
	Py_END_ALLOW_THREADS
	return vfupy_range_list(ranges, n < room ? n : room);
}

/* ---- memory of Python objects, held for C ---- */

static void hold_free(PyObject *capsule)
{
	Py_buffer *view = PyCapsule_GetPointer(capsule, hold_name);

	PyBuffer_Release(view);
	PyMem_Free(view);
}

PyObject *hold_buffer(PyObject *object)
{
	Py_buffer *view = PyMem_Calloc(1, sizeof(*view));
	PyObject *capsule;

	if (!view)
		return PyErr_NoMemory();
	if (PyObject_GetBuffer(object, view, PyBUF_SIMPLE)) {
		PyMem_Free(view);
		return NULL;
	}
	capsule = PyCapsule_New(view, hold_name, hold_free);
	if (!capsule) {
		PyBuffer_Release(view);
		PyMem_Free(view);
	}
	return capsule;
}

Py_buffer *vfupy_held(PyObject *hold)
{
	return PyCapsule_GetPointer(hold, hold_name);
}

/* ---- memory that can vanish ---- */

static void watch_free(PyObject *capsule)
{
	vfu_watch_free(PyCapsule_GetPointer(capsule, watch_name));
}

PyObject *watch_buffer(PyObject *object)
{
	struct vfu_watch *watch;
	PyObject *capsule;
	Py_buffer view;

	if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE))
		return NULL;
	watch = vfu_watch_new(view.buf, (size_t)view.len);
	PyBuffer_Release(&view);
	if (!watch)
		return PyErr_NoMemory();
	capsule = PyCapsule_New(watch, watch_name, watch_free);
	if (!capsule)
		vfu_watch_free(watch);
	return capsule;
}

PyObject *watch_is_lost(PyObject *capsule)
{
	struct vfu_watch *watch = PyCapsule_GetPointer(capsule, watch_name);

	return watch ? PyBool_FromLong(vfu_watch_is_lost(watch)) : NULL;
}

int vfupy_init_buffers(PyObject *module)
{
	memory_type = (PyTypeObject *)PyType_FromSpec(&memory_spec);
	return memory_type ? PyModule_AddType(module, memory_type) : -1;
}
