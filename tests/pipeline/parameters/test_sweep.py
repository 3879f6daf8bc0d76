"""What a grid becomes, and the pipeline that a sweep compiles to."""

import itertools
import pathlib
import re

import pytest

from components.core.errors import PipelineError
from pipeline.cluster.submit import prepared
from pipeline.parameters.parameters import configure
from pipeline.parameters.sweep import MOST_TRIALS, plan_sweep
from pipeline.training import SWEEP_STEPS
from tests.pipeline.pipelines import documents, training

GRID = "learning_rate=0.001,0.003 batch_size=50,250"
LAYERS = '[{"Conv2D": {"filters": 4, "kernel_size": 3}}, "Flatten"]'


@pytest.fixture(scope="module")
def parameters():
    return configure("quickstart", environment={}).parameters


def test_a_grid_is_every_combination(parameters):
    assert plan_sweep(parameters, GRID).trials == (
        "batch_size=50 learning_rate=0.001",
        "batch_size=250 learning_rate=0.001",
        "batch_size=50 learning_rate=0.003",
        "batch_size=250 learning_rate=0.003",
    )


def test_a_trial_has_one_spelling(parameters):
    """Else KFP's cache would not know a trial again that was written otherwise."""
    grid = f"LEARNING_RATE=1e-3,.001,0.0010 augment_flip=True,yes architecture=article,{LAYERS}"
    assert plan_sweep(parameters, grid).trials == (
        "architecture=article learning_rate=0.001 augment_flip=true",
        f"architecture={LAYERS} learning_rate=0.001 augment_flip=true",
    )


def test_a_value_may_be_nothing_or_hold_commas(parameters):
    grid = 'class_weight="",balanced freeze="conv2d,conv2d_1","conv2d" freeze_epochs=1'
    assert plan_sweep(parameters, grid).trials == (
        'freeze=conv2d,conv2d_1 freeze_epochs=1 class_weight=""',
        'freeze=conv2d freeze_epochs=1 class_weight=""',
        "freeze=conv2d,conv2d_1 freeze_epochs=1 class_weight=balanced",
        "freeze=conv2d freeze_epochs=1 class_weight=balanced",
    )


def test_a_sample_is_of_the_grid_and_repeats_by_its_seed(parameters):
    huge = " ".join(f"{name}={','.join(map(str, range(1, 1001)))}" for name in ("epochs", "batch_size", "seed"))
    sampled = plan_sweep(parameters, huge, sample=8).trials
    assert len(set(sampled)) == 8
    assert sampled == plan_sweep(parameters, huge, sample=8).trials
    other = plan_sweep(parameters.model_copy(update={"seed": 1}), huge, sample=8).trials
    assert not set(sampled) & set(other)
    assert len(plan_sweep(parameters, GRID, sample=99).trials) == 4


def test_a_larger_sample_has_all_of_a_smaller_one(parameters):
    """It "trains only what is missing"; of 30 trials, 8 had 3 of the 5."""
    grid = "learning_rate=" + ",".join(str(rate / 1000) for rate in range(1, 31))
    samples = [set(plan_sweep(parameters, grid, sample).trials) for sample in (5, 8, 21, 30)]
    assert [len(sample) for sample in samples] == [5, 8, 21, 30]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(samples))


def test_a_sample_may_be_of_any_grid(parameters):
    """A thousand values of seven parameters are more trials than Python counts the length of a range to."""
    names = "epochs batch_size seed augment_shift early_stopping_patience learning_rate unfreeze_rate"
    values = ",".join(map(str, range(1, 1001)))
    assert len(plan_sweep(parameters, " ".join(f"{name}={values}" for name in names.split()), sample=3).trials) == 3
    assert len(plan_sweep(parameters, "seed=1,1,1,1,1,2", sample=2).trials) == 2


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("", "expected a grid such as"),
        ("learnin_rate=1", "did you mean 'learning_rate'"),
        ("image_size=8,16", "has one value for all trials"),
        ("gpus=0,1", "has one value for all trials"),
        ("average_mirrored=false,true", "has one value for all trials"),
        ("epochs=1,0", "epochs: "),
        ("learning_rate=0.1,x", "learning_rate: "),
        ("architecture=article,artikle", "did you mean 'article'"),
        ("epochs=1 epochs=2", "each name once"),
        (
            "learning_rate=0.001..0.1",
            "received the range 0.001..0.1; make sweep takes ranges of numbers with SAMPLER=optuna",
        ),
        (
            "class_weight=,balanced",
            "class_weight: expected a value between every two commas of a grid (\"\" is nothing), received ',balanced'",
        ),
        ("epochs=" + ",".join(map(str, range(1, MOST_TRIALS + 2))), f"expected at most {MOST_TRIALS} trials"),
    ],
)
def test_what_cannot_be_tried_is_refused_at_once(parameters, grid, said):
    with pytest.raises(PipelineError, match=r"^[^\n]*$") as refused:
        plan_sweep(parameters, grid)
    assert said in str(refused.value)


def test_a_trial_has_one_node(parameters):
    with pytest.raises(PipelineError, match="nodes: expected 1"):
        plan_sweep(parameters.model_copy(update={"nodes": 2}), GRID)


def test_the_trials_loop_around_training_alone(parameters):
    spec = documents(training(sweep=plan_sweep(parameters, GRID, parallel=4)))[0]
    tasks = spec["root"]["dag"]["tasks"]
    [(name, loop)] = [(name, task) for name, task in tasks.items() if "parameterIterator" in task]
    assert set(spec["components"][f"comp-{name}"]["dag"]["tasks"]) == {"train"}
    assert loop["iteratorPolicy"]["parallelismLimit"] == 4
    assert "batch_size=50 learning_rate=0.003" in loop["parameterIterator"]["items"]["raw"]
    assert set(SWEEP_STEPS) - {"train", "export"} < set(tasks)
    # The test pictures are looked at once, by evaluate, when the choice is made.
    assert tasks["evaluate"]["inputs"]["artifacts"]["model"]["taskOutputArtifact"]["producerTask"] == "choose"
    assert "dataset" not in tasks["choose"]["inputs"]["artifacts"]


def test_a_sweep_is_submitted_from_a_file_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with prepared(training(grid=GRID), check=False):
        pass
    assert re.search(r"image: \S+:choose-[0-9a-f]{12}", pathlib.Path("build/sweep.yaml").read_text())


@pytest.mark.parametrize("source", ["", "dataset=cifar10"])
def test_a_sweep_of_a_known_data_set_keeps_pictures_for_validation(source: str) -> None:
    """Pictures of one's own may bring some: what has none, the first trial tells."""
    known, own = (
        configure(command_line=[*given, "validation_split=0"], environment={}).parameters
        for given in ([source] if source else [], ["source=/photos"])
    )
    with pytest.raises(PipelineError, match="^validation_split: expected a share above 0 of a sweep"):
        plan_sweep(known, "seed=1,2")
    assert len(plan_sweep(own, "seed=1,2").trials) == 2
