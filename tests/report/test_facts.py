from harness.lab.probe import Cpus, Facts
from harness.report.facts import words as translated
from harness.report.language import language


def words(facts):
    return translated(facts, language("en"))


def test_what_a_device_did_not_tell_is_unknown_and_never_empty():
    told = words({})
    assert all(lines and all(lines) for _, lines in told)
    assert {line for _, lines in told for line in lines} == {"unknown"}
    asked = dict(words(Facts().model_dump(mode="json")))
    assert asked == dict(told) | {"NPU": ["no driver found"]}


def test_facts_are_told_with_their_units():
    cluster = Cpus(
        numbers=(0, 1),
        core="Cortex-A55",
        min_khz=408_000,
        max_khz=1_800_000,
        current_khz=(1_416_000, 1_416_000),
        governor="performance",
    )
    facts = Facts(
        soc="rockchip,rk3568",
        serial="0123456789",
        machine_id="fedcba",
        libc="glibc",
        libc_version="2.36",
        cpus=(cluster, Cpus(numbers=(2,))),
        memory_total_bytes=2_062_000_000,
        temperatures_c={"soc-thermal": 41.5},
    )
    told = dict(words(facts.model_dump(mode="json")))
    assert told["SoC"] == ["rockchip,rk3568"]
    assert told["C library"] == ["glibc 2.36"]
    assert told["Processors"] == [
        "Cortex-A55 (CPU 0–1), 408 – 1800 MHz, now 1416 MHz, governor performance",
        "of unknown kind (CPU 2), clock not readable",
    ]
    assert dict(words({"abi": "arm64-linux"}))["SoC"] == ["unknown"]
    assert not {"SoC", "Board"} & dict(words({"abi": "x86_64-linux"})).keys()
    assert told["Temperatures"] == ["soc-thermal 41.5 °C"]
    assert not {"0123456789", "fedcba"} & {line for lines in told.values() for line in lines}
