# The Python runner, as device modules of engines import it.
from harness.runner.python.edge_runner import *
