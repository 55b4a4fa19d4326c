"""The report's first answer: CPU against NPU."""

from __future__ import annotations

import re
from html import unescape

import pytest

from harness.core.contract import Part
from harness.core.records import ArtifactRecord, FirstLoad, Partition, Profile, Role
from harness.report.render import render

PLAN = Partition(
    tool="a compiler", subgraphs=[{"Conv": 2}], cpu_ops={"Hardmax": 1}, macs=1000, npu_macs=1000
)
BUILT = ArtifactRecord(
    id="ab" * 32, format="x", target="any", files={}, size_bytes=1, partition=PLAN
)
AS_RUN = Profile(
    parts=[
        Part(name="subgraph 0", unit="the NPU", operators=7),
        Part(name="hardmax", op="Hardmax", unit="CPU"),
    ]
)


def first_load(total_ms):
    return FirstLoad(
        process_ms=1.0, import_ms=1.0, read_ms=1.0, init_ms=total_ms - 4, first_ms=1.0,
        page_cache="cold",
    )  # fmt: skip


def against(made_up, *, cpu_ms=10, profile=AS_RUN, **fields):
    """Add a CPU, and an NPU without and with a model cache, to a run."""
    cpu = made_up.case("net", "local", "onnxruntime")
    cases = [
        made_up.case(
            "net", "local", "other", backend="npu:x", model_cache=cache, artifact=BUILT,
            precision="int8",
        )
        for cache in ("none", "kept")
    ]  # fmt: skip
    for factor in (1.0, 1.01, 1.02):
        made_up.launch(cpu, cpu_ms * factor, first_load=first_load(100))
        for case, load_ms in zip(cases, (900, 300), strict=True):
            made_up.launch(case, 5 * factor, first_load=first_load(load_ms), **fields)
    if profile:
        made_up.launch(cases[0], 5, role=Role.PROFILE, profile=profile, **fields)
    return made_up.run()


def answer(run, lang="en"):
    """Return the summary's text up to what follows CPU against NPU."""
    html = render(run, lang=lang)
    summary = re.search(r"<section id=\W?summary.*?</section>", html, re.DOTALL)[0]
    heads = re.findall(r"<h3>(.*?)</h3>", summary)
    text = summary.partition(f"<h3>{heads[0]}</h3>")[2].partition("<h3>")[0]
    return heads[0], unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", text))), html


def test_it_comes_first_with_load_break_even_and_placement(made_up):
    head, text, html = answer(against(made_up))
    assert head == "CPU against NPU"
    assert html.index("CPU against NPU</h3>") < html.index("Fastest engine per device")
    assert "the NPU pays" in text
    assert re.search(r"CPU 100 ms · NPU, compiled 900 ms · NPU, from its model cache 300 ms", text)
    assert re.search(r"compiled : 1\d\d · from the model cache : \d\d\b", text.replace(": ", " : "))
    assert "as run : 100 % of the multiply-accumulates on the NPU" in text.replace(": ", " : ")
    assert "the NPU × 7, CPU × 1; subgraphs: 1" in text
    assert "Hardmax × 1" in text


def test_a_simulator_is_stamped_and_neither_ratio_nor_break_even_is_formed(made_up):
    _, text, _ = answer(against(made_up, simulated="a simulator"))
    assert "Simulated the NPU probably pays estimated" in text  # by coverage, not by times
    assert "No ratio is formed" in text
    assert "Not formed: after how many inferences" in text
    assert "NPU, compiled 900 ms" in text
    assert "100 % of the multiply-accumulates on the NPU" in text


def test_of_a_tiny_model_on_a_simulator_there_is_no_verdict(made_up):
    _, text, _ = answer(against(made_up, cpu_ms=0.3, simulated="a simulator"))
    assert "Simulated no verdict on speed" in text
    assert "estimated" not in text


def test_what_was_not_profiled_is_unknown(made_up):
    _, text, _ = answer(against(made_up, profile=None))
    assert "as run: unknown no launch was profiled" in text


@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_it_is_written_in_each_language(made_up, lang):
    head, text, _ = answer(against(made_up, simulated="a simulator"), lang)
    chinese = re.compile("[\u4e00-\u9fff]")
    assert bool(chinese.search(head)) == bool(chinese.search(text)) == (lang != "en")


def test_without_a_latency_on_the_npu_it_is_left_out(made_up):
    made_up.launch(made_up.case("net", "local", "onnxruntime"), 10)
    made_up.case("net", "local", "other", backend="npu:x", refused="not there")
    head, _, _ = answer(made_up.run())
    assert head == "Fastest engine per device"
