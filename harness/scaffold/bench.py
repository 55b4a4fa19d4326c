"""What ``harness bench`` needs: a workspace of its own around one model file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.campaign.prepare import refusal
from harness.campaign.spec import Block, Campaign
from harness.core.errors import SpecificationError
from harness.core.records import Case
from harness.core.yamlfile import dump
from harness.engines import ENGINES, get
from harness.lab.inventory import load_device, load_devices
from harness.models.adding import Known, add
from harness.scaffold.workspace import create, local_device
from harness.transports import by_address
from harness.workspace import Workspace, cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.engines.base import Engine
    from harness.lab.inventory import Device
    from harness.models.manifest import Model

__all__ = ["Bench", "Wanted", "device_at", "overlay", "prepare", "save"]

_SHARED = (".harness", "baselines", "devices", "reports", "runners")


@dataclass(frozen=True)
class Wanted:
    """What to measure a model on.

    Attributes
    ----------
    engines, backends
        By default all that the device has and that take the model.
    known
        What the file does not say: shapes of open axes, a name.
    """

    device: str = "local"
    engines: Sequence[str] = ()
    backends: Sequence[str] = ()
    known: Known = field(default_factory=Known)
    launches: int = 5


@dataclass(frozen=True)
class Bench:
    """A model file that is ready to be measured.

    Attributes
    ----------
    workspace
        The user's, but for models and campaigns; or one in the cache.
    campaign
        Its file.
    left_out
        Engine and backend to why they are not measured.
    """

    workspace: Workspace
    model: Model
    campaign: Path
    left_out: dict[str, str]


def prepare(
    workspace: Workspace, path: Path, wanted: Wanted, *, progress: Callable[[str], None]
) -> Bench:
    """Inspect a model file and choose what measures it.

    Parameters
    ----------
    workspace
        Of :func:`overlay`.

    Raises
    ------
    SpecificationError
        The file is no model, an axis is open, there is no such device or engine, or nothing takes
        the model there.
    ToolchainError
        The environment that inspects it could not be made.
    """
    device = load_device(workspace, wanted.device)
    for name in wanted.engines:
        get(name)  # a name that no engine has is refused with the nearest
        if name not in device.spec.engines:
            raise SpecificationError(
                f"{device.name} has no engine '{name}'", hint=_how_to_have(get(name), device)
            )
    for manifest in workspace.models.glob("*.yaml"):
        manifest.unlink()  # of another time; files and artifacts stay
    model = add(workspace, path, wanted.known, progress=progress).model
    chosen: list[tuple[str, str]] = []
    left_out: dict[str, str] = {}
    for engine, spec in device.spec.engines.items():
        if engine not in wanted.engines if wanted.engines else get(engine).brought:
            continue
        for backend in wanted.backends or spec.backends:
            precision = get(engine).usual_precision(backend)
            case = Case(
                model=model.name,
                device=device.name,
                engine=engine,
                backend=backend,
                precision=precision,
            )
            if refused := refusal(case, device, model):
                left_out[f"{engine}/{backend}"] = str(refused)
            else:
                chosen.append((engine, backend))
    if not wanted.engines and device.spec.is_this_machine:
        left_out |= {
            each.name: f"not set up: {_how_to_have(each, device)}"
            for each in ENGINES
            if each.environment and each.name not in device.spec.engines
        }
    if not chosen:
        reasons = "; ".join(dict.fromkeys(left_out.values()))
        raise SpecificationError(f"nothing on {device.name} measures {path.name}: {reasons}")
    blocks = [
        Block(models=[model.name], devices=[device.name], engines=[engine], backends=[backend])
        for engine, backend in chosen
    ]
    campaign = workspace.campaigns / f"{model.name}.yaml"
    campaign.write_text(dump(Campaign(matrix=blocks, launches=wanted.launches)), encoding="utf-8")
    return Bench(workspace, model, campaign, left_out)


def save(bench: Bench, around: Workspace, path: Path, known: Known) -> list[Path]:
    """Keep a bench as a model and a campaign of the user's workspace; return what was written.

    Raises
    ------
    SpecificationError
        There is a model or a campaign of that name already.
    """
    campaign = around.campaigns / bench.campaign.name
    if campaign.exists():
        raise SpecificationError(
            f"campaign {campaign} already exists", hint="choose another --name"
        )
    added = add(around, path, known, progress=lambda _: None)
    campaign.write_text(bench.campaign.read_text(encoding="utf-8"), encoding="utf-8")
    return [added.manifest, campaign]


def _how_to_have(engine: Engine, device: Device) -> str:
    """Say what to do about an engine that a device's file does not have."""
    if not device.spec.is_this_machine:
        if engine.packages:
            return f"harness devices provision {device.name} {engine.name}"
        return f"it has {', '.join(sorted(device.spec.engines))}"
    way = f"environment: {engine.environment}" if engine.environment else "python: PATH"
    return f"add to devices/{device.name}.yaml: '{engine.name}: {{ {way} }}'"


def device_at(workspace: Workspace, address: str) -> str | None:
    """Return the device that has an address (``ssh://user@host``), or none.

    Raises
    ------
    SpecificationError
        It is not an address.
    """
    transport, plain = by_address(address)
    link = transport.link_to(plain, {})
    for device in load_devices(workspace).values():
        if device.spec.transport == transport.name and device.spec.link.where == link.where:
            return device.name
    return None


def overlay(around: Workspace | None) -> Workspace:
    """Return a workspace with models and campaigns of its own, and all else of the user's.

    Parameters
    ----------
    around
        The user's; without one, it is in the cache as a whole.
    """
    home = cache_dir() / "bench"
    if around is None:
        root = home / "own"
        if not (root / "devices").is_dir():
            create(root)
        workspace = Workspace(root)
        # An older edge-harness may have made it, with fewer engines.
        (workspace.devices / "local.yaml").write_text(local_device(), encoding="utf-8")
        return workspace
    root = home / hashlib.sha256(str(around.root).encode()).hexdigest()[:16]
    for name in ("models", "campaigns"):
        (root / name).mkdir(parents=True, exist_ok=True)
    _ = around.state  # made where it is not there
    for name in _SHARED:
        link = root / name
        if not link.is_symlink():
            link.symlink_to(around.root / name)
    return Workspace(root)
