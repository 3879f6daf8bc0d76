"""The KFP face of check. Its parameters are those of all steps, read off their settings, and what was compiled."""

import inspect
from typing import Any

from kfp import dsl

from components.check.settings import Parameters

COMPILED = "compiled"
TYPES = {name: type(field.default) for name, field in Parameters.model_fields.items()}


def _check(compiled: str, *values: Any) -> dsl.ContainerSpec:
    """Refuses what can't be among the parameters of any step, before the steps that come first cost an hour."""
    given = [text for pair in zip(TYPES, values, strict=True) for text in pair]
    return dsl.ContainerSpec(image="check", command=["python3", "-m", "components.check.run"], args=[compiled, *given])


# KFP reads them here.
_check.__name__ = "check"
_check.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY, annotation=kind)
        for name, kind in {COMPILED: str, **TYPES}.items()
    ]
)
check = dsl.container_component(_check)
