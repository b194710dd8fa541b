# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The protocol's numbers, layouts and checks, generated from the specification."""

from vfu_protocol import *  # noqa: F403
from vfu_protocol import __all__  # noqa: F401
