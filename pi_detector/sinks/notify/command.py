"""Messages for a program: JSON on its standard input."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pi_detector.sinks.notify.message import Message, as_json
from pi_detector.sinks.notify.services import NotSentError, RefusedError

_MOST_WORDS = 200


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
        try:
            _, complaint = process.communicate(as_json(message), self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise NotSentError(f"did not end within {self._timeout_s:g} s") from error
        finally:
            with suppress(OSError):  # also what it left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        if process.returncode == 0:
            return
        ended = f"exit code {process.returncode}"
        if process.returncode < 0:
            ended = f"killed by signal {-process.returncode}"
        lines = complaint.decode("utf-8", "replace").strip().splitlines()
        words = f"{ended}: {lines[-1][:_MOST_WORDS]}" if lines else ended
        if process.returncode == os.EX_DATAERR:
            raise RefusedError(words)
        raise NotSentError(words)
