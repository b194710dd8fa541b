# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Drill: the feature rate, with a layout that only spec/ knows, read, set and asked for."""

import errno
import tempfile

import vfu
from vfu import protocol


class Slow(vfu.Device):
    is_broken = False

    def __init__(self):
        super().__init__()
        self.rate = protocol.FeatureRate(bytes=1000, burst=8)

    def feature_get_rate(self, data):
        return protocol.FeatureRate() if self.is_broken else self.rate

    def feature_set_rate(self, data):
        if data.bytes > 5000:
            raise vfu.Error(errno.EINVAL, "too fast")
        self.rate = data


def fails(number, field, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except vfu.Error as error:
        assert error.errno == number, error
        assert field is None or error.field == field, error.field
    else:
        raise AssertionError(f"{args} {kwargs}: no error")


def drive(device, client):
    assert client.feature_probe("rate", get=True, set=True)
    assert not client.feature_probe("migration")
    assert client.feature_get("rate") == protocol.FeatureRate(1000, 8)
    rate = protocol.FeatureRate(bytes=4000, burst=4000)
    assert client.feature_set("rate", rate) == rate
    assert device.rate == rate and client.feature_get(protocol.FeatureIndex.RATE) == rate
    fails(errno.EINVAL, "device_feature.feature_rate.burst", client.feature_set, "rate", protocol.FeatureRate(8, 9))
    fails(errno.EINVAL, None, client.feature_set, "rate", protocol.FeatureRate(5001, 1))
    assert device.rate == rate
    device.is_broken = True
    fails(errno.EIO, None, client.feature_get, "rate")
    assert client.connected


with tempfile.TemporaryDirectory() as place:
    device = Slow()
    with vfu.Server(device, place + "/sock").start(), vfu.Client(place + "/sock") as client:
        drive(device, client)
