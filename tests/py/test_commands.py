# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Commands and features that a device's methods serve, and a client that sends them."""

import asyncio
import dataclasses
import errno
import logging
import os
import subprocess
import sys

import pytest

import vfu
from vfu import protocol


class Plain(vfu.Device):
    """One that answers for the library, and knows a command that the protocol lacks."""

    broken = False

    def on_get_irq_info(self, request):
        if request.index == 9:
            raise vfu.NotFound(errno.ENOENT, "no such interrupt")
        index = request.index + self.broken
        return protocol.GetIrqInfoReply(index=index, count=request.index + 1)

    def on_get_region_io_fds(self, request):
        return {"index": request.index}

    def on_4242(self, request):
        assert isinstance(request, vfu.Raw) and request.command == 4242
        return request.data[::-1], request.fds


def test_known_message(connect):
    dev = connect(Plain())
    reply = dev.call("get_irq_info", index=40)
    assert reply == protocol.GetIrqInfoReply(index=40, count=41)
    assert reply.fds == []
    assert dev.call(7, index=3).count == 4
    assert dev.call(protocol.GetIrqInfoRequest(index=5)).count == 6
    assert dev.call("get_region_io_fds", index=2).sub_regions == []
    assert dev.irqs.msi.count == 2
    with pytest.raises(vfu.NotFound):
        dev.call("get_irq_info", index=9)


def test_library_answers_for_who_does_not(connect):
    class Some(vfu.Device):
        bar2 = vfu.Bar(size=4096)

        def on_get_region_info(self, request):
            if request.index != 8:
                return NotImplemented
            return {"index": 8, "flags": 1, "size": 0x1234}

        def on_4242(self, request):
            return NotImplemented

    dev = connect(Some())
    assert dev.regions.vga.size == 0x1234
    assert dev.regions.bar2.size == 4096
    assert dev.call("get_region_info", index=2).size == 4096
    with pytest.raises(vfu.Error) as error:
        dev.call(4242)
    assert error.value.errno == errno.ENOSYS


def test_messages_of_the_library_may_be_called(connect):
    dev = connect(vfu.Device())
    assert dev.call("get_info").num_regions == 9
    assert dev.call("get_region_info", index=7).size == 256


def test_unknown_number_and_descriptors(connect, tmp_path):
    dev = connect(Plain())
    (tmp_path / "file").write_bytes(b"what is in it")
    with open(tmp_path / "file", "rb") as file:
        reply = dev.call(4242, data=b"abc", fds=[file, file.fileno()])
        assert not file.closed
    assert (reply.command, reply.data, len(reply.fds)) == (4242, b"cba", 2)
    fd = reply.fds.take()
    assert os.pread(fd, 100, 0) == b"what is in it"
    os.close(fd)
    assert len(reply.fds) == 1  # closed with the reply
    with pytest.raises(vfu.Error) as error:
        dev.call(4243)
    assert error.value.errno == errno.ENOSYS


def test_what_a_request_breaks(connect):
    dev = connect(Plain())
    before = dev.stats["requests_out"]
    with pytest.raises(vfu.Error) as error:
        dev.call("get_irq_info", argsz=3, index=1)
    assert error.value.errno == errno.EINVAL
    assert error.value.field == "get_irq_info.argsz"
    assert "is at least 16" in str(error.value)
    with pytest.raises(TypeError, match="GetIrqInfoRequest has no indx, did you mean index?"):
        dev.call("get_irq_info", indx=1)
    with pytest.raises(TypeError, match="GetIrqInfoReply is no request"):
        dev.call(protocol.GetIrqInfoReply())
    with pytest.raises(TypeError, match="GetIrqInfoRequest is given with its fields"):
        dev.call(protocol.GetIrqInfoRequest(), index=1)
    with pytest.raises(ValueError, match="there is no message get_irq_inf, did you mean get_irq_info?"):
        dev.call("get_irq_inf")
    with pytest.raises(vfu.Error, match="dma_map is left to the library, which keeps the ranges of memory"):
        dev.call("dma_map", size=4096)
    with pytest.raises(vfu.Error, match="always answered"):
        dev.call("get_irq_info", post=True)
    with pytest.raises(OverflowError):
        dev.call(4242, fds=[2**32])  # not descriptor 0
    assert dev.stats["requests_out"] == before
    assert dev.connected


