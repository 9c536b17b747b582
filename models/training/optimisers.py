"""Which optimiser moves which parameter of a transformer and its text encoder."""

import torch
from torch import Tensor, nn

from models.training.muon import Muon

# The first and last layers, what the time modulates with, and the vocabulary: AdamW's, as in Jordan et al. 2024.
OUTER = ("img_in", "txt_in", "time_in", "modulation", "final_layer", "embed_tokens")


def split_optimisers(network: nn.Module, *, matrix_rate: float, other_rate: float) -> list[torch.optim.Optimizer]:
    """Give the matrices inside the blocks to Muon and everything else to AdamW."""
    inner: list[Tensor] = []
    outer: list[Tensor] = []
    for name, parameter in network.named_parameters():
        is_outer = parameter.ndim != 2 or any(part in name for part in OUTER)
        (outer if is_outer else inner).append(parameter)
    return [
        Muon(inner, lr=matrix_rate),
        torch.optim.AdamW(outer, lr=other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
