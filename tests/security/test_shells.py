"""Names, paths and values, whatever they are: none is run by a shell, here or on a device."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.campaign.launch import Handling, Launcher
from harness.campaign.runners import ForeignRunner
from harness.campaign.spec import load_campaign
from harness.core.contract import InputSpec, Job
from harness.core.errors import HarnessError, SpecificationError
from harness.core.hashing import sha256_of
from harness.core.yamlfile import Spec, dump
from harness.engines.paddle_lite import benchmark_bin
from harness.engines.paddle_lite.benchmark_bin import BenchmarkBin
from harness.lab.conditions.spec import Conditions
from harness.lab.inventory import load_device
from harness.lab.leases import Lease, break_lease, holdings
from harness.lab.probe import probe
from harness.lab.runners import missing_libraries
from harness.lab.store import DeviceStore
from harness.transports.local.transport import LocalTransport
from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.transport import SshTransport
from harness.workspace import Workspace

CANARY = "edge-canary"
PIECES = [
    f"$(cd;touch {CANARY})", f"`cd;touch {CANARY}`", f";cd;touch {CANARY};",
    f"\ncd;touch {CANARY}\n", f"|cd;touch {CANARY}|", f"&cd;touch {CANARY}&", f">{CANARY} ",
    f"${{x:-$(cd;touch {CANARY})}}",
    "'", '"', "\\", "$", "*", "?", "[", "~", "#", "!", "%s", "{a,b}", "$IFS", "<", "(", ")",
    "-", "--", "=", ":", ",", " ", "\t", "\n", "\r", "\x1b[2J", "\x7f", "é", "\u202e", "a", "..",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
# A name in a folder; more than that the device's file system refuses.
NAMES = HOSTILE.filter(lambda name: name not in {".", ".."}).map(lambda name: name[:100])


@pytest.fixture(scope="session")
def ways(sshd, tmp_path_factory):
    """Return the ways to this machine; what a shell made by accident lands in their scratch."""
    known = tmp_path_factory.mktemp("security") / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {sshd.public_host_key}\n")
    with SshTransport(sshd.target(), HostKeys(known)) as ssh:
        yield {"local": LocalTransport(), "ssh": ssh}


@pytest.fixture
def uncanny():
    """Fail where a shell made the canary: at home, or in its working folder."""
    places = [Path("/", CANARY), Path.home() / CANARY, Path.cwd() / CANARY]
    yield
    found = [place for place in places if place.exists()]
    for place in found:
        place.unlink()
    assert not found


def names(folder):
    return [path.name for path in Path(folder).iterdir()]


def no_canary(folder):
    """Look through a scratch folder, too: launches run in folders of their own."""
    assert not [path for path in Path(folder).rglob("*") if path.name == CANARY]


@pytest.mark.parametrize("way", ["local", "ssh"])
def test_probing_and_asking(ways, uncanny, way):
    @given(HOSTILE, HOSTILE, st.lists(HOSTILE, min_size=1, max_size=2))
    @settings(max_examples=4, deadline=None)
    def ask(interpreter, folder, libraries):
        facts = probe(ways[way], [interpreter, f"/{interpreter}"], [f"/{folder}"])
        assert facts.kernel  # it got through
        assert not facts.pythons
        runner = SimpleNamespace(spec=SimpleNamespace(abi="x86_64-linux"), needed=libraries)
        with suppress(HarnessError):  # a name with a line feed cuts the answer short
            assert set(missing_libraries(ways[way], runner)) <= set(libraries)
        assert holdings(ways[way], [interpreter, folder]) == []

    ask()


@pytest.mark.parametrize(("way", "examples"), [("local", 25), ("ssh", 2)])
def test_launches(ways, supervisor, uncanny, way, examples):
    @given(NAMES, NAMES, HOSTILE, st.lists(HOSTILE, max_size=3))
    @settings(max_examples=examples, deadline=None)
    def launch(folder, name, value, arguments):
        with TemporaryDirectory() as scratch:
            work = Path(scratch, folder)
            launcher = Launcher(ways[way], str(work), supervisor, lock=f"{scratch}/lock")
            pushed = Path(scratch, "pushed")
            pushed.write_text(value)
            digest = sha256_of(pushed)
            paths = DeviceStore(launcher.supervisor).ensure({digest: pushed})
            job = Job(launch=name, engine=value, files={}, inputs=[], options={"o": value})
            handling = Handling(
                variables={"GIVEN": value},
                conditions=Conditions.model_construct(
                    zones=[value], governor=None, max_temperature_c=200
                ),
            )
            script = 'printf "%s\\0" "$GIVEN" "$@"; cat linked'
            command = ["sh", "-c", script, "sh", *arguments]
            ended = launcher.run(job, {"linked": paths[digest]}, command, handling)
            expected = "".join(f"{each}\0" for each in [value, *arguments]) + value
            assert (ended.status, ended.log) == (0, expected)
            assert names(work / "launches") == [name]
            launcher.stop([name])
            launcher.forget([name])
            assert names(work / "launches") == []
            no_canary(scratch)

    launch()


def test_leases(ways, supervisor, uncanny):
    @given(HOSTILE, HOSTILE)
    @settings(max_examples=15, deadline=None)
    def lease(holder, reason):
        with TemporaryDirectory() as scratch:
            lock = f"{scratch}/edge-harness.lock"

            class OwnLock:
                """The supervisor, with a lock of its own, so that no other test is disturbed."""

                def call(self, words, **more):
                    argv = [supervisor, words[0], "--lock", lock, *words[1:]]
                    return ways["local"].run(list(map(str, argv)), **more)

            Lease(OwnLock(), "claim", holder).take(0, print)
            (held,) = holdings(ways["local"], [f"{lock}.lease"])
            assert held.kind == "holds"
            assert held.holder.isprintable()
            break_lease(OwnLock(), reason)
            assert holdings(ways["local"], [f"{lock}.lease"]) == []
            no_canary(scratch)

    lease()


def test_a_foreign_tools_flags(ways, supervisor, uncanny):
    """What campaigns and devices' files say goes through a script of ours, as it is."""

    @given(HOSTILE)
    @settings(max_examples=15, deadline=None)
    def launch(value):
        with TemporaryDirectory() as scratch:
            tool = Path(scratch, "tool")
            tool.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
            tool.chmod(0o755)
            script = Path(benchmark_bin.__file__).parent / benchmark_bin.SCRIPT
            launcher = Launcher(
                ways["local"], f"{scratch}/work", supervisor, lock=f"{scratch}/lock"
            )
            job = Job(
                launch="one", engine="paddle-lite", backend=f"npu:{value}",
                files={"model": "m.nb"}, inputs=[InputSpec(name=value, shape=(1, 2))],
                options={"context_properties": value}, check_seeds=[1],
            )  # fmt: skip
            registered = SimpleNamespace(spec=SimpleNamespace(abi="arm64-linux"))
            command = ForeignRunner(BenchmarkBin(), registered, [None]).command(job)
            links = {benchmark_bin.PROGRAM: str(tool), benchmark_bin.SCRIPT: str(script)}
            ended = launcher.run(job, links, command)
            flags = ended.log.partition("=== stdout\n")[2].split("\0")
            assert f"--nnadapter_device_names={value}" in flags
            assert f"--nnadapter_context_properties={value}" in flags
            no_canary(scratch)

    launch()


