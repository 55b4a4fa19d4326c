"""Artifacts on devices, ahead of a campaign or for use without the harness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.lab.store import DeviceStore
from harness.lab.supervisor import DeviceSupervisor
from harness.models import build
from harness.native.supervisor import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.engines import Engine
    from harness.lab.inventory import Device
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model
    from harness.transports.base import Transport

__all__ = ["push"]


def push(
    model: Model,
    engine: Engine,
    device: Device,
    transport: Transport,
    *,
    progress: Callable[[str], None],
) -> tuple[Artifact, dict[str, str]]:
    """Build what an engine loads on a device, and push it there, verified.

    The device need not have the engine: its runtime may be the user's own.

    Returns
    -------
    artifact
        What was built.
    paths
        Its file names to their paths on the device.

    Raises
    ------
    SpecificationError
        The engine refuses the artifact for the device.
    ToolchainError
        It could not be built.
    TransportError
        It did not arrive.
    """
    artifact = build.build(model, engine.format, engine.target(device.spec), progress=progress)
    built = {role: artifact.path(role) for role in artifact.roles}
    if refused := engine.refuse(device.spec, built):
        raise SpecificationError(f"{model.name} for {engine.name} on {device.name}: {refused}")
    progress(f"pushing {model.name} for {engine.name} to {device.name}")
    hashes = {path.name: artifact.record.files[path.name] for path in built.values()}
    program = supervisor(device.spec.abi, progress)
    on_device = DeviceSupervisor(transport, device.workdir, program)
    store = DeviceStore(on_device, limit_mb=device.spec.store_limit_mb)
    paths = store.ensure({digest: artifact.folder / name for name, digest in hashes.items()})
    return artifact, {name: paths[digest] for name, digest in hashes.items()}
