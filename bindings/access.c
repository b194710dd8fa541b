/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * access.c - accesses of a client to registers and ranges that have functions in Python: the library calls in, the
 * function runs, what it returns goes back, at once or when its coroutine ends. Numbers of 1 to 8 bytes go as
 * ints, by vectorcall; registers without functions never leave the library.
 */
#include "callbacks.h"

#include <errno.h>
#include <string.h>

/* What serves a register, or another range of a region. Either function may be NULL. */
struct handler {
	struct handler *next;
	struct vfupy_device *device;
	PyObject *read, *write;
	uint64_t offset, target, stride; /* of a register: where its value lies; of an array */
	unsigned region, width, count, how;
	bool is_range, raw;
	struct half *halves; /* of REGISTER_WHOLE: one for each of an array */
};

/* What was written of a register since its function was called, and which bytes. */
struct half {
	uint64_t value;
	uint8_t seen;
};

/* A request that a coroutine answers. */
struct deferred {
	PyObject_HEAD struct vfu_request *req; /* NULL once answered */
	const struct handler *handler;
	PyObject *device; /* keeps the handler */
};

static PyObject *name_spawn, *name_wait, *name_answer, *name_close;
static PyTypeObject *deferred_type;

/* ---- values ---- */

static uint64_t get_le(const void *data, unsigned n)
{
	const uint8_t *p = data;
	uint64_t value = 0;

	while (n--)
		value = value << 8 | p[n];
	return value;
}

static void put_le(void *data, uint64_t value, unsigned n)
{
	uint8_t *p = data;

	for (; n--; value >>= 8)
		*p++ = (uint8_t)value;
}

static uint64_t mask_of(unsigned width)
{
	return width >= 8 ? UINT64_MAX : ((uint64_t)1 << width * 8) - 1;
}

/* Registers wrap, as hardware does: the value is taken modulo the width. */
static int as_value(PyObject *object, uint64_t *value)
{
	PyObject *number;

	/* Most are, and of those this cannot fail. */
	if (PyLong_CheckExact(object)) {
		*value = PyLong_AsUnsignedLongLongMask(object);
		return 0;
	}
	number = PyNumber_Index(object);
	if (!number)
		return -1;
	*value = PyLong_AsUnsignedLongLongMask(number);
	Py_DECREF(number);
	return 0;
}

/* Which register of an array an access is for, and how many of its bytes are before it. */
static uint64_t index_of(const struct handler *h, const struct vfu_access *a)
{
	return (a->offset - h->offset) / h->stride;
}

static unsigned skip_of(const struct handler *h, const struct vfu_access *a)
{
	return (unsigned)((a->offset - h->offset) % h->stride);
}

/* Less is not worth the memory that remembers what was lent. */
#define LEND_LEAST 16384

static void lent_back(void *user, const void *data)
{
	PyGILState_STATE gil = PyGILState_Ensure();

	(void)data;
	PyBuffer_Release(user);
	PyMem_Free(user);
	PyGILState_Release(gil);
}

/* Has the library send what a buffer holds from there. Only bytes stay what they are for as long as that takes. */
static int lend(struct vfu_request *req, const Py_buffer *view)
{
	Py_buffer *held = PyMem_Malloc(sizeof(*held));
	int rc;

	if (!held) {
		PyErr_NoMemory();
		return -1;
	}
	*held = *view;
	rc = vfu_request_lend(req, held->buf, PyBytes_Check(view->obj) ? 0 : VFU_LEND_BRIEFLY,
			      lent_back, held);
	if (!rc)
		return 0;
	PyMem_Free(held);
	vfupy_raise_plain(NULL, rc);
	return -1;
}

/* The same for a result with a buffer. */
static int put_buffer(struct vfu_request *req, const struct vfu_access *a, PyObject *result)
{
	Py_buffer view;
	int rc = 0;

	if (PyObject_GetBuffer(result, &view, PyBUF_SIMPLE))
		return -1;
	if (view.len != (Py_ssize_t)a->count) {
		PyErr_Format(PyExc_ValueError, "%zd bytes returned for a read of %u", view.len,
			     (unsigned)a->count);
		rc = -1;
	} else if (a->count >= LEND_LEAST && view.obj) {
		rc = lend(req, &view);
		if (!rc)
			return 0;
	} else {
		memcpy(a->data, view.buf, a->count);
		vfu_request_set_filled(req, a->count);
	}
	PyBuffer_Release(&view);
	return rc;
}

