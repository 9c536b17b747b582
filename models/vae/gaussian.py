"""The Gaussian that an encoder describes by its moments.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns; moments have 2 C channels: means, then log-variances.
"""

import torch
from torch import Tensor

MIN_LOG_VARIANCE, MAX_LOG_VARIANCE = -30.0, 20.0


def drawn(moments_BCHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the mean, or a sample; the sample equals that of Diffusers' DiagonalGaussianDistribution to the last bit.

    Args:
        moments_BCHW: means and log-variances; the latter are clamped to [-30, 20].
        generator: on any device, where the noise is drawn in the moments' dtype; None returns the mean.

    Returns:
        Half as many channels as moments_BCHW.
    """
    mean_BCHW, log_variance_BCHW = moments_BCHW.chunk(2, dim=1)
    if generator is None:
        return mean_BCHW
    deviation_BCHW = torch.exp(0.5 * log_variance_BCHW.clamp(MIN_LOG_VARIANCE, MAX_LOG_VARIANCE))
    noise_BCHW = torch.randn(
        mean_BCHW.shape, generator=generator, device=generator.device, dtype=moments_BCHW.dtype
    ).to(moments_BCHW.device)
    return mean_BCHW + deviation_BCHW * noise_BCHW
