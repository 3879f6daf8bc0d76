"""What training refuses."""

from components.core.errors import PipelineError


class SettingsError(PipelineError):
    """What the settings ask for can't be done: the next try, or another machine of the kind, would say the same."""
