import ast
import io
import re
from datetime import UTC, datetime
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from harness.report.language import LANGUAGES, language

REPOSITORY = Path(__file__).parents[2]
OTHERS = [tag for tag in LANGUAGES if tag != "en"]
PLACES = re.compile(r"%\((\w+)\)|<(/?\w+)|%%|\{(\w+)")


@pytest.fixture(scope="module")
def template():
    """Every message in templates and code, as the script that updates catalogues finds them."""
    loader = SourceFileLoader("messages", str(REPOSITORY / "scripts" / "messages"))
    module = module_from_spec(spec_from_loader("messages", loader))
    loader.exec_module(module)
    return {message.id: message for message in module.messages() if message.id}


@pytest.mark.parametrize("tag", OTHERS)
def test_no_message_is_without_its_translation(template, tag):
    path = REPOSITORY / "harness/report/locale" / f"{tag}.po"
    catalogue = read_po(io.BytesIO(path.read_bytes()), abort_invalid=True)
    known = {message.id: message for message in catalogue if message.id}
    assert set(template) == set(known), "run scripts/messages, and translate what is new"
    for message in known.values():
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(strings), f"{message.id} has no translation"
        assert not message.fuzzy


@pytest.mark.parametrize("tag", OTHERS)
def test_a_translation_has_what_its_message_fills_in(tag):
    path = REPOSITORY / "harness/report/locale" / f"{tag}.po"
    for message in read_po(io.BytesIO(path.read_bytes())):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        if not message.id:
            continue
        for string in strings:
            places = sorted(map(str, PLACES.findall(string)))
            assert places == sorted(map(str, PLACES.findall(ids[-1]))), message.id


def test_every_message_is_a_literal():
    """What is put together is found by no tool, and translated by nobody."""
    for path in (REPOSITORY / "harness/report").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if name in {"_", "gettext"} and path.name not in {
                "language.py",
                "render.py",
            }:
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}"


def test_numbers_and_dates_are_as_a_language_writes_them():
    moment = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)
    english, chinese = language("en"), language("zh-CN")
    assert (english.day(moment), chinese.day(moment)) == ("November 22, 2026", "2026年11月22日")
    assert (english.percent(0.013), chinese.percent(0.013)) == ("1.3 %", "1.3%")
    assert (english.milliseconds(None), chinese.milliseconds(None)) == ("unknown", "未知")
    assert english.milliseconds(12_345.6) == chinese.milliseconds(12_345.6) == "12\u202f346 ms"


def test_a_case_s_setting_is_told_part_by_part():
    setting = "paddle-lite/npu:x · 4 threads · int8 · model cache kept · 2 busy CPUs · batch 8"
    assert language("en").setting(setting) == setting
    assert language("zh-CN").setting(setting) == (
        "paddle-lite/npu:x · 4 线程 · int8 · 保留模型缓存 · 2 个 CPU 被占用 · 批量 8"
    )
