"""The pipeline's flat parameter set: where each value comes from, and that it can be.

Precedence: command line, then environment (CONV2D_EPOCHS=3), then profile, then what follows from the source, then
default. An unknown name anywhere is an error that names the nearest known one.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Container, Mapping, Sequence
from typing import Any, Generic, TypeVar

import yaml

from components.check.settings import Parameters, SizedSettings
from components.core.errors import PipelineError, nearest, one_line, shown
from components.core.settings import Settings, store_places
from components.core.storage import location
from components.train.json_or_yaml import loader
from pipeline import ROOT
from pipeline.parameters.own_pictures import OF_ITS_DATASET, PICTURES, dataset_of, model_name_of

PROFILES = ROOT / "pipeline" / "profiles"
DEFAULT_PROFILE = "quickstart"
# What takes its place for pictures of the user's own, and stands below a profile of theirs that names no architecture:
# the article's is made for 32 pixels, and has 779 million weights at 224.
OWN_PROFILE = "photos"
ENVIRONMENT_PREFIX = "CONV2D_"
# CONV2D_* variables that set how things run here, not what is trained; no parameters.
HOST_VARIABLES = {"CONV2D_DOWNLOAD_CACHE", "CONV2D_IMAGE_REPOSITORY", "CONV2D_LIVE_PROGRESS"}


STORE_PLACES = store_places(Parameters)
Kind = TypeVar("Kind", bound=Settings)


def names_by_step(kind: type[Settings]) -> dict[str, list[str]]:
    """The names of flat parameters by the first step that takes them, in a run's order; `placement`: a cluster's."""
    found: dict[str, list[str]] = {}
    told: set[str] = set()
    for settings in (*kind.__bases__, kind):
        assert issubclass(settings, Settings)
        places = issubclass(settings, SizedSettings)
        step = "placement" if places else settings.__name__.removesuffix("Settings").lower()
        if names := [name for name in settings.model_fields if name not in told]:
            found.setdefault(step, []).extend(names)
            told.update(names)
    return found


@dataclasses.dataclass(frozen=True)
class Configuration(Generic[Kind]):
    """Checked parameters, for each the place its value came from, and the name of a run with them."""

    parameters: Kind
    origins: Mapping[str, str]
    title: str
    profile: str = ""

    def is_given(self, name: str) -> bool:
        """Whether a parameter's value was typed or set for this one command, and is no profile's and no default."""
        return self.origins[name] in ("command line", "environment", "placement")


def layered(
    kind: type[Settings], layers: Mapping[str, Mapping[str, str]], elsewhere: Container[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that some layers set, a later one counting more, and for each parameter the layer, or `default`.

    Args:
        elsewhere: parameters of another kind, which mean nothing here unless they are typed.

    Raises:
        PipelineError: an unknown name; names the nearest.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(kind.model_fields, "default")
    for origin, settings in layers.items():
        for name, value in settings.items():
            if name in origins:
                values[name], origins[name] = value, origin
            elif origin == "command line" or name not in elsewhere:
                raise PipelineError(f"unknown parameter {shown(name)} in {origin}; {nearest(name, list(origins))}")
    return values, origins


def profile_path(name: str) -> pathlib.Path:
    """The file of a profile given by name or by path.

    Raises:
        PipelineError: there is none; names the nearest.
    """
    if name.endswith((".yaml", ".yml")):
        path = location.local_path(name)
        if not path.is_file():
            raise PipelineError(f"expected a profile file, received {name!r}, which does not exist")
        return path
    path = PROFILES / f"{name}.yaml"
    if "/" in name or not path.is_file():
        raise PipelineError(f"unknown profile {name!r}; {nearest(name, profile_names())}")
    return path


def profile_names() -> list[str]:
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def configure(
    profile: str = DEFAULT_PROFILE,
    command_line: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Configuration[Parameters]:
    """Resolves and checks all parameters.

    Args:
        profile: a profile's name, or the path of a YAML file of parameters.
        command_line: NAME=VALUE settings; names in any case.
        environment: where CONV2D_* is looked up.

    Raises:
        PipelineError: an unknown name, or a value that can't be.
    """
    layers = {
        f"profile {profile}": _from_profile(profile),
        "environment": from_environment(environment),
        "command line": from_command_line(command_line),
    }
    values, origins = layered(Parameters, layers)
    if dataset := dataset_of(list(layers.values())):
        values["dataset"], origins["dataset"] = dataset, "source"
    of_profile = next(iter(layers))
    if values.get("dataset") == PICTURES and profile == DEFAULT_PROFILE:
        return configure(OWN_PROFILE, command_line, environment)
    if values.get("dataset") == PICTURES and "architecture" not in layers[of_profile]:
        for name, value in _from_profile(OWN_PROFILE).items():
            if name not in values:
                values[name], origins[name] = value, f"profile {OWN_PROFILE}"
    if values.get("dataset") != layers[of_profile].get("dataset", values.get("dataset")):
        for name in OF_ITS_DATASET:
            if origins[name] == of_profile:
                del values[name]
                origins[name] = "default"
    checked = Parameters.checked(**values)
    if "model_name" not in values:
        origins["model_name"] = "source" if checked.dataset == PICTURES else "dataset"
        checked = checked.model_copy(update={"model_name": model_name_of(checked.dataset, checked.source)})
    checked.refuse_classes_not_of(checked.dataset, checked.source)
    own = checked.dataset == PICTURES and (profile == OWN_PROFILE or origins["dataset"] != of_profile)
    return Configuration(checked, origins, checked.model_name if own else pathlib.Path(profile).stem, profile)


def _from_profile(name: str) -> dict[str, str]:
    path = profile_path(name)
    try:
        return profile_values(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        raise PipelineError(f"expected 'name: value' lines in {path}, received: {one_line(error)}") from None


def profile_values(text: str) -> dict[str, str]:
    """The values of a profile, as they would be typed on a command line: `off` is a word and `1` a digit, whatever YAML
    makes of them; but null, and ~ alone, which would be the home folder, are nothing. A layer list is data in the
    profile and text, as JSON, in the flat set.

    Raises:
        ValueError, yaml.YAMLError: no YAML, no mapping, a name twice, a list that holds itself.
    """
    reader = loader()(text)
    document = reader.get_single_node()
    if not isinstance(document, yaml.MappingNode):
        raise ValueError("something else")
    reader.flatten_mapping(document)
    values: dict[str, str] = {}
    for key, value in document.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError("a name that is no word")
        if key.value in values:
            raise ValueError(f"{key.value} twice")
        if isinstance(value, yaml.ScalarNode):
            values[key.value] = "" if value.tag == "tag:yaml.org,2002:null" else value.value
        else:
            values[key.value] = json.dumps(reader.construct_object(value, deep=True), default=str)
    return values


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    # Keras's own variable means the parameter: as a variable it would be no part of what caches go by.
    keras = {"backend": environment["KERAS_BACKEND"]} if environment.get("KERAS_BACKEND") else {}
    return keras | {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name not in HOST_VARIABLES
    }


def from_command_line(settings: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE settings by name.

    Raises:
        PipelineError: one that is none.
    """
    values = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise PipelineError(f"expected NAME=VALUE, received {shown(setting)}")
        values[name.lower()] = value
    return values
