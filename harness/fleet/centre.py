"""The centre: a PostgreSQL database with results, shares that wait, and who may do what.

All that agents and submitters write goes through functions there (``schema/1.sql``), which check
that it is theirs, and that a share is still held by whoever writes for it.
"""

from __future__ import annotations

import ipaddress
import json
import threading
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from harness.core.errors import LabError, SpecificationError
from harness.lab.inventory import Device, DeviceSpec
from harness.results.postgresql import LINK, location
from harness.transports import TRANSPORTS, by_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from psycopg import Connection
    from psycopg.rows import TupleRow

    from harness.core.records import DeviceEvent, Launch, Run
    from harness.workspace import Workspace

__all__ = [
    "CHUNK",
    "FORMAT",
    "SCHEMA",
    "AgentInfo",
    "AwayError",
    "Centre",
    "Claimed",
    "File",
    "FleetDevice",
    "Job",
    "LostError",
    "NameTakenError",
    "RefusedError",
    "conninfo",
    "profile",
]

SCHEMA: Final = 1
"""The version of the centre's tables and functions."""

FORMAT: Final = 1
"""The version of shares as they are sent: an agent measures only those of its own."""

CHUNK: Final = 1 << 20  # bytes
_TOLD: Final = (
    "description", "transport", "board", "abi", "soc", "class", "engines", "labels", "conditions",
)  # fmt: skip
"""What of a device's file leaves its lab; what a transport adds to it is not among it."""


class AwayError(LabError):
    """The centre cannot be reached at the moment."""


class LostError(LabError):
    """A share is not this agent's any more: it was cancelled, or another one has it."""


class RefusedError(LabError):
    """The centre will not take something, however often it is sent."""


class NameTakenError(LabError):
    """Another agent with the same login is at work."""


_NO_CENTRE: Final = (
    SpecificationError,
    "{where}: it is no centre of a fleet",
    "harness store init",
)
_REFUSALS: Final[Mapping[str, tuple[type[LabError | SpecificationError], str, str]]] = {
    # SQLSTATE; those with EH are of schema/1.sql
    "3F000": _NO_CENTRE,
    "42P01": _NO_CENTRE,
    "42501": (
        SpecificationError,
        "{where}: {said}",
        (
            "grant the login one of edge_submit, edge_agent and edge_read; "
            "see 'Fleet' in the documentation"
        ),
    ),
    "EH001": (
        NameTakenError,
        "an agent of this login is at work already, on {said}",
        "give each lab a login of its own; after a crash wait a minute",
    ),
    "EH002": (LostError, "{said} is not held any more: it was cancelled, or taken over", ""),
    "EH003": (
        RefusedError,
        "{said} is not this user's",
        "see who submitted it: harness jobs list --all",
    ),
    "EH004": (
        RefusedError,
        "the files of a share have {said} bytes, more than the centre takes",
        "measure fewer models at once, or let the owner of the centre raise its limit",
    ),
    "EH005": (
        RefusedError,
        "another launch is stored as {said}",
        "the agent's spool keeps its own",
    ),
    "EH006": (
        RefusedError,
        "the files of run {said} are not at the centre any more",
        "submit it again",
    ),
}


@dataclass(frozen=True)
class File:
    """A file of a share, and the chunks that it is made of, by their SHA-256."""

    sha256: str
    size: int
    chunks: Sequence[str]


@dataclass(frozen=True)
class Claimed:
    """A share as an agent has it.

    Attributes
    ----------
    state
        ``measuring``; or ``cancelling``: nothing more is to be measured.
    fence
        Under which it is written for; one more at each claim.
    format, harness
        Of whoever sent it.
    """

    id: str
    state: str
    fence: int
    format: int
    harness: str
    content: str
    files: list[File]


@dataclass(frozen=True)
class AgentInfo:
    """An agent, as the centre knows it.

    Attributes
    ----------
    alive
        Whether it was heard of within the last minute.
    """

    name: str
    machine: str
    harness: str
    format: int
    seen: datetime
    alive: bool


@dataclass(frozen=True)
class FleetDevice:
    """A device of the fleet, as far as its lab tells.

    Attributes
    ----------
    host
        On which its agent measures one launch at a time.
    waiting
        How many shares wait for that host, or are being measured there.
    """

    device: Device
    agent: AgentInfo
    host: str
    waiting: int


