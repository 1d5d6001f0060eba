"""Evidently's report of a window against its reference: what people look at; it decides nothing.

It is drawn from one chunk of each of a few hundred documents: Evidently takes rows for independent, and its t-SNE slows
down with their number.
"""

from pathlib import Path

from include.quarry.drift.clustering import nearest
from include.quarry.drift.reference import Reference
from include.quarry.drift.window import Embedded, Window

MAX_DOCUMENTS = 250
_AXES = 24


def write_evidently(path: Path, reference: Reference, window: Window, *, seed: int = 0) -> None:
    """Write one HTML file: drift of the distance to the centroids, of the cluster, and a map of both samples."""
    # these take seconds to import
    import pandas as pd  # noqa: PLC0415
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415
    from evidently.metrics import EmbeddingsDrift, ValueDrift  # noqa: PLC0415
    from evidently.metrics.embeddings import ModelDriftMethod  # noqa: PLC0415
    from sklearn.decomposition import PCA  # noqa: PLC0415

    past, present = (
        texts.sampled(seed, documents=MAX_DOCUMENTS, chunks=1) for texts in (reference.unfitted, window.texts)
    )
    axes = PCA(min(_AXES, *past.values.shape), random_state=seed).fit(past.values)
    names = [f"axis {number}" for number in range(axes.n_components_)]

    def table(texts: Embedded) -> pd.DataFrame:
        clusters, distances = nearest(texts.values, reference.centroids)
        frame = pd.DataFrame(axes.transform(texts.values), columns=names)
        return frame.assign(distance=distances, cluster=[f"cluster {row}" for row in clusters])

    definition = DataDefinition(
        numerical_columns=["distance"], categorical_columns=["cluster"], embeddings={"chunks": names}
    )
    both_maps = EmbeddingsDrift(embeddings_name="chunks", drift_method=ModelDriftMethod(bootstrap=False))
    report = Report([ValueDrift(column="distance"), ValueDrift(column="cluster"), both_maps])
    samples = [Dataset.from_pandas(table(texts), data_definition=definition) for texts in (present, past)]
    report.run(*samples).save_html(str(path))
