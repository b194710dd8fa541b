# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# Boundary tests made from the spec: the same vectors in C and in Python.
gen_tests = tests/gen/test-wire tests/gen/test-parts
gen_vectors = tests/gen/check-wire.c tests/gen/check-parts.c tests/gen/vectors.py
gen_cases = tests/lib/wire-vector.c tests/lib/wire-cases.h tests/lib/wire-vector.h tests/gen/check-wire.c

tests_gen_test_wire_SOURCES = tests/lib/wire-cases.c $(gen_cases)
tests_gen_test_wire_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/lib
tests_gen_test_parts_SOURCES = tests/lib/part-cases.c tests/lib/part-cases.h tests/gen/check-parts.c $(gen_cases)
tests_gen_test_parts_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/lib

if HAVE_CHECK
EXTRA_PROGRAMS += $(gen_tests)
TESTS += $(gen_tests)
endif
EXTRA_DIST += $(gen_vectors) tests/lib/wire-cases.c tests/lib/part-cases.c tests/lib/part-cases.h
EXTRA_DIST += tests/lib/wire-cases.h tests/lib/wire-vector.c tests/lib/wire-vector.h
MAINTAINERCLEANFILES += $(gen_vectors)

tests/gen/check-wire.c.stamp: codegen/gen/tests_c.lua $(codegen_vectors) $(codegen_inputs)
	$(AM_V_GEN)output=tests_c; $(codegen_run)

tests/gen/check-parts.c.stamp: codegen/gen/tests_parts.lua $(codegen_inputs)
	$(AM_V_GEN)output=tests_parts; $(codegen_run)

# The corpus is for fuzzers; no test needs it. It is unpacked where they look for files.
CLEANFILES += tests/gen/corpus.tar
tests/gen/corpus.tar: codegen/gen/corpus.lua codegen/tar.lua $(codegen_vectors) $(codegen_inputs)
	$(AM_V_GEN)output=corpus; $(codegen_run)

.PHONY: corpus
corpus: tests/gen/corpus.tar
	rm -rf tests/gen/corpus && $(MKDIR_P) tests/gen/corpus && tar -C tests/gen/corpus -xf tests/gen/corpus.tar
clean_local += tests/gen/corpus

tests/gen/vectors.py: codegen/gen/tests_py.lua $(codegen_vectors) $(codegen_inputs)
	$(AM_V_GEN)output=tests_py; $(codegen_run)
