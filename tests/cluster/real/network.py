"""A network of machines on this one: network namespaces, joined by a bridge, whose packets can be dropped.

The process that tests enters a namespace of its own, where the bridge and the store are. So nothing is added
to the network of the host, and what remains of a test that was killed goes with its namespace.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_NEW_NETWORK = 0x40000000
_PREFIX = "predictor-"
_SUBNET = "10.77.0"
_BRIDGE = "bridge0"
HERE = f"{_SUBNET}.254"
"""The address of the process that tests, and of the servers that it starts."""


def run(*command: str | Path) -> str:
    """Run a command of the system.

    Returns:
        What it printed.

    Raises:
        AssertionError: it failed; with what it said.
    """
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr or done.stdout}"
    return done.stdout


@contextmanager
def bridge() -> Iterator[None]:
    """Be on a bridge of one's own while the block lasts, with the servers and threads started in it."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.unshare(_NEW_NETWORK))
    try:
        remove_all()
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", _BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{HERE}/24", "dev", _BRIDGE)
        run("ip", "link", "set", _BRIDGE, "up")
        yield
    finally:
        remove_all()
        _checked(libc.setns(before, _NEW_NETWORK))
        os.close(before)


def remove_all() -> None:
    """Remove the namespaces of machines, also those that an earlier run left."""
    for line in run("ip", "netns", "list").splitlines():
        if (name := line.split()[0]).startswith(_PREFIX):
            Host(name.removeprefix(_PREFIX), "").remove()


class Host:
    """A namespace on the bridge.

    Args:
        name: its short name.
        address: its address.
    """

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.namespace = f"{_PREFIX}{name}"

    @classmethod
    def add(cls, number: int) -> "Host":
        """Make the namespace of a machine with a number from 1 on."""
        host = cls(f"m{number}", f"{_SUBNET}.{number}")
        outer, inner = f"v{number}", f"eth{number}"
        run("ip", "netns", "add", host.namespace)
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        run("ip", "link", "set", inner, "netns", host.namespace)
        run("ip", "link", "set", outer, "master", _BRIDGE)
        run("ip", "link", "set", outer, "up")
        host.run("ip", "link", "set", "lo", "up")
        host.run("ip", "address", "add", f"{host.address}/24", "dev", inner)
        host.run("ip", "link", "set", inner, "up")
        return host

    def command(self, *command: str) -> Sequence[str]:
        """A command as it is run inside; its process is the command's own."""
        return "ip", "netns", "exec", self.namespace, *command

    def run(self, *command: str) -> str:
        """Run a command inside; what it printed."""
        return run(*self.command(*command))

    def pids(self) -> list[int]:
        """The processes inside."""
        return list(map(int, run("ip", "netns", "pids", self.namespace).split()))

    def signal(self, number: int) -> None:
        """Send a signal to all processes inside, until a kill has found all of them."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @contextmanager
    def cut_off(self, address: str | None = None) -> Iterator[None]:
        """Drop the packets to and from an address, or all, as long as the block lasts; nobody is told."""
        self.cut(address)
        try:
            yield
        finally:
            self.heal()

    def cut(self, address: str | None = None) -> None:
        """Drop the packets to and from an address, or all."""
        rules = [f"add table inet {_BRIDGE}"]
        for chain, side, end in (("output", "oifname", "daddr"), ("input", "iifname", "saddr")):
            which = f"ip {end} {address}" if address else f'{side} != "lo"'
            rules.append(f"add chain inet {_BRIDGE} {chain} {{ type filter hook {chain} priority 0 ; }}")
            rules.append(f"add rule inet {_BRIDGE} {chain} {which} drop")
        self.run("nft", "; ".join(rules))

    def heal(self) -> None:
        """Let all packets pass again."""
        self.run("nft", "delete", "table", "inet", _BRIDGE)

    def remove(self) -> None:
        """End what runs inside, and remove it."""
        self.signal(9)
        run("ip", "netns", "delete", self.namespace)


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
