# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# Make check only builds these, unless it is told what to test: a time is no test. `make bench` runs them.
bench_programs = tests/bench/limit tests/bench/load tests/bench/device tests/bench/client tests/bench/many
EXTRA_PROGRAMS += $(bench_programs)
check-local: $(if $(filter command,$(origin TESTS)),,$(bench_programs))

bench_loops = tests/bench/bench.h tests/bench/rows.c tests/bench/end.c tests/bench/drive.c \
	tests/bench/bare.c tests/bench/options.h tests/bench/options.c
tests_bench_limit_SOURCES = tests/bench/limit.c $(bench_loops)
tests_bench_limit_LDADD =
tests_bench_load_SOURCES = tests/bench/load.c $(bench_loops)
tests_bench_load_LDADD =
tests_bench_device_SOURCES = tests/bench/device.c
tests_bench_device_LDADD = libvfu/libvfu.la
tests_bench_client_SOURCES = tests/bench/client.c $(bench_loops)
tests_bench_client_LDADD = libvfu/libvfu.la
tests_bench_many_SOURCES = tests/bench/many.c tests/bench/bench.h tests/bench/end.c
tests_bench_many_LDADD = libvfu/libvfu.la

# BENCH_ROUNDS=N, BENCH_SERVER=COMMAND (any server that has the bench device).
BENCH_ROUNDS = 5
bench_run = $(LIBTOOL) --mode=execute -dlopen libvfu/libvfu.la $(SHELL) $(srcdir)/tests/bench/run tests/bench $(BENCH_ROUNDS)
bench: $(bench_programs)
	$(bench_run)

# What the site's picture is drawn from, on a machine without other work.
record-bench: $(bench_programs)
	CC='$(CC)' CFLAGS='$(CFLAGS)' $(bench_run) record >tests/bench/recorded.txt
	mv tests/bench/recorded.txt $(srcdir)/tests/data/bench
EXTRA_DIST += tests/bench/run tests/bench/README.md tests/bench/device.py tests/bench/client.py
