# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""python3 -m vfu is the command vfu."""

import sys

from .cli import main

sys.exit(main())
