"""The native runners, built once for this machine, as programs that a launch starts."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.core.contract import InputSpec, Job, Sampling, WarmupPolicy, parse_events
from harness.models import environments
from harness.native import abi, compilers
from harness.native import build as native

SDK_DOUBLE = Path(__file__).parent / "paddle_lite_sdk_double"
RKNN_DOUBLE = Path(__file__).parent / "rknn_runtime_double"
ABI = f"{platform.machine()}-linux".replace("aarch64", "arm64")


def build(engine, **given):
    return native.build(engine, ABI, **given, progress=print)


@dataclass(frozen=True)
class Ended:
    """What a launch left."""

    returncode: int
    sequence: list
    stderr: str
    folder: Path

    @property
    def names(self):
        return [event.event for event in self.sequence]

    @property
    def outputs(self):
        return [event for event in self.sequence if event.event == "outputs"]

    def __getitem__(self, name):
        return next(event for event in reversed(self.sequence) if event.event == name)


@pytest.fixture(scope="session")
def calibration():
    return build("calibration")


@pytest.fixture(scope="session")
def onnxruntime():
    return build("onnxruntime")


@pytest.fixture(scope="session")
def compiler():
    found = shutil.which("g++")
    if found is None:
        pytest.skip("no g++ to compile the SDK double with")
    return Path(found)


@pytest.fixture(scope="session")
def make_sdk(compiler, tmp_path_factory):
    """Make SDKs with the layout of Paddle Lite's releases, of the double."""

    def make(*more, version="v2.13-rc"):
        root = tmp_path_factory.mktemp("paddle-lite-sdk-double")
        (root / "cxx" / "include").mkdir(parents=True)
        (root / "cxx" / "lib").mkdir()
        for header in SDK_DOUBLE.glob("*.h"):
            shutil.copy(header, root / "cxx" / "include")
        library = root / "cxx" / "lib" / "libpaddle_light_api_shared.so"
        source = SDK_DOUBLE / "paddle_lite_sdk_double.cc"
        shared = ["-std=c++17", "-shared", "-fPIC", "-fno-exceptions"]
        defined = [f'-DDOUBLE_VERSION="{version}"', f"-Wl,-soname,{library.name}", *more]
        command = [compiler, *shared, *defined, source, "-o", library]
        subprocess.run(command, check=True)
        return root

    return make


@pytest.fixture(scope="session")
def sdk(make_sdk):
    return make_sdk()


@pytest.fixture(scope="session")
def npu_libraries(compiler, tmp_path_factory):
    """Compile empty libraries by the names of NNAdapter's runtime and drivers."""
    folder = tmp_path_factory.mktemp("nnadapter-double")
    names = ["libnnadapter.so", "libdouble_npu.so", "libother_npu.so", "librefused_npu.so"]
    for name in names:
        command = [compiler, "-shared", "-fPIC", "-x", "c++", "/dev/null", "-o", folder / name]
        subprocess.run(command, check=True)
    return {name: folder / name for name in names}


@pytest.fixture(scope="session")
def paddle_lite(sdk, compiler):
    return build("paddle-lite", sdk=sdk, toolchain=compiler)


@pytest.fixture(scope="session")
def rknn():
    return build("rknn", sdk=RKNN_DOUBLE)


@pytest.fixture(scope="session")
def rknn_library(tmp_path_factory):
    """Compile the double of librknnrt.so."""
    environments.python("zig", print)
    zig = compilers.zig_program(lambda name: environments.get(name).folder)
    target = abi.get(ABI).zig_target(f"gnu.{compilers.GLIBC}")
    library = tmp_path_factory.mktemp("rknn-runtime-double") / "librknnrt.so"
    source = RKNN_DOUBLE / "librknnrt_double.c"
    options = ["-std=c11", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    command = [zig, "cc", "-target", target, *options, source, "-o", library]
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(compilers.zig_cache())}
    subprocess.run(command, env=os.environ | cache, check=True)
    return library


@pytest.fixture
def job():
    return Job(
        launch="test",
        engine="calibration",
        files={"model": "model"},
        inputs=[InputSpec(name="x", shape=(2, 3), low=-1, high=1)],
        seed=7,
        check_seeds=[1, 2, 3],
        warmup=WarmupPolicy(min_samples=2, min_seconds=0, max_samples=5),
        sampling=Sampling(min_samples=4, min_seconds=0, max_samples=4),
    )


@pytest.fixture
def launch(tmp_path):
    """Start a program in a launch's folder."""
    number = iter(range(1000))

    def start(program, job, files, *, timeout=120, prefix=()):
        folder = tmp_path / f"launch-{next(number)}"
        folder.mkdir()
        content = job.model_dump_json().encode() if isinstance(job, Job) else job
        (folder / "job.json").write_bytes(content)
        for name, source in files.items():
            if isinstance(source, Path):
                (folder / name).symlink_to(source)
            else:
                text = source if isinstance(source, str) else json.dumps(source)
                (folder / name).write_text(text)
        ended = subprocess.run(
            [*prefix, *map(str, program if isinstance(program, tuple) else (program,)), "job.json"],
            cwd=folder,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        path = folder / "events.jsonl"
        events = parse_events(path.read_bytes()) if path.exists() else []
        return Ended(ended.returncode, events, ended.stderr.decode(errors="replace"), folder)

    return start