/* Puts a callback's result (an int, or bytes of the right length) where the access wants it. */
static int put_result(const struct handler *h, struct vfu_request *req, const struct vfu_access *a,
		      PyObject *result)
{
	unsigned shift = h->is_range ? 0 : skip_of(h, a) * 8;
	uint64_t value;

	if (h->is_range && PyObject_CheckBuffer(result))
		return put_buffer(req, a, result);
	if (a->count > 8 && result != Py_None) {
		PyErr_Format(PyExc_TypeError, "a read of %u bytes must return bytes, not %s",
			     (unsigned)a->count, Py_TYPE(result)->tp_name);
		return -1;
	}
	if (result == Py_None) {
		PyErr_SetString(PyExc_TypeError,
				"a handler of reads returned nothing: return what is read");
		return -1;
	}
	if (!PyIndex_Check(result)) {
		PyErr_Format(PyExc_TypeError, "a handler of reads returns a number%s, not %s",
			     h->is_range ? " or bytes" : "", Py_TYPE(result)->tp_name);
		return -1;
	}
	if (as_value(result, &value))
		return -1;
	put_le(a->data, value >> shift, a->count);
	vfu_request_set_filled(req, a->count);
	return 0;
}

/* A register of memory that the client, or the library, may write meanwhile: as one where it is aligned. */
static uint64_t load(const uint8_t *at, unsigned width)
{
	uint8_t bytes[8];
	uint16_t half;
	uint32_t word;
	uint64_t quad;

	if (width == 2 && !((uintptr_t)at & 1)) {
		half = __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_RELAXED);
		memcpy(bytes, &half, sizeof(half));
	} else if (width == 4 && !((uintptr_t)at & 3)) {
		word = __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_RELAXED);
		memcpy(bytes, &word, sizeof(word));
	} else if (width == 8 && !((uintptr_t)at & 7) && sizeof(void *) == 8) {
		quad = __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED);
		memcpy(bytes, &quad, sizeof(quad));
	} else {
		memcpy(bytes, at, width);
	}
	return get_le(bytes, width);
}

/* What a register holds; without memory that is nothing. */
static uint64_t held(const struct handler *h, uint64_t index)
{
	const uint8_t *memory = vfu_device_region_memory(h->device->dev, h->region);

	return memory ? load(memory + h->target + index * h->stride, h->width) : 0;
}

/* ---- coroutines ---- */

int vfupy_no_coroutine(PyObject *coroutine, const char *why)
{
	PyObject *closed = PyObject_CallMethodNoArgs(coroutine, name_close);

	Py_XDECREF(closed);
	if (!PyErr_Occurred())
		PyErr_SetString(PyExc_RuntimeError, why);
	return -1;
}

static PyObject *deferred_end(struct deferred *self, int status)
{
	struct vfu_request *req = self->req;
	int rc;

	if (!req)
		return PyErr_Format(PyExc_RuntimeError, "answered already");
	self->req = NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = vfu_request_done(req, status);
	Py_END_ALLOW_THREADS
	return PyBool_FromLong(rc == 0);
}

/* The logger has it, with a traceback: the library need not say it again. */
static int failed(const struct handler *h, struct vfu_request *req, PyObject *where)
{
	vfu_request_set_told(req);
	return vfupy_failed(h->device, where);
}

/* Defers a request: the method is given the coroutine, and what to answer with. */
static int answer_later(struct handler *h, struct vfu_request *req, PyObject *method,
			PyObject *coroutine)
{
	struct vfu_request *held = vfu_request_defer(req);
	struct deferred *deferred;
	PyObject *result;

	if (!held)
		return vfupy_no_coroutine(coroutine, "this access cannot be answered later");
	deferred = PyObject_New(struct deferred, deferred_type);
	if (!deferred) {
		vfu_request_done(held, -ENOMEM);
		PyErr_Clear();
		return VFU_LATER;
	}
	deferred->req = held;
	deferred->handler = h;
	deferred->device = Py_NewRef((PyObject *)h->device);
	result = PyObject_CallMethodObjArgs(h->device->self, method, coroutine, deferred, NULL);
	if (!result) {
		/* The traceback may keep the objects: end them here. */
		int rc = failed(h, held, coroutine);

		Py_XDECREF(PyObject_CallMethodNoArgs(coroutine, name_close));
		result = deferred_end(deferred, rc);
	}
	Py_XDECREF(result);
	Py_DECREF(deferred);
	return VFU_LATER;
}

