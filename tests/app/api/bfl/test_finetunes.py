"""Reserved routes say so in BFL's shape; a report of usage elsewhere is kept."""

import pytest

from app.api.bfl.finetunes import ROUTES
from tests.fixtures.api import Api, Customer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("method", "name"), [(method, name) for method, names in ROUTES.items() for name in names])
async def test_a_reserved_route_says_that_it_is_not_served(api: Api, ann: Customer, method: str, name: str) -> None:
    answer = await api.http.request(method, f"/v1/{name}", json={"finetune_id": "x"}, headers=ann.headers)
    assert answer.status_code == 501
    assert answer.json()["detail"] == answer.json()["message"]
    assert f"/v1/{name}" in answer.json()["message"]
    assert await ann.credits() == 100
    assert (await api.http.request(method, f"/v1/{name}", headers={"x-key": "dk_wrong"})).status_code == 403


async def test_a_report_of_usage_is_kept_with_the_account(api: Api, ann: Customer) -> None:
    path = "/v1/licenses/models/flux-1-dev/usage"
    answer = await api.http.post(path, json={"number_of_generations": 3}, headers=ann.headers)
    assert (answer.status_code, answer.json()) == (200, {"model_slug": "flux-1-dev", "number_of_generations": 3})
    events = (await api.http.get("/v1/account/events", headers=ann.headers)).json()
    assert (events[0]["action"], events[0]["subject"]) == ("usage.reported", "flux-1-dev")
    assert events[0]["detail"] == {"number_of_generations": 3}
    for wrong in ({}, {"number_of_generations": 0}, {"number_of_generations": "many"}):
        refused = await api.http.post(path, json=wrong, headers=ann.headers)
        assert refused.status_code == 422
        assert "number_of_generations" in refused.json()["message"]
    assert await ann.credits() == 100
