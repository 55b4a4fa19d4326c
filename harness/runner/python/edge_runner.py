"""The Python runner: loads one artifact in one engine, measures it, and writes what it saw.

``python edge_runner.py job.json``, in the launch's folder, appends one JSON object a line to
``events.jsonl``. It exits with 0 after ``done`` and with 1 after ``error``; whoever ends it from
outside finds the events so far. ``docs/runner-contract.md`` describes both files.

It needs Python 3.8 or newer, Linux, and the engine with its numpy. It knows no engine: the file
``edge_engine.py`` beside it does, whose ``ENGINE`` is a subclass of :class:`Engine`. Modules that
an engine imports too (ctypes among them) are imported where they are used, so that the runner does
not pay for them before the import of the engine is timed.
"""
# ruff: noqa: ANN401 - engines have no types
# ruff: noqa: E402, PLC0415 - see above

from __future__ import annotations

import time

FIRST_LINE = time.perf_counter()

import gc
import json
import os
import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, BinaryIO

    from numpy.typing import NDArray

PROTOCOL = 2
JOB_PROTOCOLS = (1, PROTOCOL)  # of version 1 are jobs that need nothing newer
INPUT_SPEC_VERSION = 1
RUNNER_VERSION = "4"
SHORT_TEXT = 200
LONG_TEXT = 8000
MOST_OPERATORS = 5000
RESTARTED = "EDGE_RUNNER_RESTARTED"  # the variable that has the reason
DTYPES = ("float32", "float16", "float64", "int64", "int32", "int8", "uint8", "bool")
JOB_KEYS = (
    "protocol",
    "input_spec_version",
    "engine",
    "backend",
    "files",
    "inputs",
    "seed",
    "check_seeds",
    "threads",
    "affinity",
    "warmup",
    "sampling",
    "page_cache",
    "model_cache",
)


class LaunchError(Exception):
    """The launch cannot go on.

    Parameters
    ----------
    kind
        ``BadJob``, ``EngineMissing`` or ``EngineFailed``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@contextmanager
def engine_is(doing: str) -> Iterator[None]:
    """Blame the engine for what goes wrong inside."""
    try:
        yield
    except LaunchError:
        raise
    except Exception as error:
        raise LaunchError("EngineFailed", f"{doing}: {type(error).__name__}: {error}") from error


# --- engines ---


class Engine:
    """An inference engine; making one imports it.

    Attributes
    ----------
    name
        As jobs have it.
    roles
        The files that an artifact consists of.
    backends
        The compute units that it can run on.
    caching
        Those of them for which it keeps compiled models in the job's ``model_cache``.
    options
        The options that a job may set.
    releases_lock
        Whether ``run`` releases the interpreter's lock, so that other threads call meanwhile.
    run
        One inference on the inputs that are set; the only thing that is timed. There from
        ``bind`` on.
    """

    name: str
    roles: tuple[str, ...] = ("model",)
    backends: tuple[str, ...] = ("cpu",)
    caching: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    releases_lock = False
    run: Callable[[], object]

    def configure(self, job: dict[str, Any]) -> tuple[str | None, dict[str, str]]:
        """Take the settings from a job; return the engine's version and what it was set to.

        Where only the predictor knows the version, ``loaded`` has it.
        """
        raise NotImplementedError

    def load(self) -> list[str]:
        """Make the predictor from the artifact's files; return its inputs' names."""
        raise NotImplementedError

    def started(self) -> dict[str, float]:
        """Return ``process_ms`` and ``import_ms``, where the engine's process is not this one."""
        return {}

    def read(self, paths: Sequence[str]) -> int:
        """Read the artifact's files, which is timed; return how many bytes they have."""
        return read_through(paths)

    def loaded(self) -> dict[str, Any]:
        """Return what only the predictor knows.

        ``engine_version`` and ``build``; ``units``: compute unit to the number of operators that
        the engine assigned to it; ``simulated``: what stands in for the accelerator, a simulator
        or a software driver; ``read_ms`` and ``init_ms``, where the engine times them itself.
        """
        return {}

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Set all inputs."""
        raise NotImplementedError

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        """Return the outputs of the last inference; arrays may be the engine's own memory."""
        raise NotImplementedError

    def another(self) -> Engine | None:
        """Return the loaded predictor for one more caller, with inputs and outputs of its own.

        None where a predictor takes one caller at a time.
        """
        return None

    # What follows is for an engine in another process, whose own clock times it.

    def time_first(self) -> float:
        """Run the first inference; return its ms."""
        before = time.perf_counter()
        self.run()
        return (time.perf_counter() - before) * 1e3

    def time_warmup(self, policy: Mapping[str, Any]) -> tuple[list[int], str]:
        """Warm up as :func:`warm_up` does."""
        return warm_up(self.run, policy)

    def time_samples(
        self,
        limits: Mapping[str, Any],
        sustained: bool,  # noqa: FBT001 - as the job has it
    ) -> tuple[list[int], int, float]:
        """Sample as :func:`sample` does; return the CPU time in ms, too."""
        before = time.process_time()
        samples, inferences = sample(self.run, limits, sustained=sustained)
        return samples, inferences, (time.process_time() - before) * 1e3

    def peak_bytes(self) -> int:
        """Return the peak resident set."""
        return vmhwm_bytes()

    def close(self) -> None:
        """End what the engine started."""

    def profile(self, samples: Sequence[int]) -> Profile | None:
        """Return what the engine measured of its operators, where the job has ``profile``.

        Parameters
        ----------
        samples
            How long the last inferences took, in ns.
        """
        del samples
        return None


