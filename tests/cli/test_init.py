"""``harness init`` and ``harness schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from harness.cli.runners import ABIS
from harness.cli.schema import schema
from harness.core.errors import ExitCode
from harness.lab.emulated.recipe import load_board
from harness.lab.inventory import ABI, load_device, load_devices
from harness.models.manifest import load_models
from harness.scaffold.schemas import KINDS, schema_text
from harness.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]


def test_a_new_workspace_is_a_sound_one(cli, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "lab"
    said = cli("init", folder)
    assert said.code == ExitCode.FINE
    assert "harness run campaigns/example.yaml" in said.err
    workspace = Workspace.find(folder)
    assert workspace.root == folder
    for device in load_devices(workspace).values():
        if device.emulated:
            load_board(workspace, device.spec.board)
    here = set(load_device(workspace, "local").spec.engines)
    assert here >= {"onnxruntime", "openvino", "litert", "calibration"}
    assert "rknn" not in here  # it runs on Rockchip's boards alone
    # Links in the template, of which a wheel has the content.
    for path in workspace.boards.iterdir():
        assert path.read_text() == (REPOSITORY / "devices" / "boards" / path.name).read_text()
    assert load_models(workspace)
    monkeypatch.chdir(folder)
    for campaign in workspace.campaigns.iterdir():
        assert cli("plan", campaign).code == ExitCode.FINE
    for path in folder.glob("*/*.yaml"):
        hint = path.read_text(encoding="utf-8").splitlines()[0]
        named = path.parent / hint.removeprefix("# yaml-language-server: $schema=")
        assert json.loads(named.read_text(encoding="utf-8"))["type"] == "object"


def test_init_refuses_a_folder_with_something_in_it(cli, tmp_path):
    (tmp_path / ".git").mkdir()
    assert cli("init", tmp_path).code == ExitCode.FINE
    before = sorted(tmp_path.rglob("*"))
    said = cli("init", tmp_path)
    assert said.code == ExitCode.SPECIFICATION
    assert "not empty" in said.err
    assert sorted(tmp_path.rglob("*")) == before


def test_init_where_a_file_is(cli, tmp_path):
    (tmp_path / "file").write_text("")
    said = cli("init", tmp_path / "file")
    assert said.code == ExitCode.SPECIFICATION
    assert "exists" in said.err


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_schemas_are_current(cli, kind):
    published = (REPOSITORY / "schemas" / f"{kind}.json").read_text(encoding="utf-8")
    assert published == schema_text(kind), f"harness schema {kind} > schemas/{kind}.json"
    assert cli("schema", kind).out == published


def test_schemas_describe_keys_for_editors():
    workdir = json.loads(schema_text("device"))["properties"]["workdir"]
    assert workdir["description"].startswith("A folder on the device for pushed files")


def test_what_the_command_line_offers_is_what_there_is():
    assert list(schema.params[0].type.choices) == sorted(KINDS)
    assert list(get_args(ABI)) == ABIS
