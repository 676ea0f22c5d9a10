"""The measured targets; `make bench` runs them all."""

import os

# Targets are for one core; read when NumPy is loaded, so it stands here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