class Profile:
    """What an engine reports of its operators; what it does not report is None.

    Parameters
    ----------
    layers
        As the event ``layers`` has them.
    inferences
        How many their times are the mean of.
    whole_us
        How long one inference took in all, by the same measure.
    parts
        As ``placement`` has them, where they are not the layers.
    """

    def __init__(
        self,
        layers: Sequence[dict[str, Any]] = (),
        inferences: int | None = None,
        whole_us: float | None = None,
        parts: Sequence[dict[str, Any]] = (),
    ) -> None:
        keys = ("name", "op", "unit")
        self.parts = parts or [{key: layer[key] for key in keys} for layer in layers]
        self.layers = layers
        self.inferences = inferences
        self.whole_us = whole_us


def beside(name: str) -> Any:
    """Return a module that is beside this file, in the launch's folder.

    It finds this module as ``edge_runner``, also where this file is the program that runs, and
    other modules that lie here. Python itself would look where the folder's links lead.
    """
    folder = os.path.dirname(os.path.abspath(__file__))
    if folder not in sys.path:
        sys.path.append(folder)
    path = os.path.join(folder, name + ".py")
    sys.modules.setdefault("edge_runner", sys.modules[__name__])
    module = type(sys)(name)
    module.__file__ = path
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102
    return module


def engine_class() -> type[Engine]:
    """Return the class in ``edge_engine.py``."""
    with engine_is("loading edge_engine.py"):
        found: type[Engine] = beside("edge_engine").ENGINE
        return found


def start_again(reason: str) -> None:
    """Start the runner again in this process; :func:`restarted` then returns the reason.

    For an engine that cannot be imported twice in one process, in one way and then in another.
    """
    os.environ[RESTARTED] = text(reason, SHORT_TEXT)
    arguments = getattr(sys, "orig_argv", ["", *sys.argv])[1:]  # from Python 3.10 on
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - itself


def restarted() -> str | None:
    """Return why the runner was started again; none where it was not."""
    return os.environ.get(RESTARTED)


# --- inputs ---

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB
CHUNK = 1 << 16


