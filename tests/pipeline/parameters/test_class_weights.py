"""A table of weights for classes that the pictures don't have is refused before anything runs, if they are known."""

import pytest

from components.core.errors import PipelineError
from pipeline.parameters.parameters import configure
from pipeline.parameters.sweep import plan_sweep

PETS = "{cat: 1, dog: 2}"


def given(*settings: str) -> None:
    configure(command_line=settings, environment={})


@pytest.mark.parametrize(
    ("dataset", "right", "wrong"),
    [("digits", ", ".join(f"{n}: 2" for n in range(10)), "10"), ("cifar10", "", "plane"), ("cifar100", "", "cat")],
)
def test_a_known_data_set_has_its_own_classes(dataset: str, right: str, wrong: str) -> None:
    if right:
        given(f"dataset={dataset}", f"class_weight={{{right}}}")
    said = rf"^class_weight: unknown class '{wrong}'[^\n]*$"
    with pytest.raises(PipelineError, match=said):
        given(f"dataset={dataset}", f"class_weight={{{wrong}: 2}}")
    with pytest.raises(PipelineError, match=said):
        plan_sweep(configure(command_line=[f"dataset={dataset}"]).parameters, f"class_weight=balanced,{{{wrong}: 1}}")


def test_an_archive_laid_out_as_cifars_may_be_of_other_classes() -> None:
    given("dataset=cifar10", "source=/data/mine.tar.gz", f"class_weight={PETS}")


def test_the_classes_of_pictures_of_ones_own_are_trainings_to_know() -> None:
    given("source=/data/pets", f"class_weight={PETS}")
