"""Why launches fail or do not count, and why cases are refused or left out."""

from __future__ import annotations

from typing import Final

from harness.core.reason import Category, code

# Launches
NOT_BEGUN: Final = code("launch.not-begun", "not started: {why}")
THROTTLED: Final = code("launch.throttled", "throttled: {signs}")
WRONG_OUTPUTS: Final = code("launch.wrong-outputs", "wrong outputs: {why}")
CONTRACT: Final = code(
    "launch.contract", "the runner broke the contract: {why}", category=Category.RUNNER
)
NO_OUTPUTS: Final = code(
    "launch.no-outputs",
    "the runner did not return the requested outputs",
    category=Category.RUNNER,
)
NO_SAMPLES: Final = code(
    "launch.no-samples",
    "the runner finished without samples of any duration",
    category=Category.RUNNER,
)
CLOCK: Final = code(
    "launch.clock",
    "the runner reports {claimed:.3g} s of inferences, but its launch took {took:.3g} s: its "
    "clock or its unit is wrong",
)
OTHER_MEMORY: Final = code(
    "launch.other-memory",
    "the runner reports a peak memory of {claimed:MB}, but the supervisor saw {seen:MB}",
)
SAME_SAMPLES: Final = code("launch.same-samples", "the runner wrote the same samples twice")
TOO_MANY_SAMPLES: Final = code(
    "launch.too-many-samples",
    "the runner reports {made} inferences, but was to make at most {most}",
)
TOO_FEW_SAMPLES: Final = code(
    "launch.too-few-samples",
    "the runner reports {made} inferences in {claimed:.3g} s, but was to make at least {least}",
)
TOO_SHORT: Final = code(
    "launch.too-short",
    "the runner reports {claimed:.3g} s of inferences, but was to go on for {asked} s: its clock "
    "or its unit is wrong, or it ended too early",
)
OTHER_WINDOW: Final = code(
    "launch.other-window",
    "the runner reports {claimed:.3g} s of inferences, but {passed:.3g} s passed between its "
    "events 'warmup' and 'samples': its clock or its unit is wrong",
)
FOREIGN_TIMES: Final = code(
    "launch.foreign-times",
    "the runner's events have times outside this launch: its clock is wrong",
)
OFFLINE: Final = code("launch.offline", "processor {processor} went offline[, {seconds:.0f} s in]")
UNBOUND: Final = code(
    "launch.unbound",
    "its threads were allowed on processors {allowed}, but it was bound to {bound}",
)
ON_PROCESSOR: Final = code(
    "launch.on-processor",
    "it computed on the processor, whose time was {share:percent} of the inferences', and by its "
    "probe the device cannot use {backend}: {excluded}",
)
NOT_SUSTAINED: Final = code(
    "launch.not-sustained",
    "the runner sampled for {sampled:.0f} s instead of {asked} s: it does not support sustained "
    "launches",
    category=Category.RUNNER,
)
NO_SHAPE_CHANGES: Final = code(
    "launch.no-shape-changes",
    "the runner changed no shapes: it does not support shape changes",
    category=Category.RUNNER,
)
OTHER_SHAPES: Final = code(
    "launch.other-shapes",
    "the runner changed to shapes that were not requested",
    category=Category.RUNNER,
)
NO_CHANGE_OUTPUTS: Final = code(
    "launch.no-change-outputs",
    "the runner did not return the outputs of each shape change",
    category=Category.RUNNER,
)
NO_TRAFFIC: Final = code(
    "launch.no-traffic",
    "the runner called the model from one caller: it does not support scenarios",
    category=Category.RUNNER,
)
NO_CALLER_OUTPUTS: Final = code(
    "launch.no-caller-outputs",
    "the runner did not return the outputs of each caller",
    category=Category.RUNNER,
)
NO_RATE: Final = code(
    "launch.no-rate", "no rate keeps its latency within {bound} ms at the {at}th percentile"
)
OVERLOADED: Final = code(
    "launch.overloaded",
    "{rate:.4g} requests a second are more than it carries[, which is {carried:.3g}]",
    hint="lower the rate, or give a 'bound_ms' instead: the harness then searches for the rate",
)
LATE: Final = code(
    "launch.late",
    "requests began up to {late:.3g} ms late though a caller was free: the schedule was not kept",
    hint="leave a processor to the callers, or lower the rate",
)
NOT_WITHIN: Final = code(
    "launch.not-within",
    "at {rate:.4g} requests a second its latency is {latency:.4g} ms at the {at}th percentile, "
    "not within {bound} ms",
)
FEW_FOR_PERCENTILE: Final = code(
    "launch.few-for-percentile",
    "{samples:sample} do not tell the {at}th percentile: it takes {needed}",
)
FELL_BACK: Final = code(
    "launch.fell-back",
    "fell back: the engine ran all operators on {units}, none on {backend}",
)
CACHE_NOT_FILLED: Final = code("launch.cache-not-filled", "the engine left its model cache empty")
CACHE_EMPTY: Final = code(
    "launch.cache-empty",
    "its model cache was empty: the device may have restarted since it was filled",
)
CACHE_WRITTEN: Final = code(
    "launch.cache-written",
    "the engine wrote to its model cache instead of loading from it",
)
OUT_OF_MEMORY: Final = code(
    "launch.out-of-memory",
    "killed after '{stage}': the device was out of memory",
    category=Category.DEVICE,
)
DISK_FULL: Final = code(
    "launch.disk-full",
    "the device's disk was full: {why}",
    hint="make room on the device, or set 'workdir' in its file",
    category=Category.DEVICE,
)
RUNNER_SAID: Final = code("launch.runner-error", "{kind}: {said}", category=Category.RUNNER)
ENGINE_SAID: Final = code("launch.engine-error", "{kind}: {said}", category=Category.ENGINE)
TIME_LIMIT: Final = code(
    "launch.time-limit",
    "stopped at its limit of {limit} s, after '{stage}'",
    category=Category.TIMEOUT,
)
UNKILLABLE: Final = code(
    "launch.unkillable",
    "hangs in the kernel after '{stage}', and cannot be killed",
    category=Category.DEVICE,
)
CRASHED: Final = code("launch.crashed", "crashed with {signal} after '{stage}'[: {said}]")
EXITED: Final = code("launch.exited", "exited with {status} after '{stage}'[: {said}]")
ENGINE_CRASHED: Final = code(
    "launch.engine-crashed", "crashed with {signal} after '{stage}': {said}"
)
ENGINE_EXITED: Final = code("launch.engine-exited", "exited with {status} after '{stage}': {said}")
UNFINISHED: Final = code(
    "launch.unfinished", "exited with 0 before it had finished, after '{stage}'[: {said}]"
)
LOST: Final = code(
    "launch.lost",
    "launch {launch}: its supervisor was killed, or the device restarted",
    category=Category.DEVICE,
)
GONE: Final = code(
    "launch.gone", "launch {launch}: its files disappeared", category=Category.DEVICE
)
ORPHANED: Final = code(
    "launch.orphaned",
    "launch {launch}: its supervisor was killed; the runner was ended",
    category=Category.DEVICE,
)
OVERDUE: Final = code(
    "launch.overdue",
    "launch {launch}: still there {seconds} s after its time limit; its supervisor hangs",
    hint="restart the device: its disk may be failing",
    category=Category.DEVICE,
)
BUSY: Final = code(
    "launch.busy",
    "{said}",
    hint="wait for that launch, or end it",
    category=Category.DEVICE,
)
NOT_PREPARED: Final = code(
    "launch.not-prepared",
    "{folder}: a launch could not be prepared: {said}",
    category=Category.DEPLOY,
)
ANSWER_SIZE: Final = code(
    "launch.answer-size",
    "the supervisor's answer has {bytes} bytes, but announces {announced}",
    category=Category.DEPLOY,
)
ANSWER_ENDLESS: Final = code(
    "launch.answer-endless", "the supervisor's answers do not end", category=Category.DEPLOY
)
RECORD: Final = code(
    "launch.record", "the supervisor's record is invalid: {why}", category=Category.DEPLOY
)
NO_EXIT: Final = code(
    "launch.no-exit",
    "supervisor.jsonl: the launch has ended, but has no exit",
    category=Category.DEPLOY,
)
OUTPUT_CHANGED: Final = code(
    "launch.output-changed",
    "{file}: it does not match what the runner announced",
    category=Category.DEPLOY,
)
INTERRUPTED: Final = code("launch.interrupted", "interrupted", category=Category.CONNECTION)

