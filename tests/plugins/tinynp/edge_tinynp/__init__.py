"""tinynp: an inference engine of a few lines of numpy, as an example of a plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.base import LINUX_ABIS, Engine, Format, Made, ModelFile, Source

if TYPE_CHECKING:
    from harness.engines.base import Request

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent


class _TinyNp(Engine):
    def recipe(self, request: Request) -> Made:
        del request  # there is one way to pack a network
        return Made(_FOLDER / "stages" / "pack.py", None, {}, (Source("tinyjson"),))


PLUGIN = _TinyNp(
    name="tinynp",
    api_version=1,
    title="TinyNP",
    folder=_FOLDER,
    format="tinynp",
    formats=(
        Format(name="tinyjson", roles={"model": "model.tinyjson"}, precisions=("fp32",)),
        Format(name="tinynp", roles={"model": "model.tnp"}, precisions=("fp32",), usual=True),
    ),
    model_files=(
        ModelFile(
            name="tinyjson",
            suffix=".tinyjson",
            title="TinyNP",
            environment=None,
            inspect=_FOLDER / "stages" / "inspect.py",
            reference=_FOLDER / "stages" / "reference.py",
            alone=True,
        ),
    ),
    cpu_abis=LINUX_ABIS,
    packages=("numpy",),
    made_by="its packer, from `.tinyjson`",
)
