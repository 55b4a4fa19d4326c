"""Take over the user's own model files, which lie in the workspace under their hashes.

Run as ``given.py REQUEST``: a JSON object of the artifact's files to the SHA-256 that each must
have; ``given-<name>`` in the current folder becomes ``<name>``. Needs no environment: any Python
will do.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Do what the request says."""
    for name, expected in json.loads(sys.argv[1])["files"].items():
        shutil.copyfile(f"given-{name}", name)
        if hashlib.sha256(Path(name).read_bytes()).hexdigest() != expected:
            sys.exit(f"models/files/{expected} has been changed: add the file again")


if __name__ == "__main__":
    main()
