"""Ask an engine's own runtime on a device which accelerators it finds.

It takes importing the engine there, seconds on a small board: so only what a device's file lists
is asked for. The answer is untrusted, as all that a device says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness import engines
from harness.lab.probe import Unit, clean
from harness.transports.base import TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.transports.base import Transport

__all__ = ["ask"]

TIMEOUT_S = 180.0  # the emulated board imports an engine in half a minute
OUTPUT_LIMIT = 16 << 10

_LINE = re.compile(r"^([a-z0-9_:]{1,80})\t(yes|no)\t([^\n\t]*)$", re.MULTILINE)


def ask(transport: Transport, pythons: Mapping[tuple[str, str], str]) -> tuple[Unit, ...]:
    """Ask the engines of some backends, each in its interpreter.

    Parameters
    ----------
    pythons
        Engine and backend to the interpreter on the device that measures it. An engine without
        ``units.py`` is not asked.
    """
    return tuple(
        _ask(transport, engine, backend, python, script.read_bytes())
        for (engine, backend), python in pythons.items()
        if (script := engines.get(engine).units_script)
    )


def _ask(transport: Transport, engine: str, backend: str, python: str, script: bytes) -> Unit:
    usable: bool | None = None
    try:
        answer = transport.run(
            [python, "-"], stdin=script, timeout=TIMEOUT_S, output_limit=OUTPUT_LIMIT
        )
    except TransportError as error:
        said = str(error)
    else:
        told = _LINE.findall(answer.stdout.decode(errors="replace"))
        lines = answer.stderr.decode(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "it said nothing"
        for _, there, words in (each for each in told if each[0] == backend):
            usable, said = there == "yes", words
    return Unit(engine=engine, backend=backend, usable=usable, said=clean(said))