def make_input(spec: dict[str, Any], seed: int, index: int) -> NDArray[Any]:
    """Make the values of one input tensor, the same ones on any platform.

    Parameters
    ----------
    spec
        The input: ``shape``, and ``dtype``, ``low`` and ``high`` where they are not the defaults
        of the contract (``float32``, 0, 1).
    seed, index
        Of the job's seeds one, and the input's place among the inputs.

    Returns
    -------
    ndarray
        Of the shape and dtype, in C order: SplitMix64's output [1]_ for the stream
        ``finalizer(seed * 2**32 + index)``, its upper 24 bits scaled to ``[low, high)``.

    References
    ----------
    .. [1] G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
       OOPSLA 2014, doi:10.1145/2660193.2660195.
    """
    import numpy as np

    low, high = float(spec.get("low", 0.0)), float(spec.get("high", 1.0))
    state = (seed * 2**32 + index) & MASK
    state = ((state ^ (state >> 30)) * MIX_1) & MASK
    state = ((state ^ (state >> 27)) * MIX_2) & MASK
    state ^= state >> 31
    result = np.empty(spec["shape"], dtype=spec.get("dtype", "float32"))
    flat = result.reshape(-1)
    # In pieces, so that scratch memory does not show in the peak of a launch. Every operand is
    # an array or a numpy scalar of 64 unsigned bits: of an array and a Python integer numpy 1
    # may make doubles. Arrays wrap around, as they should.
    for start in range(0, flat.size, CHUNK):
        bits = np.arange(start + 1, min(start + CHUNK, flat.size) + 1, dtype=np.uint64)
        bits *= np.uint64(GAMMA)
        bits += np.uint64(state)
        bits ^= bits >> np.uint64(30)
        bits *= np.uint64(MIX_1)
        bits ^= bits >> np.uint64(27)
        bits *= np.uint64(MIX_2)
        bits ^= bits >> np.uint64(31)
        values = low + (bits >> np.uint64(40)).astype(np.float64) / 2.0**24 * (high - low)
        flat[start : start + CHUNK] = values if flat.dtype.kind == "f" else np.floor(values)
    return result


def make_inputs(job: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Make all inputs of a job for a seed, by name."""
    return {
        spec["name"]: as_taken(make_input(spec, seed, index), spec, job)
        for index, spec in enumerate(job["inputs"])
    }


def as_taken(value: NDArray[Any], spec: Mapping[str, Any], job: Mapping[str, Any]) -> NDArray[Any]:
    """Return an input as the artifact takes it."""
    return value.astype("float32") if spec["name"] in job.get("as_float32", ()) else value


def check_inputs(
    job: dict[str, Any], change: int | None = None
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Yield each check seed with its inputs by name: from the job's files, or made of the seed.

    Parameters
    ----------
    change
        Which of the job's changes of shape ``inputs`` are of, if any.
    """
    files = job.get("check_files", [])
    if not files:
        for seed in job["check_seeds"]:
            yield seed, make_inputs(job, seed)
        return
    path = files[0 if change is None else 1 + change]
    try:
        with open(path, "rb") as file:
            for seed in job["check_seeds"]:
                yield (
                    seed,
                    {
                        spec["name"]: as_taken(read_input(file, spec), spec, job)
                        for spec in job["inputs"]
                    },
                )
            if file.read(1):
                raise LaunchError(
                    "BadJob", f"{path} has more data than the inputs of the check seeds"
                )
    except OSError as error:
        raise LaunchError("BadJob", f"{path}: {error.strerror}") from error


def read_input(file: BinaryIO, spec: Mapping[str, Any]) -> NDArray[Any]:
    """Read one input's values."""
    import numpy as np

    dtype = np.dtype(spec.get("dtype", "float32"))
    size = int(np.prod(spec["shape"], dtype=np.int64)) * dtype.itemsize
    content = file.read(size)
    if len(content) != size:
        raise LaunchError("BadJob", f"{file.name} ends within input {spec['name']!r}")
    return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype).reshape(spec["shape"])


# --- what is timed ---


def warm_up(
    run: Callable[[], object],
    policy: Mapping[str, Any],
    clock: Callable[[], int] = time.perf_counter_ns,
) -> tuple[list[int], str]:
    """Run until two moving averages agree, within the policy's bounds.

    Returns
    -------
    samples : list of int
        Nanoseconds, in order.
    reason : str
        ``steady``, ``max_samples`` or ``max_seconds``.
    """
    samples: list[int] = []
    fast = slow = 0.0
    streak = 0
    begun = clock()
    while True:
        elapsed = (clock() - begun) / 1e9
        if (
            streak >= policy["window"]
            and len(samples) >= policy["min_samples"]
            and elapsed >= policy["min_seconds"]
        ):
            return samples, "steady"
        if len(samples) >= policy["max_samples"]:
            return samples, "max_samples"
        if elapsed >= policy["max_seconds"]:
            return samples, "max_seconds"
        before = clock()
        run()
        taken = clock() - before
        if not samples:
            fast = slow = float(taken)
        fast += 0.1 * (taken - fast)
        slow += 0.005 * (taken - slow)
        streak = streak + 1 if abs(fast - slow) <= policy["tolerance"] * slow else 0
        samples.append(taken)


