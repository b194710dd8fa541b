/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * recall.c - what the next connection is to be told again.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/os.h"
#include "base/util.h"
#include "client/link.h"

/* ---- interrupts ---- */

/* Makes room for these vectors of an index, of which a peer may agree to any. With the lock. */
static int grow(struct vfui_recall *recall, unsigned index, unsigned start, unsigned count)
{
	struct vfui_recall_vector *vector;
	unsigned n = start + count;

	if (index >= VFUI_RECALL_IRQS || !vfui_is_inside(start, count, VFUI_RECALL_VECTORS))
		return -ENOSPC;
	if (n <= recall->irqs[index].n)
		return 0;
	vector = vfui_os_realloc(recall->irqs[index].vector, n * sizeof(*vector));
	if (!vector)
		return -ENOMEM;
	for (unsigned i = recall->irqs[index].n; i < n; i++)
		vector[i] = (struct vfui_recall_vector){.fd = {-1, -1, -1}};
	recall->irqs[index].vector = vector;
	recall->irqs[index].n = n;
	return 0;
}

static int put_fd(int *place, int fd)
{
	int copy = fd < 0 ? -1 : vfui_os_dup(fd);

	if (fd >= 0 && copy < 0)
		return copy;
	vfui_os_close(*place);
	*place = copy;
	return 0;
}

int vfui_recall_eventfds(struct vfu_client *cl, unsigned kind, unsigned index, unsigned start,
			 unsigned count, const int *fds)
{
	struct vfui_recall *recall;
	int ret;

	if (!vfui_link_is_live(cl))
		return 0;
	vfui_os_lock(&cl->lock);
	recall = &cl->link->recall;
	ret = grow(recall, index, start, count);
	for (unsigned i = 0; i < count && !ret; i++)
		ret = put_fd(&recall->irqs[index].vector[start + i].fd[kind], fds[i]);
	vfui_os_unlock(&cl->lock);
	return ret;
}

void vfui_recall_mask(struct vfu_client *cl, unsigned index, unsigned start, unsigned count,
		      const uint8_t *which, bool on)
{
	struct vfui_recall *recall;

	if (!vfui_link_is_live(cl))
		return;
	vfui_os_lock(&cl->lock);
	recall = &cl->link->recall;
	/* Without memory it is not kept: the vector interrupts too often, then, not too seldom. */
	if (grow(recall, index, start, count) == 0)
		for (unsigned i = 0; i < count; i++)
			if (!which || which[i])
				recall->irqs[index].vector[start + i].is_masked = on;
	vfui_os_unlock(&cl->lock);
}

static void clear_index(struct vfui_recall *recall, unsigned index)
{
	for (unsigned i = 0; i < recall->irqs[index].n; i++)
		for (unsigned kind = 0; kind < VFUI_RECALL_KINDS; kind++)
			vfui_os_close(recall->irqs[index].vector[i].fd[kind]);
	vfui_os_free(recall->irqs[index].vector);
	recall->irqs[index].vector = NULL;
	recall->irqs[index].n = 0;
}

void vfui_recall_disable(struct vfu_client *cl, unsigned index)
{
	if (!vfui_link_is_live(cl) || index >= VFUI_RECALL_IRQS)
		return;
	vfui_os_lock(&cl->lock);
	clear_index(&cl->link->recall, index);
	vfui_os_unlock(&cl->lock);
}

void vfui_recall_clear(struct vfui_recall *recall)
{
	for (unsigned index = 0; index < VFUI_RECALL_IRQS; index++)
		clear_index(recall, index);
}

/* ---- files ---- */

static int add_file(struct vfui_recall *recall, int fd, const struct stat *st, int mode,
		    struct vfui_recall_file **file)
{
	struct vfui_recall_file *f = vfui_os_malloc(sizeof(*f));
	int copy;

	if (!f)
		return -ENOMEM;
	copy = vfui_os_dup(fd);
	if (copy < 0) {
		vfui_os_free(f);
		return copy;
	}
	*f = (struct vfui_recall_file){.next = recall->files,
				       .dev = st->st_dev,
				       .ino = st->st_ino,
				       .mode = mode,
				       .fd = copy,
				       .users = 1};
	recall->files = *file = f;
	return 0;
}

int vfui_recall_file_get(struct vfui_recall *recall, int fd, struct vfui_recall_file **file)
{
	struct stat st;
	int flags = vfui_os_get_flags(fd);
	int ret = flags < 0 ? flags : vfui_os_fstat(fd, &st);

	if (ret)
		return ret;
	/* What is no regular file may be many under one number, as all that the kernel calls anonymous. */
	for (struct vfui_recall_file *f = recall->files; f && S_ISREG(st.st_mode); f = f->next) {
		if (f->dev == st.st_dev && f->ino == st.st_ino && f->mode == (flags & O_ACCMODE)) {
			f->users++;
			*file = f;
			return 0;
		}
	}
	return add_file(recall, fd, &st, flags & O_ACCMODE, file);
}

void vfui_recall_file_put(struct vfui_recall *recall, struct vfui_recall_file *file)
{
	struct vfui_recall_file **at = &recall->files;

	if (--file->users)
		return;
	while (*at != file)
		at = &(*at)->next;
	*at = file->next;
	vfui_os_close(file->fd);
	vfui_os_free(file);
}
