"""Keys of emulated boards."""

from __future__ import annotations

import pytest

from harness.core.errors import LabError
from harness.lab.emulated.keys import as_machine_id, as_public, load_or_make


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "id_ed25519"
    made = load_or_make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert as_public(load_or_make(path)) == as_public(made)
    assert as_public(load_or_make(tmp_path / "other")) != as_public(made)


def test_a_machine_id_is_32_hexadecimal_digits(tmp_path):
    assert len(bytes.fromhex(as_machine_id(load_or_make(tmp_path / "host")))) == 16


def test_a_damaged_key_is_named_and_how_to_have_another(tmp_path):
    path = tmp_path / "id_ed25519"
    path.write_text("not a key")
    with pytest.raises(LabError, match="id_ed25519: not a private key") as caught:
        load_or_make(path)
    assert caught.value.hint == f"rm {path}"
