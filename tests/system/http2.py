"""A client that speaks just enough HTTP/2 to do what well-behaved ones do not."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, CONTINUATION = 0, 1, 3, 4, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name, value):
    """A header field without compression or index (RFC 7541, 6.2.2)."""
    def text(data):
        assert len(data) < 127
        return bytes([len(data)]) + data
    return b"\0" + text(name.encode()) + text(value.encode())


def call_headers(path, stream, more=()):
    """The headers of a call; `more`: pairs, which go before those of the same name."""
    fields = {":method": "POST", ":scheme": "http", ":path": f"/{path}", ":authority": "localhost", "te": "trailers",
              "content-type": "application/grpc"}
    fields = [*((name, value) for name, value in fields.items() if name not in dict(more)), *more]
    fields.sort(key=lambda field: not field[0].startswith(":"))  # A client's own names go first.
    block = b"".join(_literal(*field) for field in fields)
    frames = frame(HEADERS, 0, stream, block[:16000])
    for at in range(16000, len(block), 16000):
        frames += frame(CONTINUATION, 0, stream, block[at:at + 16000])
    return frames + frame(CONTINUATION, END_HEADERS, stream)


def message(stream, data, last=True):
    return frame(DATA, END_STREAM if last else 0, stream, b"\0" + struct.pack(">I", len(data)) + data)


def reset(stream):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", 8))  # CANCEL.


def connect(address, preface=True):
    host, port = address.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), timeout=20)
    if preface:
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
    return connection
