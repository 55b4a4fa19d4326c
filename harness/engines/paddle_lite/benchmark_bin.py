"""Paddle Lite's own ``benchmark_bin``: its command line, and its output as the contract's events.

It exits with 0 where it was given wrong flags or shapes, and where it could not read its inputs;
it prints its flags as if they had taken effect. So a result is believed only if the exit status is
0, every line that should be there is there and whole, and the shapes are the model's.

The figures are a mean and the first two parts of a first load. Its memory figures are
``ru_maxrss``, in versions before 2.12 not even that: they are not taken over.
"""

from __future__ import annotations

import math
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.core.contract import (
    Done,
    Failure,
    First,
    Hello,
    Loaded,
    Mean,
    Outputs,
)
from harness.engines.base import Tool
from harness.engines.paddle_lite import reasons
from harness.runner.python import edge_runner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from harness.core.contract import Event, Job
    from harness.core.reason import Reason
    from harness.core.records import Case

__all__ = ["PROGRAM", "BenchmarkBin", "command", "inputs", "parse", "read_output", "translate"]

PROGRAM: Final = "benchmark_bin"
SCRIPT: Final = "benchmark_bin.sh"

MAX_BYTES_PER_VALUE: Final = 32
"""Of an output that it writes as text."""

OPTIONS: Final = frozenset({"context_properties"})
"""The options of a job that it has a flag for."""

_NS_PER_MS = 1e6
_ROUNDING_MS = 0.001
_SIGNAL_BASE = 128

_NUMBER = r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|inf)"
# Written with setw(12) and three decimals: a line that lost or gained a character does not fit.
_TIME = re.compile(r"(init |first|min  |max  |avg  ) = ([0-9]{1,8}\.[0-9]{3})( *)")
_TIME_WIDTH = 12
_CPU_USAGE = re.compile(r"cpu usage ratio: \d+\.\d%\n")
_SECTION = re.compile(r"^======= (.{1,40}) =======$", re.MULTILINE)
_HASH = re.compile(r"([0-9a-f]{64})  (output-\d{1,10}-\d{1,2}\.txt)")
# It says this on stderr and goes on: with inputs that it did not read, or without the NPU.
_IGNORED = re.compile(
    r"Open input image .* error|Find and ignore unsupport nnadapter device|"
    r"No avaliable device found for nnadapter|The device list for nnadapter is null"
)
FATAL: Final = re.compile(r"\[F +\d|Check failed|^\s*what\(\): ")
"""The line that Paddle Lite prints before it aborts; its SDKs are built without exceptions."""

_NOISE = re.compile(r"\[I |qemu: uncaught|\s*what\(\):|terminate called|\s*$")


class _NoResultError(Exception):
    """What it printed is no result: the message says why."""


class BenchmarkBin(Tool):
    """``benchmark_bin``, as the user brought it."""

    name = PROGRAM

    def lacks(self, case: Case, options: Mapping[str, str]) -> Reason | None:
        """See :meth:`Tool.lacks`."""
        if case.model_cache == "kept":
            return reasons.NO_MODEL_CACHE()
        unknown = options.keys() - OPTIONS
        return reasons.NO_OPTION(option=min(unknown)) if unknown else None

    def files(self, job: Job, check_file: Path | None, scratch: Path) -> dict[str, Path]:
        """See :meth:`Tool.files`: it reads all its inputs as text."""
        found = {SCRIPT: Path(__file__).with_name(SCRIPT)}
        for name, text in inputs(job, check_file).items():
            found[name] = scratch / name
            found[name].write_text(text, encoding="ascii")
        return found

    def command(self, job: Job, abi: str, outputs: int) -> list[str]:
        """See :meth:`Tool.command`."""
        return command(job, abi, outputs)

    def translate(
        self, log: str, status: int, job: Job, abi: str, reference: Sequence[NDArray[Any]]
    ) -> list[Event]:
        """See :meth:`Tool.translate`."""
        return translate(log, status, job, abi, reference)

    def size_limit(self, output: Outputs) -> int:
        """See :meth:`Tool.size_limit`; outputs are text."""
        return math.prod(output.shape) * MAX_BYTES_PER_VALUE

    def read_output(self, output: Outputs, content: bytes) -> NDArray[Any] | None:
        """See :meth:`Tool.read_output`."""
        return read_output(content, output.shape)


