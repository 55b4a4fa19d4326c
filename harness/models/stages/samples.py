"""Make the inputs that calibrate a model, and those that are held out, with fp32 outputs of these.

Run in the environment ``paddle`` as ``samples.py REQUEST``: a JSON object with ``inputs`` (the
contract's input specifications), ``seeds`` and ``held_out`` (lists of seeds) or ``images`` and
``held_out`` (lists of file names in the folder ``images`` with their SHA-256), and for images
``colour``, ``mean`` and ``std``. Writes
``calibration.npz`` with the samples of input ``j`` stacked as ``x.j``, and ``heldout.npz``, which
has also the outputs of ``model.pdmodel`` with ``model.pdiparams``, if they are there, as ``y.j``.

With ``checks`` in the request it makes ``check_inputs.bin`` alone: so many inputs as the contract
has them in ``check_files``, of the images in ``held_out``; where the batch is larger than one,
each takes several, round the list.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from PIL import Image

FORMATS = ("BMP", "JPEG", "PNG", "WEBP")
PIXELS_LIMIT = 50_000_000
SIZE_LIMIT = 64 << 20


def read_image(name: str, digest: str, spec: dict[str, Any], request: dict[str, Any]) -> Any:
    """Return an image as a sample, without a batch; end with one line where it is none."""
    with Path("images", name).open("rb") as file:
        content = file.read(SIZE_LIMIT)
    if hashlib.sha256(content).hexdigest() != digest:
        sys.exit(f"calibration image {name} has changed since the build began")
    _, channels, height, width = spec["shape"]
    try:
        # Its dimensions are known before it is decoded: a bomb is refused unseen.
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        image = image.convert("L" if channels == 1 else "RGB")
        pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), "float32")
    except Exception as error:  # noqa: BLE001 - a hostile file may raise anything
        sys.exit(f"calibration image {name} cannot be read: {error}")
    pixels = pixels.reshape(height, width, channels)
    if request["colour"] == "BGR":
        pixels = pixels[:, :, ::-1]
    pixels /= 255
    if request["mean"]:
        pixels = (pixels - request["mean"][:channels]) / request["std"][:channels]
    else:
        pixels = spec["low"] + pixels * (spec["high"] - spec["low"])
    return pixels.transpose(2, 0, 1).astype(spec["dtype"])


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    Image.MAX_IMAGE_PIXELS = PIXELS_LIMIT
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - python -I leaves it out
    import edge_runner  # noqa: PLC0415

    specs = request["inputs"]

    def batch_from(first: int, of: list[Any]) -> Any:
        """Return an input made of images from one on."""
        chosen = [of[(first + n) % len(of)] for n in range(specs[0]["shape"][0])]
        return np.stack([read_image(name, digest, specs[0], request) for name, digest in chosen])

    if "checks" in request:
        with Path("check_inputs.bin").open("wb") as file:
            for n in range(request["checks"]):
                value = batch_from(n, request["held_out"])
                file.write(value.astype(value.dtype.newbyteorder("<")).tobytes())
        return

    def make(of: list[Any]) -> Any:
        if "images" in request:
            samples = [[batch_from(n, of)] for n in range(len(of))]
        else:
            samples = [
                [edge_runner.make_input(spec, seed, j) for j, spec in enumerate(specs)]
                for seed in of
            ]
        return {f"x.{j}": np.stack(x) for j, x in enumerate(zip(*samples, strict=True))}

    np.savez("calibration.npz", **make(request.get("images") or request["seeds"]))
    held_out = make(request["held_out"])
    if Path("model.pdmodel").exists():
        held_out |= fp32(specs, held_out, len(request["held_out"]))
    np.savez("heldout.npz", **held_out)


def fp32(specs: list[dict[str, Any]], held_out: Any, count: int) -> Any:
    """Return what the model's outputs are, by Paddle's executor, without fusions."""
    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    program, _, fetches = paddle.static.load_inference_model("model", executor)
    outputs = []
    for n in range(count):
        feed = {spec["name"]: held_out[f"x.{j}"][n] for j, spec in enumerate(specs)}
        outputs.append(executor.run(program, feed=feed, fetch_list=fetches))
    return {f"y.{j}": np.stack(y) for j, y in enumerate(zip(*outputs, strict=True))}


if __name__ == "__main__":
    main()
