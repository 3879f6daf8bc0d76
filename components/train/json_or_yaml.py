"""Values with a form of their own, as people write them on a command line, in a grid or in a profile: JSON or YAML.

JSON is read as JSON: YAML 1.1 takes its 1e-3 for text, and its escapes of an emoji for two letters that are none. In
YAML 1e-3 is a number too, as in YAML 1.2; and a name stays as it is written: a class may be called no, 007 or 1e3.
"""

import json
import re
from typing import Any

import yaml

from components.core.errors import one_line


class Loader(yaml.SafeLoader):
    """PyYAML's, but for names and for numbers such as 1e-3."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode):
                name.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def parse(text: str) -> Any:
    """What `text` says.

    Raises:
        ValueError: it is neither JSON nor YAML; the reason in one line.
    """
    try:
        return json.loads(text)
    except ValueError:
        try:
            return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(one_line(error)) from None
