"""The report in a real browser."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from harness.report.language import LANGUAGES
from harness.report.render import render

pytestmark = pytest.mark.e2e

WIDTHS = (1440, 768, 360)
HOSTILE = (
    "<script>document.title='owned'</script>\"><img src=x onerror=document.title='owned'>\u202e"
)

# Of each chart: its drawn marks, and the pairs of its texts that overlap.
MEASURE_CHARTS = """
() => [...document.querySelectorAll('svg')].map(svg => {
  svg.scrollIntoView({behavior: 'instant'});
  const boxes = selector => [...svg.querySelectorAll(selector)].map(x => x.getBoundingClientRect());
  const texts = boxes('text');
  const overlap = (a, b) => a.left < b.right && b.left < a.right
    && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
  return {
    width: svg.getBoundingClientRect().width,
    marks: [...svg.querySelectorAll('path:not(.r), circle')]
      .filter(x => x.getTotalLength() > 0 || x.getAttribute('d')?.includes('h0')).length,
    colours: [...svg.querySelectorAll('path, circle')].every(x => {
      const style = getComputedStyle(x);
      return style.stroke !== 'none' || style.fill !== 'none';
    }),
    smallest: Math.min(...texts.map(box => box.height)),
    right: Math.max(...texts.map(box => box.right)),
    overlaps: texts.flatMap((a, i) => texts.slice(i + 1).filter(b => overlap(a, b))).length,
    name: svg.getAttribute('aria-label')
      ?? document.getElementById(svg.getAttribute('aria-labelledby')).textContent,
  };
})
"""


@pytest.fixture(scope="module")
def files(lab, tmp_path_factory):
    """The report of the made-up lab, in each language."""
    folder = tmp_path_factory.mktemp("reports")
    for lang in LANGUAGES:
        (folder / f"{lang}.html").write_text(render(lab, lang=lang), encoding="utf-8")
    return folder


@pytest.fixture
def opened(chromium, files, tmp_path):
    """Open a report; collect what the browser complains of and asks for, to the test's end."""
    contexts, complaints, requests = [], [], []

    def open_page(width=1440, scheme="light", lang="en", run=None, at=""):
        path = files / f"{lang}.html"
        if run:
            path = tmp_path / "run.html"
            path.write_text(render(run, lang=lang), encoding="utf-8")
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith("blob:") or requests.append(request.url),
        )
        page.goto(path.as_uri() + at)
        assert requests.pop() == path.as_uri()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert requests == []


def switch_language(page):
    before = page.locator("#page").get_attribute("lang")
    page.locator("[data-do=language]").click()
    page.locator(f"html:not([lang={before}])").wait_for(state="attached")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_charts_are_drawn_and_legible_and_the_page_does_not_scroll_sideways(opened, width, lang):
    page = opened(width, "dark" if width == 768 else "light", lang)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = page.evaluate(MEASURE_CHARTS)
    assert len(found) > 20
    for chart in found:
        assert chart["name"]
        assert chart["width"] > 200, chart
        assert chart["marks"] > 0, chart
        assert chart["colours"], chart
        assert chart["smallest"] > 10, chart
        assert chart["right"] <= width + 1, chart
        assert chart["overlaps"] == 0, chart


@pytest.mark.parametrize(
    ("width", "scheme", "lang"),
    [(1440, "light", "en"), (768, "dark", "zh-CN"), (360, "light", "zh-CN"), (360, "dark", "en")],
)
def test_it_is_accessible(opened, width, scheme, lang):
    results = Axe().run(opened(width, scheme, lang))
    assert results.violations_count == 0, results.generate_report()


def test_the_language_is_switched_and_back_without_a_loss(opened):
    page = opened()
    charts = page.locator("svg").count()
    switch_language(page)
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.locator("#summary-h").inner_text() == "结论"
    assert page.locator("svg").count() == charts
    assert all(chart["marks"] > 0 for chart in page.evaluate(MEASURE_CHARTS))
    switch_language(page)
    assert page.locator("#summary-h").inner_text() == "Verdict"
    assert page.locator("svg").count() == charts
    assert page.locator(".copy").count() == page.locator(".scroll").count()


def test_the_theme_is_switched(opened):
    def colours(page):
        return page.evaluate(
            "[['body', 'backgroundColor'], ['body', 'color'], ['svg text', 'fill'],"
            " ['svg .d', 'fill'], ['svg .o', 'stroke']].map(([selector, property]) =>"
            " getComputedStyle(document.querySelector(selector))[property])"
        )

    page = opened(scheme="light")
    automatic = colours(page)
    button = page.locator("[data-do=theme]")
    button.click()
    assert (button.inner_text(), colours(page)) == ("Theme: light", automatic)
    button.click()
    assert button.inner_text() == "Theme: dark"
    assert all(light != dark for light, dark in zip(automatic, colours(page), strict=True))
    assert colours(opened(scheme="dark")) == colours(page)


def test_a_link_to_a_case_leads_there(opened, lab):
    case_id = lab.cases[3].case.id
    page = opened(at=f"#case-{case_id}")
    row = page.locator(f"#case-{case_id}")
    assert row.evaluate("row => row.matches(':target')")
    expect(row).to_be_in_viewport()


def test_every_link_of_the_contents_leads_to_its_section(opened):
    page = opened()
    for link in page.locator("nav a").all():
        link.click()
        assert page.locator(link.get_attribute("href")).is_visible()


def test_a_table_is_copied_as_markdown(opened):
    page = opened()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#latency .copy").first.click()
    expect(page.locator("#latency .copy").first).to_have_text("Copied")
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0].startswith("| Case | Latency | 95 % interval |")
    assert set(lines[1]) <= set("| -")
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_the_data_is_saved(opened, lab):
    page = opened()
    with page.expect_download() as saved:
        page.locator("[data-do=data]").click()
    assert saved.value.suggested_filename == f"{lab.id}.json"
    data = json.loads(saved.value.path().read_text())
    assert len(data["cases"]) == len(lab.cases)


def test_the_filter_leaves_what_fits(opened):
    page = opened()
    rows = page.locator("#latency tbody tr:not(.model):visible")
    before = rows.count()
    page.locator(".filter").fill("onnxruntime rk3588")
    kept = rows.all_inner_texts()
    assert 0 < len(kept) < before
    assert all("onnxruntime" in text for text in kept)
    page.locator(".filter").fill("")
    assert rows.count() == before


def test_the_keyboard_reaches_contents_tools_and_tables(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.dataset.do ?? document.activeElement.hash"))
    assert {"theme", "language", "data", "print", "#summary", "#latency"} <= seen


def test_paper_is_white_and_nothing_is_cut_off(opened):
    page = opened(688, "dark")
    page.locator("[data-do=theme]").dblclick()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") == 688
    assert page.locator(".tools").is_hidden()
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_hostile_names_are_inert(opened, made_up):
    made_up.device(HOSTILE, description=HOSTILE, facts={"soc": HOSTILE})
    made_up.model(HOSTILE, title=HOSTILE)
    made_up.launch(made_up.case(HOSTILE, HOSTILE, HOSTILE), 1.0, engine_version=HOSTILE)
    page = opened(run=made_up.run(campaign=HOSTILE, description=HOSTILE))
    for _ in LANGUAGES:
        assert page.locator("img").count() == 0
        assert page.locator("h1").inner_text().startswith("<script>")
        assert page.title() != "owned"
        switch_language(page)


def test_without_a_script_all_is_there_but_the_tools(chromium, files):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((files / "en.html").as_uri())
    assert page.locator(".tools").is_hidden()
    assert page.locator("#latency svg").first.is_visible()
    context.close()
