"""The FLUX.1 family's own ways: two text encoders, three position axes, latents that are patched before they are packed.

Shape suffixes: B = 1, L = tokens, C = channels, H, W = rows and columns, 3 = position axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models.control.flux1 import Flux1ControlNet
from models.flow.flux1 import Flux1
from models.flow.rows import FlowControl, RowConstants
from models.image_prompt.adapter import ImageAdapter
from models.latents import image_ids, packed, patched, unpacked, unpatched
from models.noise import initial_noise
from models.pipeline.components import AnyControlNet, Branch, Constants, Steering, TextFeatures, packed_rows
from models.pipeline.pictures import pixels
from models.pipeline.reading import PLAINLY, Reading
from models.pipeline.request import SizeConditioning
from models.pipeline.times import network_times
from models.samplers.trajectories import FlowTrajectory
from models.specs import GenerationDefaults, Guidance, ModelSpec
from models.text.clip import ClipTextEncoder
from models.text.t5 import T5Encoder
from models.text.tokenizers import ClipTokenizer, T5Tokenizer, Tokens
from models.vae.autoencoder_flux1 import AutoencoderFlux1
from models.vae.decoding import decoded
from models.vae.encoding import encoded
from models.vae.tiling import Tiling

PATCH = 2
CLIP_LENGTH = 77
"""Tokens that CLIP reads of every prompt."""


@dataclass(frozen=True, eq=False)
class Flux1Components:
    """A FLUX.1 folder, loaded. Fields that models.pipeline.components names are described there."""

    spec: ModelSpec
    transformer: Flux1
    autoencoder: AutoencoderFlux1
    clip: ClipTextEncoder
    clip_tokenizer: ClipTokenizer
    t5: T5Encoder
    t5_tokenizer: T5Tokenizer
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
        features_BLC: Tensor = self.t5(self._on_device(self.t5_tokenizer([text], max_length)))
        pooled_BC: Tensor = self.clip(self._on_device(self.clip_tokenizer([text], CLIP_LENGTH)))
        return TextFeatures(features_BLC[0], pooled_BC[0])

    def _on_device(self, tokens: Tokens) -> Tokens:
        return Tokens(*(part.to(self.device) for part in tokens))

    def check_reading(self, reading: Reading) -> None:
        reading.require_plain(self.spec.name)

    @torch.no_grad()
    def encode_picture(self, image_BCHW: Tensor, generator: torch.Generator | None) -> Tensor:
        latent_BCHW = encoded(self.autoencoder, image_BCHW.to(self.device, self.dtype), self.tiling, generator)
        return _tokens(latent_BCHW.to(self.dtype))

    def noise(self, rows: int, columns: int, generator: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
        channels = self.autoencoder.params.z_channels
        noise_BCHW = initial_noise(channels, PATCH * rows, PATCH * columns, generator, dtype or self.dtype)
        return _tokens(noise_BCHW).to(self.device)

    def mask_channels(self, mask_BCHW: Tensor) -> Tensor:
        cells_BCHW = patched(mask_BCHW, self.pixels_per_position // PATCH)
        return _tokens(cells_BCHW).to(self.device, self.dtype)

    def mask_weights(self, mask_BCHW: Tensor, rows: int, columns: int) -> Tensor:
        channels = self.autoencoder.params.z_channels
        weights_BCHW = functional.interpolate(mask_BCHW, size=(PATCH * rows, PATCH * columns))
        return _tokens(weights_BCHW.expand(-1, channels, -1, -1)).to(self.device, self.dtype)

    def image_ids(self, rows: int, columns: int) -> Tensor:
        return image_ids(rows, columns, num_axes=3).to(self.device)

    def reference_ids(self, index: int, rows: int, columns: int) -> Tensor:
        return image_ids(rows, columns, reference=index + 1, num_axes=3).to(self.device)

    def takes_adapter(self, adapter: ImageAdapter) -> bool:
        return False

    def takes_control(self, network: AnyControlNet) -> bool:
        return isinstance(network, Flux1ControlNet) and network.control_params.fits(self.transformer.params)

    @torch.no_grad()
    def control_hint(
        self, network: AnyControlNet, image: Image.Image, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        assert isinstance(network, Flux1ControlNet)
        return network.hint(self.encode_picture(pixels(image, *size), generator))

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
        assert text.pooled_C is not None
        pooled_1C, strength_1 = text.pooled_C[None], self._strength(guidance)
        network_T = network_times(times, self.dtype, self.device)
        vectors = partial(self.transformer.vectors, pooled_BC=pooled_1C, guidance_B=strength_1)
        constants = self.transformer.row_constants(text.tokens_LC, _all_ids(text, ids_LA), network_T, vectors)
        controls = tuple(self._control(one, ids_LA, network_T, guidance) for one in steering)
        return replace(constants, controls=controls)

    def _control(self, steering: Steering, ids_LA: Tensor, network_T: Tensor, guidance: float) -> FlowControl:
        network, text = steering.network, steering.text
        assert isinstance(network, Flux1ControlNet)
        assert text.pooled_C is not None
        is_read = network.params.guidance_embed
        strength_1 = torch.tensor([guidance], dtype=self.dtype, device=self.device) if is_read else None
        vectors = partial(network.vectors, pooled_BC=text.pooled_C[None], guidance_B=strength_1)
        constants = network.control_constants(text.tokens_LC, _all_ids(text, ids_LA), network_T, vectors, steering.mode)
        return FlowControl(network, steering.hint, constants, steering.scales)

    def _strength(self, guidance: float) -> Tensor | None:
        is_read = self.spec.guidance is Guidance.EMBEDDED
        return torch.tensor([guidance], dtype=self.dtype, device=self.device) if is_read else None

    def perturbed(self, constants: Constants, blocks: Sequence[str]) -> Constants:
        raise AssertionError("no block of these networks is perturbed")

    @torch.inference_mode()
    def outputs(self, rows: Sequence[Branch]) -> list[Tensor]:
        return self.transformer.velocities(packed_rows(rows), self.query_chunk)

    @torch.no_grad()
    def decode(self, latents_LC: Tensor, rows: int, columns: int) -> Tensor:
        latent_BCHW = unpatched(unpacked(latents_LC[None].to(self.dtype), rows, columns), PATCH)
        return decoded(self.autoencoder, latent_BCHW, self.tiling)[0]


def _all_ids(text: TextFeatures, ids_LA: Tensor) -> Tensor:
    """Positions of the text's tokens, all zero, then of the others."""
    return torch.cat([ids_LA.new_zeros(text.tokens_LC.shape[0], ids_LA.shape[1]), ids_LA])


def _tokens(latent_BCHW: Tensor) -> Tensor:
    """Squares of neighbours as tokens, L x C. The channels of a token are neighbours in memory, as Diffusers has them: bfloat16
    products round by that."""
    return packed(patched(latent_BCHW, PATCH))[0].contiguous()
