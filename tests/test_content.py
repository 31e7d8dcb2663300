"""Runs on two versions of a file of the user's, or of a class of the user's, are not one setting."""

import json

from optbench import records
from optbench.configs import content, foreign
from optbench.results import compare, labels, load

RULE = "class Mine:\n    pass\n"


def test_a_version_is_told_by_the_content_of_files_and_of_classes_of_others(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    samples = tmp_path / "samples.csv"
    rule = tmp_path / "ours_not.py"
    other = tmp_path / "other.csv"
    samples.write_text("x,y\n1,2\n")
    other.write_text("x,y\n1,2\n")
    rule.write_text(RULE)
    config = {
        "data": {"_target_": "optbench.data.Table", "path": str(samples)},
        "model": {"_target_": "optbench.models.mlp", "hidden": [16]},
        "optimizer": {"_target_": "ours_not.Mine", "lr": 0.1},
        "trainer": {"callbacks": [{"_target_": "ours_not.Callback"}]},
    }
    first = content(config)
    assert list(first) == ["data", "optimizer", "trainer"] and foreign(config) == ["ours_not.Mine", "ours_not.Callback"]
    assert content({**config, "data": {**config["data"], "path": str(other)}}) == first
    samples.write_text("x,y\n1,2.5\n")
    second = content(config)
    assert second["data"] != first["data"] and second["optimizer"] == first["optimizer"]
    rule.write_text(RULE + "    lr = 1\n")
    assert content(config)["optimizer"] != first["optimizer"]


def test_a_table_does_not_average_over_versions(write, tmp_path):
    for i, version in enumerate(("0a1b2c3d", "0a1b2c3d", "4e5f6a7b")):
        run = write(str(i), ["optimizer=adam", f"seed={i}"], [{}])
        status = json.loads((run / "status.json").read_text())
        (run / "status.json").write_text(json.dumps(status | {"content": {"data": version}}))
    frame = load(tmp_path)
    assert labels(frame) == ["optimizer", "data.content"] and list(compare(frame)["runs"]) == [2, 1]


def test_a_run_that_goes_on_with_another_version_says_so(tmp_path):
    config = {"seed": 0, "data": {"_target_": "d"}, "model": {"_target_": "m"}, "optimizer": {"_target_": "o"}}
    for version, known in (("a", "a"), ("b", "a+b"), ("b", "a+b")):
        record = records.Record(tmp_path, config, [], content={"data": version})
        (tmp_path / "checkpoint.ckpt").touch()
        record.finish("failed", "interrupted", cut=True)
        assert records.read(tmp_path).status["content"] == {"data": known}
