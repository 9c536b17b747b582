"""Which networks this worker has: folders of weights, found by name and loaded strictly."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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
from workers.engine.network import Network, PipelineNetwork

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
    """

    networks: Mapping[str, Network]
    prompters: Mapping[str, ImagePrompter]

    @property
    def revisions(self) -> dict[str, str]:
        """Of everything that is loaded, by name."""
        return {name: part.revision for name, part in {**self.networks, **self.prompters}.items()}


def load_networks(roots: Iterable[Path], device: torch.device, dtype: torch.dtype | None) -> LoadedNetworks:
    """Load all that can be loaded. A folder that cannot is logged and left out, so that it does not take the others along.

    Raises:
        NoNetworks: none could.
    """
    folders = network_folders(roots)
    prompting = {name: folder for name, folder in folders.items() if _prompts(folder)}
    prompters = _loaded(prompting, lambda folder: load_image_prompter(folder, device, dtype or torch.bfloat16))
    drawing = {name: folder for name, folder in folders.items() if name not in prompting}
    components = _loaded(drawing, lambda folder: load_components(folder, device, dtype))
    if not components:
        raise NoNetworks(f"no network could be loaded; folders found: {', '.join(folders) or 'none'}")
    networks = {
        name: PipelineNetwork(name, part, prompters.get(part.spec.image_prompter or ""))
        for name, part in components.items()
    }
    return LoadedNetworks(networks, prompters)


def _prompts(folder: Path) -> bool:
    try:
        return is_image_prompter(folder)
    except ModelError:
        return False  # said again, and logged, when it is loaded


def _loaded(folders: Mapping[str, Path], load: Callable[[Path], Part]) -> dict[str, Part]:
    loaded: dict[str, Part] = {}
    for name, folder in folders.items():
        try:
            part = load(folder)
        except ModelError as error:
            log.error("network left out", network=name, folder=str(folder), error=str(error))
            continue
        log.info("network loaded", network=name, revision=part.revision, device=str(part.device))
        loaded[name] = part
    return loaded
