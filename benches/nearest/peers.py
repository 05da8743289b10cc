"""Nearest-centroid search of other libraries, on one thread: `peers.py FOLDER OUT`.

FOLDER holds, little endian, `points.f32` and `centroids.f32` in row-major order, `found.u32`, the indices of the
centroids that Flockwise found, and `shape.json`, {dimensions, passes}. Writes a list of {peer, ns, differ} to OUT:
nanoseconds per point in the fastest pass, and the share of points for which the peer found another centroid.
"""

import json
import pathlib
import sys
import time

import faiss
import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits


def peers(points, centroids):
    """Each peer as a function without arguments that returns the indices. scikit-learn's `predict` is several times
    faster than its `pairwise_distances_argmin`."""
    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(centroids)
    # A model with given centroids can only be made by fitting one to them.
    model = KMeans(len(centroids), init=centroids, n_init=1, max_iter=1).fit(centroids)
    model.cluster_centers_ = centroids
    return {
        "scikit-learn": lambda: model.predict(points),
        "faiss": lambda: index.search(points, 1)[1][:, 0],
    }


def fastest(find, passes):
    times = []
    for _ in range(passes):
        begin = time.perf_counter_ns()
        find()
        times.append(time.perf_counter_ns() - begin)
    return min(times)


def main(folder, out):
    folder = pathlib.Path(folder)
    shape = json.loads((folder / "shape.json").read_text())
    points, centroids = (
        np.fromfile(folder / name, dtype="<f4").reshape(-1, shape["dimensions"])
        for name in ("points.f32", "centroids.f32")
    )
    flockwise = np.fromfile(folder / "found.u32", dtype="<u4")
    faiss.omp_set_num_threads(1)
    found = []
    with threadpool_limits(1):
        for name, find in peers(points, centroids).items():
            differ = float((find() != flockwise).mean())
            ns = fastest(find, shape["passes"]) / len(points)
            found.append({"peer": name, "ns": ns, "differ": differ})
    pathlib.Path(out).write_text(json.dumps(found))


main(*sys.argv[1:])
