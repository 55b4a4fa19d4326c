"""Engines in a web page: what the host side of each has in common."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.engines.base import Engine
from harness.engines.reasons import BACKENDS

if TYPE_CHECKING:
    from harness.core.reason import Reason
    from harness.engines.base import DeviceFacts

__all__ = ["ENVIRONMENT", "BrowserEngine", "beside"]

ENVIRONMENT: Final = "browser"
"""The toolchain environment in which such an engine runs on this machine."""


def beside(folder: Path) -> tuple[Path, ...]:
    """Return what is pushed with such an engine: the browser's part of the runner, and its own."""
    runner = Path(str(resources.files("harness").joinpath("runner", "browser")))
    return (runner / "edge_browser.py", runner / "page.js", folder / "engine.js")


class BrowserEngine(Engine):
    """An engine that its ``engine.js`` runs in a page; its backends are ``in_python``."""

    def lacks(self, device: DeviceFacts, backend: str) -> Reason | None:
        """See :meth:`Engine.lacks`."""
        del device
        known = self.in_python
        return None if backend in known else BACKENDS(engine=self.name, backends=list(known))

    def keeps_models(self, backend: str) -> bool:
        """See :meth:`Engine.keeps_models`: a browser keeps its caches, in its profile."""
        return backend in self.in_python

    def changes_shapes(self, device: DeviceFacts, backend: str) -> bool:
        """See :meth:`Engine.changes_shapes`."""
        del device, backend
        return False
