"""Events come from a device: whatever it writes, the parser keeps to the contract."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.contract import (
    MAX_EVENTS_BYTES,
    Done,
    EventsError,
    Job,
    Samples,
    is_done,
    parse_events,
)
from harness.core.supervision import parse_supervision

RECORDED = Path(__file__).parents[1] / "data" / "events"

HELLO = {
    "event": "hello", "protocol": 1, "runner": "r", "runner_version": "1", "engine": "e",
    "engine_version": "1", "pid": 1, "import_ms": 1.0,
}  # fmt: skip
LOADED = {"event": "loaded", "read_ms": 1, "read_bytes": 1, "page_cache": "cold", "init_ms": 1}
SAMPLES = {"event": "samples", "ns": [1, 2]}
MEMORY = {"event": "memory", "vmhwm_bytes": 1, "runtime_bytes": 2}
LAYERS = {"event": "layers", "layers": [{"name": "n", "op": "Conv", "target": "NPU", "us": 1.5}]}
SHAPE = {"event": "shape", "shapes": {"x": [1, 6]}, "set_ms": 1, "first_ms": 2, "ns": [3, 4]}
OUTPUTS = {"event": "outputs", "seed": 1, "index": 0, "name": "y", "dtype": "float32",
           "shape": [1], "sha256": "0" * 64, "file": "output-1-0.bin"}  # fmt: skip
DONE = {"event": "done"}


def _lines(*events):
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def test_events_in_order():
    events = parse_events(_lines(HELLO, LOADED, SAMPLES, SAMPLES, DONE))
    assert [event.event for event in events] == ["hello", "loaded", "samples", "samples", "done"]
    assert isinstance(events[2], Samples)


@given(st.lists(st.sampled_from([HELLO, LOADED, SAMPLES, DONE])), st.integers(0, 60))
def test_a_runner_is_done_when_its_last_whole_line_says_so(events, cut):
    content = _lines(*events)[: -cut or None]
    with suppress(EventsError):
        parsed = parse_events(content)
        whole = content.endswith(b"\n")
        assert is_done(content) or not (whole and parsed and isinstance(parsed[-1], Done))
        assert not is_done(content) or isinstance(parsed[-1], Done)


def test_layers_come_after_memory():
    events = parse_events(_lines(HELLO, LOADED, SAMPLES, MEMORY, LAYERS, DONE))
    assert events[-2].layers[0].us == 1.5
    with pytest.raises(EventsError, match="out of order"):
        parse_events(_lines(HELLO, LOADED, SAMPLES, LAYERS, MEMORY))


def test_changes_of_shape_come_with_their_outputs_before_the_others():
    changed = {**OUTPUTS, "change": 0}
    events = parse_events(_lines(HELLO, LOADED, SAMPLES, MEMORY, SHAPE, changed, SHAPE, OUTPUTS))
    assert events[4].shapes == {"x": (1, 6)}
    assert [event.change for event in events if event.event == "outputs"] == [0, None]
    for late in (SHAPE, changed):
        with pytest.raises(EventsError, match="out of order"):
            parse_events(_lines(HELLO, LOADED, SAMPLES, OUTPUTS, late))


# --- version 2 ---

CLOCK = {"monotonic_ns": 1, "boottime_ns": 2, "wall_ns": 3}
HELLO_2 = {**HELLO, "protocol": 2, "clock": CLOCK}
PLACEMENT = {"event": "placement", "parts": [{"name": "0", "unit": "NPU", "operators": 27}]}


def _timed(*events):
    return _lines(*({"t_ns": 1000 + n, **event} for n, event in enumerate(events)))


def test_version_2_has_its_clocks_callers_placement_and_layers():
    callers = [{**SAMPLES, "caller": n, "starts_ns": [n, n + 1]} for n in range(2)]
    layers = {
        "event": "layers", "inferences": 10, "unattributed_us": 2.5,
        "layers": [{"name": "n", "op": "Conv", "unit": "NPU", "cycles": 700}],
    }  # fmt: skip
    content = _timed(HELLO_2, LOADED, *callers, MEMORY, PLACEMENT, layers, OUTPUTS, DONE)
    hello, _, _, second, _, placement, profiled, *_ = parse_events(content)
    assert (hello.t_ns, hello.clock.wall_ns) == (1000, 3)
    assert (second.caller, second.starts_ns) == (1, [1, 2])
    assert (placement.parts[0].unit, placement.parts[0].operators) == ("NPU", 27)
    assert (profiled.layers[0].us, profiled.layers[0].cycles) == (None, 700)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([{**HELLO, "protocol": 2}], "'hello' has no 'clock'"),
        ([HELLO_2, {**LOADED, "t_ns": None}], "'loaded' has no 't_ns'"),
        ([HELLO_2, {**LOADED, "t_ns": 999}], "earlier than the event that it follows"),
        ([HELLO_2, {"event": "environment", "phase": "before"}], "is not for runners of version 2"),
        ([HELLO_2, LOADED, SAMPLES, SAMPLES], "twice of one caller"),
        ([HELLO_2, LOADED, {**SAMPLES, "caller": 1}, {**SAMPLES, "caller": 1}], "twice of one"),
        ([HELLO_2, LOADED, {**SAMPLES, "caller": 1}, SAMPLES], "twice of one caller"),
        ([HELLO_2, LOADED, {**SAMPLES, "starts_ns": [1]}], "1 starts of 2 samples"),
        ([HELLO_2, LOADED, SAMPLES, LAYERS, PLACEMENT], "out of order"),
    ],
)
def test_what_breaks_version_2_is_named(events, said):
    with pytest.raises(EventsError) as caught:
        parse_events(_timed(*events))
    assert said in str(caught.value)


def test_only_profiles_have_layers_in_version_2():
    content = _timed(HELLO_2, LOADED, SAMPLES, MEMORY, PLACEMENT)
    with pytest.raises(EventsError, match="'placement' in a launch that is no profile"):
        parse_events(content, profile=False)
    parse_events(_lines(HELLO, LOADED, SAMPLES, MEMORY, LAYERS), profile=False)


@pytest.mark.parametrize(
    "path", sorted(RECORDED.glob("*.events.jsonl")), ids=lambda path: path.name.split(".")[0]
)
def test_recorded_events_of_both_versions_are_understood(path):
    content = path.read_bytes()
    events = parse_events(content)
    assert len(events) == content.count(b"\n")
    assert path.name.startswith(f"v{events[0].protocol}-")
    assert isinstance(events[-1], Done)
    record = path.with_name(path.name.replace(".events.", ".supervisor."))
    assert parse_supervision(record.read_bytes()).exit.status == 0


def test_events_are_recorded_of_a_runner_in_either_language():
    names = {path.name.split(".")[0] for path in RECORDED.glob("*.events.jsonl")}
    assert names == {
        f"v{version}-{runner}"
        for version in (1, 2)
        for runner in ("python-onnxruntime", "native-calibration")
    }


def test_a_cut_last_line_is_left_out():
    assert len(parse_events(_lines(HELLO, LOADED)[:-5])) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_lines(LOADED, HELLO), "out of order"),
        (_lines(HELLO, HELLO), "out of order"),
        (_lines(HELLO, DONE, SAMPLES), "after the end"),
        (_lines(HELLO, {"event": "error", "kind": "E", "message": "m"}, DONE), "after the end"),
        (_lines({**HELLO, "protocol": 3}), "hello.protocol"),
        (_lines({**HELLO, "more": 1}), "hello.more"),
        (_lines({"event": "bye"}), "bye"),
        (_lines({**LAYERS, "layers": LAYERS["layers"] * 5001}), "at most 5000 items"),
        (_lines({**SHAPE, "shapes": {"x": [0]}}), "shapes.x.0"),
        (_lines({**SHAPE, "ns": [1] * 1001}), "at most 1000 items"),
        (_lines({**OUTPUTS, "change": 100}), "outputs.change"),
        (_lines({**LOADED, "init_ms": -1}), "greater than or equal"),
        (_lines({**LOADED, "init_ms": 1e300}), "less than or equal"),
        (b'{"event":"first","ms":NaN}\n', "events.jsonl:1"),
        # A clock that went backwards, one that stopped counting, and none at all.
        (_lines(HELLO, LOADED, {**SAMPLES, "ns": [1000, -3]}), "samples.ns.1"),
        (_lines(HELLO, LOADED, {**SAMPLES, "ns": [10**15]}), "samples.ns.0"),
        (_lines(HELLO, LOADED, {**SAMPLES, "ns": [1.5]}), "samples.ns.0"),
        (b'{"event":"samples","ns":[NaN]}\n', "events.jsonl:1"),
        (b'{"event":"samples","ns":[Infinity]}\n', "events.jsonl:1"),
        (_lines(HELLO, LOADED, LOADED), "out of order"),
        (_lines(HELLO, SAMPLES, LOADED), "out of order"),
        (b"Segmentation fault\n", "'Segmentation fault'"),
        (b"\x1b[31m\x00\n", "'?[31m?'"),
        (b"\n" * 30_000, "more than"),
        (b"x" * (MAX_EVENTS_BYTES + 1), "larger than"),
    ],
)
def test_what_breaks_the_contract_is_named(content, said):
    with pytest.raises(EventsError) as caught:
        parse_events(content)
    assert said in str(caught.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(content):
    with suppress(EventsError):
        parse_events(content)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # says that the machine is busy
@given(
    st.sampled_from([HELLO, LOADED, SAMPLES, DONE]),
    st.dictionaries(st.sampled_from(sorted({*HELLO, *LOADED, "ns"})), _JSON, max_size=3),
)
def test_mutated_events_are_parsed_or_refused(event, mutation):
    with suppress(EventsError):
        parse_events(_lines({**event, **mutation}))


def test_a_job_keeps_its_bounds():
    with pytest.raises(ValueError, match="files"):
        Job(launch="x", engine="e", files={"model": "../etc/passwd"}, inputs=[])
