"""GenerationSpec: the one request that every dialect is translated into, and the contract between gateway and worker."""

from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field

SPEC_VERSION = 1
MAX_SEED = 2**63 - 1

OutputFormat = Literal["png", "jpeg", "webp"]
OUTPUT_FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)


class GenerationSpec(BaseModel):
    """One image to make. A worker leaves a row of a newer version queued for a newer worker."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    version: Literal[1] = SPEC_VERSION
    model: str
    """Public name that was asked for."""
    network: str
    """Name of the ModelSpec that runs; differs from `model` under an alias."""
    prompt: str
    negative_prompt: str | None = None
    seed: int = Field(ge=0, le=MAX_SEED)
    """Seed of this image; image i of a task has the task's seed + i."""
    width: int = Field(gt=0)
    """Pixels."""
    height: int = Field(gt=0)
    """Pixels."""
    steps: int = Field(ge=1)
    guidance: float = Field(ge=0, allow_inf_nan=False)
    output_format: OutputFormat
    deterministic: bool = False
    """Run alone, bit-equal every time."""

    def to_json(self) -> str:
        """The text that the generation's row holds."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises pydantic.ValidationError for a newer version or an unknown field."""
        return cls.model_validate_json(text)
