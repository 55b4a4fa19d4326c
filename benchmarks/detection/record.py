"""Record launches of real sessions, for benchmarks/detection/recorded.py. Takes a quiet machine.

    python -m benchmarks.detection.record campaigns/demo.yaml --sessions 3 --launches 34 -o DIR

Each session boots the emulated boards that the campaign names, measures every case so many times in
the harness's own random blocks, and ends them. A session of this machine is no boot of it, and is
said not to be one. Nothing is tried again. A record says how busy the machine was; one of a busy
machine is not to be published, and is refused unless --busy is given.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parent.parent.parent
MOST_LOAD = 0.3  # of processors
FORMAT = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--launches", type=int, default=34, help="of a case in a session")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--busy", action="store_true", help="record on a busy machine, to try this")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder to be made")
    wanted = parser.parse_args()
    busy = os.getloadavg()[0] / (os.cpu_count() or 1) > MOST_LOAD
    if busy and not wanted.busy:
        sys.exit("this machine is busy: its figures would say nothing (--busy to try all the same)")
    wanted.output.mkdir(parents=True)
    lab = _workspace(wanted)
    options = [word for pattern in wanted.only for word in ("--only", pattern)]
    planned = _json(lab, "plan", "campaigns/record.yaml", *options)["cases"]
    devices = {row["device"] for row in planned}
    boards = [name for name in sorted(devices) if name.startswith("qemu-")]
    for session in range(wanted.sessions):
        load = os.getloadavg()[0]
        try:
            for board in boards:
                _harness(lab, "devices", "up", board)
            measure = ("run", "campaigns/record.yaml", "--wait", "1h", *options)
            status = _harness(lab, *measure, check=False)
        finally:
            for board in boards:
                _harness(lab, "devices", "down", board, check=False)
        run = _json(lab, "results", "show")
        (wanted.output / f"session-{session}.json").write_text(
            json.dumps(
                {
                    "format": FORMAT,
                    "session": session,
                    "booted": boards,
                    "busy": busy,
                    "load": [load, os.getloadavg()[0]],
                    "status": status,
                    "run": run["id"],
                    "cases": [_case(run, case) for case in run["cases"]],
                }
            ),
            encoding="utf-8",
        )
    shutil.rmtree(lab)


def _case(run: dict, case: dict) -> dict:
    """Return what is kept of a case: every launch that measures, also one that failed."""
    launches = [
        {
            "slot": launch["slot"],
            "position": launch["position"],
            "status": launch["status"],
            "figure_ns": launch["figure_ns"],
            "samples_ns": launch["samples_ns"][:200],
        }
        for launch in run["launches"]
        if launch["case_id"] == case["id"] and launch["role"] == "measure"
    ]
    return {"case": case["case"], "state": case["state"], "launches": launches}


def _workspace(wanted: argparse.Namespace) -> Path:
    lab = wanted.output / "workspace"
    lab.mkdir()
    for folder in ("devices", "models"):
        shutil.copytree(REPOSITORY / folder, lab / folder)
    (lab / "campaigns").mkdir()
    yaml = YAML(typ="rt")
    campaign = yaml.load(wanted.campaign)
    campaign["launches"] = wanted.launches
    # Nothing is tried again: what fails or is invalid stays that.
    campaign["protocol"] = {**campaign.get("protocol", {}), "redo_budget": 0, "memory_launches": 0}
    with (lab / "campaigns" / "record.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(campaign, file)
    return lab


def _harness(lab: Path, *arguments: str, check: bool = True) -> int:
    command = [sys.executable, "-m", "harness", "--workspace", str(lab), *arguments]
    return subprocess.run(command, check=check, cwd=lab).returncode


def _json(lab: Path, *arguments: str) -> dict:
    command = [sys.executable, "-m", "harness", "--workspace", str(lab), *arguments, "--json"]
    done = subprocess.run(command, check=True, cwd=lab, capture_output=True, text=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
