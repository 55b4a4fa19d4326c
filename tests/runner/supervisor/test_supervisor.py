"""The supervisor, with real processes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.analysis.memory import device_memory
from harness.core.supervision import parse_supervision


def test_a_launch_that_goes_well(lab):
    answer = lab.begin(
        "echo out; echo err >&2; cat job.json - model; echo '{}' >>events.jsonl",
        "--link", "model", "/proc/version",
    )  # fmt: skip
    assert (answer.state, answer.begun) == ("ended", True)
    assert answer.events == b"{}\n"
    assert answer.log.startswith(b'out\nerr\n{"job": 1}Linux')
    assert [entry["phase"] for entry in answer.of("environment")] == ["before", "after"]
    assert (answer.exit["reason"], answer.exit["status"]) == ("exited", 0)
    assert answer.exit["left_behind"] == 0
    record = parse_supervision((lab.folder / "launch" / "supervisor.jsonl").read_bytes())
    assert record.exit.minor_faults > 0
    assert record.exit.oom_kills is not None
    assert record.started.lock == str(lab.lock)


@pytest.mark.parametrize(
    ("script", "options", "end", "said"),
    [
        ("exit 3", [], {"status": 3}, b""),
        ("kill -SEGV $$", [], {"signal": signal.SIGSEGV}, b""),
        ("", ["--affinity", "1023"], {"status": 126}, b"cannot bind to these processors"),
        ("exec no-such", [], {"status": 127}, b"not found"),
        ("yes >file", ["--rlimit", "fsize=5000"], {}, b"File size limit"),
        ("ulimit -c", ["--rlimit", "core=0"], {"status": 0}, b"0\n"),
        ("echo $A; grep Cpus_allowed_list: /proc/self/status", ["--env", "A=b c",
         "--affinity", "0"], {"status": 0}, b"b c\nCpus_allowed_list:\t0\n"),
    ],
)  # fmt: skip
def test_how_a_runner_ends(lab, script, options, end, said):
    answer = lab.begin(script, *options)
    assert answer.exit["reason"] == "exited"
    assert answer.exit.items() >= end.items()
    assert said in answer.log


def test_a_program_that_is_not_there(lab):
    answer = lab._answer("run", lab.folder / "x", "--lock", lab.lock, "--wait", 9, "--", "/no/such")
    assert answer.exit["status"] == 127
    assert answer.log == b"edge-supervisor: /no/such: No such file or directory\n"


@pytest.mark.parametrize("script", ["read x <../gate", "kill -STOP $$", "trap '' TERM HUP; yes"])
def test_the_time_limit(lab, gone, script):
    lab.gate()
    answer = lab.begin(f"echo $$ >runner; {script}", limit=0.5)
    assert (answer.exit["reason"], answer.exit["signal"]) == ("time_limit", signal.SIGKILL)
    assert answer.exit["wall_s"] >= 0.5
    assert gone(lab.pid("runner"))


LEAVING = """
(setsid sh -c 'echo $$ >left; echo >../ready; read x <../never' &) &
wait
"""


@pytest.mark.parametrize("then", ["read x <../ready", "read x <../ready; read x <../never"])
def test_descendants_that_left_the_group_and_the_session(lab, gone, then):
    for name in ("ready", "never"):
        lab.gate(name)
    answer = lab.begin(LEAVING + then, limit=2 if "../never" in then else 20)
    assert answer.exit["reason"] == ("time_limit" if "../never" in then else "exited")
    assert gone(lab.pid("left"))
    assert lab.call("lock", lab.lock).returncode == 0


def test_the_lock_stays_with_the_orphan_of_a_killed_supervisor(lab, gone):
    for name in ("ready", "never"):
        lab.gate(name)
    assert lab.begin(LEAVING + "read x <../never", wait=0).state == "running"
    lab.told(lab.folder / "ready")
    supervisor, runner = lab.owners()
    os.kill(supervisor, signal.SIGKILL)
    assert lab.read().state == "orphaned"  # waits until it is dead
    assert lab.call("lock", lab.lock).returncode == 75
    busy = lab.begin("true", name="other")
    assert busy.code == 75
    assert f"{lab.folder}/launch" in busy.error
    assert lab.call("living", lab.folder).stdout == b"launch\n"
    assert lab.stop() == 0
    assert gone(runner)
    assert gone(lab.pid("left"))
    assert lab.read().state == "lost"
    assert lab.begin("true").begun  # anew
    assert lab.read().state == "ended"


def test_a_process_number_of_before_a_restart_means_nothing(lab):
    gate = lab.gate()
    lab.begin("read x <../gate", wait=0)
    supervisor, _ = lab.owners()
    os.kill(supervisor, signal.SIGKILL)
    assert lab.read().state == "orphaned"
    path = lab.folder / "launch" / "pid"
    path.write_text(" ".join([*path.read_text().split()[:4], "another-boot"]))
    assert lab.read().state == "lost"
    gate.write_text("go\n")


def test_two_controllers(lab):
    lab.gate()
    assert lab.begin("read x <../gate", name="one", wait=0).state == "running"
    second = lab.begin("true", name="two")
    assert second.code == 75
    assert "the device is in use" in second.error
    assert "/one pid" in second.error
    assert not (lab.folder / "two").exists()
    held = lab.call("lock", lab.lock)
    assert (held.returncode, b"/one pid" in held.stdout) == (75, True)
    assert lab.stop("one") == 0
    assert lab.read("one").exit["reason"] == "stopped"
    assert lab.begin("true", name="two").exit["status"] == 0


def test_a_launch_goes_on_and_is_joined_not_begun_twice(lab):
    gate = lab.gate()
    first = lab.begin("echo x >>../journal; echo 1 >>events.jsonl; echo a; read x <../gate; "
                      "echo 2 >>events.jsonl; echo b", wait=0)  # fmt: skip
    assert (first.state, first.begun) == ("running", True)
    joined = lab.begin("false", wait=0)
    assert (joined.state, joined.begun) == ("running", False)
    while joined.events != b"1\n" or joined.log != b"a\n":
        joined = lab.read(wait=0.01)
    gate.write_text("go\n")
    rest = lab.read(position=joined.position)
    assert (rest.state, rest.events, rest.log_first, rest.log) == ("ended", b"2\n", 2, b"b\n")
    whole = lab.begin("false")
    assert (whole.begun, whole.events, whole.log) == (False, b"1\n2\n", b"a\nb\n")
    assert (lab.folder / "journal").read_text() == "x\n"


def test_a_launch_that_was_stopped_is_begun_anew(lab):
    lab.gate()
    lab.begin("read x <../gate", wait=0)
    lab.stop()
    answer = lab.begin("exit 4")
    assert (answer.begun, answer.exit["status"]) == (True, 4)


def test_output_without_end_is_bounded_and_counted(lab):
    answer = lab.begin("head -c 100000000 /dev/zero; echo the end")
    assert answer.exit["log_bytes"] == 100_000_008
    assert len(answer.log) == 64 << 10
    assert answer.log.endswith(b"\0the end\n")
    assert answer.log_first == 100_000_008 - (64 << 10)
    assert (lab.folder / "launch" / "log").stat().st_size < 140_000
    last = lab.read(position="0,100000004,0")
    assert (last.log_first, last.log) == (100_000_004, b"end\n")


def _python(script):
    return f"exec {sys.executable} -c '{script}'"


def test_the_peak_is_the_runners_not_its_parents(lab):
    ballast = bytearray(300_000_000)  # ours
    script = 'x = bytearray(60_000_000); del x; open("events.jsonl", "a").write("{}"); input()'
    gate = lab.gate()
    lab.begin(_python(script) + " <../gate", wait=0)
    with gate.open("w") as file:  # opens when the runner does
        while not lab.read(wait=0).events:
            pass
        file.write("\n")
    assert 60_000_000 < lab.read().exit["vmhwm_bytes"] < 200_000_000
    assert ballast


def test_a_memory_pass(lab):
    gate = lab.gate()
    answer = lab.begin("read x <../gate", "--memory-pass", 5, wait=0)
    while len(answer.of("pss")) < 3:
        answer = lab.read(wait=0.01)
    gate.write_text("go\n")
    readings = lab.read().of("pss")
    assert all(entry["bytes"] > 0 for entry in readings)
    assert [entry["ms"] for entry in readings] == sorted(entry["ms"] for entry in readings)


def test_memory_is_of_the_runner_and_its_children(lab):
    child = "x = b'1' * 80_000_000; input()"
    gate = lab.gate()
    lab.begin(f'{sys.executable} -c "{child}" <../gate; true', "--memory-pass", 5, wait=0)
    with gate.open("w") as file:
        while max((entry["bytes"] for entry in lab.read(wait=0.01).of("pss")), default=0) < 8e7:
            pass
        file.write("\n")
    assert lab.read().exit["vmhwm_bytes"] > 60_000_000


MEMINFO = "MemAvailable:  8000 kB\nCmaTotal:  {total} kB\nCmaFree:  300 kB\n"
GALCORE = """\
VIDEO MEMORY:
  POOL SYSTEM:
    Free :    {free:10d} B
    Used :    {used:10d} B
    MaxUsed :    8652920 B
  POOL VIRTUAL:
    Used :           480 B
