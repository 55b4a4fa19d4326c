"""What `pip install edge-harness` gives, on a machine without a checkout and without a compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv

from harness.core.errors import ExitCode
from harness.lab.elf import read
from harness.models import interpreters

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).parents[2]
UV = uv.find_uv_bin()

# What launches on this machine need: a shell and a few tools; no compiler.
TOOLS = (
    "cat chmod cut df env getconf grep head id ln ls mkdir mv od readlink rm sed sh sha256sum "
    "sleep sort stat tr uname wc"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build a source distribution, and of that a wheel, as for a release.

    Programs that this user's cache has are taken from there: they are those of the other tests.
    """
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([UV, "build", "--quiet", "--out-dir", folder, REPOSITORY], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(
    scope="module",
    params=[
        f"{sys.version_info.major}.{sys.version_info.minor}",
        *(pytest.param(version, marks=pytest.mark.full) for version in ("3.12", "3.13")),
    ],
)
def installed(request, wheel, tmp_path_factory):
    """Install it with the locked versions of what it depends on; return how to call it."""
    root = tmp_path_factory.mktemp("installed")
    python = interpreters.obtain(request.param, print)
    install = [UV, "pip", "install", "--quiet", "--constraint", REPOSITORY / "requirements.lock"]
    subprocess.run([UV, "venv", "--quiet", "--python", python, root / "venv"], check=True)
    subprocess.run([*install, "--python", root / "venv" / "bin" / "python", wheel], check=True)
    (root / "bin").mkdir()
    for name in TOOLS.split():
        (root / "bin" / name).symlink_to(shutil.which(name))
    environment = {
        "HOME": str(root),
        "PATH": str(root / "bin"),
        "XDG_CACHE_HOME": str(root / "cache"),
        "EDGE_HARNESS_WORKSPACE": str(root / "lab"),
    }

    def call(*arguments, **more):
        return subprocess.run(
            [root / "venv" / "bin" / "harness", *arguments],
            env=environment | more,
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )

    call("init", "lab")
    return call, root


def test_it_carries_the_whole_package_and_programs_for_each_abi(wheel, tmp_path):
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path)
    package = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "harness").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert package <= names
    carried = [path for path in (tmp_path / "harness/native/carried").rglob("*") if path.is_file()]
    assert sorted((path.name, read(path).abi) for path in carried) == [
        (name, abi)
        for name in ("edge-runner-calibration", "edge-supervisor")
        for abi in ("arm64-linux", "armv7hf-linux", "x86_64-linux")
    ]
    for path in carried:
        assert read(path).loader is None
        assert path.stat().st_size < 1_000_000


@pytest.mark.full
def test_its_programs_are_those_of_a_first_use_to_the_byte(wheel, tmp_path):
    """Compile all with the tools that a build declares; zig's libraries take minutes each."""
    cache = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True)
    environment = os.environ | {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "UV_CACHE_DIR": cache.stdout.strip(),
    }
    command = [UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path, REPOSITORY]
    subprocess.run(command, env=environment, check=True)
    (built,) = tmp_path.glob("*.whl")
    assert built.read_bytes() == wheel.read_bytes()


def test_it_measures_without_a_compiler_or_a_download(installed):
    call, root = installed
    path = root / "lab" / "campaigns" / "calibration.yaml"
    path.write_text(path.read_text().replace("launches: 5", "launches: 1"))
    ran = call("run", path, "--json", UV_OFFLINE="1")
    assert ran.returncode == 0, ran.stderr
    launches = json.loads(ran.stdout)["launches"]
    assert {launch["status"] for launch in launches} == {"ok"}
    (measured,) = [launch for launch in launches if launch["role"] == "measure"]
    assert measured["outputs"]["passed"]
    assert min(measured["samples_ns"]) >= 2_000_000
    cache = root / "cache" / "edge-harness"
    assert not {"environments", "native"} & {path.name for path in cache.iterdir()}
    reported = call("report")
    assert reported.returncode == 0, reported.stderr
    assert Path(reported.stdout.strip()).stat().st_size > 10_000


def test_it_has_what_builds_models_and_boards(installed):
    """The locks, stages and recipes are found; making them is tested from the checkout."""
    call, root = installed
    listed = call("models", "list", "--json")
    assert [model["name"] for model in json.loads(listed.stdout)] == [
        "calibration_spin",
        "mobilenet_v1_025_96",
    ]
    wanted = call("runners", "build", "onnxruntime", "--abi", "arm64-linux", UV_OFFLINE="1")
    assert wanted.returncode == ExitCode.LAB
    assert "environment native failed" in wanted.stderr
    assert (root / "lab" / "devices" / "boards" / "qemu-arm64.yaml").is_file()
