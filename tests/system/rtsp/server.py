"""RTSP cameras on 127.0.0.1, by GStreamer's RTSP server.

usage: /usr/bin/python3 server.py PORT [private]

/camera is a moving test picture in H.264; /hevc, /audio, /reordered and /jpeg are others. A private
server asks for user and password.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - versions come first

PICTURES = (
    "videotestsrc is-live=true pattern=ball"
    " ! video/x-raw,format=I420,width=640,height=480,framerate=15/1 ! "
)
SOUND = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay"
H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15"
PAY_H264 = " ! rtph264pay name=pay0 pt=96 config-interval=1"
CAMERAS = {
    "/camera": PICTURES + H264 + PAY_H264,
    "/audio": f"{PICTURES}{H264}{PAY_H264} {SOUND} name=pay1 pt=8",
    "/reordered": f"{PICTURES}x264enc bframes=2 b-adapt=false speed-preset=ultrafast key-int-max=15"
    + PAY_H264,
    "/hevc": PICTURES
    + "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=15"
    + " ! rtph265pay name=pay0 pt=96 config-interval=1",
    "/jpeg": PICTURES + "jpegenc ! rtpjpegpay name=pay0 pt=26",
}
USER, PASSWORD = "operator", "hunter2"

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
for path, pipeline in CAMERAS.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {pipeline} )")
    factory.set_shared(True)
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", permission, True)
    factory.set_permissions(permissions)
    server.get_mount_points().add_factory(path, factory)
if sys.argv[2:] == ["private"]:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(USER, PASSWORD, token)
    server.set_auth(auth)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
