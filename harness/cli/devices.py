"""``harness devices``: what can be measured on."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.boards import down, status, up
from harness.cli.device_doctor import doctor
from harness.cli.grid import wide_option
from harness.cli.leases import break_lease, in_json, in_words, leases_of
from harness.cli.options import as_json, complete_names
from harness.cli.provision import provision
from harness.core.errors import HarnessError, SpecificationError, worst
from harness.core.pages import page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.cli.probing import Probed
    from harness.lab.inventory import Device
    from harness.lab.probe import Battery, Clock, Cpus, Facts
    from harness.transports.plugin import HostIdentity
    from harness.workspace import Workspace

__all__ = ["devices"]


@click.group(
    epilog="""\b
Examples:
  harness devices list
  harness devices up qemu-arm64              start the emulated ARM board
  harness devices add ssh://root@192.168.1.7 --name rk3588
  harness devices add adb://                 the one plugged in
  harness devices provision rk3588 onnxruntime
  harness devices probe rk3588
  harness devices doctor rk3588              what is wrong and how to fix it
"""
)
def devices() -> None:
    """Manage devices: list, add, provision, probe, trust; start and stop emulated boards."""


for _command in (up, down, status, break_lease, doctor, provision):
    devices.add_command(_command)


@devices.command(
    name="list",
    epilog="""\b
Examples:
  harness devices list
  harness devices list --offline             without connecting
  harness devices list --json | jq -r '.[].name'
""",
)
@click.option("--offline", is_flag=True, help="Connect to no device; leases are not shown.")
@wide_option
@as_json
@click.pass_context
def list_devices(ctx: click.Context, *, offline: bool, as_json: bool) -> None:
    """List devices, their users and recent runs.

    All are queried at once, for at most five seconds. Stopped emulated boards are listed under
    --wide.
    """
    from rich.markup import escape

    from harness.cli.device_doctor import health_as_json, stored_health
    from harness.cli.grid import Column, Grid, is_wide
    from harness.cli.terminal import console, steps
    from harness.core.text import visible
    from harness.lab.inventory import load_devices

    workspace = workspace_of(ctx)
    found = list(load_devices(workspace).values())
    stopped = [] if as_json or is_wide() else _stopped_boards(workspace, found)
    found = [device for device in found if device.name not in stopped]
    fared = stored_health(workspace)
    leases = {}
    if not offline:
        with steps() as shown:
            shown.update("asking the devices who has them")
            leases = leases_of(workspace, found)
    if as_json:
        rows = [
            _device_as_json(device)
            | {"health": health_as_json(fared.get(device.name))}
            | (in_json(leases[device.name]) if leases else {})
            for device in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    table = Grid(
        Column("Device"),
        Column("Lease", 1),
        Column("Health", 3),
        Column("ABI", 2),
        Column("Engines", 4),
        Column("Reached by", 5),
        Column("Host", 6),
        Column("Description", 7),
    )
    for device in found:
        table.add(
            device.name,
            escape(in_words(leases[device.name])) if leases else "",
            fared[device.name].in_words if device.name in fared else "never measured",
            device.spec.abi,
            ", ".join(device.spec.engines) or "none",
            escape(_way(device)),  # an IPv6 address has brackets
            device.host,
            escape(visible(device.spec.description)),
        )
    out = console()
    table.print(out)
    if stopped:
        out.print(f"[dim]stopped boards: {', '.join(stopped)} (harness devices up BOARD)[/]")


def _stopped_boards(workspace: Workspace, found: Iterable[Device]) -> list[str]:
    """Return the names of the devices whose emulated board is not running."""
    from harness.lab.emulated.board import Board

    boards = [(device.name, device.spec.board) for device in found]
    return [
        name for name, board in boards if board and not Board(workspace, board).status().running
    ]


@devices.command(
    epilog="""\b
Example:
  harness devices show local
