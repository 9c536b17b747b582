"""Why an import was not begun, or came to nothing. What is wrong with files is in models.errors."""

from models.errors import CheckpointError


class ImportRefused(CheckpointError):
    """What was asked for cannot be done; the message says why and, where it can, how else."""


class HubError(CheckpointError):
    """The hub did not give what was asked for."""
