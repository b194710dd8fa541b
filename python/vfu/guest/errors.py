# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What goes wrong with guests."""


class GuestError(Exception):
    """There is no guest, or none any more; says why, in a sentence for people."""


class Unavailable(GuestError):
    """What a guest is made of cannot be had on this machine; says what to get."""


class Unusable(GuestError):
    """What was given is of no use: a file that is none such, a driver that the kernel lacks."""
