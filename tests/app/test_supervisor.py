"""The supervisor on real, small child processes, and its restart policy on made-up times."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.supervisor import Command, GaveUp, RestartPolicy, Supervisor

WRITE_PID_THEN_SLEEP = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    print(os.getpid(), file=file, flush=True)
time.sleep(60)
"""
IGNORE_TERM_THEN_SLEEP = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WRITE_PID_THEN_SLEEP
NOTE_TERM = """
import os, signal, sys, time
def end(*_):
    with open(sys.argv[2], "a") as file:
        print(sys.argv[3], file=file, flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
""" + WRITE_PID_THEN_SLEEP.replace("import os, sys, time\n", "")


END_WHEN_BOTH_WERE_ASKED = (
    """
import signal, sys, time
def asked(*_):
    with open(sys.argv[2], "a") as file:
        print("asked", file=file, flush=True)
    while len(open(sys.argv[2]).read().split()) < 2:
        time.sleep(0.01)
    sys.exit(0)
signal.signal(signal.SIGTERM, asked)
"""
    + WRITE_PID_THEN_SLEEP
)


def quick_policy() -> RestartPolicy:
    return RestartPolicy(delays_s=(0.01,))


def command(name: str, program: str, *arguments: object, stop_within_s: float = 10.0) -> Command:
    argv = (sys.executable, "-S", "-c", program, *map(str, arguments))
    return Command(name, argv, stop_within_s=stop_within_s)


def supervisor(*commands: Command, said: list[str] | None = None) -> Supervisor:
    return Supervisor(commands, say=(said if said is not None else []).append, new_policy=quick_policy)


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition is another process's work, which sets no event here
            await asyncio.sleep(0.01)


def test_the_first_restart_comes_within_a_second_and_later_ones_wait_longer() -> None:
    policy = RestartPolicy()
    delays = [policy.after_death(now_s) for now_s in (0.0, 1.0, 2.0, 3.0)]
    assert delays == [0.25, 0.5, 1.0, 2.0]


def test_the_fifth_death_in_a_minute_is_the_last() -> None:
    policy = RestartPolicy()
    assert [policy.after_death(now_s) for now_s in (0.0, 14.0, 28.0, 42.0, 56.0)][-1] is None


def test_deaths_further_apart_are_forgiven() -> None:
    policy = RestartPolicy()
    delays = [policy.after_death(16.0 * death) for death in range(20)]
    assert delays[4:] == [2.0] * 16


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    pids, said = tmp_path / "pids", list[str]()

    async def scene() -> None:
        subject = supervisor(command("sleeper", WRITE_PID_THEN_SLEEP, pids), said=said)
        running = asyncio.create_task(subject.run())
        await until(lambda: len(lines(pids)) == 1)
        os.kill(int(lines(pids)[0]), 9)
        await until(lambda: len(lines(pids)) == 2)
        subject.stop()
        await running

    asyncio.run(scene())
    assert said[0] == "the sleeper died (signal SIGKILL); restarting it in 0.01 s"
    assert not any(map(is_alive, lines(pids)))


def test_after_five_deaths_it_gives_up_and_ends_the_others(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    subject = [command("sleeper", WRITE_PID_THEN_SLEEP, pids), command("failure", "raise SystemExit(3)")]

    with pytest.raises(GaveUp, match=r"the failure died 5 times in 60 s \(last exit code 3\); giving up"):
        asyncio.run(supervisor(*subject).run())

    assert not any(map(is_alive, lines(pids)))


def test_children_end_one_after_another_in_the_order_given(tmp_path: Path) -> None:
    pids, ended = tmp_path / "pids", tmp_path / "ended"

    async def scene() -> None:
        subject = supervisor(*(command(name, NOTE_TERM, pids, ended, name) for name in ("worker", "gateway")))
        running = asyncio.create_task(subject.run())
        await until(lambda: len(lines(pids)) == 2)
        subject.stop()
        await running

    asyncio.run(scene())
    assert lines(ended) == ["worker", "gateway"]


def test_those_of_one_turn_are_asked_at_the_same_time(tmp_path: Path) -> None:
    pids, asked, said = tmp_path / "pids", tmp_path / "asked", list[str]()

    async def scene() -> None:
        workers = [command(name, END_WHEN_BOTH_WERE_ASKED, pids, asked) for name in ("worker 0", "worker 1")]
        subject = supervisor(*(replace(one, ends_with="workers") for one in workers), said=said)
        running = asyncio.create_task(subject.run())
        await until(lambda: len(lines(pids)) == 2)
        subject.stop()
        await running

    asyncio.run(scene())
    assert not any("killing" in line for line in said)
    assert len(lines(asked)) == 2


def test_a_child_that_ignores_the_request_is_killed_when_its_time_is_up(tmp_path: Path) -> None:
    pids, said = tmp_path / "pids", list[str]()

    async def scene() -> None:
        stubborn = command("stubborn", IGNORE_TERM_THEN_SLEEP, pids, stop_within_s=0.05)
        subject = supervisor(stubborn, said=said)
        running = asyncio.create_task(subject.run())
        await until(lambda: len(lines(pids)) == 1)
        subject.stop()
        await running

    asyncio.run(scene())
    assert said[-1] == "the stubborn did not end in time; killing it"
    assert not is_alive(lines(pids)[0])


def test_stopping_twice_kills_at_once(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    async def scene() -> None:
        subject = supervisor(command("stubborn", IGNORE_TERM_THEN_SLEEP, pids, stop_within_s=60))
        running = asyncio.create_task(subject.run())
        await until(lambda: len(lines(pids)) == 1)
        subject.stop()
        subject.stop()
        async with asyncio.timeout(10):
            await running

    asyncio.run(scene())
    assert not is_alive(lines(pids)[0])


def test_children_have_a_session_of_their_own(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    async def scene() -> None:
        subject = supervisor(command("sleeper", WRITE_PID_THEN_SLEEP, pids))
        running = asyncio.create_task(subject.run())
        await until(lambda: len(lines(pids)) == 1)
        pid = int(lines(pids)[0])
        assert os.getsid(pid) == pid
        subject.stop()
        await running

    asyncio.run(scene())
