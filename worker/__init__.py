"""The Celery worker: ids -> pictures -> predictions -> rows."""

from __future__ import annotations

import os

# One thread for each child, set before numpy is loaded: there is a child for each core, and the threads that BLAS
# starts beside it wait for work by spinning. On two cores they took two fifths of the throughput.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