class Migrating(vfu.Device):
    def on_mig_data_read(self, request):
        return {"data": b"state"[: request.size]}


def test_only_in_some_states(connect):
    device = Migrating()
    dev = connect(device)
    with pytest.raises(vfu.Error) as error:
        dev.call("mig_data_read", size=5)
    assert error.value.errno == errno.EINVAL
    device.set_state("pre_copy")
    assert dev.call("mig_data_read", size=5).data == b"state"
    device.set_state(protocol.DeviceState.RESUMING)
    with pytest.raises(vfu.Error):
        dev.call("mig_data_read", size=5)
    device.set_state("stop_copy")
    dev.reset()
    with pytest.raises(vfu.Error):
        dev.call("mig_data_read", size=5)
    with pytest.raises(ValueError, match="there is no state pre_copi, did you mean pre_copy?"):
        device.set_state("pre_copi")
    with pytest.raises(vfu.Error):
        device.set_state(8)


def test_not_agreed():
    """What needs a capability is refused without it; widest() refuses least."""
    before = protocol.RegionWriteMultiRequest(writes=[protocol.WriteMultiEntry(0, 0, 4, 1)])
    with pytest.raises(protocol.Fault, match="needs write_multiple, which was not agreed"):
        protocol.RegionWriteMultiRequest.parse(before.build())
    wide = protocol.Limits.widest()
    assert protocol.RegionWriteMultiRequest.parse(before.build(), limits=wide) == before


# ---- what a method or a caller may leave out or get wrong ----


def test_dicts_in_lists():
    """A dict of fields stands for an element where the list holds one kind; counts follow from what there is."""
    entry = protocol.WriteMultiEntry(offset=1, region=2, count=4, data=3)
    made = protocol.RegionWriteMultiRequest(wr_cnt=9, writes=[entry, dict(vars(entry))])
    plain = protocol.RegionWriteMultiRequest(writes=[entry, entry])
    assert made.build() == plain.build() and made == plain and made.wr_cnt == 2
    areas = protocol.SparseMmap(areas=[{"offset": 0, "size": 4096}])
    reply = protocol.GetRegionInfoReply(size=8192, caps=[areas])
    read = protocol.GetRegionInfoReply.parse(reply.build(), request=protocol.GetRegionInfoRequest())
    assert read.caps[0].areas == [protocol.SparseMmapArea(0, 4096)]


@pytest.mark.parametrize("part, text", [
    (protocol.RegionWriteMultiRequest(writes=[{"offst": 1}]), "RegionWriteMultiRequest.writes: WriteMultiEntry has no offst"),
    (protocol.RegionWriteMultiRequest(writes=[5]), "RegionWriteMultiRequest.writes is of WriteMultiEntry, not 5"),
    (protocol.RegionWriteMultiRequest(writes=5), "RegionWriteMultiRequest.writes is a list, not 5"),
    (protocol.RegionWriteMultiRequest(writes={"offset": 1}), "RegionWriteMultiRequest.writes is a list"),
    (protocol.GetRegionInfoReply(caps=[{"type": 1}]), "GetRegionInfoReply.caps is of SparseMmap or .* UnknownLink, not"),
    (protocol.GetRegionIoFdsReply(sub_regions=[{"offset": 1}]), "GetRegionIoFdsReply.sub_regions is of IoFd or"),
    (protocol.DeviceFeatureRequest(data={"state": 1}), "DeviceFeatureRequest.data is of .* or bytes, not"),
    (protocol.GetIrqInfoRequest(index="one"), "GetIrqInfoRequest.index is a whole number from 0 to 4294967295, not 'one'"),
    (protocol.RegionWriteMultiRequest(writes=[{"count": -1}]), "WriteMultiEntry.count is a whole number from 0 to 4294967295"),
    (protocol.FeatureLoggingBitmap(bitmap=[1, None]), "FeatureLoggingBitmap.bitmap is a whole number from 0 to 18446744073709551615"),
])
def test_what_is_no_field(part, text):
    with pytest.raises((TypeError, ValueError), match=text):
        part.build()


