"""Own pictures have their own name, and no gate that was not asked for."""

import pytest

from components.core.errors import PipelineError
from components.core.registry.layout import home
from pipeline.parameters.own_pictures import model_name_of
from pipeline.parameters.parameters import configure


def follows(*settings: str, profile: str = "quickstart", environment: dict | None = None) -> tuple:
    found = configure(profile, settings, environment or {})
    return found.parameters.dataset, found.parameters.model_name, found.parameters.min_accuracy, found.title


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], ("digits", "digits", 0.9, "quickstart")),
        (["SOURCE=/data/photos/"], ("image_folder", "photos", 0.0, "photos")),
        (["DATASET=image_folder", "SOURCE=/data/photos.zip"], ("image_folder", "photos", 0.0, "photos")),
        (["DATASET=digits", "SOURCE=/data/digits.csv.gz"], ("digits", "digits", 0.9, "quickstart")),
        (["DATASET=mnist"], ("mnist", "mnist", 0.0, "quickstart")),
        (["SOURCE=/photos", "MODEL_NAME=mine", "MIN_ACCURACY=0.7"], ("image_folder", "mine", 0.7, "mine")),
        (["EPOCHS=3"], ("digits", "digits", 0.9, "quickstart")),
    ],
)
def test_a_source_without_a_data_set_is_pictures_of_ones_own(settings, expected):
    assert follows(*settings) == expected


@pytest.mark.parametrize("named", [[], ["DATASET=image_folder"]])
def test_own_pictures_get_layers_for_any_size(named):
    own = configure(command_line=["SOURCE=/data/photos", "EPOCHS=3", *named], environment={})
    assert (own.parameters.architecture, own.parameters.epochs) == ("deep", 3)
    assert (own.origins["architecture"], own.origins["train_memory"]) == ("profile photos", "default")
    assert configure(command_line=["DATASET=mnist"], environment={}).parameters.architecture == "article"


def test_a_profile_of_own_pictures_that_names_no_architecture_stands_on_that_of_photos(tmp_path):
    profile = tmp_path / "flowers.yaml"
    profile.write_text("dataset: image_folder\nepochs: 3\n")
    own = configure(str(profile), ["SOURCE=/data/photos", "BATCH_SIZE=8"], {})
    assert (own.parameters.architecture, own.parameters.epochs, own.parameters.batch_size) == ("deep", 3, 8)
    assert (own.origins["schedule"], own.title) == ("profile photos", "flowers")
    profile.write_text("dataset: image_folder\narchitecture: wide\n")
    assert configure(str(profile), ["SOURCE=/data/photos"], {}).origins["schedule"] == "default"


def test_the_profile_of_photos_trains_on_no_others_for_want_of_a_source():
    """It trained on the digits, and its model might replace theirs."""
    with pytest.raises(PipelineError, match="^source: image_folder needs one: a folder"):
        follows(profile="photos")
    assert follows("SOURCE=/data/roses", profile="photos") == ("image_folder", "roses", 0.0, "roses")
    assert follows("DATASET=cifar10", profile="photos") == ("cifar10", "cifar10", 0.0, "photos")


def test_a_copy_of_a_known_data_set_is_that_data_set():
    said = follows("SOURCE=/data/cifar-10-binary.tar.gz", profile="cifar10")
    assert said == ("cifar10", "cifar10", 0.0, "cifar10")


def test_the_environment_names_a_source_too():
    assert follows(environment={"CONV2D_SOURCE": "gs://team/photos"})[:2] == ("image_folder", "photos")


def test_a_profile_of_own_pictures_keeps_its_gate(tmp_path):
    profile = tmp_path / "flowers.yaml"
    profile.write_text("source: /data/tulips\ndataset: image_folder\nmin_accuracy: 0.8\n")
    assert follows(profile=str(profile)) == ("image_folder", "tulips", 0.8, "flowers")
    profile.write_text("source: /data/tulips\ndataset: image_folder\nmodel_name: flowers\n")
    assert follows(profile=str(profile))[1] == "flowers"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ('["/data/cats.zip", "gs://team/dogs"]', "cats"),
        ("/data/My Photos (2024).TAR.GZ", "my-photos-2024"),
        ("gs://bucket/a/Käse.zip", "kase"),
        ("gs://bucket", "bucket"),
        ("s3://team-bucket/photos/", "photos"),
        ("https://me:pw@host/files/own%20pictures.zip?sig=abc#x", "own-pictures"),
        ("https://host", "host"),
        ("/data/写真", "pictures"),
        ("/", "pictures"),
        ("/data/" + "x" * 90, "x" * 64),
        ("file:///data/cats", "cats"),
    ],
)
def test_names_that_a_registry_takes(source, name):
    assert model_name_of("image_folder", source) == name
    assert configure("quickstart", [f"SOURCE={source}", f"MODEL_NAME={name}"], {}).parameters.model_name == name
    assert home(name)


def test_a_link_that_leads_elsewhere_each_day_names_one_model(tmp_path, monkeypatch):
    (tmp_path / "2026-11-27").mkdir()
    (tmp_path / "current").symlink_to("2026-11-27")
    monkeypatch.chdir(tmp_path / "2026-11-27")
    assert [model_name_of("image_folder", source) for source in ("../current", ".")] == ["current", "2026-11-27"]
