"""What a key may do."""

from enum import StrEnum


class Scope(StrEnum):
    """One right each; a key holds a set of them."""

    JOBS_WRITE = "jobs:write"
    JOBS_READ = "jobs:read"
    BILLING_READ = "billing:read"


ALL_SCOPES = tuple(Scope)
"""What a key gets when nobody says otherwise."""
