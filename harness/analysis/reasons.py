"""Why outputs are wrong, cases have no figure or cannot be compared, and what results show."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

# Output checks
FEW_INPUTS: Final = code(
    "outputs.few-inputs", "the reference has {inputs:input}; at least {needed} are needed"
)
SEEDS: Final = code("outputs.seeds", "outputs for the seeds {found} instead of {expected}")
NUMBER: Final = code("outputs.number", "{found:output} for seed {seed} instead of {expected}")
OF_SEED: Final = code("outputs.of-seed", "output {output} for seed {seed} {why}")
OF_OUTPUT: Final = code("outputs.of-output", "output {output} {why}")
KIND: Final = code("outputs.kind", "is {found} instead of {expected}")
REFERENCE_INFINITE: Final = code(
    "outputs.reference-infinite", "has NaN or infinite values in the reference"
)
INFINITE: Final = code("outputs.infinite", "has NaN or infinite values")
SWAPPED: Final = code("outputs.swapped", "{why}: it is output {output} of the reference")
MISTAKEN: Final = code(
    "outputs.mistaken",
    "output {output} for seed {seed} is nearer to the reference for seed {other}",
)
ERROR: Final = code(
    "outputs.error",
    "relative error {error:.3g} of output {output} for seed {seed} is above the tolerance of "
    "{tolerance}",
)
OUTPUTS: Final = code("outputs.outputs", "{found:output}")
NO_OUTPUTS: Final = code("outputs.none", "no outputs")

# Cases
NO_LAUNCH: Final = code("case.no-launch", "no launch was made")
INVALID: Final = code("case.invalid", "{invalid} of {launches:launch} were invalid: {why}")
NO_SUCCESS: Final = code("case.no-success", "no launch succeeded: {why}")
NOT_FILLED: Final = code("case.not-filled", "its model cache was not filled: {why}")
UNEXPLAINED: Final = code("case.unexplained", "no reason was recorded")

# Flags
RISING: Final = code(
    "flag.rising", "figures rise by {change:percent} from the first launch to the last"
)
FALLING: Final = code(
    "flag.falling", "figures fall by {change:percent} from the first launch to the last"
)
OUTLIERS: Final = code("flag.outliers", "far from the others: {launches}")
BIMODAL: Final = code(
    "flag.bimodal",
    "two groups {apart:percent} apart, of {one} and {other} launches: the interval may be too "
    "narrow",
)
UNSTEADY: Final = code(
    "flag.unsteady",
    "{unsteady} of {launches:launch} were still unsteady when warm-up reached its limit",
)
SLOWING: Final = code(
    "flag.slowing", "samples are {change:percent} higher at a launch's end than at its start"
)
QUICKENING: Final = code(
    "flag.quickening", "samples are {change:percent} lower at a launch's end than at its start"
)

# Expectations
UNREPORTED: Final = code("expectation.unreported", "no launch reported it")
NO_INTERVAL: Final = code("expectation.no-interval", "one launch has no interval")
NO_QUANTITY: Final = code("expectation.no-quantity", "no installed quantity has the key '{key}'")
NO_CPU_CASE: Final = code(
    "expectation.no-cpu-case",
    "no case of the model on the device's processors has a latency",
)
OVER: Final = code("expectation.over", "over {setting}")
NO_PROFILE: Final = code(
    "expectation.no-profile",
    "no launch was profiled",
    hint="set 'profile_launches: 1' in the campaign's protocol",
)
UNCOUNTED: Final = code(
    "expectation.uncounted",
    "the engine's names of the operators left to the processor are not those that were counted",
)
SIMULATED_SPEED: Final = code(
    "expectation.simulated",
    "{simulated} stood in for the accelerator: its times say nothing about real hardware",
)
NO_DRIFT: Final = code("expectation.no-drift", "the artifact's drift was not recorded")

# Comparisons
MISSING: Final = code("comparison.missing", "{side}: {case}: {why}")
OTHER_MODEL: Final = code("comparison.model", "{one} and {other} are different models")
EMULATED: Final = code(
    "comparison.emulated", "one device is emulated: its times say nothing about a real device"
)
SIMULATED: Final = code(
    "comparison.simulated",
    "one accelerator is simulated: its times say nothing about real hardware",
)
UNCHECKED: Final = code("comparison.unchecked", "the outputs of {case} were not checked")
NO_IDENTITY: Final = code(
    "comparison.no-identity",
    "{device} reports no serial number or machine id: it may be another device",
)
SERIAL: Final = code(
    "comparison.serial", "{device} is another device: serial number {then} → {now}"
)
MACHINE_ID: Final = code(
    "comparison.machine-id", "{device} is another device: machine id {then} → {now}"
)
OTHER_INSTANCE: Final = {"serial": SERIAL, "machine_id": MACHINE_ID}
KERNEL: Final = code("comparison.kernel", "kernel: {then} → {now}")
CLOCKS: Final = code("comparison.clocks", "clocks: {then} → {now}")
DEVICE_CLOCKS: Final = code(
    "comparison.device-clocks", "clocks of NPU, GPU and memory while measuring: {then} → {now}"
)
MEMORY_CLOCK_UNKNOWN: Final = code(
    "comparison.memory-clock-unknown", "the memory's clock is unknown in {sides}"
)
RUNNER: Final = code("comparison.runner", "runner: {then} → {now}")
ENGINE: Final = code("comparison.engine", "engine: {then} → {now}")
INPUTS: Final = code("comparison.inputs", "inputs of {model} differ (names, shapes or ranges)")
ESTIMATOR: Final = code(
    "comparison.estimator",
    "a launch's figure is its {then:known} on one side, its {now:known} on the other",
)
DURATION: Final = code(
    "comparison.duration", "launches of {then} s and of {now} s (0: not sustained)"
)
ENGINE_GONE: Final = code(
    "comparison.engine-gone",
    "the baseline's engine is not available: it was {then}, and is {now}",
)
NOT_FRESH: Final = code("comparison.not-fresh", "no fresh launches were made")

# What to do about a group of failures
DOCTOR_RESUME: Final = code(
    "todo.doctor-resume", "harness devices doctor {device}; then harness run --resume {run}"
)
DOCTOR_DEPLOY: Final = code(
    "todo.doctor-deploy",
    "harness devices doctor {device}: the link, and the free space of its work folder",
)
SLOW_OR_HANGING: Final = code(
    "todo.slow-or-hanging",
    "is it slow, or does it hang? harness results logs {run} --failed; a slow one needs a higher "
    "time_limit in the campaign's protocol",
)
READ_LOGS: Final = code("todo.read-logs", "harness results logs {run} --failed")
READ_CONDITIONS: Final = code(
    "todo.read-conditions", "see 'Conditions' in the documentation for what makes a launch invalid"
)
OTHER_PRECISION: Final = code(
    "todo.other-precision",
    "the engine, its backend or the artifact computes something other than the model: try another "
    "version or precision; tolerances are set in the model's file",
)
CORRECT: Final = code(
    "todo.correct", "correct the campaign or the device's file, or exclude the case with --only"
)
RESUME: Final = code("todo.resume", "harness run --resume {run}")
