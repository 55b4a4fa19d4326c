"""What an audit says of what it finds, and the evidence that it shows.

None of it is stored: the module has another name than those that are loaded to read records.
"""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

MORE: Final = code("audit.more", "{finding} (and {more} more)")
OF_CASE: Final = code("audit.of-case", "{case}: {finding}")

# Launches
WRONG_OUTPUTS: Final = code("audit.wrong-outputs", "wrong outputs")
INVALID: Final = code("audit.invalid", "{invalid} of {launches:launch} were invalid")
UNCHECKED: Final = code("audit.unchecked", "outputs of {unchecked} of {launches:launch} unchecked")
ONE_LAUNCH: Final = code("audit.one-launch", "one launch: no interval")
THROTTLED: Final = code("audit.throttled", "{launches:launch} that count were throttled")
UNMET: Final = code("audit.unmet", "conditions were not met for {launches:launch}")
WIDE: Final = code("audit.wide", "its interval is {interval}, ±{half:percent}")
WIDE_OF: Final = code(
    "audit.wide-of", "the interval of its {quantity:known} is {interval}, ±{half:percent}"
)
BUSY: Final = code("audit.busy", "others kept the device busy in {launches:launch}")
SLOWER_LATER: Final = code(
    "audit.slower-later", "the timed inferences are slower than the first one"
)
SLOWER_WARM: Final = code(
    "audit.slower-warm", "reading from a warm page cache is slower than from a cold one"
)
EQUAL_SAMPLES: Final = code("audit.equal-samples", "all samples of {launches:launch} are equal")
COARSE: Final = code(
    "audit.coarse", "the clock advances in steps of {step:percent} of what it times"
)
EQUAL_FIGURES: Final = code("audit.equal-figures", "all {launches} launches have the same figure")
TOO_LONG: Final = code(
    "audit.too-long", "samples of {launches:launch} take longer than the launch itself"
)
IDLE: Final = code("audit.idle", "hardly any CPU time in {launches:launch}: it waited")
TOO_BUSY: Final = code("audit.too-busy", "more CPU time than {threads:thread} can use")
COPIED: Final = code(
    "audit.copied", "{launches} launches have the same {samples} samples in the same order"
)
UNWATCHED: Final = code(
    "audit.unwatched",
    "{device}: nothing there shows whether {launches:launch} of {cases:case} were throttled",
)

PEAK_BELOW_PSS: Final = code(
    "audit.peak-below-pss",
    "the peak of memory is below the proportional share in {launches:launch}",
)
TOO_MUCH_MEMORY: Final = code(
    "audit.too-much-memory", "more memory than the device has in {launches:launch}"
)

