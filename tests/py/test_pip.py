# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""pip installs the package in a virtual environment, without an index, and there it needs no build tree; what else
is installed with it says the truth."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest

SOURCE, BUILD = Path(os.environ["abs_srcdir"]), Path(os.environ["abs_builddir"])

PROGRAM = SOURCE / "tests" / "py" / "installed.py"


def run(*command, **options):
    """A command that knows nothing of the uninstalled tree; what it printed."""
    names = ("PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env.update(PIP_NO_INDEX="1", PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONSAFEPATH="1")
    # The backend is run where it lies, which may be read-only.
    env.update(PYTHONDONTWRITEBYTECODE="1", **options)
    done = subprocess.run(command, env=env, cwd="/", text=True, capture_output=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def venv(tmp_path_factory):
    """A virtual environment with its own pip; nothing of the outer Python's is seen there."""
    if os.environ.get("LD_PRELOAD"):
        pytest.skip("a sanitized library needs its sanitizer loaded first, which an installed package does not do")
    place = tmp_path_factory.mktemp("venv")
    made = subprocess.run([sys.executable, "-m", "venv", place], text=True, capture_output=True)
    if made.returncode != 0:
        pytest.skip(f"{sys.executable} makes no virtual environments (Debian: python3-venv): {made.stdout}")
    version = run(place / "bin" / "pip", "--version").split()[1]
    if tuple(map(int, version.split(".")[:2])) < (22, 1):
        pytest.skip(f"pip {version} is too old for --config-settings")
    return place


def pip(venv, *arguments):
    return run(venv / "bin" / "pip", *arguments)


def left_of(venv):
    return {path.relative_to(venv) for path in venv.rglob("*vfu*")}


def check_types(venv, tmp_path):
    """Checkers find the types of what is installed, those of the generated module too."""
    if not shutil.which("mypy"):
        return  # as test_types.py says
    (tmp_path / "user.py").write_text(
        "import vfu\nreveal_type(vfu.protocol.DeviceState.RUNNING)\n"
        "def read(dev: vfu.Client) -> None:\n    reveal_type(dev.regions.bar0.info.flags)\n"
        "class Toy(vfu.Device):\n    bar0 = vfu.Bar(4096)\n    scratch = bar0.reg32(0)\nreveal_type(Toy().scratch)\n"
    )
    said = run("mypy", "--strict", "--cache-dir", tmp_path / "cache", "--python-executable", venv / "bin" / "python",
               tmp_path / "user.py")
    shown = [line.partition("Revealed type is ")[2] for line in said.splitlines() if "Revealed" in line]
    assert re.match(r".*DeviceState", shown[0]) and "Flags" in shown[1] and shown[2] == '"builtins.int"', said


def test_pip_install(venv, tmp_path):
    """What this build made is packed and installed; nothing is compiled."""
    pip(venv, "install", "--config-settings", f"builddir={BUILD}", str(SOURCE))
    said = json.loads(run(venv / "bin" / "python", "-W", "error", str(PROGRAM), str(tmp_path / "sock")))
    assert said["answer"] == 42
    assert said["versions"][0] == said["versions"][1]
    names = {Path(path).name.split(".so")[0] for path in said["libraries"]}
    assert names == {"_libvfu", "libvfu", "libjson-c"}
    for path in said["modules"] + said["libraries"]:
        assert Path(path).is_relative_to(venv), said
    assert run(venv / "bin" / "vfu", "--version").split() == ["vfu", said["versions"][0]]
    assert run(venv / "bin" / "vfu", "explain", "dma_map").startswith("dma_map: command 2")
    check_types(venv, tmp_path)

    pip(venv, "uninstall", "-y", "libvfu")
    assert left_of(venv) == set()


def test_wrong_python(venv, tmp_path):
    """A build directory for another version of Python is refused with a sentence."""
    (tmp_path / "Makefile").write_text(f"PYTHON = {sys.executable}\nPYTHON_VERSION = 2.7\n")
    with pytest.raises(AssertionError, match="is configured for another Python than"):
        pip(venv, "install", "--config-settings", f"builddir={tmp_path}", str(SOURCE))


def test_metadata():
    """make install brings what pip and importlib.metadata look for."""
    found = Distribution.at(BUILD / "python" / "packaging").metadata
    assert found["Name"] == "libvfu"
    assert found["Version"] == run(BUILD / "run", sys.executable, "-m", "vfu", "--version").split()[1]
    assert found["Requires-Python"] == ">=3.10"
    assert found.get_payload().startswith("# libvfu\n")


def test_description():
    """The description for management tools has the shape that those of vhost-user backends have."""
    said = json.loads((BUILD / "python" / "packaging" / "50-vfu-serve.json").read_text())
    assert {key: type(value) for key, value in said.items()} == {
        "description": str, "type": str, "binary": str, "tags": list,
    }
    assert said["type"] == "vfio-user"
    assert os.path.isabs(said["binary"]) and os.path.basename(said["binary"]) == "vfu"
