"""The inventory: ``devices/*.yaml``, one file a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from harness.core.yamlfile import Spec, load, named, names, nearest
from harness.engines import ENGINES
from harness.lab.classes import class_names, load_class
from harness.lab.conditions.spec import Conditions
from harness.transports import TRANSPORTS, examples
from harness.transports.plugin import LinkSpec
from harness.workspace import Name, cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

    from harness.workspace import Workspace

__all__ = [
    "ABI",
    "DEFAULT_ANDROID_WORKDIR",
    "DEFAULT_WORKDIR",
    "Backend",
    "BackendSpec",
    "Device",
    "DeviceSpec",
    "EngineSpec",
    "PowerCycle",
    "load_device",
    "load_devices",
]

DEFAULT_WORKDIR: Final = "/tmp/edge-harness"  # noqa: S108 - the device's
DEFAULT_ANDROID_WORKDIR: Final = "/data/local/tmp/edge-harness"

ABI = Literal["arm64-linux", "armv7hf-linux", "x86_64-linux", "android-arm64", "android-armv7"]

_ONE_WAY = "give one of 'python', 'environment' and 'runner'"

Backend = Annotated[
    str,
    StringConstraints(pattern=r"^(cpu|gpu|(gpu|npu):[a-z0-9][a-z0-9_]{0,63}|wasm|webgl|webgpu)$"),
]
"""A compute unit: ``cpu``, ``gpu``, or with the name by which its engine knows it: ``npu:NAME``; in
a browser what gives access to one: ``wasm``, ``webgl``, ``webgpu``."""

_Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
_Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=4096)]


class BackendSpec(Spec):
    """What an engine needs to use a compute unit of a device.

    Attributes
    ----------
    options
        Settings of the engine's own.
    variables
        Of the runner's environment. They are stored with the results: never a secret.
    python, environment
        As for the engine, where a backend takes another interpreter, such as one with a plugin.
    """

    python: _Text | None = None
    environment: Name | None = None
    options: Annotated[dict[_Word, _Text], Field(max_length=30)] = Field(default_factory=dict)
    variables: Annotated[dict[_Word, _Text], Field(max_length=30)] = Field(default_factory=dict)


class EngineSpec(Spec):
    """How an engine is started on a device; ``{}`` for one that the harness brings.

    Attributes
    ----------
    python
        The interpreter that has the engine; the default suits an emulated board.
    environment
        Instead: a toolchain environment of the harness, on this machine only.
    runner
        Instead: a foreign runner that is registered in the workspace (``harness runners``).
    backends
        The compute units that it can use there, and what it needs for each; by default those of
        the device's class, else the CPU.
    """

    python: _Text | None = None
    environment: Name | None = None
    runner: Name | None = None
    backends: Annotated[dict[Backend, BackendSpec], Field(min_length=1)] = Field(
        default={"cpu": BackendSpec()}
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(way is not None for way in (self.python, self.environment, self.runner)) > 1:
            raise ValueError(_ONE_WAY)
        return self

    @property
    def built_in(self) -> bool:
        """Whether the harness itself brings what runs it."""
        return self.python is self.environment is self.runner is None

    def with_defaults(self, known: Mapping[str, BackendSpec]) -> EngineSpec:
        """Return it with a class's backends: all where it names none, else beneath its own."""
        if not known:
            return self
        if "backends" not in self.model_fields_set:
            return self.model_copy(update={"backends": dict(known)})
        merged = {
            backend: own.model_copy(
                update={
                    "options": {**known[backend].options, **own.options},
                    "variables": {**known[backend].variables, **own.variables},
                }
            )
            if backend in known
            else own
            for backend, own in self.backends.items()
        }
        return self.model_copy(update={"backends": merged})


class PowerCycle(Spec):
    """How a device that does not answer any more is switched off and on.

    Attributes
    ----------
    command
        A program of this machine and its arguments; no shell interprets them. It runs in the
        workspace's folder, with the environment of whoever started the run.
    time_limit_s
        Seconds that the command may take.
    boot_within_s
        Seconds after it in which the device has to answer.
    most
        How often in a run.
    """

    command: Annotated[list[_Text], Field(min_length=1, max_length=50)]
    time_limit_s: Annotated[float, Field(gt=0, le=3600)] = 60
    boot_within_s: Annotated[float, Field(gt=0, le=3600)] = 180
    most: Annotated[int, Field(ge=1, le=100)] = 3


