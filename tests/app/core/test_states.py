"""A task's state follows from its generations'."""

import pytest

from app.core.states import task_state


@pytest.mark.parametrize(
    ("generations", "task"),
    [
        (["queued", "queued"], "queued"),
        (["queued", "running"], "running"),
        (["queued", "ready"], "running"),
        (["ready", "ready"], "ready"),
        (["ready", "error"], "ready"),
        (["error", "cancelled"], "error"),
        (["content_moderated", "error"], "content_moderated"),
        (["request_moderated"], "request_moderated"),
        (["cancelled"], "cancelled"),
    ],
)
def test_a_task_is_what_its_generations_make_it(generations: list[str], task: str) -> None:
    assert task_state(generations) == task


def test_a_task_without_generations_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        task_state([])
