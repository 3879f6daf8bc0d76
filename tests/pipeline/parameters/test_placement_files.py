"""Files of placement settings: the overlays' own, and what a pipeline that is compiled with one gets."""

import pytest
import yaml
from click.testing import CliRunner

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.commands.main import main
from pipeline.images.names import image
from pipeline.parameters.cluster_options import placement_file
from pipeline.parameters.parameters import configure


def test_a_placement_file_gives_the_same_to_both_commands(tmp_path):
    path = tmp_path / "runs.env"
    path.write_text('# spot\ngpus="1"\n\naccelerator=nvidia.com/gpu\ntolerations=[{"operator":"Exists"}]\n')
    assert placement_file(path) == ["gpus=1", "accelerator=nvidia.com/gpu", 'tolerations=[{"operator":"Exists"}]']
    assert configure("quickstart", placement_file(path), {}).parameters.gpus == "1"
    with pytest.raises(PipelineError, match="can't be read"):
        placement_file(tmp_path / "none.env")


@pytest.mark.parametrize("path", sorted(ROOT.glob("k8s/overlays/*/runs.env")), ids=lambda path: path.parent.name)
def test_the_overlays_placements_are_valid(path):
    assert configure("cifar10", placement_file(path), {}).parameters.gpus != "0"


def test_what_is_compiled_with_a_placement_has_its_gpus_and_the_image_for_them(tmp_path):
    """Of a file that was compiled without, a run with the same lines had the image for CPUs, on a GPU's node."""
    lines, compiled = ROOT / "k8s/overlays/gke/runs.env", tmp_path / "training.yaml"
    typed = [
        "compile",
        "--placement",
        str(lines),
        "--to",
        str(compiled),
        "epochs=3",
        "accelerator=nvidia.com/mig-1g.10gb",
    ]
    assert CliRunner().invoke(main, typed, catch_exceptions=False).exit_code == 0
    pipeline = next(yaml.load_all(compiled.read_text(), yaml.CSafeLoader))
    defaults = {
        name: one.get("defaultValue") for name, one in pipeline["root"]["inputDefinitions"]["parameters"].items()
    }
    assert (defaults["gpus"], defaults["epochs"]) == ("1", 3)
    assert defaults["accelerator"] == "nvidia.com/mig-1g.10gb", "what is typed counts more than a file"
    assert pipeline["deploymentSpec"]["executors"]["exec-train"]["container"]["image"] == image("train", "gpu")
