"""A device's facts in words; what is not known says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.text import UNKNOWN, megabytes

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["words"]

_BOARD = ("Board", "SoC")


def words(facts: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return names and lines of text for what a report tells of a device.

    Serial numbers and machine ids are left out: a report is made to be handed on.

    Parameters
    ----------
    facts
        :class:`harness.devices.probe.Facts` as JSON, of this version or an older one.
    """
    temperatures = facts.get("temperatures_c") or {}
    found: dict[str, list[str | None]] = {
        "Board": [facts.get("model")],
        "SoC": [facts.get("soc")],
        "Processors": [_cluster(cluster) for cluster in facts.get("cpus") or ()],
        "NPU": _npus(facts),
        "Memory": [megabytes(facts.get("memory_total_bytes"))],
        "ABI": [facts.get("abi")],
        "Kernel": [facts.get("kernel")],
        "System": [facts.get("os")],
        "C library": [_joined(facts.get("libc"), facts.get("libc_version"))],
        "Temperatures": [f"{name} {celsius:g} °C" for name, celsius in temperatures.items()],
        "Load before": [None if facts.get("load1") is None else f"{facts['load1']:g}"],
    }
    if str(facts.get("abi")).startswith("x86_64"):  # many a PC has neither to tell
        found = {name: lines for name, lines in found.items() if name not in _BOARD or any(lines)}
    return [
        (name, [line or UNKNOWN for line in lines] or [UNKNOWN]) for name, lines in found.items()
    ]


def _npus(facts: Mapping[str, Any]) -> list[str | None]:
    found = [_joined(npu.get("driver"), npu.get("version")) for npu in facts.get("npus") or ()]
    return [*found] or ["no driver found" if facts else None]


def _cluster(cluster: Mapping[str, Any]) -> str:
    low, high = cluster.get("min_khz"), cluster.get("max_khz")
    current = sorted(set(cluster.get("current_khz") or ()))
    kind = f"{len(cluster.get('numbers') or ())} {cluster.get('core') or 'of unknown kind'}"
    if not (low or high or current or cluster.get("governor")):
        return f"{kind}, clock not readable"
    return ", ".join(
        [
            kind,
            f"{low / 1e3:g} to {high / 1e3:g} MHz" if low and high else "clocks unknown",
            f"now {', '.join(f'{khz / 1e3:g}' for khz in current)} MHz"
            if current
            else "now unknown",
            f"governor {cluster.get('governor') or UNKNOWN}",
        ]
    )


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)
