"""Record launches of real sessions, for docs/detection.md. Takes a quiet machine.

    python -m benchmarks.detection.record

In the first session each campaign (by default the demo's, and ``calibration.yaml`` beside this
file) is run and made a baseline; in each later one it is run again
and judged against that baseline by ``harness check``, which decides suspicions on fresh launches:
nothing has changed, so that every alarm is a false one. A session boots the emulated boards that
the campaigns name. Of this machine it is no boot: new processes after the page cache was dropped
(where root allows) and an idle pause, and it is said to be that. Nothing is tried again. What is
not decided in the time given stays undecided. How busy the machine was in each pause is
recorded; one that is busy at first is refused unless --busy is given.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
from ruamel.yaml import YAML

from harness.analysis.gate import FRESH

REPOSITORY = Path(__file__).parent.parent.parent
RECORDING = Path(__file__).parent / "recording"
# The short one first: deciding the other may take all the time that there is.
CAMPAIGNS = [Path(__file__).with_name("calibration.yaml"), REPOSITORY / "campaigns" / "demo.yaml"]
FORMAT = 2
BUSY_PERCENT = 15  # of all processors, while nothing of ours runs
MOST_SAMPLES = 30  # of a launch that are kept, as many as launches made up have


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaigns", type=Path, nargs="*", default=CAMPAIGNS)
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--launches", type=int, default=5, help="of a case in a run")
    parser.add_argument("--blocks", type=int, default=FRESH, help="fresh launches of either side")
    parser.add_argument("--minutes", type=float, default=40, help="after which nothing is decided")
    parser.add_argument("--pause", type=float, default=20, help="idle seconds before a session")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--busy", action="store_true", help="record on a busy machine, to try this")
    parser.add_argument("-o", "--output", type=Path, default=RECORDING, help="a folder to be made")
    wanted = parser.parse_args()
    if wanted.output.exists():
        sys.exit(f"{wanted.output} exists: take it away, or name another folder with -o")
    # Beside it first: what is interrupted is no recording.
    part = wanted.output.with_name(f".{wanted.output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="edge-harness-") as folder:
        lab = _workspace(Path(folder), wanted)
        end = time.monotonic() + 60 * wanted.minutes
        for number in range(wanted.sessions):
            share = (end - time.monotonic()) / (wanted.sessions - number)
            session = _session(lab, wanted, number, time.monotonic() + share)
            path = part / f"session-{number}.json"
            path.write_text(json.dumps(session, separators=(",", ":")) + "\n", encoding="utf-8")
    part.rename(wanted.output)
    print(f"recorded: {wanted.output}")


def _session(lab: Path, wanted: argparse.Namespace, number: int, end: float) -> dict:
    """Boot, measure every campaign, judge it, end the boards; return what is kept of it."""
    started = datetime.now(UTC)
    print(f"session {number + 1} of {wanted.sessions}, {started:%H:%M:%S} UTC", flush=True)
    dropped = _drop_caches()
    others = psutil.cpu_percent(interval=wanted.pause)
    if others > BUSY_PERCENT and not wanted.busy and number == 0:  # later, it is recorded
        sys.exit(f"others use {others:g} % of this machine: it says nothing (--busy to try)")
    names = [path.stem for path in wanted.campaigns]
    only = [word for pattern in wanted.only for word in ("--only", pattern)]
    plans = [_json(lab, "plan", _path(name), *only)["cases"] for name in names]
    devices = sorted({row["device"] for plan in plans for row in plan})
    boards = [name for name in devices if name.startswith("qemu-")]
    try:
        for board in boards:
            _harness(lab, "devices", "up", board)
        kept = []
        for name in names:
            status = _harness(lab, "run", _path(name), "--wait", "1h", *only)
            kept.append({"campaign": name, "status": status, **_json(lab, "results", "show")})
        runs = [_run(run) for run in kept]
        for run in runs:
            baseline = f"first-{run['campaign']}"
            if number == 0:
                _harness(lab, "baseline", "set", baseline, run["run"], "--no-files")
            else:
                run["gate"] = _gate(lab, baseline, run["run"], wanted.blocks, end)
    finally:
        for board in boards:
            _harness(lab, "devices", "down", board)
    return {
        "format": FORMAT,
        "session": number,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "harness_version": kept[0]["harness_version"],
        "others_percent": others,
        "busy": others > BUSY_PERCENT,
        "caches_dropped": dropped,
        "devices": {each["name"]: _device(each) for run in kept for each in run["devices"]},
        "runs": runs,
    }


def _gate(lab: Path, baseline: str, run: str, blocks: int, end: float) -> dict:
    """Judge a run; where that takes too long, by its stored launches alone."""
    arguments = ["--baseline", baseline, "--run", run, "--blocks", str(blocks), "--json"]
    done = _until(_command(lab, "check", *arguments), lab, end)
    decided = done is not None
    if done is None:
        stored = (f"baseline:{baseline}", f"run:{run}")
        done = subprocess.run(
            _command(lab, "compare", *stored, "--json"),
            cwd=lab, stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    found = json.loads(done.stdout)
    fresh = {each["confirmed_by"] for each in found["comparisons"]} - {None}
    shown = [_json(lab, "results", "show", each) for each in sorted(fresh)]
    return {
        "status": done.returncode,
        "decided": decided,
        "alarms_expected": found["alarms_expected"],
        "comparisons": found["comparisons"],
        "fresh": [case for each in shown for case in _cases(each, samples=0)],
    }


def _until(command: list[str], lab: Path, end: float) -> subprocess.CompletedProcess | None:
    """Return what a command said, or nothing where it had to be interrupted."""
    with subprocess.Popen(command, cwd=lab, stdout=subprocess.PIPE, text=True) as process:
        try:
            said, _ = process.communicate(timeout=max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            print("time is up: what is not decided stays so", flush=True)
            process.send_signal(signal.SIGINT)
            process.communicate()
            return None
    return subprocess.CompletedProcess(command, process.returncode, said)


def _run(run: dict) -> dict:
    return {
        "campaign": run["campaign"],
        "status": run["status"],
        "run": run["id"],
        "cases": _cases(run, samples=MOST_SAMPLES),
        "gate": None,
    }


def _cases(run: dict, samples: int) -> list[dict]:
    """Return what is kept of each case: every launch that measures, also one that failed."""
    return [
        {
            "case": case["case"],
            "state": case["state"],
            "launches": [
                {
                    "slot": launch["slot"],
                    "position": launch["position"],
                    "status": launch["status"],
                    "reason": launch["reason"],
                    "figure_ns": launch["figure_ns"],
                    "samples_ns": evenly(launch["samples_ns"], samples),
                }
                for launch in run["launches"]
                if launch["case_id"] == case["id"] and launch["role"] == "measure"
            ],
        }
        for case in run["cases"]
    ]


def evenly(values: list[int], most: int) -> list[int]:
    """Return so many of a launch's samples, evenly spread over it."""
    if len(values) <= most:
        return values
    return [values[index] for index in np.linspace(0, len(values) - 1, most).round().astype(int)]


