"""Muon: momentum whose update is orthogonalised, for the matrices inside a transformer (Jordan et al. 2024).

torch.optim.Muon iterates in bfloat16, which a processor without bfloat16 instructions runs tens of times slower; this one stays in
the parameters' own type. Embeddings, norm scales and the outermost layers belong to AdamW.
"""

from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor

# Coefficients of the quintic iteration, from github.com/KellerJordan/Muon.
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalised(matrix: Tensor, num_iterations: int = 5) -> Tensor:
    """Return a matrix with the same singular vectors and singular values of about 1 (between 0.7 and 1.2)."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.t() if is_tall else matrix
    x = x / (x.square().sum().sqrt() + 1e-7)
    for _ in range(num_iterations):
        gram = x @ x.t()
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x.t() if is_tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; steps have the root mean square of AdamW's (0.2), so rates carry over."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, *, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        """Take 2-D parameters. Moonshot's scaling (arXiv:2502.16982) makes lr comparable with AdamW's."""
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override] - a loss is never returned
        """Move every parameter that has a gradient; closure is never called."""
        for group in self.param_groups:
            for parameter in cast("list[Tensor]", group["params"]):
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                buffer = cast(Tensor, state["momentum"])
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                update = orthogonalised(parameter.grad.lerp(buffer, group["momentum"]))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * 0.2 * max(parameter.shape) ** 0.5)
