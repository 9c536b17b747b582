"""A transformer and its text encoder trained together, and the batches that they see.

Shape suffixes: B = pictures, N = all pictures, L = latent positions or tokens, C = channels, 4 = position axes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import Qwen3Config

from models.flow.flux2 import Flux2, Flux2Params
from models.latents import image_ids, text_ids
from models.text.qwen3 import Qwen3Encoder
from models.text.tokenizers import ChatTokenizer, Tokens
from models.training.objectives import flow_matching_loss, interpolate, sample_times

MODULATION_STD = 0.02
EMBEDDING_STD = 0.5  # words that hardly differ at the start would be learned late


class PromptedFlow(nn.Module):
    """Velocities from latents and prompts."""

    def __init__(self, params: Flux2Params, text_config: Qwen3Config, out_layers: tuple[int, ...]) -> None:
        super().__init__()
        self.transformer = Flux2(params)
        self.text_encoder = Qwen3Encoder(text_config, out_layers)
        self._start_near_identity()

    def _start_near_identity(self) -> None:
        """Small gates and a silent last layer (Peebles and Xie 2022, arXiv:2212.09748, adaLN-Zero)."""
        for name, parameter in self.transformer.named_parameters():
            if "modulation" in name:
                nn.init.normal_(parameter, std=MODULATION_STD)
        nn.init.zeros_(self.transformer.final_layer.linear.weight)
        nn.init.normal_(self.text_encoder.get_parameter("model.embed_tokens.weight"), std=EMBEDDING_STD)

    def forward(self, x_BLC: Tensor, t_B: Tensor, tokens: Tokens, side: int) -> Tensor:
        """Return velocities of square latents, `side` positions a side."""
        context_BLC = self.text_encoder(tokens)
        batch, length, _ = context_BLC.shape
        x_ids_BL4 = image_ids(side, side).expand(batch, -1, -1)
        return self.transformer(x_BLC, x_ids_BL4, t_B, context_BLC, text_ids(length).expand(batch, -1, -1))


class CaptionedLatents:
    """Draws batches of latents and one of each row's captions, or none now and then, for guidance (Ho and Salimans 2022)."""

    def __init__(
        self,
        latents_NLC: Tensor,
        captions: Sequence[tuple[str, ...]],
        tokenizer: ChatTokenizer,
        *,
        num_tokens: int,
        drop_caption: float,
    ) -> None:
        self._latents_NLC = latents_NLC
        self._num_captions = torch.tensor([len(forms) for forms in captions])
        offsets = torch.cat([torch.ones(1, dtype=torch.int64), 1 + self._num_captions.cumsum(0)[:-1]])
        self._first_caption = offsets
        texts = ["", *(form for forms in captions for form in forms)]
        self._tokens = tokenizer(texts, num_tokens)
        self._drop_caption = drop_caption

    @property
    def side(self) -> int:
        """Latent positions a side."""
        return round(self._latents_NLC.shape[1] ** 0.5)

    def batch(self, num: int, generator: torch.Generator) -> tuple[Tensor, Tokens]:
        """Draw latents, B x L x C, and the tokens of their captions."""
        rows_B = torch.randint(len(self._latents_NLC), (num,), generator=generator)
        form_B = (torch.rand(num, generator=generator) ** 2 * self._num_captions[rows_B]).long()
        is_dropped_B = torch.rand(num, generator=generator) < self._drop_caption
        caption_B = torch.where(is_dropped_B, 0, self._first_caption[rows_B] + form_B)
        return self._latents_NLC[rows_B], Tokens(self._tokens.ids_BL[caption_B], self._tokens.mask_BL[caption_B])


def batch_loss(
    network: PromptedFlow, data: CaptionedLatents, batch_size: int, shift: float, generator: torch.Generator
) -> Tensor:
    """Draw a batch, times and noise, and return the flow matching loss."""
    x0_BLC, tokens = data.batch(batch_size, generator)
    noise_BLC = torch.randn(x0_BLC.shape, generator=generator)
    t_B = sample_times(batch_size, shift, generator)
    return flow_matching_loss(network(interpolate(x0_BLC, noise_BLC, t_B), t_B, tokens, data.side), x0_BLC, noise_BLC)
