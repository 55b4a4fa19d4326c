"""Pack ``model.tinyjson`` into ``model.tnp``, which the engine loads."""

import json
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    network = json.loads(Path("model.tinyjson").read_text())
    arrays = {"name": np.array(network["name"])}
    for number, layer in enumerate(network["layers"]):
        arrays[f"w{number}"] = np.array(layer["weights"], np.float32)
        arrays[f"b{number}"] = np.array(layer["biases"], np.float32)
    with Path("model.tnp").open("wb") as file:  # else numpy would add a suffix
        np.savez(file, **arrays)
