"""The schema of the first edition, which numbered its databases 1 to 3 without alembic."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final

import sqlalchemy as sa
from alembic import op

from harness.core.records import Case

revision: Final = "3"
down_revision: Final = None

TEXT: Final = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make what is missing: all of it, or what databases of versions 1 and 2 lack."""
    known = set(sa.inspect(op.get_bind()).get_table_names())
    if "runs" not in known:
        op.create_table(
            "runs",
            sa.Column("id", TEXT, primary_key=True),
            sa.Column("campaign", TEXT, nullable=False),
            sa.Column("started", TEXT, nullable=False),
            sa.Column("finished", TEXT),
            sa.Column("record", TEXT, nullable=False),
        )
    if "launches" in known:
        _complete_launches()
    else:
        op.create_table(
            "launches",
            sa.Column("id", TEXT, primary_key=True),
            sa.Column("run_id", TEXT, sa.ForeignKey("runs.id"), nullable=False, index=True),
            sa.Column("case_id", TEXT, nullable=False),
            sa.Column("slot", sa.Integer, nullable=False),
            sa.Column("attempt", sa.Integer, nullable=False),
            sa.Column("status", TEXT, nullable=False),
            sa.Column("wall_s", sa.Double),
            sa.Column("device", TEXT),
            sa.Column("category", TEXT),
            sa.Column("started", TEXT),
            sa.Column("record", TEXT, nullable=False),
            sa.UniqueConstraint("run_id", "case_id", "slot", "attempt"),
        )
    health = ["device", "run_id", "status", "category", "started"]
    op.create_index("ix_launches_health", "launches", health, if_not_exists=True)
    if "imported" not in known:
        op.create_table(
            "imported",
            sa.Column("id", TEXT, primary_key=True),
            sa.Column("imported", TEXT, nullable=False),
            sa.Column("record", TEXT, nullable=False),
        )
    if "device_events" not in known:
        op.create_table(
            "device_events",
            sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("device", TEXT, nullable=False, index=True),
            sa.Column("at", TEXT, nullable=False),
            sa.Column("run_id", TEXT),
            sa.Column("kind", TEXT, nullable=False),
            sa.Column("detail", TEXT, nullable=False),
        )


def _complete_launches() -> None:
    """Add the columns that a device's health is read from; only SQLite was ever without them."""
    connection = op.get_bind()
    known = {column["name"] for column in sa.inspect(connection).get_columns("launches")}
    missing = [name for name in ("device", "category", "started") if name not in known]
    if not missing:
        return
    for name in missing:
        op.add_column("launches", sa.Column(name, TEXT))
    launches = sa.table(
        "launches",
        *map(sa.column, ("run_id", "case_id", "device", "category", "started", "record")),
    )
    category, started = (
        sa.func.json_extract(launches.c.record, f"$.{name}") for name in ("category", "started")
    )
    connection.execute(sa.update(launches).values(category=category, started=started))
    for run_id, record in connection.execute(sa.text("SELECT id, record FROM runs")).all():
        with suppress(KeyError, TypeError, ValueError):  # a damaged record stays what it is
            for each in json.loads(record)["cases"]:
                case = Case.model_validate(each["case"])
                of_case = (launches.c.run_id == run_id, launches.c.case_id == case.id)
                connection.execute(sa.update(launches).where(*of_case).values(device=case.device))