def sample(
    run: Callable[[], object],
    limits: Mapping[str, Any],
    clock: Callable[[], int] = time.perf_counter_ns,
    sustained: bool = False,  # noqa: FBT001, FBT002 - as the job has it
) -> tuple[list[int], int]:
    """Run until both minima are reached, within both maxima.

    Parameters
    ----------
    sustained
        Not to end at the most samples, but to drop every other one there, and from then on to
        keep only every second, fourth, … inference.

    Returns
    -------
    samples : list of int
        Nanoseconds, in order.
    inferences : int
        How many were made.
    """
    samples: list[int] = []
    every, inferences = 1, 0
    least, most = limits["min_samples"], limits["max_samples"]
    least_ns, most_ns = limits["min_seconds"] * 1e9, limits["max_seconds"] * 1e9
    begun = after = clock()
    while (sustained or inferences < most) and after - begun < most_ns:
        if inferences >= least and after - begun >= least_ns:
            break
        before = clock()
        run()
        after = clock()
        if inferences % every == 0:
            samples.append(after - before)
            if sustained and len(samples) > most:
                del samples[1::2]
                every *= 2
        inferences += 1
    return samples, inferences


# --- what the kernel says ---


def read_clocks() -> dict[str, int]:
    """Return the device's clocks, read together."""
    return {
        "monotonic_ns": time.monotonic_ns(),
        "boottime_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        "wall_ns": time.time_ns(),
    }


def process_ms() -> float | None:
    """From the process's start to this file's first line; in steps of the kernel's 10 ms."""
    if restarted() is not None:
        return None  # it would count the first attempt
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22, see proc(5)
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    return max(0.0, (age - (time.perf_counter() - FIRST_LINE)) * 1e3)


def vmhwm_bytes(pid: int | str = "self") -> int:
    """Return a process's peak resident set; ``ru_maxrss`` would inherit the parent's."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def evict(paths: Sequence[str]) -> None:
    """Ask the kernel to drop files' pages from its cache; dirty ones are written first."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def read_through(paths: Sequence[str]) -> int:
    """Read files from beginning to end; return how many bytes they have."""
    total = 0
    buffer = bytearray(1 << 20)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            count = file.readinto(buffer)
            while count:
                total += count
                count = file.readinto(buffer)
    return total


