"""The entry point: blocks SIGHUP until the process can reload.

Imports take a second, or ten on a small Pi. A reload during that time would end the process, as
SIGHUP does by default, and systemd would take that for a clean exit.
"""

from __future__ import annotations

import signal


def main() -> int:
    """Run the command line of the process, and return the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from pi_detector.cli.main import main as run_command

    return run_command()
