# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# Each pytest file is one test of make check.
py_tests =

if HAVE_PYTEST
TESTS += $(py_tests)
else
TESTS += tests/py/no-python.sh
endif
EXTRA_DIST += tests/py/no-python.sh $(py_tests)
