# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# A line here is all that a Check program tests/unit/test-NAME.c needs.
unit_tests = \
	tests/unit/test-endtoend \
	tests/unit/server/test-accept \
	tests/unit/server/test-connections \
	tests/unit/server/test-bounds \
	tests/unit/server/test-cuts \
	tests/unit/server/test-hostile \
	tests/unit/server/test-irqs \
	tests/unit/server/test-order \
	tests/unit/server/test-server \
	tests/unit/test-version \
	$(fault_tests)

# A device, its server and a client of bare messages.
server_rig = tests/lib/rig.c tests/lib/rig.h tests/lib/raw.c tests/lib/raw.h
tests_unit_server_test_accept_SOURCES = tests/unit/server/test-accept.c $(server_rig)
tests_unit_server_test_connections_SOURCES = tests/unit/server/test-connections.c $(server_rig)
tests_unit_server_test_bounds_SOURCES = tests/unit/server/test-bounds.c $(server_rig)
tests_unit_server_test_cuts_SOURCES = tests/unit/server/test-cuts.c $(server_rig)
tests_unit_server_test_hostile_SOURCES = tests/unit/server/test-hostile.c $(server_rig)
tests_unit_server_test_irqs_SOURCES = tests/unit/server/test-irqs.c $(server_rig)
tests_unit_server_test_order_SOURCES = tests/unit/server/test-order.c $(server_rig)
tests_unit_server_test_server_SOURCES = tests/unit/server/test-server.c $(server_rig)

# These have a system that fails on demand in place of os.c.
fault_tests = \
	tests/unit/test-calls \
	tests/unit/device/test-dma \
	tests/unit/device/test-irq \
	tests/unit/device/test-config \
	tests/unit/device/test-pci \
	tests/unit/device/test-region \
	tests/unit/device/test-register \
	tests/unit/base/test-list \
	tests/unit/base/test-buf \
	tests/unit/base/test-log \
	tests/unit/base/test-sigbus \
	tests/unit/base/test-eventfd \
	tests/unit/transport/test-sock \
	tests/unit/transport/test-chan \
	tests/unit/transport/test-conn \
	tests/unit/transport/test-waits \
	tests/unit/transport/test-sending \
	tests/unit/transport/test-json \
	tests/unit/transport/test-trace \
	tests/unit/transport/test-negotiate \
	tests/unit/client/test-client \
	tests/unit/client/test-connect \
	tests/unit/client/test-deviating \
	tests/unit/client/test-hostile \
	tests/unit/client/test-posts \
	tests/unit/client/test-requests \
	tests/unit/client/test-pci \
	tests/unit/client/test-irqs \
	tests/unit/client/test-direct \
	tests/unit/client/test-batches \
	tests/unit/client/test-reconnect \
	tests/unit/client/test-comeback \
	tests/unit/client/test-memory \
	tests/unit/client/test-threads \
	tests/unit/client/test-functions \
	tests/unit/client/test-iova \
	tests/unit/client/test-ranges \
	tests/unit/client/test-loop \
	tests/unit/server/test-parts \
	tests/unit/server/test-large \
	tests/unit/server/test-memory \
	tests/unit/server/test-twin \
	tests/unit/device/test-device \
	tests/unit/transport/test-storm \
	tests/unit/transport/test-twin
