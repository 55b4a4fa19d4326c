"""ONNX Runtime in the Python runner."""

from __future__ import annotations

import copy
import os
import sys

from edge_runner import Engine, LaunchError, Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    import csv
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

NPU = "npu:qnn"
CPU_PROVIDER = "CPUExecutionProvider"
CYCLES = "qnn.csv"
COLUMNS = frozenset({"Event Identifier", "Message", "Time", "Unit of Measurement"})
MOST_ROWS = 1_000_000
SUBGRAPH = "subgraph {}"


class OnnxRuntime(Engine):
    """ONNX Runtime, inputs and outputs bound: no copy is part of an inference.

    On ``npu:qnn`` the plugin ``onnxruntime-qnn`` compiles the model for Qualcomm's Hexagon NPU. On
    x86-64 its library simulates one.
    """

    name = "onnxruntime"
    releases_lock = True
    backends = ("cpu", NPU)
    caching = (NPU,)
    options = (
        "htp_graph_finalization_optimization_mode",
        "htp_performance_mode",
        "soc_model",
        "strict",
        "vtcm_mb",
    )

    def __init__(self) -> None:
        import onnxruntime

        self.ort = onnxruntime
        self.simulated: str | None = None

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.model = job["files"]["model"]
        self.npu = job.get("backend") == NPU
        self.context: str | None = None
        self.settings = self.ort.SessionOptions()
        self.settings.intra_op_num_threads = job["threads"]
        self.settings.inter_op_num_threads = 1
        if job.get("profile"):
            self.settings.enable_profiling = True
            self.settings.profile_file_prefix = "onnxruntime"
        build = {
            "provider": CPU_PROVIDER,
            "graph_optimization": str(self.settings.graph_optimization_level).rsplit(".", 1)[-1],
            "threads": str(self.settings.intra_op_num_threads),
        }
        if self.npu:
            build.update(self.use_npu(job))
        elif job.get("options"):
            raise LaunchError("BadJob", f"the backend 'cpu' has no option {min(job['options'])!r}")
        return str(self.ort.__version__), build

    def use_npu(self, job: dict[str, Any]) -> dict[str, str]:
        """Give the model to the NPU's provider; return what that was set to."""
        try:
            import onnxruntime_qnn as plugin
        except ModuleNotFoundError as error:
            raise LaunchError(
                "EngineMissing", f"backend {NPU}: the package onnxruntime-qnn is not installed"
            ) from error
        name = plugin.get_ep_name()
        self.register(name, plugin)
        devices = [device for device in self.ort.get_ep_devices() if device.ep_name == name]
        if not devices:
            raise LaunchError("EngineMissing", f"backend {NPU}: Qualcomm's runtime finds no NPU")
        if "NPU" not in str(devices[0].device.type):
            self.simulated = "Qualcomm HTP simulator"
        options = {"htp_performance_mode": "burst", **job.get("options", {})}
        if options.pop("strict", "0") == "1":
            self.settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if job.get("precision") == "fp16":
            if "soc_model" not in options:
                raise LaunchError("BadJob", f"backend {NPU}: fp16 needs the option 'soc_model'")
            options["enable_htp_fp16_precision"] = "1"
        self.settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        provider = {"backend_path": plugin.get_qnn_htp_path(), **options}
        if job.get("profile"):
            provider["profiling_level"] = "detailed"
            provider["profiling_file_path"] = os.path.abspath(CYCLES)
        self.settings.add_provider_for_devices(devices[:1], provider)
        version = str(plugin.__version__)
        if job.get("model_cache"):
            self.use_cache(
                job["model_cache"], [self.ort.__version__, version, sorted(options.items())]
            )
        return {"provider": name, "onnxruntime-qnn": version, **options}

    def register(self, name: str, plugin: Any) -> None:
        """Load the plugin's library; one for another version of ONNX Runtime is refused by it."""
        try:
            self.ort.register_execution_provider_library(name, plugin.get_library_path())
        except Exception as error:
            versions = f"onnxruntime-qnn {plugin.__version__} in onnxruntime {self.ort.__version__}"
            raise LaunchError(
                "EngineMissing", f"backend {NPU}: {versions} does not load: {error}"
            ) from error

    def use_cache(self, folder: str, made_by: list[Any]) -> None:
        """Load the compiled model from a cache, or keep it there.

        Its name says what it was compiled from and for: one for another model, chip or version is
        never taken.
        """
        import hashlib
        import json

        digest = hashlib.sha256(json.dumps(made_by).encode())
        with open(self.model, "rb") as file:
            digest.update(file.read())
        self.kept = os.path.join(folder, f"context-{digest.hexdigest()[:32]}.onnx")
        if os.path.exists(self.kept):
            self.model = self.kept
            return
        self.context = f"{self.kept}.{os.getpid()}"  # whole when it takes its name
        self.settings.add_session_config_entry("ep.context_enable", "1")
        self.settings.add_session_config_entry("ep.context_embed_mode", "1")
        self.settings.add_session_config_entry("ep.context_file_path", self.context)

    def load(self) -> list[str]:
        providers = None if self.npu else [CPU_PROVIDER]
        self.session = self.ort.InferenceSession(self.model, self.settings, providers=providers)
        if self.context:
            os.replace(self.context, self.kept)
        return [value.name for value in self.session.get_inputs()]

    def loaded(self) -> dict[str, Any]:
        """Return which compute unit got how many operators."""
        if not self.npu:
            return {}
        units: dict[str, int] = {}
        for part in self.session.get_provider_graph_assignment_info():
            unit = "cpu" if part.ep_name == CPU_PROVIDER else "npu"
            units[unit] = units.get(unit, 0) + len(part.get_nodes())
        return {"units": units, "simulated": self.simulated}

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        self.inputs = inputs  # the binding may point into them
        self.binding = self.session.io_binding()
        for name, value in inputs.items():
            self.binding.bind_cpu_input(name, value)
        for output in self.session.get_outputs():
            self.binding.bind_output(output.name)
        session, binding = self.session, self.binding
        self.run = lambda: session.run_with_iobinding(binding)

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        names = [value.name for value in self.session.get_outputs()]
        return list(zip(names, self.binding.copy_outputs_to_cpu()))

    def another(self) -> OnnxRuntime:
        """Return the session for one more caller, who binds inputs and outputs of its own."""
        return copy.copy(self)

    def profile(self, samples: Sequence[int]) -> Profile:
        import json

        path = self.session.end_profiling()
        try:
            with open(path, encoding="utf-8") as file:
                events = json.load(file)
        except ValueError as error:
            raise LaunchError("EngineFailed", f"the profile {path} is no JSON: {error}") from error
        runs = [event for event in events if event["name"] == "model_run"][-len(samples) :]
        begun = runs[0]["ts"]
        nodes: dict[tuple[str, str], list[Any]] = {}  # in the order in which they ran
        for event in sorted(events, key=lambda event: event["ts"]):
            name, _, kind = event["name"].rpartition("_kernel_")
            if event["ts"] >= begun and kind == "time":
                about = event["args"]
                found = nodes.setdefault(
                    (about.get("node_index", ""), name), [about["op_name"], about["provider"], 0.0]
                )
                found[2] += event["dur"] / len(runs)
        layers = [
            {**named(name, op, provider), "unit": provider, "us": us}
            for (_, name), (op, provider, us) in nodes.items()
        ]
        whole_us = sum(run["dur"] for run in runs) / len(runs)
        if not self.npu:
            return Profile(layers, len(runs), whole_us)
        # One node of the NPU's is a whole subgraph, which its own runtime opens, in cycles.
        return Profile(layers + npu_layers(), len(runs), whole_us, self.parts())

    def parts(self) -> list[dict[str, Any]]:
        """Return the NPU's subgraphs, and the nodes that the processor runs."""
        found = []
        subgraphs = 0
        for part in self.session.get_provider_graph_assignment_info():
            nodes = part.get_nodes()
            if part.ep_name == CPU_PROVIDER:
                found += [{"name": node.name, "op": node.op_type} for node in nodes]
            else:
                subgraphs += 1
                name = SUBGRAPH.format(subgraphs)
                found.append({"name": name, "op": "", "operators": len(nodes)})
            for each in found:
                each.setdefault("unit", part.ep_name)
        return found


