import pytest

from components.core.errors import PipelineError
from components.train.network.architecture import ARCHITECTURES, parse_architecture
from components.train.network.layer_list import LayerSpec

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
    assert parse_architecture("article") is ARCHITECTURES["article"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("artikel", "unknown architecture 'artikel'; did you mean 'article'?"),
        ("", "unknown architecture ''"),
        ("ResNet50", "expected ResNet50 in a list; try '[{ResNet50: {pooling: avg}}]'"),
        ("[]", "expected at least one layer"),
        ("[{Conv2D: {filters: 32}", "text that is neither"),
        ("[{Conv2D: {filters: 32}, Flatten: {}}]", "expected layer 1 as one name with its arguments"),
        ("[Flatten, 7]", "expected layer 2 as one name with its arguments"),
        ("[{Conv2D: [32, 3]}]", "expected layer 1 as one name with its arguments"),
        (
            "[RandomFlip, {Rescaling: {scale: 0.0039}}, Flatten]",
            "layer 2 (Rescaling): expected pixels of 0 to 1, as they",
        ),
        (
            "[{Normalization: {mean: [0.5, 123.68], variance: 3000}}]",
            "layer 1 (Normalization): expected pixels of 0 to 1",
        ),
        ("[MixUp, Flatten]", "layer 1 (MixUp): expected in augmentation"),
        ("[RandomElasticTransform, Flatten]", "layer 1 (RandomElasticTransform) can't be used: JAX can't run it; try"),
        ("[{RandomFlip: {mode: sideways}}, Flatten]", "layer 1 (RandomFlip): expected mode horizontal, vertical or "),
        ("[Flatten, {Dense: {units: 3, activation: softmax}}]", "layer 2 (Dense) ends in a softmax"),
        ('[{"Dense": {"units": 3, "activation": {"softmax": null}}}]', "layer 1 (Dense) ends in a softmax"),
        ("[Flatten, Softmax, {Dropout: {rate: 0.1}}, Flatten]", "layer 2 (Softmax) ends in a softmax"),
        ("[{Activation: {activation: softmax}}, Identity]", "layer 1 (Activation) ends in a softmax"),
        (
            "[{Flatten: {name: a}}, {Dense: {units: 3, name: a}}]",
            "layer 2 (Dense) is named 'a', as layer 1 ",
        ),
        ("[{Dense: {units: 3, name: a b}}]", "layer 1 (Dense): name: expected letters from a to z, digits"),
        ("[{Dense: {units: 3, name: \u00e9}}]", "name: expected letters"),
        ("[{Dense: {units: 3, name: classes}}]", "is named 'classes', as a layer that is always added is"),
        ("- !!python/object/apply:os.system [ls]", "text that is neither"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(PipelineError, match=".*") as refused:
        parse_architecture(text)
    assert said in str(refused.value)


def test_a_softmax_within_is_the_users_business() -> None:
    assert len(parse_architecture("[Flatten, {Dense: {units: 3, activation: softmax}}, {Dense: {units: 3}}]")) == 3
