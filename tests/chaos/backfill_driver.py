"""The driver of a backfill, as the job server would start it, with an embedder that keeps a journal.

python -m tests.chaos.backfill_driver HOME '{"min_actors": 1, "from": "...", "to": "..."}' [SECONDS_OF_A_CALL]
"""

import json
import logging
import os
import sys
from pathlib import Path

import ray

from include.quarry.embedding.protocol import Embedder
from include.quarry.settings import Settings
from ray_apps.jobs.embed_corpus import EmbedCorpus, run
from tests.chaos.journal import SPEC, JournalEmbedder
from tests.chaos.ray_cluster import ACTOR_CPUS

CALL_S = 0.15


def main() -> None:
    home = Path(sys.argv[1])
    call_s = float(sys.argv[3]) if len(sys.argv) > 3 else CALL_S
    job = EmbedCorpus.model_validate({"unit_size": 64} | json.loads(sys.argv[2]))

    def make_embedder() -> Embedder:
        return JournalEmbedder(home, call_s)

    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level=logging.WARNING)
    run(job, Settings(home=home, embedding_threads=ACTOR_CPUS), SPEC, make_embedder)


if __name__ == "__main__":
    main()
