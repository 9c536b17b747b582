"""IP-Adapters in the form in which their authors publish them: one file, whose shapes tell all sizes."""

from pathlib import Path

import torch

from models.checkpoints.files import TensorFiles
from models.checkpoints.image_adapter_sizes import adapter_sizes
from models.checkpoints.keymaps.image_adapter import image_adapter
from models.checkpoints.load import load_network
from models.checkpoints.shapes import Shapes
from models.image_prompt.adapter import ImageAdapter

STEM = "ip_adapter"


def load_image_adapter(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ImageAdapter:
    """Load the adapter in a folder, ip_adapter.safetensors.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    return _loaded(TensorFiles.of_component(folder, STEM), device, dtype)


def load_image_adapter_file(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ImageAdapter:
    """Load the adapter in a file such as ip-adapter_sd15.safetensors.

    Raises:
        CheckpointError: it is missing, malformed, or does not fit.
    """
    return _loaded(TensorFiles.of_file(path), device, dtype)


def _loaded(files: TensorFiles, device: torch.device | str, dtype: torch.dtype) -> ImageAdapter:
    params = adapter_sizes(Shapes(files.where, {name: files.shape(name) for name in files.names()}))
    table = image_adapter(params)
    return load_network(lambda: ImageAdapter(params), files, table, device=torch.device(device), dtype=dtype)
