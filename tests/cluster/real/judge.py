"""What the answers of several machines say of the uploads that were made meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.cluster.real.machine import number_of
from tests.live.load import Sent


@dataclass(frozen=True)
class Upload:
    """An upload that succeeded.

    Attributes:
        number: what its answers are known by; later uploads have greater ones.
        answered: when it was answered, in seconds since 1970.
    """

    number: int
    answered: float


@dataclass(frozen=True)
class Verdict:
    """How a cluster fared.

    Attributes:
        requests: how many were sent.
        failed: those that had no answer, or another status than 200.
        old: answers from a version before an upload, asked for after that upload's 200.
        mixed: for each upload, the seconds after its first answer in which a request that was sent then still
            got an older one.
        wide: the same until such an answer had arrived, which has the time of a request in it.
    """

    requests: int
    failed: int
    old: int
    mixed: Sequence[float]
    wide: Sequence[float]

    def __str__(self) -> str:
        text = f"{self.failed} failed of {self.requests}, {self.old} old after the 200"
        if not self.mixed:
            return text
        return (
            f"{text}, mixed at most {max(self.mixed):.3f} s, {sum(self.mixed):.3f} s in all "
            f"({max(self.wide):.3f} and {sum(self.wide):.3f} s by arrival)"
        )


def judge(sent: Sequence[Sent], uploads: Sequence[Upload]) -> Verdict:
    """Compare answers with uploads.

    Args:
        sent: the requests to all machines.
        uploads: in their order.

    Returns:
        The verdict.
    """
    good = [(one, number_of(one.label)) for one in sent if one.status == 200]
    old = sum(any(one.sent > up.answered and number < up.number for up in uploads) for one, number in good)
    mixed, wide = list[float](), list[float]()
    for upload in uploads:
        first = min(
            (one.answered for one, number in good if number >= upload.number), default=upload.answered
        )
        before = [one for one, number in good if number < upload.number]
        mixed.append(max(0.0, max((one.sent for one in before), default=first) - first))
        wide.append(max(0.0, max((one.answered for one in before), default=first) - first))
    return Verdict(len(sent), len(sent) - len(good), old, mixed, wide)
