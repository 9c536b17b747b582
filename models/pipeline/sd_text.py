"""What Stable Diffusion 1.5 and SDXL read of a prompt: one or two CLIPs, side by side.

Shape suffixes: B = 1, L = tokens of a chunk, S = tokens of all chunks, C = channels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import UnsupportedInput
from models.pipeline.components import TextFeatures
from models.pipeline.reading import PLAINLY, PromptSyntax, Reading
from models.text.chunks import Chunk, chunked, cut, tensors, units
from models.text.clip import ClipFeatures, ClipTextEncoder
from models.text.emphasis import sections
from models.text.inversion import Embedding
from models.text.tokenizers import ClipTokenizer


@dataclass(frozen=True, eq=False)
class SdText:
    """The text encoders of a network.

    Attributes:
        encoders: each with its tokenizer; the features of a token lie side by side.
        skip: layers at the end of each that are left out for the tokens.
        normed: whether the final norm follows.
        is_pooled: whether the network is also told the pooled prompt, of the last encoder.
    """

    encoders: tuple[tuple[ClipTokenizer, ClipTextEncoder], ...]
    skip: int
    normed: bool
    is_pooled: bool

    @property
    def num_features(self) -> int:
        """Channels of a token."""
        return sum(encoder.num_features for _, encoder in self.encoders)

    @property
    def num_pooled(self) -> int:
        """Channels of the pooled prompt."""
        return self.encoders[-1][1].num_pooled

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of a token at the input of each encoder: of the learnt words that fit."""
        return tuple(encoder.num_features for _, encoder in self.encoders)

    @property
    def most_skip(self) -> int:
        """Layers that may be left out beyond the network's own."""
        return min(encoder.num_layers for _, encoder in self.encoders) - 1 - self.skip

    def check(self, reading: Reading) -> None:
        """Refuse what these encoders cannot do.

        Raises:
            UnsupportedInput: more layers would be left out than there are, or a learnt word is of another family.
        """
        if not 0 <= reading.clip_skip <= self.most_skip:
            raise UnsupportedInput(f"clip_skip: {reading.clip_skip} is given; it must be 0 to {self.most_skip}")
        for embedding in reading.embeddings:
            if embedding.widths != self.widths:
                theirs, ours = (" and ".join(map(str, widths)) for widths in (embedding.widths, self.widths))
                raise UnsupportedInput(
                    f"embeddings: the vectors of {embedding.trigger!r} have {theirs} channels; this network reads {ours}"
                )

    def features(self, text: str, device: torch.device, reading: Reading = PLAINLY) -> TextFeatures:
        """Turn a prompt into features.

        Args:
            text: the prompt.
            device: where the encoders live.
            reading: how it is read.

        Raises:
            UnsupportedInput: no layer would be left, a weight is out of bounds, or a learnt word is of another family.
        """
        self.check(reading)
        found = [self._read(index, text, device, reading) for index in range(len(self.encoders))]
        tokens_SC = torch.cat([torch.cat([chunk.tokens_BLC[0] for chunk in chunks]) for chunks in found], dim=-1)
        return TextFeatures(tokens_SC, found[-1][0].pooled_BC[0] if self.is_pooled else None)

    def _read(self, index: int, text: str, device: torch.device, reading: Reading) -> list[ClipFeatures]:
        """What one of the encoders makes of every chunk, each by itself. Of the prompt as a whole the first one tells."""
        tokenizer, encoder = self.encoders[index]
        skip = self.skip + reading.clip_skip
        chunks = _CHUNKS[reading.syntax](text, tokenizer, reading.embeddings)
        read = [tensors(chunk, tokenizer, index, device) for chunk in chunks]
        return [
            weighted(encoder.features(one.tokens, skip, normed=self.normed, splices=one.splices), one.weights_L)
            for one in read
        ]


def weighted(features: ClipFeatures, weights_L: Tensor | None) -> ClipFeatures:
    """Features of a chunk times the weights of its tokens, brought back to the mean that they had, as AUTOMATIC1111 does.

    Computed in float32; the result has the features' type. Where the weighted features have no mean, they stay as they are.
    """
    if weights_L is None:
        return features
    plain_BLC = features.tokens_BLC.float()
    times_BLC = plain_BLC * weights_L[:, None]
    before, after = plain_BLC.mean(), times_BLC.mean()
    restored_BLC = times_BLC * torch.where(after == 0, 1, before / after)
    return features._replace(tokens_BLC=restored_BLC.to(features.tokens_BLC))


def _plain(text: str, tokenizer: ClipTokenizer, embeddings: Sequence[Embedding]) -> list[Chunk]:
    return cut(units(text, 1.0, tokenizer, embeddings))


def _emphasised(text: str, tokenizer: ClipTokenizer, embeddings: Sequence[Embedding]) -> list[Chunk]:
    return chunked(sections(text), tokenizer, embeddings)


_CHUNKS: Mapping[PromptSyntax, Callable[[str, ClipTokenizer, Sequence[Embedding]], list[Chunk]]] = {
    "plain": _plain,
    "a1111": _emphasised,
}
