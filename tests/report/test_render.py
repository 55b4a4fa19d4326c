import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from harness.report.render import render
from harness.results.schema import (
    ArtifactRecord,
    Category,
    DeviceMemory,
    OutputCheck,
    Role,
    Status,
)

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</svg></pre></title><iframe src=//example.org>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u2066",
    "bell\x07 escape\x1b[31m null\x00 separator\u2028",
]
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What is in a document: tags, attributes, text, and whether every tag is closed."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture
def page(demo):
    return Page(render(demo))


def test_the_demo_s_report_says_what_came_of_every_case(page):
    text = " ".join(page.text.split())
    assert (
        "Of 12 cases on 2 devices, 9 have a valid latency; 1 was invalid; 2 were refused." in text
    )
    assert "Of 50 launches made, 46 are ok, 1 failed and 3 were invalid" in text
    assert "cannot be told apart" in text
    assert "3 of 5 launches were invalid: throttled: 1.2 GHz during, 2.5 GHz before" in text
    assert "qemu-arm64 has no engine 'paddle-lite' in its file" in text
    assert "(timeout): ended at its time limit of 120 s" in text
    assert "W1122 14:05:11 onednn not available" in text
    assert "harness run campaigns/demo.yaml --seed 20261122" in text
    assert "SECRET" not in text


def test_memory_says_of_what_it_is_and_what_is_unknown(made_up):
    settings = {"options": {"power": "<b>"}, "variables": {"VIV": "\u202ex"}}
    case = made_up.case("net", "local", "paddle-lite", record=settings)
    made_up.launch(case, 1.0, vmhwm_source="supervisor", vmhwm_bytes=61_000_000)
    memory = DeviceMemory(available_bytes=-3_100_000, driver_bytes={"galcore": 17_000_000})
    made_up.launch(case, role=Role.MEMORY, pss_bytes=52_000_000, device_memory=memory)
    made_up.launch(made_up.case("net", "local", "onnxruntime"), 1.0)
    text = " ".join(Page(render(made_up.run())).text.split())
    assert (
        "61.0 MB seen from outside61.0 MB to 61.0 MB52.0 MB\N{MINUS SIGN}3.10 MBunknownunknown"
        "galcore +17.0 MBunknown1.90 MB"
    ) in text
    assert "MBunknownunknownunknownunknownunknownunknown1.90 MB" in text  # without a memory pass
    assert "option power=<b> variable VIV=\ufffdx." in text


def test_nothing_is_loaded_and_nothing_runs(page):
    assert not {"script", "iframe", "object", "embed", "img", "image", "use"} & set(page.tags)
    assert {"src", "style", "xlink:href", "srcset", "action"}.isdisjoint(
        name for _, name, _ in page.attributes
    )
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith(("#", "data:,")) for value in page.all("href"))


def test_the_policy_allows_this_style_and_nothing_else(demo):
    html = render(demo)
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = Page(html).all("content")[0]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:")
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_is_well_formed_and_every_link_leads_somewhere(page):
    assert page.open == []
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.all("href") if link.startswith("#")} <= set(ids)
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.tags.count("svg") == page.all("role").count("img")


def test_an_emulated_device_is_stamped_in_every_section(demo):
    html = render(demo)
    sections = re.findall('<section id="([a-z-]+)".*?</section>', html, re.DOTALL)
    for name in sections:
        content = re.search(f'<section id="{name}".*?</section>', html, re.DOTALL)[0]
        mentions = re.findall("<h3>qemu-arm64", content)
        stamped = re.findall('<h3>qemu-arm64 <strong class="stamp">', content)
        assert len(mentions) == len(stamped)
        assert 'class="stamp"' in content


def test_wrong_outputs_leave_a_reason_and_no_figure(made_up):
    case_id = made_up.case("net", "local", "onnxruntime")
    wrong = OutputCheck(passed=False, reason="output 0 is off by 0.9", tolerance=1e-3)
    made_up.launch(
        case_id, 123.456, figure_ns=123.456e6, status=Status.INVALID,
        reason=f"wrong outputs: {wrong.reason}", outputs=wrong,
    )  # fmt: skip
    page = Page(render(made_up.run()))
    assert "output 0 is off by 0.9" in page.text
    assert "123" not in page.text
    assert "svg" not in page.tags


@pytest.mark.parametrize("text", HOSTILE)
def test_what_devices_and_files_say_is_inert_wherever_it_stands(made_up, text):
    made_up.device(text, description=text, facts={"soc": text, "temperatures_c": {text: 1.0}})
    made_up.model(text, title=text, source=text, licence=text)
    artifact = ArtifactRecord(
        id=text, format=text, target=text, files={text: text}, size_bytes=1, provenance={text: text}
    )
    refused = made_up.case(text, text, "refused", refused=text)
    case_id = made_up.case(text, text, text, backend=text, artifact=artifact)
    made_up.launch(case_id, 1.0, engine_version=text, runner=text, build={text: text})
    made_up.launch(
        case_id, status=Status.FAILED, category=Category.ENGINE, reason=text, log=text, id=text
    )
    run = made_up.run(
        id=text, campaign=text, description=text, specification=text, harness_version=text,
        revision=text,
    )  # fmt: skip
    html = render(run)
    page = Page(html)
    assert page.open == []
    assert not {"script", "iframe", "img"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2028\u2029\u2066-\u2069]", html)
    assert f"case-{refused}" in page.all("id")
    if text.isprintable():
        assert page.text.count(text) > 10


def test_a_run_without_a_launch_renders_and_says_so(made_up):
    made_up.case("net", "local", "onnxruntime")
    page = Page(render(made_up.run(finished=None, revision=None)))
    text = " ".join(page.text.split())
    assert "This run is not finished." in text
    assert "no launch was made" in text
    assert "svg" not in page.tags


def test_what_was_not_measured_is_unknown(made_up):
    made_up.launch(made_up.case("net", "local", "onnxruntime"), figure_ns=1e6)
    text = " ".join(Page(render(made_up.run())).text.split())
    assert "none: one launch" in text
    assert "not checked" in text
    assert "No case has a valid figure of memory." in text
    assert "None" not in text


def test_200_cases_of_5_launches_stay_under_3_mb(made_up):
    for number in range(10):
        made_up.model(f"net-{number}")
        for device in ("local", "qemu-arm64"):
            for engine in ("paddle-lite", "paddle-inference", "onnxruntime", "rknn", "other"):
                for threads in (1, 4):
                    case_id = made_up.case(f"net-{number}", device, engine, threads=threads)
                    for _ in range(4):
                        made_up.launch(case_id, 5.0, samples=300)
                    made_up.launch(
                        case_id, status=Status.FAILED, category=Category.ENGINE,
                        reason="crashed with SIGSEGV after 'loaded'", log="a line of a log\n" * 400,
                    )  # fmt: skip
    html = render(made_up.run())
    assert html.count("<tr id=") == 200
    assert len(html.encode()) < 3_000_000
