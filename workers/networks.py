"""Which networks this worker has: folders of weights, found by name and loaded strictly."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog
import torch

import models
from models.checkpoints.folder import INDEX
from models.errors import ModelError
from models.pipeline.components import Components
from models.pipeline.controls import ControlNetwork
from models.pipeline.loading import load_components
from models.text.inversion import Embedding
from workers.beside import NOTHING_BESIDE, Beside, Folders, Place, found_beside, sorted_folders
from workers.embeddings import load_embeddings
from workers.engine.lazy_network import LazyNetwork
from workers.engine.lazy_part import Current, LazyPart
from workers.engine.network import Network, PipelineNetwork
from workers.engine.residency import Residency

BUNDLED = Path(models.__file__).parent / "bundled"

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
        beside: what a request may name beside the network that draws.
        residency: whose weights are on the device.
        embeddings: learnt words, by name.
    """

    networks: Mapping[str, Network]
    beside: Beside = NOTHING_BESIDE
    residency: Residency = field(default_factory=Residency)
    embeddings: Mapping[str, Embedding] = field(default_factory=dict[str, Embedding])

    @property
    def controls(self) -> Mapping[str, LazyPart[ControlNetwork]]:
        """ControlNets, by name."""
        return self.beside.controls

    @property
    def revisions(self) -> dict[str, str]:
        """Of everything that is loaded, by name."""
        parts = {part.name: part.revision for part in (*self.networks.values(), *self.beside.parts)}
        return parts | {name: embedding.revision for name, embedding in self.embeddings.items()}


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
    found, place = network_folders(roots), Place(device, dtype)
    folders = sorted_folders(found)
    load = _all_at_once if budget_bytes is None else partial(_as_needed, budget_bytes=budget_bytes)
    loaded = load(folders, place)
    if not loaded.networks:
        raise NoNetworks(f"no network could be loaded; folders found: {', '.join(found) or 'none'}")
    return loaded


def _all_at_once(folders: Folders, place: Place) -> LoadedNetworks:
    components = _loaded(folders.drawing, lambda folder: load_components(folder, place.device, place.dtype))
    beside = found_beside(folders, components, place).load()
    embeddings = load_embeddings(folders.learnt, place.device)
    networks = {
        name: PipelineNetwork(name, part, Current(beside.prompters), Current(beside.controls), embeddings)
        for name, part in components.items()
    }
    return LoadedNetworks(networks, beside, embeddings=embeddings)


def _as_needed(folders: Folders, place: Place, budget_bytes: int) -> LoadedNetworks:
    """Outlines of all, checked like the networks themselves, and the weights of as many as fit."""
    outlines = _loaded(
        folders.drawing, lambda folder: load_components(folder, "meta", place.dtype), said="network found"
    )
    beside = found_beside(folders, outlines, place)
    embeddings = load_embeddings(folders.learnt, place.device)
    networks: dict[str, LazyNetwork] = {}
    for name, outline in outlines.items():
        load = partial(_load_one, name, folders.drawing[name], place)
        network = LazyNetwork(name, outline, load, Current(beside.prompters), Current(beside.controls), embeddings)
        if network.num_bytes > budget_bytes:
            log.error("network left out", network=name, num_bytes=network.num_bytes, budget_bytes=budget_bytes)
            continue
        networks[name] = network
    residency = Residency([*networks.values(), *beside.parts], budget_bytes)
    for name in networks:
        if residency.can_be_ready((name,), residency.loaded):
            residency.make_ready((name,), residency.loaded)
    return LoadedNetworks(networks, beside, residency, embeddings)


def _load_one(name: str, folder: Path, place: Place) -> Components:
    components = load_components(folder, place.device, place.dtype)
    log.info("weights loaded", network=name)
    return components


def _loaded(
    folders: Mapping[str, Path], load: Callable[[Path], Components], said: str = "network loaded"
) -> dict[str, Components]:
    loaded: dict[str, Components] = {}
    for name, folder in folders.items():
        try:
            part = load(folder)
        except ModelError as error:
            log.error("network left out", network=name, folder=str(folder), error=str(error))
            continue
        log.info(said, network=name, revision=part.revision, device=str(part.device))
        loaded[name] = part
    return loaded