def named(name: str, op: str, provider: str) -> dict[str, str]:
    """Return a node's name and operator; a subgraph's have a hash that is another in each build."""
    if provider == CPU_PROVIDER or not name.startswith(provider):
        return {"name": name, "op": op}
    return {"name": SUBGRAPH.format(name.split("_")[-2]), "op": ""}


def npu_layers(path: str = CYCLES, most: int = MOST_ROWS) -> list[dict[str, Any]]:
    """Return what the NPU's runtime counted within its subgraphs: the mean over inferences.

    Of a file that another version wrote, or a larger one, nothing is taken, and the log says why.
    """
    import csv

    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        try:
            cycles, inferences = count_cycles(csv.DictReader(file, restval=""), most)
        except (csv.Error, ValueError) as error:
            sys.stderr.write(f"{CYCLES} is not taken: {error}\n")
            return []
    return [
        {"name": name[:200], "op": "", "unit": "Hexagon", "cycles": count // inferences}
        for name, count in cycles.items()
        if inferences and count >= 0
    ]


def count_cycles(rows: csv.DictReader[str], most: int) -> tuple[dict[str, int], int]:
    """Return each operator's cycles in all inferences, and how many these are."""
    if not COLUMNS.issubset(rows.fieldnames or ()):
        raise ValueError(f"its columns are {rows.fieldnames}")
    cycles: dict[str, int] = {}
    inferences = 0
    for number, row in enumerate(rows):
        if number == most:
            raise ValueError(f"it has more than {most} rows")
        inferences += row["Message"] == "EXECUTE"
        if row["Message"] == "NODE" and row["Unit of Measurement"] == "CYCLES":
            name = row["Event Identifier"].partition(":OpId_")[0].partition(" OpId_")[0]
            cycles[name] = cycles.get(name, 0) + int(row["Time"])
    return cycles, inferences


ENGINE = OnnxRuntime
