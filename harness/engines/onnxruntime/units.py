"""Say whether Qualcomm's runtime finds an NPU here: a line of backend, yes or no, and words."""
# ruff: noqa: PLC0415 - what is missing is part of the answer

import sys


def npu() -> "tuple[bool, str]":
    """Return whether there is an NPU, and what or why not."""
    try:
        import onnxruntime
        import onnxruntime_qnn
    except ModuleNotFoundError as error:
        return False, f"{sys.executable} has no module '{error.name}'"
    name = onnxruntime_qnn.get_ep_name()
    path = onnxruntime_qnn.get_library_path()
    versions = f"onnxruntime-qnn {onnxruntime_qnn.__version__}"
    try:
        onnxruntime.register_execution_provider_library(name, path)
    except Exception as error:  # noqa: BLE001 - of another version, or without its libraries
        return False, f"{versions} does not load: {str(error).splitlines()[0]}"
    found = [each for each in onnxruntime.get_ep_devices() if each.ep_name == name]
    if not found:
        return False, f"Qualcomm's runtime ({versions}) finds no NPU"
    what = "an NPU" if "NPU" in str(found[0].device.type) else "its simulator, no NPU"
    return True, f"Qualcomm's runtime ({versions}) finds {what}"


if __name__ == "__main__":
    there, said = npu()
    sys.stdout.write(f"npu:qnn\t{'yes' if there else 'no'}\t{said}\n")
