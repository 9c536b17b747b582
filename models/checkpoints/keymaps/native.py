"""Files with our own names: Black Forest Labs' single files, perhaps behind a prefix."""

from models.checkpoints.keymap import Same, Table

PREFIXES = ("", "model.diffusion_model.")
"""None, and the one of files that hold further networks beside the transformer."""


def native(prefix: str = "") -> Table:
    """The table of a file whose names are ours behind `prefix`."""
    return (Same("{name}", f"{prefix}{{name}}"),)
