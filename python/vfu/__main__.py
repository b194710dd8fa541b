# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""python3 -m vfu is the command vfu."""

import sys

try:
    from .cli import main

    status = main()
except KeyboardInterrupt:  # before the command could see to it
    status = 130
sys.exit(status)
