# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Where tests find what was made."""

import os


def generated(*names):
    """The path of a generated file, in the build or the source tree."""
    for root in (os.environ["abs_builddir"], os.environ["abs_srcdir"]):
        path = os.path.join(root, *names)
        if os.path.exists(path):
            return path
    raise FileNotFoundError(os.path.join(*names))
