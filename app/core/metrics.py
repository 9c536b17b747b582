"""Every Prometheus metric of the gateway, defined once with its unit. They stay at zero until something counts."""

from prometheus_client import Counter, Gauge, Histogram

HTTP_REQUESTS = Counter(
    "darkroom_http_requests_total", "Answered HTTP requests, by route template and status.", ["route", "status"]
)
HTTP_SECONDS = Histogram(
    "darkroom_http_request_seconds", "Seconds from the first byte of a request to the end of its answer.", ["route"]
)
GENERATIONS_SUBMITTED = Counter(
    "darkroom_generations_submitted_total", "Generations that were accepted and paid for, by public name.", ["model"]
)
REFUSED = Counter("darkroom_refusals_total", "Requests that were refused, by the error's code.", ["code"])
MODERATED = Counter(
    "darkroom_requests_moderated_total", "Requests that moderation blocked, by the moderator that did.", ["moderator"]
)
SWEPT = Counter(
    "darkroom_generations_swept_total", "Generations that a sweep ended or queued again, by their new state.", ["state"]
)
QUEUED = Gauge("darkroom_queue_generations", "Queued generations, by pool and priority.", ["pool", "priority"])
QUEUED_SECONDS = Gauge(
    "darkroom_queue_seconds", "Expected seconds of the queued work, by pool and priority.", ["pool", "priority"]
)
