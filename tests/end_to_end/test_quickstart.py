"""The main job, as a person runs it: what it prints, what it leaves, and what it does the second time."""

import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys

STEPS = ["download", "preprocess", "train", "evaluate", "export"]


def test_it_ends_with_the_table_the_score_and_the_paths(quickstart):
    _, process = quickstart
    assert process.returncode == 0, process.stdout + process.stderr
    closing = process.stdout[process.stdout.index("step ") :]
    assert all(f"\n{step}" in closing for step in STEPS)
    assert "Test loss: " in closing
    assert " / Test accuracy: 0.9" in closing
    for artifact in ("report:", "tensorboard:", "saved_model:", "summary:"):
        assert artifact in closing
    assert process.stdout.isascii()
    assert "\x1b" not in process.stdout


def test_the_summary_says_it_all(quickstart, summary_of):
    outputs, _ = quickstart
    summary = summary_of(outputs)
    assert (summary["status"], summary["profile"], summary["runner"]) == ("succeeded", "quickstart", "process")
    assert [step["name"] for step in summary["steps"]] == STEPS
    assert all(
        step["status"] == "succeeded" and not step["cached"] and step["seconds"] > 0 for step in summary["steps"]
    )
    assert summary["metrics"]["accuracy"] > 0.9
    assert 0 < summary["metrics"]["loss"] < 1
    promised = {"report", "tensorboard", "saved_model", "model", "dataset", "data_report"}
    assert set(summary["artifacts"]) == promised
    assert all(pathlib.Path(path).exists() for path in summary["artifacts"].values())
    pages = [pathlib.Path(summary["artifacts"][name]) for name in ("report", "data_report")]
    assert all(page.suffix == ".html" and not page.is_symlink() for page in pages), "browsers show others as text"


def test_the_export_is_whole_and_true(quickstart, summary_of):
    summary = summary_of(quickstart[0])
    exported = pathlib.Path(summary["artifacts"]["saved_model"]).parent
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["accuracy"] == summary["metrics"]["accuracy"]
    listed = {file["path"]: file["sha256"] for file in manifest["files"]}
    there = {path.relative_to(exported).as_posix(): path for path in exported.rglob("*") if path.is_file()}
    assert set(listed) == set(there) - {"manifest.json"}
    assert {"saved_model/1/saved_model.pb", "model.keras", "MODEL_CARD.md"} <= set(listed)
    assert all(hashlib.sha256(there[name].read_bytes()).hexdigest() == digest for name, digest in listed.items())
    assert max(proved["largest_difference"] for proved in manifest["formats"].values()) <= 1e-4


def test_the_saved_model_reads_digits(quickstart, summary_of):
    import numpy as np
    import tensorflow as tf

    from components.core.artifacts.dataset import read_info
    from tests.datasets import load_split

    artifacts = summary_of(quickstart[0])["artifacts"]
    info = read_info(artifacts["dataset"])
    pictures, labels = load_split(artifacts["dataset"], info, "test")
    serve = tf.saved_model.load(f"{artifacts['saved_model']}/1").signatures["serving_default"]
    answer = serve(images=tf.constant(pictures))
    named = np.array([info.class_names.index(name.decode()) for name in answer["class_name"].numpy()])
    assert (named == labels).mean() > 0.9
    assert np.allclose(answer["probabilities"].numpy().sum(axis=1), 1, atol=1e-5)


def test_unchanged_means_cached(quickstart, command_line, summary_of):
    outputs, _ = quickstart
    before = summary_of(outputs)
    shown = sorted((outputs / "tensorboard").glob("*/*"))
    again = command_line.run_local(outputs)
    assert again.returncode == 0, again.stdout + again.stderr
    after = summary_of(outputs)
    assert all(step["cached"] for step in after["steps"])
    assert (after["metrics"], after["artifacts"]) == (before["metrics"], before["artifacts"])
    within = pathlib.Path(before["artifacts"]["report"]).relative_to(outputs).parts[1:]
    assert outputs.joinpath("latest", *within).samefile(before["artifacts"]["report"]), "the latest run has its report"
    assert sorted((outputs / "tensorboard").glob("*/*")) == shown, "TensorBoard shows no run twice"