def command(job: Job, abi: str, outputs: int) -> list[str]:
    """Return the command of a launch, in the launch's folder.

    It counts inferences and knows no time: it makes ``warmup.min_samples`` untimed ones (one at
    least, or the first would be among the timed) and ``sampling.min_samples`` timed ones.

    Parameters
    ----------
    abi
        The device's.
    outputs
        How many the model has.
    """
    checks = [
        [str(seed), _names("input", seed, len(job.inputs)), _names("output", seed, outputs)]
        for seed in job.check_seeds
    ]
    bound = [] if job.affinity is None else ["taskset", f"{sum(1 << n for n in job.affinity):x}"]
    return [
        "sh",
        SCRIPT,
        *(word for check in checks for word in check),
        "--",
        *bound,
        f"./{PROGRAM}",
        *(f"--{name}={value}" for name, value in _flags(job, abi).items()),
    ]


def inputs(job: Job, check_file: Path | None = None) -> dict[str, str]:
    """Return the text files that a launch reads its inputs from, by name.

    Parameters
    ----------
    check_file
        With the inputs of the check seeds, where they are not made of these.
    """
    specs = [spec.model_dump() for spec in job.inputs]
    wanted = {"inputs": specs, "check_seeds": job.check_seeds}
    if check_file:
        wanted["check_files"] = [str(check_file)]
    checks = edge_runner.check_inputs(wanted)
    timed = _names("timed", job.seed, len(specs)).split(":")
    found = dict(zip(timed, edge_runner.make_inputs(wanted, job.seed).values(), strict=True))
    for seed, values in checks:
        found |= zip(_names("input", seed, len(specs)).split(":"), values.values(), strict=True)
    return {name: _as_text(values) for name, values in found.items()}


def _as_text(values: NDArray[Any]) -> str:
    # Nine digits give every float32 back as it was.
    words = (f"{v:.9g}" if isinstance(v, float) else str(v) for v in values.ravel().tolist())
    return " ".join(words) + "\n"


def _names(kind: str, seed: int, number: int) -> str:
    return ":".join(f"{kind}-{seed}-{index}.txt" for index in range(number))


def _flags(job: Job, abi: str) -> dict[str, str]:
    processor = "x86" if abi.startswith("x86_64") else "arm"
    kind, _, device = job.backend.partition(":")
    flags = {
        "optimized_model_file": job.files["model"],
        "input_shape": ":".join(",".join(map(str, spec.shape)) for spec in job.inputs),
        "input_data_path": _names("timed", job.seed, len(job.inputs)),
        "backend": f"nnadapter,{processor}" if kind == "npu" else processor,
        "threads": str(job.threads),
        "power_mode": "3",  # does not bind: the job's affinity does
        "warmup": str(max(1, job.warmup.min_samples)),
        "repeats": str(job.sampling.min_samples),
    }
    if kind == "npu":
        flags["nnadapter_device_names"] = device
    if properties := job.options.get("context_properties"):
        flags["nnadapter_context_properties"] = properties
    if any(spec.dtype != "float32" for spec in job.inputs):  # older versions lack the flag
        flags["input_data_type"] = ":".join(spec.dtype for spec in job.inputs)
    return flags


