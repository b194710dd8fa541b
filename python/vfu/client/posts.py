# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Batches of writes that want no answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import libvfu as c


@contextlib.contextmanager
def posting(handle: c.vfu_client | None) -> Iterator[None]:
    """A batch of the calling thread, which is sent at its end, whatever ends it."""
    c.vfu_client_post_begin(handle)
    try:
        yield
    except BaseException as error:
        # That goes on, and not what may be wrong with the end, too. KeyboardInterrupt has waited long enough.
        end = c.vfu_client_post_end if isinstance(error, Exception) else c.vfu_client_post_leave
        with contextlib.suppress(OSError):
            end(handle)
        raise
    c.vfu_client_post_end(handle)
