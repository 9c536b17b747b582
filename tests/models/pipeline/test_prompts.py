"""Prompts of Stable Diffusion 1.5 and SDXL: learnt words and layers left out against Diffusers, emphasis and chunks by closed forms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from torch import Tensor

from models.errors import UnsupportedInput
from models.pipeline.drawing import draw, encode_request
from models.pipeline.loading import load_components
from models.pipeline.reading import NO_EMBEDDINGS, Embeddings, Reading
from models.pipeline.request import request_for
from models.pipeline.sd import SdComponents
from models.text.inversion import Embedding
from tests.fixtures.tiny_sd import Variant, tiny_sd_folder
from tests.fixtures.tiny_text import TEXT_SIZE, Oracle
from tests.models.pipeline.parity import PROMPT, SEES, Pixels, generator, largest, loaded, theirs

PIPELINES: dict[Variant, Any] = {"sd15": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
A1111 = Reading("a1111")
LONG = "a red apple on a blue background, " * 12
CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"num_steps": 2, "width": 64, "height": 64, "guidance": 5.0, "seed": 7}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Variant, Path]:
    root = tmp_path_factory.mktemp("prompts")
    return {which: tiny_sd_folder(root / which, which) for which in PIPELINES}


@pytest.fixture(scope="module")
def networks(folders: dict[Variant, Path]) -> dict[Variant, SdComponents]:
    return {which: components(folder) for which, folder in folders.items()}


def components(folder: Path) -> SdComponents:
    found = load_components(folder)
    assert isinstance(found, SdComponents)
    return found


def drawn(network: SdComponents, prompt: str, held: Embeddings = NO_EMBEDDINGS, **more: Any) -> Pixels:
    request = request_for(network.defaults, prompt, **SMALL | more)
    return np.asarray(draw(network, request, embeddings=held)).astype(np.int64)


def oracles(oracle: Oracle, prompt: str, **more: Any) -> Pixels:
    return theirs(
        oracle,
        prompt=prompt,
        generator=generator(),
        num_inference_steps=2,
        width=64,
        height=64,
        guidance_scale=5.0,
        **more,
    )


def vectors(count: int, seed: int, encoders: int) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, TEXT_SIZE, generator=random) * 2 for _ in range(encoders))


def features(network: SdComponents, text: str, reading: Reading = A1111) -> Tensor:
    return network.encode_text(text, 77, reading).tokens_LC


# Against Diffusers.


def taught(folder: Path, which: Variant, words: dict[str, tuple[Tensor, ...]]) -> Oracle:
    """An oracle that has learnt words, in the tokenizers and tables of its own."""
    oracle = loaded(PIPELINES[which].from_pretrained, folder)
    for word, (first, *second) in words.items():
        oracle.load_textual_inversion({word: first}, token=word)
        for tensor in second:
            oracle.load_textual_inversion(
                {word: tensor}, token=word, text_encoder=oracle.text_encoder_2, tokenizer=oracle.tokenizer_2
            )
    return oracle


@pytest.mark.parametrize("which", ["sd15", pytest.param("sdxl", marks=pytest.mark.prove)])
def test_learnt_words_draw_what_they_draw_in_diffusers(
    folders: dict[Variant, Path], networks: dict[Variant, SdComponents], which: Variant
) -> None:
    encoders = 2 if which == "sdxl" else 1
    words = {"<ztar>": vectors(1, 1, encoders), "<zquid>": vectors(3, 2, encoders)}
    held = {name: Embedding(name, name, tensors) for name, tensors in words.items()}
    oracle = taught(folders[which], which, words)
    plain = oracles(oracle, PROMPT)
    for prompt in ("a red <ztar> on a blue <zquid> background", "<zquid>, " + "one green sailboat " * 20 + "<ztar>"):
        expected = oracles(oracle, prompt, negative_prompt="a <ztar>")
        assert largest(expected, plain) >= SEES
        assert (
            largest(expected, oracles(oracle, prompt.replace("<zquid>", "<ztar>"), negative_prompt="a <ztar>")) >= SEES
        )
        found = drawn(networks[which], prompt, held, negative_prompt="a <ztar>", embeddings=tuple(held))
        assert largest(found, expected) <= 1


@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_clip_skip_leaves_out_what_diffusers_leaves_out(
    folders: dict[Variant, Path], networks: dict[Variant, SdComponents], which: Variant
) -> None:
    oracle = loaded(PIPELINES[which].from_pretrained, folders[which])
    # Diffusers looks for the final norm where older versions of transformers had it.
    object.__setattr__(oracle.text_encoder, "text_model", oracle.text_encoder)
    most = networks[which].text.most_skip
    # SDXL's first encoder has two layers here, of which the network itself leaves out one.
    skip, negative = (1, "one green sailboat") if which == "sd15" else (0, None)
    expected = oracles(oracle, PROMPT, clip_skip=skip, negative_prompt=negative)
    assert skip == most
    if skip:
        assert largest(expected, oracles(oracle, PROMPT, negative_prompt=negative)) >= SEES
    assert largest(drawn(networks[which], PROMPT, clip_skip=skip, negative_prompt=negative), expected) <= 1
    with pytest.raises(UnsupportedInput, match=f"clip_skip: {most + 1} is given; it must be 0 to {most}"):
        drawn(networks[which], PROMPT, clip_skip=most + 1)


# Closed forms.


@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_without_emphasis_both_syntaxes_give_the_same_bits(
    networks: dict[Variant, SdComponents], which: Variant
) -> None:
    for text in ("", PROMPT, "one green sailboat, two white mushrooms"):
        ours, plain = (networks[which].encode_text(text, 77, reading) for reading in (A1111, Reading()))
        assert torch.equal(ours.tokens_LC, plain.tokens_LC)
        assert (ours.pooled_C is None) == (plain.pooled_C is None)
        assert ours.pooled_C is None or plain.pooled_C is None or torch.equal(ours.pooled_C, plain.pooled_C)
    assert not torch.equal(features(networks[which], "(a) [b]"), features(networks[which], "(a) [b]", Reading()))
    assert torch.equal(features(networks[which], "(apple:1)"), features(networks[which], "apple", Reading()))


@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_weighted_features_are_multiplied_and_brought_back_to_their_mean(
    networks: dict[Variant, SdComponents], which: Variant
) -> None:
    """Start, "a", "red", "apple", ... : one token a word in this vocabulary; each encoder's part has a mean of its own."""
    text = networks[which].text
    plain = features(networks[which], "a red apple on a blue background", Reading())
    weights = torch.ones(77)
    weights[2:4], weights[6] = 1.3, 1 / 1.1
    expected: list[Tensor] = []
    for part in plain.split(text.widths, dim=-1):
        times = part * weights[:, None]
        expected.append(times * (part.mean() / times.mean()))
    found = features(networks[which], "a (red apple:1.3) on a [blue] background")
    torch.testing.assert_close(found, torch.cat(expected, dim=-1), rtol=1e-5, atol=1e-5)
    assert float((found - plain).abs().max()) > 0.05


