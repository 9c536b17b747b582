"""Which networks this worker has: folders of weights, found by name and loaded strictly."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog
import torch

import models
from models.checkpoints.folder import INDEX
from models.errors import ModelError
from models.pipeline import load_components
from workers.engine.network import PipelineNetwork

BUNDLED = Path(models.__file__).parent / "bundled"

log = structlog.stdlib.get_logger()


class NoNetworks(Exception):
    """There is not a single network to serve."""


def network_folders(roots: Iterable[Path]) -> dict[str, Path]:
    """Every folder with a model_index.json, by its name; a later root's replaces an earlier one's."""
    found = (folder for root in roots if root.is_dir() for folder in sorted(root.iterdir()))
    return {folder.name: folder for folder in found if (folder / INDEX).is_file()}


def load_networks(roots: Iterable[Path], device: torch.device, dtype: torch.dtype | None) -> dict[str, PipelineNetwork]:
    """Load all that can be loaded. A folder that cannot is logged and left out, so that it does not take the others along.

    Raises:
        NoNetworks: none could.
    """
    folders = network_folders(roots)
    networks = {network.name: network for network in _loaded(folders, device, dtype)}
    if not networks:
        raise NoNetworks(f"no network could be loaded; folders found: {', '.join(folders) or 'none'}")
    return networks


def _loaded(folders: dict[str, Path], device: torch.device, dtype: torch.dtype | None) -> Iterator[PipelineNetwork]:
    for name, folder in folders.items():
        try:
            components = load_components(folder, device, dtype)
        except ModelError as error:
            log.error("network left out", network=name, folder=str(folder), error=str(error))
            continue
        log.info("network loaded", network=name, revision=components.revision, device=str(device))
        yield PipelineNetwork(name, components)
