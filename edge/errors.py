"""Defines every error that the kit raises on purpose.

    RoadliteError
    ├── UsageError        an option or an argument makes no sense (exit 2)
    ├── ModelError        a .tflite cannot be used as it is
    │   ├── CardError     its model card or labels are damaged
    │   └── DelegateError an external delegate is missing, or does not run it
    ├── RuntimeMissing    no inference runtime can be imported
    ├── SourceError       frames cannot be read
    │   └── UnreadableFile  one file of a source cannot, others may
    ├── SinkError         results cannot be written or shown
    ├── ClusterError      the workers of a cluster cannot be used
    ├── DownloadError     a named model cannot be fetched
    ├── GraphError        a frozen graph cannot be used as it is
    ├── ConversionError   a conversion produced something that cannot be trusted
    └── GateFailed        the work is done but a limit was missed (exit 3)

A message is one line and names the thing, what was expected, what was found and the way out. The name of an argument
stands in backquotes, and a command shows the flag that sets it instead.
"""


class RoadliteError(Exception):
    """The base of the tree; `exit_code` is what the command line returns for it."""

    exit_code = 1


class UsageError(RoadliteError):
    """An option or an argument that makes no sense.

    `field` is the argument's name, where it is a single one.
    """

    exit_code = 2

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"`{field}`: {message}" if field else message)


class ModelError(RoadliteError):
    pass


class CardError(ModelError):
    pass


class DelegateError(ModelError):
    pass


class RuntimeMissing(RoadliteError):
    pass


class SourceError(RoadliteError):
    pass


class UnreadableFile(SourceError):
    """A picture or label file that cannot be read; where it is one of many, the others can be taken without it.

    `reason` says why without the file's name, so that files with the same fault can be told together.
    """

    def __init__(self, file: object, reason: str = "") -> None:
        super().__init__(f"{file}: {reason}" if reason else str(file))
        self.reason = reason or str(file)


class SinkError(RoadliteError):
    pass


class ClusterError(RoadliteError):
    pass


class WorkersDied(ClusterError):
    """A call cost the lives of as many workers as it may: `deaths`."""

    def __init__(self, text: str, deaths: int) -> None:
        super().__init__(text)
        self.deaths = deaths


class DownloadError(RoadliteError):
    pass


class GraphError(RoadliteError):
    pass


class ConversionError(RoadliteError):
    pass


class GateFailed(RoadliteError):
    exit_code = 3