/* Hands the coroutine of a write to the event loop. The write is answered as soon as that begins. */
static int spawn(struct handler *h, struct vfu_request *req, PyObject *coroutine)
{
	PyObject *result = PyObject_CallMethodOneArg(h->device->self, name_spawn, coroutine);
	bool must_wait = result == Py_False;

	Py_XDECREF(result);
	if (must_wait)
		return answer_later(h, req, name_wait, coroutine);
	return result ? 0 : -1;
}

static PyObject *deferred_answer(PyObject *object, PyObject *value)
{
	struct deferred *self = (struct deferred *)object;
	const struct vfu_access *access;

	if (!self->req)
		return PyErr_Format(PyExc_RuntimeError, "answered already");
	access = vfu_request_access(self->req);
	if (!access->is_write && put_result(self->handler, self->req, access, value))
		return NULL;
	return deferred_end(self, 0);
}

static PyObject *deferred_fail(PyObject *object, PyObject *value)
{
	struct deferred *self = (struct deferred *)object;
	long code = PyLong_AsLong(value);

	if (code == -1 && PyErr_Occurred())
		return NULL;
	vfu_request_set_told(self->req);
	return deferred_end(self, code > 0 && code < 4096 ? -(int)code : -EIO);
}

/* A request that nobody answered gets an error. */
static void deferred_dealloc(PyObject *object)
{
	struct deferred *self = (struct deferred *)object;
	PyTypeObject *type = Py_TYPE(object);

	if (self->req)
		Py_XDECREF(deferred_end(self, -EIO));
	Py_CLEAR(self->device);
	PyObject_Free(object);
	Py_DECREF(type);
}

/* ---- accesses ---- */

static uint8_t *register_at(struct vfupy_device *d, unsigned region, uint64_t offset,
			    unsigned width)
{
	uint8_t *memory = vfu_device_region_memory(d->dev, region);

	if (!memory)
		PyErr_Format(PyExc_MemoryError, "no memory for region %u", region);
	else if (width > d->sizes[region] || offset > d->sizes[region] - width)
		PyErr_Format(PyExc_IndexError, "region %u ends before %llu", region,
			     (unsigned long long)offset + width);
	else
		return memory + offset;
	return NULL;
}

static int read_register(struct handler *h, struct vfu_request *req, const struct vfu_access *a)
{
	bool indexed = h->how & REGISTER_INDEXED;
	PyObject *index = indexed ? PyLong_FromUnsignedLongLong(index_of(h, a)) : NULL;
	PyObject *args[3] = {NULL, h->device->self, index}, *result = NULL;
	int rc = -1;

	if (index || !indexed)
		result = PyObject_Vectorcall(h->read, args + 1,
					     (indexed ? 2 : 1) | PY_VECTORCALL_ARGUMENTS_OFFSET,
					     NULL);
	Py_XDECREF(index);
	if (!result)
		return -1;
	if (PyCoro_CheckExact(result))
		rc = answer_later(h, req, name_answer, result);
	else
		rc = put_result(h, req, a, result);
	Py_DECREF(result);
	return rc;
}

/* What was made by a function with yield in it has done nothing yet, and never will. */
static int no_generator(PyObject *result)
{
	if (!PyGen_CheckExact(result) && !PyAsyncGen_CheckExact(result))
		return 0;
	PyErr_SetString(PyExc_TypeError,
			"a handler that yields never runs: use a coroutine, without yield");
	return -1;
}

