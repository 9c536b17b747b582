"""Why nothing came from a customer's host, in words that they may see: nothing of our network, nothing of their secrets."""


class Refused(Exception):
    """The URL is not asked for."""


class Failed(Exception):
    """It was asked for, and did not give what was wanted. `is_lasting`: asking again would not help."""

    def __init__(self, message: str, *, is_lasting: bool = False) -> None:
        super().__init__(message)
        self.is_lasting = is_lasting
