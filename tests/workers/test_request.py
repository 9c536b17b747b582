"""Wall-clock times of a claim become the engine's own, by the age they have now."""

from datetime import timedelta

from app.core.claims import Claim
from app.core.clock import ManualClock
from tests.fixtures.accounts import EPOCH, nano_spec
from workers.request import request_of


def test_a_row_keeps_its_age_and_the_time_it_has_left() -> None:
    clock = ManualClock(EPOCH)
    clock.advance(100.0)
    spec = nano_spec(seed=5).model_copy(update={"negative_prompt": "dull", "deterministic": True})
    claim = Claim(
        generation_id="g",
        task_id="t",
        attempt=3,
        spec=spec,
        priority=1,
        queued_at=EPOCH + timedelta(seconds=40),
        deadline_at=EPOCH + timedelta(seconds=1840),
        expected_s=2.5,
        is_suspect=True,
    )
    asked = request_of(claim, clock)
    assert (asked.key, asked.arrived_at_s, asked.deadline_at_s, asked.expected_s) == (("g", 3), 40.0, 1840.0, 2.5)
    assert asked.is_suspect
    assert (asked.draw.prompt, asked.draw.negative_prompt, asked.draw.seed) == (spec.prompt, "dull", 5)
    assert (asked.draw.num_steps, asked.priority, asked.is_deterministic) == (16, 1, True)