def _device(record: dict) -> dict:
    facts = record["facts"]
    known = {key: facts.get(key) for key in ("boot_id", "kernel", "soc", "architecture")}
    return {"emulated": record["emulated"], **known}


def _drop_caches() -> bool:
    """Drop this machine's page cache, where root allows."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")
    except OSError:
        return False
    return True


def _workspace(lab: Path, wanted: argparse.Namespace) -> Path:
    for folder in ("devices", "models"):
        shutil.copytree(REPOSITORY / folder, lab / folder)
    (lab / "campaigns").mkdir()
    yaml = YAML(typ="rt")
    for path in wanted.campaigns:
        campaign = yaml.load(path)
        campaign["launches"] = wanted.launches
        # Nothing is tried again: what fails or is invalid stays that.
        protocol = {"redo_budget": 0, "memory_launches": 0}
        campaign["protocol"] = {**campaign.get("protocol", {}), **protocol}
        with (lab / _path(path.stem)).open("w", encoding="utf-8") as file:
            yaml.dump(campaign, file)
    return lab


def _path(name: str) -> str:
    return f"campaigns/{name}.yaml"


def _command(lab: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness", "--workspace", str(lab), *arguments]


def _harness(lab: Path, *arguments: str) -> int:
    """Run a command that may end as it likes, but for mistakes of ours."""
    status = subprocess.run(_command(lab, *arguments), check=False, cwd=lab).returncode
    if status in (2, 130):
        sys.exit(status)
    return status


def _json(lab: Path, *arguments: str) -> dict:
    command = _command(lab, *arguments, "--json")
    done = subprocess.run(command, check=True, cwd=lab, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
