import json

import pytest

from tests.report.conftest import demo_run, lab_run


@pytest.fixture
def stored(workspace):
    """Store a run in the workspace."""

    def store(run):
        with workspace.store() as database:
            database.create(run)
            for launch in run.launches:
                database.add(run.id, launch)

    return store


def test_each_model_and_npu_has_its_advice_and_each_rule_its_evidence(cli, stored):
    stored(lab_run())
    said = cli("advise")
    assert said.code == 0
    text = " ".join(said.out.split())
    assert "mobilenet_v1 · rk3588 · npu:rknpu · fp16" in text
    assert "the NPU pays (measured)" in text
    assert "needs tuning of its own to profit" in text


def test_needs_change_the_advice(cli, stored):
    stored(lab_run())

    def verdict(*options):
        advices = json.loads(cli("advise", "lab", "--json", *options).out)
        return next(
            advice["verdict"]
            for advice in advices
            if (advice["model"], advice["precision"]) == ("mobilenet_v1", "fp16")
        )

    assert verdict() == "pays"
    assert verdict("--first-load-within", "0.1s") == "pays-if"
    assert verdict("--inferences", "1") == "pays-if"


def test_it_speaks_chinese(cli, stored):
    stored(lab_run())
    assert "NPU 值得" in cli("advise", "--lang", "zh-CN").out


def test_without_an_npu_it_says_so(cli, stored):
    stored(demo_run())
    said = cli("advise")
    assert (said.code, said.out) == (0, "")
    assert "no case with an NPU" in said.err
