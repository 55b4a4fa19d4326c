"""The history site: its pages, and how it comes into its folder and is replaced there."""

from __future__ import annotations

import json
import re
import shutil
import signal
from contextlib import closing
from urllib.parse import urldefrag

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.app import harness
from harness.core import revisions
from harness.core.revisions import Between
from harness.report import render as rendering
from harness.report.language import LANGUAGES
from harness.report.site.content import file_name
from harness.report.site.folder import MARKER, PART, SiteFolder
from harness.workspace import Workspace
from tests.report.conftest import BEGUN
from tests.report.nightly import CASES, add, fill, night
from tests.report.test_render import HOSTILE, Page

SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """A workspace with ten nights, which tests only read."""
    root = tmp_path_factory.mktemp("lab")
    for name in ("devices", "campaigns"):
        (root / name).mkdir()
    fill(Workspace(root))
    return root


@pytest.fixture(scope="module")
def site(nights):
    """Its site."""
    folder = nights / "public"
    harness.main(["--workspace", str(nights), "site", "build", str(folder)], standalone_mode=False)
    return folder


@pytest.fixture
def lab(workspace, nights, monkeypatch):
    """A copy of the ten nights, and instead of reports a double of one line."""

    def render(run, **options):
        return f"<p>{run.id}, {len(run.launches)} launches"

    monkeypatch.setattr(rendering, "render", render)
    for name in (".harness", "baselines"):
        shutil.copytree(nights / name, workspace.root / name)
    return workspace


@pytest.fixture
def folder(tmp_path):
    """Where the site goes."""
    return tmp_path / "public"


