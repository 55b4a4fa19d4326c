"""Why an artifact, or an environment for its tools, cannot be made."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

NOT_STARTED: Final = code("tool.not-started", "{step}: cannot start {program}: {said}")
FAILED: Final = code(
    "tool.failed",
    "{step} failed: {said} (exit code {status})",
    hint="full log: {log}",
)
FAILED_SILENTLY: Final = code(
    "tool.failed-silently",
    "{step} failed without a message (exit code {status})",
    hint="full log: {log}",
)
ENDED: Final = code(
    "tool.ended",
    "{step} was killed by {signal}[: {said}]",
    hint="full log: {log}",
)
WROTE_NOTHING: Final = code("build.wrote-nothing", "{step}: {stage} succeeded, but wrote no {file}")
GONE: Final = code("build.gone", "{folder}: disappeared after the build")
NOT_COUNTED: Final = code("build.not-counted", "{path} is not what its build stage writes")
NO_PYTHON: Final = code(
    "environment.no-python",
    "Python {version} was found neither on PATH nor among pyenv's or uv's versions",
    hint="'{python} -m uv python install {version}' (where uv's downloads can be reached), 'pyenv "
    "install {version}', or any other way to a python{version} on PATH",
)
NOT_DOWNLOADED: Final = code(
    "environment.not-downloaded", "{why}, and uv could not download it: {download}"
)
OTHER_ABI: Final = code(
    "build.other-abi",
    "{step}: the compiler builds for {abi}",
    hint="use a compiler for this ABI, or pass the compiler's own with --abi",
)
CANNOT_RUN: Final = code("artifact.cannot-run", "{engine} cannot run it: {why}")
