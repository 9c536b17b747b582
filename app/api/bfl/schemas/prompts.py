"""How prompts are read, on routes whose networks read them with CLIP alone: Darkroom's own fields."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from app.api.bfl.schemas.fields import MAX_NAME_CHARS, Body
from app.core.spec import PromptSyntax

MAX_EMBEDDINGS = 16


def names_in(sent: object) -> object:
    """Lists come as text from forms: names with commas between them."""
    return [name for part in sent.split(",") if (name := part.strip())] if isinstance(sent, str) else sent


class PromptReading(Body):
    """A body that says how its prompts are read."""

    prompt_syntax: Annotated[
        PromptSyntax | None,
        Field(
            description='"plain": every character is text, and 75 tokens are read. "a1111": (emphasis:1.3), [less], BREAK, and '
            "prompts of any length."
        ),
    ] = "plain"
    clip_skip: Annotated[
        int | None,
        Field(description="Layers at the end of the text encoders that are left out; 1 is AUTOMATIC1111's 2."),
    ] = 0
    embeddings: Annotated[
        Annotated[list[Annotated[str, Field(max_length=MAX_NAME_CHARS)]], Field(max_length=MAX_EMBEDDINGS)] | None,
        BeforeValidator(names_in),
        Field(description="Textual inversions that the prompts may use by their triggers, at most 16, by name."),
    ] = None