def page_cache(paths: Sequence[str]) -> str:
    """Say whether files are in the page cache: ``warm`` all, ``cold`` nothing, or ``unknown``.

    mincore(2) tells that, since Linux 5.2 only to who owns a file or may write it: to others it
    says that everything is there.
    """
    import ctypes
    import mmap

    mincore = ctypes.CDLL(None).mincore
    pages = resident = 0
    for path in paths:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not (os.geteuid() in (0, status.st_uid) or os.access(path, os.W_OK)):
                return "unknown"
            if status.st_size == 0:
                continue
            # Private and writable only because ctypes takes no address in a read-only mapping.
            with mmap.mmap(
                file.fileno(), status.st_size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE
            ) as mapping:
                start = ctypes.c_char.from_buffer(mapping)
                vector = (ctypes.c_ubyte * -(-status.st_size // mmap.PAGESIZE))()
                failed = mincore(
                    ctypes.byref(start), ctypes.c_size_t(status.st_size), ctypes.byref(vector)
                )
                del start  # a mapping in use cannot be closed
            if failed:
                return "unknown"
            pages += len(vector)
            resident += sum(flag & 1 for flag in vector)
    if pages and resident in (0, pages):
        return "warm" if resident else "cold"
    return "unknown"


# --- the launch ---


def text(value: object, limit: int) -> str:
    """Return text that fits the contract: valid Unicode and bounded, the end kept."""
    clean = str(value).encode("utf-8", "replace").decode()
    return clean if len(clean) <= limit else "…" + clean[1 - limit :]


class Events:
    """``events.jsonl``."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "ab")  # noqa: SIM115 - until the process ends

    def write(self, event: str, **fields: Any) -> None:
        """Append one event with its time and flush it."""
        line = json.dumps({"event": event, "t_ns": time.monotonic_ns(), **fields}, allow_nan=False)
        self.file.write(line.encode() + b"\n")
        self.file.flush()


def read_job(path: str) -> dict[str, Any]:
    """Read the job; what of it this runner cannot do is refused."""
    try:
        with open(path, encoding="utf-8") as file:
            job: dict[str, Any] = dict(json.load(file))
    except (OSError, TypeError, ValueError) as error:
        raise LaunchError("BadJob", f"{path}: {error}") from error
    for fault in job_faults(job):
        raise LaunchError("BadJob", f"{path}: {fault}")
    return job


def job_faults(job: dict[str, Any]) -> Iterator[str]:
    """Say why a job cannot be done; the controller checked it against the contract."""
    yield from (f"no '{key}'" for key in JOB_KEYS if key not in job)
    if job["protocol"] not in JOB_PROTOCOLS or job["input_spec_version"] != INPUT_SPEC_VERSION:
        yield f"this runner keeps protocol {PROTOCOL} with inputs {INPUT_SPEC_VERSION} only"
    for name in [*job["files"].values(), *job.get("check_files", [])]:
        if os.path.basename(name) != name:
            yield f"{name!r} is not in the launch's folder"
    yield from shape_faults(job)


def engine_faults(job: dict[str, Any], engine: type[Engine]) -> Iterator[str]:
    """Say what of a job an engine cannot do."""
    if job["engine"] != engine.name:
        yield f"this runner has the engine {engine.name!r}, not {job['engine']!r}"
    if job["backend"] not in engine.backends:
        yield f"this runner has the backends {', '.join(engine.backends)}, not {job['backend']!r}"
    if job["model_cache"] is not None and job["backend"] not in engine.caching:
        yield f"{engine.name} keeps no model cache for the backend {job['backend']!r}"
    for option in job.get("options", {}):
        if option not in engine.options:
            yield f"this runner has no option {option!r}"
    for role in engine.roles:
        if role not in job["files"]:
            yield f"{engine.name} needs the file '{role}'"
    if job.get("traffic"):
        yield from beside("edge_traffic").faults(job, engine)


def shape_faults(job: dict[str, Any]) -> Iterator[str]:
    """Say what changes of shape leave open."""
    names = {spec["name"] for spec in job["inputs"]}
    for shapes in job.get("shape_changes", []):
        if set(shapes) != names:
            yield f"a change of shape is of the inputs {sorted(shapes)}, not {sorted(names)}"
    checks, expected = len(job.get("check_files", [])), 1 + len(job.get("shape_changes", []))
    if checks not in (0, expected):
        yield f"{checks} files with inputs to check, for {expected} sets of shapes"


def set_processors(job: dict[str, Any]) -> None:
    """Bind the process, and tell the maths libraries how many threads to make."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(job["threads"])
    wanted = job["affinity"]
    if wanted is not None:
        try:
            os.sched_setaffinity(0, wanted)
        except OSError as error:
            raise LaunchError("BadJob", f"cannot bind to processors {wanted}: {error}") from error
        # The kernel leaves out, without a word, those that are offline or not allowed.
        if os.sched_getaffinity(0) != set(wanted):
            bound = sorted(os.sched_getaffinity(0))
            raise LaunchError("BadJob", f"bound to processors {bound} instead of {wanted}")


@contextmanager
def engine_is_there(name: str) -> Iterator[None]:
    """Say so where a module that an engine needs is not installed."""
    try:
        yield
    except LaunchError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            raise LaunchError(
                "EngineMissing",
                f"{name}: {sys.executable} (Python {sys.version.split()[0]}) has no "
                f"module '{error.__cause__.name}'",
            ) from error
        raise


def import_engine(found: type[Engine]) -> Engine:
    """Import an engine."""
    import signal

    with engine_is("importing"):
        engine = found()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # an engine may have installed its own
    return engine


def load(engine: Engine, job: dict[str, Any], events: Events) -> None:
    """Read the artifact and make its predictor, each timed."""
    paths = [job["files"][role] for role in engine.roles]
    try:
        if job["page_cache"] == "evict":
            evict(paths)
        else:
            read_through(paths)
        cache = page_cache(paths)
        before = time.perf_counter()
        read_bytes = engine.read(paths)
        read_ms = (time.perf_counter() - before) * 1e3
    except OSError as error:
        raise LaunchError("BadJob", f"reading the artifact: {error}") from error
    with engine_is("loading the model"):
        before = time.perf_counter()
        names = engine.load()
        init_ms = (time.perf_counter() - before) * 1e3
    given = [spec["name"] for spec in job["inputs"]]
    if sorted(given) != sorted(names):
        raise LaunchError("BadJob", f"the job's inputs are {given}, the model's {names}")
    timed = {"read_ms": read_ms, "init_ms": init_ms}
    events.write("loaded", read_bytes=read_bytes, page_cache=cache, **{**timed, **engine.loaded()})


def first_inference(engine: Engine, events: Events) -> None:
    """Make the first inference of the process; garbage is no longer collected by itself."""
    gc.collect()
    gc.disable()
    with engine_is("running the first time"):
        first_ms = engine.time_first()
    events.write("first", ms=first_ms)


def measure(engine: Engine, job: dict[str, Any], events: Events) -> list[int]:
    """First inference, warm-up and samples; while one of them runs, nothing is written."""
    with engine_is("setting the inputs"):
        engine.bind(make_inputs(job, job["seed"]))
    first_inference(engine, events)
    with engine_is("warming up"):
        warm, reason = engine.time_warmup(job["warmup"])
    events.write("warmup", ns=warm, reason=reason)
    with engine_is("sampling"):
        samples, inferences, cpu_ms = engine.time_samples(
            job["sampling"], job.get("sustained", False)
        )
    events.write("samples", ns=samples, inferences=inferences, cpu_ms=cpu_ms)
    return samples


def report_profile(engine: Engine, samples: Sequence[int], events: Events) -> None:
    """Write what the engine measured of its operators, if it did."""
    with engine_is("asking for the profile"):
        found = engine.profile(samples)
    if found is None:
        return

    def fit(all_of: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep to the contract's bounds."""
        return [
            {**each, "name": text(each["name"], SHORT_TEXT)} for each in all_of[:MOST_OPERATORS]
        ]

    if found.parts:
        events.write("placement", parts=fit(found.parts))
    if found.layers:
        layers = fit(found.layers)
        more: dict[str, Any] = {}
        if found.inferences is not None:
            more["inferences"] = found.inferences
        if found.whole_us is not None:
            attributed = sum(layer.get("us", 0.0) for layer in layers)
            more["unattributed_us"] = max(0.0, found.whole_us - attributed)
        events.write("layers", layers=layers, **more)


def change_shapes(engine: Engine, job: dict[str, Any], events: Events) -> None:
    """Switch to the job's other shapes in turn: time what that costs, return the outputs."""
    for number, shapes in enumerate(job.get("shape_changes", [])):
        inputs = [{**spec, "shape": shapes[spec["name"]]} for spec in job["inputs"]]
        changed = {**job, "inputs": inputs}
        values = make_inputs(changed, job["seed"])
        gc.collect()
        with engine_is(f"changing to the shapes {shapes}"):
            before = time.perf_counter()
            engine.bind(values)
            bound = time.perf_counter()
            engine.run()
            after = time.perf_counter()
            limits = dict.fromkeys(("min_samples", "max_samples"), job["shape_samples"])
            samples, _ = sample(engine.run, {**limits, "min_seconds": 0, "max_seconds": 3600})
        events.write(
            "shape",
            shapes=shapes,
            set_ms=(bound - before) * 1e3,
            first_ms=(after - bound) * 1e3,
            ns=samples,
        )
        return_outputs(engine, changed, events, change=number)


def in_order(
    outputs: list[tuple[str, NDArray[Any]]], job: dict[str, Any]
) -> list[tuple[str, NDArray[Any]]]:
    """Return outputs in the model's order, where the job names them as the engine does.

    Some engines sort them by name.
    """
    place = {name: n for n, name in enumerate(job.get("outputs", []))}
    if {name for name, _ in outputs} != set(place):
        return outputs
    return sorted(outputs, key=lambda output: place[output[0]])


def return_outputs(
    engine: Engine, job: dict[str, Any], events: Events, change: int | None = None
) -> None:
    """Run each check seed and write the outputs' values to files.

    Parameters
    ----------
    change
        Which of the job's changes of shape the inputs are of, if any.
    """
    prefix = "output" if change is None else f"output-change-{change}"
    told = {} if change is None else {"change": change}
    for seed, inputs in check_inputs(job, change):
        with engine_is(f"running check seed {seed}"):
            engine.bind(inputs)
            engine.run()
            outputs = in_order(engine.fetch(), job)
        return_output(outputs, seed, f"{prefix}-{seed}", events, **told)


def return_output(
    outputs: Sequence[tuple[str, NDArray[Any]]],
    seed: int,
    prefix: str,
    events: Events,
    **told: int,
) -> None:
    """Write one check seed's outputs to files, and say what they are.

    Parameters
    ----------
    prefix
        Of the files' names.
    told
        More of each event: what they were computed in.
    """
    import hashlib

    import numpy as np

    for index, (name, value) in enumerate(outputs):
        if value.dtype.name not in DTYPES:
            raise LaunchError(
                "EngineFailed",
                f"output {name!r} is of {value.dtype}; the contract has {', '.join(DTYPES)}",
            )
        content = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
        path = f"{prefix}-{index}.bin"
        with open(path, "wb") as file:
            file.write(content)
        events.write(
            "outputs",
            **told,
            seed=seed,
            index=index,
            name=text(name, SHORT_TEXT),
            dtype=value.dtype.name,
            shape=list(value.shape),
            sha256=hashlib.sha256(content).hexdigest(),
            file=path,
        )


def launch(path: str, events: Events) -> None:
    """Do the job, from the import of its engine to its last output."""
    started_ms = process_ms()
    job = read_job(path)
    set_processors(job)
    with engine_is_there(job["engine"]):
        found = engine_class()
        for fault in engine_faults(job, found):
            raise LaunchError("BadJob", f"{path}: {fault}")
        before = time.perf_counter()
        engine = import_engine(found)
        import_ms = (time.perf_counter() - before) * 1e3
    try:
        run_job(engine, job, events, {"process_ms": started_ms, "import_ms": import_ms})
    finally:
        engine.close()


def run_job(
    engine: Engine, job: dict[str, Any], events: Events, started: Mapping[str, float | None]
) -> None:
    """Do the job with an engine that is imported.

    Parameters
    ----------
    started
        ``process_ms`` and ``import_ms`` of this process.
    """
    with engine_is("configuring"):
        version, build = engine.configure(job)
    for name, setting in build.items():
        if not isinstance(setting, str):
            raise LaunchError(
                "RunnerFailed", f"configure() returned {name}={setting!r}: settings are text"
            )
    build["python"] = sys.version.split()[0]
    if "numpy" in sys.modules:
        build["numpy"] = sys.modules["numpy"].__version__
    events.write(
        "hello",
        protocol=PROTOCOL,
        clock=read_clocks(),
        runner="python",
        runner_version=RUNNER_VERSION,
        engine=job["engine"],
        engine_version=version and text(version, SHORT_TEXT),
        pid=os.getpid(),
        build=build,
        **{**started, **engine.started()},
    )
    if job.get("traffic"):
        beside("edge_traffic").run(engine, job, events)
        return
    load(engine, job, events)
    samples = measure(engine, job, events)
    events.write("memory", vmhwm_bytes=engine.peak_bytes())
    if job.get("profile"):
        report_profile(engine, samples, events)
    change_shapes(engine, job, events)
    return_outputs(engine, job, events)
    events.write("done")


def main(arguments: Sequence[str]) -> int:
    """Run the job and return the exit status; every failure becomes an ``error`` event."""
    if len(arguments) != 1:
        sys.stderr.write("usage: edge_runner.py job.json\n")
        return 2
    events = Events("events.jsonl")
    try:
        launch(arguments[0], events)
    except Exception as error:  # noqa: BLE001 - reported, whatever it is
        import traceback

        kind = error.kind if isinstance(error, LaunchError) else "RunnerFailed"
        message = str(error) if isinstance(error, LaunchError) else repr(error)
        trail = traceback.format_exc()
        sys.stderr.write(trail)
        events.write(
            "error",
            kind=kind,
            message=text(message, LONG_TEXT),
            traceback=text(trail, LONG_TEXT),
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
