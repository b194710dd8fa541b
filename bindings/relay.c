/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * relay.c - moves messages from one socket to another, with their descriptors, and notes them: the part
 * of vfu.trace through which every message goes, and in which Python does not run.
 *
 *	source --recvmsg--> header | rest --sendmsg--> target      a thread for each direction
 *	                      |
 *	                    notes: blocks of pcapng, in the order in which they go on --take--> Python
 *
 * A header is read by itself, then no more than its message has: read together, two messages would mix
 * their descriptors, for the kernel does not tell with which byte they came. Where messages of one size and
 * without any follow each other the next is expected to be like them, and read at once. Should it be shorter,
 * something of the one behind it comes along, and with it perhaps descriptors: they are that one's, for a read
 * ends where descriptors came, and no message of the protocol that has some is shorter than GUESS_MAX.
 *
 * What is noted is noted before its last byte goes on, so that no answer stands before its question.
 */
#include "callbacks.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define PIECE ((size_t)256 << 10) /* bytes of a message in memory at once */
#define HEADER_SIZE 16u
#define FDS_MAX 253u   /* what the kernel takes in one message */
#define GUESS_MAX 36u  /* how long a message is that is read at once: accesses of 4 bytes */
#define GUESS_AFTER 2u /* so many alike */
#define PSEUDO_SIZE 12u
#define PACKET_SIZE 32u /* of a block, but for its data */

_Static_assert(GUESS_MAX <= HEADER_SIZE + sizeof(struct vfu_wire_set_irqs_request),
	       "the shortest message with descriptors");

enum { ENDED, GOES_ON, TARGET_GONE };

/* ---- notes ---- */

struct notes {
	pthread_mutex_t lock;
	uint8_t *data;
	size_t len, room, most;
	size_t snaplen;
	unsigned long long lost;
};

/* What is noted of a message, or that a socket was opened or closed. */
struct note {
	unsigned kind, sender, nfds;
	bool twin;
	uint32_t connection, length;
	const uint8_t *data;
	size_t kept;
};

static const char notes_name[] = "vfu.notes";

static void notes_free(PyObject *capsule)
{
	struct notes *n = PyCapsule_GetPointer(capsule, notes_name);

	pthread_mutex_destroy(&n->lock);
	free(n->data);
	free(n);
}

PyObject *relay_notes(size_t snaplen, size_t most)
{
	struct notes *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return PyErr_NoMemory();
	pthread_mutex_init(&n->lock, NULL);
	n->snaplen = snaplen;
	n->most = most;
	return PyCapsule_New(n, notes_name, notes_free);
}

/* Makes room for so many bytes; NULL: what comes is lost. */
static uint8_t *notes_room(struct notes *n, size_t size)
{
	size_t room = n->room != 0 ? n->room : 4096;
	uint8_t *data;

	if (n->len > n->most)
		return NULL;
	while (room - n->len < size)
		room *= 2;
	if (room != n->room) {
		data = realloc(n->data, room);
		if (data == NULL)
			return NULL;
		n->data = data;
		n->room = room;
	}
	return n->data + n->len;
}

static void put_be(uint8_t *to, uint32_t value, unsigned size)
{
	while (size-- > 0) {
		to[size] = (uint8_t)value;
		value >>= 8;
	}
}

/* A packet of pcapng with the pseudo header; python/vfu/trace/pcapng.py has the same. */
static void put_packet(uint8_t *at, const struct note *note, uint32_t total, uint64_t ns)
{
	const uint16_t one = 1;
	uint32_t size = (uint32_t)(PSEUDO_SIZE + note->kept);
	const uint32_t head[] = {
		6, total, 0, (uint32_t)(ns >> 32), (uint32_t)ns, size, PSEUDO_SIZE + note->length};
	uint8_t *pseudo = at + sizeof(head);

	memcpy(at, head, sizeof(head));
	pseudo[0] = 1;
	pseudo[1] = (uint8_t)note->kind;
	pseudo[2] = (uint8_t)note->sender;
	pseudo[3] = note->twin;
	pseudo[4] = *(const uint8_t *)&one == 0;
	pseudo[5] = 0;
	put_be(pseudo + 6, note->nfds, 2);
	put_be(pseudo + 8, note->connection, 4);
	if (note->kept > 0)
		memcpy(pseudo + PSEUDO_SIZE, note->data, note->kept);
	memset(pseudo + size, 0, -size & 3);
	memcpy(at + total - sizeof(total), &total, sizeof(total));
}

