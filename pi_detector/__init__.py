"""pi-detector: quantized object detection for a Raspberry Pi, as a daemon.

Importing the package costs little: OpenCV, the runtime and the camera libraries are imported by
the modules that need them, when they need them.
"""

__version__ = "0.1.0"
