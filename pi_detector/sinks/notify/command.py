"""Messages for a program: JSON on its standard input."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from pi_detector.sinks.notify.masking import masked
from pi_detector.sinks.notify.message import Message, as_json
from pi_detector.sinks.notify.services import NotSentError, RefusedError
from pi_detector.util.poll import ready

_MOST_WORDS = 200
_TAIL_BYTES = 4096
"""What is kept of a program's complaints."""
_PIPE_BYTES = 64 * 1024
"""What a pipe holds at most, and so what is left in it when its writers are gone; pipe(7)."""


class Command:
    """Runs a program for each message, one at a time, without a shell.

    It gets the message as JSON on standard input, and its id, rule and kind in the environment. It
    has taken the message when it exits with 0; with 65 (``EX_DATAERR``) it never will.

    Args:
        words: program and arguments.
        timeout_s: when it is killed, with all that it started in its process group.
    """

    def __init__(self, words: Sequence[str], timeout_s: float) -> None:
        self._words = tuple(words)
        self._timeout_s = timeout_s
        self.name = Path(words[0]).name

    def prepare(self) -> None:
        """Nothing is needed: a program that is missing may come."""

    def send(self, message: Message) -> None:
        """Run the program. Raises NotSentError, RefusedError."""
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={
                    **os.environ,
                    "PI_DETECTOR_MESSAGE_ID": message.id,
                    "PI_DETECTOR_RULE": message.rule,
                    "PI_DETECTOR_WHEN": message.when,
                },
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            raise NotSentError(f"cannot be started: {words}") from error
        conversation = _Conversation(process, as_json(message))
        try:
            conversation.hold(time.monotonic() + self._timeout_s)
        except TimeoutError as error:
            raise NotSentError(f"did not end within {self._timeout_s:g} s") from error
        finally:
            with suppress(OSError):  # also what it left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            conversation.close()
        if process.returncode == 0:
            return
        ended = f"exit code {process.returncode}"
        if process.returncode < 0:
            ended = f"killed by signal {-process.returncode}"
        complaint = masked(conversation.last_line, self._words[1:])[:_MOST_WORDS]
        words = f"{ended}: {complaint}" if complaint else ended
        if process.returncode == os.EX_DATAERR:
            raise RefusedError(words)
        raise NotSentError(words)


class _Conversation:
    """Gives a program its input and hears its complaints, until it ends.

    What it started may hold its standard error for longer than it lives, which is no failure of it.

    Args:
        process: with pipes as standard input and standard error.
        given: its input.
    """

    def __init__(self, process: subprocess.Popen[bytes], given: bytes) -> None:
        assert process.stdin is not None
        assert process.stderr is not None
        self._stdin: IO[bytes] = process.stdin
        self._stderr: IO[bytes] = process.stderr
        self._given = memoryview(given)
        self._heard = b""
        self._process_fd = os.pidfd_open(process.pid)
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stderr.fileno(), False)

    def hold(self, deadline_s: float) -> None:
        """Return when the program ended. Raises TimeoutError at the deadline, monotonic seconds."""
        complains = True
        while True:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            reading = [self._process_fd, *([self._stderr.fileno()] if complains else [])]
            able = ready(reading, [] if self._stdin.closed else [self._stdin.fileno()], left_s)
            if not self._stdin.closed and self._stdin.fileno() in able:
                self._give()
            if self._stderr.fileno() in able:
                complains = self._hear()
            if self._process_fd in able:
                return

    @property
    def last_line(self) -> str:
        """The last line of what it wrote to standard error."""
        return (self._heard.decode("utf-8", "replace").strip().splitlines() or [""])[-1]

    def close(self) -> None:
        """Take what is left in the pipes, and close them."""
        for _ in range(_PIPE_BYTES // _TAIL_BYTES):
            if not self._hear():
                break
        with suppress(OSError):
            self._stdin.close()
        self._stderr.close()
        os.close(self._process_fd)

    def _give(self) -> None:
        try:
            written = os.write(self._stdin.fileno(), self._given)
        except BlockingIOError:
            return
        except OSError:  # it wants no more
            written = len(self._given)
        self._given = self._given[written:]
        if not self._given:
            self._stdin.close()

    def _hear(self) -> bool:
        """Whether there may be more."""
        try:
            heard = os.read(self._stderr.fileno(), _TAIL_BYTES)
        except BlockingIOError:
            return False
        self._heard = (self._heard + heard)[-_TAIL_BYTES:]
        return bool(heard)
