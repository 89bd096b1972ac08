"""Serves connections on this machine, one at a time, in a thread of its own."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class LocalServer(threading.Thread):
    """A server at a free `port`, until `listening` is closed."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # the viewer may go at any time
                self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError
