"""Times as networks are told them."""

import torch
from torch import Tensor


def network_times(times: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return times, float32, for a network. Diffusers hands on 1000 t in the latents' dtype and divides again, so bfloat16 networks
    see rounded times, and their pictures depend on it."""
    return (times * 1000).to(dtype).to(device) / 1000
