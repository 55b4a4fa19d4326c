"""How long the whole model zoo takes to build, and to find that nothing is to be built."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from harness.workspace import cache_dir

HARNESS = Path(sys.executable).with_name("harness")
REPOSITORY = Path(__file__).parent.parent
TARGETS = "arm,x86,rockchip_npu,verisilicon_timvx,rknn:rk3588,onnx"


def test_the_zoo(benchmark, at_most, tmp_path, monkeypatch):
    environments = cache_dir() / "environments"
    environments.mkdir(parents=True, exist_ok=True)
    own = tmp_path / "cache" / "edge-harness"
    own.mkdir(parents=True)
    (own / "environments").symlink_to(environments)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = [HARNESS, "--workspace", REPOSITORY, "models", "build", "--all", "--targets", TARGETS]

    def build() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    began = time.perf_counter()
    build()
    whole = time.perf_counter() - began
    benchmark.pedantic(build, rounds=5)
    again = benchmark.stats.stats.median
    at_most("the zoo, from nothing", whole, "s", 1200, "once, six targets, outputs checked")
    at_most("the zoo, where nothing has changed", again, "s", 3, "median of 5")
    at_most("that, of building from nothing", again / whole, "", 0.05, "their ratio")
