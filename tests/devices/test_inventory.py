"""How a device's file says that its engines are started."""

from __future__ import annotations

import pytest

from harness.devices.inventory import load_device
from harness.errors import SpecificationError


@pytest.mark.parametrize(
    ("engines", "said"),
    [
        ("onnxruntime: {}", "onnxruntime: give one of 'python', 'environment' and 'runner'"),
        ("onnxruntime: {python: p, runner: r}", "give one of 'python', 'environment' and 'runner'"),
        ("calibration: {python: p}", "the harness brings calibration itself"),
    ],
)
def test_an_engine_is_started_in_one_way(workspace, engines, said):
    text = f"transport: local\nabi: x86_64-linux\nengines: {{{engines}}}\n"
    (workspace.devices / "here.yaml").write_text(text)
    with pytest.raises(SpecificationError, match=r"here\.yaml:3: ") as caught:
        load_device(workspace, "here")
    assert said in caught.value.message
