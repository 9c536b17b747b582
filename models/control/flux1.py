"""The ControlNet of FLUX.1 (InstantX' and Shakker Labs' form, Diffusers' FluxControlNetModel): the first blocks of the transformer, which
also read the latents of a picture, and a linear layer behind each. Union networks are told what the picture shows by a number.

Shape suffixes: B = 1, L = tokens, C = channels, A = axes of a position, T = times.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.flow.flux1 import Flux1, Flux1Params
from models.flow.rows import BlockResiduals, RowConstants
from models.layers.layouts import SideBySide
from models.layers.modulation import Modulation, side_by_side


@dataclass(frozen=True)
class Flux1ControlParams:
    """Sizes of the network.

    Attributes:
        transformer: of its blocks; the transformer beside it has the same widths.
        num_modes: of a union network, how many kinds of pictures it tells apart; None for a network of one kind.
    """

    transformer: Flux1Params = field(default_factory=Flux1Params)
    num_modes: int | None = None

    def fits(self, transformer: Flux1Params) -> bool:
        """Whether this network's maps can be added to those of a transformer, and whether it reads what that one reads."""
        own = replace(
            self.transformer,
            depth=transformer.depth,
            depth_single_blocks=transformer.depth_single_blocks,
            guidance_embed=transformer.guidance_embed,
        )
        return own == replace(transformer, in_channels=transformer.out_channels)


class Flux1ControlNet(Flux1):
    """Diffusers' FluxControlNetModel, but for XLabs' form."""

    def __init__(self, params: Flux1ControlParams) -> None:
        super().__init__(params.transformer)
        del self.final_layer
        self.control_params = params
        d = params.transformer.hidden_size
        self.controlnet_x_embedder = nn.Linear(params.transformer.in_channels, d)
        self.controlnet_blocks = nn.ModuleList(nn.Linear(d, d) for _ in self.double_blocks)
        self.controlnet_single_blocks = nn.ModuleList(nn.Linear(d, d) for _ in self.single_blocks)
        modes = params.num_modes
        self.controlnet_mode_embedder = None if modes is None else nn.Embedding(modes, d)

    def modulation_vectors(self, vec_TC: Tensor) -> list[Tensor]:
        active_TC = functional.silu(vec_TC)
        return [layer(active_TC) for layer in self.modules() if isinstance(layer, Modulation)]

    def hint(self, latents_LC: Tensor) -> Tensor:
        """What the network makes of the latents of a picture, once for all steps, L x C."""
        return self.controlnet_x_embedder(latents_LC[None])[0]

    def control_constants(
        self,
        context_LC: Tensor,
        ids_LA: Tensor,
        times_T: Tensor,
        vectors: Callable[[Tensor], Tensor],
        mode: int | None,
    ) -> RowConstants:
        """What stays the same while a row is denoised; arguments as of row_constants, and what the picture shows."""
        constants = self.row_constants(context_LC, ids_LA, times_T, vectors)
        if self.controlnet_mode_embedder is None or mode is None:
            return constants
        # The mode is one more text token, at the first one's place.
        told_1C = self.controlnet_mode_embedder(torch.tensor([mode], device=context_LC.device))
        return replace(
            constants,
            text_LC=torch.cat([told_1C, constants.text_LC]),
            turns_LP=torch.cat([constants.turns_LP[:1], constants.turns_LP]),
        )

    def residuals(
        self, tokens_LC: Tensor, hint_LC: Tensor, constants: RowConstants, step: int, query_chunk: int | None
    ) -> BlockResiduals:
        """What is to be added to the picture's tokens after the blocks of the transformer beside it, at scale 1."""
        layout = SideBySide(constants.text_LC.shape[0], constants.turns_LP[None], query_chunk)
        sublayers = side_by_side(constants.modulation_TNC[step][None])
        text_BLC, image_BLC = constants.text_LC[None], self.img_in(tokens_LC[None]) + hint_LC
        doubles, singles = list[Tensor](), list[Tensor]()
        for index, block in enumerate(self.double_blocks):
            four = sublayers[4 * index : 4 * index + 4]
            image_BLC, text_BLC = block(image_BLC, text_BLC, four[:2], four[2:], layout)
            doubles.append(self.controlnet_blocks[index](image_BLC)[0])
        joint_BLC, first = layout.joined(text_BLC, image_BLC), 4 * len(self.double_blocks)
        for index, block in enumerate(self.single_blocks):
            joint_BLC = block(joint_BLC, sublayers[first + index], layout)
            singles.append(self.controlnet_single_blocks[index](layout.parted(joint_BLC)[1])[0])
        return BlockResiduals(doubles, singles)
