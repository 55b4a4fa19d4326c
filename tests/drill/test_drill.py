"""The drill itself: that it runs, and that it can fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from drill.__main__ import main
from harness.core.errors import LabError
from harness.lab.emulated import image

REPOSITORY = Path(__file__).parent.parent.parent

# Campaigns with a results store that is broken: MUTATION changes what it does with a launch.
MUTANT = """
import json, sys, tempfile
from dataclasses import asdict
from pathlib import Path
from drill.device import own_mounts
from drill.kinds import KINDS
from drill.lab import drill_cell
from harness.results.database import Database

add, seen = Database.add, []

def mutant(store, run_id, launch):
    seen.extend([launch] * (launch.status == "ok"))
    if launch.status == "ok" and len(seen) == 3:
        {mutation}
    else:
        add(store, run_id, launch)

Database.add = mutant
folder = Path(sys.argv[1])
own_mounts(folder)
(kind,) = [kind for kind in KINDS if kind.name == "runner killed"]
result = drill_cell(kind, "samples", 1, "1", folder / "drill")
print(json.dumps(asdict(result.audit)))
"""

# How the store is wrong about the third result, and what the oracle has to call it.
MUTATIONS = {
    "drops it": ("pass", "lost"),
    "takes it for another's": (
        "add(store, run_id, launch.model_copy(update={'samples_ns': seen[0].samples_ns}))",
        "doubled",
    ),
}


def python(*words):
    return subprocess.run(
        [sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def needs_mounts(said):
    if "Operation not permitted" in said.stderr:
        pytest.skip("the kernel lets this user make no mount namespace")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_results_store_that_is_broken_is_found(tmp_path, mutation):
    change, finds = MUTATIONS[mutation]
    (tmp_path / "drill").mkdir()
    said = python("-c", MUTANT.format(mutation=change), str(tmp_path))
    needs_mounts(said)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout.splitlines()[-1])[finds]


def test_a_short_drill():
    said = python("-m", "drill", "--short", "--jobs", "2")
    needs_mounts(said)
    assert said.returncode == 0, said.stdout + said.stderr
    first, *_, last = said.stdout.splitlines()
    assert re.fullmatch(r"seed (\d+): the same faults come again with: make drill SEED=\1", first)
    assert re.fullmatch(r"kinds=5 injections=\d{2,} lost=0 doubled=0 misattributed=0", last)


def test_a_board_without_an_image_is_named_and_nothing_is_claimed_of_it(monkeypatch, tmp_path):
    def build(*_):
        raise LabError("package adbd: the mirror has it no more")

    monkeypatch.setattr(image, "build", build)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(main, ["--kinds", "adb server killed"])
    assert said.exit_code == 1, "nothing was drilled"
    *_, left_out, last = said.stdout.splitlines()
    assert left_out == (
        "NOT DRILLED: qemu-armv7-adb, 7 kinds × stages: package adbd: the mirror has it no more"
    )
    assert last == "kinds=0 injections=0 lost=0 doubled=0 misattributed=0"
