"""What others make of the streams: `peers.py FOLDER OUT`.

Every file of the folder holds points, so many of them to learn from in turn and the rest to be judged by, as float64:
the coordinates and the number of the group. Written is a list of {stream, peer, index}.
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
LEARNT = 60_000
BATCH = 250
K = 8
# Points from which Spark's first centres are made, as many as Flockwise's first model has.
FIRST = 2_000
# Points after which one weighs half: 250 for each of at most 12 segments, times ln 2, as in Flockwise.
HALF_LIFE = 2_079
# Points that batch k-means is given, the last ones: all slow changes are over by then.
LAST = 10_000


def nearest(centres, points):
    return ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)


def mini_batch(learnt, judged):
    """scikit-learn, a mini-batch after the other."""
    model = MiniBatchKMeans(n_clusters=K, random_state=0)
    # The first call chooses the centres, so it is given as much as the others have for that.
    model.partial_fit(learnt[:FIRST])
    for start in range(FIRST, LEARNT, BATCH):
        model.partial_fit(learnt[start : start + BATCH])
    return model.predict(judged)


def spark(learnt, judged):
    """The rule of Spark's StreamingKMeans: decay, and a dying centre goes to the largest."""
    first = KMeans(n_clusters=K, n_init=10, random_state=0).fit(learnt[:FIRST])
    centres = first.cluster_centers_
    weights = np.bincount(first.labels_, minlength=K).astype(float)
    for start in range(FIRST, LEARNT, BATCH):
        batch = learnt[start : start + BATCH]
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
    return nearest(centres, judged)


def river(learnt, judged):
    """River's KMeans, its best step of those tried on shops, its first centres spread as the points are."""
    model = cluster.KMeans(n_clusters=K, halflife=0.05, sigma=float(learnt[:FIRST].std()), seed=0)
    for point in learnt.tolist():
        model.learn_one(dict(enumerate(point)))
    return [model.predict_one(dict(enumerate(point))) for point in judged.tolist()]


def stream(learnt, judged):
    """River's DBSTREAM, with Flockwise's half-life; radius and intersection are the best of those tried on such groups."""
    model = cluster.DBSTREAM(
        clustering_threshold=3.75 * float(learnt[:FIRST].std()),
        fading_factor=1 / HALF_LIFE,
        cleanup_interval=BATCH,
        intersection_factor=0.5,
        minimum_weight=1.0,
    )
    for point in learnt.tolist():
        model.learn_one(dict(enumerate(point)))
    return [model.predict_one(dict(enumerate(point))) for point in judged.tolist()]


def batch(learnt, judged, groups):
    """scikit-learn's KMeans, which is told how many groups there are and given the last points at once."""
    count = len(np.unique(groups))
    return KMeans(n_clusters=count, n_init=10, random_state=0).fit(learnt[-LAST:]).predict(judged)


PEERS = {"spark": spark, "mini_batch": mini_batch, "river": river, "stream": stream}


def play(path):
    """Everybody on one stream."""
    rows = np.fromfile(path, dtype="<f8").reshape(-1, DIMENSIONS + 1)
    points, groups = rows[:, :DIMENSIONS], rows[LEARNT:, DIMENSIONS].astype(int)
    learnt, judged = points[:LEARNT], points[LEARNT:]
    labels = {name: peer(learnt, judged) for name, peer in PEERS.items()}
    labels["batch"] = batch(learnt, judged, groups)
    found = []
    for name, given in labels.items():
        index = adjusted_rand_score(groups, given)
        found.append({"stream": path.stem, "peer": name, "index": index})
        print(path.stem, name, round(index, 3), file=sys.stderr)
    return found


def main(folder, out):
    paths = sorted(pathlib.Path(folder).glob("*.f64"))
    with multiprocessing.Pool() as pool:
        found = [one for of_stream in pool.imap(play, paths) for one in of_stream]
    pathlib.Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
