"""Reads the head of WebP files (WebP Container Specification, "Extended File Format")."""

from __future__ import annotations

HEAD = 30  # bytes, which the chunk VP8X ends with
_ANIMATED = 0x02


def animated_size(head: bytes) -> tuple[int, int] | None:
    """Returns width and height of an animated WebP that begins with `head`; None for anything else."""
    if len(head) < HEAD or head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or not head[20] & _ANIMATED:
        return None
    return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
