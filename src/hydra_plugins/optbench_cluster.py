"""The launchers of `optbench train -m` by submitit: a SLURM cluster, or its stand-in on this machine."""

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from optbench.sweep.compose import Cell
    from optbench.sweep.job import Job

JOBS = "jobs.json"
"""In `.submitit` of a sweep: the job of each cell by its key, for a submitter that comes back."""

FOLDER = ".submitit"
PAUSE = 1.0
"""Seconds between two looks at the queue."""

SILENCE = 10.0
"""Minutes for which the queue may not answer before the submitter gives up waiting, not the jobs."""

SLOW = 120.0
"""Seconds in which sbatch has to take the jobs."""

ABSENT = 15.0
"""Seconds for which a job may be neither in the queue nor ended before it is given up."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise a TimeoutError in what takes longer: a call of submitit's waits for sbatch for ever."""

    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f"it did not answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class ClusterLauncher(Launcher):
    """A job a cell, or a stack of cells; the same command attaches to jobs that are still there.

    Args:
        cluster: slurm, or local for processes of this machine that stand in for it.
        timeout_min: Minutes that a job may take; a cell that takes longer goes on in the next one.
        max_requeues: How often a job that ran out of time is submitted again.
        signal_delay_s: Seconds before the end of its time at which a job is told.
        cpus_per_task: Cores of a job.
        gpus_per_node: GPUs of a job.
        mem_gb: Memory of a job, in GB.
        partition: SLURM's partition.
        account: SLURM's account.
        qos: SLURM's quality of service.
        array_parallelism: Jobs at a time.
        setup: Shell commands that a job begins with.
        additional_parameters: Options of sbatch by name, such as `{nice: 100}`.
        detach: Submit, and leave it at that.
    """

    def __init__(
        self,
        cluster: Literal["slurm", "local"] = "slurm",
        timeout_min: int = 60,
        max_requeues: int = 20,
        signal_delay_s: int = 60,
        cpus_per_task: int = 1,
        gpus_per_node: int = 0,
        mem_gb: float | None = None,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        array_parallelism: int = 256,
        setup: Sequence[str] = (),
        additional_parameters: Mapping[str, Any] | None = None,
        detach: bool = False,
    ) -> None:
        from optbench.checks import Count, Index, Positive, check

        kinds: dict[str, tuple[Any, Any]] = {
            "timeout_min": (timeout_min, Count),
            "max_requeues": (max_requeues, Index),
            "signal_delay_s": (signal_delay_s, Index),
            "cpus_per_task": (cpus_per_task, Count),
            "gpus_per_node": (gpus_per_node, Index),
            "mem_gb": (mem_gb, Positive | None),
            "array_parallelism": (array_parallelism, Count),
        }
        for name, (value, kind) in kinds.items():
            check("hydra.launcher", name, value, kind)
        self.cluster = cluster
        self.requeues = max_requeues
        self.detach = detach
        self.processes = array_parallelism
        common = {"timeout_min": timeout_min, "cpus_per_task": cpus_per_task, "gpus_per_node": gpus_per_node or None}
        slurm = {
            "partition": partition,
            "account": account,
            "qos": qos,
            "array_parallelism": array_parallelism,
            "signal_delay_s": signal_delay_s,
            "setup": list(setup) or None,
            "additional_parameters": {"open-mode": "append", **(additional_parameters or {})},
        }
        self.options: dict[str, Any] = {k: v for k, v in common.items() if v is not None}
        if mem_gb is not None:
            self.options["mem_gb"] = mem_gb
        if cluster == "slurm":
            self.options |= {f"slurm_{k}": v for k, v in slurm.items() if v is not None}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Get ready; nothing runs here."""
        self.context = hydra_context
        self.task = task_function
        self.sweep = config
        self.answered = time.monotonic()

    def ready(self) -> None:
        """Raise where there is nothing to submit to.

        Raises:
            UserError: There is no SLURM here.
        """
        from optbench.checks import UserError

        if self.cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise UserError(
                "hydra/launcher=slurm: there is no sbatch and srun here; type this where they are, or give "
                "hydra/launcher=local, or optbench plan"
            )

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train cells that were not composed yet, for sweepers of others."""
        from optbench.sweep.compose import Composer

        composer = Composer(self.context.config_loader, self.sweep)
        cells = [composer.cell(cell, num) for num, cell in enumerate(job_overrides, initial_job_idx)]
        self.train(cells)
        return [JobReturn(overrides=cell.overrides) for cell in cells]

    def train(self, cells: Sequence["Cell"]) -> dict[Path, str]:
        """Submit the cells that need it, wait for all, and return which of them left no record, and why.

        Raises:
            SystemExit: They were submitted and are to be left alone.
        """
        from optbench.sweep import ledger

        root = Path(self.sweep.hydra.sweep.dir).absolute()
        jobs = known_jobs(root)
        alive = self.alive(set(jobs.values()))
        left = ledger.to_do(cells, self.sweep.get("rerun"))
        attached = [cell for cell in left if jobs.get(cell.key) in alive]
        fresh = [cell for cell in left if cell not in attached]
        if attached:
            print(f"attached to {len({jobs[cell.key] for cell in attached})} jobs of {len(attached)} cells")
        if fresh:
            jobs |= self.submit(root, fresh, cells)
        if self.detach:
            print(f"next: optbench status {root} --watch; the same command attaches again")
            raise SystemExit(0)
        try:
            return self.wait(left, jobs)
        except KeyboardInterrupt:
            print("the jobs go on; the same command attaches again, and scancel ends them", file=sys.stderr)
            raise

    def executor(self, root: Path) -> Any:
        """Return submitit's executor."""
        import submitit

        limits = {"slurm_max_num_timeout": self.requeues} if self.cluster == "slurm" else {}
        executor = submitit.AutoExecutor(root / FOLDER / "%j", cluster=self.cluster, **limits)
        executor.update_parameters(name=self.name, **self.options)
        return executor

    @property
    def name(self) -> str:
        """What the jobs are called."""
        return f"optbench-{self.sweep.name}"[:60]

    def script(self, root: Path, jobs: int) -> str:
        """Return the text that submitit would give to sbatch for so many jobs, whether or not there is a SLURM here."""
        from submitit.slurm.slurm import SlurmExecutor

        class Elsewhere(SlurmExecutor):
            affinity = classmethod(lambda cls: 1)

        executor: Any = Elsewhere(root / FOLDER / "%j", max_num_timeout=self.requeues)
        own = {k.removeprefix("slurm_"): v for k, v in self.options.items() if k.startswith("slurm_")}
        general = {k: v for k, v in self.options.items() if not k.startswith("slurm_")}
        executor.update_parameters(**executor._convert_parameters({"name": self.name, **general}), **own)
        if jobs > 1:
            executor.parameters["map_count"] = jobs
        return str(executor._make_submission_file_text(executor._submitit_command_str, ""))

    def submit(self, root: Path, cells: Sequence["Cell"], everything: Sequence["Cell"]) -> dict[str, str]:
        """Submit cells, and return the job of each by its key."""
        from optbench import records
        from optbench.sweep.job import Job
        from optbench.sweep.work import batches

        together, line = batches(cells, everything, 1, self.sweep.hydra)
        work = [Job(self.context, self.task, batch) for batch in together]
        jobs = self._map(root, work)
        if line:
            print(line)
        print(f"submitted: {len(jobs)} jobs of {sum(map(len, together))} cells, {jobs[0].job_id} to {jobs[-1].job_id}")
        by_key = {cell.key: str(job.job_id) for job, batch in zip(jobs, together, strict=True) for cell in batch}
        records.write(root / FOLDER / JOBS, json.dumps(known_jobs(root) | by_key, indent=1) + "\n")
        return by_key

    def _map(self, root: Path, work: Sequence["Job"]) -> list[Any]:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        from optbench.checks import UserError, one_line

        executor = self.executor(root)
        self.local = {}
        try:
            with within(SLOW), redirect_stderr(io.StringIO()), executor.batch():
                jobs = [executor.submit(job) for job in work]
        except (FailedJobError, FailedSubmissionError, TimeoutError) as error:
            told = error.__cause__ if isinstance(error.__cause__, TimeoutError) else error
            said = one_line(told)[:300] or "it said nothing"
            raise UserError(f"sbatch did not take the jobs: {said}; see whether SLURM is up") from None
        if self.cluster == "local":
            self.local = {str(job.job_id): job for job in jobs}
        return jobs

    def alive(self, ids: set[str]) -> set[str]:
        """Return those of the jobs that wait or run."""
        if self.cluster == "local":
            return {i for i, job in getattr(self, "local", {}).items() if i in ids and not job.done()}
        if not ids:
            return set()
        command = ["timeout", "60", "squeue", "-h", "-r", "-a", "-o", "%F_%K %A"]
        told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode:
            self.bear(told.stderr)
            return ids  # the queue does not answer: nothing is known, and no job is given up
        self.answered = time.monotonic()
        names = {part.removesuffix("_N/A") for line in told.stdout.splitlines() for part in line.split()[:2]}
        return names & ids

    def bear(self, said: str) -> None:
        """Raise where the queue has been silent for too long.

        Raises:
            UserError: It has.
        """
        from optbench.checks import UserError, one_line

        minutes = (time.monotonic() - self.answered) / 60
        if minutes > SILENCE:
            last = one_line(said)[-200:] or "squeue said nothing"
            raise UserError(
                f"SLURM has not answered for {minutes:.0f} minutes ({last}); its jobs may go on, and the same command "
                "attaches to them once it does"
            )

    def wait(self, cells: Sequence["Cell"], jobs: Mapping[str, str]) -> dict[Path, str]:
        """Wait until cells have ended, or their jobs are no more."""
        from optbench import records

        left = list(cells)
        lost = dict[Path, str]()
        absent: dict[str, float] = {}
        while left:
            alive = self.alive({jobs[cell.key] for cell in left if cell.key in jobs})
            for cell in list(left):
                job = jobs.get(cell.key, "?")
                if job in alive:
                    absent.pop(cell.key, None)
                elif records.ended(cell.directory):
                    left.remove(cell)
                elif not records.locked(cell.directory):
                    since = absent.setdefault(cell.key, time.monotonic())
                    if time.monotonic() - since > ABSENT:
                        left.remove(cell)
                        reason = (
                            f"its job {job} was cancelled, or ended without a word; see {cell.directory / 'output.txt'}"
                        )
                        records.lose(cell.directory, reason)
                        if records.status_of(cell.directory) is None:
                            lost[cell.directory] = reason
            time.sleep(PAUSE if left else 0)
        return lost


def known_jobs(root: Path) -> dict[str, str]:
    """Return the jobs of a sweep's cells by their key, as far as they were written down."""
    from optbench.records.files import bytes_of

    with suppress(OSError, ValueError, RecursionError):
        known = json.loads(bytes_of(root / FOLDER / JOBS))
        if isinstance(known, dict):
            return {str(key): str(job) for key, job in known.items()}
    return {}