def translate(
    log: str, status: int, job: Job, abi: str, outputs: Sequence[NDArray[Any]]
) -> list[Event]:
    """Return the events of a launch that the device's script made.

    Parameters
    ----------
    log
        What the script printed; untrusted.
    status
        Its exit status; 128 + n where signal n ended it.
    outputs
        The model's reference outputs for one input, for their shapes and dtypes.

    Returns
    -------
    list
        Up to ``done``, or to ``error`` where there is no result. ``outputs`` events are for
        all of the job's check seeds or absent.
    """
    begin, _, rest = log.partition("=== begin\n")
    stderr, found, rest = rest.partition("=== stdout\n")
    stdout, *checks = re.split(r"^=== check ", rest, flags=re.MULTILINE)
    if begin or (status == 0 and not found):
        return [_failure("it printed more than is kept, or the device's script did not run")]
    events = parse(stdout, stderr, status, job, abi, [output.shape for output in outputs])
    if isinstance(events[-1], Failure):
        return events
    checked, reason = _outputs(checks, job, outputs)
    hello = events[0]
    if reason and isinstance(hello, Hello):
        build = {**hello.build, "outputs": f"not checked: {reason}"[:200]}
        events[0] = hello.model_copy(update={"build": build})
    return [*events[:-1], *checked, events[-1]]


def parse(
    stdout: str, stderr: str, status: int, job: Job, abi: str, shapes: Sequence[Sequence[int]]
) -> list[Event]:
    """Return the events of one process of ``benchmark_bin``, up to ``done`` or ``error``.

    Parameters
    ----------
    stdout, stderr
        What it printed; untrusted.
    status
        Its exit status; 128 + n where signal n ended it.
    shapes
        Of the model's outputs.
    """
    said = _last_words(stderr)
    if status > _SIGNAL_BASE:
        return [_failure(f"ended by {_signal_name(status - _SIGNAL_BASE)}{said}")]
    if status != 0:
        return [_failure(f"exited with {status}{said}")]
    if ignored := _IGNORED.search(stderr):
        return [_failure(f"it went on after: {ignored[0][:200]}")]
    try:
        return _result(stdout, _flags(job, abi), shapes)
    except _NoResultError as error:
        return [_failure(f"exited with 0, but {error}{said}")]


def _result(stdout: str, flags: Mapping[str, str], shapes: Sequence[Sequence[int]]) -> list[Event]:
    sections = _sections(_CPU_USAGE.sub("", stdout))
    model, runtime = sections["Model Info"], sections["Runtime Info"]
    for section, names in (
        (model, ("optimized_model_file", "input_data_path", "input_shape")),
        (runtime, ("threads", "power_mode", "warmup", "repeats")),
        (sections["Backend Info"], ("backend",)),
    ):
        for name in names:
            if (value := _value(section, name)) != flags[name]:
                raise _NoResultError(f"its {name} is {value[:80]!r} instead of {flags[name]!r}")
    _check_outputs(model, shapes)
    version = _value(runtime, "benchmark_bin version")
    times = _times(sections["Perf Info"])
    build = {name: flags[name] for name in ("backend", "power_mode", "warmup", "repeats")}
    return [
        Hello(
            protocol=1,  # the first: its events have no times
            runner=PROGRAM,
            runner_version=version[:100],
            engine="paddle-lite",
            engine_version=version[:100],
            build=build,
        ),
        Loaded(page_cache="unknown", init_ms=times["init"]),
        First(ms=times["first"]),
        Mean(ns=times["avg"] * _NS_PER_MS),
        Done(),
    ]


def _sections(stdout: str) -> dict[str, str]:
    _, *parts = _SECTION.split(stdout)
    names = parts[::2]
    for name in ("Model Info", "Runtime Info", "Backend Info", "Perf Info"):
        if names.count(name) != 1:
            raise _NoResultError(f"it printed {names.count(name)} sections '{name}'")
    return dict(zip(names, parts[1::2], strict=True))


def _value(section: str, name: str) -> str:
    found = re.findall(rf"^{re.escape(name)}: ?(.*)$", section, re.MULTILINE)
    if len(found) != 1:
        raise _NoResultError(f"it printed {len(found)} lines '{name}'")
    return str(found[0])


