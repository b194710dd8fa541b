/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * lacks.h - what the system under a test may not do although it is Linux.
 *
 * An emulator of another machine's programs (qemu-user), or valgrind, passes their system calls on and
 * does not know each. A test that needs one of these begins with
 *
 *	if (lacks(LACKS_CTRUNC, __func__))
 *		return;
 *
 * which tries it and, if it does not work, says that the test is skipped and why.
 */
#ifndef TESTS_LIB_LACKS_H
#define TESTS_LIB_LACKS_H

#include <stdbool.h>

enum lacks {
	LACKS_WIPEONFORK, /* memory that a child finds zeroed */
	LACKS_CTRUNC,     /* to be told that descriptors were cut off */
	LACKS_AIO,        /* io_setup(2) */
	LACKS_COUNTS, /* eventfds that count by what is written: a big-endian emulator's by 2^56 */
	LACKS_NOWAIT, /* a read that does not wait whatever the file says: preadv2(2), RWF_NOWAIT */
	LACKS_FAULTS, /* a handler of SIGBUS that is told the address */
	LACKS_FD_LIMIT, /* a limit of descriptors that is the kernel's; valgrind has its own */
};

bool lacks(enum lacks what, const char *test);

/*
 * An eventfd to hand to a peer and to read. It has come over a socket itself: a big-endian emulator
 * turns counts round in eventfds that were made here, and not in those that came to the peer. (There
 * this one counts to 255.)
 */
int passed_eventfd(int flags);

#endif /* TESTS_LIB_LACKS_H */
