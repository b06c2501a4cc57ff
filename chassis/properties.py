"""The properties and the routing key of a message as it comes. The broker checks neither texts nor times.

pamqp raises at what is no text and no time, and aiormq gives the connection up: one such message would keep a service
from its queue for ever, and the broker would bring it again each time.
"""

from pamqp import decode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

_READ = ContentHeader.unmarshal
_SHORT_TEXT = decode.short_str


def accept_any() -> None:
    """From now on properties that cannot be read are read as none, by all connections of this process.

    Such a message has no id, so it is parked as one that cannot be read. A short text, as routing keys are, is read
    with what is no UTF-8 in it escaped: with the header CC a message comes under any key that its teller may use.
    """
    decode.METHODS["shortstr"] = _short_text
    ContentHeader.unmarshal = _read_what_can_be_read  # type: ignore[method-assign, assignment]


def _read_what_can_be_read(header: ContentHeader, data: bytes) -> None:
    try:
        _READ(header, data)
    except Exception:
        if header.class_id is None:  # not even the size of the body is known
            raise
        header.properties = Basic.Properties()


def _short_text(data: bytes) -> tuple[int, str]:
    try:
        return _SHORT_TEXT(data)
    except UnicodeDecodeError:
        end = data[0] + 1
        return end, data[1:end].decode("utf-8", "backslashreplace")
