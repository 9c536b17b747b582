"""Euler's method for flow-matching networks (Lipman et al. 2022, arXiv:2210.02747).

Shape suffixes: B = rows, L = latent tokens, C = channels per token.
Time: t = 1 is pure noise, t = 0 is the picture (the paper runs the other way).
"""

from torch import Tensor


def step(x_BLC: Tensor, velocity_BLC: Tensor, t_B: Tensor, t_next_B: Tensor) -> Tensor:
    """Move each row from its own time t to its own time t_next.

    Rows are independent, so one call may hold rows that stand at different steps. In bfloat16
    the time difference and its product are rounded to the velocity's dtype and the sum is not, as in Diffusers.

    Args:
        x_BLC: latents at time t_B.
        velocity_BLC: dx/dt predicted at (x_BLC, t_B).
        t_B: current time of each row, in (0, 1], float32.
        t_next_B: next time of each row, smaller than t_B.

    Returns:
        Latents at time t_next_B, shape and dtype of x_BLC.
    """
    dt_B11 = (t_next_B - t_B)[:, None, None].to(velocity_BLC)
    return (x_BLC.float() + dt_B11 * velocity_BLC).to(x_BLC.dtype)