/* Calls a handler of writes and throws its result away, or lets it run on if it is a coroutine. */
static int call_writer(struct handler *h, struct vfu_request *req, PyObject *fn, PyObject **args,
		       size_t nargs)
{
	PyObject *result =
		PyObject_Vectorcall(fn, args, nargs | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
	int rc = 0;

	if (!result)
		return -1;
	if (PyCoro_CheckExact(result))
		rc = spawn(h, req, result);
	else if (result != Py_None)
		rc = no_generator(result);
	Py_DECREF(result);
	return rc;
}

/*
 * The value that a write is about; false: bytes of it are missing yet. A write of a part of the register is made
 * whole with what the memory holds, or with the parts before it.
 */
static bool written_value(struct handler *h, const struct vfu_access *a, uint64_t *value)
{
	unsigned skip = skip_of(h, a);
	uint64_t hole = mask_of(a->count) << skip * 8, data = get_le(a->data, a->count) << skip * 8;
	struct half *half = h->halves ? &h->halves[index_of(h, a)] : NULL;

	if (half) {
		half->value = (half->value & ~hole) | data;
		half->seen |= (uint8_t)(((1u << a->count) - 1) << skip);
		if (half->seen != (1u << h->width) - 1)
			return false;
		half->seen = 0;
	}
	if (h->how & REGISTER_KEEPS)
		*value = held(h, index_of(h, a));
	else if (half)
		*value = half->value;
	else
		*value = a->count == h->width ? data : (held(h, index_of(h, a)) & ~hole) | data;
	return true;
}

static int write_register(struct handler *h, struct vfu_request *req, uint64_t index,
			  uint64_t value)
{
	bool indexed = h->how & REGISTER_INDEXED;
	PyObject *args[4] = {NULL, h->device->self};
	int rc = -1;

	args[2] = PyLong_FromUnsignedLongLong(indexed ? index : value);
	args[3] = indexed ? PyLong_FromUnsignedLongLong(value) : NULL;
	if (args[2] && (args[3] || !indexed))
		rc = call_writer(h, req, h->write, args + 1, indexed ? 3 : 2);
	Py_XDECREF(args[2]);
	Py_XDECREF(args[3]);
	return rc;
}

static int on_read(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	struct handler *h = user;
	PyGILState_STATE gil = PyGILState_Ensure();
	int rc = read_register(h, req, a);

	if (rc < 0)
		rc = failed(h, req, h->read);
	PyGILState_Release(gil);
	return rc;
}

static int on_write(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	struct handler *h = user;
	PyGILState_STATE gil;
	uint64_t value;
	int rc;

	if (!written_value(h, a, &value))
		return 0;
	gil = PyGILState_Ensure();
	rc = write_register(h, req, index_of(h, a), value);
	if (rc < 0)
		rc = failed(h, req, h->write);
	PyGILState_Release(gil);
	return rc;
}

/* What a range's function is told behind the offset. */
static PyObject *range_argument(const struct vfu_access *a)
{
	return a->is_write ? PyBytes_FromStringAndSize(a->data, a->count)
			   : PyLong_FromUnsignedLong(a->count);
}

static PyObject *range_function(const struct handler *h, const struct vfu_access *a)
{
	return a->is_write ? h->write : h->read;
}

static int call_range(struct handler *h, struct vfu_request *req, const struct vfu_access *a,
		      PyObject **args)
{
	PyObject *result = PyObject_Vectorcall(range_function(h, a), args,
					       3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
	int rc = 0;

	if (!result)
		return -1;
	if (PyCoro_CheckExact(result) && h->raw)
		rc = vfupy_no_coroutine(
			result,
			"a raw handler cannot be a coroutine: its memory is gone when it runs");
	else if (PyCoro_CheckExact(result))
		rc = a->is_write ? spawn(h, req, result)
				 : answer_later(h, req, name_answer, result);
	else if (!a->is_write && !h->raw)
		rc = put_result(h, req, a, result);
	else if (result != Py_None)
		rc = no_generator(result);
	Py_DECREF(result);
	return rc;
}

/* The view ends with the call; what the handler made of it and keeps has the data to itself. */
static int end_view(struct vfu_request *req, const struct vfu_access *a, PyObject *data,
		    PyObject *view, int rc)
{
	PyObject *type, *exc, *trace;

	PyErr_Fetch(&type, &exc, &trace);
	Py_XDECREF(PyObject_CallMethod(view, "release", NULL));
	PyErr_Clear();
	PyErr_Restore(type, exc, trace);
	if (!a->is_write && !rc) {
		vfupy_data_get(data, a->data);
		vfu_request_set_filled(req, a->count);
	}
	return rc;
}

static int call_with_view(struct handler *h, struct vfu_request *req, const struct vfu_access *a,
			  PyObject **args)
{
	PyObject *data = vfupy_data_new(a->is_write ? a->data : NULL, a->count);
	int rc = -1;

	if (!data)
		return -1;
	args[2] = PyMemoryView_FromObject(data);
	if (args[2])
		rc = end_view(req, a, data, args[2], call_range(h, req, a, args));
	Py_DECREF(data);
	return rc;
}

static int access_range(struct handler *h, struct vfu_request *req, const struct vfu_access *a)
{
	PyObject *args[4] = {NULL, h->device->self, NULL, NULL};
	int rc = -1;

	args[2] = PyLong_FromUnsignedLongLong(a->offset);
	if (args[2] && h->raw)
		rc = call_with_view(h, req, a, args + 1);
	else if (args[2] && (args[3] = range_argument(a)))
		rc = call_range(h, req, a, args + 1);
	Py_XDECREF(args[2]);
	Py_XDECREF(args[3]);
	return rc;
}

/* Without a handler the memory behind it is what there is. */
static int access_memory(struct handler *h, struct vfu_request *req, const struct vfu_access *a)
{
	uint8_t *at = register_at(h->device, h->region, a->offset, a->count);

	if (!at)
		return -1;
	if (a->is_write)
		memcpy(at, a->data, a->count);
	else
		memcpy(a->data, at, a->count);
	return a->is_write ? 0 : vfu_request_set_filled(req, a->count);
}

static int on_range(void *user, struct vfu_request *req, const struct vfu_access *a)
{
	struct handler *h = user;
	PyGILState_STATE gil = PyGILState_Ensure();
	PyObject *fn = range_function(h, a);
	int rc = fn ? access_range(h, req, a) : access_memory(h, req, a);

	if (rc < 0)
		rc = failed(h, req, fn ? fn : h->device->self);
	PyGILState_Release(gil);
	return rc;
}

/* A copy of model for the library, NULL with an exception. It lives as long as the device. */
static struct handler *new_handler(struct vfupy_device *d, const struct handler *model)
{
	struct handler *h = PyMem_Malloc(sizeof(*h));

	if (!h) {
		PyErr_NoMemory();
		return NULL;
	}
	*h = *model;
	h->device = d;
	if (h->how & REGISTER_WHOLE && !(h->halves = PyMem_Calloc(h->count, sizeof(*h->halves)))) {
		PyMem_Free(h);
		PyErr_NoMemory();
		return NULL;
	}
	Py_XINCREF(h->read);
	Py_XINCREF(h->write);
	h->next = d->handlers;
	d->handlers = h;
	return h;
}

PyObject *device_add_register(struct vfupy_device *d, unsigned region, struct vfu_register *reg,
			      unsigned how, PyObject *read, PyObject *write)
{
	const struct handler model = {
		.region = region,
		.offset = reg->offset,
		.target = reg->flags & VFU_REGISTER_VIEW ? reg->target : reg->offset,
		.stride = reg->stride,
		.width = reg->width,
		.count = reg->count,
		.how = how,
		.read = Py_IsNone(read) ? NULL : read,
		.write = Py_IsNone(write) ? NULL : write,
	};
	struct handler *h = model.read || model.write ? new_handler(d, &model) : NULL;
	int rc;

	if ((model.read || model.write) && !h)
		return NULL;
	if (h) {
		reg->on_read = h->read ? on_read : NULL;
		reg->on_write = h->write && !(how & REGISTER_KEEPS) ? on_write : NULL;
		reg->on_written = h->write && how & REGISTER_KEEPS ? on_write : NULL;
		reg->user = h;
	}
	reg->size = sizeof(*reg);
	rc = vfu_device_add_register(d->dev, region, reg);
	if (rc) {
		vfupy_raise_device(d->dev, rc);
		return NULL;
	}
	Py_RETURN_NONE;
}

PyObject *device_add_range(struct vfupy_device *d, unsigned region, uint64_t offset, uint64_t size,
			   bool raw, PyObject *read, PyObject *write)
{
	const struct handler model = {.region = region,
				      .offset = offset,
				      .is_range = true,
				      .raw = raw,
				      .read = Py_IsNone(read) ? NULL : read,
				      .write = Py_IsNone(write) ? NULL : write};
	struct handler *h = new_handler(d, &model);
	int rc = h ? vfu_device_set_handler(d->dev, region, offset, size, on_range, h) : -ENOMEM;

	if (rc) {
		if (h)
			vfupy_raise_device(d->dev, rc);
		return NULL;
	}
	Py_RETURN_NONE;
}

void vfupy_forget_halves(struct vfupy_device *d)
{
	for (struct handler *h = d->handlers; h; h = h->next)
		if (h->halves)
			memset(h->halves, 0, h->count * sizeof(*h->halves));
}

void vfupy_handlers_free(struct vfupy_device *d)
{
	while (d->handlers) {
		struct handler *h = d->handlers;

		d->handlers = h->next;
		Py_XDECREF(h->read);
		Py_XDECREF(h->write);
		PyMem_Free(h->halves);
		PyMem_Free(h);
	}
}

/* ---- writes that come as events ---- */

static void on_ioevent(void *user)
{
	struct handler *h = user;
	PyGILState_STATE gil = PyGILState_Ensure();

	vfupy_call_method(h->device, "_event", "(O)", h->write);
	PyGILState_Release(gil);
}

/* To be freed with PyMem_Free; NULL with an exception. */
static struct vfu_ioevent_place *parse_places(PyObject *list, unsigned *n)
{
	Py_ssize_t count = PyList_Check(list) ? PyList_GET_SIZE(list) : 0;
	struct vfu_ioevent_place *out = PyMem_Calloc((size_t)count + 1, sizeof(*out));

	if (!out)
		return (void *)PyErr_NoMemory();
	for (Py_ssize_t i = 0; i < count; i++) {
		unsigned long long offset, match;

		if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "KIIK", &offset, &out[i].size,
				      &out[i].flags, &match)) {
			PyMem_Free(out);
			return NULL;
		}
		out[i].offset = offset;
		out[i].datamatch = match;
	}
	*n = (unsigned)count;
	return out;
}

