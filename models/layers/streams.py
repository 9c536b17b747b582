"""The blocks of FLUX.1 and FLUX.2: two streams with joint attention, then one stream (BFL `DoubleStreamBlock`, `SingleStreamBlock`).

Modulation is an argument: FLUX.2 makes it once for all blocks, FLUX.1 in every block.

Shape suffixes: B = rows, L = tokens, C = channels, N = heads, D = channels of a head.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.layers.attention import JointAttention, QkNorm
from models.layers.modulation import Modulated, modulated, normalised

LARGEST_HALF = 65504.0


class StreamAttention(nn.Module):
    """The weights with which one stream takes part in joint attention."""

    def __init__(self, hidden_size: int, num_heads: int, *, bias: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=bias)
        self.norm = QkNorm(hidden_size // num_heads)
        self.proj = nn.Linear(hidden_size, hidden_size, bias=bias)
        self._num_heads = num_heads

    def forward(self, x_BLC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, B L N D each; `proj` is for what attention makes of them."""
        return self.norm(self.qkv(x_BLC), self._num_heads)


class DoubleStreamBlock(nn.Module):
    """Joint attention over text and picture, each with its own weights, then a feed-forward layer for each."""

    def __init__(self, hidden_size: int, num_heads: int, feed_forward: Callable[[], nn.Module], *, bias: bool) -> None:
        super().__init__()
        self.img_attn = StreamAttention(hidden_size, num_heads, bias=bias)
        self.img_mlp = feed_forward()
        self.txt_attn = StreamAttention(hidden_size, num_heads, bias=bias)
        self.txt_mlp = feed_forward()

    def forward(
        self,
        img_BLC: Tensor,
        txt_BLC: Tensor,
        img_mod: tuple[Modulated, ...],
        txt_mod: tuple[Modulated, ...],
        attend: JointAttention,
    ) -> tuple[Tensor, Tensor]:
        """Return both streams, picture first."""
        txt_qkv = self.txt_attn(modulated(txt_BLC, txt_mod[0]))
        img_qkv = self.img_attn(modulated(img_BLC, img_mod[0]))
        joint_BLC = attend(*(torch.cat(both, dim=1) for both in zip(txt_qkv, img_qkv, strict=True)))
        num_txt = txt_BLC.shape[1]
        img_BLC = img_BLC + img_mod[0].gate_B1C * self.img_attn.proj(joint_BLC[:, num_txt:])
        img_BLC = img_BLC + img_mod[1].gate_B1C * self.img_mlp(modulated(img_BLC, img_mod[1]))
        txt_BLC = txt_BLC + txt_mod[0].gate_B1C * self.txt_attn.proj(joint_BLC[:, :num_txt])
        txt_BLC = txt_BLC + txt_mod[1].gate_B1C * self.txt_mlp(modulated(txt_BLC, txt_mod[1]))
        return img_BLC, half_safe(txt_BLC)


class SingleStreamBlock(nn.Module):
    """Attention and feed-forward side by side on text and picture together (Dehghani et al. 2023, arXiv:2302.05442)."""

    def __init__(
        self, hidden_size: int, num_heads: int, mlp_in: int, mlp_out: int, activation: nn.Module, *, bias: bool
    ) -> None:
        """Build the block; the activation turns mlp_in channels into mlp_out."""
        super().__init__()
        self._sizes = (3 * hidden_size, mlp_in)
        self._num_heads = num_heads
        self.linear1 = nn.Linear(hidden_size, sum(self._sizes), bias=bias)
        self.norm = QkNorm(hidden_size // num_heads)
        self.mlp_act = activation
        self.linear2 = nn.Linear(hidden_size + mlp_out, hidden_size, bias=bias)

    def forward(self, x_BLC: Tensor, mod: Modulated, attend: JointAttention) -> Tensor:
        qkv_BLC, mlp_BLC = self.linear1(modulated(x_BLC, mod)).split(self._sizes, dim=-1)
        attended_BLC = attend(*self.norm(qkv_BLC, self._num_heads))
        out_BLC = self.linear2(torch.cat([attended_BLC, self.mlp_act(mlp_BLC)], dim=-1))
        return half_safe(x_BLC + mod.gate_B1C * out_BLC)


class LastLayer(nn.Module):
    """Layer norm with its own shift and scale (in this order), then one linear layer."""

    def __init__(self, hidden_size: int, out_channels: int, *, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, out_channels, bias=bias)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 2 * hidden_size, bias=bias))

    def forward(self, x_BLC: Tensor, vec_BC: Tensor) -> Tensor:
        shift_B1C, scale_B1C = self.adaLN_modulation(vec_BC)[:, None].chunk(2, dim=-1)
        return self.linear((1 + scale_B1C) * normalised(x_BLC) + shift_B1C)


def half_safe(x_BLC: Tensor) -> Tensor:
    """Hold float16 within its range, where published weights leave it now and then; other dtypes pass."""
    return x_BLC.clamp(-LARGEST_HALF, LARGEST_HALF) if x_BLC.dtype is torch.float16 else x_BLC
