"""Every error that pi-detector raises for a reason outside its own code.

Each names the thing, the place and the fix in its message, and carries the exit code that ends a
command (sysexits.h). Each refines a builtin as well, so that callers may catch what they expect.
"""

from __future__ import annotations

import os


class PiDetectorError(Exception):
    """Base of all errors of pi-detector."""

    exit_code = os.EX_SOFTWARE


class UsageError(PiDetectorError, ValueError):
    """A command line that does not make sense."""

    exit_code = os.EX_USAGE


class ConfigError(PiDetectorError, ValueError):
    """A setting that is unknown, or whose value is not allowed."""

    exit_code = os.EX_CONFIG


class ModelNotFoundError(PiDetectorError, FileNotFoundError):
    """A model, or a file of its bundle, that does not exist."""

    exit_code = os.EX_NOINPUT


class BadModelError(PiDetectorError, ValueError):
    """A model that cannot be trusted or understood: damaged, altered, or of an unknown kind."""

    exit_code = os.EX_DATAERR


class BadLabelsError(PiDetectorError, ValueError):
    """Labels that do not fit their model."""

    exit_code = os.EX_DATAERR


class RuntimeMissingError(PiDetectorError, ImportError):
    """No interpreter for .tflite models is installed."""

    exit_code = os.EX_UNAVAILABLE


class DependencyMissingError(PiDetectorError, ImportError):
    """An optional package that was asked for is not installed."""

    exit_code = os.EX_UNAVAILABLE


class PluginError(PiDetectorError, ImportError):
    """A plugin that cannot be imported, or does not behave as its kind must."""

    exit_code = os.EX_UNAVAILABLE


class UnknownSchemeError(PiDetectorError, ValueError):
    """A source URI of a kind that does not exist."""

    exit_code = os.EX_CONFIG


class SourceNotFoundError(PiDetectorError, FileNotFoundError):
    """A camera, file or folder that is not there."""

    exit_code = os.EX_NOINPUT


class SourceBusyError(PiDetectorError, BlockingIOError):
    """A camera that another program holds."""

    exit_code = os.EX_TEMPFAIL


class NoPermissionError(PiDetectorError, PermissionError):
    """A secret or a recording that this user may not read."""

    exit_code = os.EX_NOPERM


class SourcePermissionError(PiDetectorError, PermissionError):
    """A camera or file that this user may not open."""

    exit_code = os.EX_NOPERM


class SourceStalledError(PiDetectorError, TimeoutError):
    """A source that delivered no frame within its deadline."""

    exit_code = os.EX_UNAVAILABLE


class SourceLostError(PiDetectorError, ConnectionError):
    """A source that delivered frames and stopped: unplugged, closed by its server."""

    exit_code = os.EX_UNAVAILABLE


class SourceStuckError(PiDetectorError, TimeoutError):
    """A source whose driver hangs, and lets go of it only when the process ends."""

    exit_code = os.EX_UNAVAILABLE


class BadImageError(PiDetectorError, ValueError):
    """An image or video that cannot be decoded."""

    exit_code = os.EX_DATAERR


class RecordingNotFoundError(PiDetectorError, FileNotFoundError):
    """A recorded event, or a folder of recordings, that does not exist."""

    exit_code = os.EX_NOINPUT


class RecordingInUseError(PiDetectorError, BlockingIOError):
    """A recorded event that still goes on, or a folder that another process records to."""

    exit_code = os.EX_TEMPFAIL


class BadBenchmarkError(PiDetectorError, ValueError):
    """A file that is not the result of a benchmark."""

    exit_code = os.EX_DATAERR


class UnfitMachineError(PiDetectorError, RuntimeError):
    """A machine that is too hot, or throttled, to be measured."""

    exit_code = os.EX_TEMPFAIL


class SettingsUnwritableError(PiDetectorError, PermissionError):
    """A settings file that this user cannot change."""

    exit_code = os.EX_NOPERM


class LogNotFoundError(PiDetectorError, FileNotFoundError):
    """Logs of records that do not exist, or hold nothing to report about."""

    exit_code = os.EX_NOINPUT


class SinkError(PiDetectorError, OSError):
    """An output that cannot be written."""

    exit_code = os.EX_IOERR


class ReaderGoneError(PiDetectorError, BrokenPipeError):
    """The program that read standard output is gone: an end of the run like others."""

    exit_code = os.EX_OK
