"""Every format, run by its own runtime: what a user names, what is missing, and what a bfloat16-trained model gives."""

import json

import numpy as np
import pytest
import requests

from components.core.artifacts.dataset import INFO_FILE, DatasetInfo, read_info
from components.core.errors import PipelineError
from components.export.formats import formats as known
from components.export.formats.formats import FORMATS, parse_formats, require_packages
from components.export.formats.repository import write_repository
from components.export.formats.runtimes import open_runtime
from components.export.run import _judge, export
from components.export.settings import ExportSettings
from components.export.verify import FormatProof
from components.train.run import train
from components.train.settings import TrainSettings
from tests.conftest import evaluated
from tests.datasets import load_split
from tests.servers.open_inference import OpenInference

needs_all = pytest.mark.skipif(
    any(known.importlib.util.find_spec(package) is None for kind in FORMATS.values() for package in kind.packages),
    reason="needs the extra 'formats'",
)


@pytest.fixture(scope="module")
def everything(digits_with_test, tmp_path_factory):
    """All formats of a network with the usual layers, trained in bfloat16: the manifest, and where it lies."""
    place = tmp_path_factory.mktemp("bfloat16")
    layers = [
        {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same", "use_bias": False}},
        {"BatchNormalization": {"momentum": 0.8}},
        {"ReLU": {}},
        {"MaxPooling2D": {"pool_size": 2}},
        {"DepthwiseConv2D": {"kernel_size": 3, "activation": "relu"}},
        {"Dropout": {"rate": 0.1}},
        {"Flatten": {}},
        {"Dense": {"units": 64, "activation": "relu"}},
    ]
    settings = TrainSettings(
        architecture=json.dumps(layers), epochs=4, learning_rate=0.005, precision="bfloat16", verbose="0"
    )
    train(settings, digits_with_test, str(place / "model"), str(place / "board"))
    evaluation = evaluated(digits_with_test, str(place / "model"), place)
    asked = ExportSettings(formats=",".join(FORMATS), proof_pictures=300)
    manifest = export(asked, digits_with_test, str(place / "model"), evaluation, str(place / "exported"))
    return manifest, place / "exported"


@needs_all
def test_each_format_answers_as_the_bfloat16_trained_model_was_measured(everything):
    manifest, _ = everything
    assert list(manifest.formats) == list(FORMATS)
    assert manifest.accuracy > 0.7
    for name, proved in manifest.formats.items():
        assert proved.pictures == 300
        if FORMATS[name].exact:
            assert proved.largest_difference <= 1e-4 and proved.agreement == 1
        else:
            assert proved.largest_difference > 1e-4 and proved.accuracy >= proved.evaluated_accuracy - 0.02
    assert manifest.formats["litert_int8"].bytes < 0.6 * manifest.formats["litert"].bytes
    runtimes = {name: proved.runtime.split()[0] for name, proved in manifest.formats.items()}
    assert runtimes == {
        "saved_model": "tensorflow",
        "keras": "keras",
        "onnx": "onnxruntime",
        "litert": "ai-edge-litert",
        "litert_int8": "ai-edge-litert",
    }


@needs_all
@pytest.mark.parametrize("name", list(FORMATS))
def test_each_file_takes_any_number_of_pictures(everything, digits_with_test, name):
    manifest, exported = everything
    pictures, labels = load_split(digits_with_test, read_info(digits_with_test), "test")
    answer = open_runtime(name, exported / manifest.formats[name].path)
    given = [answer(pictures[:count]) for count in (1, 5, 500)]
    assert [part.shape for part in given] == [(1, 10), (5, 10), (500, 10)]
    assert given[2].dtype == np.float32
    assert (given[2].argmax(axis=1) == labels).mean() > 0.7
    np.testing.assert_allclose(given[0], given[2][:1], atol=1e-5)


@needs_all
def test_a_server_of_the_open_inference_protocol_answers_as_the_report_says(everything, digits_with_test):
    """From the folder that export writes, over the network: the report's accuracy, on all of its pictures."""
    manifest, exported = everything
    pictures, labels = load_split(digits_with_test, read_info(digits_with_test), "test")
    answers = []
    with OpenInference(exported / "onnx").serving() as url:
        assert requests.get(f"{url}/v2/health/ready", timeout=30).ok
        model = f"{url}/v2/models/{manifest.model_name}"
        about = requests.get(model, timeout=30).json()
        assert about["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]
        assert about["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]
        for part in np.array_split(pictures, 3):
            tensor = {"name": "images", "shape": list(part.shape), "datatype": "UINT8", "data": part.ravel().tolist()}
            answered = requests.post(f"{model}/infer", json={"inputs": [tensor]}, timeout=30)
            [output] = answered.json()["outputs"]
            answers.append(np.reshape(output["data"], output["shape"]))
        tensor = {"name": "images", "shape": [257, 8, 8, 1], "datatype": "UINT8", "data": [0] * 257 * 64}
        assert requests.post(f"{model}/infer", json={"inputs": [tensor]}, timeout=30).status_code == 400
    answers = np.concatenate(answers)
    assert (answers.argmax(axis=1) == labels).mean() == pytest.approx(manifest.accuracy, abs=1e-9)
    with np.load(exported.parent / "evaluation" / "predictions.npz") as measured:
        np.testing.assert_allclose(answers, measured["probabilities"], atol=1e-4)
    named = (exported / "onnx" / manifest.model_name / "labels.txt").read_text().splitlines()
    assert named == manifest.class_names


def test_a_server_names_the_classes_as_they_are(tmp_path):
    """A blank of Japanese became another, and the answer's class none of the model's."""
    (tmp_path / "1").mkdir()
    info = DatasetInfo.model_construct(image_shape=(8, 8, 1), class_names=["犬\u3000猫", "a  b", "two\nlines"])
    write_repository(tmp_path / "1" / "model.onnx", info)
    assert (tmp_path / "labels.txt").read_text(encoding="utf-8") == "犬\u3000猫\na  b\ntwo lines\n"


@needs_all
@pytest.mark.parametrize("name", list(FORMATS))
def test_a_file_that_is_no_model_is_one_line(tmp_path, name):
    (tmp_path / "model.keras").write_bytes(b"no model at all")
    with pytest.raises(PipelineError, match="can't be loaded"):
        open_runtime(name, tmp_path / "model.keras")


@needs_all
def test_int8_without_training_pictures_is_refused(digits_with_test, trained, evaluation, tmp_path):
    import shutil

    dataset = tmp_path / "dataset"
    shutil.copytree(digits_with_test, dataset)
    document = json.loads((dataset / INFO_FILE).read_text())
    del document["splits"]["train"]
    (dataset / INFO_FILE).write_text(json.dumps(document))
    asked = ExportSettings(formats="saved_model,litert_int8")
    with pytest.raises(PipelineError, match="expected training pictures .* to calibrate litert_int8"):
        export(asked, str(dataset), trained.model, evaluation, str(tmp_path / "exported"))
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


@needs_all
def test_layers_that_a_format_can_not_hold_are_named_with_it(tmp_path):
    from components.core.framework import load_keras

    keras = load_keras()
    import tensorflow as tf

    from components.export.formats.converted import write_litert, write_plain

    pictures = keras.Input((8, 8, 1), dtype="uint8")
    values = keras.ops.cast(pictures, "float32")
    # Present in TensorFlow, absent from LiteRT's own operations.
    values = keras.layers.Lambda(lambda x: tf.raw_ops.Betainc(a=x + 1.0, b=x + 1.0, x=x * 0), output_shape=(8, 8, 1))(
        values
    )
    model = keras.Model(pictures, keras.layers.Flatten()(values))
    write_plain(model, tmp_path / "plain")
    with pytest.raises(PipelineError, match="can be converted to litert, .* leave litert out of formats"):
        write_litert(tmp_path / "plain", tmp_path / "model.tflite")


def proof(**changes) -> FormatProof:
    values = {
        "runtime": "r 1",
        "pictures": 100,
        "accuracy": 0.9,
        "evaluated_accuracy": 0.9,
        "agreement": 1.0,
        "largest_difference": 1e-6,
        "latency_ms": 1.0,
        "batch_latency_ms": 1.0,
    }
    return FormatProof(**(values | changes))


@pytest.mark.parametrize(
    ("name", "changes", "refused"),
    [
        ("onnx", {"largest_difference": 9e-5}, None),
        ("onnx", {"largest_difference": 2e-4}, "the onnx export to answer"),
        ("keras", {"largest_difference": float("nan")}, "the keras export to answer"),
        ("litert_int8", {"largest_difference": 0.5, "accuracy": 0.89}, None),
        ("litert_int8", {"accuracy": 0.87}, "the litert_int8 export to lose at most 0.02"),
        ("litert_int8", {"accuracy": 0.87996}, "a loss of 0.02004 from the 0.9000 that evaluate measured"),
        ("onnx", {"largest_difference": 1.003e-4}, "within 0.0001; received probabilities that differ by 0.0001003;"),
        ("litert_int8", {"accuracy": float("nan")}, "the litert_int8 export to lose"),
        ("litert_int8", {"accuracy": 0.95}, None),
    ],
)
def test_a_format_is_judged_by_its_own_tolerance(name, changes, refused):
    if refused is None:
        _judge(name, proof(**changes), 0.02)
    else:
        with pytest.raises(PipelineError, match=refused):
            _judge(name, proof(**changes), 0.02)


def test_a_loss_of_just_what_is_allowed_is_allowed():
    """By floats, 0.79 - 0.1 is above 0.69."""
    _judge("litert_int8", proof(accuracy=0.69, evaluated_accuracy=0.79), 0.1)


def test_formats_are_named_in_any_order_and_case():
    for given in (" ONNX, saved_model,onnx,", '["onnx", "saved_model"]'):  # the second as a profile's list arrives
        assert parse_formats(given) == ["saved_model", "onnx"]
    assert ExportSettings(formats="keras,saved_model").formats == "saved_model,keras"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("saved_model,onx", "unknown format 'onx'; did you mean 'onnx'\\?"),
        ("saved_model,tflite", "unknown format 'tflite'; "),
        ("keras", "expected saved_model among the formats"),
        ("", "expected saved_model among the formats"),
    ],
)
def test_formats_that_can_not_be_are_one_line(text, said):
    with pytest.raises(PipelineError, match=f"formats: .*{said}"):
        ExportSettings.checked(formats=text)


def test_a_missing_package_is_named_with_its_format_and_the_extra(monkeypatch):
    monkeypatch.setitem(known.FORMATS, "onnx", known.Format("model.onnx", "onnxruntime", ("no_such_package_here",)))
    with pytest.raises(PipelineError, match="no_such_package_here .* the format onnx, .* extra 'formats'"):
        require_packages(["saved_model", "onnx"])
    require_packages(["saved_model", "keras"])
