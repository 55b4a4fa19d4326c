"""Foreign runners: registered, and held against what a device has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.core.errors import ExitCode, SpecificationError
from harness.lab.probe import Facts, Library, Python
from harness.lab.runners import add, engine_version, faults, load_runner, missing_libraries
from harness.transports.local.transport import LocalTransport

SPEC = {"tool": "benchmark_bin", "engine": "paddle-lite", "abi": "arm64-linux"}
BOARD = Facts(abi="arm64-linux", libc="glibc", libc_version="2.31")


@pytest.fixture
def program(elf_double, tmp_path):
    """Write a double of an arm64 benchmark_bin, and of a library that it needs."""
    folder = tmp_path / "given"
    folder.mkdir()
    path = folder / "benchmark_bin"
    loader = "/lib/ld-linux-aarch64.so.1"
    path.write_bytes(
        elf_double("arm64", ["libgomp.so.1", "libc.so.6"], ["GLIBC_2.28"], loader=loader)
    )
    library = folder / "libgomp.so.1"
    library.write_bytes(elf_double("arm64", ["libc.so.6"], ["GLIBC_2.17"]))
    return path


@pytest.fixture
def runner(workspace, program):
    return add(workspace, "bench", SPEC, program, [program.with_name("libgomp.so.1")])


def test_a_registered_runner_is_there_without_the_files_it_came_from(workspace, runner, program):
    program.unlink()
    found = load_runner(workspace, "bench")
    assert found == runner
    assert found.needed == ("libc.so.6",)  # libgomp is shipped beside it
    assert found.glibc == (2, 28)
    assert found.program.stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("texts", "version"),
    [
        ((b"release/v2.13", b"v2.13-rc", b"v2.13-rc"), "v2.13-rc"),
        ((b"v2.12.1",), "v2.12.1"),
        ((b"v2.12", b"v2.13-rc"), None),  # which of them?
        ((b"release/v2.13", b"v2.13 ", b"2.13"), None),
        ((), None),
    ],
)
def test_the_version_of_paddle_lite_is_read_from_its_library(workspace, program, texts, version):
    other = program.with_name("libgomp.so.1")
    library = program.with_name("libpaddle_light_api_shared.so")
    library.write_bytes(other.read_bytes() + b"".join(b"\0" + text + b"\0" for text in texts))
    # What else is shipped may look like it.
    other.write_bytes(other.read_bytes() + b"\0v1.2.3\0")
    assert add(workspace, "lite", SPEC, program, [other, library]).spec.engine_version == version
    assert load_runner(workspace, "lite").spec.engine_version == version


def test_without_its_library_the_program_is_searched(workspace, program):
    program.write_bytes(program.read_bytes() + b"\0v2.13-rc\0")
    library = program.with_name("libgomp.so.1")
    assert add(workspace, "lite", SPEC, program, [library]).spec.engine_version == "v2.13-rc"


RKNN = {"tool": "edge-runner", "engine": "rknn", "abi": "arm64-linux"}
RUNTIME = b"\0librknnrt version: 2.3.0 (c949ad889d@2024-11-07T11:35:33)\0"


def test_the_version_of_rknns_runtime_is_that_of_the_one_that_is_loaded(workspace, program):
    theirs = Library(path="/usr/lib/librknnrt.so", version="1.6.0")
    facts = BOARD.model_copy(
        update={
            "libraries": {"librknnrt.so": theirs},
            "pythons": (Python(path="/py", engines={"rknn": "2.5.0", "paddle-lite": "2.13rc0"}),),
        }
    )
    library = program.with_name("librknnrt.so")
    library.write_bytes(program.read_bytes() + RUNTIME)
    shipped = add(workspace, "shipped", RKNN, program, [library])
    assert engine_version("rknn", shipped, None, facts) == "2.3.0"
    without = add(workspace, "without", RKNN, program, [])
    assert engine_version("rknn", without, None, facts) == "1.6.0"
    assert engine_version("rknn", without, None, BOARD) is None
    # Python has but a wrapper of the runtime, which has a version of its own.
    assert engine_version("rknn", None, "/py", facts) == "1.6.0"
    assert engine_version("paddle-lite", None, "/py", facts) == "2.13rc0"
    assert engine_version("paddle-lite", None, "/other", facts) is None


def test_a_changed_file_is_noticed(workspace, runner):
    with runner.program.open("ab") as file:
        file.write(b"x")
    with pytest.raises(
        SpecificationError, match="its benchmark_bin is missing from this workspace"
    ):
        load_runner(workspace, "bench")


@pytest.mark.parametrize(
    ("facts", "missing", "said"),
    [
        (BOARD, (), None),
        (BOARD.model_copy(update={"libc_version": "2.28"}), (), None),
        (Facts(), (), None),  # what it did not tell is no fault
        (BOARD.model_copy(update={"libc_version": "2.9"}), (), "needs glibc 2.28, .* has 2.9"),
        (BOARD.model_copy(update={"libc": "musl"}), (), "needs glibc, but the device has musl"),
        (BOARD.model_copy(update={"libc": "none"}), (), "needs the loader /lib/ld-linux"),
        (BOARD.model_copy(update={"abi": "x86_64-linux"}), (), "built for arm64-linux"),
        (BOARD, ("libgomp.so.1",), "lacks libgomp.so.1"),
    ],
)
def test_what_keeps_a_runner_from_running(runner, facts, missing, said):
    found = faults(runner, facts, missing)
    if said is None:
        assert found == []
    else:
        (fault,) = found
        assert re.search(said, str(fault))


def test_libraries_are_looked_for_on_the_device(workspace, elf_double, tmp_path):
    path = tmp_path / "program"
    path.write_bytes(elf_double("x86_64", ["libc.so.6", "libnowhere-$(id).so", "libm.so.6"]))
    runner = add(workspace, "here", {**SPEC, "abi": "x86_64-linux"}, path, [])
    assert missing_libraries(LocalTransport(), runner) == ("libnowhere-$(id).so",)
    folder = tmp_path / "driver's * folder"
    folder.mkdir()
    assert missing_libraries(LocalTransport(), runner, [str(folder)]) == ("libnowhere-$(id).so",)
    (folder / "libnowhere-$(id).so").touch()
    assert missing_libraries(LocalTransport(), runner, ["/nowhere", str(folder)]) == ()


def _add(cli, program, *more):
    return cli(
        "runners", "add", "benchmark_bin", program, "--engine", "paddle-lite",
        "--abi", "arm64-linux", *more,
    )  # fmt: skip


def test_add_list_and_show(cli, workspace, program):
    said = _add(cli, program, "--lib", program.with_name("libgomp.so.1"))
    assert said.code == ExitCode.FINE
    assert said.out == f"{workspace.runners / 'benchmark_bin-arm64-linux.yaml'}\n"
    assert "needs libc.so.6, glibc 2.28 or newer" in said.err
    assert "benchmark_bin-arm64-linux" in cli("runners", "list").out
    (row,) = json.loads(cli("runners", "list", "--json").out)
    assert row["glibc"] == "2.28"
    assert "tool: benchmark_bin" in cli("runners", "show", "benchmark_bin-arm64-linux").out
    again = _add(cli, program)
    assert again.code == ExitCode.SPECIFICATION
    assert "already exists" in again.err


def test_what_a_runner_loads_by_name_is_told_unless_it_is_shipped(cli, workspace, program):
    words = ("runners", "add", "edge-runner", program, "--engine", "onnxruntime")
    said = cli(*words, "--abi", "arm64-linux")
    assert said.code == ExitCode.FINE
    assert "no libonnxruntime.so.1 is shipped with it" in said.err
    assert [path.name for path in workspace.runners.iterdir()] == [
        "edge-runner-onnxruntime-arm64-linux.yaml"
    ]
    library = program.with_name("libonnxruntime.so.1.32.0")
    library.write_bytes(program.with_name("libgomp.so.1").read_bytes())
    said = cli(*words, "--abi", "arm64-linux", "--lib", library, "--name", "whole")
    assert said.code == ExitCode.FINE
    assert "no libonnxruntime" not in said.err


def test_benchmark_bin_is_for_paddle_lite_alone(cli, workspace, program):
    said = cli(
        "runners", "add", "benchmark_bin", program, "--engine", "onnxruntime",
        "--abi", "arm64-linux",
    )  # fmt: skip
    assert said.code == ExitCode.SPECIFICATION
    assert "does not measure onnxruntime" in said.err
    assert not workspace.runners.exists()


def test_a_runner_for_another_machine_is_refused_at_once(cli, workspace, elf_double, tmp_path):
    path = tmp_path / "program"
    path.write_bytes(elf_double("arm", flags=0x5000400))
    said = _add(cli, path)
    assert said.code == ExitCode.SPECIFICATION
    assert "built for armv7hf-linux, not for arm64-linux" in said.err
    assert "--abi armv7hf-linux" in said.err
    assert not workspace.runners.exists()


def test_libraries_are_named_as_the_program_asks_for_them(cli, workspace, program):
    library = program.with_name("libgomp.so.1")
    cxx = library.with_name("libstdc++.so.6")
    cxx.write_bytes(library.read_bytes())
    assert _add(cli, program, "--lib", library, "--lib", cxx).code == ExitCode.FINE
    for wrong in (["--lib", program], ["--lib", library, "--lib", library]):
        said = _add(cli, program, "--name", "other", *wrong)
        assert said.code == ExitCode.SPECIFICATION
        assert "given twice, or not a library's name" in said.err


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"#!", "not a valid ELF")])
def test_a_file_that_is_no_program(cli, workspace, tmp_path, content, said):
    path = tmp_path / "program"
    if content is not None:
        path.write_bytes(content)
    told = _add(cli, path)
    assert told.code == ExitCode.SPECIFICATION
    assert said in told.err


def test_check_says_what_does_not_fit_and_runs_nothing(cli, workspace, runner):
    (workspace.devices / "here.yaml").write_text("transport: local\nabi: x86_64-linux\n")
    said = cli("runners", "check", "bench", "here")
    assert said.code == ExitCode.SPECIFICATION
    assert "! it is built for arm64-linux" in said.out
    unknown = cli("runners", "check", "bnch", "here")
    assert "did you mean 'bench'?" in unknown.err


def test_check_of_one_that_fits(cli, workspace, printing_double, tmp_path):
    (workspace.devices / "here.yaml").write_text("transport: local\nabi: x86_64-linux\n")
    path = tmp_path / "program"
    path.write_bytes(printing_double("never printed"))
    add(workspace, "fits", {**SPEC, "abi": "x86_64-linux"}, path, [])
    said = cli("runners", "check", "fits", "here", "--json")
    assert said.code == ExitCode.FINE
    assert json.loads(said.out)["faults"] == []


RECORDING = Path(__file__).parents[1] / "data" / "benchmark_bin" / "cpu-mobilenet_v1.stdout"
CAMPAIGN = """
matrix: [{models: [mobilenet_v1_025_96], devices: [here], engines: [paddle-lite]}]
launches: 2
protocol:
  warmup: {min_samples: 2}
  sampling: {min_samples: 5}
