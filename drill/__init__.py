"""The fault drill: campaigns on devices to which things happen, judged by the devices' journals."""

import os

# A controller is forked of a process with one thread; NumPy's library, imported later, starts more.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
