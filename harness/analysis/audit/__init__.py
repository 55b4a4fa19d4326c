"""The audit: what cannot be true in results, ours or others'."""

from harness.analysis.audit.finding import RULES, Evidence, Finding, Rule, Severity

__all__ = ["RULES", "Evidence", "Finding", "Rule", "Severity"]
