from __future__ import annotations

import re

import pytest

from harness.core.errors import SpecificationError
from harness.models import environments
from harness.models.toolchain import ToolchainError

ENVIRONMENTS = environments.environments()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_locks_are_whole_and_name_no_registry(name):
    lock = ENVIRONMENTS[name].lock
    packages = re.split(r"\n(?=\S)", lock.strip())
    for package in packages:
        assert re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", package, re.DOTALL), package
    assert "://" not in lock


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_locks_hold_what_is_asked_for(name):
    asked = (ENVIRONMENTS[name].locks / f"{name}.in").read_text()
    tools = ENVIRONMENTS[name].tools
    assert tools
    for pin, version in re.findall(r"^([\w.-]+)==(\S+)$", asked, re.MULTILINE):
        assert tools[pin] == version


def test_paddle_lite_gets_the_numpy_and_python_it_needs():
    """With numpy 2 it returns garbage; for a Python newer than 3.10 it has no wheel."""
    paddle = ENVIRONMENTS["paddle"]
    assert paddle.version == "3.10"
    assert paddle.tools["numpy"].startswith("1.")


def test_an_unknown_environment_offers_the_nearest():
    with pytest.raises(SpecificationError) as caught:
        environments.get("padle")
    assert caught.value.hint == "did you mean 'paddle'?"


def test_without_network_one_line_and_nothing_half_made(cache, tmp_path, monkeypatch, steps):
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(ToolchainError, match="environment rapidocr failed") as caught:
        environments.python("rapidocr", steps.append)
    assert "\n" not in caught.value.message
    assert str(cache / "logs") in caught.value.hint
    assert [path for path in (cache / "environments").iterdir() if path.suffix != ".lock"] == []
    assert "MB to download" in steps[-1]
    assert not ENVIRONMENTS["rapidocr"].ready
