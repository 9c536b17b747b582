"""Stable Diffusion 1.5 and SDXL: one or two CLIPs, a UNet, latents that are not patched, and sizes that SDXL is told.

Shape suffixes: B = rows or 1, L = tokens (positions of latents), C = channels, H, W = rows and columns, S = text tokens,
2 = axes of a position (row, column), T = times, K = numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models.control.controlnet import ControlNet
from models.image_prompt.adapter import ImageAdapter
from models.latents import packed, unpacked
from models.noise import initial_noise
from models.pipeline.components import AnyControlNet, Branch, Constants, ImageTokens, Steering, TextFeatures
from models.pipeline.pictures import levels
from models.pipeline.reading import PLAINLY, Reading
from models.pipeline.request import SizeConditioning
from models.pipeline.sd_text import SdText
from models.samplers.trajectories import DiffusionTrajectory
from models.specs import GenerationDefaults, ModelSpec
from models.unet.controls import UnetControl
from models.unet.images import UnetImages
from models.unet.perturbation import places_of
from models.unet.rows import UnetConstants, UnetRow, predictions
from models.unet.unet import Added, Encoder, Unet
from models.vae.autoencoder_flux1 import AutoencoderFlux1
from models.vae.decoding import decoded
from models.vae.encoding import encoded
from models.vae.tiling import Tiling


@dataclass(frozen=True, eq=False)
class SdComponents:
    """A folder of Stable Diffusion 1.5 or SDXL, loaded. Fields that models.pipeline.components names are described there."""

    spec: ModelSpec
    unet: Unet
    autoencoder: AutoencoderFlux1
    text: SdText
    trajectory: DiffusionTrajectory
    defaults: GenerationDefaults
    tiling: Tiling
    query_chunk: int | None
    revision: str
    device: torch.device
    dtype: torch.dtype

    packs_branches = True

    @property
    def pixels_per_position(self) -> int:
        return self.autoencoder.params.pixels_per_z

    @torch.no_grad()
    def encode_text(self, text: str, max_length: int, reading: Reading = PLAINLY) -> TextFeatures:
        return self.text.features(text, self.device, reading)

    def check_reading(self, reading: Reading) -> None:
        self.text.check(reading)

    @torch.no_grad()
    def encode_picture(self, image_BCHW: Tensor, generator: torch.Generator | None) -> Tensor:
        latent_BCHW = encoded(self.autoencoder, image_BCHW.to(self.device, self.dtype), self.tiling, generator)
        return packed(latent_BCHW.to(self.dtype))[0]

    def noise(self, rows: int, columns: int, generator: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
        noise_BCHW = initial_noise(self.autoencoder.params.z_channels, rows, columns, generator, dtype or self.dtype)
        return packed(noise_BCHW)[0].to(self.device)

    def mask_channels(self, mask_BCHW: Tensor) -> Tensor:
        height, width = (side // self.pixels_per_position for side in mask_BCHW.shape[2:])
        return self.mask_weights(mask_BCHW, height, width)

    def mask_weights(self, mask_BCHW: Tensor, rows: int, columns: int) -> Tensor:
        weights_BCHW = functional.interpolate(mask_BCHW, size=(rows, columns))
        return packed(weights_BCHW)[0].to(self.device, self.dtype)

    def image_ids(self, rows: int, columns: int) -> Tensor:
        return torch.cartesian_prod(torch.arange(rows), torch.arange(columns))

    def reference_ids(self, index: int, rows: int, columns: int) -> Tensor:
        raise AssertionError("these networks read no references")

    def takes_adapter(self, adapter: ImageAdapter) -> bool:
        return adapter.params.fits(self.unet.params)

    def takes_control(self, network: AnyControlNet) -> bool:
        if not isinstance(network, ControlNet):
            return False
        fits = network.control_params.fits(self.unet.params)
        return fits and network.control_params.pixels_per_position == self.pixels_per_position

    @torch.inference_mode()
    def control_hint(
        self, network: AnyControlNet, image: Image.Image, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        assert isinstance(network, ControlNet)
        return network.hint(levels(image, *size).to(self.device, self.dtype))[0]

    @torch.inference_mode()
    def constants(
        self,
        text: TextFeatures,
        ids_LA: Tensor,
        times: Tensor,
        guidance: float,
        size: SizeConditioning,
        steering: Sequence[Steering] = (),
    ) -> UnetConstants:
        rows, columns = (int(last) + 1 for last in ids_LA[-1])
        told_T = times.to(self.device)
        added = None if text.pooled_C is None else self._added(text.pooled_C, size, rows, columns)
        controls = tuple(
            UnetControl(one.network, one.hint, self._vectors(one.network, told_T, added), one.scales)
            for one in steering
            if isinstance(one.network, ControlNet)
        )
        vec_TC = self._vectors(self.unet, told_T, added)
        images = None if text.images is None else self._seen_images(text.images, len(told_T))
        return UnetConstants(text.tokens_LC.to(self.dtype), vec_TC, rows, columns, controls, images)

    def _seen_images(self, images: ImageTokens, num_steps: int) -> UnetImages:
        """Keys and values stay the same in all steps: they are computed once for the row."""
        keys_values = images.adapter.keys_values(images.tokens_SC)
        return UnetImages(tuple(kv_SC.to(self.dtype) for kv_SC in keys_values), (images.strength,) * num_steps)

    def _vectors(self, network: Encoder, told_T: Tensor, added: Added | None) -> Tensor:
        return torch.cat([network.vectors(told_1, added, self.dtype) for told_1 in told_T[:, None]])

    def _added(self, pooled_C: Tensor, size: SizeConditioning, rows: int, columns: int) -> Added:
        sizes = self.unet.params.added
        assert sizes is not None
        p = self.pixels_per_position
        numbers = size.numbers(columns * p, rows * p, is_scored=sizes.num_numbers == 5)
        return Added(pooled_C[None], torch.tensor([numbers], dtype=self.dtype, device=self.device))

    def perturbed(self, constants: Constants, blocks: Sequence[str]) -> UnetConstants:
        assert isinstance(constants, UnetConstants)
        return replace(constants, perturbed=places_of(self.unet, blocks))

    @torch.inference_mode()
    def outputs(self, rows: Sequence[Branch]) -> list[Tensor]:
        channels = self.autoencoder.params.z_channels
        return predictions(self.unet, [self._seen(row, channels) for row in rows], self.query_chunk)

    def _seen(self, row: Branch, channels: int) -> UnetRow:
        """The row as the network sees it: what stands beside the latents with the mask first, and not scaled."""
        assert isinstance(row.constants, UnetConstants)
        latents_LC = self.trajectory.seen(row.tokens_LC[:, :channels], row.time)
        masked_LC, mask_LC = row.tokens_LC[:, channels : 2 * channels], row.tokens_LC[:, 2 * channels :]
        return UnetRow(torch.cat([latents_LC, mask_LC, masked_LC], dim=-1), row.constants, row.step)

    @torch.no_grad()
    def decode(self, latents_LC: Tensor, rows: int, columns: int) -> Tensor:
        latent_BCHW = unpacked(latents_LC[None].to(self.dtype), rows, columns)
        return decoded(self.autoencoder, latent_BCHW, self.tiling)[0]
