"""RTSP servers that videos are sent to, each in a process of its own: while FFmpeg waits for an answer, nothing else of
the process that sends goes on.

    python rtsp_servers.py receive PORT COUNT   takes a video by FFmpeg, and prints the mean grey of COUNT frames
    python rtsp_servers.py refuse PORT STATUS   answers everything but OPTIONS with a status
    python rtsp_servers.py silent PORT          takes connections and says nothing
"""

from __future__ import annotations

import socket
import sys

import av


def tell(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def receive(port: int, count: int) -> None:
    options = {"rtsp_flags": "listen", "listen_timeout": "60"}
    with av.open(f"rtsp://127.0.0.1:{port}/live/road", "r", options=options) as container:
        for frame, _ in zip(container.decode(video=0), range(count), strict=False):
            tell(round(float(frame.to_ndarray(format="gray").mean())))


def refuse(port: int, status: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as listening:
        tell("ready")
        while True:
            connection, _ = listening.accept()
            with connection:
                while request := connection.recv(4096).decode():
                    number = next(line for line in request.splitlines() if line.startswith("CSeq"))
                    head = "200 OK" if request.startswith("OPTIONS") else f"{status} No"
                    asked = '\r\nWWW-Authenticate: Basic realm="x"' if status == 401 else ""
                    connection.sendall(f"RTSP/1.0 {head}\r\n{number}{asked}\r\n\r\n".encode())


def silent(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as listening:
        tell("ready")
        while True:
            connection, _ = listening.accept()
            while connection.recv(4096):
                pass


if __name__ == "__main__":
    {"receive": receive, "refuse": refuse, "silent": silent}[sys.argv[1]](*map(int, sys.argv[2:]))
