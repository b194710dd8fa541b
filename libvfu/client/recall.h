/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * recall.h - what the next connection is to be told again: descriptors of interrupts, their masks, and
 * files behind memory. Only of a client that connects again; all other calls do nothing. Any thread,
 * without the client's lock, unless they say that the caller has it.
 */
#ifndef VFUI_CLIENT_RECALL_H
#define VFUI_CLIENT_RECALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct vfu_client;

/* What an eventfd of a vector is for. */
enum { VFUI_RECALL_TRIGGER, VFUI_RECALL_MASK, VFUI_RECALL_UNMASK, VFUI_RECALL_KINDS };

/* What is kept: of a device that has more than any needs. */
#define VFUI_RECALL_IRQS 64
#define VFUI_RECALL_VECTORS 65536

struct vfui_recall_vector {
	int fd[VFUI_RECALL_KINDS]; /* our own copies; -1: none */
	bool is_masked;
};

/* A file that several ranges may lie in. */
struct vfui_recall_file {
	struct vfui_recall_file *next;
	dev_t dev;
	ino_t ino;
	int mode; /* O_ACCMODE */
	int fd;
	unsigned users;
};

/* Under the client's lock. */
struct vfui_recall {
	struct {
		struct vfui_recall_vector *vector;
		unsigned n;
	} irqs[VFUI_RECALL_IRQS];
	struct vfui_recall_file *files;
};

/* The device has these now. -ENOMEM, -EMFILE...; -ENOSPC: no room for such an index or vector. */
int vfui_recall_eventfds(struct vfu_client *cl, unsigned kind, unsigned index, unsigned start,
			 unsigned count, const int *fds);
/* which: those whose byte is not 0; NULL: all. */
void vfui_recall_mask(struct vfu_client *cl, unsigned index, unsigned start, unsigned count,
		      const uint8_t *which, bool on);
void vfui_recall_disable(struct vfu_client *cl, unsigned index);
/* All interrupts. With the lock, or while nobody else has the client. */
void vfui_recall_clear(struct vfui_recall *recall);

/* *file is the file behind fd, which stays the caller's. With the lock. */
int vfui_recall_file_get(struct vfui_recall *recall, int fd, struct vfui_recall_file **file);
void vfui_recall_file_put(struct vfui_recall *recall, struct vfui_recall_file *file);

#endif
