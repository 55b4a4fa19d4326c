"""Light commands stay light: what declares plugins loads no slow library."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from harness.engines import ENGINES
from harness.quantities import QUANTITIES
from harness.transports import TRANSPORTS
assert all(registry.plugins for registry in (ENGINES, QUANTITIES, TRANSPORTS))
print(*sorted({"flatbuffers", "numpy", "pandas", "paramiko", "sqlalchemy"} & sys.modules.keys()))
"""


def test_loading_the_registries_imports_no_slow_library():
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == ""
