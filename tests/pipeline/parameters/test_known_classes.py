"""A table of weights for classes that the pictures don't have is refused before anything runs, if they are known."""

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


@pytest.mark.parametrize(
    ("dataset", "right", "wrong"),
    [("digits", ", ".join(f"{n}: 2" for n in range(10)), "10"), ("cifar10", "", "plane"), ("cifar100", "", "cat")],
)
def test_a_known_data_set_has_its_own_classes(dataset: str, right: str, wrong: str) -> None:
    if right:
        given(f"dataset={dataset}", f"class_weight={{{right}}}")
    assert f"unknown class '{wrong}'" in refused(f"dataset={dataset}", f"class_weight={{{wrong}: 2}}")


def test_a_sweep_is_looked_at_too() -> None:
    digits = configure(command_line=["dataset=digits"], environment={}).parameters
    with pytest.raises(PipelineError, match="unknown class 'cow'"):
        plan_sweep(digits, "class_weight=balanced,{cow: 1}")


@pytest.mark.parametrize(
    "settings", [["source=/data/pets.zip"], ["dataset=cifar10", "source=/data/laid-out-as-cifars.tar.gz"]]
)
def test_what_is_not_here_is_left_to_training(settings: list[str]) -> None:
    given(*settings, f"class_weight={PETS}")
