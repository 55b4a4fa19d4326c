from __future__ import annotations

import os
import sys

import pytest

from harness.models.toolchain import ToolchainError, cause, run

# As opt 2.13rc0 and uv 0.13 say them.
OPT_CHECK = """\
Loading topology data from model.pdmodel
[F 11/22 14:11:35. 69 .../pb/var_desc.cc:41 GetType] Check failed: x == y
terminate called after throwing an instance of 'paddle::lite::PaddleLiteException'
"""
UV_OFFLINE = """\
error: Request failed after 3 retries in 5.6s
  cause: Failed to fetch: a page
  cause: Connection refused (os error 111)
"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (OPT_CHECK, "[F 11/22 14:11:35. 69 .../pb/var_desc.cc:41 GetType] Check failed: x == y"),
        ("terminate\n  what():  an exception\n\nAborted\n", "what():  an exception"),
        (
            UV_OFFLINE,
            "error: Request failed after 3 retries in 5.6s: Connection refused (os error 111)",
        ),
        ("Traceback (most recent call last):\n  ...\nValueError: no\n", "ValueError: no"),
        ("", ""),
    ],
)
def test_the_line_that_says_why_is_found(output, line):
    assert cause(output) == line


def test_a_failure_is_one_line_and_keeps_its_log(cache, tmp_path):
    command = [sys.executable, "-c", "print('loading'); import sys; sys.exit('no such op')"]
    with pytest.raises(ToolchainError) as caught:
        run(command, name="model nb", folder=tmp_path)
    assert caught.value.message == "model nb failed: no such op (exit code 1)"
    (log,) = (cache / "logs").glob(f"model-nb-{os.getpid()}-*.log")
    assert str(log) in caught.value.hint
    assert "loading" in log.read_text()


def test_an_end_by_a_signal_is_named(cache, tmp_path):
    command = [sys.executable, "-c", "import os; os.abort()"]
    with pytest.raises(ToolchainError, match=r"opt was killed by SIGABRT"):
        run(command, name="opt", folder=tmp_path)


def test_a_missing_program_is_named(cache, tmp_path):
    with pytest.raises(ToolchainError, match="cannot start /nonexistent/uv"):
        run(["/nonexistent/uv"], name="uv", folder=tmp_path)


def test_success_leaves_no_log(cache, tmp_path):
    run([sys.executable, "-c", "print('fine')"], name="fine", folder=tmp_path)
    assert list((cache / "logs").iterdir()) == []
