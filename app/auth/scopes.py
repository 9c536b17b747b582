"""What a key may do."""

from enum import StrEnum


class Scope(StrEnum):
    """One right each; a key holds a set of them."""

    JOBS_WRITE = "jobs:write"
    JOBS_READ = "jobs:read"
    BILLING_READ = "billing:read"
    KEYS_WRITE = "keys:write"
    ADMIN = "admin"


DEFAULT_SCOPES = tuple(scope for scope in Scope if scope is not Scope.ADMIN)
"""What a key gets when nobody says otherwise: all that concerns its own account."""
