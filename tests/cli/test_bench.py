"""``harness bench`` through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[1] / "data" / "onnx" / "small_conv.onnx"
LOCAL = """\
description: this machine
transport: local
abi: x86_64-linux
engines:
  onnxruntime: { environment: onnxruntime }
  calibration: {}
"""


@pytest.fixture
def lab(workspace):
    (workspace.devices / "local.yaml").write_text(LOCAL)
    return workspace


def test_a_file_that_is_missing_or_no_model_is_one_line(lab, cli, tmp_path):
    missing = cli("bench", tmp_path / "none.onnx")
    assert missing.code == 2
    assert "no such file" in missing.err
    text = tmp_path / "notes.txt"
    text.write_text("not a model")
    assert cli("bench", text).code == 2
    assert not list(lab.models.iterdir())


def test_an_engine_that_the_device_lacks(lab, cli):
    said = cli("bench", MODEL, "--engine", "ncnn")
    assert said.code == 2
    assert "local has no engine 'ncnn'" in said.err
    assert "add to devices/local.yaml: 'ncnn: { environment: ncnn }'" in said.err
    (lab.devices / "board.yaml").write_text(
        "transport: ssh\naddress: root@board\nabi: arm64-linux\nengines: { calibration: {} }\n"
    )
    said = cli("bench", MODEL, "--device", "board", "--engine", "ncnn")
    assert "harness devices provision board ncnn" in said.err


def test_an_engine_or_device_that_does_not_exist(lab, cli):
    assert "unknown engine 'onxruntime'" in cli("bench", MODEL, "--engine", "onxruntime").err
    said = cli("bench", MODEL, "--device", "board")
    assert (said.code, "board" in said.err) == (2, True)


def test_save_without_a_workspace_says_what_to_do(cli, monkeypatch, tmp_path):
    monkeypatch.delenv("EDGE_HARNESS_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    said = cli("bench", MODEL, "--save")
    assert said.code == 2
    assert "harness init" in said.err


@pytest.mark.e2e
def test_a_model_is_measured_without_yaml_and_kept_on_demand(lab, cli):
    page = lab.root / "small.html"
    said = cli("bench", MODEL, "--launches", 2, "--save", "--wait", "10m", "--report", page)
    assert said.code == 0, said.err
    assert "small_conv" in said.out
    assert "Measured: onnxruntime" in said.out
    assert "not measured: mnn: not set up: add to devices/local.yaml: 'mnn: {" in said.err
    assert "calibration" not in said.err
    assert "small_conv" in page.read_text()
    assert (lab.models / "small_conv.yaml").is_file()
    assert (lab.campaigns / "small_conv.yaml").is_file()
    shown = json.loads(cli("results", "show", "--json").out)
    assert [case["case"]["model"] for case in shown["cases"]] == ["small_conv"]
    again = cli("bench", MODEL, "--launches", 1, "--save")
    assert again.code == 2
    assert "--name" in again.err


@pytest.mark.e2e
def test_a_board_is_given_by_its_address(lab, cli, sshd, monkeypatch, tmp_path):
    """It is added at its first use, and found again at the next; engines come by provision."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").symlink_to(sshd.key)
    address = f"ssh://{sshd.address}"
    trust = cli("devices", "trust", address, "--yes")
    assert trust.code == 0, trust.err
    said = cli("bench", MODEL, "--device", address, "--engine", "mnn")
    assert said.code == 2
    assert "127.0.0.1 has no engine 'mnn'" in said.err
    assert "harness devices provision 127.0.0.1 mnn" in said.err
    assert f"wrote {lab.devices / '127.0.0.1.yaml'}" in said.err
    again = cli("bench", MODEL, "--device", address, "--engine", "mnn")
    assert "wrote" not in again.err
    assert [path.name for path in lab.devices.glob("127*")] == ["127.0.0.1.yaml"]
