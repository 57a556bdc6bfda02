"""Serve the app for real: python serve.py [PORT]"""

import sys

import uvicorn

SETTINGS = {
    "ws": "websockets-sansio",
    "ws_max_size": 4096,  # bytes; a longer message is refused before it is all there
    "ws_per_message_deflate": False,  # a few bytes could unpack to many
    "ws_ping_interval": 20,  # seconds; who does not answer a ping
    "ws_ping_timeout": 20,  # in as many is gone
    "timeout_graceful_shutdown": 0.5,  # seconds for goodbyes
}

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    uvicorn.run("websocket:app", port=port, **SETTINGS)
