"""What a run leaves behind, written and read in one place.

A run is a directory:

    config.yaml       the resolved config, every hyperparameter of the optimizer included
    status.json       done, diverged or failed, the reason, times, versions (of your files too), machine, seed, command
    metrics.csv       one row an evaluation, see `METRICS`
    steps.csv         one row a step: step, epoch (from 1), lr, loss
    trajectory.bin    flat weights at some steps, see `TRAJECTORY`; runs of older versions have a trajectory.npz
    checkpoint.ckpt   Lightning's
    events.out.*      TensorBoard's view of the metrics

Nothing here is unpickled, and whole files are written beside and renamed. At its end status.json says how many rows and
bytes each file has and its SHA-256; `read` believes none of it without a look. Whoever trains a run holds a lock on
`.lock`, which the kernel takes back when that process ends, however it ends.
"""

from optbench.records.files import folder, inventory, prepare, write
from optbench.records.key import identity
from optbench.records.lock import Busy, Lock, locked
from optbench.records.origin import provenance
from optbench.records.place import clear, restart, vacant
from optbench.records.reading import Run, find, inspect, key_of, natural, read, survey
from optbench.records.status import ENDS, STATUSES, Rerun, anew, ended, lose, resumable, status_of
from optbench.records.tables import METRICS
from optbench.records.trajectory import TRAJECTORY
from optbench.records.writing import Finished, Record, Resume, Silent

__all__ = [
    "ENDS",
    "METRICS",
    "STATUSES",
    "TRAJECTORY",
    "Busy",
    "Finished",
    "Lock",
    "Record",
    "Rerun",
    "Resume",
    "Run",
    "Silent",
    "anew",
    "clear",
    "ended",
    "find",
    "folder",
    "identity",
    "inspect",
    "inventory",
    "key_of",
    "lose",
    "locked",
    "natural",
    "prepare",
    "provenance",
    "read",
    "restart",
    "resumable",
    "status_of",
    "survey",
    "vacant",
    "write",
]