"""
)
@click.argument("name", metavar="DEVICE", shell_complete=complete_names("devices"))
@as_json
@click.pass_context
def show(ctx: click.Context, name: str, *, as_json: bool) -> None:
    """Show a device's file, without connecting to it.

    A backend that has never run on this class of hardware is marked, until the workspace's results
    have a successful launch.
    """
    from harness.core.text import visible
    from harness.lab.inventory import load_device
    from harness.lab.stamps import stamps

    workspace = workspace_of(ctx)
    device = load_device(workspace, name)
    its_class = device.spec.device_class
    stamped = stamps(workspace, its_class) if its_class else []
    if as_json:
        content = {**_device_as_json(device), "stamps": [asdict(stamp) for stamp in stamped]}
        click.echo(json.dumps(content, indent=2))
        return
    path = workspace.devices / f"{name}.yaml"
    click.echo(f"# {path}")
    click.echo(f"# reached by {_way(device)}; host {device.host}; works in {device.workdir}")
    if its_class:
        click.echo(f"# class {_class_in_words(its_class)}")
    for stamp in stamped:
        ran = f"run on such a device: {stamp.run}" if stamp.run else "run by the harness's authors"
        click.echo(f"# {stamp.engine} {stamp.backend}: {stamp.text or ran}")
    click.echo(visible(path.read_text(encoding="utf-8").rstrip()))


@devices.command(
    epilog="""\b
Examples:
  harness devices probe local
  harness devices probe --all --json
"""
)
@click.argument("names", metavar="[DEVICE]...", nargs=-1, shell_complete=complete_names("devices"))
@click.option("--all", "everything", is_flag=True, help="Probe every device.")
@as_json
@click.pass_context
def probe(ctx: click.Context, names: tuple[str, ...], *, everything: bool, as_json: bool) -> None:
    """Connect to devices and report what they have.

    Cores, memory, kernel, NPU drivers, engines; what a device does not report is unknown. Nothing
    on it is changed. Each backend of its class gets a verdict: usable, not usable, or unknown, with
    the reasons and what to do.
    """
    from harness.cli.probing import ask_device
    from harness.cli.terminal import console, steps
    from harness.core.text import visible
    from harness.lab.connect import connect
    from harness.lab.inventory import load_device, load_devices

    if everything == bool(names):
        raise click.UsageError("name devices or pass --all")
    workspace = workspace_of(ctx)
    chosen = [load_device(workspace, name) for name in names] or load_devices(workspace).values()
    answers: list[tuple[Device, Probed | HarnessError]] = []
    with steps() as shown:
        for device in chosen:
            shown.update(f"probing {device.name}")
            try:
                with connect(workspace, device) as transport:
                    answers.append((device, ask_device(workspace, device, transport)))
            except HarnessError as error:
                answers.append((device, error))
    failures = [answer for _, answer in answers if isinstance(answer, HarnessError)]
    if as_json:
        rows = [
            {"name": device.name, "error": answer.message, "hint": answer.hint}
            if isinstance(answer, HarnessError)
            else {
                "name": device.name,
                "facts": answer.facts.model_dump(mode="json"),
                "class": answer.device_class,
                "verdicts": [verdict.as_json() for verdict in answer.verdicts],
            }
            for device, answer in answers
        ]
        click.echo(json.dumps(rows, indent=2))
    elif len(answers) == 1 and failures:
        raise failures[0]
    else:
        out = console()
        for device, answer in answers:
            out.print(f"[bold]{device.name}[/]")
            rows_of = (
                [("", answer.message), ("try", answer.hint or "")]
                if isinstance(answer, HarnessError)
                else [*_facts_in_words(device, answer.facts), *_verdicts_in_words(device, answer)]
            )
            for key, value in rows_of:
                out.print(f"  {key:13}{visible(value)}", markup=False, soft_wrap=True)
    ctx.exit(worst(failure.exit_code for failure in failures))


@devices.command(
    epilog="""\b
Examples:
  harness devices add ssh://root@192.168.1.7 --name rk3588
  harness devices add ssh://board --identity-file ~/.ssh/lab     an alias of ~/.ssh/config
  harness devices add adb:// --name phone                        the one plugged in
  harness devices add adb://192.168.1.8:5555 --name phone
