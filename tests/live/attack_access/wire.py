"""What no client library would send."""

import socket

from tests.patience import PATIENCE


def exchange(port: int, request: bytes) -> bytes:
    """Send bytes to a port of loopback, and read the answer to its end."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer
