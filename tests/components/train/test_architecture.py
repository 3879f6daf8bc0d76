import pytest

from components.core.errors import PipelineError
from components.train.architecture import ARCHITECTURES, LayerSpec, parse_architecture

WANTED = [LayerSpec("Conv2D", {"filters": 32, "kernel_size": [3, 3]}), LayerSpec("Flatten", {})]


@pytest.mark.parametrize(
    "text",
    [
        '[{"Conv2D": {"filters": 32, "kernel_size": [3, 3]}}, {"Flatten": {}}]',
        "[{Conv2D: {filters: 32, kernel_size: [3, 3]}}, Flatten]",
        "- Conv2D:\n    filters: 32\n    kernel_size: [3, 3]\n- Flatten:\n",
    ],
)
def test_json_and_yaml_give_the_same_layers(text: str) -> None:
    assert parse_architecture(text) == WANTED


def test_a_name_gives_its_layers() -> None:
    assert parse_architecture("seed") is ARCHITECTURES["seed"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed", "unknown architecture 'sed'; did you mean 'seed'?"),
        ("", "unknown architecture ''"),
        ("[]", "expected at least one layer"),
        ("[{Conv2D: {filters: 32}", "text that is neither"),
        ("[{Conv2D: {filters: 32}, Flatten: {}}]", "expected layer 1 as one name with its arguments"),
        ("[Flatten, 7]", "expected layer 2 as one name with its arguments"),
        ("[{Conv2D: [32, 3]}]", "expected layer 1 as one name with its arguments"),
        ("- !!python/object/apply:os.system [ls]", "text that is neither"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(PipelineError, match=".*") as refused:
        parse_architecture(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
