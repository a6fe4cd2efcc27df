"""Pieces in a line, near each other what is linked."""

from __future__ import annotations

import numpy as np

from talon.graph.packing import Links

_DENSE_SPECTRUM = 400  # pieces up to which NumPy finds the spectrum, without SciPy


def spectral_order(n: int, links: Links) -> list[int]:
    """Return pieces along the second eigenvector of the Laplacian: near is what is linked.

    Raises
    ------
    ImportError
        There are more pieces than NumPy can do quickly, and SciPy is not installed.
    """
    if n < 3:
        return list(range(n))
    keys = np.array([key for key in links if key[0] != key[1]], int).reshape(-1, 2)
    ones = np.array([float(links[a, b]) for a, b in keys.tolist()])
    if n <= _DENSE_SPECTRUM:
        laplacian = np.zeros((n, n))
        np.add.at(laplacian, (keys[:, 0], keys[:, 1]), -ones)
        laplacian += laplacian.T
        laplacian -= np.diag(laplacian.sum(axis=1))
        vector = np.linalg.eigh(laplacian)[1][:, 1]
    else:
        vector = _sparse_vector(n, keys, ones)
    vector = np.round(vector / np.abs(vector).max(), 9)
    if vector[np.flatnonzero(vector)[0]] > 0:
        vector = -vector
    return sorted(range(n), key=lambda k: (vector[k], k))


def _sparse_vector(n: int, keys: np.ndarray, ones: np.ndarray) -> np.ndarray:
    try:
        from scipy.sparse import csc_matrix, diags
        from scipy.sparse.linalg import eigsh
    except ImportError as error:
        raise ImportError(
            f"Spectral partition of {n} pieces needs SciPy; install talon-snn[map] or use the "
            "algorithm 'compiler', 'greedy' or 'edgemap'"
        ) from error
    half = csc_matrix((ones, (keys[:, 0], keys[:, 1])), shape=(n, n))
    both = half + half.T
    laplacian = (diags(np.asarray(both.sum(axis=1)).ravel()) - both).tocsc()
    values, vectors = eigsh(laplacian, k=2, sigma=-1e-3, v0=np.linspace(-1, 1, n) + 0.01)
    return vectors[:, np.argsort(values)[1]]