@dataclass(frozen=True)
class Job:
    """One host's share of a submitted run, in one line.

    Attributes
    ----------
    alive
        Whether an agent holds it.
    """

    id: str
    run: str
    agent: str
    host: str
    submitter: str
    harness: str
    devices: list[str]
    priority: int
    deadline: datetime | None
    submitted: datetime
    state: str
    reason: str
    alive: bool
    begun: datetime | None
    ended: datetime | None

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None


def profile(spec: DeviceSpec) -> dict[str, Any]:
    """Return what the centre may know of a device: not how it is reached or switched."""
    said = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return {name: said[name] for name in _TOLD if name in said}


def _device(name: str, host: str, known: Mapping[str, Any]) -> Device:
    """Return a device as its lab tells of it, with an address that leads nowhere."""
    transport = str(known.get("transport"))
    has_address = (
        transport in TRANSPORTS and "address" in TRANSPORTS.get(transport).link.model_fields
    )
    away = {"address": "away"} if has_address and "board" not in known else {}
    try:
        spec = DeviceSpec.model_validate({**known, **away, "host": host})
    except ValidationError:  # its transport is another package's, or asks for more
        reached = {"transport": by_address("away")[0].name, "address": "away", "host": host}
        spec = DeviceSpec.model_validate({**known, **reached})
    return Device(name=name, spec=spec)


def conninfo(url: str) -> str:
    """Return how the centre is connected to: encrypted, and its certificate verified.

    Raises
    ------
    SpecificationError
        The URL is wrong, or asks for less.
    """
    where = location(url)
    if where.host and not _is_here(where.host):
        mode = where.query.get("sslmode", "verify-full")
        if mode != "verify-full":
            raise SpecificationError(
                f"'results' asks for sslmode={mode}, which does not verify the centre",
                hint="sslmode=verify-full is the default; name a CA of your own with "
                "?sslrootcert=FILE",
            )
        where = where.update_query_dict({"sslmode": mode})
        if "sslrootcert" not in where.query:
            where = where.update_query_dict({"sslrootcert": "system"})
    return where.set(drivername="postgresql").render_as_string()