"""
)
@click.argument("address", metavar="TRANSPORT://ADDRESS")
@click.option("--name", help="Name; by default its host or serial number.")
@click.option(
    "--identity-file",
    type=click.Path(path_type=Path),
    help="Private key that logs in (default: the agent's, and the user's usual ones).",
)
@click.pass_context
def add(ctx: click.Context, address: str, name: str | None, identity_file: Path | None) -> None:
    """Probe a board and write its file, devices/NAME.yaml.

    A host key that is not on record is shown and asked about first.
    """
    path, engines, told = register_device(workspace_of(ctx), address, name, identity_file)
    click.echo(told)
    name = path.stem
    then = f"probe {name}" if engines else f"provision {name} ENGINE"
    click.echo(f"next: harness devices {then}", err=True)


def register_device(
    workspace: Workspace, address: str, name: str | None = None, identity_file: Path | None = None
) -> tuple[Path, list[str], str]:
    """Do what ``add`` does; return the device's file, its engines, and what was written in words.

    On Android no engines are looked for, since they come with native runners: those are all.
    """
    from harness import transports
    from harness.cli.terminal import steps
    from harness.lab.inventory import DEFAULT_ANDROID_WORKDIR, DEFAULT_WORKDIR
    from harness.lab.probe import probe as ask
    from harness.lab.register import path_of_new, register
    from harness.lab.workdir import own_workdir
    from harness.workspace import check_name

    transport, plain = transports.by_address(address)
    settings = {"identity_file": str(identity_file)} if identity_file else {}
    for key in settings.keys() - transport.link.field_names():
        its = [each.name for each in transports.TRANSPORTS if key in each.link.field_names()]
        where = " and ".join(f"{each}://" for each in its)
        raise click.UsageError(f"--{key.replace('_', '-')} is for {where} addresses")
    link = transport.link_to(plain, settings)
    name = check_name(name or link.where.rpartition("@")[2].partition(":")[0], "device name")
    path = path_of_new(workspace, name)
    shown_as = f"{transport.name}://{link.where}"
    proves = transport.identity(shown_as, link, workspace.known_hosts)
    if proves and not proves.recorded():
        _trust(proves, yes=False, fingerprint=None)
    with steps() as shown, transport.open(shown_as, link, workspace.known_hosts) as opened:
        shown.update(f"probing {link.where}")
        facts = ask(opened)
        android = (facts.abi or "").startswith("android-")
        workdir = own_workdir(opened, DEFAULT_ANDROID_WORKDIR if android else DEFAULT_WORKDIR)
    spec = register(path, transport, link, facts, workdir=workdir)
    found = [engine for engine, its in spec.engines.items() if not its.built_in]
    engines = ", ".join(found) or "none found"
    told = f"wrote {path.resolve()}: {spec.soc or spec.description or spec.abi}; engines: {engines}"
    if workdir:
        click.echo(f"work folder: {workdir} (the default one belongs to another user)", err=True)
    if spec.device_class:
        click.echo(f"class: {_class_in_words(spec.device_class)}", err=True)
    return path, list(spec.engines) if android else found, told


@devices.command(
    epilog="""\b
Examples:
  harness devices trust rk3588
  harness devices trust ssh://root@192.168.1.7 --fingerprint SHA256:qZ0t…
  harness devices trust rk3588 --replace          after reinstalling the board
