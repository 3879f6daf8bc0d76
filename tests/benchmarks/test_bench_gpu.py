"""bench_gpu.py measures the profile's recipe, and does so where there are Keras, JAX and NumPy alone."""

import pathlib
import subprocess
import sys

import pytest
import yaml

from pipeline import ROOT
from tests.benchmarks import bench_gpu

# What else the project's environment holds; JAX and Keras bring SciPy and h5py themselves.
ABSENT = (
    "PIL boto3 botocore google google_crc32c jinja2 kfp pydantic requests simplejpeg sklearn tenacity tensorboard "
    "tensorflow torch urllib3 yaml"
)
ALONE = f"""
import runpy, sys

class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {ABSENT.split()}:
            raise ModuleNotFoundError(f"no {{name}} here", name=name)

sys.meta_path.insert(0, Absent())
sys.argv = ["bench_gpu.py", "--tiny"]
runpy.run_path({str(pathlib.Path(bench_gpu.__file__))!r}, run_name="__main__")
"""


def test_it_measures_the_profiles_recipe() -> None:
    profile = yaml.safe_load((ROOT / "pipeline/profiles/cifar10-fast.yaml").read_text())
    other = {"dataset": "cifar10", "architecture": "fast", "validation_split": 0}
    assert profile == bench_gpu.RECIPE | other


def test_it_runs_with_keras_jax_and_numpy_alone() -> None:
    pytest.importorskip("jax")
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for told in ("with compilation: ", "without compilation: ", "TFLOP/s", "plain PyTorch"):
        assert told in done.stdout


@pytest.mark.parametrize(
    ("card", "count", "told"),
    [
        ("NVIDIA H100 80GB HBM3", 1, "10.0% of the card's 989"),
        ("2 x NVIDIA H100 PCIe", 2, "6.5% of the card's 756"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 1, "TFLOP/s"),
        ("NVIDIA A10G", 1, "TFLOP/s"),
    ],
)
def test_the_share_is_of_the_cards_own_peak(card: str, count: int, told: str) -> None:
    assert bench_gpu.share(98.9e12, card, count).endswith(told)
