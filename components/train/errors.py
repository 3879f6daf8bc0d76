"""What training refuses."""

from components.core.errors import PipelineError


class SettingsError(PipelineError):
    """What the settings ask for can't be done: the next try, or another machine of the kind, would say the same."""


class FitsNoPicturesError(SettingsError):
    """Layers that fit no pictures at all, whatever size and colours those have."""
