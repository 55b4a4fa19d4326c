"""The report in a real browser."""

from __future__ import annotations

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from harness.report.render import render

pytestmark = pytest.mark.e2e

ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
]

# Of each chart: its drawn marks, and the pairs of its texts that overlap.
MEASURE_CHARTS = """
() => [...document.querySelectorAll('svg')].map(svg => {
  const boxes = selector => [...svg.querySelectorAll(selector)].map(x => x.getBoundingClientRect());
  const texts = boxes('text');
  const overlap = (a, b) => a.left < b.right && b.left < a.right
    && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
  return {
    width: svg.getBoundingClientRect().width,
    marks: boxes('path, rect').filter(box => box.width + box.height > 0).length,
    smallest: Math.min(...texts.map(box => box.height)),
    right: Math.max(...texts.map(box => box.right)),
    overlaps: texts.flatMap((a, i) => texts.slice(i + 1).filter(b => overlap(a, b))).length,
  };
})
"""


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium here: apt-get install chromium")
    arguments = [*ARGUMENTS, "--no-sandbox"] if os.geteuid() == 0 else ARGUMENTS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, demo, tmp_path):
    """Open the demo's report; collect what the browser complains of and asks for."""
    path = tmp_path / "report.html"
    path.write_text(render(demo), encoding="utf-8")
    contexts = []

    def open_page(width, scheme="light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        complaints, requests = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        assert complaints == []
        assert requests == [path.as_uri()]
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_charts_are_drawn_and_legible_and_the_page_does_not_scroll_sideways(opened, width, scheme):
    page = opened(width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = page.evaluate(MEASURE_CHARTS)
    assert len(found) == 22
    for chart in found:
        assert chart["width"] > 200
        assert chart["marks"] > 0
        assert chart["smallest"] > 10
        assert chart["right"] <= width
        assert chart["overlaps"] == 0


def test_dark_differs_from_light_in_paper_ink_and_charts(opened):
    colours = [
        opened(1280, scheme).evaluate(
            "[['body', 'backgroundColor'], ['body', 'color'], ['svg text', 'fill'],"
            " ['svg path[fill*=engine]', 'fill']].map(([selector, property]) =>"
            " getComputedStyle(document.querySelector(selector))[property])"
        )
        for scheme in ("light", "dark")
    ]
    assert all(light != dark for light, dark in zip(*colours, strict=True))


def test_paper_is_white_and_nothing_is_cut_off(opened):
    page = opened(688, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") == 688
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
