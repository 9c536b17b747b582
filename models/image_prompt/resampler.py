"""The resampler of the "plus" adapters: learnt queries gather from a picture's patches (Alayrac et al. 2022, arXiv:2204.14198, 3.1).

Shape suffixes: B = pictures, P = patches and the class token, S = image tokens, C = channels, N = heads, D = channels of a head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_CHANNELS = 64


@dataclass(frozen=True)
class ResamplerParams:
    """Sizes of a Resampler.

    Attributes:
        in_channels: of a patch.
        hidden_channels: of a query.
        out_channels: of a token.
        num_tokens: queries, each of which becomes a token.
        depth: layers.
        heads: of HEAD_CHANNELS each.
        inner_channels: of the feed-forward layers.
    """

    in_channels: int = 1280
    hidden_channels: int = 768
    out_channels: int = 768
    num_tokens: int = 16
    depth: int = 4
    heads: int = 12
    inner_channels: int = 3072

    reads_patches = True


class GatheringAttention(nn.Module):
    """The queries gather from the patches and from each other."""

    def __init__(self, params: ResamplerParams) -> None:
        super().__init__()
        self._heads = params.heads
        channels, inner = params.hidden_channels, params.heads * HEAD_CHANNELS
        self.norm_patches = nn.LayerNorm(channels)
        self.norm_queries = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_kv = nn.Linear(channels, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, channels, bias=False)

    def forward(self, patches_BPC: Tensor, queries_BSC: Tensor) -> Tensor:
        queries_BSC = self.norm_queries(queries_BSC)
        seen_BPC = torch.cat([self.norm_patches(patches_BPC), queries_BSC], dim=1)
        q_BNSD = self.to_q(queries_BSC).unflatten(-1, (self._heads, -1)).transpose(1, 2)
        k_BNPD, v_BNPD = self.to_kv(seen_BPC).unflatten(-1, (2, self._heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        gathered_BNSD = functional.scaled_dot_product_attention(q_BNSD, k_BNPD, v_BNPD)
        return self.to_out(gathered_BNSD.transpose(1, 2).flatten(2))


class ResamplerLayer(nn.Module):
    """Attention, then a feed-forward layer, each added to the queries."""

    def __init__(self, params: ResamplerParams) -> None:
        super().__init__()
        self.attention = GatheringAttention(params)
        self.norm = nn.LayerNorm(params.hidden_channels)
        self.up = nn.Linear(params.hidden_channels, params.inner_channels, bias=False)
        self.down = nn.Linear(params.inner_channels, params.hidden_channels, bias=False)

    def forward(self, patches_BPC: Tensor, queries_BSC: Tensor) -> Tensor:
        queries_BSC = self.attention(patches_BPC, queries_BSC) + queries_BSC
        return self.down(functional.gelu(self.up(self.norm(queries_BSC)))) + queries_BSC


class Resampler(nn.Module):
    """Patches to tokens: Resampler in tencent-ailab/IP-Adapter."""

    def __init__(self, params: ResamplerParams) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.empty(1, params.num_tokens, params.hidden_channels))
        self.proj_in = nn.Linear(params.in_channels, params.hidden_channels)
        self.layers = nn.ModuleList(ResamplerLayer(params) for _ in range(params.depth))
        self.proj_out = nn.Linear(params.hidden_channels, params.out_channels)
        self.norm_out = nn.LayerNorm(params.out_channels)

    def forward(self, features_BPC: Tensor) -> Tensor:
        """Return tokens, B x S x C, for what the encoder sees in every patch."""
        patches_BPC = self.proj_in(features_BPC)
        queries_BSC = self.latents.expand(len(features_BPC), -1, -1)
        for layer in self.layers:
            queries_BSC = layer(patches_BPC, queries_BSC)
        return self.norm_out(self.proj_out(queries_BSC))