def test_a_number_that_is_none_is_named(connect):
    with pytest.raises(ValueError, match="GetIrqInfoRequest.index is a whole number"):
        connect(vfu.Device()).call("get_irq_info", index="one")


def test_a_method_whose_capability_the_server_does_not_say(tmp_path, caplog, monkeypatch):
    message = protocol.MESSAGES[protocol.Command.GET_IRQ_INFO]
    needing = {**protocol.MESSAGES, message.command: dataclasses.replace(message, requires="write_multiple")}
    monkeypatch.setattr(protocol, "MESSAGES", needing)

    def warnings(**options):
        caplog.clear()
        vfu.Server(Plain(), tmp_path / "socket", **options).close()
        return [record.getMessage() for record in caplog.records]

    assert warnings() == []  # the library says it
    assert warnings(capabilities={"write_multiple": True}) == []
    (told,) = warnings(capabilities={"write_multiple": False})
    assert told.startswith("Plain.on_get_irq_info needs write_multiple, which this server does not say")
    assert "--capability write_multiple=true" in told
    assert warnings(options={"write_multiple": 0}) == [told]
    assert [key.path for key in protocol.CAPABILITIES if key.type == "bool" and key.ours is None] == []


@pytest.mark.parametrize("said", [{"write_multiple": True}, {"ab": 1}, ["ab"], [(1, b"", 2)]])
def test_capabilities_of_the_class_are_of_pci(said):
    odd = type("Odd", (vfu.Device,), {"capabilities": said})
    with pytest.raises(TypeError, match="capabilities are PCI's, .id, bytes. pairs or what vfu.pci makes; those of VERSION are the Server's"):
        odd()


def test_limits_have_the_names_of_the_protocol(connect):
    dev = connect(vfu.Device(), server_options={"capabilities": {"pgsizes": 0x201000}})
    limits = dev.limits
    assert {field.name for field in dataclasses.fields(protocol.Limits)} <= set(limits)
    assert (limits["pgsizes"], limits["pgsize"]) == (0x201000, 4096)
    assert (limits["write_multiple"], limits["sparse_mmap_fds"]) == (True, dev.agreed["sparse_mmap_fds"])


def test_wrong_answers(connect, caplog):
    device = Plain()
    device.broken = True
    dev = connect(device, irqs=False)
    with pytest.raises(vfu.Error) as error:
        dev.call("get_irq_info", index=1)
    assert error.value.errno == errno.EIO
    assert "get_irq_info.index: value 2 breaks the rule: equals the request's index" in caplog.text
    assert dev.connected


@pytest.mark.parametrize("answer", [None, 5, {"indx": 1}, "text", b"short"])
def test_answers_that_are_none(connect, caplog, answer):
    class Odd(vfu.Device):
        def on_get_info(self, request):
            return answer if self.is_up else protocol.GetInfoReply(num_regions=9)

        is_up = False

    device = Odd()
    dev = connect(device, irqs=False)
    device.is_up = True
    with pytest.raises(vfu.Error) as error:
        dev.call("get_info")
    assert error.value.errno == errno.EIO
    assert "on_get_info" in caplog.text


def test_posted(connect):
    class Counting(vfu.Device):
        seen = 0

        def on_4242(self, request):
            self.seen += 1
            return bytes([self.seen])

    dev = connect(Counting())
    assert dev.call(4242, post=True) is None
    assert dev.call(4242).data == b"\2"


class Slow(vfu.Device):
    event_loop = True

    def __init__(self):
        super().__init__()
        self.go = None

    async def on_4242(self, request):
        if request.data == b"fail":
            raise vfu.Denied(errno.EACCES, "not this")
        if request.data == b"wait":
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return request.data, request.fds

    async def on_get_irq_info(self, request):
        await asyncio.sleep(0)
        return {"index": request.index, "count": 3000}

    async def feature_get_77(self, data):
        await asyncio.sleep(0)
        return b"late" + data


