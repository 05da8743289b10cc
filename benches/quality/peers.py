"""Runs other algorithms on the streams: `peers.py FOLDER OUT`.

Every file of FOLDER holds points as float64: the coordinates and the number of the group. The first LEARNING points
are to learn from, in order, the rest to evaluate on. Writes a list of {stream, peer, index} to OUT.
"""

import json
import multiprocessing
import pathlib
import sys

import numpy as np
from river import cluster
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score

DIMENSIONS = 16
LEARNING = 60_000
BATCH = 250
K = 8
# Points from which the first centres are made, as many as Flockwise's first model has.
FIRST = 2_000
# Half-life in points: 250 for each of at most 12 segments, times ln 2, as in Flockwise.
HALF_LIFE = 2_079
# Number of points for batch k-means: the last ones, after all slow changes.
LAST = 10_000


def nearest(centres, points):
    return ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)


def mini_batch(learning, evaluation):
    """scikit-learn's MiniBatchKMeans, one mini-batch after another."""
    model = MiniBatchKMeans(n_clusters=K, random_state=0)
    # The first call chooses the centres, so it gets as many points as the other algorithms use for that.
    model.partial_fit(learning[:FIRST])
    for start in range(FIRST, LEARNING, BATCH):
        model.partial_fit(learning[start : start + BATCH])
    return model.predict(evaluation)


def spark(learning, evaluation):
    """The rule of Spark's StreamingKMeans: weights decay, and a dying centre is replaced by a split of the largest."""
    first = KMeans(n_clusters=K, n_init=10, random_state=0).fit(learning[:FIRST])
    centres = first.cluster_centers_
    weights = np.bincount(first.labels_, minlength=K).astype(float)
    for start in range(FIRST, LEARNING, BATCH):
        batch = learning[start : start + BATCH]
        labels = nearest(centres, batch)
        weights *= 0.5 ** (BATCH / HALF_LIFE)
        for index in range(K):
            own = batch[labels == index]
            if len(own):
                total = weights[index] + len(own)
                centres[index] = (centres[index] * weights[index] + own.sum(axis=0)) / total
                weights[index] = total
        largest, smallest = weights.argmax(), weights.argmin()
        if weights[smallest] < 1e-8 * weights[largest]:
            weight = (weights[largest] + weights[smallest]) / 2
            weights[largest] = weights[smallest] = weight
            nudge = 1e-14 * np.maximum(np.abs(centres[largest]), 1.0)
            centres[smallest] = centres[largest] - nudge
            centres[largest] = centres[largest] + nudge
    return nearest(centres, evaluation)


def river(learning, evaluation):
    """River's KMeans with the best step size of those tried on shops, and first centres spread like the points."""
    model = cluster.KMeans(n_clusters=K, halflife=0.05, sigma=float(learning[:FIRST].std()), seed=0)
    for point in learning.tolist():
        model.learn_one(dict(enumerate(point)))
    return [model.predict_one(dict(enumerate(point))) for point in evaluation.tolist()]


def stream(learning, evaluation):
    """River's DBSTREAM with Flockwise's half-life, and the best radius and intersection of those tried on such streams."""
    model = cluster.DBSTREAM(
        clustering_threshold=3.75 * float(learning[:FIRST].std()),
        fading_factor=1 / HALF_LIFE,
        cleanup_interval=BATCH,
        intersection_factor=0.5,
        minimum_weight=1.0,
    )
    for point in learning.tolist():
        model.learn_one(dict(enumerate(point)))
    return [model.predict_one(dict(enumerate(point))) for point in evaluation.tolist()]


def batch(learning, evaluation, groups):
    """scikit-learn's KMeans, given the number of groups and the last points at once."""
    count = len(np.unique(groups))
    return KMeans(n_clusters=count, n_init=10, random_state=0).fit(learning[-LAST:]).predict(evaluation)


PEERS = {"spark": spark, "mini_batch": mini_batch, "river": river, "stream": stream}


def run(path):
    """Runs all algorithms on one stream."""
    rows = np.fromfile(path, dtype="<f8").reshape(-1, DIMENSIONS + 1)
    points, groups = rows[:, :DIMENSIONS], rows[LEARNING:, DIMENSIONS].astype(int)
    learning, evaluation = points[:LEARNING], points[LEARNING:]
    labels = {name: peer(learning, evaluation) for name, peer in PEERS.items()}
    labels["batch"] = batch(learning, evaluation, groups)
    found = []
    for name, given in labels.items():
        index = adjusted_rand_score(groups, given)
        found.append({"stream": path.stem, "peer": name, "index": index})
        print(path.stem, name, round(index, 3), file=sys.stderr)
    return found


def main(folder, out):
    paths = sorted(pathlib.Path(folder).glob("*.f64"))
    with multiprocessing.Pool() as pool:
        found = [one for of_stream in pool.imap(run, paths) for one in of_stream]
    pathlib.Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
