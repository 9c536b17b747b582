"""The FLUX.2 family's own ways: one text encoder, four position axes, latents that are patches already.

Shape suffixes: B = 1, L = tokens, C = channels, H, W = rows and columns, 4 = position axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models.flow.flux2 import Flux2
from models.flow.transformer import RowConstants
from models.image_prompt.adapter import ImageAdapter
from models.latents import image_ids, packed, text_ids, unpacked
from models.noise import initial_noise
from models.pipeline.components import AnyControlNet, Branch, Constants, Steering, TextFeatures, packed_rows
from models.pipeline.reading import PLAINLY, Reading
from models.pipeline.request import SizeConditioning
from models.pipeline.times import network_times
from models.samplers.trajectories import FlowTrajectory
from models.specs import GenerationDefaults, Guidance, ModelSpec
from models.text.mistral3 import Mistral3Encoder
from models.text.qwen3 import Qwen3Encoder
from models.text.tokenizers import ChatTokenizer, MistralChatTokenizer, Tokens
from models.vae.autoencoder_flux2 import AutoencoderFlux2
from models.vae.decoding import decoded
from models.vae.encoding import encoded
from models.vae.tiling import Tiling

REFERENCE_SPACING = 10
"""Reference k stands at 10 + 10 k on the first axis (BFL `prc_img`)."""


@dataclass(frozen=True, eq=False)
class Flux2Components:
    """A FLUX.2 [dev] or klein folder, loaded. Fields that models.pipeline.components names are described there."""

    spec: ModelSpec
    transformer: Flux2
    autoencoder: AutoencoderFlux2
    text_encoder: Qwen3Encoder | Mistral3Encoder
    tokenizer: ChatTokenizer | MistralChatTokenizer
    trajectory: FlowTrajectory
    defaults: GenerationDefaults
    tiling: Tiling
    query_chunk: int | None
    revision: str
    device: torch.device
    dtype: torch.dtype

    packs_branches = False

    @property
    def pixels_per_position(self) -> int:
        return self.autoencoder.params.pixels_per_position

    @torch.no_grad()
    def encode_text(self, text: str, max_length: int, reading: Reading = PLAINLY) -> TextFeatures:
        tokens = self.tokenizer([text], max_length)
        features_BLC: Tensor = self.text_encoder(Tokens(*(part.to(self.device) for part in tokens)))
        return TextFeatures(features_BLC[0])

    def check_reading(self, reading: Reading) -> None:
        reading.require_plain(self.spec.name)

    @torch.no_grad()
    def encode_picture(self, image_BCHW: Tensor, generator: torch.Generator | None) -> Tensor:
        """The mean: Diffusers draws nothing here for FLUX.2."""
        latent_BCHW = encoded(self.autoencoder, image_BCHW.to(self.device, self.dtype), self.tiling)
        return packed(latent_BCHW.to(self.dtype))[0]

    def noise(self, rows: int, columns: int, generator: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
        channels = self.transformer.params.in_channels
        return packed(initial_noise(channels, rows, columns, generator, dtype or self.dtype))[0].to(self.device)

    def mask_channels(self, mask_BCHW: Tensor) -> Tensor:
        raise AssertionError("no network of FLUX.2 sees a mask")

    def mask_weights(self, mask_BCHW: Tensor, rows: int, columns: int) -> Tensor:
        weights_BCHW = functional.interpolate(mask_BCHW, size=(rows, columns), mode="bilinear")
        return packed(weights_BCHW)[0].to(self.device, self.dtype)

    def image_ids(self, rows: int, columns: int) -> Tensor:
        return image_ids(rows, columns).to(self.device)

    def reference_ids(self, index: int, rows: int, columns: int) -> Tensor:
        return image_ids(rows, columns, reference=REFERENCE_SPACING * (index + 1)).to(self.device)

    def takes_adapter(self, adapter: ImageAdapter) -> bool:
        return False

    def takes_control(self, network: AnyControlNet) -> bool:
        return False

    def control_hint(
        self, network: AnyControlNet, image: Image.Image, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        raise AssertionError("no ControlNet fits these networks")

    @torch.inference_mode()
    def constants(
        self,
        text: TextFeatures,
        ids_LA: Tensor,
        times: Tensor,
        guidance: float,
        size: SizeConditioning,
        steering: Sequence[Steering] = (),
    ) -> RowConstants:
        is_read = self.spec.guidance is Guidance.EMBEDDED
        strength_1 = torch.tensor([guidance], dtype=self.dtype, device=self.device) if is_read else None
        all_ids_LA = torch.cat([text_ids(text.tokens_LC.shape[0]).to(self.device), ids_LA])
        network_T = network_times(times, self.dtype, self.device)
        vectors = partial(self.transformer.vectors, guidance_B=strength_1, dtype=self.dtype)
        return self.transformer.row_constants(text.tokens_LC, all_ids_LA, network_T, vectors)

    def perturbed(self, constants: Constants, blocks: Sequence[str]) -> Constants:
        raise AssertionError("no block of these networks is perturbed")

    @torch.inference_mode()
    def outputs(self, rows: Sequence[Branch]) -> list[Tensor]:
        return self.transformer.velocities(packed_rows(rows), self.query_chunk)

    @torch.no_grad()
    def decode(self, latents_LC: Tensor, rows: int, columns: int) -> Tensor:
        latent_BCHW = unpacked(latents_LC[None].to(self.dtype), rows, columns)
        return decoded(self.autoencoder, latent_BCHW, self.tiling)[0]
