"""ControlNets in a body: Darkroom's own field, the same on every route whose network can be steered."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from app.api.bfl.schemas.fields import Body, FiniteNumber, Inputs
from app.core.spec import Role

MAX_NAME_CHARS = 64


class ControlInput(Body):
    """One ControlNet and the picture that it follows."""

    network: Annotated[
        str, Field(max_length=MAX_NAME_CHARS, description="Its name; docs/control.md lists those there are.")
    ]
    image: Annotated[
        str | None,
        Field(description="What is to be followed, ready for it: edges, depth, a pose. Base64, data URI or URL."),
    ] = None
    scale: Annotated[FiniteNumber | None, Field(description="Strength, 0 to 2.")] = 1.0
    start: Annotated[FiniteNumber | None, Field(description="Fraction of the steps after which it begins.")] = 0.0
    end: Annotated[FiniteNumber | None, Field(description="Fraction of the steps after which it has ended.")] = 1.0
    mode: Annotated[
        int | None,
        Field(ge=0, description="What the picture shows, as a union network counts kinds. null = of one kind."),
    ] = None


class ControlledInputs(Inputs):
    """A body with ControlNets."""

    nested: ClassVar[dict[str, Any]] = {"controls": {"__all__": {"image"}}}

    controls: Annotated[
        list[ControlInput] | None,
        Field(description="ControlNets, at most 4, all of which act at once. Darkroom's own field."),
    ] = None

    def sent(self) -> Iterator[tuple[str, Role, str]]:
        yield from super().sent()
        for index, control in enumerate(self.controls or ()):
            yield f"controls.{index}.image", "controlnet", control.image or ""
