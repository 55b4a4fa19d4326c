"""A device's facts in words; what is not known says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.text import processors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.report.language import Language

__all__ = ["words"]


def words(facts: Mapping[str, Any], language: Language) -> list[tuple[str, list[str]]]:
    """Return names and lines of text for what a report tells of a device.

    Serial numbers and machine ids are left out: a report is made to be handed on.

    Parameters
    ----------
    facts
        :class:`harness.lab.probe.Facts` as JSON, of this version or an older one.
    """
    _ = language.gettext
    temperatures = facts.get("temperatures_c") or {}
    board: dict[str, list[str | None]] = {_("Board"): [facts.get("model")]}
    board |= {_("SoC"): [facts.get("soc")]}
    if str(facts.get("abi")).startswith("x86_64"):  # many a PC has neither to tell
        board = {name: lines for name, lines in board.items() if any(lines)}
    found: dict[str, list[str | None]] = board | {
        _("Processors"): [_cluster(cluster, language) for cluster in facts.get("cpus") or ()],
        _("NPU"): _npus(facts, language),
        _("Memory"): [language.megabytes(facts.get("memory_total_bytes"))],
        _("ABI"): [facts.get("abi")],
        _("Kernel"): [facts.get("kernel")],
        _("System"): [facts.get("os")],
        _("C library"): [_joined(facts.get("libc"), facts.get("libc_version"))],
        _("Temperatures"): [f"{name} {celsius:g} °C" for name, celsius in temperatures.items()],
        _("Load before"): [None if facts.get("load1") is None else f"{facts['load1']:g}"],
    }
    unknown = _("unknown")
    return [
        (name, [line or unknown for line in lines] or [unknown]) for name, lines in found.items()
    ]


def _npus(facts: Mapping[str, Any], language: Language) -> list[str | None]:
    found = [_joined(npu.get("driver"), npu.get("version")) for npu in facts.get("npus") or ()]
    return [*found] or [language.gettext("no driver found") if facts else None]


def _cluster(cluster: Mapping[str, Any], language: Language) -> str:
    _ = language.gettext
    low, high = cluster.get("min_khz"), cluster.get("max_khz")
    current = sorted(set(cluster.get("current_khz") or ()))
    core = cluster.get("core") or _("of unknown kind")
    kind = f"{core} ({processors(cluster.get('numbers') or ())})"
    if not (low or high or current or cluster.get("governor")):
        return language.listed(kind, _("clock not readable"))
    now = ", ".join(f"{khz / 1e3:g}" for khz in current)
    return language.listed(
        kind,
        f"{low / 1e3:g} – {high / 1e3:g} MHz" if low and high else _("clocks unknown"),
        _("now %(clocks)s MHz") % {"clocks": now} if current else _("now unknown"),
        _("governor %(name)s") % {"name": cluster.get("governor") or _("unknown")},
    )


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)
