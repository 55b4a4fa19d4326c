import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from harness.core.reason import plain
from harness.core.records import (
    ArtifactRecord,
    Category,
    DeviceMemory,
    OutputCheck,
    Role,
    Status,
)
from harness.report.render import cases_shown, render
from tests.report.conftest import large_run

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
OPTIONAL = {"td", "th", "tr"}  # of which HTML needs no end tags


class Page(HTMLParser):
    """What is in a document: tags, attributes, text, and whether every tag is closed."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.scripts = []
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in VOID | OPTIONAL:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in OPTIONAL or self.open.pop() == tag

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif "style" not in self.open:
            self.text += data + " "

    def packed(self, **attributes):
        """Return what is packed into the file under an attribute."""
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        (content,) = (text for found, text in self.scripts if wanted.items() <= found.items())
        return gzip.decompress(base64.b64decode(content)).decode()

    def all(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture
def page(demo):
    return Page(render(demo))


def said(html):
    return " ".join(Page(html).text.split())


def test_the_demo_s_report_says_what_came_of_every_case(page):
    text = " ".join(page.text.split())
    assert "Of 12 cases 9 have a valid latency (devices: 2); invalid: 1; refused: 2." in text
    assert "Of 50 launches made, 46 are ok, 1 failed and 3 were invalid" in text
    assert "cannot be told apart" in text
    assert "3 of 5 launches were invalid: throttled: 1.2 GHz during, 2.5 GHz before" in text
    assert "qemu-arm64 has no engine 'paddle-lite' in its file" in text
    assert "(timeout): ended at its time limit of 120 s" in text
    assert "W1122 14:05:11 onednn not available" in text
    assert "harness run campaigns/demo.yaml --seed 20261122" in text
    assert "SECRET" not in text
    assert "No NPU was measured in this run" in text


def test_the_page_is_there_in_the_other_language_too(demo):
    page = Page(render(demo))
    chinese = Page(page.packed(data_page="zh-CN"))
    assert chinese.open == []
    assert "2 台设备上的 12 个用例中" in " ".join(chinese.text.split())
    assert chinese.all("id")
    assert set(chinese.all("id")) == set(page.all("id")) - {"data"}
    turned = Page(render(demo, lang="zh-CN"))
    assert turned.all("lang")[:2] == ["zh-CN", "zh-CN"]
    assert "9 have a valid latency" in turned.packed(data_page="en")


def test_the_figures_of_every_launch_are_in_the_file(demo):
    data = json.loads(Page(render(demo)).packed(id="data"))
    assert data["run"]["id"] == demo.id
    launches = [launch for case in data["cases"] for launch in case["launches"]]
    assert len(launches) == len(demo.launches)
    ok = next(launch for launch in launches if launch["status"] == "ok")
    original = next(launch for launch in demo.launches if launch.status is Status.OK)
    assert ok["figure_ms"] == pytest.approx(original.figure_ns / 1e6, rel=1e-5)
    assert ok["samples"] == len(ok["samples_ms"]) == len(original.samples_ns)
    assert ok["samples_ms"] == pytest.approx([ns / 1e6 for ns in original.samples_ns], rel=1e-3)
    assert "SECRET" not in json.dumps(data)


def test_of_a_long_launch_at_most_200_samples_are_in_the_file(made_up):
    made_up.launch(made_up.case("net", "local", "onnxruntime"), 1.0, samples=5000)
    (case,) = json.loads(Page(render(made_up.run())).packed(id="data"))["cases"]
    assert case["launches"][0]["samples"] == 5000
    assert len(case["launches"][0]["samples_ms"]) <= 200


def test_memory_says_of_what_it_is_and_what_is_unknown(made_up):
    settings = {"options": {"power": "<b>"}, "variables": {"VIV": "\u202ex"}}
    case = made_up.case("net", "local", "paddle-lite", record=settings)
    made_up.launch(case, 1.0, vmhwm_source="supervisor", vmhwm_bytes=61_000_000)
    memory = DeviceMemory(available_bytes=-3_100_000, driver_bytes={"galcore": 17_000_000})
    made_up.launch(case, role=Role.MEMORY, pss_bytes=52_000_000, device_memory=memory)
    made_up.launch(made_up.case("net", "local", "onnxruntime"), 1.0)
    text = said(render(made_up.run()))
    assert (
        "61.0 MB seen from outside 61.0 MB – 61.0 MB 52.0 MB 3.10 MB freed galcore 17.0 MB 1.90 MB"
    ) in text
    assert "Unknown for every case here: CMA, dma-buf, Runtime's own" in text
    assert "MB unknown unknown unknown 1.90 MB" in text  # without a memory pass
    assert "option power=<b> variable VIV=\ufffdx" in text


def test_nothing_is_loaded_and_no_script_but_its_own_runs(page):
    assert [found.get("type") for found, _ in page.scripts] == ["application/gzip"] * 2 + [None]
    assert not {"iframe", "object", "embed", "img", "image", "use"} & set(page.tags)
    assert {"src", "style", "xlink:href", "srcset", "action"}.isdisjoint(
        name for _, name, _ in page.attributes
    )
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith(("#", "data:,")) for value in page.all("href"))


def test_the_policy_allows_its_own_style_and_script_and_nothing_else(demo):
    html = render(demo)
    page = Page(html)
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (page.scripts[-1][1], style)
    ]
    assert page.all("content")[0] == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"url\(|@import", style)
    assert not re.search(r"fetch|XMLHttp|eval|Function|https?:|import\(", page.scripts[-1][1])


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
        mentions = re.findall("<h[34]>qemu-arm64", content)
        stamped = re.findall('<h[34]>qemu-arm64 <strong class="stamp">', content)
        assert len(mentions) == len(stamped)
        assert 'class="stamp"' in content or name in {"engines", "method", "audit"}


def test_a_simulated_case_is_stamped_wherever_it_is_named(made_up):
    on_cpu = made_up.case("net", "local", "onnxruntime")
    on_npu = made_up.case("net", "local", "onnxruntime", backend="npu:qnn")
    for latency in (1.0, 1.01, 1.02):
        made_up.launch(on_cpu, latency)
        made_up.launch(on_npu, 40 * latency, simulated="Qualcomm HTP simulator")
    html = render(made_up.run())
    links = re.findall(f'href="?#case-{on_npu}"?>[^<]*</a>(.{{28}})', html)
    assert links
    assert all("stamp" in after for after in links)
    assert "Qualcomm HTP simulator stood in" in html
    assert "Not ranked, for a simulator's times are no hardware's" in Page(html).text


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
    assert "123" not in page.packed(id="data")


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
    assert len(page.scripts) == 3
    for packed in (page.packed(data_page="zh-CN"), page.packed(id="data")):
        assert not re.search("[\x00-\x08\x0b-\x1f]", packed)
    assert Page(page.packed(data_page="zh-CN")).scripts == []
    assert not {"iframe", "img"} & set(page.tags)
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


def test_200_cases_of_5_launches_stay_under_3_mb():  # 2,000 are in benchmarks/
    html = render(large_run(200))
    assert html.count("<tr id=") == 200
    assert len(html.encode()) < 3_000_000


def test_of_very_many_cases_some_are_shown_and_the_rest_is_left_to_export(monkeypatch):
    monkeypatch.setattr("harness.report.render.MOST_CASES", 20)
    run = large_run(60)
    last = run.cases[-1].case
    failed = [
        launch.model_copy(update={"status": Status.FAILED, "reason": plain("the link dropped")})
        if launch.case_id == last.id
        else launch
        for launch in run.launches
    ]
    run = run.model_copy(update={"launches": failed})
    html = render(run)
    assert "Of 60 cases, 20 are shown one by one" in html
    assert f"harness export {run.id} --level case -o cases.csv" in html
    shown = set(re.findall(r'<tr id="?(case-\w+)', html))
    assert len(shown) == 20
    assert f"case-{last.id}" in shown
    # Which they are is known before any samples are read.
    light = [launch.model_copy(update={"samples_ns": [], "log": ""}) for launch in failed]
    few = cases_shown(run.model_copy(update={"launches": light}))
    assert {f"case-{case_id}" for case_id in few} == shown
    assert cases_shown(large_run(20)) is None
    assert "are shown one by one" not in render(large_run(20))