# Output checks
TWICE: Final = code("outputs.twice", "an output was returned twice")
UNEXPECTED: Final = code(
    "outputs.unexpected", "output {output} for seed {seed}, of {outputs:output}"
)
SHAPE: Final = code(
    "outputs.shape", "output {output} for seed {seed} is {shape} instead of {expected}"
)
OF_CALLER: Final = code(
    "outputs.of-caller", "{why} (caller {caller} of {callers}, while all called)"
)
AFTER_CHANGE: Final = code("outputs.after-change", "after the change to {shapes}: {why}")

# Cases
NO_ENGINE: Final = code("case.no-engine", "{device} has no engine '{engine}' in its file")
NO_MODEL: Final = code("case.no-model", "engine '{engine}' cannot run {model}")
NO_BACKEND: Final = code(
    "case.no-backend", "{device} has no backend '{backend}' for {engine} in its file"
)
PRECISION: Final = code(
    "case.precision",
    "{engine} is measured in {precisions} on {backend} of {device}, not in {precision}",
)
NOT_BUILT_IN: Final = code("case.not-built-in", "{model} is built in {built}, not in {precision}")
PYTHON_BACKEND: Final = code(
    "case.python-backend",
    "the Python runner has no backend '{backend}'",
    hint="give a 'runner' in the device's file",
)
NO_MODEL_CACHE: Final = code(
    "case.no-model-cache", "{engine} keeps no compiled models for backend '{backend}'"
)
RUNNER_UNFIT: Final = code("case.runner-unfit", "runner '{runner}': {why}")
OTHER_ENGINE: Final = code("case.other-engine", "it measures {engine}, not {asked}")
ONE_CALLER: Final = code(
    "case.one-caller", "{what} measures one caller only, not the scenario '{scenario}'"
)
HOLDS_LOCK: Final = code(
    "case.holds-lock",
    "{engine} holds the interpreter's lock while it runs, so the Python runner has one caller of "
    "it, not {callers}",
    hint="measure it with a native runner",
)
TOO_FEW_INSTANCES: Final = code(
    "case.too-few-instances",
    "a predictor of {engine} takes one caller at a time: {callers} callers need as many instances",
)
UNEVEN: Final = code(
    "case.uneven", "{instances} instances cannot share {processors} processors evenly"
)
FIXED_SHAPES: Final = code(
    "case.fixed-shapes",
    "it was converted for fixed shapes only: conversion with open axes failed",
)
NOT_BUILT: Final = code("case.not-built", "not built: {why}")
NOT_REACHED: Final = code("case.not-reached", "not reached: {why}")
ASIDE: Final = code("case.device-aside", "device set aside because {why}")
GIVEN_UP: Final = code("case.given-up", "abandoned after a failed launch: {why}")
TOO_LARGE: Final = code(
    "case.too-large",
    "it needs at least {needed:MB} for its weights and intermediate results (estimate), and "
    "the device has {available:MB}[ of {total:MB}] available",
)

# Stored cases that are to be launched again
NO_ARTIFACT: Final = code("again.no-artifact", "no artifact was recorded")
ARTIFACT_GONE: Final = code("again.artifact", "its artifact {artifact} ({file}) was not kept")
RUNNER_GONE: Final = code("again.runner", "its runner was not kept[: {files}]")
OTHER_RUNNER: Final = code("again.other-runner", "it was measured with a different kind of runner")
ENVIRONMENT_GONE: Final = code(
    "again.environment",
    "its environment {environment} with the lock {lock} no longer exists",
)

# Devices
COMPANY: Final = code(
    "device.company",
    "{device}: a launch of another run is in progress there ({launch})",
    hint="wait until it ends (its time limit is enforced there), or resume that run: "
    "harness run --resume",
)
BACK: Final = code("device.back", "it answers again")
ANSWERS: Final = code("device.answers", "boot {boot}")
POWER_CYCLED: Final = code("device.power-cycled", "{why}; {cycle}")
