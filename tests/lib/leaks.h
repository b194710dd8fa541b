/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * leaks.h - a fixture that fails a test which leaves descriptors or memory behind.
 */
#ifndef LEAKS_H
#define LEAKS_H

#include <check.h>

/*
 * Adds the fixture to a test case. Blocks of memory count if they came from os.h, descriptors all
 * do.
 */
void leaks_watch(TCase *tcase);
/* Open descriptors of this process. */
unsigned leaks_open_fds(void);

/* Runs what with each of its allocations failing in turn (it must answer -ENOMEM), then with none (0). */
void fault_each_alloc(int (*what)(void));

#endif
