"""The folder of an installed ControlNet: an index that says so, and the network in a subfolder of it."""

from pathlib import Path

from models.checkpoints.config import Config
from models.checkpoints.folder import INDEX, check_component

CONTROL_PIPELINE = "ControlNet"
"""The class in the index. Diffusers has none for a ControlNet alone."""
COMPONENT = "controlnet"
CONTROL_COMPONENTS = {COMPONENT: ("ControlNetModel", "FluxControlNetModel")}


def is_control(path: Path) -> bool:
    """Whether a folder holds a ControlNet, which draws nothing itself."""
    return Config(path / INDEX).text("_class_name", "") == CONTROL_PIPELINE


def check_control(path: Path) -> Path:
    """Check the small files of such a folder, and return the subfolder with the network.

    Raises:
        MissingComponent: a file or subfolder is not there.
        MalformedConfig: a file is broken, or names a class that is not known here.
    """
    index = Config(path / INDEX)
    index.require("_class_name", CONTROL_PIPELINE)
    for component, classes in CONTROL_COMPONENTS.items():
        check_component(index, component, classes)
    return path / COMPONENT
