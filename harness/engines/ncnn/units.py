"""Say which GPU Vulkan finds here: a line of backend, yes or no, and words."""
# ruff: noqa: PLC0415 - what is missing is part of the answer

import sys

SOFTWARE = 3  # VK_PHYSICAL_DEVICE_TYPE_CPU, as ncnn numbers it


def gpu() -> "tuple[bool, str]":
    """Return whether there is a GPU, and what or why not."""
    try:
        import ncnn
    except ModuleNotFoundError as error:
        return False, f"{sys.executable} has no module '{error.name}'"
    if not ncnn.get_gpu_count():
        return False, "Vulkan finds no device"
    info = ncnn.get_gpu_info(0)
    software = ", a software driver" if info.type() == SOFTWARE else ""
    return True, f"Vulkan finds {info.device_name()}{software}"


if __name__ == "__main__":
    there, said = gpu()
    sys.stdout.write(f"gpu\t{'yes' if there else 'no'}\t{said}\n")
