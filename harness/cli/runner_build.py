"""``harness runners build``: a native runner for an ABI."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.options import complete_engine

__all__ = ["build"]

_folder = click.Path(path_type=Path, file_okay=False)


@click.command(
    epilog="""\b
Examples:
  harness runners build calibration --abi arm64-linux
  harness runners build onnxruntime --abi arm64-linux -o edge-runner-onnxruntime
  harness runners build rknn --abi arm64-linux -o edge-runner-rknn
  harness runners build paddle-lite --abi arm64-linux --sdk inference_lite_lib.armlinux.armv8 \\
      --toolchain /opt/vendor/bin/aarch64-linux-gnu-g++
  harness runners build paddle-lite --abi android-arm64 --sdk SDK --ndk ~/Android/ndk/26.1
"""
)
@click.argument("engine", shell_complete=complete_engine)
@click.option("--abi", required=True, help="ABI as in device files, such as arm64-linux.")
@click.option("--sdk", type=_folder, help="SDK for the board, where the engine needs one.")
@click.option(
    "--toolchain",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --sdk: the board's C++ compiler or a CMake toolchain file (.cmake).",
)
@click.option("--ndk", type=_folder, help="With --sdk: an Android NDK, instead of --toolchain.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Also copy it here."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def build(
    engine: str,
    abi: str,
    sdk: Path | None,
    toolchain: Path | None,
    ndk: Path | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Build the native runner of ENGINE.

    Prints its path. An existing build of the same sources and compiler is reused.
    """
    import shutil

    from harness.cli.terminal import steps
    from harness.core.errors import SpecificationError
    from harness.native.build import build as build_runner

    with steps() as shown:
        path = build_runner(
            engine, abi, sdk=sdk, toolchain=toolchain, ndk=ndk, progress=shown.update
        )
    if output is not None:
        try:
            shutil.copy2(path, output)
        except OSError as error:
            raise SpecificationError(f"{output}: {error.strerror}") from error
        path = output
    if as_json:
        click.echo(
            json.dumps(
                {"engine": engine, "abi": abi, "path": str(path), "bytes": path.stat().st_size}
            )
        )
        return
    click.echo(path)
