"""Every reason in every language, and the report of a run that has them all."""

from __future__ import annotations

import re
from string import Formatter

import pytest

import harness.analysis.audit  # noqa: F401 - declares its own
from harness.core.reason import CODES, ENGLISH, Reason, load_all
from harness.core.records import Category, OutputCheck, Status
from harness.report.language import LANGUAGES, language
from harness.report.render import Beside, render

load_all()
ALL = sorted(CODES)
NESTED = CODES["launch.no-samples"]()


def example(name, *, full=True):
    """A reason of a code, with a fact for each place; texts are marked as not ours."""
    declared = CODES[name]
    words = f"{declared.words} {declared.hint}"
    specs = {name: spec or "" for _, name, spec, _ in Formatter().parse(words) if name}
    facts = {}
    for fact in declared.facts if full else declared.required:
        spec = specs[fact]
        numeric = spec and spec != "known"
        facts[fact] = NESTED if fact == "why" else 3 if numeric else f"«{fact}»"
    return declared(**facts)


@pytest.mark.parametrize("tag", LANGUAGES)
@pytest.mark.parametrize("name", ALL)
def test_every_code_has_words_in_every_language(name, tag):
    spoken = language(tag)
    for full in (True, False):
        made = example(name, full=full)
        for said in (spoken.say(made), spoken.hint(made) if CODES[name].hint else ""):
            assert not re.search(r"[{}\[\]]", said), said
    made = example(name)
    assert spoken.say(made) not in ("", name)
    assert bool(spoken.hint(made)) == bool(CODES[name].hint) or made.facts.get("why") == NESTED


@pytest.mark.parametrize("name", ALL)
def test_chinese_has_its_own_words_for_every_code(name):
    chinese = language("zh-CN")
    for english in filter(None, (CODES[name].words, CODES[name].hint)):
        bare = re.sub(r"\{[^}]*\}|harness(?: [\w.{}-]+)+|[\W\d_]", "", english)
        if bare and english not in {"apt-get install adb", "adb start-server"}:
            assert chinese.gettext(english) != english


def foreign(text):
    """What of a text is neither Chinese nor quoted: English words in a row."""
    text = re.sub(r"«[^»]*»|harness(?: [\w.-]+)+|onnxruntime", " ", text)
    return re.findall(r"[a-z]{2,}(?: [a-z]{2,}){3,}", text)


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith(("audit", "todo"))])
def test_no_sentence_of_ours_is_left_in_english(name):
    spoken = language("zh-CN")
    assert not foreign(spoken.say(example(name))), spoken.say(example(name))


def section(html, name):
    return html.split(f'id="{name}"', 1)[1].split("<section", 1)[0]


def test_the_chinese_report_of_a_run_that_failed_in_every_way_is_chinese(made_up):
    stored = [name for name in ALL if not re.match(r"audit|evidence|todo|flag|comparison", name)]
    categories = list(Category)
    for number, name in enumerate(stored):
        made = example(name)
        case_id = made_up.case(f"m{number}", "local", "onnxruntime")
        match number % 4:
            case 0:
                category = CODES[name].category or categories[number % len(categories)]
                made_up.launch(case_id, status=Status.FAILED, category=category, reason=made)
            case 1:
                made_up.launch(case_id, status=Status.INVALID, reason=made)
            case 2:
                wrong = OutputCheck(passed=False, reason=made, tolerance=1e-3)
                why = CODES["launch.wrong-outputs"](why=made)
                made_up.launch(case_id, status=Status.INVALID, reason=why, outputs=wrong)
            case 3:
                made_up.case(f"r{number}", "local", "onnxruntime", refused=made)
    html = render(made_up.run(), lang="zh-CN", beside=Beside())
    text = re.sub(r"<pre.*?</pre>|<code>.*?</code>|<[^>]+>", " ", section(html, "trouble"))
    assert not foreign(text)
    english = render(made_up.run(), beside=Beside())
    for name in stored:
        said = ENGLISH.say(example(name))[:60]
        assert said.split("«")[0].strip(" :(") in english.replace("&#39;", "'").replace("&gt;", ">")


def test_what_others_said_is_quoted_as_it_was_recorded():
    said = "RuntimeError: no such op in this build of mine"
    made = CODES["launch.crashed"](signal="SIGABRT", stage="hello", said=said)
    assert language("zh-CN").say(made) == f"在“hello”之后因 SIGABRT 崩溃：{said}"
    assert language("zh-CN").say(Reason(code="text", facts={"text": said})) == said
