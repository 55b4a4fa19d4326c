"""Campaign files: what they mean, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from harness.campaign.session import select
from harness.campaign.spec import load_campaign
from harness.core.errors import SpecificationError
from harness.core.records import Case, Repeats

CAMPAIGN = """\
matrix:
  - models: [small, large]
    devices: [here]
    engines: [onnxruntime]
    threads: [1, 2]
  - models: [small]
    devices: [here]
    engines: [onnxruntime]
    launches: 3
"""


@pytest.fixture
def write(workspace):
    (workspace.devices / "here.yaml").write_text("transport: local\nabi: x86_64-linux\n")
    for name in ("small", "large"):
        (workspace.models / f"{name}.yaml").touch()

    def _write(text=CAMPAIGN):
        path = workspace.campaigns / "c.yaml"
        path.write_text(text)
        return load_campaign(workspace, path)

    return _write


def test_cases_are_the_product_of_the_axes_each_once(write):
    cases = list(write().cases())
    found = {(case.model, case.threads): repeats.launches for case, repeats in cases}
    assert found == {("small", 1): 3, ("small", 2): 5, ("large", 1): 5, ("large", 2): 5}
    assert len({case.id for case, _ in cases}) == 4


def test_only_keeps_what_fits_every_pattern(write):
    campaign = write()
    assert {case.model for case, _ in select(campaign, ["lar*", "here"])} == {"large"}
    with pytest.raises(SpecificationError) as caught:
        select(campaign, ["nothing"])
    assert "large" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("small, large", "smal, large", "c.yaml:2: matrix.0.models: unknown model 'smal'; did"),
        ("devices: [here]", "devices: [there]", "unknown device 'there'"),
        ("[onnxruntime]", "[onnx-runtime]", "'onnx-runtime'; did you mean 'onnxruntime'?"),
        ("launches: 3", "launches: none", "c.yaml:9: matrix.1.launches"),
        ("launches: 3", "lunches: 3", "c.yaml:9: unknown key 'matrix.1.lunches'; did you mean"),
        ("launches: 3", "launches: 0", "greater than or equal to 1"),
        ("threads: [1, 2]", "threads: []", "at least 1 item"),
        ("threads: [1, 2]", "backends: [tpu]", "matrix.0.backends.0: string should match pattern"),
    ],
)  # fmt: skip
def test_faults_name_line_and_what_is_near(write, old, new, said):
    with pytest.raises(SpecificationError) as caught:
        write(CAMPAIGN.replace(old, new, 1))
    assert said in caught.value.message


def test_a_precision_is_a_fraction_or_a_percentage(write):
    text = f"{CAMPAIGN}precision: 2%\nmax_launches: 20\n"
    found = {case.threads: repeats for case, repeats in write(text).cases()}
    assert found[2] == Repeats(launches=5, precision=0.02, max_launches=20)
    text = CAMPAIGN.replace("launches: 3", "precision: 0.01", 1)
    found = {(case.model, case.threads): repeats for case, repeats in write(text).cases()}
    assert found["small", 1] == Repeats(launches=5, precision=0.01, max_launches=30)
    assert found["small", 2] == Repeats(launches=5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("precision: 2 percent", "c.yaml:10: precision: input should be a valid number"),
        ("precision: 80%", "less than or equal to 0.5"),
        ("launches: 2\nprecision: 2%", "'precision' needs at least 3 'launches'"),
        ("expect: [{latency: 3}]", "unknown key 'expect.0.latency'; did you mean 'latency_ms'?"),
        ("expect: [{latency_ms: -3}]", "c.yaml:10: expect.0.latency_ms: input should be greater"),
        ("expect: [{only: [small]}]", "no expectation given"),
    ],
)  # fmt: skip
def test_faults_of_precisions_and_expectations(write, line, said):
    text = CAMPAIGN.replace("    launches: 3\n", "") + line + "\n"
    with pytest.raises(SpecificationError) as caught:
        write(text.replace("c.yaml:10", "c.yaml:9"))
    assert said.replace("c.yaml:10", "c.yaml:9") in caught.value.message


def test_expectations(write):
    campaign = write(f"{CAMPAIGN}expect: [{{only: [small], latency_ms: 3, speedup: 2}}]\n")
    (expected,) = campaign.expect
    assert (expected.only, expected.latency_ms, expected.speedup) == (["small"], 3, 2)


def test_backends_are_an_axis(write):
    text = CAMPAIGN.replace("threads: [1, 2]", "backends: [cpu, 'npu:some_npu']", 1)
    campaign = write(text)
    (npu,) = select(campaign, ["npu:*", "small"])
    assert npu[0].setting == "onnxruntime/npu:some_npu"
    assert len(select(campaign, [])) == 4


def test_precisions_are_an_axis_that_changes_no_id_of_what_was_there_before(write):
    plain = {case.id for case, _ in write().cases()}
    text = CAMPAIGN.replace("threads: [1, 2]", "threads: [1, 2]\n    precisions: [fp32, int8]", 1)
    cases = [case for case, _ in write(text).cases()]
    assert {case.id for case in cases if case.precision == "fp32"} == plain
    assert sum(case.precision == "int8" for case in cases) == 4
    assert "onnxruntime · 2 threads · int8" in {case.setting for case in cases}


def test_without_precisions_an_engine_has_its_own(write):
    text = CAMPAIGN.replace("[onnxruntime]", "[rknn, onnxruntime]", 1)
    found = {(case.engine, case.precision) for case, _ in write(text).cases()}
    assert found == {("rknn", "fp16"), ("onnxruntime", "fp32")}


def test_a_campaign_that_does_not_exist(workspace, write, cli):
    write()
    said = cli("run", workspace.campaigns / "d.yaml")
    assert said.code == 2
    assert "no campaign file" in said.err
    assert "c.yaml" in said.err


DYNAMIC = """\
title: t
licence: l
source: {kind: paddle.vision, function: f}
inputs:
  - {name: x, shape: [1, 3, 48, 320], dynamic: {0: [1, 8], 3: [32, 640]}}
