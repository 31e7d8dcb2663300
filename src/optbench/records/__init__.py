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

from optbench.records.files import folder as folder, inventory as inventory, prepare as prepare, write as write
from optbench.records.key import identity as identity
from optbench.records.lock import Busy as Busy, Lock as Lock, locked as locked
from optbench.records.origin import provenance as provenance
from optbench.records.place import clear as clear, restart as restart, vacant as vacant
from optbench.records.reading import (
    Run as Run,
    find as find,
    inspect as inspect,
    key_of as key_of,
    natural as natural,
    read as read,
    survey as survey,
)
from optbench.records.status import (
    ENDS as ENDS,
    STATUSES as STATUSES,
    Rerun as Rerun,
    anew as anew,
    ended as ended,
    lose as lose,
    resumable as resumable,
    status_of as status_of,
)
from optbench.records.tables import METRICS as METRICS
from optbench.records.trajectory import TRAJECTORY as TRAJECTORY
from optbench.records.writing import Finished as Finished, Record as Record, Resume as Resume, Silent as Silent
