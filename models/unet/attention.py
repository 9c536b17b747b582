"""The spatial transformer of the UNets: every position looks at all others, then at the text.

Shape suffixes: B = rows, L = positions (H times W), S = text tokens, C = channels, N = heads, D = channels of a head, H, W = rows and
columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.attention import attended

NORM_EPS = 1e-6


@dataclass(frozen=True)
class TransformerSizes:
    """What the attention layers of a level have in common.

    Attributes:
        channels: of the feature map.
        heads: attention heads; divides channels.
        depth: transformer blocks one after another.
        context_channels: of a text token.
        linear_projection: whether the layers around the blocks are published as matrices, not as 1 x 1 convolutions.
    """

    channels: int
    heads: int
    depth: int
    context_channels: int
    linear_projection: bool


@dataclass(frozen=True, eq=False)
class ImageRows:
    """Rows that look at pictures too, with equally many tokens (decoupled cross-attention: Ye et al. 2023, arXiv:2308.06721, 3.2.2).

    Attributes:
        rows: which of the forward's rows they are, R.
        scales: weight of what each row sees in them, R x 1 x 1 x 1, float32.
        keys_values: of each row, for each cross-attention of the network: keys and values of its image tokens side by side, S x 2 C.
    """

    rows: Tensor
    scales: Tensor
    keys_values: Sequence[Sequence[Tensor]]


@dataclass(frozen=True, eq=False)
class Context:
    """What attention reads beside the feature map.

    Attributes:
        text_BSC: features of text tokens, padding included.
        query_chunk: queries that attend to each other at a time, to save memory; None for all.
        images: rows that look at pictures; each at most once.
        perturbed: by the place of a self-attention, the rows in which every position looks nowhere but at itself there (Ahn et al.
            2024, arXiv:2403.17377, 4.2).
    """

    text_BSC: Tensor
    query_chunk: int | None = None
    images: tuple[ImageRows, ...] = ()
    perturbed: Mapping[int, Tensor] = field(default_factory=dict[int, Tensor])


class Output(nn.Sequential):
    """What follows attention: one linear layer, under the name that published files give it."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Linear(channels, channels))


class SelfAttention(nn.Module):
    """Every position gathers from all positions of its row.

    Attributes:
        place: which of the network's self-attentions it is; the network says so.
    """

    place: int = 0

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self._heads = sizes.heads
        self.to_qkv = nn.Linear(sizes.channels, 3 * sizes.channels, bias=False)
        self.to_out = Output(sizes.channels)

    def forward(self, x_BLC: Tensor, context: Context) -> Tensor:
        qkv_BL3ND = self.to_qkv(x_BLC).unflatten(-1, (3, self._heads, -1))
        seen_BLC = attended(qkv_BL3ND[:, :, :2], qkv_BL3ND[:, :, 2], context.query_chunk)
        rows = context.perturbed.get(self.place)
        if rows is not None:
            seen_BLC = seen_BLC.index_copy(0, rows, qkv_BL3ND[rows, :, 2].flatten(2))
        return self.to_out(seen_BLC)


class CrossAttention(nn.Module):
    """Every position gathers from the text of its row, and apart from that from its pictures.

    Attributes:
        place: which of the network's cross-attentions it is; the network says so.
    """

    place: int = 0

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self._heads = sizes.heads
        self.to_q = nn.Linear(sizes.channels, sizes.channels, bias=False)
        self.to_kv = nn.Linear(sizes.context_channels, 2 * sizes.channels, bias=False)
        self.to_out = Output(sizes.channels)

    def forward(self, x_BLC: Tensor, context: Context) -> Tensor:
        q_BNLD = self.to_q(x_BLC).unflatten(-1, (self._heads, -1)).transpose(1, 2)
        seen_BNLD = self._seen(q_BNLD, self.to_kv(context.text_BSC))
        for images in context.images:
            kv_RSC = torch.stack([keys_values[self.place] for keys_values in images.keys_values])
            more_RNLD = images.scales * self._seen(q_BNLD[images.rows], kv_RSC)
            seen_BNLD = seen_BNLD.index_add(0, images.rows, more_RNLD.to(seen_BNLD.dtype))
        return self.to_out(seen_BNLD.transpose(1, 2).flatten(2))

    def _seen(self, q_BNLD: Tensor, kv_BSC: Tensor) -> Tensor:
        kv_BS2ND = kv_BSC.view(*kv_BSC.shape[:2], 2, self._heads, -1)
        k_BNSD, v_BNSD = kv_BS2ND.permute(2, 0, 3, 1, 4).unbind(0)
        return functional.scaled_dot_product_attention(q_BNLD, k_BNSD, v_BNSD)


class GeGlu(nn.Module):
    """One linear layer, half of whose channels gate the others by GELU (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, channels: int, channels_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * channels_out)

    def forward(self, x_BLC: Tensor) -> Tensor:
        value_BLC, gate_BLC = self.proj(x_BLC).chunk(2, dim=-1)
        return value_BLC * functional.gelu(gate_BLC)


class FeedForward(nn.Module):
    """A gated layer four times as wide, and the way back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # The empty place in the middle was a dropout: published files count it.
        self.net = nn.Sequential(GeGlu(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels))

    def forward(self, x_BLC: Tensor) -> Tensor:
        return self.net(x_BLC)


class TransformerBlock(nn.Module):
    """Self-attention, attention to the text, and a feed-forward layer, each behind a layer norm and added to its input."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(sizes.channels)
        self.attn1 = SelfAttention(sizes)
        self.norm2 = nn.LayerNorm(sizes.channels)
        self.attn2 = CrossAttention(sizes)
        self.norm3 = nn.LayerNorm(sizes.channels)
        self.ff = FeedForward(sizes.channels)

    def forward(self, x_BLC: Tensor, context: Context) -> Tensor:
        x_BLC = x_BLC + self.attn1(self.norm1(x_BLC), context)
        x_BLC = x_BLC + self.attn2(self.norm2(x_BLC), context)
        return x_BLC + self.ff(self.norm3(x_BLC))


class SpatialTransformer(nn.Module):
    """Transformer blocks over the positions of a feature map, added to it (Rombach et al. 2022, arXiv:2112.10752, E.2.1).

    The layers before and after the blocks are linear, whether a file holds them as matrices or as 1 x 1 convolutions. The difference is
    how their input lies: Diffusers gives matrices a view and convolutions the map itself, and bfloat16 rounds by that on a CPU.
    """

    def __init__(self, sizes: TransformerSizes, norm_num_groups: int) -> None:
        super().__init__()
        self._takes_view = sizes.linear_projection
        self.norm = nn.GroupNorm(norm_num_groups, sizes.channels, eps=NORM_EPS)
        self.proj_in = nn.Linear(sizes.channels, sizes.channels)
        self.transformer_blocks = nn.ModuleList(TransformerBlock(sizes) for _ in range(sizes.depth))
        self.proj_out = nn.Linear(sizes.channels, sizes.channels)

    def forward(self, x_BCHW: Tensor, context: Context) -> Tensor:
        view_BLC = self.norm(x_BCHW).flatten(2).transpose(1, 2)
        h_BLC = self.proj_in(view_BLC if self._takes_view else view_BLC.contiguous())
        for block in self.transformer_blocks:
            h_BLC = block(h_BLC, context)
        # Contiguous, or the convolutions that follow would take the layout of a view and round otherwise.
        return self.proj_out(h_BLC).transpose(1, 2).contiguous().view(x_BCHW.shape) + x_BCHW
