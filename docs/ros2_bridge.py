"""Publishes the detections of pi-detector in ROS 2, as vision_msgs/msg/Detection2DArray.

Needs ros-DISTRO-vision-msgs, and in the settings of pi-detector::

    [output]
    socket = "$RUNTIME_DIRECTORY/records.sock"
    socket_format = "vision_msgs"

usage: python3 ros2_bridge.py [--ros-args -p socket:=/run/pi-detector/records.sock]
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

RETRY_S = 1.0


def messages(path: str, go_on: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """The messages at a socket, also after pi-detector was restarted.

    Args:
        path: of the socket.
        go_on: asked at least once a second; False ends it.
    """
    while go_on():
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(RETRY_S)
                connection.connect(path)
                yield from _lines(connection, go_on)
        except OSError:  # pi-detector is not there
            time.sleep(RETRY_S)


def _lines(connection: socket.socket, go_on: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    rest = b""
    while go_on():
        try:
            data = connection.recv(65536)
        except TimeoutError:
            continue
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from map(json.loads, lines)


def main() -> None:
    """The node."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from rosidl_runtime_py import set_message_fields
    from vision_msgs.msg import Detection2DArray

    rclpy.init()
    node = rclpy.create_node("pi_detector")
    path = node.declare_parameter("socket", "/run/pi-detector/records.sock").value
    publisher = node.create_publisher(Detection2DArray, "detections", qos_profile_sensor_data)
    for fields in messages(path, rclpy.ok):
        message = Detection2DArray()
        set_message_fields(message, fields)
        publisher.publish(message)


if __name__ == "__main__":
    main()
