"""What a body says of guidance beside its strength, into the spec. What does not fit is refused by field."""

from app.api.bfl.schemas.fields import Inputs
from app.api.bfl.schemas.guiding import GuidanceFields
from app.api.bfl.translate.limits import within
from app.core.attention_blocks import attention_blocks, block_named
from app.core.catalog import Resolved
from app.core.errors import InvalidRequest
from app.core.spec import Guiding

MAX_PAG_SCALE = 20.0
MAX_THRESHOLD = 1000.0
OF_RULE = {"apg": ("apg_parallel", "apg_threshold", "apg_momentum"), "cfg_zero_star": ("guidance_zero_steps",)}
OF_NEGATIVE = ("guidance_rule", "guidance_schedule", *OF_RULE["apg"], *OF_RULE["cfg_zero_star"])
OF_PAG = ("pag_layers", "pag_adaptive_scale")


def guiding_of(body: Inputs, model: Resolved, steps: int) -> Guiding | None:
    """How guidance acts; None for a body that says nothing of it.

    Args:
        body: of a request.
        model: that it is for.
        steps: that it takes.

    Raises:
        InvalidRequest: names the field, the value and the limit.
    """
    if not isinstance(body, GuidanceFields):
        return None
    said = {field: value for field in GuidanceFields.model_fields if (value := getattr(body, field)) is not None}
    if not said:
        return None
    _check_company(body, said, model)
    return Guiding(
        rule=body.guidance_rule or "cfg",
        rescale=within("guidance_rescale", body.guidance_rescale or 0.0, 0, 1),
        schedule=_schedule(body.guidance_schedule, model, steps),
        zero_steps=int(within("guidance_zero_steps", body.guidance_zero_steps or 0, 0, steps - 1)),
        parallel=within("apg_parallel", body.apg_parallel or 0.0, 0, 1),
        most=within("apg_threshold", body.apg_threshold or 0.0, 0, MAX_THRESHOLD),
        momentum=within("apg_momentum", body.apg_momentum or 0.0, -1, 1),
        pag_scale=within("pag_scale", body.pag_scale or 0.0, 0, MAX_PAG_SCALE),
        pag_layers=_blocks(body.pag_layers, model),
        pag_adaptive_scale=within("pag_adaptive_scale", body.pag_adaptive_scale or 0.0, 0, 1),
        **_span(body),
    )


def _check_company(body: GuidanceFields, said: dict[str, object], model: Resolved) -> None:
    """Every field means something beside the others."""
    for rule, fields in OF_RULE.items():
        _check_means(said, fields, f"guidance_rule {rule}", holds=body.guidance_rule == rule)
    _check_means(said, OF_PAG, "a pag_scale above 0", holds=bool(body.pag_scale))
    takes = model.runs.takes
    _check_means(said, OF_NEGATIVE, "a model that a negative prompt steers", holds=takes.negative_prompt == "guidance")
    _check_means(said, ("pag_scale",), "Stable Diffusion", holds=bool(attention_blocks(takes.control_family)))
    if body.guidance_schedule is not None and getattr(body, "guidance", None) is not None:
        message = "guidance: guidance_schedule says the strength of every step"
        raise InvalidRequest(message, field="guidance", limit="absent or null beside guidance_schedule")


def _check_means(said: dict[str, object], fields: tuple[str, ...], beside: str, *, holds: bool) -> None:
    given = next((field for field in fields if field in said), None)
    if given is not None and not holds:
        message = f"{given} means nothing without {beside}"
        raise InvalidRequest(message, field=given, value=said[given], limit=f"absent or null without {beside}")


def _span(body: GuidanceFields) -> dict[str, float]:
    start = within("guidance_start", 0.0 if body.guidance_start is None else body.guidance_start, 0, 1)
    end = within("guidance_end", 1.0 if body.guidance_end is None else body.guidance_end, 0, 1)
    if start >= end:
        message = "guidance_start must be below guidance_end"
        raise InvalidRequest(message, field="guidance_start", value=start, limit=f"below {end:g}")
    return {"start": start, "end": end}


def _schedule(sent: list[float] | None, model: Resolved, steps: int) -> tuple[float, ...]:
    if sent is None:
        return ()
    if len(sent) != steps:
        message = f"guidance_schedule must have a strength for each of the {steps} steps"
        raise InvalidRequest(message, field="guidance_schedule", value=f"{len(sent)} values", limit=f"{steps} values")
    least, most = 1.0, model.row.guidance.max
    return tuple(within("guidance_schedule", scale, least, most) for scale in sent)


def _blocks(sent: list[str] | None, model: Resolved) -> tuple[str, ...]:
    if sent is None:
        return ("mid_block",)
    known = attention_blocks(model.runs.takes.control_family)
    for name in sent or [""]:
        if block_named(name) not in known:
            fits = ", ".join(sorted(known))
            message = f"pag_layers: there is no block {name!r}; for {model.runs.name} there are: {fits}"
            raise InvalidRequest(message, field="pag_layers", value=name, limit=fits)
    return tuple(dict.fromkeys(block_named(name) for name in sent))