static void notes_add(struct notes *n, const struct note *note)
{
	uint32_t size = (uint32_t)(PSEUDO_SIZE + note->kept);
	uint32_t total = PACKET_SIZE + size + (-size & 3);
	struct timespec now;
	uint8_t *at;

	pthread_mutex_lock(&n->lock);
	clock_gettime(CLOCK_REALTIME, &now);
	at = notes_room(n, total);
	if (at != NULL) {
		put_packet(at, note, total,
			   (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
		n->len += total;
	} else {
		n->lost++;
	}
	pthread_mutex_unlock(&n->lock);
}

PyObject *relay_note(PyObject *notes, unsigned kind, unsigned sender, bool twin,
		     unsigned connection)
{
	struct notes *n = PyCapsule_GetPointer(notes, notes_name);

	if (n == NULL)
		return NULL;
	notes_add(n,
		  &(struct note){
			  .kind = kind, .sender = sender, .twin = twin, .connection = connection});
	Py_RETURN_NONE;
}

PyObject *relay_take(PyObject *notes)
{
	struct notes *n = PyCapsule_GetPointer(notes, notes_name);
	unsigned long long lost;
	PyObject *out;
	uint8_t *data;
	size_t len;

	if (n == NULL)
		return NULL;
	pthread_mutex_lock(&n->lock);
	data = n->data;
	len = n->len;
	lost = n->lost;
	n->data = NULL;
	n->len = n->room = 0;
	pthread_mutex_unlock(&n->lock);
	out = Py_BuildValue("(y#K)", data != NULL ? (const char *)data : "", (Py_ssize_t)len, lost);
	free(data);
	return out;
}

/* ---- one direction ---- */

struct pump {
	int source, target;
	struct notes *notes;
	struct note note; /* what all notes of this direction have in common */
	PyObject *look;
	PyThreadState *python;
	size_t nfds;
	int fds[FDS_MAX];
	size_t ahead; /* bytes of the next message that are in data already; the descriptors are its */
	unsigned alike;
	uint32_t last_size;
	uint8_t data[PIECE];
};

static void close_fds(struct pump *p)
{
	while (p->nfds > 0)
		close(p->fds[--p->nfds]);
}

/* Takes the descriptors that came; false if there is no room for all. */
static bool take_fds(struct pump *p, struct msghdr *msg)
{
	bool complete = (msg->msg_flags & MSG_CTRUNC) == 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (p->nfds < FDS_MAX) {
				p->fds[p->nfds++] = fd;
			} else {
				close(fd);
				complete = false;
			}
		}
	}
	return complete;
}

/* Reads up to `want` bytes behind those that are there, at least `least` of them if the source goes on. */
static ssize_t read_more(struct pump *p, size_t have, size_t least, size_t want)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control;
	size_t got = 0;

	while (got < least) {
		struct iovec iov = {p->data + have + got, want - got};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.room,
				     .msg_controllen = sizeof(control.room)};
		ssize_t n = recvmsg(p->source, &msg, MSG_CMSG_CLOEXEC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (msg.msg_controllen > 0 && !take_fds(p, &msg))
			return -EMFILE;
		got += (size_t)n;
		if (n == 0)
			break;
	}
	return (ssize_t)got;
}

/* As send(), with the descriptors. */
static ssize_t send_with_fds(struct pump *p, struct iovec iov)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.room,
			     .msg_controllen = CMSG_SPACE(p->nfds * sizeof(int))};

	memset(control.room, 0, msg.msg_controllen);
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(p->nfds * sizeof(int));
	memcpy(CMSG_DATA(&control.align), p->fds, p->nfds * sizeof(int));
	return sendmsg(p->target, &msg, MSG_NOSIGNAL);
}

