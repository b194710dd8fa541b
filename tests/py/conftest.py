# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Around every test: no descriptor and no thread may be left behind."""

import gc
import logging

import pytest

import vfu
import vfu.testing


def pytest_collection_finish():
    """What is there before the first test is not looked through after each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_leaks():
    with vfu.testing.leaves_nothing():
        yield


@pytest.fixture
def quiet(caplog, recwarn, capfd):
    """No log line above info, no warning, nothing on stderr, also not from what is freed late."""
    yield
    gc.collect()
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno > logging.INFO] == []
    assert [str(warning.message) for warning in recwarn] == []
    assert capfd.readouterr().err == ""


@pytest.fixture
def serve(tmp_path):
    """serve(device, ...) -> path of its socket; the server runs in a thread until the test ends."""
    servers = []

    def start(device, **options):
        path = str(tmp_path / f"{len(servers)}.sock")
        servers.append(vfu.Server(device, path, **options).start())
        return path

    yield start
    while servers:
        servers.pop().close()


@pytest.fixture
def connect(serve):
    """connect(device, ...) -> client of a served device; options go to the client."""
    clients = []

    def start(device, server_options={}, **options):
        clients.append(vfu.Client(serve(device, **server_options), **options))
        return clients[-1]

    yield start
    while clients:
        clients.pop().close()
