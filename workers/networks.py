"""Which networks this worker has: folders of weights, found by name and loaded strictly."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
import torch

import models
from models.checkpoints.control_folder import is_control
from models.checkpoints.folder import INDEX, is_image_prompter
from models.errors import ModelError
from models.pipeline.components import Components
from models.pipeline.controls import ControlNetwork
from models.pipeline.image_prompts import ImagePrompter
from models.pipeline.loading import load_components, load_control, load_image_prompter
from workers.engine.lazy_network import LazyNetwork
from workers.engine.lazy_part import Current, LazyPart, Part, weight_bytes
from workers.engine.network import Network, PipelineNetwork
from workers.engine.residency import Residency

BUNDLED = Path(models.__file__).parent / "bundled"

Kind = TypeVar("Kind", Components, ImagePrompter, ControlNetwork)

log = structlog.stdlib.get_logger()


class NoNetworks(Exception):
    """There is not a single network to serve."""


def network_folders(roots: Iterable[Path]) -> dict[str, Path]:
    """Every folder with a model_index.json, by its name; a later root's replaces an earlier one's."""
    found = (folder for root in roots if root.is_dir() for folder in sorted(root.iterdir()))
    return {folder.name: folder for folder in found if (folder / INDEX).is_file()}


@dataclass(frozen=True)
class LoadedNetworks:
    """What this worker can run.

    Attributes:
        networks: by name.
        prompters: what turns pictures into prompts, by name; networks that take such prompts hold theirs.
        residency: whose weights are on the device.
        controls: ControlNets, by name; a request says which of them it needs.
    """

    networks: Mapping[str, Network]
    prompters: Mapping[str, ImagePrompter]
    residency: Residency = field(default_factory=Residency)
    controls: Mapping[str, Part] = field(default_factory=dict[str, Part])

    @property
    def revisions(self) -> dict[str, str]:
        """Of everything that is loaded, by name."""
        parts = {**self.networks, **self.prompters, **self.controls}
        return {name: part.revision for name, part in parts.items()}


@dataclass(frozen=True)
class Place:
    """Where networks shall live and in which type they shall run; None: what each one says."""

    device: torch.device
    dtype: torch.dtype | None


def load_networks(
    roots: Iterable[Path], device: torch.device, dtype: torch.dtype | None, budget_bytes: int | None = None
) -> LoadedNetworks:
    """Load all that can be loaded. A folder that cannot is logged and left out, so that it does not take the others along.

    Args:
        roots: folders of networks' folders.
        device: where the networks shall live.
        dtype: in which they shall run; None: what each one says.
        budget_bytes: for all weights together; those that do not fit now are loaded when they are needed, in the place of others.
            None: no limit.

    Raises:
        NoNetworks: none could.
    """
    folders, place = network_folders(roots), Place(device, dtype)
    prompting = {name: folder for name, folder in folders.items() if _is(is_image_prompter, folder)}
    steering = {name: folder for name, folder in folders.items() if _is(is_control, folder)}
    prompters = _loaded(prompting, lambda folder: load_image_prompter(folder, device, dtype or torch.bfloat16))
    drawing = {name: folder for name, folder in folders.items() if name not in prompting and name not in steering}
    if budget_bytes is None:
        found = _all_at_once(drawing, steering, prompters, place)
    else:
        left_bytes = budget_bytes - sum(weight_bytes(prompter) for prompter in prompters.values())
        found = _as_needed(drawing, steering, prompters, place, left_bytes)
    if not found.networks:
        raise NoNetworks(f"no network could be loaded; folders found: {', '.join(folders) or 'none'}")
    return found


def _all_at_once(
    folders: Mapping[str, Path], steering: Mapping[str, Path], prompters: Mapping[str, ImagePrompter], place: Place
) -> LoadedNetworks:
    components = _loaded(folders, lambda folder: load_components(folder, place.device, place.dtype))
    dtypes = _dtypes(_loaded(steering, lambda folder: load_control(folder, "meta"), "ControlNet found"), components)
    whole = {name: steering[name] for name in dtypes}
    controls = _loaded(whole, lambda folder: load_control(folder, place.device, dtypes[folder.name]))
    networks = {
        name: PipelineNetwork(name, part, prompters.get(part.spec.image_prompter or ""), controls)
        for name, part in components.items()
    }
    return LoadedNetworks(networks, prompters, controls=controls)


def _dtypes(controls: Mapping[str, ControlNetwork], components: Mapping[str, Components]) -> dict[str, torch.dtype]:
    """The type in which each ControlNet runs: that of the first network that it fits."""

    def dtype(control: ControlNetwork) -> torch.dtype:
        fitting = (part.dtype for part in components.values() if part.takes_control(control.network))
        return next(fitting, torch.bfloat16)

    return {name: dtype(control) for name, control in controls.items()}


def _as_needed(
    folders: Mapping[str, Path],
    steering: Mapping[str, Path],
    prompters: Mapping[str, ImagePrompter],
    place: Place,
    budget_bytes: int,
) -> LoadedNetworks:
    """Outlines of all, checked like the networks themselves, and the weights of as many as fit."""
    outlines = _loaded(folders, lambda folder: load_components(folder, "meta", place.dtype), "network found")
    controls = _lazy_controls(steering, outlines, place)
    networks: dict[str, LazyNetwork] = {}
    for name, outline in outlines.items():
        load = partial(_load_one, name, folders[name], place)
        prompter = prompters.get(outline.spec.image_prompter or "")
        network = LazyNetwork(name, outline, load, prompter, Current(controls))
        if network.num_bytes > budget_bytes:
            log.error("network left out", network=name, num_bytes=network.num_bytes, budget_bytes=budget_bytes)
            continue
        networks[name] = network
    residency = Residency([*networks.values(), *controls.values()], budget_bytes)
    for name in networks:
        if residency.can_be_ready((name,), residency.loaded):
            residency.make_ready((name,), residency.loaded)
    return LoadedNetworks(networks, prompters, residency, controls)


def _lazy_controls(
    steering: Mapping[str, Path], outlines: Mapping[str, Components], place: Place
) -> dict[str, LazyPart[ControlNetwork]]:
    """ControlNets whose weights come when a request names them."""
    dtypes = _dtypes(_loaded(steering, lambda folder: load_control(folder, "meta"), "ControlNet found"), outlines)
    return {
        name: LazyPart(
            name,
            load_control(steering[name], "meta", dtype),
            partial(load_control, steering[name], place.device, dtype),
        )
        for name, dtype in dtypes.items()
    }


def _load_one(name: str, folder: Path, place: Place) -> Components:
    components = load_components(folder, place.device, place.dtype)
    log.info("weights loaded", network=name)
    return components


def _is(kind: Callable[[Path], bool], folder: Path) -> bool:
    try:
        return kind(folder)
    except ModelError:
        return False  # said again, and logged, when it is loaded


def _loaded(folders: Mapping[str, Path], load: Callable[[Path], Kind], said: str = "network loaded") -> dict[str, Kind]:
    loaded: dict[str, Kind] = {}
    for name, folder in folders.items():
        try:
            part = load(folder)
        except ModelError as error:
            log.error("network left out", network=name, folder=str(folder), error=str(error))
            continue
        log.info(said, network=name, revision=part.revision, device=str(part.device))
        loaded[name] = part
    return loaded
