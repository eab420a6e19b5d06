"""``python -m virtual_pipeline`` is ``python -m pi_detector`` with cameras of libcamera's pipeline
"virtual", which picamera2 does not know: two of its methods are replaced here.

The pipeline has no raw streams, and it wants the planes of a picture as separate buffers.
"""

from __future__ import annotations

import mmap
import os
import runpy
from typing import Any

import libcamera
from picamera2 import Picamera2
from picamera2.allocators import DmaAllocator


def modes_without_raw(self: Picamera2) -> list[dict[str, Any]]:
    """The modes of the sensor, which are those of its pictures."""
    configuration = self.camera.generate_configuration([libcamera.StreamRole.Viewfinder])
    formats = configuration.at(0).formats
    return [
        {"format": str(pixels), "size": (size.width, size.height)}
        for pixels in formats.pixel_formats
        for size in formats.sizes(pixels)
    ]


def allocate_planes(self: DmaAllocator, configurations: Any, _use_case: str) -> None:
    """Buffers for NV12, its two planes in one allocation."""
    self.libcamera_fds = []
    for memory in self.mapped_buffers.values():
        memory.close()
    # The numbers of what is closed here may be those of the new buffers.
    self.mapped_buffers.clear()
    self.mapped_buffers_used.clear()
    for fd in self.open_fds:
        os.close(fd)
    self.frame_buffers = {}
    self.open_fds = []
    for stream in configurations:
        buffers = []
        luma_bytes = stream.stride * stream.size.height
        for number in range(stream.buffer_count):
            fd = self.dmaHeap.alloc(f"virtual-{number}", stream.frame_size).get()
            self.open_fds.append(fd)
            planes = [plane(fd, 0, luma_bytes), plane(fd, luma_bytes, luma_bytes // 2)]
            # libcamera has duplicates of its own, by whose numbers picamera2 keeps its books.
            self.libcamera_fds.append(planes[0].fd)
            self.mapped_buffers_used[planes[0].fd] = False
            buffer = libcamera.FrameBuffer(planes)
            buffers.append(buffer)
            self.mapped_buffers[buffer] = mmap.mmap(
                fd, stream.frame_size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
            )
        self.frame_buffers[stream.stream] = buffers


def plane(fd: int, offset: int, length: int) -> libcamera.FrameBuffer.Plane:
    """A part of an allocation."""
    made = libcamera.FrameBuffer.Plane()
    made.fd, made.offset, made.length = fd, offset, length
    return made


Picamera2._get_raw_modes = modes_without_raw
DmaAllocator.allocate = allocate_planes

if __name__ == "__main__":
    runpy.run_module("pi_detector", run_name="__main__")