def test_chunks_are_what_the_encoder_makes_of_each(networks: dict[Variant, SdComponents]) -> None:
    """Twelve times eight tokens: the first chunk ends after the comma before its 75th token, 3 tokens back."""
    for network in networks.values():
        whole = network.encode_text(LONG, 77, A1111)
        sentence = "a red apple on a blue background, "
        first, second = (network.encode_text(sentence * count, 77, Reading()) for count in (9, 3))
        assert torch.equal(whole.tokens_LC, torch.cat([first.tokens_LC, second.tokens_LC]))
        assert whole.pooled_C is None or first.pooled_C is None or torch.equal(whole.pooled_C, first.pooled_C)


def test_where_chunks_end(networks: dict[Variant, SdComponents]) -> None:
    network = networks["sd15"]

    def parts(*texts: str) -> Tensor:
        return torch.cat([features(network, text, Reading()) for text in texts])

    full = "apple " * 75
    assert torch.equal(features(network, full), parts(full))
    assert torch.equal(features(network, full + "red"), parts(full, "red"))
    assert torch.equal(features(network, full + ", red"), parts(full, ", red"))
    # A comma 19 tokens before the end moves what follows it, one of 20 does not.
    near, far = "apple " * 55 + ", " + "red " * 19, "apple " * 54 + ", " + "red " * 20
    assert torch.equal(features(network, near + "blue"), parts("apple " * 55 + ",", "red " * 19 + "blue"))
    assert torch.equal(features(network, far + "blue"), parts(far, "blue"))
    assert torch.equal(features(network, "red BREAK blue"), parts("red", "blue"))
    assert torch.equal(features(network, "red BREAK"), parts("red"))
    assert torch.equal(features(network, "BREAK red"), parts("", "red"))
    with pytest.raises(UnsupportedInput, match="prompt: it has 33 chunks of 75 tokens; at most 32 are read"):
        features(network, "red " * (75 * 32 + 1))


