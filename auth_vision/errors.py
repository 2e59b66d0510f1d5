"""The one error of this package; each program tells it in its own tree."""


class ModelsRefused(Exception):
    """A model file is missing, is not the one that its checksum names, or cannot be installed."""
