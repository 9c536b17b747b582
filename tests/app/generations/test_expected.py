"""Expected seconds rank requests as their work does."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.spec import GenerationSpec
from app.generations.expected import expected_s


def spec(steps: int, side: int) -> GenerationSpec:
    return GenerationSpec(
        model="m",
        network="n",
        prompt="p",
        seed=0,
        width=side,
        height=side,
        steps=steps,
        guidance=1,
        output_format="png",
    )


@given(st.integers(1, 50), st.integers(1, 50), st.integers(64, 2048), st.integers(64, 2048))
def test_more_steps_or_pixels_take_longer(steps: int, more: int, side: int, larger: int) -> None:
    assert 0 < expected_s(spec(steps, side)) < expected_s(spec(steps + more, max(side, larger)))
