"""Every month, read what people thought of the answers, so that somebody knows what to mend.

Queries that were rated low are gathered by subject, each with the passages that were shown, the share that was
disappointed, and what to try first: other documents, another index spec, larger passages, another prompt. The page is
in MLflow (experiment `quarry-feedback`) and under `feedback/` of the home; the task's log has its address.

By hand it reads the last 30 days; `python -m include.quarry airflow backfill create --dag-id review_feedback ...` reads
months again.
"""

from airflow.sdk import CronDataIntervalTimetable, task
from quarry_dag import name_param, quarry_dag, run_to_the_end, span

SINCE, UNTIL = span(days=30)

with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=CronDataIntervalTimetable("0 4 1 * *", timezone="UTC"),
    tags=["feedback", "evaluation"],
    params={"corpus": name_param("main", "Corpus whose answers were rated")},
) as dag:

    @task
    def review(corpus: str, since: str, until: str) -> None:
        """Write the page, and keep it in MLflow."""
        run_to_the_end("evaluation", "feedback", "--corpus", corpus, "--since", since, "--until", until)

    review("{{ params.corpus }}", SINCE, UNTIL)
