"""Ways to write an address into a URL: those that resolvers read, and those that other software reads."""

import itertools
import random
from collections.abc import Iterator
from ipaddress import IPv4Address

_NUMBERS = ("{:d}", "0{:o}", "000{:o}", "0x{:x}", "0X{:X}", "0x0000{:x}")
_ZEROS = ("\uff10", "\u0660", "\u0e50", "\U0001d7ce")  # full width, Arabic, Thai, mathematical
_DIGITS = (
    "\u24ea\u2460\u2461\u2462\u2463\u2464\u2465\u2466\u2467\u2468",  # enclosed
    *("".join(chr(ord(zero) + digit) for digit in range(10)) for zero in _ZEROS),
)
_DOTS = (".", "\u3002", "\uff0e", "\uff61", "%2e", "%E3%80%82")
_SIX = (
    "::ffff:{four}", "::ffff:{hex}", "0:0:0:0:0:ffff:{four}", "0000:0000:0000:0000:0000:ffff:{hex}",
    "::{four}", "::{hex}", "::ffff:0:{four}", "64:ff9b::{four}", "64:ff9b:1::{hex}", "2002:{hex}::",
    "2002:{hex}::1", "2001:0:4136:e378:8000:63bf:{inverse}", "2606:4700::5efe:{hex}",
    "2606:4700::200:5efe:{hex}", "fec0::{hex}", "::ffff:{four}%25lo", "fe80::{hex}%25lo",
)  # fmt: skip
_AROUND = (
    "{host}", "{host}:80", "{host}.", "{host}:80.", "{host}:0080", "{host}:", "pub.test@{host}",
    "x:y@{host}:80", "pub.test+&@{host}", "{host}#@pub.test", "{host}?@pub.test", "{host}:80:80",
    "{host}%09pub.test", "{host}%2509pub.test", "{host}\\@pub.test", "pub.test%40{host}",
    "{host}%00.pub.test",
)  # fmt: skip


def sample(addresses: tuple[str, ...], count: int, seed: int) -> list[str]:
    """So many URLs, drawn from all spellings of some IPv4 addresses with all that can stand around them."""
    drawn = random.Random(seed)
    hosts = [host for address in addresses for host in spellings(IPv4Address(address))]
    return [
        f"{drawn.choice(('http', 'https'))}://{drawn.choice(_AROUND).format(host=drawn.choice(hosts))}/cat.jpg"
        for _ in range(count)
    ]


def spellings(address: IPv4Address) -> Iterator[str]:
    """Every spelling of one address, without a port or anything else around it."""
    yield from _numbers(int(address))
    yield from _letters(str(address))
    yield from _in_six(address)


def _numbers(number: int) -> Iterator[str]:
    octets = [number >> shift & 255 for shift in (24, 16, 8, 0)]
    grouped = [octets, [*octets[:2], number & 0xFFFF], [octets[0], number & 0xFFFFFF], [number]]
    for parts in grouped:
        for forms in itertools.product(_NUMBERS, repeat=len(parts)):
            yield ".".join(form.format(part) for form, part in zip(forms, parts, strict=True))
    yield ".".join(str(octet + 256) for octet in octets)
    yield str(number + 2**32)


def _letters(address: str) -> Iterator[str]:
    for dot in _DOTS:
        yield address.replace(".", dot)
        for digits in _DIGITS:
            yield address.translate(str.maketrans("0123456789", digits)).replace(".", dot)
    yield "".join(f"%{ord(letter):02x}" for letter in address)


def _in_six(address: IPv4Address) -> Iterator[str]:
    words = f"{int(address):08x}"
    inverse = f"{int(address) ^ 0xFFFFFFFF:08x}"
    for form in _SIX:
        text = form.format(
            four=address, hex=f"{words[:4]}:{words[4:]}", inverse=f"{inverse[:4]}:{inverse[4:]}"
        )
        yield f"[{text}]"
