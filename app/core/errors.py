"""Everything that can go wrong for a caller: each class has a stable code, a status and whether a retry may help.

ServiceError
├── NotAuthenticated 403, NotPermitted 403, NotFound 404, Conflict 409
├── InvalidRequest 422, IdempotencyMismatch 422, PayloadTooLarge 413
├── InsufficientCredits 402, SpendingLimitReached 402
├── TooManyActive 429, QuotaUsedUp 429, RateLimited 429
├── NotServed 501
└── Unavailable 503: ModelUnavailable, ModerationUnavailable, QueueFull

How an error looks on the wire is its dialect's business (app.api). ConfigurationError stands beside the tree: it stops a
process before it serves anybody.
"""

from http import HTTPStatus
from typing import ClassVar


class ConfigurationError(Exception):
    """A setting, an alias or a secrets file that the service cannot start with."""


class ServiceError(Exception):
    """A refusal that a caller can understand. Subclasses set code (stable, documented), status and retryable.

    Args:
        message: what is wrong, in words for the caller.
        field: the request field at fault.
        value: what that field held.
        limit: the bound that it broke.
        retry_after_s: when trying again makes sense.
        details: anything else that a dialect may show.
    """

    code: ClassVar[str]
    status: ClassVar[HTTPStatus]
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        value: object = None,
        limit: object = None,
        retry_after_s: float | None = None,
        **details: object,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.value = value
        self.limit = limit
        self.retry_after_s = retry_after_s
        self.details = details


class NotAuthenticated(ServiceError):
    """No key, or one that is unknown, expired or revoked."""

    code = "not_authenticated"
    status = HTTPStatus.FORBIDDEN


class NotPermitted(ServiceError):
    """A valid key without the scope that the call needs."""

    code = "not_permitted"
    status = HTTPStatus.FORBIDDEN


class NotFound(ServiceError):
    """Nothing of that name that the caller may know of."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class Conflict(ServiceError):
    """The thing exists already, or is in a state that forbids the call."""

    code = "conflict"
    status = HTTPStatus.CONFLICT


class NotServed(ServiceError):
    """A route of an API that this server speaks, for something that it does not do."""

    code = "not_served"
    status = HTTPStatus.NOT_IMPLEMENTED


class InvalidRequest(ServiceError):
    """The payload cannot mean a generation."""

    code = "invalid_request"
    status = HTTPStatus(422)


class IdempotencyMismatch(ServiceError):
    """The Idempotency-Key was sent before, with another body."""

    code = "idempotency_mismatch"
    status = HTTPStatus(422)


class PayloadTooLarge(ServiceError):
    """The body is longer than the gateway reads."""

    code = "payload_too_large"
    status = HTTPStatus(413)


class InsufficientCredits(ServiceError):
    """The account cannot hold the price."""

    code = "insufficient_credits"
    status = HTTPStatus.PAYMENT_REQUIRED


class SpendingLimitReached(ServiceError):
    """The key has spent as much as its owner lets it."""

    code = "spending_limit_reached"
    status = HTTPStatus.PAYMENT_REQUIRED


class QuotaUsedUp(ServiceError):
    """The free images of the day or the month are taken; `retry_after_s` says when they renew."""

    code = "quota_used_up"
    status = HTTPStatus.TOO_MANY_REQUESTS
    retryable = True


class TooManyActive(ServiceError):
    """The account has as many tasks under way as it may."""

    code = "too_many_active"
    status = HTTPStatus.TOO_MANY_REQUESTS
    retryable = True


class RateLimited(ServiceError):
    """Requests arrive faster than the account may send them."""

    code = "rate_limited"
    status = HTTPStatus.TOO_MANY_REQUESTS
    retryable = True


class Unavailable(ServiceError):
    """The service cannot do it now; the same request may work later."""

    code = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retryable = True


class ModelUnavailable(Unavailable):
    """No pool has registered the weights behind the public name."""

    code = "model_unavailable"


class ModerationUnavailable(Unavailable):
    """The classifier is away, and the operator wants nothing drawn that it has not judged."""

    code = "moderation_unavailable"


class QueueFull(Unavailable):
    """The queue of that class is as long as it may become."""

    code = "queue_full"
