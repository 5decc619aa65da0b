"""Send folders of image files to a running service, and compare its answers with an independent decoder's.

A file that the service accepts is decoded by libvips, OpenCV, FFmpeg and ImageMagick, as far as they can,
and sent again as a plain PNG: both must have the same first class. `disputed` counts the files for which the
service has the class of one decoder, but not of the first that opens the file; `alone` those that no other
decoder opens. No file may get an answer of 5xx, or none. It runs in an environment of its own, with pyvips,
pyvips-binary, opencv-python-headless and av; ImageMagick is Node's package @imagemagick/magick-wasm:

    python tools/corpora.py http://127.0.0.1:8080 FOLDER... --imagemagick FOLDER_WITH_NODE_MODULES
"""

import argparse
import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyvips

_SECONDS = 60


def main() -> None:
    """Print a table row for each folder, the differences under the table, and exit with 1 after any 5xx."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("service", help="its URL")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--imagemagick", type=Path, help="a folder in which its package is installed")
    asked = parser.parse_args()
    if asked.imagemagick:
        _DECODERS["ImageMagick"] = _ImageMagick(asked.imagemagick).decode
    notes: list[str] = []
    columns = (
        "folder",
        "files",
        "accepted",
        "refused",
        "5xx",
        "same class",
        "disputed",
        "other class",
        "alone",
    )
    print(f"| {' | '.join(columns)} |\n| --- | ---: | ---: | --- |{' ---: |' * 5}")
    failed = 0
    for folder in asked.folders:
        counts = _of_folder(asked.service.rstrip("/") + "/predict?top_k=5", folder, notes)
        refused = ", ".join(
            f"{counts[status]} x {status}" for status in sorted(counts) if status.startswith("4")
        )
        judged = [counts[name] for name in ("failed", "same", "disputed", "other", "alone")]
        cells = (folder.name, counts["files"], counts["200"], refused, *judged)
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        failed += counts["failed"]
    print("", *notes, sep="\n")
    sys.exit(1 if failed else 0)


def _of_folder(url: str, folder: Path, notes: list[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        data = path.read_bytes()
        status, answer = _sent(url, data, path.name)
        counts["files"] += 1
        counts[str(status)] += 1
        if status >= 500 or status == 0:
            counts["failed"] += 1
            notes.append(f"{path}: {status} {answer}")
        elif status == 200:
            outcome, note = _compared(url, data, answer)
            counts[outcome] += 1
            notes += [f"{path}: {note}"] if note else []
    return counts


def _sent(url: str, data: bytes, name: str) -> tuple[int, Any]:
    """Status and answer; status 0 if there is none."""
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Request-ID": "".join(filter(str.isalnum, name))[:40],
    }
    try:
        request = urllib.request.Request(url, data, headers)  # noqa: S310 - the caller's own service
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, repr(error)


def _compared(url: str, data: bytes, answer: Any) -> tuple[str, str]:
    """How the answer compares with those for other decoders' pixels, and a note if they differ."""
    gaps: dict[str, tuple[float, str]] = {}
    failed = []
    for name, decode in _DECODERS.items():
        png = decode(data)
        if png is None:
            continue
        status, other = _sent(url, png, "reference")
        if status == 200:
            gaps[name] = _gap(answer, other), other["predicted_label"]
        else:
            failed.append(f"the pixels of {name} got {status}")
    if not gaps:
        return "alone", failed[0] if failed else "no other decoder opens it"
    said = ", ".join(f"{label} by {name} ({gap:.2f} apart)" for name, (gap, label) in gaps.items())
    found = [gap for gap, _ in gaps.values()]
    if found[0] == 0:
        return "same", ""
    outcome = "disputed" if 0 in found else "other"
    return outcome, f"{outcome}: {answer['predicted_label']}; {said}"


def _gap(answer: Any, other: Any) -> float:
    """By how much the other answer's confidence in its class exceeds that in this one's; 0 if they agree."""
    if answer["predicted_label"] == other["predicted_label"]:
        return 0.0
    scores = {one["label"]: one["confidence"] for one in other["predictions"]}
    # Never 0, which means the same class.
    return float(max(1e-9, other["confidence"] - scores.get(answer["predicted_label"], 0)))


def _by_vips(data: bytes) -> bytes | None:
    """Upright 8-bit RGB on white as PNG; None if libvips cannot open it."""
    try:
        image = pyvips.Image.new_from_buffer(data, "").autorot()
        if image.interpretation in ("grey16", "rgb16") or image.format == "ushort":
            image = (
                (image / 257).rint().cast("uchar").copy(interpretation="b-w" if image.bands < 3 else "srgb")
            )
        image = image.colourspace("srgb")
        if image.hasalpha():
            image = image.flatten(background=255)
        return bytes(image.cast("uchar").write_to_buffer(".png", strip=True))
    except pyvips.Error:
        return None


def _by_opencv(data: bytes) -> bytes | None:
    coded = np.frombuffer(data, np.uint8)
    try:
        pixels, whole = cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is None:
        return None
    # The first turns the image upright but drops alpha, the second the other way round.
    if whole is not None and whole.shape == (*pixels.shape[:2], 4):
        pixels = _on_white(pixels, whole[..., 3] / np.iinfo(whole.dtype).max)
    return bytes(cv2.imencode(".png", pixels)[1])


def _by_ffmpeg(data: bytes) -> bytes | None:
    try:
        with av.open(io.BytesIO(data)) as container:
            # Several are tiles, or colour and alpha, which FFmpeg does not put together.
            if len(container.streams.video) != 1:
                return None
            frame = next(container.decode(video=0))
            pixels = frame.to_ndarray(format="bgra")
    except (av.FFmpegError, StopIteration, IndexError, ValueError):
        return None
    return bytes(cv2.imencode(".png", _on_white(pixels[..., :3], pixels[..., 3] / 255))[1])


def _on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Pixels of 8 bits, [height, width, 3], whose opacity is from 0 to 1, [height, width]."""
    opacity = alpha[..., None]
    mixed: np.ndarray = np.rint(pixels * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return mixed


class _ImageMagick:
    """A process of Node with ImageMagick in WebAssembly, begun again after an image that ends it."""

    def __init__(self, folder: Path) -> None:
        self._command = ["node", str(Path(__file__).with_name("imagemagick.mjs")), str(folder)]
        self._process = self._begun()

    def decode(self, data: bytes) -> bytes | None:
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            return None
        try:
            to.write(len(data).to_bytes(4, "little") + data)
            to.flush()
        except BrokenPipeError:
            size = b""
        else:
            size = back.read(4)
        if len(size) < 4:
            self._process = self._begun()
            return None
        return back.read(int.from_bytes(size, "little")) or None

    def _begun(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603


_DECODERS: dict[str, Callable[[bytes], bytes | None]] = {
    "libvips": _by_vips,
    "OpenCV": _by_opencv,
    "FFmpeg": _by_ffmpeg,
}


if __name__ == "__main__":
    main()