def test_answered_later(connect, caplog):
    dev = connect(Slow(), irqs=False)
    with open(os.devnull) as file:
        assert len(dev.call(4242, data=b"x", fds=[file]).fds) == 1
    with pytest.raises(vfu.Denied):
        dev.call(4242, data=b"fail")
    with pytest.raises(vfu.Error) as error:
        dev.call("get_irq_info")
    assert error.value.errno == errno.EIO
    assert "get_irq_info.count" in caplog.text
    assert dev.feature_get(77, b"!") == b"late!"


def test_reset_ends_what_is_answered_later(connect, caplog):
    caplog.set_level(logging.ERROR)
    dev = connect(Slow(), irqs=False)
    with pytest.raises(vfu.Timeout):
        dev.call(4242, data=b"wait", timeout=0.05)
    dev.reset()
    assert dev.call(4242, data=b"on").data == b"on"
    assert caplog.text == ""


@pytest.mark.parametrize(
    "name, text",
    [
        ("on_get_irq_inf", "no message and no hook has that name, did you mean on_get_irq_info?"),
        ("on_conect", "no message and no hook has that name, did you mean on_connect?"),
        ("on_reset", "the client's RESET calls reset(self)"),
        ("on_dma_read", "dma_read is left to the library"),
        ("on_dirty_pages", "dirty_pages is retired"),
        ("on_65536", "numbers from 1 to 65535"),
        ("feature_get_migratio", "no feature feature_get_migratio, did you mean feature_get_migration?"),
    ],
)
def test_misspelt_methods_are_refused(name, text):
    kind = type("Odd", (vfu.Device,), {name: lambda self, request: None})
    with pytest.raises(TypeError) as error:
        kind()
    assert f"Odd.{name}: " in str(error.value)
    assert text in str(error.value)


class Featured(vfu.Device):
    def __init__(self):
        super().__init__()
        self.state = protocol.FeatureDeviceState(device_state=2)

    def feature_get_mig_device_state(self, data):
        return self.state

    def feature_set_mig_device_state(self, data):
        if data.device_state == protocol.DeviceState.ERROR:
            raise vfu.Error(errno.EINVAL, "never a target")
        self.state = data

    def feature_get_migration(self, data):
        return {"flags": 1}

    def feature_get_300(self, data):
        return bytes(100)

    def feature_set_301(self, data):
        return data[:2]


def test_features(connect, caplog):
    dev = connect(Featured())
    assert dev.feature_get("mig_device_state").device_state == protocol.DeviceState.RUNNING
    answer = dev.feature_set("mig_device_state", protocol.FeatureDeviceState(device_state=3))
    assert answer.device_state == 3
    assert dev.feature_get(2).device_state == 3
    with pytest.raises(vfu.Error) as error:
        dev.feature_set("mig_device_state", protocol.FeatureDeviceState(device_state=0))
    assert error.value.errno == errno.EINVAL
    assert dev.feature_get(300) == bytes(100)
    with pytest.raises(vfu.Error):
        dev.feature_get(300, room=99)
    assert dev.feature_set(301, b"abc") == b"ab"
    with pytest.raises(vfu.Error) as error:
        dev.feature_get(301)
    assert error.value.errno == errno.ENOTTY
    with pytest.raises(vfu.Error) as error:
        dev.feature_get("migration")
    assert error.value.errno == errno.EIO
    assert "a dict will not do here" in caplog.text
    with pytest.raises(ValueError, match="did you mean migration?"):
        dev.feature_get("migratio")


def test_probe(connect):
    dev = connect(Featured())
    assert dev.feature_probe("mig_device_state", get=True, set=True)
    assert dev.feature_probe(301) and dev.feature_probe(301, set=True)
    assert not dev.feature_probe(301, get=True)
    assert not dev.feature_probe(5)


def test_read_when_needed():
    """Who imports vfu, makes a device or starts the command does not wait for the generated module; who uses it does."""
    script = """
import sys, vfu, vfu.protocol, vfu.cli
class Plain(vfu.Device):
    bar0 = vfu.Bar(4096)
    def on_connect(self): pass
Plain()
vfu.cli.parser()
assert "vfu_protocol" not in sys.modules
from vfu.protocol import Command
assert Command is sys.modules["vfu_protocol"].Command and "Fault" in dir(vfu.protocol)
assert not hasattr(vfu.protocol, "nonsense") and not hasattr(vfu.protocol, "_View")
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
