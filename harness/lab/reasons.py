"""Why a device, a runner on it or a launch's conditions are not as they have to be."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

# Runners
OTHER_ABI: Final = code("runner.other-abi", "it is built for {built}, but the device is {abi}")
NO_LOADER: Final = code("runner.no-loader", "it needs the loader {loader}, which the device lacks")
NO_GLIBC: Final = code("runner.no-glibc", "it needs glibc, but the device has {libc}")
OLD_GLIBC: Final = code("runner.old-glibc", "it needs glibc {needed}, but the device has {found}")
NO_LIBRARIES: Final = code(
    "runner.no-libraries",
    "the device lacks {libraries}",
    hint="to ship libraries with it: --lib",
)
CUT_SHORT: Final = code("runner.cut-short", "looking for the runner's libraries was interrupted")

# The supervisor and what it keeps
NOT_RUN: Final = code(
    "supervisor.not-run",
    "the device did not run the supervisor (exit {status}): {said}",
    hint="check its ABI, and that its workdir allows programs to run",
)
NO_FOLDER: Final = code("store.no-folder", "{folder}: {said}")
NO_ROOM: Final = code(
    "store.no-room",
    "the device has no space in {folder}: {said}",
    hint="free space there, or set 'workdir' in the device's file",
)
CORRUPTED: Final = code(
    "store.corrupted", "{file}: corrupted in transfer, twice[: sent with SHA-256 {sent}][; {said}]"
)
EXIT_STATUS: Final = code("supervisor.exit-status", "exit status {status}")

# Leases
LEASED: Final = code(
    "lease.held",
    "leased to {holder} for another {seconds} s",
    hint="wait for it (--wait 30m), or end it: harness devices break-lease",
)
QUEUED: Final = code(
    "lease.queued",
    "{holder} has been waiting longer",
    hint="wait for it (--wait 30m), or end it: harness devices break-lease",
)
CROWDED: Final = code("lease.crowded", "too many are waiting for this device")
BROKEN: Final = code(
    "lease.broken",
    "the lease was broken[ by {by}: {reason}][ {said}]",
    hint="ask them; when it is free again: harness run --resume --wait 30m",
)
LEASE_FAILED: Final = code("lease.failed", "the device's lease: {said}")
LEASED_DEVICE: Final = code(
    "lease.device",
    "{device}: {why}",
    hint="wait for it (--wait 30m), or end it: harness devices break-lease {device} --reason WHY",
)

# Power
NO_ANSWER: Final = code(
    "power.no-answer",
    "it was power-cycled, but did not answer within {seconds} s: {why}",
    hint="check the socket; a slow board needs a higher boot_within_s",
)
NO_COMMAND: Final = code(
    "power.no-command",
    "its power_cycle command cannot be run: {command}: {said}",
    hint="it is looked for in PATH, and runs in the workspace's folder",
)
COMMAND_SLOW: Final = code(
    "power.command-slow",
    "its power_cycle command did not finish within {seconds} s[: {said}]",
)
COMMAND_FAILED: Final = code(
    "power.command-failed", "its power_cycle command failed (exit {status})[: {said}]"
)
INTERRUPTED: Final = code("power.interrupted", "interrupted")

# What slows a device down
OFFLINE: Final = code(
    "throttling.offline",
    "processors online: {name} from {before} to {after}[, {seconds:.0f} s in]",
)
PROCESSOR_CLOCK: Final = code(
    "throttling.processor-clock",
    "processor clock in kHz: {name} from {before} to {after}[, {seconds:.0f} s in]",
)
CLOCK_LIMIT: Final = code(
    "throttling.clock-limit",
    "clock limit in kHz: {name} from {before} to {after}[, {seconds:.0f} s in]",
)
COOLING: Final = code(
    "throttling.cooling",
    "cooling state: {name} from {before} to {after}[, {seconds:.0f} s in]",
)
NPU_CLOCK: Final = code(
    "throttling.npu-clock",
    "NPU clock in kHz: {name} from {before} to {after}[, {seconds:.0f} s in]",
)
HELD_CLOCK: Final = code(
    "throttling.held-clock",
    "held clock in kHz: {name} is {after} instead of {before}[, {seconds:.0f} s in]",
)

# What a launch asks of its device, as the supervisor answers
NO_BATTERY: Final = code("conditions.no-battery", "battery: none can be read")
LOW_BATTERY: Final = code(
    "conditions.low-battery", "the battery is at {percent} %, below {asked} %"
)
HOT: Final = code("conditions.hot", "{zone} {kind} is at {celsius:.1f} °C, above {asked:.1f} °C")
NO_ZONE: Final = code("conditions.no-zone", "temperature: no zone '{zone}' to read")
NO_ZONES: Final = code("conditions.no-zones", "temperature: no zone to read")
NO_LOAD: Final = code("conditions.no-load", "load: /proc/stat does not report it")
BUSY: Final = code(
    "conditions.busy",
    "other work takes {load:percent} of the processors, more than {asked:percent}",
)
NO_GOVERNOR: Final = code("conditions.no-governor", "governor: no processor has one")
GOVERNOR_UNSAVED: Final = code(
    "conditions.governor-unsaved",
    "governor: not set: the present one cannot be saved, or another launch has saved it",
)
GOVERNOR: Final = code(
    "conditions.governor", "governor: {cpu} has '{found}', not '{asked}'[: {said}]"
)
