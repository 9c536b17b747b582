"""Activations equal their formulas, far out as well."""

import torch
from torch.nn import functional

from models.layers.feed_forward import TanhGelu


def test_gelu_is_torchs_at_every_size_and_so_is_its_slope() -> None:
    far = torch.tensor([-1e20, -1e13, -300.0, 300.0, 1e13, 1e20])
    torch.testing.assert_close(TanhGelu()(far), functional.gelu(far, approximate="tanh"))
    x = torch.linspace(-12, 12, 4001)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    made, expected = TanhGelu()(ours), functional.gelu(theirs, approximate="tanh")
    torch.testing.assert_close(made, expected, atol=1e-6, rtol=1e-6)
    made.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=0)


def test_in_bfloat16_gelu_rounds_where_torch_does() -> None:
    x = torch.linspace(-8, 8, 999).bfloat16()
    assert torch.equal(TanhGelu()(x), functional.gelu(x, approximate="tanh"))