def _check_outputs(section: str, shapes: Sequence[Sequence[int]]) -> None:
    if (number := _value(section, "output tensor num")) != str(len(shapes)):
        raise _NoResultError(f"it has {number[:20]} outputs instead of {len(shapes)}")
    printed = re.findall(r"^output shape\(NCHW\): ([\d ]*)$", section, re.MULTILINE)
    expected = [" ".join(map(str, shape)) for shape in shapes]
    if [" ".join(shape.split()) for shape in printed] != expected:
        got = "; ".join(printed)[:80]
        raise _NoResultError(f"its output shapes are ({got}) instead of ({'; '.join(expected)})")
    for index in range(len(shapes)):
        for what in ("mean value", "standard deviation"):
            value = _value(section, f"output tensor {index} {what}")
            if not re.fullmatch(_NUMBER, value) or not math.isfinite(float(value)):
                raise _NoResultError(f"the {what} of output {index} is {value[:20]!r}")


def _times(section: str) -> dict[str, float]:
    lines = section.removeprefix("\n").split("\n")
    if lines[0] != "Time(unit: ms):":
        raise _NoResultError("its times are not in ms")
    times = {}
    for name, line in zip(("init", "first", "min", "max", "avg"), lines[1:], strict=False):
        match = _TIME.fullmatch(line)
        if match is None or match[1].strip() != name or len(match[2] + match[3]) != _TIME_WIDTH:
            raise _NoResultError(f"its line '{name}' is not whole")
        times[name] = float(match[2])
    # The empty line after the times: what follows is cut off or was never there.
    if len(lines) < len(times) + 3 or len(times) != 5 or lines[6]:  # noqa: PLR2004 - five times
        raise _NoResultError("its times are cut off")
    low, high = times["min"] - _ROUNDING_MS, times["max"] + _ROUNDING_MS
    if times["avg"] <= 0 or not low <= times["avg"] <= high:
        raise _NoResultError("its mean is not between its extremes, or 0")
    return times


def _outputs(
    checks: Sequence[str], job: Job, outputs: Sequence[NDArray[Any]]
) -> tuple[list[Outputs], str]:
    """Return the outputs of all check seeds; or none, and the reason."""
    if any(output.dtype != "float32" for output in outputs):
        return [], f"{PROGRAM} takes every output for float32"
    found = []
    if len(checks) != len(job.check_seeds):
        return [], "the runs for the outputs were not made"
    for seed, check in zip(job.check_seeds, checks, strict=True):
        head, *lines = check.splitlines() or [""]
        names = _names("output", seed, len(outputs)).split(":")
        hashes = {match[2]: match[1] for line in lines if (match := _HASH.fullmatch(line))}
        if head != f"{seed} 0" or set(hashes) != set(names):
            return [], f"no outputs for seed {seed}{_last_words(check)}"
        found += [
            Outputs(
                seed=seed,
                index=index,
                name="",
                dtype="float32",
                shape=output.shape,
                sha256=hashes[name],
                file=name,
            )
            for index, (name, output) in enumerate(zip(names, outputs, strict=True))
        ]
    return found, ""


def read_output(content: bytes, shape: Sequence[int]) -> NDArray[np.float32] | None:
    """Return an output that was written as text, or none where it is no tensor of that shape."""
    import numpy as np  # noqa: PLC0415 - this module is a part of the engine's declaration

    words = re.split(rb"[\s,]+", content.strip())
    if len(words) != math.prod(shape):
        return None
    try:
        return np.array([float(word) for word in words], np.float32).reshape(tuple(shape))
    except ValueError:
        return None


def _failure(message: str) -> Failure:
    return Failure(kind="EngineFailed", message=message)


def _last_words(stderr: str) -> str:
    lines = stderr.splitlines()
    telling = [line for line in lines if FATAL.search(line)]
    telling = telling or [line for line in lines if not _NOISE.match(line)]
    return f": {telling[-1][:300]}" if telling else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
