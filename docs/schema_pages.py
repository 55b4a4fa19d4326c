"""Reference pages of the workspace's YAML files, made from their JSON Schemas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Schema = dict[str, Any]


def write_pages(schemas: Path, folder: Path) -> None:
    """Write a Markdown page for each schema of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(schemas.glob("*.json")):
        text = "\n".join(page(path.stem, json.loads(path.read_text("utf-8")))) + "\n"
        target = folder / f"{path.stem}.md"
        if not target.exists() or target.read_text("utf-8") != text:
            target.write_text(text, "utf-8")


def page(name: str, schema: Schema) -> Iterator[str]:
    """Yield the lines of a page: a table for the file, and one for each object within."""
    yield from (f"# {name.capitalize()} file", "", schema.get("description", ""), "")
    yield f"`harness schema {name}` prints the JSON Schema for an editor."
    yield from _table(schema)
    for each in schema.get("allOf", ()):  # by the value of a key, more keys
        ((key, value),) = each["if"]["properties"].items()
        own = {name: it for name, it in each["then"]["properties"].items() if it}
        if own:
            yield from ("", f"## {key}: {value['const']}")
            yield from _table({**each["then"], "properties": own})
    for title, definition in sorted(schema.get("$defs", {}).items()):
        if "properties" in definition:
            yield from ("", f"## {title}", "", definition.get("description", ""))
            yield from _table(definition)
        elif "enum" in definition:
            yield from ("", f"## {title}", "", _type(definition))


def _table(schema: Schema) -> Iterator[str]:
    yield from ("", "| key | type | default | meaning |", "|---|---|---|---|")
    required = set(schema.get("required", ()))
    for key, value in schema.get("properties", {}).items():
        if not value:  # in some files only, as said further down
            continue
        default = "required" if key in required else f"`{json.dumps(value.get('default'))}`"
        meaning = " ".join(value.get("description", "").split())
        yield f"| `{key}` | {_type(value)} | {default} | {meaning} |".replace("\\|", "|")


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        title = schema["$ref"].rpartition("/")[2]
        return f"[{title}](#{title.lower()})"
    if choices := schema.get("enum") or [schema[key] for key in ("const",) if key in schema]:
        return ", ".join(f"`{choice}`" for choice in choices)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = [_type(kind) for kind in schema[several] if kind.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    match schema.get("type"):
        case "array":
            return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
        case "object":
            values = schema.get("additionalProperties")
            return f"mapping to {_type(values)}" if isinstance(values, dict) else "mapping"
        case kind:
            return f"{kind or 'any'}{_bounds(schema)}"


def _bounds(schema: Schema) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None:
        return ""
    if high is None:
        return f" ≥ {low}" if "minimum" in schema else f" > {low}"
    return f" {'' if low is None else low}–{high}"