"""
SYSTEM = """\
mount --make-rprivate / && mount -t tmpfs none /sys/kernel && cp -r {0}/kernel/. /sys/kernel &&
mount --bind {0}/meminfo /proc/meminfo &&
mount --bind {0}/drop /proc/sys/vm/drop_caches || exit 99
exec "$@"
"""


@pytest.fixture
def made_up_memory(lab, tmp_path):
    """Give a lab on a system whose kernel tells of the device's memory what is put there."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    kernel = tmp_path / "kernel"
    (kernel / "debug" / "gc").mkdir(parents=True)
    (tmp_path / "drop").touch()

    def make(*, cma_total=400, galcore=None, buffers=(), bufinfo=None):
        (tmp_path / "meminfo").write_text(MEMINFO.format(total=cma_total))
        if galcore:
            (kernel / "debug" / "gc" / "meminfo").write_text(galcore)
        for number, size in enumerate(buffers):
            (kernel / "dmabuf" / "buffers" / str(number)).mkdir(parents=True)
            (kernel / "dmabuf" / "buffers" / str(number) / "size").write_text(f"{size}\n")
        if bufinfo:
            (kernel / "debug" / "dma_buf").mkdir()
            (kernel / "debug" / "dma_buf" / "bufinfo").write_text(bufinfo)
        program = tmp_path / "made-up-system"
        script = shlex.quote(SYSTEM.format(tmp_path))
        program.write_text(
            f'#!/bin/sh\nexec {" ".join(unshare)} sh -c {script} sh {lab.program} "$@"\n'
        )
        program.chmod(0o755)
        if subprocess.run([program, "living", "/"], check=False, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        return type(lab)(program, lab.folder)

    return make


def test_the_memory_of_the_device(made_up_memory):
    lab = made_up_memory(galcore=GALCORE.format(free=100, used=21520), buffers=[4096, 8192])
    grow = "echo 12288 >/sys/kernel/dmabuf/buffers/0/size"
    seen = "until grep -q 'during.*dma_buf_bytes.:20480' supervisor.jsonl; do :; done"
    answer = lab.begin(f"{grow}; {seen}", "--memory-pass", 20)
    before, *_, after = answer.of("environment")
    assert before.items() >= {
        "memory_available_bytes": 8000 << 10, "cma_free_bytes": 300 << 10,
        "dma_buf_bytes": 12288, "driver_bytes": {"galcore": 22000},
    }.items()  # fmt: skip
    assert after["dma_buf_bytes"] == 20480
    record = parse_supervision((lab.folder / "launch" / "supervisor.jsonl").read_bytes())
    assert device_memory(record.environment).dma_buf_bytes == 8192


def test_an_older_kernel_tells_of_buffers_in_debugfs(made_up_memory):
    bufinfo = "Dma-buf Objects:\nsize flags\n00004096 3\nTotal 1 devices attached\n\n"
    lab = made_up_memory(bufinfo=f"{bufinfo}\nTotal 1 objects, 4096 bytes\n")
    assert lab.begin("true").of("environment")[0]["dma_buf_bytes"] == 4096


def test_memory_that_cannot_be_read_is_not_there(made_up_memory):
    lab = made_up_memory(cma_total=0, galcore="VIDEO MEMORY:\n")
    for reading in lab.begin("true").of("environment"):
        assert not {"cma_free_bytes", "dma_buf_bytes", "driver_bytes"} & reading.keys()


def test_programs_and_libraries_are_put_out_of_the_page_cache_where_root_may(made_up_memory):
    lab = made_up_memory()
    assert lab.begin("true", "--drop-caches").of("started")[0]["caches_dropped"] is True
    assert (lab.folder / "drop").read_text() == "1"
    assert "caches_dropped" not in lab.begin("true", name="two").of("started")[0]


def test_a_model_cache_is_made_and_emptied_under_the_lock(lab):
    cache = lab.folder / "made" / "cache"
    fill = f"echo abc >{cache}/model; mkdir {cache}/more; echo de >{cache}/more/model"
    for name in ("one", "two"):
        answer = lab.begin(fill, "--model-cache", cache, "--fresh", name=name)
        assert answer.of("started")[0]["model_cache_bytes"] == 0
        assert answer.exit["model_cache_bytes"] == 7
    answer = lab.begin("true", "--model-cache", cache, name="three")
    assert answer.of("started")[0]["model_cache_bytes"] == 7
    busy = lab.folder / "busy"
    lab.gate()
    lab.begin("read x <../gate", name="four", wait=0)
    assert lab.begin("true", "--model-cache", cache, "--fresh", name="busy").code == 75
    assert not busy.exists()
    assert (cache / "model").exists()


def test_nothing_marks_a_launch_as_part_of_the_call_that_began_it(lab):
    # The transport kills by this mark what a broken call left behind.
    lab.gate()
    mark = {"EDGE_HARNESS_CALL": "1234", "PATH": os.environ["PATH"]}
    lab.begin("read x <../gate", wait=0, environment=mark)
    for pid in lab.owners():
        assert b"EDGE_HARNESS_CALL" not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.fixture
def small_disk(lab):
    folder = lab.folder / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "none", folder], check=False,
        capture_output=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield folder
    lab.call("stop", folder / "launch")
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_the_runner_fills(lab, small_disk):
    answer = lab.begin("cat /dev/zero >big; echo '{}' >>events.jsonl || exit 5", name="disk/launch")
    assert answer.exit["status"] == 5
    assert b"No space left" in answer.log
    assert answer.exit["disk_full"]