def tree(folder):
    """Return what a web server would have of a folder, with the times of the last changes."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }


def texts(folder):
    """Yield place and parsed page of all pages but reports, in each language."""
    for path in sorted(folder.rglob("*.html")):
        place = path.relative_to(folder)
        if place.parts[0] != "reports":
            page = Page(path.read_text())
            yield place, page
            yield place, Page(page.packed(data_page="zh-CN"))


def said(page):
    return " ".join(page.text.split())


def test_a_page_for_each_campaign_device_and_model_and_a_report_for_each_run(cli, lab, folder):
    done = cli("site", "build", folder)
    assert (done.code, done.out) == (0, f"{folder}/index.html\n")
    assert "10 reports, 10 rendered; 7 other pages" in done.err
    assert {place for place in tree(folder) if not place.startswith("reports/")} == {
        "index.html",
        "campaigns/nightly.html",
        "devices/qemu-arm64.html",
        "devices/rk3588.html",
        "trends/qemu-arm64--mobilenet_v1.html",
        "trends/rk3588--mobilenet_v1.html",
        "trends/rk3588--ppocr_v4_cls.html",
    }
    assert not (folder / PART).exists()


def test_every_link_is_relative_and_leads_somewhere(site):
    ids = {}
    for path in site.rglob("*.html"):
        ids[path] = set(Page(path.read_text()).all("id"))
    count = 0
    for place, page in texts(site):
        assert page.open == []
        for link in page.all("href"):
            if link == "data:,":
                continue
            target, anchor = urldefrag(link)
            path = (site / place.parent / target).resolve() if target else site / place
            assert path.is_relative_to(site), link
            assert not anchor or anchor in ids[path], link
            count += 1
    assert count > 200


def test_what_changed_comes_first(site):
    index = Page((site / "index.html").read_text())
    assert "mobilenet_v1 · rknn/npu:rknpu rk3588 slower +1" in said(index)
    assert "Emulated" in said(index)
    assert "reports/nightly-20261128-140300.html#case-" in "".join(index.all("href"))
    chinese = said(Page(index.packed(data_page="zh-CN")))
    assert "变慢 +1" in chinese
    assert "测量历史" in chinese


def test_a_trend_has_its_change_its_baseline_and_what_else_changed(site):
    page = Page((site / "trends" / "rk3588--mobilenet_v1.html").read_text())
    text = said(page)
    assert "Against good" in text
    assert "Baseline good: nightly-20261124-140300" in text
    assert "Differs, too kernel: 5.10.198 → 5.10.209" in text
    assert "no commit of this repository" in text
    assert text.count("Runs (10)") == 2
    assert page.tags.count("svg") == 4
    other = Page(page.packed(data_page="zh-CN"))
    assert "svg" not in other.tags  # they move over
    assert "内核\N{FULLWIDTH COLON}5.10.198 → 5.10.209" in said(other)


def test_commits_to_suspect_are_listed(cli, lab, folder, monkeypatch):
    def between(root, good, bad):
        return Between(f"{good}..{bad}", 2, ("8a9b0c1 driver <5>", "77d21f0 driver 4"), "")

    monkeypatch.setattr(revisions, "between", between)
    cli("site", "build", folder)
    text = said(Page((folder / "trends" / "rk3588--mobilenet_v1.html").read_text()))
    assert "Commits 000000000005..000000000006 (2)" in text
    assert "Commits to suspect 8a9b0c1 driver <5> 77d21f0 driver 4" in text
    assert "000000000005..000000000006" in said(Page((folder / "index.html").read_text()))


def test_a_device_s_page_tells_how_it_fared(site):
    page = Page((site / "devices" / "rk3588.html").read_text())
    assert "timeout × 3" in said(page)
    assert "put aside × 1, power-cycled × 1" in said(page)
    assert "超时 × 3" in said(Page(page.packed(data_page="zh-CN")))


def test_no_serial_number_no_machine_id_and_no_address_leaves_the_lab(site):
    for path in site.rglob("*"):
        if path.is_file():
            assert "SECRET" not in path.read_text()
    for _, page in texts(site):
        assert "SECRET" not in page.text
        assert "192.168" not in page.text


def test_it_opens_in_chinese(cli, workspace, folder):
    add(workspace, night(0, CASES[2:3]))
    cli("site", "build", folder, "--lang", "zh-CN")
    page = Page((folder / "index.html").read_text())
    assert page.all("lang")[:2] == ["zh-CN", "zh-CN"]
    report = Page(next((folder / "reports").iterdir()).read_text())
    assert report.all("lang")[0] == "zh-CN"
    assert page.packed(data_page="en")


def test_nothing_is_done_where_nothing_is_new(cli, lab, folder):
    cli("site", "build", folder)
    before = tree(folder)
    again = cli("site", "build", folder)
    assert (again.code, again.out) == (0, f"{folder}/index.html\n")
    assert "nothing is new" in again.err
    assert tree(folder) == before


def test_only_what_is_missing_or_changed_is_made_anew(cli, lab, folder):
    cli("site", "build", folder)
    before = tree(folder)
    lost = folder / "reports" / "nightly-20261123-140300.html"
    lost.unlink()
    new = night(10)
    add(lab, new)
    assert "11 reports, 2 rendered" in cli("site", "build", folder).err
    after = tree(folder)
    anew = {place for place in after if before.get(place) != after[place]}
    assert {place for place in anew if place.startswith("reports/")} == {
        "reports/nightly-20261123-140300.html",
        f"reports/{new.id}.html",
    }
    assert "index.html" in anew


def test_a_run_that_goes_on_is_rendered_again(cli, lab, folder):
    run = night(11)
    add(lab, run.model_copy(update={"launches": run.launches[:7]}))
    cli("site", "build", folder)
    with lab.store() as store:
        for launch in run.launches[7:]:
            store.add(run.id, launch)
    assert "11 reports, 1 rendered" in cli("site", "build", folder).err


def test_what_is_stale_goes(cli, lab, folder):
    cli("site", "build", folder)
    done = cli("site", "build", folder, "--since", "2026-11-30")
    assert "2 reports, 0 rendered" in done.err
    assert len([place for place in tree(folder) if place.startswith("reports/")]) == 2
    for _, page in texts(folder):
        assert "20261123" not in page.text
    cli("site", "build", folder)
    assert len(tree(folder)) == 17


def test_a_folder_that_holds_something_else_is_left_alone(cli, lab, folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    done = cli("site", "build", folder)
    assert done.code == 2
    assert "did not write" in done.err
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_what_others_put_into_a_site_stays(cli, lab, folder):
    cli("site", "build", folder)
    (folder / "CNAME").write_text("bench.example.org")
    add(lab, night(10))
    assert cli("site", "build", folder).code == 0
    assert (folder / "CNAME").read_text() == "bench.example.org"


def test_what_others_put_where_a_page_is_to_be_is_in_the_way(cli, lab, folder):
    cli("site", "build", folder)
    new = night(10)
    (folder / "reports" / f"{new.id}.html").write_text("mine")
    before = tree(folder)
    add(lab, new)
    done = cli("site", "build", folder)
    assert (done.code, "is in the way" in done.err) == (2, True)
    assert tree(folder) == before


def test_a_link_out_of_the_folder_is_not_followed(cli, lab, folder, tmp_path):
    cli("site", "build", folder)
    outside = tmp_path / "outside"
    (folder / "reports").rename(outside)
    (folder / "reports").symlink_to(outside)
    add(lab, night(10))
    assert cli("site", "build", folder).code == 2
    assert len(list(outside.iterdir())) == 10


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        json.dumps({"files": {"../thesis.txt": {"made_of": "x", "size": 1}}}),
        json.dumps({"files": {"reports/../../x.html": {"made_of": "x", "size": 1}}}),
        json.dumps({"made_by": "somebody"}),
        json.dumps({"format": 2}),
    ],
)
def test_a_marker_that_is_not_ours_gives_no_right_to_the_folder(cli, lab, folder, content):
    folder.mkdir()
    (folder / MARKER).write_text(content)
    (folder.parent / "thesis.txt").write_text("mine")
    assert cli("site", "build", folder).code == 2
    assert (folder / MARKER).read_text() == content
    assert (folder.parent / "thesis.txt").exists()


def test_an_interrupted_build_leaves_the_old_site_and_the_next_one_goes_on(
    cli, lab, folder, monkeypatch
):
    cli("site", "build", folder)
    before = tree(folder)
    add(lab, night(10), night(11))
    made = []

    def interrupted(run, **options):
        if made:
            raise KeyboardInterrupt
        made.append(run.id)
        return render(run, **options)

    render = rendering.render
    monkeypatch.setattr(rendering, "render", interrupted)
    assert cli("site", "build", folder).code == 130
    assert tree(folder) == before
    monkeypatch.setattr(rendering, "render", render)
    assert "12 reports, 1 rendered" in cli("site", "build", folder).err
    assert not (folder / PART).exists()


def test_a_first_build_that_was_interrupted_can_be_gone_on_with(cli, lab, folder, monkeypatch):
    def interrupted(run, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rendering, "render", interrupted)
        assert cli("site", "build", folder).code == 130
    assert tree(folder) == {}
    assert cli("site", "build", folder).code == 0


def test_ctrl_c_while_files_take_their_places_waits_for_them(folder, monkeypatch):
    with closing(SiteFolder(folder)) as site:
        mark = site._mark

        def interrupted(marker):
            mark(marker)
            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(site, "_mark", interrupted)
        site.stage("index.html", "a", "one")
        site.stage("reports/a.html", "b", "two")
        with pytest.raises(KeyboardInterrupt):
            site.replace("all")
        monkeypatch.undo()
    assert set(tree(folder)) == {"index.html", "reports/a.html"}
    with closing(SiteFolder(folder)) as site:
        assert site.is_made_of("all")


def test_a_build_that_was_killed_while_files_took_their_places_is_mended(folder, monkeypatch):
    with closing(SiteFolder(folder)) as site:
        site.stage("index.html", "a", "one")
        site.replace("first")
    with closing(SiteFolder(folder)) as site:
        site.stage("index.html", "b", "new")
        monkeypatch.setattr(type(folder), "replace", killed(type(folder).replace, "index.html"))
        with pytest.raises(SystemExit):
            site.replace("second")
        monkeypatch.undo()
    assert (folder / "index.html").read_text() == "one"
    with closing(SiteFolder(folder)) as site:
        assert not site.is_made_of("first")
        assert site.keep("index.html", "b")
        site.replace("second")
    assert (folder / "index.html").read_text() == "new"


def killed(replace, at):
    def wrapper(self, target):
        if target.name == at:
            raise SystemExit
        return replace(self, target)

    return wrapper


def test_two_builds_in_one_folder_do_not_meet(cli, lab, folder):
    with closing(SiteFolder(folder)):
        done = cli("site", "build", folder)
    assert (done.code, "is running there" in done.err) == (3, True)
    assert cli("site", "build", folder).code == 0


def test_a_folder_that_cannot_be_made_is_said(cli, lab, tmp_path):
    (tmp_path / "file").write_text("")
    done = cli("site", "build", tmp_path / "file" / "public")
    assert (done.code, "Not a directory" in done.err) == (3, True)


def test_where_nothing_was_measured_no_folder_is_made(cli, workspace, folder):
    done = cli("site", "build", folder)
    assert (done.code, "no run has a launch yet" in done.err) == (2, True)
    assert not folder.exists()


def test_a_baseline_that_cannot_be_read_is_left_out_and_said(cli, lab, folder):
    (lab.baselines / "broken.json").write_text("{")
    done = cli("site", "build", folder)
    assert done.code == 0
    assert "warning: left out:" in done.err
    assert "Against broken" not in (folder / "trends/rk3588--mobilenet_v1.html").read_text()


def test_a_run_that_decides_suspicions_stands_with_its_campaign(cli, lab, folder):
    of = "nightly-20261130-140300"
    run = night(12).model_copy(
        update={"id": "check-nightly-1", "campaign": "check:nightly", "confirms": of}
    )
    launches = [each.model_copy(update={"id": f"c{each.id}"}) for each in run.launches]
    add(lab, run.model_copy(update={"launches": launches}))
    cli("site", "build", folder)
    page = Page((folder / "campaigns" / "nightly.html").read_text())
    assert f"check-nightly-1 decides suspicions of {of}" in said(page)
    assert len(list((folder / "campaigns").iterdir())) == 1
    assert "Runs (10)" in said(Page((folder / "trends/rk3588--ppocr_v4_cls.html").read_text()))


def test_another_board_under_the_same_name_has_a_trend_of_its_own(cli, lab, folder):
    run = night(10)
    facts = run.devices[0].facts | {"serial": "OTHER-SECRET", "machine_id": "OTHER-SECRET"}
    devices = [run.devices[0].model_copy(update={"facts": facts}), run.devices[1]]
    add(lab, run.model_copy(update={"devices": devices}))
    cli("site", "build", folder)
    page = Page((folder / "trends" / "rk3588--ppocr_v4_cls.html").read_text())
    assert "2 of 2: another instance of the device" in said(page)
    assert "SECRET" not in said(page)


def test_hostile_names_are_inert_and_stay_in_the_folder(cli, workspace, folder):
    names = [*HOSTILE, "../../escape", "/etc/passwd", "con.", "index", "Ünïcode", "a" * 300]
    for number, name in enumerate(names):
        cases = ((name, "rk3588", {"engine": name}, 1.0),)
        run = night(number, cases, campaign=name)
        devices = [run.devices[0].model_copy(update={"name": name, "description": name})]
        record = run.cases[0].model_copy(
            update={"case": run.cases[0].case.model_copy(update={"device": name})}
        )
        launches = [
            each.model_copy(update={"id": f"{number}-{slot}", "case_id": record.case.id})
            for slot, each in enumerate(run.launches)
        ]
        add(
            workspace,
            run.model_copy(
                update={
                    "id": name, "description": name, "revision": name, "devices": devices,
                    "cases": [record], "launches": launches,
                }
            ),
        )  # fmt: skip
    done = cli("site", "build", folder)
    assert done.code == 0
    assert len(list(folder.rglob("*.html"))) == 1 + 4 * len(names)
    assert {path.name for path in folder.parent.iterdir()} >= {"public"}
    for path in folder.rglob("*"):
        if path.name != MARKER:
            assert SAFE.fullmatch(path.name), path
    for _, page in texts(folder):
        assert page.open == []
        assert not {"img", "iframe"} & set(page.tags)
        assert not re.search("[\u202e\u2066\x07\x1b\x00\u2028]", page.text)


@given(st.lists(st.text(max_size=120), min_size=1, max_size=2))
def test_a_file_name_is_safe_everywhere(names):
    assert SAFE.fullmatch(file_name(*names))


@given(st.lists(st.text("aA-._/", max_size=6), min_size=2, max_size=2, unique=True))
def test_two_names_have_two_files(names):
    one, other = names
    assert file_name(one).lower() != file_name(other).lower()
    assert file_name("x", one) != file_name("x", other)
    assert file_name(one, "x") != file_name(other, "x")


def test_names_that_look_joined_are_told_apart():
    assert file_name("a", "b--c") != file_name("a--b", "c")
    assert (file_name("rk3588", "net"), file_name("net")) == ("rk3588--net", "net")


def test_help_has_an_example(cli):
    done = cli("site", "build", "--help")
    assert "harness site build public" in done.out
    assert all(tag in done.out for tag in LANGUAGES)


def test_the_made_up_nights_begin_when_they_say():
    assert night(0).started == BEGUN
