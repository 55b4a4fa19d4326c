import pytest


@pytest.fixture
def stored(workspace, made_up):
    """Store a run in the workspace."""

    def store(run_id="demo-20261122-140300", **fields):
        run = made_up.run(id=run_id, **fields)
        with workspace.store() as database:
            database.create(run)
            for launch in run.launches:
                database.add(run.id, launch)

    return store


def test_the_newest_run_goes_into_the_reports_folder(cli, workspace, made_up, stored):
    made_up.launch(made_up.case("net", "local", "onnxruntime"), 1.0)
    stored()
    said = cli("report")
    path = workspace.reports / "demo-20261122-140300.html"
    assert (said.code, said.out) == (0, f"{path}\n")
    assert "<title>demo · demo-20261122-140300" in path.read_text()


@pytest.mark.parametrize("name", ["other", "other-1"])
def test_a_run_is_named_by_its_id_or_its_campaign(cli, tmp_path, stored, name):
    stored("other-1", campaign="other")
    stored("demo-2", campaign="demo")
    path = tmp_path / "out.html"
    assert cli("report", name, "-o", path).out == f"{path}\n"
    assert "<h1>other</h1>" in path.read_text()


def test_a_run_s_id_never_leaves_the_reports_folder(cli, workspace, stored):
    stored("../../etc/passwd")
    cli("report")
    assert [path.name for path in workspace.reports.iterdir()] == [".._.._etc_passwd.html"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 2, "no run 'nothing'"),
        (["-o", "no/such/folder/x.html"], 2, "no/such/folder/x.html: No such file or directory"),
    ],
)
def test_a_mistake_ends_in_one_line(cli, stored, arguments, code, message):
    stored()
    said = cli("report", *arguments)
    assert said.code == code
    assert message in said.err
    assert said.out == ""


def test_without_any_run_it_says_what_to_do(cli, workspace):
    said = cli("report")
    assert said.code == 2
    assert "harness run campaigns/NAME.yaml" in said.err
