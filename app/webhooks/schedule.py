"""When a webhook is tried again, and when it ends."""

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

DELAYS_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds after each failed attempt, as the specification of Standard Webhooks recommends; after the last one it is given up."""
JITTER: Final = 0.1
"""A delay is up to this part longer, so that a receiver that comes back is not met by everything at once."""
GONE: Final = 410
_SLOW_DOWN: Final = frozenset({429, 502, 504})

State = Literal["waiting", "delivered", "ended"]


@dataclass(frozen=True)
class Next:
    """The state after an attempt, and the seconds to the next one where there is one."""

    state: State
    delay_s: float | None = None


def after_attempt(num_attempts: int, status: int | None, is_lasting: bool, random: Random) -> Next:
    """What follows the attempt of this number, counted from 1. Redirects are failures.

    Args:
        num_attempts: this one included.
        status: the receiver's; None where nobody answered.
        is_lasting: asking again would not help.
        random: for the jitter.
    """
    if status is not None and 200 <= status < 300:
        return Next("delivered")
    if status == GONE or is_lasting or num_attempts > len(DELAYS_S):
        return Next("ended")
    slower = 2 if status in _SLOW_DOWN else 1
    return Next("waiting", DELAYS_S[num_attempts - 1] * slower * (1 + JITTER * random.random()))
