"""Values with a form of their own, as people write them on a command line, in a grid or in a profile: JSON or YAML.

JSON is read as JSON: YAML 1.1 takes its 1e-3 for text, and its escapes of an emoji for two letters that are none. In
YAML 1e-3 is a number too, as in YAML 1.2; and a name stays as it is written: a class may be called no, 007 or 1e3.
"""

import functools
import json
import re
from typing import Any

from components.core.errors import one_line


@functools.cache
def loader() -> Any:
    """PyYAML's safe loader, but for names and for numbers such as 1e-3. It is needed for YAML alone: JSON is read where
    there is no PyYAML too, as on a machine that bench_gpu.py measures."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            self.flatten_mapping(node)
            for name, _ in node.value:
                if isinstance(name, yaml.ScalarNode):
                    name.tag = "tag:yaml.org,2002:str"
            return super().construct_mapping(node, deep)

    number = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


def loads(text: str) -> Any:
    """What `text` says.

    Raises:
        ValueError: it is neither JSON nor YAML; the reason in one line.
    """
    try:
        return json.loads(text)
    except ValueError:
        import yaml

        try:
            return yaml.load(text, loader())  # noqa: S506 - a SafeLoader
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(one_line(error)) from None
