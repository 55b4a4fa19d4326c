"""Which device it is: what a serial number and a machine id tell, and what they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Instance"]

# What boards and firmware have in the place of a serial number. Vendors write it to every unit.
_PLACEHOLDERS: Final = {
    "0123456789",
    "0123456789abcdef",
    "1234567890",
    "123456789",
    "1234567890abcdef",
    "12345678",
    "android",
    "chassis serial number",
    "default",
    "default string",
    "empty",
    "invalid",
    "n/a",
    "na",
    "none",
    "not applicable",
    "not available",
    "not specified",
    "null",
    "o.e.m.",
    "oem",
    "serial",
    "serial number",
    "serialnumber",
    "system serial number",
    "tbd",
    "to be filled by o.e.m.",
    "to be filled by oem",
    "uninitialized",
    "unknown",
    "unspecified",
}


class Instance(NamedTuple):
    """What tells one device from another; empty where it does not tell, or tells a placeholder.

    Attributes
    ----------
    serial
        Burnt into the device, as a rule.
    machine_id
        Of its system: boards that run copies of one image have the same.
    """

    serial: str
    machine_id: str

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Instance:
        """Return what a device's facts tell of it."""
        return cls(_told(facts.get("serial")), _told(facts.get("machine_id")))

    @property
    def name(self) -> str:
        """What to know it by; empty where nothing tells it."""
        return self.serial or self.machine_id

    def key(self, other: Instance) -> str | None:
        """Return what decides whether both are one device: the serial where both tell one."""
        return next(
            (key for key in self._fields if getattr(self, key) and getattr(other, key)), None
        )


def _told(value: object) -> str:
    text = str(value or "").strip()
    word = text.lower()
    # One of these again and again: zeros, most of the time.
    repeated = len(set(word.replace("-", ""))) <= 1 and word[:1] in set("01fx*#?-")
    return "" if word in _PLACEHOLDERS or repeated else text
