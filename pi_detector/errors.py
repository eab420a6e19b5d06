"""Every error that pi-detector raises for a reason outside its own code.

Each message names the thing, the problem and the fix; each class carries the exit code of a command
that it ends (sysexits.h). Each also refines a builtin, so that callers may catch what they expect.
"""

from __future__ import annotations

import os


class PiDetectorError(Exception):
    """Base of all errors of pi-detector."""

    exit_code = os.EX_SOFTWARE


class UsageError(PiDetectorError, ValueError):
    """A command line with contradictory or missing arguments."""

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
    """A source URI with an unknown scheme."""

    exit_code = os.EX_CONFIG


class SourceNotFoundError(PiDetectorError, FileNotFoundError):
    """A camera, file or folder that does not exist."""

    exit_code = os.EX_NOINPUT


class SourceBusyError(PiDetectorError, BlockingIOError):
    """A camera that another program uses."""

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
    """A source whose driver hangs and releases it only when the process ends."""

    exit_code = os.EX_UNAVAILABLE


class BadImageError(PiDetectorError, ValueError):
    """An image or video that cannot be decoded."""

    exit_code = os.EX_DATAERR


class RecordingNotFoundError(PiDetectorError, FileNotFoundError):
    """A recorded event, or a folder of recordings, that does not exist."""

    exit_code = os.EX_NOINPUT


class RecordingInUseError(PiDetectorError, BlockingIOError):
    """A recorded event that is ongoing, or a folder that another process records to."""

    exit_code = os.EX_TEMPFAIL


class BadBenchmarkError(PiDetectorError, ValueError):
    """A file that is not the result of a benchmark."""

    exit_code = os.EX_DATAERR


class UnfitMachineError(PiDetectorError, RuntimeError):
    """A device that is too hot or throttled to be measured."""

    exit_code = os.EX_TEMPFAIL


class SettingsUnwritableError(PiDetectorError, PermissionError):
    """A settings file that this user cannot change."""

    exit_code = os.EX_NOPERM


class LogNotFoundError(PiDetectorError, FileNotFoundError):
    """Record logs that do not exist, or contain nothing to report."""

    exit_code = os.EX_NOINPUT


class SinkError(PiDetectorError, OSError):
    """An output that cannot be written."""

    exit_code = os.EX_IOERR


class ReaderGoneError(PiDetectorError, BrokenPipeError):
    """The program that read standard output has exited, which ends the run normally."""

    exit_code = os.EX_OK