tests_unit_test_calls_LDADD = $(fault_libs)
# One end of a connection.
end_rig = tests/lib/end.c tests/lib/end.h
fault_libs = tests/lib/libfault.la $(LDADD)
tests_unit_device_test_dma_LDADD = $(fault_libs)
tests_unit_device_test_irq_LDADD = $(fault_libs)
tests_unit_device_test_config_LDADD = $(fault_libs)
tests_unit_device_test_pci_LDADD = $(fault_libs)
tests_unit_device_test_region_LDADD = $(fault_libs)
tests_unit_device_test_register_LDADD = $(fault_libs)
tests_unit_base_test_list_LDADD = $(fault_libs)
tests_unit_base_test_buf_LDADD = $(fault_libs)
tests_unit_base_test_log_LDADD = $(fault_libs)
tests_unit_base_test_sigbus_LDADD = $(fault_libs)
tests_unit_base_test_eventfd_LDADD = $(fault_libs)
tests_unit_transport_test_sock_LDADD = $(fault_libs)
tests_unit_transport_test_chan_LDADD = $(fault_libs)
tests_unit_transport_test_conn_SOURCES = tests/unit/transport/test-conn.c $(end_rig)
tests_unit_transport_test_conn_LDADD = $(fault_libs)
tests_unit_transport_test_sending_SOURCES = tests/unit/transport/test-sending.c $(end_rig)
tests_unit_transport_test_sending_LDADD = $(fault_libs)
tests_unit_transport_test_waits_SOURCES = tests/unit/transport/test-waits.c $(end_rig)
tests_unit_transport_test_waits_LDADD = $(fault_libs)
tests_unit_transport_test_json_LDADD = $(fault_libs)
tests_unit_transport_test_trace_LDADD = $(fault_libs)
tests_unit_transport_test_negotiate_LDADD = $(fault_libs)
tests_unit_transport_test_storm_LDADD = $(fault_libs)
tests_unit_transport_test_twin_LDADD = $(fault_libs)
tests_unit_device_test_device_SOURCES = tests/unit/device/test-device.c tests/lib/raw.c tests/lib/raw.h
tests_unit_device_test_device_LDADD = $(fault_libs)
tests_unit_server_test_parts_SOURCES = tests/unit/server/test-parts.c $(server_rig)
tests_unit_server_test_parts_LDADD = $(fault_libs)
tests_unit_server_test_large_SOURCES = tests/unit/server/test-large.c $(server_rig)
tests_unit_server_test_large_LDADD = $(fault_libs)
tests_unit_server_test_memory_SOURCES = tests/unit/server/test-memory.c $(server_rig)
tests_unit_server_test_memory_LDADD = $(fault_libs)
tests_unit_server_test_twin_SOURCES = tests/unit/server/test-twin.c $(server_rig)
tests_unit_server_test_twin_LDADD = $(fault_libs)
tests_unit_client_test_client_SOURCES = tests/unit/client/test-client.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_direct_SOURCES = tests/unit/client/test-direct.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_direct_LDADD = $(fault_libs)
tests_unit_client_test_irqs_SOURCES = tests/unit/client/test-irqs.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_irqs_LDADD = $(fault_libs)
tests_unit_client_test_pci_SOURCES = tests/unit/client/test-pci.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_pci_LDADD = $(fault_libs)
tests_unit_client_test_posts_SOURCES = tests/unit/client/test-posts.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_posts_LDADD = $(fault_libs)
tests_unit_client_test_batches_SOURCES = tests/unit/client/test-batches.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_batches_LDADD = $(fault_libs)
tests_unit_client_test_requests_SOURCES = tests/unit/client/test-requests.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_requests_LDADD = $(fault_libs)
tests_unit_client_test_connect_SOURCES = tests/unit/client/test-connect.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_connect_LDADD = $(fault_libs)
tests_unit_client_test_client_LDADD = $(fault_libs)
tests_unit_client_test_deviating_SOURCES = tests/unit/client/test-deviating.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_deviating_LDADD = $(fault_libs)
tests_unit_client_test_hostile_SOURCES = tests/unit/client/test-hostile.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_hostile_LDADD = $(fault_libs)
tests_unit_client_test_memory_SOURCES = tests/unit/client/test-memory.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_memory_LDADD = $(fault_libs)
tests_unit_client_test_reconnect_LDADD = $(fault_libs)
tests_unit_client_test_comeback_LDADD = $(fault_libs)
tests_unit_client_test_threads_LDADD = $(fault_libs)
tests_unit_client_test_iova_LDADD = $(fault_libs)
tests_unit_client_test_functions_SOURCES = tests/unit/client/test-functions.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_functions_LDADD = $(fault_libs)
tests_unit_client_test_ranges_SOURCES = tests/unit/client/test-ranges.c tests/lib/script.c tests/lib/script.h
tests_unit_client_test_ranges_LDADD = $(fault_libs)
tests_unit_client_test_loop_LDADD = $(fault_libs)
tests_lib_libfault_la_SOURCES = tests/lib/os_fault.c tests/lib/os_fault.h \
	tests/lib/leaks.c tests/lib/leaks.h tests/lib/suite.h tests/lib/wire_peer.c tests/lib/wire_peer.h

if HAVE_CHECK
EXTRA_LTLIBRARIES += tests/lib/libfault.la
EXTRA_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
else
TESTS += tests/unit/no-check.sh
endif
EXTRA_DIST += tests/unit/no-check.sh
