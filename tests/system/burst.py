"""Many calls of Generate in the same instant: burst.py HOST:PORT [CALLS]. A measurement, and what a test uses.

The calls are bytes made before, written to connections that are open, and of the answers only the frames are looked at: so
little work that what is measured is the server and not its client. A call's time runs from the moment before its connection's
calls are written.
"""
import selectors
import struct
import sys
import time

import http2

CALLS_PER_CONNECTION = 90  # A server allows 100.
FLAG_END_STREAM, FLAG_ACK = 1, 1
PING, GOAWAY, WINDOW_UPDATE = 6, 7, 8


def generate_request(i):
    """GenerateRequest{prompt {text: "Once …"} stopping {max_tokens: 16}}, encoded."""
    text = b"Once upon a time there were %d" % i
    prompt = bytes([0x0A, len(text)]) + text
    return bytes([0x0A, len(prompt)]) + prompt + bytes([0x1A, 2, 0x08, 16])


class Connection:
    def __init__(self, address, first, count):
        self.socket = http2.connect(address)
        self.calls = b"".join(
            http2.call_headers("llama.v1.GatewayService/Generate", 2 * i + 1) +
            http2.message(2 * i + 1, generate_request(first + i)) for i in range(count))
        self.buffer = b""
        self.answered = set()  # Streams that had headers before their trailers.

    def start(self):
        self.began = time.monotonic()
        self.socket.sendall(self.calls)

    def read(self):
        """Reads what has come. Yields (stream, whether it was answered with more than a status) for each call that ended."""
        got = self.socket.recv(1 << 18)
        assert got, "the server closed the connection"
        self.buffer += got
        replies, at = b"", 0
        while len(self.buffer) - at >= 9:
            length, kind, flags = int.from_bytes(self.buffer[at:at + 3], "big"), *self.buffer[at + 3:at + 5]
            stream = int.from_bytes(self.buffer[at + 5:at + 9], "big")
            payload = self.buffer[at + 9:at + 9 + length]
            if len(payload) < length:
                break
            at += 9 + length
            assert kind not in (http2.RST_STREAM, GOAWAY), (kind, payload)
            if kind in (http2.SETTINGS, PING) and not flags & FLAG_ACK:
                replies += http2.frame(kind, FLAG_ACK, 0, payload if kind == PING else b"")
            if kind == http2.DATA and length:
                replies += http2.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", length))
            if kind == http2.HEADERS:
                if flags & FLAG_END_STREAM:
                    yield stream, stream in self.answered
                self.answered.add(stream)
        self.buffer = self.buffer[at:]
        if replies:
            self.socket.sendall(replies)


def burst(address, calls):
    """The times, in seconds, of the calls that were refused, and of the others."""
    connections = [Connection(address, first, min(CALLS_PER_CONNECTION, calls - first))
                   for first in range(0, calls, CALLS_PER_CONNECTION)]
    time.sleep(0.3)  # Until the server has taken them all.
    refused, answered = [], []
    try:
        with selectors.DefaultSelector() as selector:
            for connection in connections:
                connection.start()
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            while len(refused) + len(answered) < calls:
                ready = selector.select(timeout=60)
                assert ready, "no answer"
                for key, _ in ready:
                    for _, with_headers in key.data.read():
                        (answered if with_headers else refused).append(time.monotonic() - key.data.began)
    finally:
        for connection in connections:
            connection.socket.close()
    return sorted(refused), sorted(answered)


def percentiles(seconds):
    return ", ".join(f"{name} {1e3 * seconds[min(int(share * len(seconds)), len(seconds) - 1)]:.0f} ms"
                     for name, share in (("median", 0.5), ("p99", 0.99), ("worst", 1))) if seconds else "none"


def main():
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    refused, answered = burst(sys.argv[1], calls)
    print(f"{len(refused)} refused: {percentiles(refused)}; {len(answered)} answered: {percentiles(answered)}")


if __name__ == "__main__":
    main()
