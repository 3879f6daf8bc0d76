"""A table of weights for classes that the pictures don't have is refused before anything runs, if they are known."""

import pathlib
import zipfile

import pytest

from components.core.errors import PipelineError
from pipeline.parameters.parameters import configure
from pipeline.parameters.sweep import plan_sweep

PETS = "{cat: 1, dog: 2}"


def given(*settings: str) -> None:
    configure(command_line=settings, environment={})


def refused(*settings: str) -> str:
    with pytest.raises(PipelineError, match=r"^class_weight: [^\n]*$") as error:
        given(*settings)
    return str(error.value)


@pytest.fixture
def pets(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/2.jpg", "test/dog/.hidden/2.jpg", "test/dog/3.jpg"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).touch()
    return tmp_path / "pets"


@pytest.mark.parametrize(
    ("dataset", "right", "wrong"),
    [("digits", ", ".join(f"{n}: 2" for n in range(10)), "10"), ("cifar10", "", "plane"), ("cifar100", "", "cat")],
)
def test_a_known_data_set_has_its_own_classes(dataset: str, right: str, wrong: str) -> None:
    if right:
        given(f"dataset={dataset}", f"class_weight={{{right}}}")
    assert f"unknown class '{wrong}'" in refused(f"dataset={dataset}", f"class_weight={{{wrong}: 2}}")


def test_an_archive_laid_out_as_cifars_may_be_of_other_classes() -> None:

    given("dataset=cifar10", "source=/data/mine.tar.gz", f"class_weight={PETS}")


def test_class_folders_of_this_machine_are_looked_at(pets: pathlib.Path) -> None:
    given(f"source={pets}", f"class_weight={PETS}")
    assert "unknown class 'cow'" in refused(f"source={pets}", "class_weight={cat: 1, dog: 2, cow: 3}")
    assert "received none for dog" in refused(f"source={pets}", "class_weight={cat: 1}")
    sweep = configure(command_line=[f"source={pets}"], environment={}).parameters
    assert len(plan_sweep(sweep, f"class_weight=balanced,{PETS}").trials) == 2
    with pytest.raises(PipelineError, match="unknown class 'cow'"):
        plan_sweep(sweep, "class_weight=balanced,{cow: 1}")


def test_a_table_of_labels_is_read(pets: pathlib.Path, tmp_path: pathlib.Path) -> None:
    lines = "image,label\ntrain/cat/1.jpg,tom\ntrain/dog/1.jpg,rex\nelsewhere/9.jpg,nobody\n"
    (tmp_path / "mine.csv").write_text(lines)
    labels, weights = f"labels={tmp_path / 'mine.csv'}", "{tom: 1, rex: 2}"
    given(f"source={pets}", labels, f"class_weight={weights}")
    assert "unknown class 'cat'" in refused(f"source={pets}", labels, f"class_weight={PETS}")
    with zipfile.ZipFile(
        tmp_path / "pets.zip", "w"
    ):  # is not read yet; of the table's classes some may have no picture
        pass
    given(f"source={tmp_path / 'pets.zip'}", labels, f"class_weight={weights}")
    assert "unknown class 'cat'" in refused(f"source={tmp_path / 'pets.zip'}", labels, f"class_weight={PETS}")
    (pets / "labels.csv").write_text(lines)
    given(f"source={pets}", f"class_weight={weights}")


@pytest.mark.parametrize("settings", [["source=/data/pets.zip"], ["source=gs://team/pets", "labels=gs://team/a.csv"]])
def test_what_is_not_here_is_left_to_training(settings: list[str]) -> None:
    given(*settings, f"class_weight={PETS}")
