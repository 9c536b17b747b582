"""Pieces of attention: heads split from a fused projection, normalised queries and keys, full attention.

Shape suffixes: B = rows, L = tokens, N = heads, D = channels of a head, C = N times D.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class JointAttention:
    """Rotates queries and keys, lets every token attend to every token, and joins the heads.

    Attributes:
        rotation: of every token.
        query_chunk: queries that attend at a time; None for all. The result is the same, a smaller number takes less memory where
            no fused kernel serves the device, and more time.
    """

    rotation: Rotation
    query_chunk: int | None = None

    def __call__(self, q_BLND: Tensor, k_BLND: Tensor, v_BLND: Tensor) -> Tensor:
        """Return what every token gathers, B L C."""
        q_BNLD, k_BNLD, v_BNLD = (x.transpose(1, 2) for x in (self.rotation(q_BLND), self.rotation(k_BLND), v_BLND))
        length = q_BNLD.shape[2]
        bounds = list(range(0, length, self.query_chunk or length))[1:]
        queries = q_BNLD.tensor_split(bounds, dim=2)
        out = [functional.scaled_dot_product_attention(part, k_BNLD, v_BNLD) for part in queries]
        out_BNLD = out[0] if len(out) == 1 else torch.cat(out, dim=2)
        return out_BNLD.transpose(1, 2).flatten(2)
