# The browser part of the Python runner, as device modules of engines import it.
from harness.runner.browser.edge_browser import *
