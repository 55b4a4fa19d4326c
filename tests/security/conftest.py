"""A workspace whose one device is this machine or a hostile one; no toolchain is needed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest

from harness.core.hashing import sha256_of
from harness.core.records import ArtifactRecord
from harness.models.artifacts import Artifact

REFERENCE = {seed: [np.array([[seed, seed**2]], "float32")] for seed in (1, 2, 3)}
MODEL = """\
title: t
licence: l
source: {kind: paddle.vision, function: f}
inputs: [{name: x, shape: [1, 2]}]
"""

# A double of a Python interpreter that is asked to run our runner: it keeps the contract, infers
# nothing, and prints all that a runner could tell of its surroundings.
RUNNER = """\
#!{python}
import glob, hashlib, json, os, struct, sys
if sys.argv[2:3] != ["edge_runner.py"]:
    sys.exit("probed")
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        # A line each: arguments with line breaks shall not look like variables.
        words = open(path, "rb").read().decode(errors="replace").replace("\\0", " ").split()
        print("process:", *words)
    except OSError:
        pass
# Last: of a long log the end is kept.
for name, value in os.environ.items():
    print(name, "=", value)
job = json.load(open("job.json"))
events = open("events.jsonl", "a")
def emit(event, **more):
    events.write(json.dumps({{"event": event, **more}}) + "\\n")
    events.flush()
emit("hello", protocol=1, runner="double", runner_version="1", engine=job["engine"],
     engine_version="0", pid=os.getpid(), process_ms=1, import_ms=1)
emit("loaded", read_ms=1, page_cache="cold", init_ms=1)
emit("first", ms=1)
emit("warmup", ns=[1000], reason="steady")
emit("samples", ns=[1000000, 1000001])
for seed in job["check_seeds"]:
    content = struct.pack("<2f", seed, seed**2)
    open("output-%d.bin" % seed, "wb").write(content)
    emit("outputs", seed=seed, index=0, name="y", dtype="float32", shape=[1, 2],
         sha256=hashlib.sha256(content).hexdigest(), file="output-%d.bin" % seed)
emit("done")
"""


@dataclass
class Lab:
    """A workspace with a campaign of one launch, and what it measures.

    Attributes
    ----------
    work
        The device's work folder.
    """

    workspace: object
    work: object
    interpreter: object
    monkeypatch: object

    def device(self, way="transport: local", more=""):
        """Write the device's file, ``board``."""
        (self.workspace.devices / "board.yaml").write_text(
            f"{way}\nabi: x86_64-linux\nworkdir: {self.work}\n"
            f"engines: {{onnxruntime: {{python: {self.interpreter}{more}}}}}\n"
        )

    def transport(self, transport):
        """Have commands talk to a double of a device."""
        self.device()
        for module in ("harness.campaign.reach", "harness.lab.connect"):
            self.monkeypatch.setattr(f"{module}.connect", lambda *_: transport)

    @property
    def campaign(self):
        return self.workspace.campaigns / "c.yaml"

    def everything(self):
        """Return the content of each file that the harness wrote."""
        folders = (self.workspace.state, self.workspace.reports, self.work)
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in files}


@pytest.fixture
def lab(workspace, monkeypatch, tmp_path, supervisor):
    (workspace.models / "m.yaml").write_text(MODEL)
    interpreter = tmp_path / "python"
    interpreter.write_text(RUNNER.format(python=sys.executable))
    interpreter.chmod(0o755)
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    model = artifact / "model.onnx"
    model.write_bytes(b"abc")
    record = ArtifactRecord(
        id="a" * 64, format="onnx", target="any", files={model.name: sha256_of(model)}, size_bytes=3
    )
    built = Artifact(record=record, folder=artifact, roles={"model": model.name})
    monkeypatch.setattr("harness.models.build.build", lambda *_, **__: built)
    monkeypatch.setattr("harness.models.build.reference", lambda *_, **__: REFERENCE)
    monkeypatch.setattr("harness.models.operations.count", lambda *_, **__: None)
    monkeypatch.setattr("harness.campaign.reach.supervisor", lambda *_: supervisor)
    monkeypatch.setattr("harness.campaign.deploy.supervisor", lambda *_: supervisor)
    monkeypatch.setattr("harness.native.supervisor.supervisor", lambda *_: supervisor)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Lab(workspace, tmp_path / "work", interpreter, monkeypatch)
    made.campaign.write_text(
        "matrix: [{models: [m], devices: [board], engines: [onnxruntime]}]\nlaunches: 1\n"
        "protocol: {time_limit: 20, memory_launches: 0, redo_budget: 0,\n"
        "  sampling: {min_samples: 2, min_seconds: 0}}\n"  # as many as the double claims
    )
    return made


class Elements(HTMLParser):
    """The elements of a page, and what it shows as text."""

    def __init__(self, page):
        super().__init__()
        self.names, self.attributes, self.text = set(), set(), ""
        self.scripts = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag == "script":
            self.scripts.append(dict(attrs).get("type", "text/javascript"))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def elements():
    return Elements
