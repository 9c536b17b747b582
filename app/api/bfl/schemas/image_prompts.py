"""Pictures as prompts in a body of Stable Diffusion: IP-Adapter."""

from typing import Annotated

from pydantic import Field

from app.api.bfl.schemas.controls import MAX_NAME_CHARS
from app.api.bfl.schemas.fields import FiniteNumber, For, Inputs

AdapterPrompt = Annotated[
    str | None, For("image_prompt"), Field(description="Picture whose look the result takes on (IP-Adapter).")
]


class ImagePromptInputs(Inputs):
    """A body with pictures that stand for words, all of which are looked at together."""

    image_prompt: AdapterPrompt = None
    image_prompt_2: AdapterPrompt = None
    image_prompt_3: AdapterPrompt = None
    image_prompt_4: AdapterPrompt = None
    image_prompt_strength: Annotated[
        FiniteNumber | None, Field(description="How much they count beside the prompt, 0 to 1.")
    ] = 1.0
    image_prompter: Annotated[
        str | None,
        Field(
            max_length=MAX_NAME_CHARS,
            description="Adapter that reads them, by name; null = the family's base adapter.",
        ),
    ] = None
