"""Half precision without black pictures: what is not finite is computed once more in float32, and else is an error.

Shape suffixes: B = pictures.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from models.errors import NonFiniteImage
from models.vae.autoencoder import Autoencoder


def autoencoder_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which to load an autoencoder whose transformer runs in `dtype`.

    That dtype itself, but float32 for float16: activations of the published autoencoders pass 65,504, so that nearly
    every picture would have to be computed twice. GroupNorm's statistics are float32 in any.
    """
    return torch.float32 if dtype == torch.float16 else dtype


def in_finite_numbers(autoencoder: Autoencoder, x: Tensor, run: Callable[[Autoencoder, Tensor], Tensor]) -> Tensor:
    """Run an autoencoder in the dtype of its weights; pictures that do not come out finite are run again in float32.

    Args:
        autoencoder: shared with other requests and never changed; the second run has a copy of it.
        x: pictures or latents, first axis B; brought to the weights' dtype.
        run: takes the network and x in its dtype, and returns as many rows, each of which depends on its own row of x alone.

    Returns:
        What run returns, in the weights' dtype, finite.

    Raises:
        NonFiniteImage: x is not finite, or the result is not, in float32 either.
    """
    dtype = next(autoencoder.parameters()).dtype
    out = run(autoencoder, x.to(dtype))
    is_bad_B = ~_is_finite(out)
    if not bool(is_bad_B.any()):
        return out
    if dtype != torch.float32 and bool(_is_finite(x[is_bad_B]).all()):
        out[is_bad_B] = run(_widened(autoencoder), x[is_bad_B].float()).to(dtype)
    if num_bad := int((~torch.isfinite(out)).sum()):
        raise NonFiniteImage(f"the autoencoder produced {num_bad} values of {out.numel()} that are NaN or infinite")
    return out


def _is_finite(x: Tensor) -> Tensor:
    return torch.isfinite(x).flatten(1).all(1)


def _widened(autoencoder: Autoencoder) -> Autoencoder:
    return copy.deepcopy(autoencoder).float()
