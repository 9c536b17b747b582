"""The whole way from noise to picture for scripts, previews and tests; an engine interleaves single steps instead.

Shape suffixes: B = rows, L = latent tokens, C = channels per token.
"""

from collections.abc import Callable

from torch import Tensor

from models.samplers import euler


def sample(
    velocity: Callable[[Tensor, Tensor], Tensor],
    noise_BLC: Tensor,
    times: Tensor,
    after_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Integrate from the first time to the last with Euler's method.

    Args:
        velocity: dx/dt at (x_BLC, t_B).
        noise_BLC: latents at times[0].
        times: falling times, as models.samplers.schedules makes them.
        after_step: called with the number of steps done.

    Returns:
        Latents at times[-1].
    """
    x_BLC, rows = noise_BLC, noise_BLC.shape[0]
    for index in range(len(times) - 1):
        t_B, t_next_B = times[index].expand(rows), times[index + 1].expand(rows)
        x_BLC = euler.step(x_BLC, velocity(x_BLC, t_B), t_B, t_next_B)
        if after_step is not None:
            after_step(index + 1)
    return x_BLC
