"""An exponential moving average of a network's parameters and buffers."""

import torch
from torch import Tensor, nn


class Ema:
    """Keeps float32 averages beside a network; averages.update is called once after every optimiser step."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start from the network's present values. decay is the weight of the past, in [0, 1)."""
        self.decay = decay
        self.averages: dict[str, Tensor] = {
            name: value.detach().clone() for name, value in network.state_dict().items() if value.is_floating_point()
        }

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the averages towards the network; early steps forget faster, so that the start leaves no trace."""
        decay = min(self.decay, (1 + step) / (10 + step))
        state = network.state_dict()
        for name, average in self.averages.items():
            average.lerp_(state[name], 1 - decay)

    def copy_to(self, network: nn.Module) -> None:
        """Overwrite a network of the same shape with the averages."""
        network.load_state_dict({**network.state_dict(), **self.averages})
