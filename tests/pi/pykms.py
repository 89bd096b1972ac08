"""In place of the one module that picamera2 imports and Debian lacks; only its names of pixel formats are read."""


class _Names(type):
    def __getattr__(cls, name: str) -> str:
        return name


class PixelFormat(metaclass=_Names):
    pass
