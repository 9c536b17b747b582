"""A refusal before any dialect has put it into words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request: where it is (as FastAPI writes a path), what it is, and its code."""

    loc: tuple[str | int, ...]
    text: str
    code: str


@dataclass(frozen=True)
class Refusal:
    """Why a request is not served.

    Attributes:
        status: of the answer, where the dialect has no other for this code.
        code: stable, documented in docs/errors.md.
        text: one sentence for a person, with field, value and limit.
        request_id: what the caller may quote.
        faults: in the request; none where it could have been served at another time or to somebody else.
        headers: of the answer.
        may_pass: whether the same request may be served later.
    """

    status: HTTPStatus
    code: str
    text: str
    request_id: str
    faults: tuple[Fault, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    may_pass: bool = False
