"""What a request says in words and numbers: prompt, negative prompt, seed, guidance."""

import secrets

from app.api.bfl.schemas.fields import Dials, Inputs, NegativePrompt, OptionalPrompt, RequiredPrompt, TrueCfg
from app.api.bfl.translate.limits import within
from app.core.catalog import Resolved
from app.core.catalog_row import CatalogRow
from app.core.errors import InvalidRequest
from app.core.spec import MAX_SEED

RANDOM_SEED_LIMIT = 1 << 32
"""Random seeds stay small enough to survive a client that reads JSON numbers as doubles."""
MAX_TRUE_CFG_SCALE = 20.0


def used_prompt(body: Inputs) -> str:
    """The prompt; none at all only where the route lets it be left out."""
    prompt = (body.prompt if isinstance(body, RequiredPrompt | OptionalPrompt) else None) or ""
    if isinstance(body, RequiredPrompt) and not prompt.strip():
        raise InvalidRequest("prompt must not be empty", field="prompt", value=prompt, limit="at least 1 character")
    return _without_nul("prompt", prompt)


def used_seed(seed: int | None) -> int:
    """The seed that will be used: the caller's, taken modulo 2^63, or a random one."""
    return secrets.randbelow(RANDOM_SEED_LIMIT) if seed is None else seed % (MAX_SEED + 1)


def used_negative_prompt(body: Inputs, runs: CatalogRow) -> str | None:
    """The negative prompt, where the network reads one."""
    if not isinstance(body, NegativePrompt) or body.negative_prompt is None or not body.negative_prompt.strip():
        return None
    if runs.takes.negative_prompt is None:
        message = f"negative_prompt: {runs.name} reads none"
        raise InvalidRequest(
            message, field="negative_prompt", value=body.negative_prompt, limit="absent, null or empty"
        )
    return _without_nul("negative_prompt", body.negative_prompt)


def used_true_cfg_scale(body: Inputs, negative_prompt: str | None, runs: CatalogRow) -> float:
    """Guidance on top of the network's own; it and a negative prompt mean nothing without each other."""
    sent = body.true_cfg_scale if isinstance(body, TrueCfg) else None
    scale = 1.0 if sent is None else within("true_cfg_scale", sent, 1.0, MAX_TRUE_CFG_SCALE)
    takes_it = runs.takes.negative_prompt == "true_cfg"
    if scale > 1 and not takes_it:
        message = f"true_cfg_scale: {runs.name} has no use for it"
        raise InvalidRequest(message, field="true_cfg_scale", value=scale, limit="absent, null or 1")
    if scale > 1 and negative_prompt is None:
        message = "true_cfg_scale steers away from a negative_prompt, and there is none"
        raise InvalidRequest(message, field="true_cfg_scale", value=scale, limit="1 without a negative_prompt")
    if takes_it and negative_prompt is not None and scale == 1:
        message = "negative_prompt steers by true_cfg_scale here; send one above 1"
        raise InvalidRequest(message, field="true_cfg_scale", value=sent, limit=f"above 1, to {MAX_TRUE_CFG_SCALE:g}")
    return scale


def used_guidance(body: Inputs, model: Resolved) -> float:
    """Guidance within the public name's limits, and then within those of the network that runs."""
    runs = model.runs.guidance
    if not isinstance(body, Dials) or body.guidance is None:
        return runs.default
    sent = within("guidance", body.guidance, model.row.guidance.min, model.row.guidance.max)
    return min(max(sent, runs.min), runs.max)


def used_sequence_length(body: Inputs, model: Resolved) -> int | None:
    """Tokens of the prompt, None for the network's own number."""
    if body.max_sequence_length is None:
        return None
    most = model.runs.max_sequence_length
    return int(within("max_sequence_length", body.max_sequence_length, 1, most))


def _without_nul(field: str, text: str) -> str:
    """PostgreSQL stores no NUL, and no prompt means one."""
    if "\0" in text:
        raise InvalidRequest(f"{field} must not contain NUL characters", field=field, value=text)
    return text
