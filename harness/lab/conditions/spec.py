"""What a device has to be like for a launch to begin: the key ``conditions`` of its file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from harness.core.yamlfile import Spec

__all__ = ["Conditions"]

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
ClockName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9*?][A-Za-z0-9_.*?-]{0,62}$")]
Megahertz = Annotated[float, Field(gt=0, le=100_000)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class Conditions(Spec):
    """What is done and checked on a device before each launch.

    Attributes
    ----------
    governor
        Set on every processor for the launch, read back, and restored after it.
    clocks
        Held for the launch, read back while it runs, and restored after it: name in
        ``/sys/class/devfreq`` (``*`` and ``?`` stand for any) of an NPU, GPU or memory to MHz, or
        ``max`` for the highest that it has.
    max_temperature_c
        A launch begins when no thermal zone is hotter, in degrees Celsius.
    cool_within_s
        Seconds that it waits for that; then it is invalid.
    zones
        The thermal zones that count, by type (``soc-thermal``) or name (``thermal_zone0``); by
        default all.
    max_background_load
        A launch begins when other work takes no more than this share of all processors.
    quiet_within_s
        Seconds that it waits for that; then it is invalid.
    min_battery_percent
        With less a launch is invalid at once.
    """

    governor: Word | None = None
    clocks: Annotated[dict[ClockName, Literal["max"] | Megahertz], Field(max_length=8)] = Field(
        default_factory=dict
    )
    max_temperature_c: Annotated[float, Field(gt=0, le=200)] | None = None
    cool_within_s: Seconds = 300
    zones: Annotated[list[Word], Field(max_length=16)] = Field(default_factory=list)
    max_background_load: Annotated[float, Field(gt=0, lt=1)] | None = None
    quiet_within_s: Seconds = 30
    min_battery_percent: Annotated[int, Field(ge=1, le=100)] | None = None

    @model_validator(mode="after")
    def _meant(self) -> Conditions:
        if self.zones and self.max_temperature_c is None:
            raise ValueError("'zones' is for 'max_temperature_c', which is not given")
        return self

    @property
    def wait_s(self) -> float:
        """How long a launch may wait before it begins, in seconds."""
        cool = 0.0 if self.max_temperature_c is None else self.cool_within_s
        quiet = 0.0 if self.max_background_load is None else self.quiet_within_s
        return cool + quiet

    def options(self) -> list[str]:
        """Return the supervisor's options that ask for it."""
        options = ["--governor", self.governor] if self.governor else []
        for name, clock in self.clocks.items():
            options += ["--clock", name, "max" if clock == "max" else str(round(clock * 1e6))]
        if self.max_temperature_c is not None:
            options += ["--cool", f"{self.max_temperature_c:g}", f"{self.cool_within_s:g}"]
        for zone in self.zones:
            options += ["--zone", zone]
        if self.max_background_load is not None:
            options += ["--quiet", f"{self.max_background_load:g}", f"{self.quiet_within_s:g}"]
        if self.min_battery_percent is not None:
            options += ["--battery", str(self.min_battery_percent)]
        return options

    def __str__(self) -> str:
        """Return it in words, for people; empty where nothing is asked for."""
        words = [f"governor {self.governor}"] if self.governor else []
        for name, clock in self.clocks.items():
            words.append(f"clock {name} {'at its highest' if clock == 'max' else f'{clock:g} MHz'}")
        if self.max_temperature_c is not None:
            where = f" in {', '.join(self.zones)}" if self.zones else ""
            words.append(
                f"at most {self.max_temperature_c:g} °C{where} within {self.cool_within_s:g} s"
            )
        if self.max_background_load is not None:
            words.append(
                f"other work at most {self.max_background_load * 100:g} % of the processors "
                f"within {self.quiet_within_s:g} s"
            )
        if self.min_battery_percent is not None:
            words.append(f"battery at least {self.min_battery_percent} %")
        return "; ".join(words)
