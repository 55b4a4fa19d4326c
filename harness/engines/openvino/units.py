"""Say which devices OpenVINO finds here: lines of backend, yes or no, and words."""
# ruff: noqa: PLC0415 - what is missing is part of the answer

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def units() -> "Iterator[tuple[str, bool, str]]":
    """Yield each backend with whether there is one, and what or why not."""
    try:
        import openvino
    except ModuleNotFoundError as error:
        for backend in ("gpu", "npu:intel"):
            yield backend, False, f"{sys.executable} has no module '{error.name}'"
        return
    core = openvino.Core()
    found = {name.partition(".")[0]: name for name in reversed(core.available_devices)}
    for backend, name in (("gpu", "GPU"), ("npu:intel", "NPU")):
        if name in found:
            full = core.get_property(found[name], "FULL_DEVICE_NAME")
            yield backend, True, f"OpenVINO finds {full}"
        else:
            yield backend, False, f"OpenVINO finds only {', '.join(found)}"


if __name__ == "__main__":
    for backend, there, said in units():
        sys.stdout.write(f"{backend}\t{'yes' if there else 'no'}\t{said}\n")
