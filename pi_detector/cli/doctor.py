"""``pi-detector doctor``: check what works on this device, and how to fix what does not."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.cli.common import (
    Subparsers,
    add_command,
    add_model_options,
    model_overrides,
    settings_of,
)
from pi_detector.errors import ConfigError, SinkError
from pi_detector.util.paths import with_service

if TYPE_CHECKING:
    from pi_detector.cli.findings import Finding

_DESCRIPTION = """\
Check this device: packages, runtime, settings, secrets, plugins, model, cameras, source, folders,
recordings, page, broker, messages, service, power, temperature, clock and disk. It reads a frame
from the source and connects to the broker. Each line shows 'ok', 'warn' or 'fail', the check, the
finding and the fix. The exit code is 69 if any line is 'fail', else 0."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "doctor",
        "check this device and suggest fixes",
        _DESCRIPTION,
        """
        pi-detector doctor
        pi-detector doctor --json | jq '.checks[] | select(.level != "ok")'
        """,
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object")
    add_model_options(parser)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run all checks; a failing check does not stop the others."""
    from pi_detector.cli.findings import Level

    findings = []
    for finding in examine(args):
        findings.append(finding)
        if not args.json:
            print(finding, flush=True)
    healthy = all(finding.level is not Level.FAIL for finding in findings)
    if args.json:
        print(as_json(findings, healthy=healthy))
    return os.EX_OK if healthy else os.EX_UNAVAILABLE


def examine(args: argparse.Namespace) -> Iterator[Finding]:
    """Yield the findings of all checks, the cheap ones first."""
    from pi_detector.cli import (
        doctor_folders,
        doctor_host,
        doctor_mqtt,
        doctor_notify,
        doctor_packages,
        doctor_page,
        doctor_plugins,
        doctor_private,
        doctor_recordings,
        doctor_service,
        doctor_software,
        doctor_source,
    )
    from pi_detector.cli.findings import Finding, Level

    yield from doctor_host.host_findings()
    unusable = False
    for finding in doctor_software.versions():
        unusable |= finding.level is Level.FAIL
        yield finding
    yield from doctor_packages.package_findings()
    if unusable:  # the remaining checks import these packages
        return

    from pi_detector.config.load import find_config
    from pi_detector.config.settings import Settings
    from pi_detector.pipeline.build import growing_folder
    from pi_detector.sources.discover import find_cameras
    from pi_detector.telemetry.sensors import pi_model

    try:
        settings = settings_of(args, model_overrides(args))
        file = args.config or find_config(os.environ)
        yield doctor_software.settings_file(file)
        yield from doctor_private.private_findings(settings, file and Path(file), os.environ)
    except ConfigError as error:
        settings = Settings()
        for line in str(error).splitlines():
            yield Finding(Level.FAIL, "settings", line)
    yield from doctor_plugins.plugin_findings(settings)
    yield from doctor_software.runtimes()
    yield doctor_software.model(settings)
    yield doctor_software.picamera2(pi_model())
    cameras = find_cameras()
    yield from doctor_software.cameras(cameras)
    yield from doctor_source.source_findings(settings, os.environ, cameras=bool(cameras))
    yield from doctor_folders.output_findings(settings, os.environ)
    with contextlib.suppress(SinkError):  # a path that makes no sense is a finding of its own
        folder = growing_folder(settings, with_service(os.environ))
        yield doctor_host.disk_space(folder)
    yield from doctor_recordings.recordings(settings.recording)
    yield from doctor_page.page_findings(settings, os.environ)
    yield from doctor_mqtt.mqtt_findings(settings, os.environ)
    yield from doctor_notify.notify_findings(settings)
    yield from doctor_service.service_findings()


def as_json(findings: list[Finding], *, healthy: bool) -> str:
    """Return the findings as a JSON object: ``healthy`` and the list ``checks``."""
    import json
    from dataclasses import asdict

    checks = [asdict(finding) for finding in findings]
    return json.dumps({"healthy": healthy, "checks": checks}, indent=2, ensure_ascii=False)
