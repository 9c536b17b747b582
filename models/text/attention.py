"""Which of transformers' attention implementations the text encoders run: torch's, whatever else is installed.

Diffusers' pipelines run it too, and it matters: rows that see no key (padding on the left) become zeros with it, an average with another.
"""

from copy import deepcopy
from typing import TypeVar

from transformers import PreTrainedConfig

Config = TypeVar("Config", bound=PreTrainedConfig)


def with_sdpa(config: Config) -> Config:
    """A copy of the configuration that asks for torch's scaled_dot_product_attention."""
    config = deepcopy(config)
    config._attn_implementation = "sdpa"  # pyright: ignore[reportPrivateUsage] (transformers has no public setter)
    return config
