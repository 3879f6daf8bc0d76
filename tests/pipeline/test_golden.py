"""A change of a compiled pipeline shows in review, as a change of its golden file."""

import pytest

from tests.pipeline.golden import KINDS, golden, shown


@pytest.mark.parametrize("kind", KINDS)
def test_the_pipeline_is_the_golden_one(kind):
    assert shown(kind) == golden(kind).read_text(), "if the change is wanted: make golden"
