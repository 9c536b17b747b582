"""The processes of `darkroom up`: starts them, restarts one that dies, ends them in order, and leaves none behind.

It knows commands, signals and time, and nothing of the service. What the commands are is app.cli's business.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

Say = Callable[[str], None]


@dataclass(frozen=True)
class Command:
    """One child: what to run, what it inherits, and how long it may take to end when asked to."""

    name: str
    argv: tuple[str, ...]
    pass_fds: tuple[int, ...] = ()
    stop_within_s: float = 10.0
    ends_with: str = ""
    """Neighbours that say the same here are asked to end at the same time; the others one after another."""

    @property
    def turn(self) -> str:
        return self.ends_with or self.name


@dataclass
class RestartPolicy:
    """How long a dead child stays down, and when to stop trying. Pure: it is told the time."""

    max_deaths: int = 5
    window_s: float = 60.0
    delays_s: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    deaths_at: deque[float] = field(default_factory=deque[float])

    def after_death(self, now_s: float) -> float | None:
        """Seconds to wait before the next start; None when it died too often to go on."""
        self.deaths_at.append(now_s)
        while now_s - self.deaths_at[0] > self.window_s:
            self.deaths_at.popleft()
        if len(self.deaths_at) >= self.max_deaths:
            return None
        return self.delays_s[min(len(self.deaths_at), len(self.delays_s)) - 1]


class GaveUp(Exception):
    """A child died too often."""

    def __init__(self, command: Command, policy: RestartPolicy, exit_code: int) -> None:
        super().__init__(
            f"the {command.name} died {policy.max_deaths} times in {policy.window_s:g} s "
            f"(last {describe_exit(exit_code)}); giving up"
        )


class Supervisor:
    """Keeps one process per command alive until told to stop.

    Children are sessions of their own, so a terminal's Ctrl-C reaches only this process, which then asks them to end
    in turns, in the order in which the commands were given.
    """

    def __init__(self, commands: Sequence[Command], *, say: Say, new_policy: Callable[[], RestartPolicy]) -> None:
        self._children = [_Child(command, new_policy()) for command in commands]
        self._say = say
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()

    def stop(self) -> None:
        """Ends the children in order; called again, kills them at once."""
        if self._stopping.is_set():
            self._hurrying.set()
            return
        self._say("ending what is under way; ask again to end at once")
        self._stopping.set()

    async def run(self) -> None:
        """Returns when every child has ended after stop(). Raises GaveUp, also only after every child has ended."""
        keepers = [asyncio.create_task(self._keep(child)) for child in self._children]
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        pairs = zip(self._children, keepers, strict=True)
        for _, together in groupby(pairs, key=lambda pair: pair[0].command.turn):
            await asyncio.gather(*(self._end(child, keeper) for child, keeper in together))
        await asyncio.gather(*keepers)

    async def _keep(self, child: "_Child") -> None:
        while not self._stopping.is_set():
            process = child.start()
            exit_code = await asyncio.to_thread(process.wait)
            if self._stopping.is_set():
                return
            delay_s = child.policy.after_death(time.monotonic())
            if delay_s is None:
                raise GaveUp(child.command, child.policy, exit_code)
            self._say(f"the {child.command.name} died ({describe_exit(exit_code)}); restarting it in {delay_s:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _end(self, child: "_Child", keeper: asyncio.Task[None]) -> None:
        hurrying = asyncio.create_task(self._hurrying.wait())
        child.terminate()
        await asyncio.wait([keeper, hurrying], timeout=child.command.stop_within_s, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not keeper.done():
            self._say(f"the {child.command.name} did not end in time; killing it")
            child.kill()
            await asyncio.wait([keeper])


class _Child:
    """The process that a command has at the moment, if any."""

    def __init__(self, command: Command, policy: RestartPolicy) -> None:
        self.command = command
        self.policy = policy
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self.command.argv, stdin=subprocess.DEVNULL, pass_fds=self.command.pass_fds, start_new_session=True
        )
        return self._process

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """Kills the whole group, so that nothing the child started outlives it."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def describe_exit(exit_code: int) -> str:
    return f"signal {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
