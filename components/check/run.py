"""The check of a run's parameters on a cluster, where whoever starts a run may give any.

python -m components.check.run NAME VALUE [NAME VALUE ...]
"""

import sys
from collections.abc import Mapping

from components.core.errors import one_line_errors
from components.core.settings import Settings
from components.download.settings import DownloadSettings
from components.evaluate.settings import EvaluateSettings
from components.export.settings import ExportSettings
from components.preprocess.settings import PreprocessSettings
from components.train.settings import TrainSettings

STEPS: list[type[Settings]] = [DownloadSettings, PreprocessSettings, TrainSettings, EvaluateSettings, ExportSettings]


def check(values: Mapping[str, str]) -> None:
    """Reads the parameters of all steps as each of them will.

    Args:
        values: as Kubeflow writes them into an argument: 0.001, true.

    Raises:
        PipelineError: the first value that can't be.
    """
    for settings in STEPS:
        settings.among(values)


if __name__ == "__main__":
    with one_line_errors():
        check(dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True)))
        print("every step can take its parameters", flush=True)