"""
)
@click.argument(
    "device", metavar="DEVICE|TRANSPORT://ADDRESS", shell_complete=complete_names("devices")
)
@click.option("--yes", is_flag=True, help="Do not ask (on a network of your own).")
@click.option(
    "--fingerprint", metavar="SHA256:…", help="Record the key only if it has this fingerprint."
)
@click.option("--replace", is_flag=True, help="Replace the recorded key.")
@click.pass_context
def trust(
    ctx: click.Context, device: str, *, yes: bool, fingerprint: str | None, replace: bool
) -> None:
    """Record a device's SSH host key.

    Shows the fingerprint of the device's key, and records the key in the workspace once you confirm
    it. To see it on the device: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    """
    from harness import transports
    from harness.lab.connect import identity
    from harness.lab.inventory import load_device

    workspace = workspace_of(ctx)
    if "://" in device:
        transport, plain = transports.by_address(device)
        link = transport.link_to(plain, {})
        proves = transport.identity(device, link, workspace.known_hosts)
    else:
        proves = identity(workspace, load_device(workspace, device))
    if proves is None:
        raise SpecificationError(f"{device}: what it is reached by has no host keys")
    _trust(proves, yes=yes, fingerprint=fingerprint, replace=replace)


def _trust(
    proves: HostIdentity, *, yes: bool, fingerprint: str | None, replace: bool = False
) -> None:
    from harness.transports.base import HostKeyError

    key, its_fingerprint = proves.fetch()
    known = proves.recorded()
    if fingerprint and fingerprint != its_fingerprint:
        raise HostKeyError(
            f"{proves.name}: its key is {key}, not {fingerprint}: nothing was recorded",
            hint="another machine answers, or the fingerprint belongs to another of its keys",
        )
    if known and not replace:
        proves.verify()
        click.echo(f"{proves.name}: {key} is already recorded", err=True)
        return
    click.echo(f"{proves.name} ({proves.host}) shows the key {key}", err=True)
    for each in known:
        click.echo(f"on record until now: {each}", err=True)
    if not (yes or fingerprint):
        try:
            right = click.confirm("Is that its fingerprint?", err=True)
        except click.Abort:
            if sys.stdin.isatty():
                raise
            right = False  # nobody is there to ask
        if not right:
            raise SpecificationError(
                f"{proves.name}: its key was not confirmed; nothing was recorded",
                hint=f"harness devices trust {proves.name} --fingerprint {its_fingerprint}",
            )
    proves.record()
    click.echo("recorded", err=True)


def _way(device: Device) -> str:
    if device.spec.board:
        return f"{device.spec.transport}, EMULATED board {device.spec.board}"
    return f"{device.spec.transport} {device.spec.link.where}".strip()


def _device_as_json(device: Device) -> dict[str, Any]:
    from harness.transports import TRANSPORTS

    # Each row has all columns, whatever the device is reached by.
    theirs = {name: None for each in TRANSPORTS for name in each.link.field_names()}
    return {
        "name": device.name,
        **theirs,
        **device.spec.model_dump(mode="json", by_alias=True),
        "host": device.host,
        "workdir": device.workdir,
        "emulated": device.emulated,
    }


def _facts_in_words(device: Device, facts: Facts) -> Iterator[tuple[str, str]]:
    from harness.cli.probing import interpreters
    from harness.core.text import UNKNOWN, megabytes

    told = dict.fromkeys(filter(None, (facts.model, facts.soc)))
    yield "board", ", ".join(told) or UNKNOWN
    api = f" (API level {facts.android_api})" if facts.android_api else ""
    yield "system", f"{facts.os or UNKNOWN}{api}"
    yield "kernel", " ".join(filter(None, (facts.kernel, facts.architecture))) or UNKNOWN
    yield "ABI", facts.abi or UNKNOWN
    if facts.abi and facts.abi != device.spec.abi:
        yield "", f"! its file has {device.spec.abi}"
    yield "libc", " ".join(filter(None, (facts.libc, facts.libc_version))) or UNKNOWN
    yield from _cores_in_words(facts)
    available = megabytes(facts.memory_available_bytes)
    yield "memory", f"{megabytes(facts.memory_total_bytes)}, available {available}"
    yield from _temperatures_in_words(facts)
    if facts.android_api or facts.battery:
        yield "battery", _battery_in_words(facts.battery)
        status = UNKNOWN if facts.thermal_status is None else str(facts.thermal_status)
        yield "throttling", f"{status} on Android's scale of 0 (none) to 6"
    yield from _npus_in_words(facts)
    yield "load", UNKNOWN if facts.load1 is None else f"{facts.load1:g}"
    of_python = {python.path: python for python in facts.pythons}
    for engine, interpreter in interpreters(device).items():
        python = of_python.get(interpreter or "")
        if interpreter is None:
            said = "environment not built yet; the first run builds it"
        elif python is None:
            said = f"! {interpreter} does not start"
        else:
            version = python.engines.get(engine) or "! not installed"
            said = f"{version} (Python {python.version}, {interpreter})"
        yield "engine", f"{engine} {said}"
    for engine, spec in device.spec.engines.items():
        if spec.runner:
            command = f"harness runners check {spec.runner} {device.name}"
            yield "engine", f"{engine} by runner {spec.runner}; to check it: {command}"
        elif spec.built_in:
            yield "engine", f"{engine} by the built-in runner"


def _verdicts_in_words(device: Device, probed: Probed) -> Iterator[tuple[str, str]]:
    if probed.device_class:
        by_hand = "" if device.spec.device_class else "; not in its file"
        yield "class", _class_in_words(probed.device_class) + by_hand
    for verdict in probed.verdicts:
        said = "; ".join(verdict.reasons or verdict.found)
        yield "verdict", f"{verdict.engine} {verdict.backend}  {verdict.state}: {said}"
        for todo in verdict.todo:
            yield "", f"try: {todo}"
        if verdict.caution and verdict.state != "not usable":
            yield "", f"note: {verdict.caution}"


def _class_in_words(name: str) -> str:
    from harness.lab.classes import load_class

    return f"{name} ({load_class(name).title}; {page(f'devices/{name}')})"


def _battery_in_words(battery: Battery | None) -> str:
    from harness.core.text import UNKNOWN

    if battery is None:
        return UNKNOWN
    level = UNKNOWN if battery.level_percent is None else f"{battery.level_percent} %"
    celsius = UNKNOWN if battery.temperature_c is None else f"{battery.temperature_c:g} °C"
    return f"level {level}, {battery.status or 'status unknown'}, temperature {celsius}"


def _npus_in_words(facts: Facts) -> Iterator[tuple[str, str]]:
    npus = [f"{npu.driver} {npu.version or '(version unknown)'}" for npu in facts.npus]
    yield "NPU drivers", ", ".join(npus) or "none found"
    if facts.clocks:
        yield "other clocks", ", ".join(_clock_in_words(*clock) for clock in facts.clocks.items())


def _clock_in_words(name: str, clock: Clock) -> str:
    from harness.core.text import UNKNOWN

    current = UNKNOWN if clock.current_hz is None else f"{clock.current_hz / 1e6:g} MHz"
    most = f" of {clock.max_hz / 1e6:g}" if clock.max_hz else ""
    return f"{name} {current}{most}"


def _cores_in_words(facts: Facts) -> Iterator[tuple[str, str]]:
    from harness.core.text import UNKNOWN

    for cpus in facts.cpus or (None,):
        yield "cores", _cpus_in_words(cpus) if cpus else UNKNOWN
    if facts.cpus_offline:
        yield "", f"! offline: CPU {','.join(map(str, facts.cpus_offline))}"


def _temperatures_in_words(facts: Facts) -> Iterator[tuple[str, str]]:
    from harness.core.text import UNKNOWN

    sensors = [f"{name} {celsius:.0f} °C" for name, celsius in facts.temperatures_c.items()]
    yield "temperatures", ", ".join(sensors) or UNKNOWN
    unknown = [f"{name} reads {value}" for name, value in facts.temperatures_unknown.items()]
    if unknown:
        yield "", f"! implausible: {', '.join(unknown)}"


def _cpus_in_words(cpus: Cpus) -> str:
    from harness.core.text import UNKNOWN

    clock = UNKNOWN if cpus.max_khz is None else f"{cpus.max_khz / 1000:g} MHz"
    if cpus.min_khz is not None:
        clock = f"{cpus.min_khz / 1000:g} to {clock}"
    numbers = ",".join(map(str, cpus.numbers))
    cores = f"{len(cpus.numbers)} \N{MULTIPLICATION SIGN} {cpus.core or UNKNOWN}"
    return f"{cores} (CPU {numbers}), clock {clock}, governor {cpus.governor or UNKNOWN}"
