"""Stands in for the module of picamera2's preview windows, which Debian does not have.

picamera2 imports it whatever it is used for; a capture without a window calls nothing of it.
"""


class _AnyName(type):
    def __getattr__(cls, name: str) -> str:
        return name


class PixelFormat(metaclass=_AnyName):
    """Has whatever format is named."""
