"""What a report, and ``harness advise``, say of an advice, in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.analysis.advice import Basis, Leaning, Rule, Weight, Worth
from harness.core.text import times

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.analysis.advice import Advice, Argument, Subject
    from harness.report.language import Language

__all__ = ["AdviceWords"]


class AdviceWords:
    """Sentences of advice in one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._ = language.gettext

    def verdict(self, advice: Advice) -> str:
        """Say whether the NPU is worth it."""
        _ = self._
        if advice.verdict is Worth.UNDECIDED and advice.subject.stand_in:
            return _("no verdict on speed")
        return {
            Worth.PAYS: _("the NPU pays"),
            Worth.PAYS_IF: _("the NPU pays on conditions"),
            Worth.PAYS_NOT: _("the NPU does not pay"),
            Worth.UNDECIDED: _("undecided"),
            Worth.LIKELY: _("the NPU probably pays"),
            Worth.UNLIKELY: _("the NPU probably does not pay"),
        }[advice.verdict]

    def unit(self, subject: Subject) -> str:
        """Name the compute unit, with its precision and what it is fed."""
        parts = [subject.npu, subject.on_npu.precision, self._language.setting(subject.workload)]
        return " · ".join(part for part in parts if part)

    def why(self, advice: Advice) -> str:
        """Say in a line what decided: the speed-up, and the rules that stand against the NPU."""
        _, found = self._, advice.subject.speed_up
        parts = []
        if found is not None:
            shown = times(found.center)
            if found.low is not None and found.high is not None:
                shown += f" ({times(found.low)} – {times(found.high)})"
            parts.append(_("CPU over NPU latency %(ratio)s") % {"ratio": shown})
        against = [
            self.rule(finding.rule)
            for finding in advice.findings
            if finding.leaning is Leaning.CPU and finding.weight >= Weight.STRONG
        ]
        if against:
            parts.append(_("against it: %(rules)s") % {"rules": self._language.listed(*against)})
        return "; ".join(parts)

    def basis(self, basis: Basis) -> str:
        """Say what something rests on."""
        _ = self._
        return {
            Basis.MEASURED: _("measured"),
            Basis.ESTIMATED: _("estimated"),
            Basis.ASKED: _("asked for"),
        }[basis]

    def leaning(self, leaning: Leaning) -> str:
        """Say for which side a rule speaks."""
        _ = self._
        return {
            Leaning.NPU: _("NPU"),
            Leaning.CPU: _("CPU"),
            Leaning.NEITHER: _("neither"),
            Leaning.UNKNOWN: _("unknown"),
        }[leaning]

    def weight(self, weight: Weight) -> str:
        """Say how much a rule counts."""
        _ = self._
        return {
            Weight.NONE: _("none: overruled or unknown"),
            Weight.SOME: _("some"),
            Weight.STRONG: _("strong"),
            Weight.DECISIVE: _("decisive"),
        }[weight]

    def rule(self, rule: Rule) -> str:
        """Name a rule."""
        _ = self._
        return {
            Rule.LATENCY: _("Measured latency"),
            Rule.OUTPUTS: _("Right outputs"),
            Rule.SHORT: _("Time on the CPU"),
            Rule.SHAPES: _("Shapes that vary"),
            Rule.COVERAGE: _("Operators on the NPU"),
            Rule.SUBGRAPHS: _("Number of subgraphs"),
            Rule.PRECISION: _("Precision"),
            Rule.FIRST_LOAD: _("First load"),
            Rule.BUSY_CPU: _("Busy CPU"),
            Rule.POWER: _("Low power"),
        }[rule]

    def rules(self, rules: Iterable[Rule]) -> list[str]:
        """Name rules."""
        return [self.rule(rule) for rule in rules]

    def evidence(self, finding: Argument) -> str:
        """Say what a rule looked at."""
        said = {
            Rule.LATENCY: self._latency,
            Rule.OUTPUTS: self._outputs,
            Rule.SHORT: self._short,
            Rule.SHAPES: self._shapes,
            Rule.COVERAGE: self._coverage,
            Rule.SUBGRAPHS: self._subgraphs,
            Rule.PRECISION: self._precision,
            Rule.FIRST_LOAD: self._first_load,
            Rule.BUSY_CPU: self._busy,
            Rule.POWER: self._power,
        }
        return said[finding.rule](finding)

    def change(self, finding: Argument) -> str:
        """Say what would change a rule's answer."""
        _ = self._
        return {
            Rule.LATENCY: _(
                "More launches where the interval includes no change; else another precision, "
                "input shape or version of the driver."
            ),
            Rule.OUTPUTS: _("Another precision or driver whose outputs pass the check."),
            Rule.SHORT: _(
                "A larger input or batch, or a heavier model: more work for each hand-over."
            ),
            Rule.SHAPES: _(
                "Fix the inputs' shapes (pad, or one artifact a shape); leave steps that depend "
                "on values to code after the model."
            ),
            Rule.COVERAGE: _(
                "Replace the operators that are left to the CPU, or cut the model before them."
            ),
            Rule.SUBGRAPHS: _("Replace the operators at the borders, so that the parts join."),
            Rule.PRECISION: _(
                "More and better calibration data, or leaving sensitive layers in fp16."
            ),
            Rule.FIRST_LOAD: _(
                "A model cache kept on the device, a process that stays, or more inferences a "
                "start."
            ),
            Rule.BUSY_CPU: _(
                "A measurement with the processors kept busy: busy_cpus in the campaign."
            ),
            Rule.POWER: _("A measurement of energy, which takes a power meter."),
        }[finding.rule]

    def _latency(self, finding: Argument) -> str:
        facts = finding.facts
        _ = self._
        if "why" in facts:
            said = {
                "emulated": _("Not compared: the device is emulated, its times say nothing."),
                "simulated": _("Not compared: the NPU is simulated, its times say nothing."),
                "no-cpu": _("Not measured: there is no valid latency on the CPU beside it."),
                "no-npu": _("Not measured: there is no valid latency on the NPU."),
                "not-comparable": _(
                    "Not comparable: outputs were not all checked, or the launches' figures are "
                    "not the same kind."
                ),
            }[str(facts["why"])]
            return f"{said} {self._language.say(finding.reason)}".strip()
        shown = {"ratio": times(float(facts["speed_up"])), "n": facts["launches"]}
        if "low" not in facts:
            return (
                _("CPU over NPU latency: %(ratio)s, too few launches (%(n)s) for an interval.")
                % shown
            )
        shown |= {"low": times(float(facts["low"])), "high": times(float(facts["high"]))}
        return (
            _(
                "CPU over NPU latency: %(ratio)s (95 %% interval %(low)s – %(high)s, "
                "%(n)s launches)."
            )
            % shown
        )

    def _outputs(self, finding: Argument) -> str:
        why = self._language.say(finding.reason)
        return self._("The NPU's outputs are wrong: %(reason)s") % {"reason": why}

    def _subgraphs(self, finding: Argument) -> str:
        facts = finding.facts
        return (
            self._(
                "Subgraphs on the NPU: %(number)s; up to %(few)s are bearable, each border is "
                "a copy."
            )
            % facts
        )

    def _short(self, finding: Argument) -> str:
        facts = finding.facts
        cpu, limit = float(facts["cpu_ms"]), float(facts["limit_ms"])
        shown = {
            "cpu": self._language.milliseconds(cpu),
            "limit": self._language.milliseconds(limit),
        }
        if cpu < limit:
            return (
                self._(
                    "%(cpu)s on the CPU, under about %(limit)s: handing over to a driver takes a "
                    "share that is seldom won back."
                )
                % shown
            )
        return (
            self._("%(cpu)s on the CPU, above about %(limit)s: there is something to win.") % shown
        )

    def _shapes(self, finding: Argument) -> str:
        facts = finding.facts
        if facts["inputs"]:
            return (
                self._(
                    "Inputs without a fixed shape: %(inputs)s. Each new shape is recompiled, or "
                    "refused."
                )
                % facts
            )
        if facts["ops"]:
            return (
                self._("Inside the model sizes depend on values: %(ops)s stay on the CPU.") % facts
            )
        return self._("All inputs have fixed shapes.")

    def _coverage(self, finding: Argument) -> str:
        facts = finding.facts
        share = self._language.share(float(facts["share"]))
        message = (
            self._("%(share)s of the multiply-accumulates run on the NPU.")
            if facts["of"] == "macs"
            else self._("%(share)s of the operators run on the NPU.")
        )
        said = message % {"share": share}
        if facts["left"]:
            said += " " + self._("Left to the CPU: %(left)s.") % facts
        return said

    def _precision(self, finding: Argument) -> str:
        facts = finding.facts
        _ = self._
        if finding.reason:
            fault = self._language.say(finding.reason)
            return _("int8 cannot be used: %(fault)s") % {"fault": fault}
        if facts["precision"] != "int8":
            return _("The NPU runs it in %(precision)s; nothing is lost to quantization.") % facts
        if "cosine" not in facts and "top1" not in facts:
            return _("The NPU runs it in int8; how far its outputs drift was not measured.")
        parts = []
        if "cosine" in facts:
            parts.append(_("cosine with fp32 %(cosine).4f") % facts)
        if "top1" in facts:
            top1 = self._language.share(float(facts["top1"]))
            parts.append(_("same first choice in %(share)s") % {"share": top1})
        return _("In int8, on held-out inputs: %(drift)s.") % {
            "drift": self._language.listed(*parts)
        }

    def _first_load(self, finding: Argument) -> str:
        facts = finding.facts
        _, ms = self._, self._language.milliseconds
        parts = []
        if "plain_ms" in facts:
            parts.append(
                _("%(time)s without a model cache") % {"time": ms(float(facts["plain_ms"]))}
            )
        if "cached_ms" in facts:
            parts.append(_("%(time)s with one") % {"time": ms(float(facts["cached_ms"]))})
        said = _("First result on the NPU after %(times)s.") % {
            "times": self._language.listed(*parts)
        }
        if "need_ms" in facts:
            said += " " + _("Needed: %(time)s.") % {"time": ms(float(facts["need_ms"]))}
        for name, message in (
            ("even_plain", _("Made up for after %(n)s inferences.")),
            ("even_cached", _("With the cache: after %(n)s inferences.")),
        ):
            if name in facts:
                said += " " + message % {"n": self.even(float(facts[name]))}
        if "inferences" in facts:
            said += " " + _("Inferences a start: %(n)s.") % {"n": facts["inferences"]}
        return said

    def even(self, count: float) -> str:
        """Say after how many inferences a load is made up for."""
        return f"{count:,.0f}".replace(",", "\u202f") if math.isfinite(count) else "∞"

    def _busy(self, finding: Argument) -> str:
        facts = finding.facts
        if "speed_up" in facts:
            shown = {name: times(float(value)) for name, value in facts.items()}
            return (
                self._(
                    "With processors kept busy, CPU over NPU latency: %(speed_up)s "
                    "(%(low)s – %(high)s)."
                )
                % shown
            )
        ms = self._language.milliseconds
        shown = {
            "freed": self._language.share(float(facts["freed"])),
            "cpu": ms(float(facts["cpu_ms"])),
            "npu": ms(float(facts["npu_ms"])),
        }
        return (
            self._(
                "CPU time per inference: %(cpu)s on the CPU, %(npu)s with the NPU: %(freed)s freed."
            )
            % shown
        )

    def _power(self, finding: Argument) -> str:
        facts = finding.facts
        if "freed" not in facts:
            return self._("Energy is not measured, and nothing that stands for it.")
        return self._(
            "Energy is not measured. CPU time stands for it, of which %(freed)s is freed; what the "
            "NPU itself draws is unknown."
        ) % {"freed": self._language.share(float(facts["freed"]))}
