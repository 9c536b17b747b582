"""Types of fields, and the groups of fields that several bodies share."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from app.core.spec import OutputFormat, Role

MAX_PROMPT_CHARS = 131_072
"""About the 32K tokens that BFL documents."""
MAX_NAME_CHARS = 64
MAX_LISTED = 1000

Text = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]
FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class For:
    """Marks a field that holds a picture: base64 or a data URI."""

    role: Role


Reference = Annotated[str | None, For("reference"), Field(description="Picture to read beside the prompt.")]
Image = Annotated[str | None, For("image"), Field(description="Picture to change.")]
Mask = Annotated[
    str | None,
    For("mask"),
    Field(description="Which part to change: white = change, black = keep. As large as the picture."),
]
Control = Annotated[str | None, For("control"), Field(description="Edges or depth to draw along, ready to use.")]
ControlSource = Annotated[
    str | None, For("control_source"), Field(description="Picture whose edges are to be drawn along.")
]
ImagePrompt = Annotated[
    str | None, For("image_prompt"), Field(description="Picture whose look the result takes on (Redux).")
]


class Body(BaseModel):
    """Checkers are built at the first request, not when the process starts."""

    model_config = ConfigDict(defer_build=True, frozen=True)


class Inputs(Body):
    """What every route takes, beside its prompt."""

    # Unknown fields change nothing, but are kept: a picture under a name that this route lacks must not vanish silently.
    model_config = ConfigDict(extra="allow")

    seed: Annotated[int | None, Field(description="Any integer, taken modulo 2^63; null = random.")] = None
    safety_tolerance: int | None = 2
    output_format: OutputFormat | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None
    max_sequence_length: Annotated[
        int | None, Field(description="Tokens of the prompt that are read. Darkroom's own field.")
    ] = None
    deterministic: Annotated[
        bool | None, Field(description="Run alone, bit-equal every time. Darkroom's own field.")
    ] = False

    previews: Annotated[
        bool | None, Field(description="Show small pictures on the way, in the task's events. Darkroom's own field.")
    ] = False
    embed_metadata: Annotated[
        bool | None,
        Field(
            description="Write prompt, seed and steps into the file; null = as the server does. Darkroom's own field."
        ),
    ] = None

    nested: ClassVar[dict[str, Any]] = {}
    """Pictures within other fields, as model_dump's `exclude` names them."""

    def sent(self) -> Iterator[tuple[str, Role, str]]:
        """Name, role and content of every picture of the body, in the order in which a network reads them; empty ones too."""
        for name, role in self.pictures().items():
            yield name, role, getattr(self, name) or ""

    @classmethod
    def pictures(cls) -> dict[str, Role]:
        """Role by name of every field that holds a picture, in the order in which a network reads them."""
        marks = ((name, mark) for name, field in cls.model_fields.items() for mark in field.metadata)
        return {name: mark.role for name, mark in marks if isinstance(mark, For)}


class RequiredPrompt(Body):
    """Where nothing stands in for a prompt."""

    prompt: Text


class OptionalPrompt(Body):
    """Where the prompt may be left out, as a picture may say enough."""

    prompt: Text | None = ""


class Sides(Body):
    """Width and height."""

    width: Annotated[int | None, Field(description="Pixels; absent, null or 0 leaves it to the service.")] = None
    height: Annotated[int | None, Field(description="Pixels; absent, null or 0 leaves it to the service.")] = None


class Ratio(Body):
    """A shape, at a number of pixels that the model has."""

    aspect_ratio: Annotated[str | None, Field(description='"W:H", from 21:9 to 9:21.')] = None


def numbers_in(sent: object) -> object:
    """Lists come as text from forms: numbers with commas between them."""
    return [part for part in sent.strip(" []").split(",") if part.strip()] if isinstance(sent, str) else sent


class Steps(Body):
    """Steps, where they are the caller's, and how they are taken. All but their number is Darkroom's."""

    steps: int | None = None
    sampler: Annotated[str | None, Field(max_length=MAX_NAME_CHARS, description="null = the model's own.")] = None
    schedule: Annotated[str | None, Field(max_length=MAX_NAME_CHARS, description="null = the sampler's own.")] = None
    eta: Annotated[
        FiniteNumber | None,
        Field(description="Share of the noise that each step draws anew, 0 to 1; null = the sampler's own."),
    ] = None
    sigmas: Annotated[
        Annotated[list[FiniteNumber], Field(max_length=MAX_LISTED)] | None,
        BeforeValidator(numbers_in),
        Field(description="Levels of noise in the place of a schedule, falling."),
    ] = None
    timesteps: Annotated[
        Annotated[list[int], Field(max_length=MAX_LISTED)] | None,
        BeforeValidator(numbers_in),
        Field(description="Training steps in the place of a schedule, falling, 999 to 0."),
    ] = None


class Dials(Steps):
    """Steps and guidance, where they are the caller's."""

    guidance: FiniteNumber | None = None


class NegativePrompt(Body):
    """What the picture should be steered away from."""

    negative_prompt: Text | None = None


class TrueCfg(NegativePrompt):
    """A negative prompt for a network with its own guidance: a second pass a step."""

    true_cfg_scale: Annotated[
        FiniteNumber | None, Field(description="How strongly a negative_prompt steers, 1 to 20; 1 = not at all.")
    ] = None


class PromptUpsampling(Body):
    """Taken, and without effect: no upsampler ships."""

    prompt_upsampling: bool | None = False


class ImageToImage(Body):
    """A picture to change as a whole."""

    image: Image = None
    strength: Annotated[
        FiniteNumber | None, Field(description="How much of the picture goes, above 0 to 1; null = the model's own.")
    ] = None


class Masked(Body):
    """Which part of the picture to change."""

    mask: Mask = None


class RequiredImage(Body):
    """The picture to change; some clients call it input_image here too."""

    image: Annotated[str, For("image"), Field(description="Picture to change.")] = Field(
        validation_alias=AliasChoices("image", "input_image")
    )