def test_learnt_words_are_never_parted(networks: dict[Variant, SdComponents]) -> None:
    network = networks["sd15"]
    word = Embedding("zquid", "r", vectors(4, 3, 1))
    reading, plainly = Reading("a1111", embeddings=(word,)), Reading(embeddings=(word,))
    whole = features(network, "apple " * 72 + "ZQUID red", reading)
    assert torch.equal(whole, torch.cat([features(network, text, plainly) for text in ("apple " * 72, "zquid red")]))
    # Inside another word it is no trigger.
    assert torch.equal(features(network, "zquidred", reading), features(network, "zquidred", Reading()))


def test_a_learnt_word_that_is_a_word_of_the_table_changes_nothing(networks: dict[Variant, SdComponents]) -> None:
    """Spliced in or looked up, the same vector gives the same features, bit for bit; and the table stays as it was."""
    for network in networks.values():
        tables = [encoder.model.embeddings.token_embedding.weight for _, encoder in network.text.encoders]
        before = [table.clone() for table in tables]
        (apple,) = network.text.encoders[0][0].pieces("apple")
        known = Embedding("<known>", "r", tuple(table[apple : apple + 1].detach().clone() for table in tables))
        found = network.encode_text("a red <known>", 77, Reading(embeddings=(known,)))
        expected = network.encode_text("a red apple", 77)
        assert torch.equal(found.tokens_LC, expected.tokens_LC)
        assert found.pooled_C is None or expected.pooled_C is None or torch.equal(found.pooled_C, expected.pooled_C)
        assert all(torch.equal(table, was) for table, was in zip(tables, before, strict=True))


@pytest.mark.parametrize(("prompt", "negative"), [(LONG, "one"), ("one", LONG), (LONG, LONG)])
def test_prompt_and_negative_prompt_have_as_many_chunks(
    networks: dict[Variant, SdComponents], prompt: str, negative: str
) -> None:
    network = networks["sd15"]
    request = request_for(network.defaults, prompt, negative_prompt=negative, prompt_syntax="a1111", **SMALL)
    found = encode_request(network, request)
    assert found.negative is not None
    empty = features(network, "", Reading())
    for text, given in ((found.text, prompt), (found.negative, negative)):
        assert text.tokens_LC.shape == (154, TEXT_SIZE)
        assert torch.equal(text.tokens_LC[77:], empty) == (given == "one")


@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_long_weighted_prompts_are_drawn_and_seen_to_their_end(
    networks: dict[Variant, SdComponents], which: Variant
) -> None:
    one, other = (
        drawn(networks[which], LONG + end, prompt_syntax="a1111") for end in ("(red)", "(green sailboat:1.4)")
    )
    assert largest(one, other) >= SEES
    cut, same = (drawn(networks[which], LONG + end) for end in ("(red)", "(green sailboat:1.4)"))
    assert largest(cut, same) == 0


def refused(network: SdComponents, embeddings: Sequence[Embedding], names: Sequence[str]) -> str:
    held = {f"word-{index}": embedding for index, embedding in enumerate(embeddings)}
    with pytest.raises(UnsupportedInput) as told:
        drawn(network, PROMPT, held, embeddings=tuple(names))
    return str(told.value)


def test_words_that_cannot_be_read_are_refused(networks: dict[Variant, SdComponents]) -> None:
    of_sdxl, of_sd = Embedding("<a>", "1", vectors(1, 1, 2)), Embedding("<A>", "2", vectors(1, 1, 1))
    told = refused(networks["sd15"], [of_sdxl], ["word-0"])
    assert told == "embeddings: the vectors of '<a>' have 32 and 32 channels; this network reads 32"
    assert "reads 32 and 32" in refused(networks["sdxl"], [of_sd], ["word-0"])
    assert refused(networks["sd15"], [], ["gone"]) == "embeddings: there is no embedding 'gone' beside this network"
    assert "two of them have the trigger" in refused(networks["sd15"], [of_sdxl, of_sd], ["word-0", "word-1"])
