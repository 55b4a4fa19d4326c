"""Reasons became codes with facts; the sentences of earlier records are read as they are."""

from __future__ import annotations

from typing import Final

revision: Final = "4"
down_revision: Final = "3"


def upgrade() -> None:
    """Only mark the database: harnesses of before do not understand what is written from now on."""
