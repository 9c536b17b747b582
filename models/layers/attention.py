"""Pieces of attention: heads split from a fused projection, normalised queries and keys, full attention.

Shape suffixes: B = rows, L = tokens, 2 = queries and keys, N = heads, D = channels of a head, C = N times D, P = D/2 rotated pairs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

NORM_EPS = 1e-6


class RmsNorm(nn.Module):
    """The scale of a root mean square norm (Zhang & Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))


class QkNorm(nn.Module):
    """Norms of queries and of keys, each with its own scale; statistics in float32."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.query_norm = RmsNorm(head_dim)
        self.key_norm = RmsNorm(head_dim)

    def forward(self, qkv_BLC: Tensor, num_heads: int) -> tuple[Tensor, Tensor]:
        """Split a fused projection into normalised queries and keys, B L 2 N D, and values, B L N D."""
        rows, length, _ = qkv_BLC.shape
        qkv_BL3ND = qkv_BLC.view(rows, length, 3, num_heads, -1)
        qk_BL2ND, v_BLND = qkv_BL3ND[:, :, :2], qkv_BL3ND[:, :, 2]
        scales_21D = torch.stack([self.query_norm.scale, self.key_norm.scale])[:, None]
        wide_BL2ND = qk_BL2ND.float()
        power_BL2N1 = wide_BL2ND.square().mean(-1, keepdim=True)
        normed_BL2ND = wide_BL2ND * power_BL2N1.add_(NORM_EPS).rsqrt_() * scales_21D
        return normed_BL2ND.to(qkv_BLC.dtype), v_BLND


def attended(qk_BL2ND: Tensor, v_BLND: Tensor, query_chunk: int | None = None) -> Tensor:
    """Let every token of a row attend to every token of it.

    Args:
        qk_BL2ND: queries and keys, rotated.
        v_BLND: values.
        query_chunk: queries that attend at a time; None for all. The result is the same, a smaller number takes less memory where
            no fused kernel serves the device, and more time.

    Returns:
        What every token gathers, B L C.
    """
    q_BNLD, k_BNLD = qk_BL2ND.permute(2, 0, 3, 1, 4).unbind(0)
    v_BNLD, length = v_BLND.transpose(1, 2), v_BLND.shape[1]
    if query_chunk is None or query_chunk >= length:
        out_BNLD = functional.scaled_dot_product_attention(q_BNLD, k_BNLD, v_BNLD)
    else:
        parts = q_BNLD.tensor_split(list(range(query_chunk, length, query_chunk)), dim=2)
        out = [functional.scaled_dot_product_attention(part, k_BNLD, v_BNLD) for part in parts]
        out_BNLD = torch.cat(out, dim=2)
    return out_BNLD.transpose(1, 2).flatten(2)
