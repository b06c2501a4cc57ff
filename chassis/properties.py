"""The properties of a message as it comes. The broker checks neither the texts in them nor the times.

pamqp raises at what is no text and no time, and aiormq gives the connection up: one such message would keep a service
from its queue for ever, and the broker would bring it again each time.
"""

from pamqp.commands import Basic
from pamqp.header import ContentHeader

_READ = ContentHeader.unmarshal


def accept_any() -> None:
    """From now on properties that cannot be read are read as none, by all connections of this process.

    Such a message has no id, so it is parked as one that cannot be read.
    """
    ContentHeader.unmarshal = _read_what_can_be_read  # type: ignore[method-assign, assignment]


def _read_what_can_be_read(header: ContentHeader, data: bytes) -> None:
    try:
        _READ(header, data)
    except Exception:
        if header.class_id is None:  # not even the size of the body is known
            raise
        header.properties = Basic.Properties()
