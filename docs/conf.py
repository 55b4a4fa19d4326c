"""Sphinx configuration: `make docs` builds the site into docs/_build/html."""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

from schema_pages import write_pages  # noqa: E402 - needs the path

from harness import __version__  # noqa: E402

project = "edge-harness"
author = "the edge-harness maintainers"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"edge-harness {release}"
# Recorded screens and links into the sources, as on the repository's pages.
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
# A code block may show a fragment, which its lexer cannot parse.
suppress_warnings = ["misc.highlighting_failure"]

write_pages(DOCS.parent / "schemas", DOCS / "reference" / "files")

# A plugin's page is in its folder; here it gets a place among the others.
for kind in ("engines", "transports"):
    pages = DOCS / "reference" / kind
    pages.mkdir(exist_ok=True)
    for page in sorted((DOCS.parent / "harness" / kind).glob("*/README.md")):
        text = page.read_text("utf-8").replace("](../../../docs/", "](../../")
        target = pages / f"{page.parent.name}.md"
        if not target.exists() or target.read_text("utf-8") != text:
            target.write_text(text, "utf-8")


def to_copies(app: object, name: str, source: list[str]) -> None:
    """Lead links to plugins' pages to the copies."""
    del app, name
    pattern = r"\]\((?:\.\./)+harness/(engines|transports)/(\w+)/README\.md"
    source[0] = re.sub(pattern, r"](/reference/\1/\2.md", source[0])


def setup(app: object) -> None:
    """Connect what Sphinx calls."""
    app.connect("source-read", to_copies)  # type: ignore[attr-defined]