"""


@pytest.mark.e2e
def test_a_campaign_with_a_foreign_runner(
    cli, workspace, elf_double, printing_double, tmp_path, monkeypatch
):
    """An ELF double of benchmark_bin that prints a recording, from ``add`` to the results.

    It writes no outputs, as the versions before 2.13: its case stays unchecked.
    """
    name = "mobilenet_v1_025_96.yaml"
    (workspace.models / name).write_text((RECORDING.parents[3] / "models" / name).read_text())
    (workspace.campaigns / "foreign.yaml").write_text(CAMPAIGN)
    printed = RECORDING.read_text()
    for recorded, here in [
        ("mobilenet_v1.arm.nb", "model.nb"), ("All 1.f", "timed-0-0.txt"),
        ("1,3,224,224", "1,3,96,96"), ("backend: arm", "backend: x86"),
    ]:  # fmt: skip
        printed = printed.replace(recorded, here)
    programs = {
        "printing": printing_double(printed),
        "old": printing_double(printed + "\0v2.12\0"),
        "modern": elf_double("x86_64", ["libc.so.6"], ["GLIBC_9.9"], "/lib64/ld-linux-x86-64.so.2"),
    }
    for name, content in programs.items():
        (tmp_path / name).write_bytes(content)
        spec = {**SPEC, "abi": "x86_64-linux"}
        add(workspace, name, spec, tmp_path / name, [])
    device = "transport: local\nabi: x86_64-linux\nworkdir: {}\n".format(tmp_path / "work")
    here = workspace.devices / "here.yaml"

    here.write_text(device + "engines: {paddle-lite: {runner: printing}}\n")
    said = cli("run", workspace.campaigns / "foreign.yaml")
    assert said.code == ExitCode.FINE, said.err
    assert "unchecked" in said.out
    (case,) = json.loads(cli("results", "show", "--json").out)["cases"]
    assert case["state"] == "measured"
    run = json.loads(cli("results", "show", "--json").out)
    for launch in run["launches"]:
        assert launch["estimator"] == "mean"
        assert launch["figure_ns"] == 2_846_843_000
        assert launch["first_load"]["init_ms"] == 88.228
        assert launch["vmhwm_source"] == "supervisor"
    report = tmp_path / "report.html"
    assert cli("report", "-o", report).code == ExitCode.FINE
    assert "benchmark_bin" in report.read_text(encoding="utf-8")

    pushed = set((tmp_path / "work" / "store").iterdir())
    for name, reason in [
        ("modern", "it needs glibc 9.9, but the device has"),
        ("old", "it was made by opt v2.13-rc, and the runner's Paddle Lite is v2.12"),
    ]:
        here.write_text(device + f"engines: {{paddle-lite: {{runner: {name}}}}}\n")
        said = cli("run", workspace.campaigns / "foreign.yaml", "--json")
        assert said.code == ExitCode.LAB
        (case,) = json.loads(said.out)["cases"]
        assert reason in case["reason"]
    assert set((tmp_path / "work" / "store").iterdir()) == pushed