"""
FIXED = DYNAMIC.replace(", dynamic: {0: [1, 8], 3: [32, 640]}", "")


@pytest.fixture
def write_shapes(write, workspace):
    def _write(line, manifest=DYNAMIC):
        (workspace.models / "small.yaml").write_text(manifest)
        (workspace.models / "large.yaml").write_text(manifest)
        return write(CAMPAIGN.replace("threads: [1, 2]", line, 1))

    return _write


def test_shapes_and_batches_are_axes_that_change_no_id_of_what_was_there_before(
    write, write_shapes
):
    plain = {case.id for case, _ in write().cases() if case.threads == 1}
    campaign = write_shapes("batches: [1, 4]\n    shapes: [null, {x: [1, 3, 48, 160]}]")
    cases = [case for case, _ in campaign.cases()]
    assert {case.id for case in cases if (case.batch, case.shapes) == (1, None)} == plain
    assert len({case.id for case in cases}) == 8
    (wide,) = [case for case in cases if case.model == "small" and case.batch == 4 and case.shapes]
    assert wide.setting == "onnxruntime · batch 4 · x 1×3×48×160"
    stored = wide.model_dump_json()
    assert '"shapes":{"x":[1,3,48,160]}' in stored
    assert Case.model_validate_json(stored) == wide


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "shapes: [{x: [1, 3, 48]}]",
            "shapes.0: small: input 'x' has 4 axes: [1, 3, 48] does not fit",
        ),
        ("shapes: [{x: [1, 3, 48, 0]}]", "shapes.0.x.3: input should be greater than or equal to"),
        ("shapes: [{x: [1, 3, 48, -1]}]", "shapes.0.x.3: input should be greater than or equal to"),
        ("shapes: [{x: [1, 3, 48, 31]}]", "input 'x' takes from 32 to 640 in axis 3"),
        ("shapes: [null, {x: [1, 3, 48, 641]}]", "shapes.1: small: input 'x' takes from 32 to 640"),
        ("shapes: [{x: [1, 3, 64, 320]}]", "input 'x' takes only 48 in axis 2"),
        ("shapes: [{y: [1, 3, 48, 320]}]", "the model has no input 'y'; valid: x"),
        ("shapes: [{}]", "shapes.0: dictionary should have at least 1 item"),
        ("shapes: []", "at least 1 item"),
        ("batches: [9]", "batches.0: small: input 'x' takes from 1 to 8 in axis 0"),
        ("batches: [0]", "batches.0: input should be greater than or equal to 1"),
        (
            "batches: [2]\n    shapes: [{x: [4, 3, 48, 320]}]",
            "c.yaml:6: matrix.0.shapes.0: small: the shape [4, 3, 48, 320] of input 'x' and",
        ),
    ],
)
def test_shapes_that_the_model_does_not_take(write_shapes, line, said):
    with pytest.raises(SpecificationError) as caught:
        write_shapes(line)
    assert "c.yaml:" in caught.value.message
    assert said in caught.value.message


@pytest.mark.parametrize("line", ["batches: [4]", "shapes: [{x: [1, 3, 48, 160]}]"])
def test_shapes_of_a_model_whose_shapes_are_fixed(write_shapes, line):
    with pytest.raises(SpecificationError, match=r"c\.yaml:5: matrix\.0\.\w+\.0: small: input 'x'"):
        write_shapes(line, FIXED)


# --- how models are called ---


def called(write, *lines):
    text = CAMPAIGN.replace("    threads: [1, 2]\n", "".join(f"    {line}\n" for line in lines), 1)
    return [case for case, _ in write(text).cases() if case.model == "large"]


def test_scenarios_are_an_axis_of_those_who_call(write):
    cases = called(write, "scenarios: [single, multi, offline]", "callers: [1, 4]",
                   "instances: [1, 2]")  # fmt: skip
    found = [(case.scenario, case.callers, case.instances) for case in cases]
    assert found == [
        ("single", 1, 1),
        *(
            (scenario, *how)
            for scenario in ("multi", "offline")
            for how in ((1, 1), (4, 1), (4, 2))
        ),
    ]


def test_a_server_has_a_rate_or_a_bound(write):
    rate, bound = called(
        write, "scenarios: [server: {rate: 20}, server: {bound_ms: 50}]", "callers: [2]"
    )
    assert (rate.scenario, rate.rate_per_s, rate.bound_ms) == ("server", 20.0, None)
    assert (bound.rate_per_s, bound.bound_ms, bound.percentile) == (None, 50.0, 99)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["scenarios: [server]"], "scenarios"),
        (["scenarios: [server: {}]"], "a server takes either a 'rate' or a 'bound_ms'"),
        (["scenarios: [server: {rate: 1, bound_ms: 2}]"], "either a 'rate' or a 'bound_ms'"),
        (["scenarios: [server: {rate: 1, percentile: 99}]"], "goes with a 'bound_ms'"),
        (["scenarios: [server: {rate: 0}]"], "greater than 0"),
        (["scenarios: [server: {bound_ms: 5, percentile: 98}]"], "50, 90, 95 or 99"),
        (["scenarios: [multi]", "callers: [65]"], "less than or equal to 64"),
        (["scenarios: [multi]", "callers: [1]", "instances: [2]"], "more 'instances' than"),
        (["callers: [2]"], "go with 'scenarios' other than single"),
    ],
)
def test_faults_of_scenarios(write, lines, said):
    with pytest.raises(SpecificationError) as caught:
        called(write, *lines)
    assert said in str(caught.value)


def test_several_callers_are_not_sustained(write):
    text = CAMPAIGN.replace("threads: [1, 2]", "scenarios: [multi]")
    with pytest.raises(SpecificationError, match="'sustained_s' is for the scenario single"):
        write(f"{text}protocol: {{sustained_s: 60}}\n")
