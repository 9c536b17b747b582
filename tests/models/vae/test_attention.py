"""Attention in chunks of queries is attention."""

import pytest
import torch
from torch.nn import functional

from models.vae.attention import MAX_SCORES, single_head_attention


@pytest.mark.parametrize("max_scores", [1, 2 * 37 * 5, 2 * 37 * 36])
def test_chunks_of_queries_give_whole_attention(max_scores: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 37, 8, generator=generator) for _ in range(3))
    whole = functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
    torch.testing.assert_close(single_head_attention(q, k, v, max_scores), whole, atol=1e-6, rtol=0)
    by_hand = torch.softmax(q @ k.mT / 8**0.5, dim=-1) @ v
    torch.testing.assert_close(whole, by_hand, atol=1e-6, rtol=0)


def test_no_chunk_holds_more_scores_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    attend = functional.scaled_dot_product_attention

    def counted(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        held.append(q.shape[0] * q.shape[2] * k.shape[2])
        return attend(q, k, v)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", counted)
    x = torch.randn(1, 100, 4)
    single_head_attention(x, x, x, max_scores=1000)
    assert held == [1000] * 10


def test_a_picture_of_1024_pixels_a_side_is_one_chunk_and_one_of_2048_is_sixteen() -> None:
    assert MAX_SCORES // 128**2 == 128**2
    assert 256**2 // (MAX_SCORES // 256**2) == 16