/* Sends so many bytes, with the first of them the descriptors, which are closed here. */
static int send_all(struct pump *p, size_t len)
{
	size_t sent = 0;

	while (sent < len) {
		uint8_t *from = p->data + sent;
		ssize_t n = p->nfds > 0 ? send_with_fds(p, (struct iovec){from, len - sent})
					: send(p->target, from, len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? TARGET_GONE : -errno;
		close_fds(p);
		sent += (size_t)n;
	}
	return GOES_ON;
}

/* Python may replace descriptors: look(bytes, [descriptor]) -> [descriptor]. */
static int ask(struct pump *p, size_t len)
{
	PyObject *list, *out = NULL;

	PyEval_RestoreThread(p->python);
	list = PyList_New((Py_ssize_t)p->nfds);
	for (size_t i = 0; list != NULL && i < p->nfds; i++)
		PyList_SET_ITEM(list, (Py_ssize_t)i, PyLong_FromLong(p->fds[i]));
	if (list != NULL)
		out = PyObject_CallFunction(p->look, "y#O", (const char *)p->data, (Py_ssize_t)len,
					    list);
	for (size_t i = 0; out != NULL && i < p->nfds; i++)
		p->fds[i] = (int)PyLong_AsLong(PyList_GetItem(out, (Py_ssize_t)i));
	Py_XDECREF(list);
	Py_XDECREF(out);
	p->python = PyEval_SaveThread();
	return out != NULL ? GOES_ON : -EIO;
}

static void note_message(struct pump *p, size_t len, uint32_t size)
{
	struct note note = p->note;

	note.nfds = (unsigned)p->nfds;
	note.length = size;
	note.data = p->data;
	note.kept = len < p->notes->snaplen ? len : p->notes->snaplen;
	notes_add(p->notes, &note);
}

/* What is left of a message, or, with no end, all that comes. */
static int pass_rest(struct pump *p, uint64_t left, bool endless)
{
	while (left > 0 || endless) {
		size_t want = endless || left > PIECE ? PIECE : (size_t)left;
		ssize_t n = read_more(p, 0, endless ? 1 : want, want);
		int rc;

		if (n <= 0)
			return n < 0 ? (int)n : ENDED;
		rc = send_all(p, (size_t)n);
		if (rc != GOES_ON)
			return rc;
		left -= endless ? 0 : (size_t)n;
	}
	return GOES_ON;
}

/* How much to read where a message begins. */
static size_t guess(const struct pump *p)
{
	return p->alike >= GUESS_AFTER && p->last_size <= GUESS_MAX ? p->last_size : HEADER_SIZE;
}

/* So many bytes, all that there are of a message for now; then `over` bytes of the next one are in front. */
static int pass_first(struct pump *p, size_t len, uint32_t size, size_t over)
{
	size_t held = over > 0 ? p->nfds : 0;
	int rc = GOES_ON;

	p->alike = size == p->last_size && p->nfds == 0 ? p->alike + 1 : 0;
	p->last_size = size;
	p->nfds -= held;
	if (p->look != Py_None && p->nfds > 0)
		rc = ask(p, len);
	if (rc == GOES_ON) {
		note_message(p, len, size);
		rc = send_all(p, len);
	}
	if (over > 0) {
		p->nfds = held;
		memmove(p->data, p->data + len, over);
	}
	p->ahead = over;
	return rc;
}

/* One message. What is none goes on, too; where the next one begins then nobody knows. */
static int pass_message(struct pump *p)
{
	size_t len = p->ahead, want = guess(p), first;
	uint32_t size = 0;
	ssize_t n = 0;
	int rc;

	if (len < HEADER_SIZE)
		n = read_more(p, len, HEADER_SIZE - len, want - len);
	if (n < 0)
		return (int)n;
	len += (size_t)n;
	if (len == 0)
		return ENDED;
	if (len >= HEADER_SIZE)
		memcpy(&size, p->data + 4, sizeof(size));
	if (size < HEADER_SIZE) {
		rc = pass_first(p, len, (uint32_t)len, 0);
		return rc == GOES_ON ? (len < HEADER_SIZE ? ENDED : pass_rest(p, 0, true)) : rc;
	}
	first = size < PIECE ? size : PIECE;
	n = len < first ? read_more(p, len, first - len, first - len) : 0;
	if (n < 0)
		return (int)n;
	len += (size_t)n;
	rc = len > first ? pass_first(p, first, size, len - first) : pass_first(p, len, size, 0);
	if (rc != GOES_ON)
		return rc;
	return len < first ? ENDED : pass_rest(p, size - first, false);
}

PyObject *relay_pump(int source, int target, PyObject *notes, unsigned sender, bool twin,
		     unsigned connection, PyObject *look)
{
	struct notes *n = PyCapsule_GetPointer(notes, notes_name);
	struct pump *p;
	int rc;

	if (n == NULL)
		return NULL;
	p = malloc(sizeof(*p));
	if (p == NULL)
		return PyErr_NoMemory();
	p->source = source;
	p->target = target;
	p->notes = n;
	p->note = (struct note){.sender = sender, .twin = twin, .connection = connection};
	p->look = look;
	p->nfds = p->ahead = 0;
	p->alike = p->last_size = 0;
	p->python = PyEval_SaveThread();
	do
		rc = pass_message(p);
	while (rc == GOES_ON);
	close_fds(p);
	PyEval_RestoreThread(p->python);
	free(p);
	if (PyErr_Occurred())
		return NULL;
	errno = -rc;
	return rc < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyBool_FromLong(rc == ENDED);
}
