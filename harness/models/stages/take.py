"""Take a Paddle inference model out of an installed package.

Run in the environment that holds the package as ``take.py REQUEST``: a JSON object with
``model`` and ``params``, paths within ``site-packages``. Writes ``model.pdmodel`` and
``model.pdiparams`` into the current folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from pathlib import Path


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    packages = Path(sysconfig.get_paths()["purelib"])
    for key, name in (("model", "model.pdmodel"), ("params", "model.pdiparams")):
        source = (packages / request[key]).resolve()
        if not source.is_relative_to(packages.resolve()) or not source.is_file():
            sys.exit(f"no installed package has the file '{request[key]}'")
        shutil.copyfile(source, name)


if __name__ == "__main__":
    main()
