"""Which networks this worker has: folders of weights, found by name and loaded strictly."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
import torch

import models
from models.checkpoints.folder import INDEX, is_image_prompter
from models.errors import ModelError
from models.pipeline.components import Components
from models.pipeline.image_prompts import ImagePrompter
from models.pipeline.loading import load_components, load_image_prompter
from workers.engine.lazy_network import LazyNetwork, weight_bytes
from workers.engine.network import Network, PipelineNetwork
from workers.engine.residency import Residency

BUNDLED = Path(models.__file__).parent / "bundled"

Part = TypeVar("Part", Components, ImagePrompter)

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
    """

    networks: Mapping[str, Network]
    prompters: Mapping[str, ImagePrompter]
    residency: Residency = field(default_factory=Residency)

    @property
    def revisions(self) -> dict[str, str]:
        """Of everything that is loaded, by name."""
        return {name: part.revision for name, part in {**self.networks, **self.prompters}.items()}


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
    folders = network_folders(roots)
    prompting = {name: folder for name, folder in folders.items() if _prompts(folder)}
    prompters = _loaded(prompting, lambda folder: load_image_prompter(folder, device, dtype or torch.bfloat16))
    drawing = {name: folder for name, folder in folders.items() if name not in prompting}
    if budget_bytes is None:
        found = _all_at_once(drawing, prompters, device, dtype)
    else:
        left_bytes = budget_bytes - sum(weight_bytes(prompter) for prompter in prompters.values())
        found = _as_needed(drawing, prompters, device, dtype, left_bytes)
    if not found.networks:
        raise NoNetworks(f"no network could be loaded; folders found: {', '.join(folders) or 'none'}")
    return found


def _all_at_once(
    folders: Mapping[str, Path],
    prompters: Mapping[str, ImagePrompter],
    device: torch.device,
    dtype: torch.dtype | None,
) -> LoadedNetworks:
    components = _loaded(folders, lambda folder: load_components(folder, device, dtype))
    networks = {
        name: PipelineNetwork(name, part, prompters.get(part.spec.image_prompter or ""))
        for name, part in components.items()
    }
    return LoadedNetworks(networks, prompters)


def _as_needed(
    folders: Mapping[str, Path],
    prompters: Mapping[str, ImagePrompter],
    device: torch.device,
    dtype: torch.dtype | None,
    budget_bytes: int,
) -> LoadedNetworks:
    """Outlines of all, checked like the networks themselves, and the weights of as many as fit."""
    outlines = _loaded(folders, lambda folder: load_components(folder, "meta", dtype), "network found")
    networks: dict[str, LazyNetwork] = {}
    for name, outline in outlines.items():
        load = partial(_load_one, name, folders[name], device, dtype)
        network = LazyNetwork(name, outline, load, prompters.get(outline.spec.image_prompter or ""))
        if network.num_bytes > budget_bytes:
            log.error("network left out", network=name, num_bytes=network.num_bytes, budget_bytes=budget_bytes)
            continue
        networks[name] = network
    residency = Residency(networks.values(), budget_bytes)
    for name in networks:
        if residency.can_be_ready(name, residency.loaded):
            residency.make_ready(name, residency.loaded)
    return LoadedNetworks(networks, prompters, residency)


def _load_one(name: str, folder: Path, device: torch.device, dtype: torch.dtype | None) -> Components:
    components = load_components(folder, device, dtype)
    log.info("weights loaded", network=name)
    return components


def _prompts(folder: Path) -> bool:
    try:
        return is_image_prompter(folder)
    except ModelError:
        return False  # said again, and logged, when it is loaded


def _loaded(folders: Mapping[str, Path], load: Callable[[Path], Part], said: str = "network loaded") -> dict[str, Part]:
    loaded: dict[str, Part] = {}
    for name, folder in folders.items():
        try:
            part = load(folder)
        except ModelError as error:
            log.error("network left out", network=name, folder=str(folder), error=str(error))
            continue
        log.info(said, network=name, revision=part.revision, device=str(part.device))
        loaded[name] = part
    return loaded