# Tables
IDENTICAL: Final = code(
    "audit.identical",
    "{one} and {other}: all {figures} figures that both have are the same, to the last digit",
)
MOSTLY_IDENTICAL: Final = code(
    "audit.mostly-identical",
    "{one} and {other}: {same} of the {figures} figures that both have are the same, to the last "
    "digit",
)
MODEL_SHIFTED_ON: Final = code(
    "audit.model-shifted-on",
    "{figures} figures of model {one} appear again at {other}, {columns:column} further on",
)
MODEL_SHIFTED_BACK: Final = code(
    "audit.model-shifted-back",
    "{figures} figures of model {one} appear again at {other}, {columns:column} further back",
)
DEVICE_SHIFTED_ON: Final = code(
    "audit.device-shifted-on",
    "{figures} figures of device {one} appear again at {other}, {columns:column} further on",
)
DEVICE_SHIFTED_BACK: Final = code(
    "audit.device-shifted-back",
    "{figures} figures of device {one} appear again at {other}, {columns:column} further back",
)
SCALED: Final = code(
    "audit.scaled",
    "all {figures} figures of {other} are {ratio:.6g} times those of {one}, to the last digit",
)
SAME_ENDINGS: Final = code(
    "audit.same-endings",
    "{one} and {other}: {alike} of the {figures} figures that both have differ, and end in the "
    "same two digits",
)
FALLING: Final = code(
    "audit.falling",
    "{device}, {setting}: figures of {models} models fall as the models grow, as frames per second "
    "do",
)
REPEATED: Final = code("audit.repeated", "{figure} appears {times} times, for {things}")
MODELS: Final = code("audit.models", "{n:model}")
DEVICES: Final = code("audit.devices", "{n:device}")
SETTINGS: Final = code("audit.settings", "{n:setting}")
CONTRADICTION: Final = code(
    "audit.contradiction", "{figure} has {figures} figures, and nothing tells them apart"
)
DIGITS: Final = code(
    "audit.digits",
    "{needless} of {figures:figure} have up to {digits} significant digits, more than is known of "
    "how far launches differ",
)
NOT_IN_INTERVAL: Final = code(
    "audit.not-in-interval", "{figure}: the interval does not contain the figure"
)
INTERVAL_OF_ONE: Final = code(
    "audit.interval-of-one",
    "{figure}: an interval of one launch says how its samples scatter, and nothing of how launches "
    "differ",
)
FEW_SAMPLES: Final = code(
    "audit.few-samples", "{figure}: {statistic} of {samples:sample}, and it takes {needed}"
)
FASTER: Final = code("audit.faster", "{fast} is {times:,.0f} times as fast as on {slow}")
SWAPPED: Final = code(
    "audit.swapped",
    "{model} on {device}: {fast} is {times:.3g} times as fast as {slow}; in all {others} other "
    "rows {slow} is the faster, {low:.3g} to {high:.3g} times, as if the two were swapped here",
)
THREADS_SLOWER: Final = code(
    "audit.threads-slower",
    "{model} on {device}: with {more} threads it takes {times:.3g} times as long as with {fewer}",
)
SUPERLINEAR: Final = code(
    "audit.superlinear",
    "{model} on {device}: {more:.3g} times the threads make it {times:.3g} times as fast",
)
ABOVE: Final = code(
    "audit.above",
    "{figure}: {times:.2g} times more than the other figures of this model and of this column lead "
    "to expect",
)
BELOW: Final = code(
    "audit.below",
    "{figure}: {times:.2g} times less than the other figures of this model and of this column lead "
    "to expect",
)
BIGGER_FASTER: Final = code(
    "audit.bigger-faster",
    "{device}, {setting}: {big} computes {times:.2g} times as much as {small} and takes "
    "{share:.2g} of its time",
)
BEYOND_PEAK: Final = code(
    "audit.beyond-peak",
    "{figure}: {reached:.4g} GOP/s are {times:.3g} times the peak of {peak:.4g} GOP/s",
)

# Evidence
SEVERAL: Final = code("evidence.several", "{found}")
LAUNCH: Final = code("evidence.launch", "{launch} ({id})")
CASE: Final = code("evidence.case", "case {case}")
CELL: Final = code("evidence.cell", "line {line}, column {column}")
CALCULATED: Final = code("evidence.calculated", "calculated")
EXPECTED: Final = code("evidence.expected", "expected of {figure}")
OPERATIONS: Final = code("evidence.operations", "operations")
PEAK: Final = code("evidence.peak", "peak")
MACS: Final = code("evidence.macs", "{macs:,} multiply-accumulates")
PEAK_RATE: Final = code("evidence.peak-rate", "{peak:.4g} op/s")
NO_CHECK: Final = code("evidence.no-check", "no output check")
NO_VARIATION: Final = code("evidence.no-variation", "the reference does not vary")
NO_SENSOR: Final = code("evidence.no-sensor", "no sensor")
OTHERS: Final = code("evidence.others", "others used {processors:.2f} processors")
FIGURE: Final = code("evidence.figure", "{figure:.6g} ms[, warm-up ended by {end:known}]")
FIRST: Final = code("evidence.first", "{figure:.6g} ms, first {first:.6g} ms")
READ: Final = code("evidence.read", "read {state:known} in {read:.6g} ms")
SAMPLES: Final = code("evidence.samples", "{samples:sample} of {each} ns")
PEAK_AND_PSS: Final = code("evidence.peak-and-pss", "peak {peak:,} bytes, PSS {pss:,} bytes")
OF_TOTAL: Final = code("evidence.of-total", "{used:,} bytes of {total:,}")
STEPS: Final = code("evidence.steps", "steps of {step} ns, {share:percent} of the median")
SAMPLED: Final = code("evidence.sampled", "{sampled:.3f} s of samples in {passed:.3f} s")
CPU_TIME: Final = code("evidence.cpu-time", "{used:.4g} ms of CPU time in {latency:.4g} ms")
SAME_SAMPLES: Final = code("evidence.same-samples", "{samples:sample}: {shown}, … ns")
CLAIMED: Final = code("evidence.claimed", "{figure} ms in {low} to {high} ms[, {launches:launch}]")
OF_SAMPLES: Final = code("evidence.of-samples", "{figure}, {samples:sample}")
