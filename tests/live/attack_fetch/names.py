"""A name server: names with turns of addresses, aliases, and names that are never answered."""

import contextlib
import socket
import struct
import threading
from collections import Counter
from ipaddress import ip_address

TYPES = {1: "A", 28: "AAAA"}
_POINTER_TO_QUESTION = b"\xc0\x0c"
_NO_SUCH_NAME = 3
Turns = list[list[str]]


class NameServer:
    """Answers on port 53 of loopback, with a time to live of 0.

    Args:
        zone: for each name its turns, one for each question; a turn holds addresses or one other name.
        silent: names whose questions are left unanswered.

    Attributes:
        asked: the name and type of each question.
    """

    def __init__(self, zone: dict[str, Turns], silent: frozenset[str]) -> None:
        self.asked: list[tuple[str, str]] = []
        self._zone = zone
        self._silent = silent
        self._turns = Counter[tuple[str, str]]()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(512)
            name, kind, end = _read(question)
            self.asked.append((name, kind))
            if name not in self._silent:
                with contextlib.suppress(OSError):
                    self._socket.sendto(self._answer(question[:end], name, kind), client)

    def _answer(self, question: bytes, name: str, kind: str) -> bytes:
        found = self._found(name, kind)
        records = _records(found, kind) if found else []
        code = 0 if found is not None else _NO_SUCH_NAME
        head = question[:2] + struct.pack("!5H", 0x8180 | code, 1, len(records), 0, 0)
        return head + question[12:] + b"".join(records)

    def _found(self, name: str, kind: str) -> list[str] | None:
        if name not in self._zone:
            return None
        turns = self._zone[name]
        turn = turns[self._turns[name, kind] % len(turns)]
        self._turns[name, kind] += 1
        if len(turn) == 1 and turn[0] in self._zone:
            return [turn[0], *(self._found(turn[0], kind) or [])]
        return turn


def _read(question: bytes) -> tuple[str, str, int]:
    labels, place = [], 12
    while length := question[place]:
        labels.append(question[place + 1 : place + 1 + length].decode("latin-1"))
        place += 1 + length
    kind = int.from_bytes(question[place + 1 : place + 3], "big")
    return ".".join(labels).lower(), TYPES.get(kind, str(kind)), place + 5


def _records(found: list[str], kind: str) -> list[bytes]:
    owner, records = _POINTER_TO_QUESTION, list[bytes]()
    for text in found:
        try:
            address = ip_address(text)
        except ValueError:
            name = b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"
            records.append(owner + struct.pack("!HHIH", 5, 1, 0, len(name)) + name)
            owner = name
            continue
        if kind == {4: "A", 6: "AAAA"}[address.version]:
            number = {4: 1, 6: 28}[address.version]
            records.append(owner + struct.pack("!HHIH", number, 1, 0, len(address.packed)) + address.packed)
    return records
