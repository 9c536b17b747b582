"""What the transformers of FLUX.1 and FLUX.2 have in common: rows of any sizes go through the same blocks together.

A row is a picture, or one branch of its guidance. What does not change while it is denoised is computed once (RowConstants) and
belongs to the row, never to the network. Linear layers, norms and modulation run over all tokens of all rows, without padding;
attention stays within a row.

Shape suffixes: B = rows, L = tokens, C = channels, A = axes of a position, T = times, N = vectors, P = rotated pairs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import cycle

import torch
from torch import Tensor, nn

from models.flow.rows import PackedRow, RowConstants, added_to
from models.layers.layouts import Layout, OneAfterAnother, SideBySide
from models.layers.modulation import Sublayer, modulation_table, one_after_another, side_by_side
from models.layers.rope import rotation_angles, turns
from models.layers.sizes import TransformerSizes
from models.layers.streams import LastLayer

AfterBlock = Callable[[int], Tensor | None]
"""By the number of a block, what is added to the picture's stream behind it."""


class Transformer(nn.Module, ABC):
    """Two kinds of blocks after an input layer for each stream, and a last layer. Families add what makes the vectors."""

    sizes: TransformerSizes
    img_in: nn.Linear
    txt_in: nn.Linear
    double_blocks: nn.ModuleList
    single_blocks: nn.ModuleList
    final_layer: LastLayer
    modulations: tuple[int, int]
    """Of double and of single blocks, how many have vectors of their own. Fewer than blocks: the others share them."""

    @abstractmethod
    def modulation_vectors(self, vec_TC: Tensor) -> list[Tensor]:
        """Make the vectors of every sublayer: picture then text of double blocks, single blocks, last layer."""

    def table(self, vec_TC: Tensor) -> Tensor:
        """What modulates every sublayer, T x N x C, of conditioning vectors."""
        return modulation_table(self.modulation_vectors(vec_TC), self.sizes.hidden_size)

    def turns(self, ids_BLA: Tensor) -> Tensor:
        """Rotation of tokens at these positions."""
        return turns(rotation_angles(ids_BLA, self.sizes.axes_dim, self.sizes.theta))

    def row_constants(
        self, context_LC: Tensor, ids_LA: Tensor, times_T: Tensor, vectors: Callable[[Tensor], Tensor]
    ) -> RowConstants:
        """Compute what stays the same while a row is denoised.

        Args:
            context_LC: text features.
            ids_LA: positions of text tokens, then of the others.
            times_T: every time that the network will be asked about.
            vectors: conditioning vectors of times. In types narrower than float32 it is asked for one time after another, because
                there a product depends on the batch, and Diffusers asks so.
        """
        batches = [times_T] if times_T.dtype is torch.float32 else times_T[:, None].unbind(0)
        tables = [self.table(vectors(some_T)) for some_T in batches]
        return RowConstants(self.txt_in(context_LC[None])[0], self.turns(ids_LA[None])[0], torch.cat(tables))

    def velocities(self, rows: Sequence[PackedRow], query_chunk: int | None = None) -> list[Tensor]:
        """Predict the velocity dx/dt of every token of every row; a row does not depend on its company.

        Args:
            rows: at least one, each with its own lengths, time, guidance and text. For inference: no gradients.
            query_chunk: queries that attend at a time, to save memory; None for all.

        Returns:
            For each row L x C, those of reference tokens without meaning.
        """
        lengths = {(row.constants.text_LC.shape[0], row.tokens_LC.shape[0]) for row in rows}
        together = self._side_by_side if len(lengths) == 1 else self._one_after_another
        return together(rows, query_chunk)

    def _side_by_side(self, rows: Sequence[PackedRow], query_chunk: int | None) -> list[Tensor]:
        text_BLC = _stacked([row.constants.text_LC for row in rows])
        table_BNC = _stacked([row.constants.modulation_TNC[row.step] for row in rows])
        turns_BLP = _stacked([row.constants.turns_LP for row in rows])
        layout = SideBySide(text_BLC.shape[1], turns_BLP, query_chunk)
        image_BLC = self.img_in(_stacked([row.tokens_LC for row in rows]))
        added = self._added(rows, query_chunk, _stacked)
        return list(self.blocks(image_BLC, text_BLC, side_by_side(table_BNC), layout, added).unbind(0))

    def _one_after_another(self, rows: Sequence[PackedRow], query_chunk: int | None) -> list[Tensor]:
        text_BLC = torch.cat([row.constants.text_LC for row in rows])[None]
        turns_BLP = torch.cat([row.constants.turns_LP for row in rows])[None]
        texts, images = [row.constants.text_LC.shape[0] for row in rows], [row.tokens_LC.shape[0] for row in rows]
        layout = OneAfterAnother(texts, images, turns_BLP, query_chunk)
        doubles, singles = self.modulations
        lengths = [images, images, texts, texts] * doubles + [layout.lengths] * singles + [images]
        sublayers = one_after_another([row.constants.modulation_TNC[row.step] for row in rows], lengths)
        image_BLC = self.img_in(torch.cat([row.tokens_LC for row in rows])[None])
        added = self._added(rows, query_chunk, lambda parts: torch.cat(list(parts))[None])
        return list(self.blocks(image_BLC, text_BLC, sublayers, layout, added)[0].split_with_sizes(images))

    def _added(
        self, rows: Sequence[PackedRow], query_chunk: int | None, pack: Callable[[Sequence[Tensor]], Tensor]
    ) -> AfterBlock:
        """What ControlNets add after each block, in the layout of the rows."""
        found = added_to(rows, (len(self.double_blocks), len(self.single_blocks)), query_chunk)

        def after(block: int) -> Tensor | None:
            parts = [None if added is None else added[block] for added in found]
            if all(part is None for part in parts):
                return None
            nothing = [row.tokens_LC.new_zeros(row.tokens_LC.shape[0], self.sizes.hidden_size) for row in rows]
            return pack([zeros if part is None else part for part, zeros in zip(parts, nothing, strict=True)])

        return after

    def blocks(
        self,
        image_BLC: Tensor,
        text_BLC: Tensor,
        sublayers: Sequence[Sublayer],
        layout: Layout,
        added: AfterBlock = lambda _block: None,
    ) -> Tensor:
        """Run everything after the input layers: velocities of the picture's tokens, and what follows them.

        Args:
            image_BLC: the picture's stream.
            text_BLC: the text's.
            sublayers: how each enters and leaves every block.
            layout: of the rows.
            added: what is added to the picture's stream after a block, doubles first.
        """
        doubles, singles = self.modulations
        of_doubles = [sublayers[i : i + 4] for i in range(0, 4 * doubles, 4)]
        of_singles = sublayers[4 * doubles : 4 * doubles + singles]
        for index, (block, four) in enumerate(zip(self.double_blocks, cycle(of_doubles), strict=False)):
            image_BLC, text_BLC = block(image_BLC, text_BLC, four[:2], four[2:], layout)
            image_BLC = image_BLC if (more := added(index)) is None else image_BLC + more
        joint_BLC, first = layout.joined(text_BLC, image_BLC), len(self.double_blocks)
        for index, (block, sublayer) in enumerate(zip(self.single_blocks, cycle(of_singles), strict=False), first):
            joint_BLC = block(joint_BLC, sublayer, layout)
            if (more := added(index)) is not None:
                joint_BLC = joint_BLC + layout.joined(torch.zeros_like(text_BLC), more)
        return self.final_layer(layout.parted(joint_BLC)[1], sublayers[-1])


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """Stack; a single part is a view."""
    return parts[0][None] if len(parts) == 1 else torch.stack(list(parts))
