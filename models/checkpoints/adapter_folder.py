"""The folder of an installed IP-Adapter: an index that says so, the adapter, and the vision encoder that it reads pictures with."""

from pathlib import Path

from models.checkpoints.config import Config
from models.checkpoints.folder import INDEX, check_component

ADAPTER_PIPELINE = "IPAdapter"
"""The class in the index. Diffusers has none for an adapter alone."""
ADAPTER, ENCODER, PROCESSOR = "image_adapter", "image_encoder", "feature_extractor"
ADAPTER_COMPONENTS = {
    ADAPTER: ("IPAdapter",),
    ENCODER: ("CLIPVisionModelWithProjection",),
    PROCESSOR: ("CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor"),
}


def is_image_adapter_folder(path: Path) -> bool:
    """Whether a folder holds an IP-Adapter, which draws nothing itself."""
    return Config(path / INDEX).text("_class_name", "") == ADAPTER_PIPELINE


def check_image_adapter(path: Path) -> None:
    """Check the small files of such a folder.

    Raises:
        MissingComponent: a file or subfolder is not there.
        MalformedConfig: a file is broken, or names a class that is not known here.
    """
    index = Config(path / INDEX)
    index.require("_class_name", ADAPTER_PIPELINE)
    for component, classes in ADAPTER_COMPONENTS.items():
        check_component(index, component, classes)
