"""Sentences of the harness in another language."""

import ast
import re
from pathlib import Path

import pytest

from harness.analysis.audit import audit_run, audit_table
from harness.analysis.cases import case_results
from harness.core.records import Status
from harness.report.language import language
from harness.report.render import Beside, render
from harness.report.sentences import FORMS, MOST, Sentences
from tests.report.test_render import said
from tests.report.test_sections import section, table

# Words that the code fills in: nouns with their numbers, and one of two.
VARYING = (
    "launches|cases|columns|figures|samples|threads|model|device|rise|fall|higher|lower|on|back|"
    "more|less"
)
HARNESS = Path(__file__).parents[2] / "harness"


@pytest.fixture(scope="module")
def chinese():
    return Sentences(language("zh-CN"))


def written():
    """Every text in the code that composes such sentences, what is filled in left open."""
    for path in HARNESS.rglob("*.py"):
        if "report" in path.relative_to(HARNESS).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                pieces = [
                    each.value if isinstance(each, ast.Constant) else "…" for each in node.values
                ]
                yield "".join(map(str, pieces))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_each_form_is_one_that_the_harness_writes():
    everything = "\n".join(written())
    for form in FORMS:
        pieces = re.split(r"%\(\w+\)s|[0-9]+", form)
        for piece in pieces:
            fixed = re.split(rf"\b(?:{VARYING})\b", piece)
            for part in fixed:
                assert part.strip(" ;,:") in everything, f"{form}: nothing writes '{part}'"


@pytest.mark.parametrize(
    ("sentence", "in_chinese"),
    [
        ("qemu has no engine 'rknn' in its file", "qemu 的设备文件中没有引擎“rknn”"),
        (
            "wrong outputs: relative error 6.13 of output 0 for seed 1 is above the tolerance of 1",
            "输出错误：种子 1 的输出 0 相对误差为 6.13，超过容差 1",
        ),
        (
            "no launch succeeded: crashed with SIGSEGV after 'loaded'",
            "没有一次启动成功：在“loaded”之后因 SIGSEGV 崩溃",
        ),
        ("2 of 3 launches were invalid: throttled: x", "3 次启动中有 2 次无效：已降频：x"),
        (
            "net · cpu: 2 of 3 launches were not steady when warm-up had to end",
            "net · cpu：3 次启动中有 2 次在预热不得不结束时仍未稳定",
        ),
        ("1 of 1 launch was invalid", "1 次启动中有 1 次无效"),
        ("net · cpu: one launch: no interval", "net · cpu：只有一次启动：没有置信区间"),
        ("not reached: no route (try: the cable)", "无法连接：no route（可以尝试：the cable）"),
    ],
)
def test_what_the_harness_writes_is_said_with_what_is_filled_in(chinese, sentence, in_chinese):
    assert chinese.say(sentence) == in_chinese


@pytest.mark.parametrize(
    "text",
    ["", "Segmentation fault", "error: a: b; c (try)", "%(n)s", "x" * (MOST + 1), ", : " * 150],
)
def test_what_others_said_stands_as_it_was_recorded(chinese, text):
    assert chinese.say(text) == text


def test_english_stays_as_it_is():
    sentences = Sentences(language("en"))
    assert sentences.say("wrong outputs") == "wrong outputs"


def test_no_finding_is_left_in_english(chinese, demo, lab):
    tables = audit_table(table(figures=[*table().figures] * 2))
    found = [*audit_run(demo, case_results(demo)), *audit_run(lab, case_results(lab)), *tables]
    assert found
    for finding in found:
        assert chinese.say(finding.sentence) != finding.sentence, finding.sentence


def test_failures_are_told_in_chinese(made_up):
    case_id = made_up.case("net", "local", "onnxruntime")
    made_up.launch(
        case_id,
        status=Status.FAILED,
        category="engine",
        reason="crashed with SIGABRT after 'hello'",
    )
    made_up.case("net", "qemu-arm64", "rknn", refused="qemu-arm64 has no engine 'rknn' in its file")
    html = render(made_up.run(), lang="zh-CN", beside=Beside())
    for name in ("summary", "trouble"):
        text = said(section(html, name))
        assert "在“hello”之后因 SIGABRT 崩溃" in text
        assert "qemu-arm64 的设备文件中没有引擎“rknn”" in text