PLAIN = ["workdir", "address", "host", "board", "runner", "class", "governor", "zones"]


@given(
    HOSTILE | st.text(max_size=20),
    st.sampled_from([*PLAIN, "python", "identity_file", "variables"]),
)
@settings(max_examples=150, deadline=None)
def test_what_a_devices_file_may_say(value, key):
    """Whatever it says, it is refused in words or kept as it stands, without a NUL character."""
    spec = {"transport": "ssh", "address": "a", "abi": "arm64-linux", "engines": {}}
    engine = {"python": "/usr/bin/python3"}
    match key:
        case "python" | "runner":
            engine = {key: value}
        case "variables":
            engine["backends"] = {"cpu": {"variables": {"X": value}}}
        case "governor":
            spec["conditions"] = {"governor": value}
        case "zones":
            spec["conditions"] = {"max_temperature_c": 50, "zones": [value]}
        case _:
            spec[key] = value
    spec["engines"] = {"onnxruntime": engine}

    class Plain(Spec):
        """A file's content, as it is to be written."""

        model_config = Spec.model_config | {"extra": "allow"}

    with TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        workspace.devices.mkdir()
        path = workspace.devices / "board.yaml"
        path.write_text(dump(Plain(**spec)), encoding="utf-8", errors="surrogatepass")
        try:
            device = load_device(workspace, "board")
        except SpecificationError:
            return
        texts = [device.workdir, device.host, str(device.spec.link.address), str(device.spec.board)]
        backends = device.spec.engines["onnxruntime"].backends.values()
        texts += [text for backend in backends for text in backend.variables.values()]
        texts += [
            str(device.spec.link.identity_file),
            str(device.spec.engines["onnxruntime"].python),
        ]
        assert not [text for text in texts if "\0" in text]
        if key in PLAIN:
            assert not set(value) & set("$`;|&<>'\"\\ \n\t*?(){}~!")


@pytest.mark.parametrize(
    "name", ["$(touch x)", "a b", "a\nb", "..", "-rf", "a" * 100, "<b>", "é", "\x1b[2J"]
)
def test_a_campaigns_name_is_one_of_folders_on_devices(workspace, name):
    path = workspace.campaigns / f"{name}.yaml"
    path.write_text("matrix: []\n")
    with pytest.raises(SpecificationError, match=r"campaign .* is not a valid name"):
        load_campaign(workspace, path)


@pytest.mark.parametrize("way", ["local", "ssh"])
@given(name=NAMES)
@settings(max_examples=5, deadline=None)
def test_files(ways, way, name):
    with TemporaryDirectory() as scratch:
        there, back = Path(scratch, "there"), Path(scratch, "back")
        there.mkdir()
        back.mkdir()
        source = Path(scratch, "source")
        source.write_bytes(b"content")
        ways[way].push(source, str(there / name))
        assert names(there) == [name]
        assert stat.S_ISREG((there / name).lstat().st_mode)
        ways[way].pull(str(there / name), back / name)
        assert names(back) == [name]
        no_canary(scratch)
