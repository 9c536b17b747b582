"""What can go wrong in training that its caller can mend."""


class TrainingError(Exception):
    """Root of this package's errors."""


class DataError(TrainingError):
    """What there is to learn from is not there, or is not what the recipe was fixed on."""


class MissingStage(TrainingError):
    """A stage was asked for before the stage whose results it reads."""
