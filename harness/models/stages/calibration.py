"""Write the settings of a calibration model as its runner reads them.

Run as ``calibration.py REQUEST``: a JSON object, which becomes ``model.json`` in the current
folder. Needs no environment: any Python will do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    Path("model.json").write_text(json.dumps(json.loads(sys.argv[1]), indent=2) + "\n")