def test_a_parameter_reruns_what_it_must_and_no_more(quickstart, command_line, summary_of, steps_run):
    outputs, _ = quickstart
    assert command_line.run_local(outputs, "MODEL_NAME=renamed").returncode == 0
    assert steps_run(summary_of(outputs)) == ["evaluate", "export"]  # the gate asks for that model's champion


def copied(checkout, folder):
    """A copy of all that a run needs of a checkout."""
    for part in ("components", "pipeline", "docker"):
        shutil.copytree(checkout / part, folder / "checkout" / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "checkout"


def test_code_reruns_what_it_must_and_no_more(quickstart, command_line, tmp_path, summary_of, steps_run, monkeypatch):
    outputs, _ = quickstart
    checkout = copied(command_line.checkout, tmp_path)
    copy = type(command_line)(checkout, command_line.warm)  # which is of another checkout: its steps are no forks
    named = copy.environment() | {"CONV2D_IMAGE_REPOSITORY": "registry.example.com/team/conv2d"}
    monkeypatch.setattr(copy, "environment", lambda: named)
    refused = "MIN_ACCURACY=1.0"  # an export that is none loads no TensorFlow
    assert command_line.run_local(outputs, refused).returncode == 0
    assert copy.run_local(outputs, refused).returncode == 0
    assert steps_run(summary_of(outputs)) == []  # by another place or name it is the same
    with (checkout / "components" / "export" / "run.py").open("a") as module:
        module.write("# a change\n")
    assert copy.run_local(outputs, refused).returncode == 0
    assert steps_run(summary_of(outputs)) == ["export"]


def test_what_code_that_was_changed_during_a_run_comes_to_answers_for_no_other(
    quickstart, command_line, tmp_path, summary_of, steps_run
):
    """As if another branch is checked out while training runs: it was the old code's, once that was back."""
    outputs, _ = quickstart
    checkout = copied(command_line.checkout, tmp_path)
    copy = type(command_line)(checkout)
    module, refused = checkout / "components" / "core" / "storage" / "__init__.py", "MIN_ACCURACY=0.999"
    code = module.read_text()
    command = [sys.executable, "-m", "pipeline", "run-local", "--runner", "process", "--outputs", str(outputs), refused]
    with subprocess.Popen(command, cwd=checkout, env=copy.environment(), stdout=subprocess.PIPE, text=True) as process:
        said = ""
        for line in process.stdout:
            said += line
            if line == "evaluate\n":
                module.write_text(f"{code}\nprint('another branch')\n")
    assert process.returncode == 0, said
    assert said.count("  note: its code changed since the run began; no later run takes the result\n") == 2
    assert "another branch\n" in said, "all of it is of one branch: the warm process has the old one's imported"
    assert steps_run(summary_of(outputs)) == ["evaluate", "export"]
    module.write_text(code)
    assert copy.run_local(outputs, refused).returncode == 0
    assert steps_run(summary_of(outputs)) == ["evaluate", "export"]


def test_below_min_accuracy_nothing_is_exported(quickstart, command_line, summary_of):
    outputs, _ = quickstart
    process = command_line.run_local(outputs, "MIN_ACCURACY=1.0")
    summary = summary_of(outputs)
    assert process.returncode == 0
    assert summary["steps"][-1]["status"] == "succeeded"
    assert "saved_model" not in summary["artifacts"]
    said = "not exported; the model does not pass the gate: test accuracy 0.9[0-9]+ is below min_accuracy 1\n"
    assert re.search(said, process.stdout)
    assert summary["gate"]["passed"] is False