def _is_here(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class Centre:
    """A connection to the centre, which is made again after it was lost.

    Parameters
    ----------
    url
        As ``results`` in ``harness.yaml`` has it.

    Raises
    ------
    SpecificationError
        It is wrong, or psycopg is not installed.
    """

    def __init__(self, url: str) -> None:
        self.conninfo = conninfo(url)
        self.where = location(url).set(drivername="postgresql").render_as_string()
        try:
            import psycopg  # noqa: PLC0415 - an extra
        except ModuleNotFoundError:
            raise SpecificationError(
                "a fleet needs psycopg and procrastinate", hint="pip install 'edge-harness[fleet]'"
            ) from None
        self._psycopg = psycopg
        self._lock = threading.Lock()
        self._connection: Connection[TupleRow] | None = None

    @classmethod
    def of(cls, workspace: Workspace) -> Centre:
        """Return the centre of a workspace.

        Raises
        ------
        SpecificationError
            Its results are not in PostgreSQL.
        """
        url = workspace.settings.results
        if url is None:
            raise SpecificationError(
                "this workspace has no centre: its results are in SQLite",
                hint="results: postgresql://USER@HOST/DATABASE in harness.yaml; "
                "see 'Fleet' in the documentation",
            )
        return cls(url)

    # Agents.

    def hello(
        self, instance: str, machine: str, version: str, devices: Iterable[Device]
    ) -> list[str]:
        """Tell that an agent is there; return names of devices that other labs have already.

        Raises
        ------
        NameTakenError
            Another agent with this login was heard of within the last minute.
        """
        known = {each.name: {"host": each.host, "profile": profile(each.spec)} for each in devices}
        found = self._one(
            "SELECT fleet.hello(%s, %s, %s, %s, %s)",
            instance, machine, version, FORMAT, json.dumps(known),
        )  # fmt: skip
        return list(found)

    def goodbye(self, instance: str) -> None:
        """Tell that an agent ends."""
        self._one("SELECT fleet.goodbye(%s)", instance)

    def claim(self, share: str, instance: str) -> Claimed | str:
        """Take a share, or take it again; a string is the state for which it cannot be."""
        ((state, fence, form, harness, content, files),) = self._all(
            "SELECT * FROM fleet.claim(%s, %s)", share, instance
        )
        if fence is None:
            return str(state)
        return Claimed(
            share, state, fence, form, harness, content, [File(**each) for each in files]
        )

    def renew(self, share: str, fence: int) -> str:
        """Renew the lease of a share; return its state.

        Raises
        ------
        LostError
            It is not held any more.
        """
        return str(self._one("SELECT fleet.renew(%s, %s)", share, fence))

    def add(self, share: str, fence: int, launch: Launch) -> None:
        """Store a launch; what is stored already is left as it is.

        Raises
        ------
        LostError
            The share is not held any more.
        RefusedError
            Another launch is stored in its place.
        """
        self._one(
            "SELECT fleet.add(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            share, fence, launch.case_id, launch.slot, launch.attempt, launch.status.value,
            launch.wall_s, launch.category.value if launch.category else None,
            launch.started.isoformat(), launch.model_dump_json(),
        )  # fmt: skip

    def launches(self, share: str, fence: int) -> list[str]:
        """Return the records of the launches that are stored of a share's cases."""
        return [record for (record,) in self._all("SELECT fleet.launches(%s, %s)", share, fence)]

    def note(self, share: str, fence: int, event: DeviceEvent) -> None:
        """Store what happened to a device of a share; once."""
        self._one(
            "SELECT fleet.note(%s, %s, %s, %s, %s, %s)",
            share, fence, event.device, event.at.isoformat(), event.kind.value,
            event.detail.model_dump_json() if event.detail else "",
        )  # fmt: skip

    def report(
        self, share: str, fence: int, cases: Mapping[str, Any], devices: Mapping[str, Any]
    ) -> None:
        """Put into a share's run what became known of its cases, by id, and devices, by name."""
        said = [json.dumps(each).replace("\\u0000", "\\ufffd") for each in (cases, devices)]
        self._one("SELECT fleet.report(%s, %s, %s, %s)", share, fence, *said)

    def is_over(self, run: str) -> bool:
        """Whether all shares of a run that this agent had have ended."""
        return bool(self._one("SELECT fleet.over(%s)", run))

    def leave(self, share: str, fence: int, state: str, reason: str = "") -> None:
        """Give a share back: ``done``, ``failed``, ``cancelled``; or ``waiting`` for the next."""
        self._one("SELECT fleet.leave(%s, %s, %s, %s)", share, fence, state, _text(reason))

    def fetch(self, share: str, file: File, target: Path) -> None:
        """Write a file of a share; it is there only once it is whole and what its hash says.

        Raises
        ------
        LabError
            It is not.
        """
        part = target.with_name(f".{target.name}.part")
        digest, size = sha256(), 0
        with part.open("wb") as stream:
            for chunk in file.chunks:
                content = self._one("SELECT fleet.fetch(%s, %s)", share, chunk)
                digest.update(content or b"")
                size += len(content or b"")
                stream.write(content or b"")
        if digest.hexdigest() != file.sha256 or size != file.size:
            part.unlink()
            raise LabError(
                f"{share}: a file that was sent is not what its hash says",
                hint="whoever submitted it should submit it again",
            )
        part.replace(target)

    # Submitters.

    def devices(self) -> dict[str, FleetDevice]:
        """Return the fleet's devices by name, those first whose hosts have least to do."""
        rows = self._all(
            """
            SELECT d.name, d.host, d.profile, a.name, a.machine, a.harness, a.format, a.seen,
                a.seen > now() - interval '1 minute',
                (SELECT count(*) FROM fleet.jobs j WHERE ended IS NULL
                    AND (j.agent, j.host) = (d.agent, d.host))
            FROM fleet.devices d JOIN fleet.agents a ON a.name = d.agent
            ORDER BY 9 DESC, 10, d.name
            """
        )
        return {
            name: FleetDevice(
                _device(name, f"{agent[0]}.{host}", known), AgentInfo(*agent), host, waiting
            )
            for name, host, known, *agent, waiting in rows
        }

    def agents(self) -> list[AgentInfo]:
        """Return all agents."""
        rows = self._all(
            "SELECT name, machine, harness, format, seen, seen > now() - interval '1 minute' "
            "FROM fleet.agents ORDER BY name"
        )
        return [AgentInfo(*row) for row in rows]

    def launches_stored(self) -> float:
        """Return about how many launches are stored, as of the last time that it was counted."""
        counted = "SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'launches'::regclass"
        return float(self._one(counted))

    def limit_bytes(self) -> int:
        """Return how many bytes a share's files may have together."""
        return int(self._one("SELECT limit_bytes FROM fleet.about"))

    def send(self, paths: Mapping[str, Path]) -> Iterator[File]:
        """Send files by their hash, and yield what they are made of; what is there is not sent.

        Parameters
        ----------
        paths
            SHA-256 to file.
        """
        for digest, path in paths.items():
            hashes = []
            with path.open("rb") as stream:
                while content := stream.read(CHUNK):
                    hashes.append(sha256(content).hexdigest())
            missing = set(self._one("SELECT fleet.missing(%s)", hashes))
            with path.open("rb") as stream:
                for each in hashes:
                    content = stream.read(CHUNK)
                    if each in missing:
                        self._one("SELECT fleet.put(%s)", content)
                        missing.discard(each)
            yield File(digest, path.stat().st_size, hashes)

    def submit(
        self, run: Run, sent: Sequence[Mapping[str, Any]], priority: int, deadline_s: float | None
    ) -> bool:
        """Store a run and its shares, all or nothing; False where there is a run of its id."""
        deadline = None if deadline_s is None else f"{deadline_s} seconds"
        try:
            self._one(
                "SELECT fleet.submit(%s, %s, %s, %s, %s, %s, %s, %s)",
                run.id, run.campaign, run.started.isoformat(),
                run.model_dump_json(exclude={"launches"}),
                json.dumps([record.case.id for record in run.cases]), json.dumps(sent), priority,
                deadline,
            )  # fmt: skip
        except self._psycopg.errors.UniqueViolation:
            return False
        return True

    def jobs(self, run: str | None = None, *, ended: bool = True) -> list[Job]:
        """Return all shares, the newest first, or those of a run.

        Parameters
        ----------
        ended
            Whether with those that have.
        """
        self._one("SELECT fleet.tidy()")
        rows = self._all(
            """
            SELECT id, run_id, agent, host, submitter, harness,
                ARRAY(SELECT DISTINCT value FROM jsonb_each_text(cases) ORDER BY 1),
                priority, deadline, submitted, state, reason, coalesce(alive, false), begun, ended
            FROM fleet.jobs
            WHERE (%s::text IS NULL OR run_id = %s) AND (%s OR ended IS NULL)
            ORDER BY submitted DESC, id
            """,
            run, run, ended,
        )  # fmt: skip
        return [Job(*row) for row in rows]

    def cancel(self, run: str, why: str) -> int:
        """Cancel a run's shares that have not ended; return how many those were."""
        return int(self._one("SELECT fleet.cancel(%s, %s)", run, _text(why)))

    def retry(self, run: str) -> int:
        """Let a run's ended shares wait again; return how many those are."""
        return int(self._one("SELECT fleet.retry(%s)", run))

    # All.

    def _one(self, statement: str, *arguments: object) -> Any:  # noqa: ANN401 - SQL's
        rows = self._all(statement, *arguments)
        return rows[0][0] if rows else None

    def _all(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connected().execute(statement, arguments).fetchall()
            except self._psycopg.errors.UniqueViolation:
                raise
            except self._psycopg.Error as error:
                self._drop_if_broken()
                raise self._fault(error) from error

    def _connected(self) -> Connection[TupleRow]:
        if self._connection is None:
            connection = self._psycopg.connect(self.conninfo, autocommit=True, **LINK)
            try:
                ((version,),) = connection.execute("SELECT version FROM fleet.about").fetchall()
            except self._psycopg.Error:
                connection.close()
                raise
            if version != SCHEMA:
                connection.close()
                older = "the centre" if version < SCHEMA else "this harness"
                raise SpecificationError(
                    f"{self.where}: the centre's tables are of version {version}, and this "
                    f"harness knows {SCHEMA}",
                    hint=f"upgrade {older}; see 'Fleet' in the documentation",
                )
            self._connection = connection
        return self._connection

    def _drop_if_broken(self) -> None:
        if self._connection is not None and self._connection.broken:
            self._connection.close()
            self._connection = None

    def _fault(self, error: Exception) -> LabError | SpecificationError:
        state = getattr(error, "sqlstate", None) or ""
        said = str(error).partition("\n")[0]
        fault: LabError | SpecificationError = LabError(
            f"{self.where}: {said}", hint="see the server's log"
        )
        if state in _REFUSALS:
            kind, message, hint = _REFUSALS[state]
            fault = kind(message.format(said=said, where=self.where), hint=hint)
        elif state.startswith(("22", "23")):  # of the data themselves
            fault = RefusedError(f"{self.where}: {said}", hint="see the server's log")
        elif state.startswith("28") or "password" in said or "authentication" in said:
            hint = "see PGPASSWORD or ~/.pgpass, and whether the login has expired"
            fault = LabError(f"{self.where}: {said}", hint=hint)
        elif isinstance(error, self._psycopg.OperationalError):
            fault = AwayError(f"{self.where}: {said}", hint="see that the centre is up")
        return fault

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _text(said: str) -> str:
    return said.replace("\0", "\ufffd")
