#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# Stands in for the Python tests where configure found no Python with headers and pytest.
echo "SKIPPED: all Python tests: they need Python's headers, pytest and hypothesis"
echo "(Debian: python3-dev python3-pytest python3-hypothesis), and configure without --disable-python"
exit 77