def test_a_disk_that_is_full_before(lab, small_disk):
    subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/big"], check=False, capture_output=True)
    answer = lab.begin("true", name="disk/launch")
    assert answer.code == 98
    assert "No space left" in answer.error


@pytest.mark.parametrize(("room", "lacks"), [(32, "supervisor.jsonl"), (200, "pid")])
def test_a_disk_without_room_for_the_record_of_its_end(lab, small_disk, room, lacks):
    subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/big"], check=False, capture_output=True)
    os.truncate(small_disk / "big", 512 - room << 10)
    answer = lab.begin("echo x >>../journal", name="disk/launch")
    assert answer.code == 98
    assert f"{lacks}: No space left" in answer.error
    assert not (small_disk / "journal").exists()


def test_a_link_that_leads_nowhere(lab):
    answer = lab.begin("echo x >>../journal", "--link", "model", lab.folder / "gone")
    assert answer.code == 98
    assert f"{lab.folder}/gone: No such file or directory" in answer.error
    assert not (lab.folder / "journal").exists()


def test_forgetting(lab):
    lab.gate()
    lab.begin("mkdir -p a/b; echo >a/b/c; ln -s / root; read x <../gate", wait=0)
    assert lab.call("forget", lab.folder / "launch", lab.folder / "none").returncode == 0
    assert not (lab.folder / "launch").exists()
    assert lab.read().state == "absent"
    assert shutil.disk_usage("/")  # what a link led to is still there


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "a command is missing"),
        (["fly"], "unknown command 'fly'"),
        (["run"], "DIR is missing"),
        (["run", "x"], "-- is missing"),
        (["run", "x", "--"], "PROGRAM is missing"),
        (["run", "x", "--limit", "soon", "--"], "--limit: 'soon' is not a number"),
        (["run", "x", "--limit", "nan", "--"], "--limit: 'nan' is not a number"),
        (["run", "x", "--affinity", "0-3", "--"], "'0-3' is not a list of processors"),
        (["run", "x", "--rlimit", "wit=3", "--"], "is not NAME=NUMBER of a known limit"),
        (["run", "x", "--fast", "--"], "unknown option '--fast'"),
        (["read", "x", "--from", "1,2"], "'1,2' is not EVENTS,LOG,RECORD"),
        (["read", "x", "--from", "-1,2,3"], "is not EVENTS,LOG,RECORD"),
    ],
)
def test_wrong_words(lab, words, said):
    done = lab.call(*words)
    assert done.returncode == 64
    assert said in done.stderr.decode()


