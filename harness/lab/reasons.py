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

# Whether a backend can be used: what speaks for it
PACKAGE: Final = code("backend.package", "{engine} {version} in {python}")
ENVIRONMENT: Final = code("backend.environment", "the harness's environment '{environment}'")
OWN_RUNNER: Final = code("backend.own-runner", "the harness's own runner")
RUNNER: Final = code("backend.runner", "runner {runner}")
DRIVER: Final = code("backend.driver", "{driver} {version}")
DRIVER_OF_SOME_VERSION: Final = code(
    "backend.driver-of-some-version", "{driver} of unknown version"
)
NODE: Final = code("backend.node", "{node}")
SHIPPED: Final = code("backend.shipped", "{library} beside the runner")
LIBRARY: Final = code("backend.library", "{path}[ {version}]")
CLOCK: Final = code("backend.clock", "{what} at {mhz}[ of {most}] MHz")
TOLD: Final = code("backend.told", "{said}")

# Why it cannot be, or is not known to be
NO_RUNNER: Final = code(
    "backend.no-runner",
    "the device's file names no runner for {engine}",
    hint="if you want it: engines: {with_python} there, or {with_runner} of a registered one; see "
    "{page}",
)
NOT_LISTED: Final = code(
    "backend.not-listed",
    "the device's file does not list it among {engine}'s backends",
    hint="add '{line}' there",
)
NO_PYTHON: Final = code(
    "backend.no-python", "{python} does not start there", hint="correct the device's file"
)
NO_PACKAGE: Final = code(
    "backend.no-package",
    "{python} has no package of {engine}",
    hint="install it there, or name another interpreter or a runner",
)
NOT_REGISTERED: Final = code(
    "backend.not-registered",
    "runner '{runner}' is not registered in this workspace",
    hint="harness runners build, then harness runners add",
)
RUNNER_OF: Final = code(
    "backend.runner-of", "runner '{runner}' is one of {engine}", hint="correct the device's file"
)
RUNNER_FAULT: Final = code(
    "backend.runner-fault", "runner '{runner}': {why}", hint="harness runners show {runner}"
)
UNKNOWN_BACKEND: Final = code(
    "backend.unknown",
    "the device's class does not know it: what it needs is not known here",
    hint="see {page} for the classes and what each knows",
)
EXCLUDED: Final = code("backend.excluded", "{why}")
ROOT_UNKNOWN: Final = code(
    "backend.root-unknown", "it needs root, and who we are there is unknown", hint="run id there"
)
NOT_ROOT: Final = code(
    "backend.not-root",
    "it needs root, and we are not",
    hint="log in as root[, where the device allows it: {command}]",
)
NO_ANSWER_OF_ENGINE: Final = code(
    "backend.no-answer", "{engine} did not say which accelerators it finds: {said}"
)
NOT_THERE: Final = code("backend.not-there", "{said}")
CHIP_UNKNOWN: Final = code(
    "backend.chip-unknown",
    "it is for {chips}, and the device does not say what chip it has",
    hint="write it as 'soc' into the device's file",
)
OTHER_CHIP: Final = code(
    "backend.other-chip",
    "it is for {chips}, and the device is {chip}",
    hint="if that is one of them: write its name as 'soc' into the device's file",
)
NO_DRIVER: Final = code("backend.no-driver", "{driver} is not there", hint="{remedy}")
OTHER_DRIVER: Final = code("backend.other-driver", "{why}", hint="{remedy}")
DRIVER_VERSION_UNKNOWN: Final = code(
    "backend.driver-version-unknown",
    "{driver} is there, but its version could not be read; {source}",
    hint="{find_out}",
)
DRIVER_VERSION: Final = code(
    "backend.driver-version", "{driver} is {version}; {source}", hint="{remedy}"
)
NO_NODE: Final = code(
    "backend.no-node",
    "{driver} is there, but no device file of it was found",
    hint="on the board, as root: ls -l /dev /dev/dri",
)
NODE_CLOSED: Final = code(
    "backend.node-closed",
    "{node} may not be read and written",
    hint="log in as root, or as a user of its group (ls -l shows that)",
)
NO_LIBRARY: Final = code(
    "backend.no-library",
    "{library} is neither on the device nor beside the runner",
    hint="{library}: {remedy}; harness runners add ... --lib {library}, or put it on the device "
    "and name the folder in LD_LIBRARY_PATH of the backend's variables",
)
LIBRARY_VERSION_UNKNOWN: Final = code(
    "backend.library-version-unknown",
    "{path} does not tell its version; {needed} or newer is needed",
    hint="on the board: strings {path} | grep -i version",
)
LIBRARY_VERSION: Final = code(
    "backend.library-version",
    "{path} is {version}; {needed} or newer is needed",
    hint="{library}: {remedy}",
)
