"""What is sent for an evaluation."""

import io
import zipfile
from pathlib import Path


def images(cat: Path, *classes: str) -> dict[str, tuple[str, bytes]]:
    """The form of an evaluation: a ZIP file with an image of each class, by default of two kinds of cats."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for folder in classes or ("tiger cat", "tabby"):
            archive.write(cat, f"{folder}/cat.jpg")
    return {"pictures": ("images.zip", file.getvalue())}
