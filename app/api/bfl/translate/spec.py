"""A body and its pictures into the one request of the service."""

from collections.abc import Sequence

from app.api.bfl.schemas.fields import Inputs, Sides
from app.api.bfl.size import Asked, Size, drawn_size, extended_size
from app.api.bfl.translate.guiding import guiding_of
from app.api.bfl.translate.pictures import pictures_for
from app.api.bfl.translate.prompts import reading_of
from app.api.bfl.translate.ratio import asked_ratio
from app.api.bfl.translate.refusals import refuse_what_is_not_served
from app.api.bfl.translate.sampling import sampling_of
from app.api.bfl.translate.tasks import task_of
from app.api.bfl.translate.words import (
    used_guidance,
    used_negative_prompt,
    used_prompt,
    used_seed,
    used_sequence_length,
    used_true_cfg_scale,
)
from app.core.catalog import Resolved
from app.core.inputs.kept import Sent
from app.core.spec import GenerationSpec, Margins


def to_spec(body: Inputs, model: Resolved, pictures: Sequence[Sent] = ()) -> GenerationSpec:
    """The request in our own words. Raises InvalidRequest; never leaves out silently what the caller asked for.

    A name without a network is held to its own limits, so that a bad request is told so before "not installed".
    """
    refuse_what_is_not_served(body)
    negative_prompt = used_negative_prompt(body, model.runs)
    task = task_of(body, pictures, model)
    width, height = _size(body, pictures, task["margins"], model)
    sampling = sampling_of(body, model)
    return GenerationSpec(
        model=model.row.name,
        network=model.network or model.runs.name,
        prompt=used_prompt(body),
        negative_prompt=negative_prompt,
        **reading_of(body, model),
        seed=used_seed(body.seed),
        width=width,
        height=height,
        guidance=used_guidance(body, model),
        true_cfg_scale=used_true_cfg_scale(body, negative_prompt, model.runs),
        max_sequence_length=used_sequence_length(body, model),
        inputs=tuple(one.image for one in pictures),
        output_format=body.output_format or model.row.default_format,
        deterministic=bool(body.deterministic),
        **sampling,
        guiding=guiding_of(body, model, sampling["steps"]),
        previews=bool(body.previews),
        embed_metadata=body.embed_metadata,
        **task,
    )


def _size(body: Inputs, pictures: Sequence[Sent], margins: Margins | None, model: Resolved) -> Size:
    first = next(iter(pictures_for(pictures, "image", "reference", "control", "control_source")), None)
    picture = first.picture.size if first else None
    if margins is not None and picture is not None:
        return extended_size(picture, margins.left + margins.right, margins.top + margins.bottom, model)
    width, height = (body.width, body.height) if isinstance(body, Sides) else (None, None)
    return drawn_size(Asked(width, height, asked_ratio(body), picture), model)
