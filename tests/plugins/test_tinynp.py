"""Plugins of another package: installed, listed, checked, measured, and shown in the report.

The example in ``tinynp/`` is what ``docs/plugins.md`` walks through.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import uv

PLACE = Path(__file__).parent
REPOSITORY = PLACE.parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that the example is installed into, as pip installs a package."""
    folder = tmp_path_factory.mktemp("plugins")
    source = shutil.copytree(PLACE / "tinynp", folder / "source")
    target = folder / "site"
    command = [uv.find_uv_bin(), "pip", "install", "--offline", "--no-deps"]
    command += ["--no-build-isolation", "--python", sys.executable, "--target", target, source]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.fixture
def harness(site, workspace):
    """The command line in a process that has the package."""

    def call(*arguments, code=0):
        path = os.pathsep.join([str(site), str(REPOSITORY)])
        said = subprocess.run(
            [sys.executable, "-m", "harness", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path},
            cwd=workspace.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == code, said.stdout + said.stderr
        return said.stdout + said.stderr if code else said.stdout

    return call


@pytest.fixture
def network(tmp_path):
    """A network of two layers with seeded weights."""
    return written(tmp_path / "net.tinyjson", (16, 32), (32, 4))


@pytest.fixture
def large(tmp_path):
    """One whose inferences take long enough to tell them from a look into a dictionary."""
    return written(tmp_path / "net.tinyjson", (16, 600), (600, 600), (600, 4))


def written(path, *sizes):
    seeded = random.Random(1)
    layers = [
        {
            "weights": [[seeded.uniform(-1, 1) for _ in range(outs)] for _ in range(ins)],
            "biases": [1.0] * outs,
        }
        for ins, outs in sizes
    ]
    path.write_text(json.dumps({"name": "x", "width": 16, "layers": layers}))
    return path


THROUGH = """\
transport: command
command: [env, -i, PATH=/usr/bin:/bin, sh, -c]
abi: x86_64-linux
engines:
  tinynp: {{ python: {python} }}
workdir: {folder}
"""

DEVICE = """\
transport: local
abi: x86_64-linux
class: x86-linux
engines:
  tinynp: {{ python: {python} }}
"""

CAMPAIGN = """\
matrix:
  - models: [net]
    devices: [here]
    engines: [tinynp]
    batches: [1, 4]
launches: 2
protocol:
  warmup: {min_samples: 2, min_seconds: 0, max_samples: 5}
  sampling: {min_samples: 5, min_seconds: 0, max_samples: 5}
"""


def test_it_is_listed_with_its_package(harness):
    found = json.loads(harness("plugins", "list", "--json"))
    for kind, name in (("engine", "tinynp"), ("transport", "command")):
        own = {"kind": kind, "name": name, "package": "edge-tinynp", "version": "0.3.0"}
        assert own in found["plugins"]
    assert found["unusable"] == []


def test_it_passes_the_conformance_kit(harness, network):
    harness("models", "add", network)
    said = json.loads(harness("plugins", "check", "tinynp", "--python", sys.executable, "--json"))
    assert [each for each in said["checks"] if not each["passed"]] == []
    assert {each["what"] for each in said["checks"]} >= {
        "a launch keeps the runner contract",
        "outputs are those of the reference",
        "a model's file that is none is an error",
        "one that is ended in the middle leaves whole events, and no result",
    }


BROKEN = {
    "outputs are those of the reference": ("value @ weights + biases", "value @ weights - biases"),
    "a launch keeps the runner contract": ("return [self.input]", "return ['no_such_input']"),
    "each inference is computed": (
        "self.run = self.infer",
        "self.result = None; self.run = lambda: self.infer() if self.result is None else None",
    ),
    "an input of one axis too many is an error": (
        'raise ValueError(f"the input is of shape {self.given.shape}")',
        "self.given = self.np.ones((1, len(self.layers[0][0])), 'float32')",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_kit_finds_what_is_wrong(site, harness, large, what):
    harness("models", "add", large)
    device = site / "edge_tinynp" / "device.py"
    whole = device.read_text()
    before, after = BROKEN[what]
    assert before in whole
    device.write_text(whole.replace(before, after))
    try:
        said = harness("plugins", "check", "tinynp", "--python", sys.executable, code=1)
    finally:
        device.write_text(whole)
    assert f"FAILED  {what}" in said


def _through(workspace, text=THROUGH):
    folder = workspace.root / "on-device"
    text = text.format(python=sys.executable, folder=folder)
    (workspace.devices / "here.yaml").write_text(text)


def test_its_transport_passes_the_conformance_kit(harness, workspace):
    _through(workspace)
    said = json.loads(harness("plugins", "check", "command", "--json"))
    assert [each for each in said["checks"] if not each["passed"]] == []
    assert (said["transport"], said["device"], len(said["checks"])) == ("command", "here", 15)


WRONG = {
    "status, output and errors come back": ("return process.returncode", "return 0"),
    "arguments arrive as they are": (
        "CallLine(argv)",
        'CallLine([each.replace("$", "") for each in argv])',
    ),
    "a time limit ends the call": ("raise CommandTimeoutError(", "raise RuntimeError("),
    "files go there and back": (
        "while chunk := source.read(_CHUNK)",
        "if chunk := source.read(_CHUNK)",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_kit_finds_what_is_wrong_with_a_transport(site, harness, workspace, what):
    _through(workspace)
    module = site / "edge_tinynp" / "command" / "__init__.py"
    whole = module.read_text()
    before, after = WRONG[what]
    assert before in whole
    module.write_text(whole.replace(before, after))
    try:
        said = harness("plugins", "check", "command", code=1)
    finally:
        module.write_text(whole)
    assert f"FAILED  {what}" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "command: field required"),
        ("command: []", "2: command: list should have at least 1 item"),
        ("command: [sh, -c]\naddress: x", "3: address: 'address' is for adb and ssh devices"),
    ],
)
def test_a_device_of_its_transport_is_checked(harness, workspace, line, said):
    (workspace.devices / "here.yaml").write_text(f"transport: command\n{line}\nabi: x86_64-linux\n")
    assert said in harness("devices", "list", code=2)


def test_editors_are_told_of_its_fields(harness):
    schema = json.loads(harness("schema", "device"))
    assert "command" in schema["properties"]["transport"]["enum"]
    (own,) = (each["then"] for each in schema["allOf"] if "command" in str(each["if"]))
    assert own["required"] == ["command"]
    assert own["properties"]["address"] is False
    assert own["properties"]["command"]["description"].startswith("The program and its arguments")


@pytest.mark.parametrize("device", [DEVICE, THROUGH])
def test_it_is_measured_and_shown(harness, network, workspace, device):
    harness("models", "add", network)
    _through(workspace, device)
    (workspace.campaigns / "tiny.yaml").write_text(CAMPAIGN)
    harness("run", workspace.campaigns / "tiny.yaml")
    cases = json.loads(harness("results", "show", "--json"))["cases"]
    assert len(cases) == 2
    rows = harness("export", "--level", "launch", "--format", "jsonl").splitlines()
    launches = [json.loads(row) for row in rows]
    assert len(launches) >= 4
    for launch in launches:
        assert (launch["engine"], launch["status"]) == ("tinynp", "ok"), launch
    harness("report", "-o", workspace.root / "report.html")
    page = (workspace.root / "report.html").read_text(encoding="utf-8")
    assert "tinynp" in page
    assert f"<dd>{device.split()[1]}</dd>" in page


def test_a_broken_neighbour_is_named_and_it_works_on(site, harness, network):
    broken = site / "broken_engine-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-engine\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text(
        "[edge_harness.engines]\nbad = no_such_module:PLUGIN\n"
        "[edge_harness.transports]\nbad = no_such_module:PLUGIN\n"
    )
    try:
        said = harness("plugins", "list", code=2)
        harness("models", "add", network)
    finally:
        shutil.rmtree(broken)
    assert "! engine bad of broken-engine: it does not import (ModuleNotFoundError" in said
    assert "! transport bad of broken-engine: it does not import (ModuleNotFoundError" in said
    assert "tinynp" in said
