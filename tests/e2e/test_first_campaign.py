"""A campaign on the emulated board and on this machine, as a user runs it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import signal

import pytest

from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.models import environments
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e

SHORT = """
protocol:
  warmup: {min_samples: 1, min_seconds: 0, max_seconds: 1}
  sampling: {min_samples: 5, min_seconds: 0}
  time_limit: 180
  memory_launches: 0
"""

BOTH = f"""
matrix:
  - models: [ppocr_v4_cls]
    devices: [qemu-arm64]
    engines: [paddle-inference, onnxruntime]
  - models: [ppocr_v4_cls]
    devices: [local]
    engines: [paddle-lite, paddle-inference, onnxruntime]
launches: 2
{SHORT.replace("memory_launches: 0", "page_cache: both")}
"""

HERE = f"""
matrix:
  - {{models: [mobilenet_v1_025_96], devices: [local], engines: [onnxruntime]}}
launches: 6
{SHORT}
"""


@pytest.fixture(scope="module")
def measured(lab, board):
    """Return what a campaign over both devices printed, and what it stored."""
    path = lab.campaign(BOTH, "both")
    printed = lab("run", path)
    return printed, lab.show()


def test_every_case_is_measured_and_checked(measured):
    printed, run = measured
    assert {case["state"] for case in run["cases"]} == {"measured"}
    assert {launch["status"] for launch in run["launches"]} == {"ok"}
    assert len(run["launches"]) == 15
    for launch in run["launches"]:
        assert launch["outputs"]["passed"]
        assert len(launch["samples_ns"]) >= 5
        assert launch["vmhwm_bytes"] > 10e6
        assert launch["first_load"]["init_ms"] > 0
    assert "EMULATED" in printed


def test_engines_agree_on_the_same_artifact_everywhere(measured):
    _, run = measured
    versions = {
        (case["case"]["device"], launch["engine_version"])
        for case in run["cases"]
        for launch in run["launches"]
        if launch["case_id"] == case["id"] and case["case"]["engine"] == "onnxruntime"
    }
    assert len(versions) == 2
    artifacts = {
        case["artifact"]["id"] for case in run["cases"] if case["case"]["engine"] == "onnxruntime"
    }
    assert len(artifacts) == 1


def test_the_board_is_what_it_says(measured):
    _, run = measured
    facts = {device["name"]: device["facts"] for device in run["devices"]}
    assert facts["qemu-arm64"]["abi"] == "arm64-linux"
    assert facts["local"]["abi"] == "x86_64-linux"
    assert "frequencies" not in facts["qemu-arm64"]  # the guest has none: unknown, not invented


def test_files_are_read_cold_and_warm_on_the_board(board, measured):
    _, run = measured
    cases = [case for case in run["cases"] if case["case"]["device"] == board]
    assert [set(case["first_load_ms"]) for case in cases] == [{"cold", "warm"}] * 2


def test_memory_is_read_in_a_launch_of_its_own(measured):
    printed, run = measured
    passes = [launch for launch in run["launches"] if launch["role"] == "memory"]
    assert len(passes) == 5
    for launch in passes:
        assert launch["pss_bytes"] > 10e6
        assert launch["device_memory"]["available_bytes"] is not None
    assert {case["latency_ms"]["n"] for case in run["cases"]} == {2}
    assert "Memory pass of" in printed


def test_no_launch_is_left_on_the_board(lab, board, measured):
    _, run = measured
    workspace = Workspace(lab.root)
    device = load_device(workspace, board)
    with connect(workspace, device) as transport:
        assert run["id"] not in transport.run(["ls", f"{device.workdir}/launches"]).text
        assert "edge_runner" not in transport.run(["ps"]).text


def test_arm_files_of_paddle_lite_are_inspected_and_pushed(lab, board):
    pushed = json.loads(
        lab(
            "models", "push", "ppocr_v4_cls", "--engine", "paddle-lite", "--device", board, "--json"
        )
    )
    ((path, digest),) = [(row["paths"]["model.nb"], row["files"]["model.nb"]) for row in pushed]
    assert "arm/fp32" in pushed[0]["kernels"]
    workspace = Workspace(lab.root)
    with connect(workspace, load_device(workspace, board)) as transport:
        assert transport.run(["sha256sum", path]).text.split()[0] == digest


def test_the_report_is_one_file(lab, measured, tmp_path):
    del measured
    path = tmp_path / "report.html"
    assert lab("report", "-o", path).strip() == str(path)
    text = path.read_text(encoding="utf-8")
    assert len(text) < 3_000_000
    assert "QEMU" in text
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", text)
    # One script runs, the page's own, which its policy names by its content.
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in text
    others = re.findall(r"<script (.*?)>", text)
    assert all(other.startswith('type="application/gzip"') for other in others)


def test_a_second_run_expects_what_the_first_took(lab, measured):
    del measured
    planned = lab("plan", "campaigns/both.yaml")
    assert "5 cases, 15 launches" in planned
    assert "guessed" not in planned


def test_a_native_runner_measures_without_python(lab):
    program = lab.root / "edge-runner"
    lab("runners", "build", "onnxruntime", "--abi", "x86_64-linux", "-o", program)
    environment = environments.python("onnxruntime", print).parent.parent
    (library,) = environment.glob("lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.*")
    what = ("--engine", "onnxruntime", "--abi", "x86_64-linux", "--lib", library)
    lab("runners", "add", "edge-runner", program, *what, "--name", "native")
    path = _with_engine(lab, "native", "{runner: native}")
    lab("run", path)
    run = lab.show()
    assert [case["state"] for case in run["cases"]] == ["measured"]
    for launch in run["launches"]:
        assert launch["outputs"]["passed"]
        assert launch["runner"].startswith("native ")
        assert launch["exit"]["reason"] == "exited"


def _interrupted(lab, how):
    # Launches of a second: all of them shall not be over before the signal arrives.
    long = "min_samples: 5, min_seconds: 1, max_samples: 100000"
    content = HERE.replace("min_samples: 5, min_seconds: 0", long)
    path = lab.campaign(content, f"interrupted-{how}")
    process = lab.start("run", path)
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("ok ") and sum(said.startswith("ok ") for said in seen) == 2:
            process.send_signal(how)
            break
    process.communicate()
    return path, process.returncode


def test_an_interrupted_run_goes_on_where_it_was(lab):
    path, code = _interrupted(lab, signal.SIGINT)
    assert code == 130
    before = lab.show()
    assert before["finished"] is None
    assert 2 <= len(before["launches"]) < 6
    lab("run", path, "--resume")
    after = lab.show()
    assert after["id"] == before["id"]
    assert after["launches"][: len(before["launches"])] == before["launches"]
    assert sorted(launch["slot"] for launch in after["launches"]) == list(range(6))


def test_a_killed_run_loses_and_doubles_nothing(lab):
    _, code = _interrupted(lab, signal.SIGKILL)
    assert code == -signal.SIGKILL
    before = lab.show()
    lab("run", "--resume", before["id"])
    after = lab.show()
    assert after["launches"][: len(before["launches"])] == before["launches"]
    assert sorted(launch["slot"] for launch in after["launches"]) == list(range(6))


def _with_engine(lab, name, engine):
    device = lab.root / "devices" / f"{name}.yaml"
    device.write_text(f"transport: local\nabi: x86_64-linux\nengines: {{onnxruntime: {engine}}}\n")
    content = HERE.replace("local", name).replace("launches: 6", "launches: 3")
    return lab.campaign(content, name)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("{environment: paddle}", "EngineMissing: "),
        ("{python: /bin/nothing}", "/bin/nothing"),
    ],
)
def test_an_engine_that_the_device_lacks(lab, engine, said):
    path = _with_engine(lab, "bare", engine)
    lab("run", path, code=3)
    run = lab.show()
    (case,) = run["cases"]
    assert said in case["reason"]
    assert len(run["launches"]) <= 2  # the others would fail likewise


def test_a_board_that_is_not_running_is_left_out_and_the_others_go_on(lab):
    device = lab.root / "devices" / "qemu-arm64.yaml"
    recipe = lab.root / "devices" / "boards" / "qemu-arm64.yaml"
    recipe.with_stem("idle").write_text(recipe.read_text(encoding="utf-8"), encoding="utf-8")
    device.with_stem("idle").write_text(
        device.read_text(encoding="utf-8").replace("board: qemu-arm64", "board: idle"),
        encoding="utf-8",
    )
    path = lab.campaign(
        HERE.replace("[local]", "[local, idle]").replace("launches: 6", "launches: 1"), "idle"
    )
    process = lab.start("run", path)
    _, err = process.communicate()
    assert process.returncode == 3
    assert "harness devices up idle" in err
    assert [case["state"] for case in lab.show()["cases"]] == ["measured", "not measured"]