# Lives on until the supervisor has seen so many bytes of its events.
SEEN = "until grep -q '\"bytes\":{},' supervisor.jsonl; do :; done;"


def test_every_entry_is_on_the_monotonic_clock(lab):
    before = time.monotonic_ns()
    answer = lab.begin(f"echo 1 >> events.jsonl; {SEEN.format(2)} echo 22 >> events.jsonl")
    times = [entry["t_ns"] for entry in answer.record]
    assert before < times[0]
    assert times == sorted(times)
    assert times[-1] < time.monotonic_ns()
    assert answer.of("progress")[0]["bytes"] == 2


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_processors_that_a_runner_takes_for_itself_are_on_record(lab):
    one, other, *_ = sorted(os.sched_getaffinity(0))
    told = f"echo 1 >> events.jsonl; {SEEN.format(2)}"
    more = f"taskset -pc {one},{other} $$ >/dev/null; echo 1 >> events.jsonl; {SEEN.format(4)}"
    bound = lab.begin(told, "--affinity", one, name="bound")
    assert bound.exit["affinity"] == str(one)
    widened = lab.begin(told + more, "--affinity", one, name="widened")
    both = f"{one}-{other}" if other == one + 1 else f"{one},{other}"
    assert widened.exit["affinity"] == both
    parse_supervision((lab.folder / "widened" / "supervisor.jsonl").read_bytes())


def test_before_its_first_event_a_runner_may_not_have_bound_itself_yet(lab):
    assert "affinity" not in lab.begin("exit 0").exit


def test_help_names_every_command(lab):
    said = lab.call("--help")
    assert said.returncode == 0
    for command in ("run", "read", "stop", "forget", "living", "lease", "lock", "store"):
        assert re.search(rf"^  {command} ", said.stdout.decode(), re.MULTILINE)
        assert b"unknown command" not in lab.call(command).stderr
    assert max(map(len, said.stdout.decode().splitlines())) <= 100
