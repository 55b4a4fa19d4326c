"""The harness's folder on a device: whether this user may write to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.transports.base import TransferError

if TYPE_CHECKING:
    from harness.lab.inventory import Device
    from harness.transports.base import Transport

__all__ = ["check_workdir", "own_workdir"]

_CHECK = """\
for folder in "$1" "$1/store" "$1/launches"; do
  [ ! -e "$folder" ] || [ -w "$folder" ] || echo "$folder"
done"""


def check_workdir(transport: Transport, device: Device) -> None:
    """Refuse a device whose work folder belongs to another user.

    Raises
    ------
    TransferError
        It may not be written to.
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    if _not_ours(transport, device.workdir):
        raise TransferError(
            f"{device.name}: {device.workdir} cannot be written: it belongs to another user",
            hint=f"set 'workdir' in devices/{device.name}.yaml to a folder of this user's own",
        )


def own_workdir(transport: Transport, default: str) -> str | None:
    """Return a folder of this user's own; none where the default can be had.

    Raises
    ------
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    if not _not_ours(transport, default):
        return None
    user = transport.run(["id", "-u"]).text.strip()
    return f"{default}-{user}" if user.isdecimal() else None


def _not_ours(transport: Transport, folder: str) -> bool:
    return bool(transport.run(["sh", "-c", _CHECK, "sh", folder]).stdout)
