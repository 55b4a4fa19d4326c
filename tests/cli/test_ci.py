"""The step of CI, as far as a shell goes: the scripts of action and GitLab, harness a double."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parent.parent.parent

# Stands for the harness: what is tested is how it is called, and what becomes of what it says.
DOUBLE = """#!/bin/sh
echo "$@" >>"$CALLS"
case "$*" in
*" check "*)
    [ -z "${QUIET:-}" ] || exit 3
    while [ $# -gt 0 ]; do
        case "$1" in
        --junit) echo '<testsuites/>' >"$2" ;;
        --markdown) echo '### 1 case against good' >"$2" ;;
        esac
        shift
    done
    echo '{}'
    exit "${STATUS:-0}" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout in which setting up does nothing."""
    root = tmp_path / "clone"
    (root / "scripts").mkdir(parents=True)
    (root / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(REPOSITORY / "scripts" / "ci-check", root / "scripts")
    for path, content in (
        (root / "scripts" / "setup", "#!/bin/sh\n"),
        (root / ".venv" / "bin" / "harness", DOUBLE),
    ):
        path.write_text(content)
        path.chmod(0o755)
    return root


@pytest.fixture
def shell(checkout, tmp_path):
    """Run a script; return its exit status, what it printed, and how harness was called."""

    def run(script, **variables):
        calls = tmp_path / "calls"
        calls.write_text("")
        done = subprocess.run(
            ["sh", "-e", "-c", script],
            cwd=checkout,
            env={**os.environ, "CALLS": str(calls), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr, calls.read_text().splitlines()

    return run


@pytest.fixture
def action(shell, checkout):
    """Run the composite action's own script, its inputs in variables as the action has them."""
    content = YAML(typ="safe").load(REPOSITORY / "action.yml")
    (step,) = [each for each in content["runs"]["steps"] if each.get("shell")]
    inputs = {name: str(each.get("default", "")) for name, each in content["inputs"].items()}

    def run(**given):
        known = {f"inputs.{name}": value for name, value in {**inputs, **given}.items()}
        known["github.action_path"] = str(checkout)
        variables = {}
        for name, value in step["env"].items():
            for expression, text in known.items():
                value = value.replace("${{ " + expression + " }}", text)  # noqa: PLW2901
            assert "${{" not in value
            variables[name] = value
        return shell(step["run"], GITHUB_STEP_SUMMARY=str(checkout / "summary.md"), **variables)

    return run


def test_the_action_checks_and_writes_the_jobs_page(action, checkout):
    status, said, calls = action(baseline="good", boards="qemu-arm64 qemu-armv7")
    assert status == 0, said
    assert [call.partition("--workspace . ")[2] for call in calls] == [
        "devices up qemu-arm64",
        "devices up qemu-armv7",
        "check --baseline good --junit ci-reports/check.xml --markdown ci-reports/check.md --json",
        "devices down qemu-arm64",
        "devices down qemu-armv7",
    ]
    assert (checkout / "summary.md").read_text() == "### 1 case against good\n"
    assert (checkout / "ci-reports" / "check.json").read_text() == "{}\n"


def test_the_actions_inputs_are_no_program(action):
    given = {"baseline": "good; touch hacked", "campaign": "$(touch hacked).yaml"}
    status, said, calls = action(strict="true", **given)
    assert status == 0, said
    assert calls[-1].endswith("--json $(touch hacked).yaml --strict")


@pytest.mark.parametrize("status", [1, 3, 4, 130])
def test_the_exit_status_is_that_of_the_check(action, monkeypatch, status):
    monkeypatch.setenv("STATUS", str(status))
    found, _, calls = action(baseline="good", boards="qemu-arm64")
    assert found == status
    assert calls[-1].endswith("devices down qemu-arm64")


def test_what_gitlab_runs(shell, checkout):
    content = YAML(typ="safe").load(REPOSITORY / "docs" / "ci" / "gitlab-ci.yml")
    job = content["gate"]
    variables = {
        name: value.replace("$CI_PROJECT_DIR", str(checkout))
        for name, value in job["variables"].items()
    }
    (checkout / "ci-reports").mkdir()
    (checkout / "ci-reports" / "check.xml").write_text("of an earlier job")
    status, said, calls = shell("\n".join(job["script"]), STATUS="4", **variables)
    assert status in job["allow_failure"]["exit_codes"], said
    assert "### 1 case against good" in said
    assert "check --baseline good" in calls[1]
    assert (checkout / job["artifacts"]["reports"]["junit"]).read_text() == "<testsuites/>\n"
    status, _, _ = shell("\n".join(job["script"]), QUIET="1", **variables)
    assert status == 3
    assert not (checkout / "ci-reports" / "check.xml").exists()
