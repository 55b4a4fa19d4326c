"""JSON Schemas of the files that a user writes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from harness.campaign.spec import Campaign
from harness.lab.chips import Card
from harness.lab.emulated.recipe import BoardSpec
from harness.lab.inventory import DeviceSpec
from harness.lab.runners import RunnerSpec
from harness.models.manifest import Manifest
from harness.workspace import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.core.yamlfile import Spec

__all__ = ["KINDS", "schema_text"]

KINDS: dict[str, type[Spec]] = {
    "board": BoardSpec,
    "campaign": Campaign,
    "chip": Card,
    "device": DeviceSpec,
    "model": Manifest,
    "runner": RunnerSpec,
    "settings": Settings,
}
"""What there is a schema of, and the class that checks it here."""

_SECTION = re.compile(r"\n\n[A-Z][a-z]+\n-+\n")


def schema_text(kind: str) -> str:
    """Return a schema as JSON text; attributes' descriptions are those of the class."""
    schema = KINDS[kind].model_json_schema()
    by_transport = [each["then"] for each in schema.get("allOf", ())]
    for part in (schema, *schema.get("$defs", {}).values(), *by_transport):
        _describe(part)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": kind}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _describe(schema: dict[str, Any]) -> None:
    """Move what a numpydoc docstring says of attributes to where editors look for it."""
    text = schema.get("description", "")
    summary, _, _ = text.partition("\n\n")
    if summary:
        schema["description"] = _line(summary)
    for names, description in _attributes(text):
        for name in names:
            if isinstance(schema.get("properties", {}).get(name), dict):
                schema["properties"][name]["description"] = description


def _attributes(docstring: str) -> Iterator[tuple[list[str], str]]:
    _, _, rest = docstring.partition("\n\nAttributes\n----------\n")
    rest = _SECTION.split(rest)[0]
    for names, body in re.findall(r"^(\w[\w, ]*)\n((?:    .*\n?|\n)+)", rest, re.MULTILINE):
        yield names.split(", "), _line(body)


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())
