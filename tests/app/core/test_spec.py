"""The contract between gateway and worker survives the way through the database, and refuses what it does not know."""

import json

import pytest
from pydantic import ValidationError

from app.core.spec import MAX_SEED, GenerationSpec
from tests.fixtures.accounts import nano_spec


def test_a_spec_comes_back_as_it_went() -> None:
    spec = nano_spec(MAX_SEED)
    assert GenerationSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("change", [{"version": 2}, {"colour": "blue"}, {"seed": -1}, {"seed": 2**63}, {"steps": 0}])
def test_what_this_version_does_not_know_is_refused(change: dict[str, object]) -> None:
    text = json.dumps({**json.loads(nano_spec().to_json()), **change})
    with pytest.raises(ValidationError):
        GenerationSpec.from_json(text)
