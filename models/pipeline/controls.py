"""ControlNets beside a network: which of them a request needs, whether they fit, and what they make of its pictures.

Shape suffixes: B = 1, C = channels, H, W = rows and columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.control.flux1 import Flux1ControlNet
from models.errors import UnsupportedInput
from models.pipeline.components import AnyControlNet, Components, Steering, TextFeatures
from models.pipeline.request import DrawRequest


@dataclass(frozen=True, eq=False)
class ControlNetwork:
    """The folder of a ControlNet, loaded. Immutable: requests share it.

    Attributes:
        network: the network.
        revision: changes when any file of the folder does.
        device: where it lives.
        dtype: in which it runs.
    """

    network: AnyControlNet
    revision: str
    device: torch.device
    dtype: torch.dtype


Controls = Mapping[str, ControlNetwork]
"""By name."""
NO_CONTROLS: Controls = {}


def check_controls(components: Components, request: DrawRequest, controls: Controls) -> None:
    """Refuse ControlNets that are not there, or belong to another network. Weights are not looked at.

    Raises:
        UnsupportedInput: names the network.
    """
    for control in request.inputs.controls:
        found = controls.get(control.network)
        if found is None:
            raise UnsupportedInput(f"controls: there is no ControlNet {control.network!r} beside this network")
        if found.dtype is not components.dtype or not components.takes_control(found.network):
            raise UnsupportedInput(f"controls: {control.network} does not fit {components.spec.name}")
        modes = found.network.control_params.num_modes if isinstance(found.network, Flux1ControlNet) else None
        if (control.mode is None) != (modes is None) or (control.mode or 0) >= (modes or 1):
            takes = "takes no mode" if modes is None else f"needs a mode, 0 to {modes - 1}"
            raise UnsupportedInput(f"controls: {control.network} {takes}")


def hints(components: Components, request: DrawRequest, controls: Controls, generator: torch.Generator) -> list[Tensor]:
    """What each ControlNet makes of its picture, once for all steps.

    Args:
        components: of the network that draws.
        request: checked.
        controls: those that it names.
        generator: of everything random, for families that draw from a posterior.
    """
    return [
        components.control_hint(
            controls[control.network].network, control.image, (request.width, request.height), generator
        )
        for control in request.inputs.controls
    ]


def steering(
    request: DrawRequest, controls: Controls, found: Sequence[Tensor], num_steps: int, text: TextFeatures
) -> tuple[Steering, ...]:
    """The controls of a request at work: networks, hints, and their strength at each step."""
    return tuple(
        Steering(controls[control.network].network, hint, control.scales(num_steps), text, control.mode)
        for control, hint in zip(request.inputs.controls, found, strict=True)
    )
