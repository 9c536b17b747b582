"""The blocks of FLUX.1 and FLUX.2: two streams with joint attention, then one stream (BFL `DoubleStreamBlock`, `SingleStreamBlock`).

What modulates a block is an argument: FLUX.2 makes it once for all blocks, FLUX.1 for every block. So is the layout of the rows.

Shape suffixes: B = rows, L = tokens, C = channels, N = heads, D = channels of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers.attention import QkNorm
from models.layers.feed_forward import Activation, feed_forward
from models.layers.layouts import Layout
from models.layers.modulation import Sublayer

LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class BlockSizes:
    """What all blocks of a network have in common.

    Attributes:
        hidden_size: width of the residual stream.
        num_heads: attention heads.
        mlp_size: channels that come out of a feed-forward layer's activation.
        activation: of the feed-forward layers.
        bias: whether linear layers have one.
    """

    hidden_size: int
    num_heads: int
    mlp_size: int
    activation: Activation
    bias: bool


class StreamAttention(nn.Module):
    """The weights with which one stream takes part in joint attention."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        d = sizes.hidden_size
        self.qkv = nn.Linear(d, 3 * d, bias=sizes.bias)
        self.norm = QkNorm(d // sizes.num_heads)
        self.proj = nn.Linear(d, d, bias=sizes.bias)
        self._num_heads = sizes.num_heads

    def forward(self, x_BLC: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries and keys, B L 2 N D, and values, B L N D; `proj` is for what attention makes of them."""
        return self.norm(self.qkv(x_BLC), self._num_heads)


class DoubleStream(nn.Module):
    """Joint attention over text and picture, each with its own weights, then a feed-forward layer for each."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        self.img_attn = StreamAttention(sizes)
        self.img_mlp = feed_forward(sizes.hidden_size, sizes.mlp_size, sizes.activation, bias=sizes.bias)
        self.txt_attn = StreamAttention(sizes)
        self.txt_mlp = feed_forward(sizes.hidden_size, sizes.mlp_size, sizes.activation, bias=sizes.bias)

    def forward(
        self, img_BLC: Tensor, txt_BLC: Tensor, img: Sequence[Sublayer], txt: Sequence[Sublayer], layout: Layout
    ) -> tuple[Tensor, Tensor]:
        """Return both streams, picture first, given how each enters and leaves attention and the feed-forward layer."""
        txt_qk, txt_v = self.txt_attn(txt[0].norm(txt_BLC))
        img_qk, img_v = self.img_attn(img[0].norm(img_BLC))
        joint_BLC = layout.attend(layout.joined(txt_qk, img_qk), layout.joined(txt_v, img_v))
        txt_seen_BLC, img_seen_BLC = layout.parted(joint_BLC)
        img_BLC = img[0].add(img_BLC, self.img_attn.proj(img_seen_BLC))
        img_BLC = img[1].add(img_BLC, self.img_mlp(img[1].norm(img_BLC)))
        txt_BLC = txt[0].add(txt_BLC, self.txt_attn.proj(txt_seen_BLC))
        txt_BLC = txt[1].add(txt_BLC, self.txt_mlp(txt[1].norm(txt_BLC)))
        return half_safe(img_BLC), half_safe(txt_BLC)


class SingleStream(nn.Module):
    """Attention and feed-forward side by side on text and picture together (Dehghani et al. 2023, arXiv:2302.05442)."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        d = sizes.hidden_size
        self._parts = (3 * d, sizes.activation.channels_in * sizes.mlp_size)
        self._num_heads = sizes.num_heads
        self.linear1 = nn.Linear(d, sum(self._parts), bias=sizes.bias)
        self.norm = QkNorm(d // sizes.num_heads)
        self.mlp_act = sizes.activation()
        self.linear2 = nn.Linear(d + sizes.mlp_size, d, bias=sizes.bias)

    def forward(self, x_BLC: Tensor, sublayer: Sublayer, layout: Layout) -> Tensor:
        """Return text and picture, given how they enter and leave the block."""
        qkv_BLC, mlp_BLC = self.linear1(sublayer.norm(x_BLC)).split_with_sizes(self._parts, dim=-1)
        attended_BLC = layout.attend(*self.norm(qkv_BLC, self._num_heads))
        out_BLC = self.linear2(torch.cat([attended_BLC, self.mlp_act(mlp_BLC)], dim=-1))
        return half_safe(sublayer.add(x_BLC, out_BLC))


class LastLayer(nn.Module):
    """Layer norm with its own shift and scale (in this order), then one linear layer."""

    def __init__(self, hidden_size: int, out_channels: int, *, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, out_channels, bias=bias)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 2 * hidden_size, bias=bias))

    def vectors(self, vec_TC: Tensor) -> Tensor:
        """Make shift and scale, and nothing where other layers have a gate, T x 3C."""
        made_TC = self.adaLN_modulation(vec_TC)
        return torch.cat([made_TC, torch.zeros_like(vec_TC)], dim=-1)

    def forward(self, x_BLC: Tensor, sublayer: Sublayer) -> Tensor:
        return self.linear(sublayer.norm(x_BLC))


def half_safe(x_BLC: Tensor) -> Tensor:
    """Hold float16 within its range, where published weights leave it now and then; other dtypes pass.

    Diffusers holds the text and the single blocks so; here the picture's stream is held as well, which would turn black.
    """
    return x_BLC.clamp(-LARGEST_HALF, LARGEST_HALF) if x_BLC.dtype is torch.float16 else x_BLC
