"""Faults in YAML files: each names its file, line and what would be right."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import SpecificationError
from harness.core.yamlfile import Spec, dump, load, nearest
from harness.lab.inventory import DeviceSpec

GOOD = """\
description: a board
transport: ssh
address: root@board
abi: arm64-linux
engines:
  onnxruntime:
    python: /usr/bin/python3
"""


def _fault(tmp_path, text):
    path = tmp_path / "board.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecificationError) as caught:
        load(path, DeviceSpec)
    return caught.value.message.replace(str(path), "board.yaml")


def test_unknown_key_names_line_and_nearest_key(tmp_path):
    fault = _fault(tmp_path, GOOD.replace("transport", "transprot"))
    assert "board.yaml:2: unknown key 'transprot'; did you mean 'transport'?" in fault


def test_unknown_key_in_a_mapping_of_mappings_offers_its_own_keys(tmp_path):
    fault = _fault(tmp_path, GOOD.replace("    python:", "    pyton:"))
    assert fault.startswith("board.yaml:7: unknown key 'engines.onnxruntime.pyton'")
    assert "did you mean 'python'?" in fault


def test_wrong_type_names_line_and_value(tmp_path):
    fault = _fault(tmp_path, GOOD.replace("arm64-linux", "12"))
    assert fault.startswith("board.yaml:4: abi: ")
    assert "got 12" in fault


def test_every_fault_is_named(tmp_path):
    fault = _fault(tmp_path, "transport: ssh\nabi: none\nspeed: 3\n")
    assert [line.split(" ")[0] for line in fault.splitlines()] == ["board.yaml:2:", "board.yaml:3:"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2\n", "board.yaml:2"),
        ("- 1\n- 2\n", "a mapping of keys"),
        ("", "a mapping of keys"),
        ("a: 1\na: 2\n", "duplicate key"),
        ("a: !!python/object:os.system x\n", "board.yaml"),
    ],
)
def test_no_yaml_of_ours(tmp_path, text, said):
    assert said in _fault(tmp_path, text)


def test_unreadable_files(tmp_path):
    with pytest.raises(SpecificationError, match="No such file"):
        load(tmp_path / "none.yaml", DeviceSpec)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecificationError, match="not UTF-8"):
        load(binary, DeviceSpec)
    large = tmp_path / "large.yaml"
    large.write_text("#" * (1 << 21), encoding="utf-8")
    with pytest.raises(SpecificationError, match="1 MiB"):
        load(large, DeviceSpec)


def test_what_is_written_reads_back(tmp_path):
    path = tmp_path / "board.yaml"
    path.write_text(GOOD, encoding="utf-8")
    spec = load(path, DeviceSpec)
    path.write_text(dump(spec), encoding="utf-8")
    assert load(path, DeviceSpec) == spec


class _Anything(Spec):
    key: int = 0


@given(st.text(max_size=200))
def test_any_text_is_accepted_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("yaml") / "file.yaml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with suppress(SpecificationError):
        load(path, _Anything)


def test_nearest():
    assert nearest("qemu-amr64", ["qemu-arm64", "local"]) == "did you mean 'qemu-arm64'?"
    assert nearest("zzz", ["b", "a"]) == "valid: a, b"
    assert nearest("zzz", []) is None
