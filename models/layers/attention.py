"""Pieces of attention: heads split from a fused projection, normalised queries and keys, full attention.

Shape suffixes: B = rows, L = tokens, N = heads, D = channels of a head, C = N times D.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.rope import Rotation


class RmsNorm(nn.Module):
    """Root mean square norm over the last dimension (Zhang & Sennrich 2019, arXiv:1910.07467); statistics in float32."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))
        self._eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.scale.shape, self.scale.to(x.dtype), self._eps)


class QkNorm(nn.Module):
    """Norms of queries and of keys, each with its own scale."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.query_norm = RmsNorm(head_dim)
        self.key_norm = RmsNorm(head_dim)

    def forward(self, qkv_BLC: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
        """Split a fused projection into q, k and v (B L N D) and normalise q and k."""
        rows, length, _ = qkv_BLC.shape
        q_BLND, k_BLND, v_BLND = qkv_BLC.reshape(rows, length, 3, num_heads, -1).unbind(2)
        return self.query_norm(q_BLND), self.key_norm(k_BLND), v_BLND


def attention(q_BLND: Tensor, k_BLND: Tensor, v_BLND: Tensor, rotation: Rotation) -> Tensor:
    """Rotate queries and keys, let every token attend to every token, and join the heads: B L C."""
    q_BNLD, k_BNLD, v_BNLD = (x.transpose(1, 2) for x in (rotation(q_BLND), rotation(k_BLND), v_BLND))
    out_BNLD = functional.scaled_dot_product_attention(q_BNLD, k_BNLD, v_BNLD)
    return out_BNLD.transpose(1, 2).flatten(2)