class DeviceSpec(Spec):
    """The content of a device's file; what its transport alone knows is in :attr:`link`.

    Attributes
    ----------
    transport
        What reaches it: one of ``harness plugins list``. It says which fields there are more.
    board
        The recipe of an emulated board that this device is, instead of an address.
    class
        The kind of hardware it is (``docs/devices/``): what its backends need by default.
    host
        Devices with the same host share processors; by default a device has its own.
    workdir
        A folder on the device for pushed files and launches; by default ``/tmp/edge-harness``,
        on Android ``/data/local/tmp/edge-harness``, and on this machine a folder in the user's
        cache.
    store_limit_mb
        Megabytes of pushed files that are kept there; by default 2000, or half of what its disk
        has for them where that is less.
    labels
        By which campaigns may ask for it, beside its class and SoC.
    conditions
        What it has to be like for a launch to begin.
    power_cycle
        What switches it off and on, where something does.
    """

    description: str = ""
    transport: Name
    board: Name | None = None
    abi: ABI
    soc: str | None = None
    device_class: Name | None = Field(default=None, alias="class")
    host: Name | None = None
    workdir: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]*$")] | None = None
    store_limit_mb: Annotated[int, Field(ge=0)] | None = None
    engines: dict[Name, EngineSpec] = Field(default_factory=dict)
    labels: Annotated[dict[Name, _Text], Field(max_length=30)] = Field(default_factory=dict)
    conditions: Conditions = Conditions()
    power_cycle: PowerCycle | None = None

    _link: LinkSpec = PrivateAttr(default_factory=LinkSpec)

    @property
    def link(self) -> LinkSpec:
        """How it is reached: the fields that its transport has of its own."""
        return self._link

    @model_validator(mode="wrap")
    @classmethod
    def _by_transport(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401
        """Check the transport's fields by its own class; all faults are told at once."""
        if not isinstance(given, dict):
            return handler(given)
        name = given.get("transport")
        link = (
            TRANSPORTS.get(name).link if isinstance(name, str) and name in TRANSPORTS else LinkSpec
        )
        theirs = {key for each in TRANSPORTS for key in each.link.model_fields}
        faults: list[Any] = []
        own: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        for key, value in given.items():
            if key in link.model_fields:
                own[key] = value
            elif key in theirs and name in TRANSPORTS:
                which = " and ".join(e.name for e in TRANSPORTS if key in e.link.model_fields)
                faults.append(_fault(key, value, f"'{key}' is for {which} devices"))
            elif key not in theirs:
                rest[key] = value
        reached = LinkSpec()
        try:
            reached = link.model_validate(own)
        except ValidationError as error:
            faults += error.errors()
        try:
            found = handler(rest)
        except ValidationError as error:
            faults += error.errors()
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        found._link = reached  # noqa: SLF001 - of its own class
        return found._checked()  # noqa: SLF001

    @model_serializer(mode="wrap")
    def _flat(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """Put the transport's fields where the file has them: after its name."""
        found: dict[str, Any] = {}
        exclude: Any = info.exclude
        for key, value in handler(self).items():
            found[key] = value
            if key == "transport":
                found |= self._link.model_dump(
                    mode=info.mode,
                    exclude=exclude,
                    by_alias=info.by_alias,
                    exclude_none=info.exclude_none,
                    exclude_defaults=info.exclude_defaults,
                )
        return found

    @classmethod
    def field_names(cls) -> set[str]:
        """See :meth:`Spec.field_names`; with those of all transports."""
        return super().field_names().union(*(each.link.field_names() for each in TRANSPORTS))

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of a file: which fields there are more is said by ``transport``."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        properties, kinds = schema["properties"], []
        of_each = {each.name: each.link.model_json_schema() for each in TRANSPORTS}
        theirs = [key for each in of_each.values() for key in each.get("properties", {})]
        for name, its in of_each.items():
            fields = its.get("properties", {})
            then = {
                "description": its.get("description", ""),
                "properties": {key: fields.get(key, False) for key in dict.fromkeys(theirs)},
                **({"required": its["required"]} if "required" in its else {}),
            }
            kinds.append({"if": {"properties": {"transport": {"const": name}}}, "then": then})
        properties["transport"] = {"enum": list(of_each), "title": "Transport", "type": "string"}
        after = list(properties).index("transport") + 1
        schema["properties"] = {
            **dict(list(properties.items())[:after]),
            **{key: {} for key in theirs},
            **dict(list(properties.items())[after:]),
        }
        schema["allOf"] = kinds
        return schema

    @field_validator("transport")
    @classmethod
    def _reaches(cls, name: str) -> str:
        if name not in TRANSPORTS:
            unusable = next((each for each in TRANSPORTS.faults if each.name == name), None)
            why = (
                f"that of the package {unusable.origin.package} cannot be used: {unusable.reason}"
                if unusable
                else nearest(name, TRANSPORTS.plugins)
            )
            raise ValueError(f"unknown transport '{name}'; {why}")
        return name

    @field_validator("device_class")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in class_names():
            raise ValueError(f"unknown device class '{name}'; {nearest(name, class_names())}")
        return name

    @field_validator("engines")
    @classmethod
    def _startable(cls, engines: dict[str, EngineSpec]) -> dict[str, EngineSpec]:
        for name, spec in engines.items():
            brought = name in ENGINES and ENGINES.get(name).brought
            if spec.built_in and not brought:
                raise ValueError(f"{name}: {_ONE_WAY}")
            if brought and not spec.built_in:
                raise ValueError(f"the harness brings {name} itself: write '{name}: {{}}'")
        return engines

    def _checked(self) -> Self:
        """Return it, if it can be reached as it says."""
        transport = TRANSPORTS.get(self.transport)
        if transport.reaches_boards and bool(self.link.where) == bool(self.board):
            raise ValueError(f"transport {self.transport} needs either 'address' or 'board'")
        if self.board and not transport.reaches_boards:
            raise ValueError(f"transport {self.transport} reaches no 'board'")
        ways: list[EngineSpec | BackendSpec] = [*self.engines.values()]
        ways += [way for engine in self.engines.values() for way in engine.backends.values()]
        if not self.is_this_machine and any(way.environment for way in ways):
            here = " and ".join(each.name for each in TRANSPORTS if each.is_this_machine)
            raise ValueError(f"'environment' is for {here} devices: give 'python'")
        return self

    @property
    def is_this_machine(self) -> bool:
        """Whether it is the machine that this runs on."""
        return TRANSPORTS.get(self.transport).is_this_machine

    @property
    def library_folders(self) -> list[str]:
        """Where its backends look for libraries, beside the device's own places."""
        given = [
            folder
            for engine in self.engines.values()
            for backend in engine.backends.values()
            for folder in backend.variables.get("LD_LIBRARY_PATH", "").split(":")
        ]
        return [folder for folder in dict.fromkeys(given) if folder.startswith("/")]

    def with_class_defaults(self) -> DeviceSpec:
        """Return it with what its class knows of the backends, where its file says nothing else."""
        if self.device_class is None:
            return self
        known = load_class(self.device_class).engines
        engines = {
            name: engine.with_defaults(
                {
                    backend: BackendSpec(options=spec.options, variables=spec.variables)
                    for backend, spec in known.get(name, {}).items()
                }
            )
            for name, engine in self.engines.items()
        }
        return self.model_copy(update={"engines": engines})


class Device(Spec):
    """A device of the inventory: its name, which is its file's, and the file's content.

    Attributes
    ----------
    spec
        With the defaults of its class.
    """

    name: Name
    spec: DeviceSpec

    @property
    def host(self) -> str:
        """What its processors are shared under; emulated boards run on this machine."""
        here = self.spec.is_this_machine or self.emulated
        return self.spec.host or ("this-machine" if here else self.name)

    @property
    def workdir(self) -> str:
        """The folder on the device for pushed files and launches."""
        if self.spec.workdir:
            return self.spec.workdir
        if self.spec.is_this_machine:
            return str(cache_dir() / "work")
        android = self.spec.abi.startswith("android-")
        return DEFAULT_ANDROID_WORKDIR if android else DEFAULT_WORKDIR

    @property
    def emulated(self) -> bool:
        """Whether it is emulated: its latency says nothing of any hardware."""
        return self.spec.board is not None


def _fault(key: str, value: object, said: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("transport", "{said}", {"said": said}), loc=(key,), input=value
    )


def load_devices(workspace: Workspace) -> dict[str, Device]:
    """Return the inventory by name.

    Raises
    ------
    SpecificationError
        A file of it is wrong.
    """
    return {name: load_device(workspace, name) for name in names(workspace.devices)}


def load_device(workspace: Workspace, name: str) -> Device:
    """Return one device.

    Raises
    ------
    SpecificationError
        No such name, or its file is wrong.
    """
    usual, *others = examples()
    more = f" (or {', '.join(others)})" if others else ""
    otherwise = f"add one: harness devices add {usual}{more}"
    path = named(workspace.devices, name, "device", otherwise=otherwise)
    return Device(name=name, spec=load(path, DeviceSpec).with_class_defaults())
