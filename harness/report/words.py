"""What a report says in sentences made of figures: of trust, conditions, differences and advice."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from harness.analysis.audit import Severity
from harness.analysis.cases import State
from harness.analysis.comparable import device_clocks
from harness.analysis.failures import LEFT_OUT, REFUSED
from harness.core.records import Role
from harness.report.advice_words import AdviceWords

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.analysis.advice import AdvisedSide, Subject
    from harness.analysis.audit import Doubt
    from harness.analysis.expectations import Outcome
    from harness.analysis.failures import FailureGroup
    from harness.analysis.gate import Gate
    from harness.core.records import Launch
    from harness.report.view import CaseView, DeviceView, LoadView, ReportView

__all__ = ["Words"]


class Words(AdviceWords):
    """Sentences in one language."""

    def trust(self, view: ReportView) -> list[str]:
        """Say how far the figures can be trusted: launches, checks, spread, throttling."""
        _, language = self._, self._language
        measured = [case for case in view.results if case.latency_ms]
        lines = []
        if measured:
            fewest = min(len(case.figures_ms) for case in measured)
            most = max(len(case.figures_ms) for case in measured)
            span = str(most) if fewest == most else f"{fewest} – {most}"
            lines.append(_("Fresh processes a case: %(n)s; intervals are over them") % {"n": span})
            lines.append(self._rightness(view, measured))
            known = [case.latency_ms.spread for case in measured if case.latency_ms]
            spreads = [spread for spread in known if spread is not None]
            if spreads:
                lines.append(
                    _("Launch-to-launch variation: %(middle)s median, %(most)s worst")
                    % {
                        "middle": language.percent(median(spreads)),
                        "most": language.percent(max(spreads)),
                    }
                )
        bad = sum(len(case.bad) for case in view.results)
        if bad:
            lines.append(
                _("Launches that failed or were invalid, kept and shown: %(n)s") % {"n": bad}
            )
        lines.append(self._throttling(view))
        lines += self._versions(measured)
        if view.emulated:
            lines.append(
                _("Emulated devices: %(names)s; their times say nothing of any hardware")
                % {"names": language.listed(*(device.record.name for device in view.emulated))}
            )
        return lines

    def _rightness(self, view: ReportView, measured: Sequence[CaseView]) -> str:
        _ = self._
        right = sum(case.checked for case in measured)
        wrong = sum(case.state is State.WRONG for case in view.results)
        said = _("Outputs, against fp32: right in every case (%(all)s)")
        if wrong:
            said = _("Outputs, against fp32: right in %(n)s of %(all)s cases, wrong in %(wrong)s")
        elif right < len(measured):
            said = _("Outputs, against fp32: right in %(n)s of %(all)s cases, others unchecked")
        return said % {"n": right, "all": len(measured) + wrong, "wrong": wrong}

    def _throttling(self, view: ReportView) -> str:
        _ = self._
        told = [launch.throttling for launch in view.run.launches if launch.throttling]
        if not told:
            return _("Throttling: not watched for")
        if not any(found.watched for found in told):
            return _("Throttling: no sensors available")
        return _("Throttling: watched for in %(n)s launches, seen in %(seen)s") % {
            "n": sum(bool(found.watched) for found in told),
            "seen": sum(bool(found.seen) for found in told),
        }

    def _versions(self, measured: Sequence[CaseView]) -> list[str]:
        """Name the engines that were measured in more than one version."""
        versions: dict[str, dict[str, None]] = {}
        for case in measured:
            for launch in case.launches:
                if launch.engine_version:
                    found = versions.setdefault(case.record.case.engine, {})
                    found[launch.engine_version] = None
        listed = self._language.listed
        several = [f"{name} {listed(*found)}" for name, found in versions.items() if len(found) > 1]
        if not several:
            return []
        return [
            self._("Engines in more than one version: %(names)s") % {"names": "; ".join(several)}
        ]

    def audited(self, findings: Sequence[Doubt]) -> str:
        """Say how many findings of which severity the audit has, the gravest first."""
        counts = Counter(finding.severity for finding in findings)
        known = self._language.known
        said = [f"{counts[each]} × {known(each.value)}" for each in Severity if counts[each]]
        return self._("Audit: %(counts)s") % {"counts": self._language.listed(*said)}

    def conditions(self, device: DeviceView) -> list[tuple[str, str]]:
        """Say what was asked of a device before launches, and what its sensors said meanwhile."""
        _, language = self._, self._language
        asked = {name: value for name, value in device.record.conditions.items() if value}
        known = [launch for case in device.cases for launch in case.launches]
        temperatures = [
            celsius
            for launch in known
            for reading in launch.environment
            for celsius in reading.temperatures_c.values()
        ]
        watched = dict.fromkeys(
            sign for launch in known if launch.throttling for sign in launch.throttling.watched
        )
        waited = [launch.conditions.waited_s for launch in known if launch.conditions]
        lines = [
            (
                _("Conditions asked for"),
                language.listed(*(f"{name} {value}" for name, value in asked.items())) or _("none"),
            ),
            (
                _("Temperatures meanwhile"),
                f"{min(temperatures):g} – {max(temperatures):g} °C"
                if temperatures
                else _("unknown"),
            ),
            (_("Clocks of NPU, GPU and memory meanwhile"), self._clocks(known)),
            (_("Throttling watched by"), language.listed(*watched) or _("nothing it has")),
        ]
        if waited:
            lines.append((_("Longest wait for conditions"), f"{max(waited):.1f} s"))
        return lines

    def _clocks(self, launches: Iterable[Launch]) -> str:
        """Say what the clocks of NPU, GPU and memory were while launches ran."""
        said = [
            f"{name} {' – '.join(f'{khz / 1e3:g}' for khz in dict.fromkeys(ends))} MHz"
            for name, ends in device_clocks(launches).items()
        ]
        return self._language.listed(*said) or self._("unknown")

    def untrained(self, view: ReportView) -> list[str]:
        """Return the models whose weights are random."""
        return [model.name for model in view.run.models if "random weights" in model.source]

    def caches(self, load: LoadView) -> str:
        """Say in what state the caches were."""
        known = self._language.known(load.state)
        if load.filling:
            return self._("%(state)s, filling the model cache") % {"state": known}
        if load.cached:
            return self._("%(state)s, from the model cache") % {"state": known}
        return known

    def launch(self, launch: Launch) -> str:
        """Name a launch."""
        what = (
            self._("launch %(n)s") % {"n": launch.slot + 1}
            if launch.role is Role.MEASURE
            else self._language.known(launch.name)
        )
        if not launch.attempt:
            return what
        return what + self._(", try %(n)s") % {"n": launch.attempt + 1}

    def differs(self, one: AdvisedSide, other: AdvisedSide) -> str:
        """Say what differs between two sides beside the compute unit."""
        _ = self._
        found = []
        if one.engine != other.engine and one.engine and other.engine:
            found.append(_("engine"))
        if one.precision != other.precision:
            found.append(f"{_('precision')} ({one.precision} / {other.precision})")
        return self._language.listed(*found) or _("nothing")

    def launches_of(self, cause: FailureGroup) -> str:
        """Say how many launches failed for a cause, and how many of them were made good."""
        ngettext = self._language.ngettext
        if cause.category in (LEFT_OUT, REFUSED):
            said = ngettext("one launch not made", "%(n)s launches not made", cause.launches)
            return said % {"n": cause.launches}
        said = ngettext("one launch", "%(n)s launches", cause.launches) % {"n": cause.launches}
        if not cause.made_good:
            return said
        return said + self._(", made good: %(n)s") % {"n": cause.made_good}

    def verdicts(self, gate: Gate) -> str:
        """Say how many cases came to which verdict."""
        counts = Counter(each.verdict for each in gate.comparisons if each.verdict)
        said = [f"{self._language.known(verdict.value)} {n}" for verdict, n in counts.items()]
        return self._language.listed(*said) or self._("no case in common")

    def budgets(self, outcomes: Sequence[Outcome]) -> str:
        """Say how many budgets were kept."""
        counts = Counter(outcome.met for outcome in outcomes)
        said = [f"{self._language.known(met.value)} {n}" for met, n in counts.items()]
        return self._("Budgets: %(counts)s") % {"counts": self._language.listed(*said)}

    def differences(self, found: Iterable[tuple[str, str, str]]) -> str:
        """Say what differs between two cases, by the keys of a case."""
        _ = self._
        names = {
            "backend": _("compute unit"),
            "batch": _("batch"),
            "busy_cpus": _("busy CPUs"),
            "cpus": _("CPUs used"),
            "model_cache": _("model cache"),
            "precision": _("precision"),
            "shapes": _("input shapes"),
            "threads": _("threads"),
            "scenario": _("scenario"),
            "callers": _("callers"),
            "instances": _("instances"),
            "rate_per_s": _("requests per second"),
            "bound_ms": _("bound on latency, ms"),
            "percentile": _("percentile of the bound"),
        }
        said = [f"{names.get(name, name)} ({one} / {other})" for name, one, other in found]
        return self._language.listed(*said) or _("nothing")

    def freed(self, subject: Subject) -> float | None:
        """Return the share of CPU time that the NPU frees."""
        cpu, npu = subject.on_cpu.cpu_ms, subject.on_npu.cpu_ms
        return None if not cpu or npu is None else 1 - npu / cpu

    def cases(self, cases: Iterable[CaseView]) -> str:
        """Name cases."""
        return self._language.listed(*(self._language.setting(case.label) for case in cases))
