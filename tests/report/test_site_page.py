"""The history site in a real browser, from a web server under a path of its own."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urldefrag

import pytest
from axe_playwright_python.sync_playwright import Axe

from harness.cli.app import harness
from harness.report.language import LANGUAGES
from harness.workspace import Workspace
from tests.report.nightly import CASES, add, fill, night
from tests.report.test_page import HOSTILE, MEASURE_CHARTS, WIDTHS, switch_language

pytestmark = pytest.mark.e2e


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The site of nine nights, one of them with hostile names."""
    root = tmp_path_factory.mktemp("lab")
    for name in ("devices", "campaigns"):
        (root / name).mkdir()
    fill(Workspace(root), 8)
    hostile = night(8, ((HOSTILE, "rk3588", CASES[0][2], 1.0),), campaign="hostile")
    add(Workspace(root), hostile.model_copy(update={"campaign": HOSTILE, "description": HOSTILE}))
    folder = root / "public" / "lab"
    harness.main(["--workspace", str(root), "site", "build", str(folder)], standalone_mode=False)
    return folder


@pytest.fixture(scope="module")
def address(folder):
    """Where a static web server has it."""
    serve = partial(Quiet, directory=folder.parent)
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/lab/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def opened(chromium):
    """Open a blank page; collect what the browser complains of and asks for, to the test's end."""
    contexts, complaints, requests = [], [], []

    def open_page(width=1440, scheme="light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith(("file:///", "http://127.0.0.1:", "blob:")) for url in requests)


def pages(folder):
    """Return the places of all pages but reports, which have tests of their own."""
    found = [path.relative_to(folder) for path in sorted(folder.rglob("*.html"))]
    return [str(place) for place in found if place.parts[0] != "reports"]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_chart_is_drawn_and_no_page_scrolls_sideways(opened, address, folder, width, lang):
    page = opened(width, "dark" if width == 768 else "light")
    page.goto(address)
    if lang != "en":
        switch_language(page)
    count = 0
    for place in pages(folder):
        page.goto(address + place)
        page.locator(f"html[lang={lang}]").wait_for(state="attached")  # the choice holds
        assert page.evaluate("document.documentElement.scrollWidth") == width, place
        for chart in page.evaluate(MEASURE_CHARTS):
            assert chart["name"], place
            assert chart["width"] > 100, place
            assert chart["marks"] > 0, place
            assert chart["colours"], place
            assert chart["right"] <= width + 1 or chart["right"] == float("-inf"), place
            assert chart["overlaps"] == 0, (place, chart)
            count += 1
    assert count > 12


@pytest.mark.parametrize(
    ("width", "scheme", "lang"), [(1440, "light", "en"), (360, "dark", "zh-CN")]
)
def test_every_page_is_accessible(opened, address, folder, width, scheme, lang):
    page = opened(width, scheme)
    page.goto(address)
    if lang != "en":
        switch_language(page)
    for place in pages(folder):
        page.goto(address + place)
        page.locator(f"html[lang={lang}]").wait_for(state="attached")
        for details in page.locator("details").all():
            details.evaluate("it => { it.open = true; }")
        results = Axe().run(page)
        assert results.violations_count == 0, f"{place}: {results.generate_report()}"


def test_every_link_of_every_page_leads_somewhere(opened, address, folder):
    """From a server, as a crawler goes: no dead link, no missing anchor, nothing outside."""
    page = opened()
    todo, seen = [address], {}
    links = []
    while todo:
        at = todo.pop()
        response = page.goto(at)
        assert response.ok, at
        seen[at] = set(page.evaluate("[...document.querySelectorAll('[id]')].map(x => x.id)"))
        for link in page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)"):
            assert link.startswith(address), (at, link)
            target, anchor = urldefrag(link)
            links.append((target, anchor))
            if target not in seen and target not in todo:
                todo.append(target)
    assert {f"{address}{place}" for place in pages(folder)} <= set(seen)
    assert len(list((folder / "reports").iterdir())) == 9
    assert sum("/reports/" in place for place in seen) == 9
    assert [link for link in links if link[1] and link[1] not in seen[link[0]]] == []


def test_it_works_from_a_folder_without_a_server(opened, folder):
    page = opened()
    page.goto((folder / "index.html").as_uri())
    page.locator("#changes tbody th a").first.click()
    page.locator("section.trend:target").wait_for()
    assert page.locator("section.trend:target svg").is_visible()
    page.locator("section.trend:target dd a").first.click()
    page.locator("tr:target").wait_for()
    assert "nightly" in page.locator("h1").inner_text()


def test_the_language_holds_from_page_to_page_and_in_reports(opened, address):
    page = opened()
    page.goto(address)
    switch_language(page)
    charts = page.locator("svg").count()
    page.locator("#trends tbody a").first.click()
    page.locator("html[lang=zh-CN]").wait_for(state="attached")
    assert page.locator("#overview-h").inner_text() == "概览"
    assert page.locator("svg").count() > charts
    page.locator("section.trend details summary").last.click()
    page.locator("section.trend tbody a").last.click()
    page.locator("html[lang=zh-CN]").wait_for(state="attached")
    assert page.locator("#summary-h").inner_text() == "结论"
    switch_language(page)
    page.go_back()
    page.locator("html[lang=en]").wait_for(state="attached")
    page.reload()
    assert page.locator("#overview-h").inner_text() == "Overview"


def test_hostile_names_are_inert(opened, address, folder):
    page = opened()
    for place in pages(folder):
        page.goto(address + place)
        assert page.locator("img").count() == 0
        assert page.title() != "owned"


def test_on_paper_it_is_white_and_nothing_is_cut_off(opened, address):
    page = opened(688, "dark")
    page.goto(f"{address}trends/rk3588--mobilenet_v1.html")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") == 688
    assert page.locator(".tools").is_hidden()
