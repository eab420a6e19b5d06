"""Where the process begins: SIGHUP waits until there is something that can be reloaded.

Imports take a second, and ten on a small Pi. A reload in that time would end the process, as
SIGHUP does by default, and systemd would take that for a clean end.
"""

from __future__ import annotations

import signal


def main() -> int:
    """Run the command line of the process. Returns the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from pi_detector.cli.main import main as run_command

    return run_command()