PyObject *device_add_ioevent(struct vfupy_device *d, unsigned region, PyObject *places,
			     PyObject *function, int fd, uint64_t offset)
{
	const struct handler model = {.region = region, .write = function};
	unsigned n = 0;
	struct vfu_ioevent_place *list = parse_places(places, &n);
	struct handler *h = list ? new_handler(d, &model) : NULL;
	int rc = -ENOMEM;

	if (h && fd < 0)
		rc = vfu_device_add_ioevent(d->dev, region, list, n, on_ioevent, h);
	else if (h) /* list has room for one at least */
		rc = vfu_device_add_shadow_ioevent(d->dev, region, list, fd, offset, on_ioevent, h);
	PyMem_Free(list);
	if (rc) {
		if (h)
			vfupy_raise_device(d->dev, rc);
		return NULL;
	}
	Py_RETURN_NONE;
}

/* ---- registers as Python attributes ---- */

PyObject *device_load(struct vfupy_device *d, unsigned region, uint64_t offset, unsigned width)
{
	const uint8_t *at = register_at(d, region, offset, width);

	return at ? PyLong_FromUnsignedLongLong(load(at, width)) : NULL;
}

PyObject *device_store(struct vfupy_device *d, unsigned region, uint64_t offset, unsigned width,
		       PyObject *object)
{
	uint8_t *at = register_at(d, region, offset, width);
	uint64_t value;

	if (!at || as_value(object, &value))
		return NULL;
	if (vfu_device_update_register(d->dev, region, offset, width, UINT64_MAX, value))
		put_le(at, value, width); /* of no register's place, or lost */
	Py_RETURN_NONE;
}

/* ---- types ---- */

static PyMethodDef deferred_methods[] = {
	{"answer", deferred_answer, METH_O,
	 "Answers, a read with a value. True unless the client is gone."},
	{"fail", deferred_fail, METH_O, "Answers with an errno. True unless the client is gone."},
	{NULL, NULL, 0, NULL},
};

static PyType_Spec deferred_spec = {
	.name = "libvfu.Deferred",
	.basicsize = sizeof(struct deferred),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots =
		(PyType_Slot[]){
			{Py_tp_doc, (void *)"A read of the client that waits for its answer."},
			{Py_tp_methods, deferred_methods},
			{Py_tp_dealloc, deferred_dealloc},
			{0, NULL},
		},
};

int vfupy_init_access(void)
{
	name_spawn = PyUnicode_InternFromString("_spawn_writer");
	name_wait = PyUnicode_InternFromString("_spawn_later");
	name_answer = PyUnicode_InternFromString("_answer_later");
	name_close = PyUnicode_InternFromString("close");
	deferred_type = (PyTypeObject *)PyType_FromSpec(&deferred_spec);
	return name_spawn && name_wait && name_answer && name_close && deferred_type ? 0 : -1;
}
