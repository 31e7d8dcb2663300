"""What is typed after `optbench train`: taken as meant, or refused in one line; and its completion in a shell."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
import yaml
from small import SMALL

from optbench import records
from optbench.commands.completion import SCRIPT

QUICK = [*SMALL, "trainer.max_epochs=1", "logger=none", "figures=[]"]


@pytest.mark.parametrize(
    ("given", "where"),
    [
        (["name=größe", "hydra.run.dir=ä/ü"], "ä/ü"),
        (["name=a=b", "hydra.run.dir=a=b"], "a=b"),
        (["hydra.run.dir=with space"], "with space"),
        (["hydra.run.dir=~/run"], "home/run"),
        (["+wd=0.1", "optimizer.weight_decay=${wd}", "hydra.run.dir=new"], "new"),
    ],
)
def test_what_the_grammar_would_refuse_is_taken_as_it_was_meant(optbench, tmp_path, monkeypatch, given, where):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    optbench("train", *QUICK, *given)
    run = records.read(tmp_path / where)
    assert run.status["status"] == "done"
    name = next((value.removeprefix("name=") for value in given if value.startswith("name=")), "train")
    assert run.config["name"] == name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["name=" + "x" * 300], "File name too long"),
        (["-m", "seed=0,1", "hydra.sweep.dir=" + "x" * 300], "File name too long"),
        (["optimizer=[a"], "'optimizer=[a' is no override"),
        (["optimizer.lr"], "'optimizer.lr' is no override"),
        (["optimizer=null"], "optimizer=null chooses nothing; give a name"),
        (["hydra.run.dir="], "hydra.run.dir= names no folder; give one, or leave it out"),
        (["hydra.run.dir=null"], "hydra.run.dir=null names no folder"),
        (["-m", "hydra.sweep.dir="], "hydra.sweep.dir= names no folder"),
        (["resume=a", "hydra.run.dir=b"], "resume=a and hydra.run.dir=b both say where what is trained goes"),
        (["-m", "resume=a", "hydra.sweep.dir=b"], "resume=a and hydra.sweep.dir=b both say where"),
        (["-m", "seed=range(0)"], "the sweep has no cell, as a range in it is empty"),
        (
            ["-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=0"],
            "hydra.launcher: timeout_min=0 is outside [1, inf)",
        ),
        (["name="], "name is empty; name a folder"),
        (["name=null"], "train: name=None names no folder"),
        (["resume=nix"], "resume=nix is no directory"),
        (["~seed"], "~seed would delete what a run needs; give seed=<value>"),
        (["hydra.sweep.dir=x"], "hydra.sweep.dir is of a sweep, and this is one run; give optbench train -m"),
        (["hydra/launcher=slurm"], "hydra/launcher is of a sweep, and this is one run; give optbench train -m"),
        (["-m", "hydra.run.dir=x"], "hydra.run.dir is of one run, and this is a sweep; give hydra.sweep.dir"),
        (["~optimizer"], "a run needs a optimizer; give optimizer=<name>"),
        (["-m", "seed=0,1", "--cfg", "job"], "--cfg shows the config of one run; leave out -m"),
        (["--cfg", "jb"], "invalid choice: 'jb'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--experimental-rerun", "x"], "--experimental-rerun is not for optbench"),
        (["--config-dir", "nowhere"], "--config-dir=nowhere is no directory; give one with folders"),
        (["--config-dir", "broken", "optimizer=x"], "x.yaml, line 2: "),
        (["--config-dir", "clash"], "clash/optimizer/adam.yaml has the name of optbench's own optimizer/adam.yaml"),
        (["--config-dir=clash"], "clash/optimizer/adam.yaml has the name of"),
        (["workload.tarket=0.9"], "no field 'workload.tarket'"),
        (["++workload.tarket=0.9"], "no field of workload 'tarket'; did you mean 'target'?"),
        (["workload.target=92"], "workload: target=92 is no accuracy; give one from 0 to 1"),
        (["workload.target=high"], "workload: target='high' is not a number"),
        (["checkpoint=null"], "checkpoint=None is no mapping; give checkpoint.every=<value>"),
        (["++checkpoint.evry=2"], "no field of checkpoint 'evry'; did you mean 'every'?"),
        (["figures=curves"], "train: figures='curves' is not a list"),
        (
            ["seed=0,1"],
            "optbench: seed=0,1 is several values, and this is one run; give one, or a list in brackets, or",
        ),
        (["optimizer.lr=range(3)"], "optimizer.lr=range(3) is several values, and this is one run"),
        (["+foo=bar"], "no field 'foo'"),
        (["++sede=1"], "no field 'sede'; did you mean 'seed'?"),
        (["figures=[seconds]"], "no figure 'seconds'; did you mean 'steps'?"),
        (["-m", "seed=0,1", "figures=[curve]"], "no figure 'curve'; did you mean 'curves'?"),
        (["logger=tensorbord"], "did you mean 'tensorboard'? (2 known: none, tensorboard)"),
        (["hydra/sweeper=optbnch"], "did you mean 'optbench'?"),
        (["logger._target_=nix.Nix"], "logger: nix.Nix cannot be imported"),
        (["logger.flush=3"], "no keyword of TensorBoardLogger 'flush'; did you mean 'flush_secs'?"),
        (["schedule._target_=optbench.schedules.nix"], "schedule: optbench.schedules.nix cannot be imported"),
        (["-sc", "install=fish"], "optbench completion bash"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=same"], "would both be recorded in"),
        (["-m", "seed=0,1", "hydra.sweep.dir=s${seed}"], "a sweep has one directory"),
    ],
)
def test_the_rest_is_refused_in_one_line(optbench, tmp_path, given, said):
    folder = tmp_path / "broken" / "optimizer"
    clash = tmp_path / "clash" / "optimizer"
    for place in (folder, clash):
        place.mkdir(parents=True)
    (folder / "x.yaml").write_text("_target_: [oops\n")
    (clash / "adam.yaml").write_text("_target_: mine.Adam\n")
    with pytest.raises(SystemExit) as refusal:
        optbench("train", *SMALL, *given)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "clash"]


def test_a_config_is_shown_with_all_that_can_be_set(optbench, capsys):
    optbench("train", "--cfg", "job", "optimizer=momentum", "optimizer.lr=0.5")
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["optimizer"]["lr"] == 0.5 and shown["optimizer"]["beta"] == 0.9
    assert shown["data"]["batch_size"] == 64 and shown["model"]["activation"] == "relu"


def test_the_version_is_told(optbench, capsys):
    optbench("--version")
    assert capsys.readouterr().out == f"optbench {version('optbench')}\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_may_go_away(monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    command = [sys.executable, "-c", "from optbench.commands.main import main; main()", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.slow
def test_files_and_words_are_in_utf_8_in_any_locale(write, tmp_path):
    for seed in (0, 1):
        write(str(seed), ["optimizer=adam", f"seed={seed}"], [{"test_accuracy": 0.5}])
    command = [sys.executable, "-c", "from optbench.commands.main import main; main()", "report", "0", "1"]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **plain}, capture_output=True, check=True)
    assert all("±" in text for text in (done.stdout.decode(), (tmp_path / "0/report/table.md").read_text("utf-8")))


@pytest.fixture
def complete(tmp_path):
    """Complete a line in a real bash, to the list of what it offers."""
    (tmp_path / "optbench").write_text(f'#!/bin/sh\nexec {sys.executable} -m optbench "$@"\n')
    (tmp_path / "optbench").chmod(0o755)

    def offered(line):
        ask = f'COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; _optbench; printf "%s\\n" "${{COMPREPLY[@]}}"'
        command = ["bash", "-c", f'eval "$(optbench train -sc install=bash)"; {ask}']
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    return offered


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("optbench tr", ["train"]),
        ("optbench train optimizer=adamw", ["adamw"]),
        ("optbench train -m sch", ["schedule="]),
        ("optbench list mod", ["models"]),
    ],
)
def test_a_shell_completes_the_words(complete, line, choices):
    assert complete(line) == choices


def test_both_commands_install_the_same_completion(optbench, capsys):
    for command in (["completion", "bash"], ["train", "-sc", "install=bash"]):
        optbench(*command)
        assert capsys.readouterr().out == SCRIPT + "\n"


def test_an_unknown_config_name_is_one_line(optbench, tmp_path):
    with pytest.raises(SystemExit, match="^optbench: no config 'nope'; -cn takes the name of a yaml in the folder"):
        optbench("train", "-cn", "nope")
    assert not (tmp_path / "results").exists()
