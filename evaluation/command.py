"""The command line: `run` measures, `compare` tells runs apart, `gate` decides; `drift`, `feedback`, `access` report.

`gate` judges a run by its suite's thresholds or, with `--candidate`, an index version against the live one, or, with
`--release`, a model and prompt. Its last line on standard output is the verdict as JSON.

Exit codes: 0 done, or the gate's pass; 1 the gate's fail; 2 could not be done, or could not be judged.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from evaluation.arguments import add_gate_options, add_run_options, add_tiers_options, moment, positive
from evaluation.comparison import compare
from evaluation.gate import EXIT_CODES, Verdict, judge
from evaluation.gate_candidate import GateOptions, gate_version
from evaluation.gate_record import reasons_of
from evaluation.judgments import load_suite
from evaluation.metrics import METRICS
from evaluation.record import RunRecord, read_record
from evaluation.report import print_comparison, print_gate, print_run, print_tiers, print_verdict
from evaluation.session import RunOptions, execute
from evaluation.trial import AskOptions
from include.quarry.errors import InvalidInput, QuarryError
from include.quarry.settings import Settings, load_settings

_ROWS = 10


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. What is expected to go wrong is one line on standard error."""
    console, options = Console(), None
    try:
        options = _parser(load_settings()).parse_args(arguments)
        exit_code: int = options.command(options, console)
    except QuarryError as error:
        complaints = Console(stderr=True, soft_wrap=True)
        complaints.print(f"{error.title}: {error}", style="red", markup=False, highlight=False)
        if options and options.command is _gate:
            reason = {"ground": "error", "text": f"{error.title}: {error}"}
            _print_json({"outcome": "undecided", "reasons": [reason]})
        return 2
    return exit_code


def _run(options: argparse.Namespace, console: Console) -> int:
    _measure(options, console)
    return 0


def _compare(options: argparse.Namespace, console: Console) -> int:
    before, after = (_find_record(run, options.mlflow) for run in (options.before, options.after))
    comparison = compare(before, after, options.metric or after.headline)
    print_comparison(console, comparison, rows=options.rows)
    return 0


def _gate(options: argparse.Namespace, console: Console) -> int:
    if options.release:
        return _gate_release(options, console)
    if options.candidate:
        return _gate_candidate(options, console)
    baseline = _find_record(options.baseline, options.mlflow) if options.baseline else None
    if options.record is None:
        record, _ = _measure(options, console)
        thresholds = record.thresholds
    else:
        record = _find_record(options.record, options.mlflow)
        thresholds = load_suite(options.suite).card.thresholds if options.suite else record.thresholds
        print_run(console, record, judge(record, thresholds))
    verdict = judge(record, thresholds, baseline=baseline)
    print_verdict(console, verdict)
    reasons = [reason.model_dump() for reason in reasons_of(verdict)]
    _print_json({"suite": record.suite, "outcome": verdict.outcome, "reasons": reasons})
    return verdict.exit_code


def _gate_candidate(options: argparse.Namespace, console: Console) -> int:
    if options.record or options.baseline or options.corpus:
        raise InvalidInput("--candidate compares two index versions; it takes no record, --baseline or --corpus")
    suite = load_suite(options.suite or "environment")
    client = _connect(options)
    asking = AskOptions(options.url, options.in_process, options.tenant, options.connections)
    how = GateOptions(asking, options.against, options.trained_on, options.patience)
    record = gate_version(options.candidate, suite, load_settings(), how)
    print_gate(console, record, rows=_ROWS)
    if options.json:
        record.write(options.json)
        console.print(f"record: {options.json}", highlight=False)
    if options.picture and record.comparison:
        from evaluation.picture import draw_differences  # noqa: PLC0415 matplotlib takes seconds to import

        draw_differences(record, record.comparison).savefig(options.picture, dpi=120)
        console.print(f"picture: {options.picture}", highlight=False)
    run_id = None
    if client:
        from evaluation.tracking import log_gate  # noqa: PLC0415 mlflow too

        run_id = log_gate(client, record)
        console.print(f"MLflow run: {run_id}", highlight=False)
    _print_json(record.summary | {"mlflow_run": run_id})
    return EXIT_CODES[record.outcome]


def _gate_release(options: argparse.Namespace, console: Console) -> int:
    from evaluation.release_gate import Asked  # noqa: PLC0415 it brings the models' engines
    from evaluation.release_session import judge_release, print_release  # noqa: PLC0415

    if options.record or options.baseline or options.corpus or options.candidate:
        raise InvalidInput("--release compares two releases; it takes no record, --baseline, --corpus or --candidate")
    client, asked = _connect(options), Asked(options.answerable, options.unanswerable)
    record, run_id = judge_release(options.release, options.suite, load_settings(), asked), None
    print_release(console, record)
    if client:
        from evaluation.registries import log_release  # noqa: PLC0415 mlflow takes seconds to import

        run_id = log_release(client, record)
        console.print(f"MLflow run: {run_id}", highlight=False)
    if options.json:
        record.write(options.json)
        console.print(f"record: {options.json}", highlight=False)
    _print_json(record.summary | {"mlflow_run": run_id})
    return EXIT_CODES[record.outcome]


def _releases(options: argparse.Namespace, console: Console) -> int:
    from evaluation.release_session import tell_registries  # noqa: PLC0415 mlflow takes seconds to import

    _print_json({"releases": tell_registries(options.mlflow, load_settings())})
    return 0


def _drift(options: argparse.Namespace, console: Console) -> int:
    from evaluation.drift_session import report_drift  # noqa: PLC0415 evidently takes seconds to import

    reports = report_drift(options.corpus, options.until, load_settings(), options.mlflow if options.track else None)
    for report in reports:
        console.print(f"page: {report.page}", highlight=False)
    _print_json({report.subject: {"page": str(report.page), "mlflow_run": report.run_id} for report in reports})
    return 0


def _feedback(options: argparse.Namespace, console: Console) -> int:
    from evaluation.feedback_session import review_feedback  # noqa: PLC0415 the engine takes seconds to import

    page, review, run_id = review_feedback(
        options.corpus, options.since, options.until, load_settings(), options.mlflow if options.track else None
    )
    console.print(f"page: {page}", highlight=False)
    found = {"rated": review.rated, "low": review.low, "subjects": len(review.clusters), "causes": review.causes}
    _print_json({"page": str(page), **found, "mlflow_run": run_id})
    return 0


def _access(options: argparse.Namespace, console: Console) -> int:
    from evaluation.access_session import report_access  # noqa: PLC0415 mlflow takes seconds to import

    track = options.mlflow if options.track else None
    page, inspection, run_id = report_access(options.since, options.until, load_settings(), track)
    console.print(f"page: {page}", highlight=False)
    reasons = [{"text": reason} for reason in inspection.reasons]
    _print_json({"page": str(page), "outcome": inspection.outcome, "reasons": reasons, "mlflow_run": run_id})
    return int(inspection.outcome in ("broken", "leaked"))


def _tiers(options: argparse.Namespace, console: Console) -> int:
    from evaluation.answer_session import compare_tiers  # noqa: PLC0415 it brings the models' engines

    client, counts = _connect(options), {"answerable": options.answerable, "unanswerable": options.unanswerable}
    record = asyncio.run(compare_tiers(options.suite, options.tiers, load_settings(), **counts))
    print_tiers(console, record)
    if options.json:
        record.write(options.json)
        console.print(f"record: {options.json}", highlight=False)
    if client:
        from evaluation.tracking import log_tiers  # noqa: PLC0415 mlflow takes seconds to import

        console.print(f"MLflow runs: {', '.join(log_tiers(client, record))}", highlight=False)
    return 0


def _connect(options: argparse.Namespace) -> Any:
    """MLflow's client, or None if nothing is to be kept; asked before the work, not after it."""
    if not options.track:
        return None
    from evaluation.tracking import connect  # noqa: PLC0415 mlflow takes seconds to import

    return connect(options.mlflow)


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document))  # not the console, which would wrap it


def _measure(options: argparse.Namespace, console: Console) -> tuple[RunRecord, Verdict | None]:
    """Run the suite, show and keep the result."""
    suite = load_suite(options.suite or "environment")
    client = _connect(options)
    record = asyncio.run(execute(suite, _run_options(options), load_settings()))
    verdict = judge(record, record.thresholds) if record.thresholds else None
    print_run(console, record, verdict)
    if verdict and options.command is _run:
        print_verdict(console, verdict)
    if options.json:
        record.write(options.json)
        console.print(f"record: {options.json}", highlight=False)
    if options.picture:
        from evaluation.picture import draw  # noqa: PLC0415 matplotlib too

        draw(record).savefig(options.picture, dpi=120)
        console.print(f"picture: {options.picture}", highlight=False)
    if client:
        from evaluation.tracking import log_run  # noqa: PLC0415 mlflow takes seconds to import

        console.print(f"MLflow run: {log_run(client, record, verdict)}", highlight=False)
    return record, verdict


def _run_options(options: argparse.Namespace) -> RunOptions:
    return RunOptions(
        url=options.url,
        tenant=options.tenant,
        connections=options.connections,
        in_process=options.in_process,
        corpus=options.corpus,
    )


def _find_record(name: str, tracking_uri: str) -> RunRecord:
    """A run by its JSON file, or else by its MLflow id."""
    if name.endswith(".json") or Path(name).exists():
        return read_record(Path(name))
    from evaluation.tracking import connect, fetch_record  # noqa: PLC0415 mlflow takes seconds to import

    return fetch_record(connect(tracking_uri), name)


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a suite, print and keep its numbers")
    run.set_defaults(command=_run)
    add_run_options(run, settings)
    run.add_argument("--suite", default="environment", metavar="NAME_OR_FOLDER", help="default: %(default)s")

    comparing = commands.add_parser("compare", help="test whether two runs of a suite differ")
    comparing.set_defaults(command=_compare)
    comparing.add_argument("before", help="a run: its JSON file or its MLflow id")
    comparing.add_argument("after", help="the run to hold against it")
    comparing.add_argument("--metric", choices=METRICS, help="default: the one that carries the suite's SLO")
    comparing.add_argument(
        "--rows", type=positive, default=_ROWS, help="queries to list each way (default: %(default)s)"
    )
    comparing.add_argument("--mlflow", default=settings.mlflow_url, metavar="URI", help="default: %(default)s")

    gate = commands.add_parser("gate", help="decide about a run or a candidate: exit 0 pass, 1 fail, 2 undecided")
    gate.set_defaults(command=_gate)
    add_gate_options(gate, settings)

    tiers = commands.add_parser("tiers", help="ask the same questions of fast, deep and auto: quality, cost, latency")
    tiers.set_defaults(command=_tiers)
    add_tiers_options(tiers, settings)

    releases = commands.add_parser("releases", help="have MLflow's registries hold the models and prompts of releases")
    releases.set_defaults(command=_releases)
    releases.add_argument("--mlflow", default=settings.mlflow_url, metavar="URI", help="default: %(default)s")

    drift = commands.add_parser("drift", help="report the window of a corpus that was judged for drift last")
    drift.set_defaults(command=_drift)
    drift.add_argument("--corpus", default="main", help="default: %(default)s")
    drift.add_argument("--until", type=datetime.fromisoformat, metavar="TIME", help="the window that ended then")
    drift.add_argument("--no-track", dest="track", action="store_false", help="keep nothing in MLflow")
    drift.add_argument("--mlflow", default=settings.mlflow_url, metavar="URI", help="default: %(default)s")

    feedback = commands.add_parser("feedback", help="review what people think of the answers of a corpus")
    feedback.set_defaults(command=_feedback)
    feedback.add_argument("--corpus", default="main", help="default: %(default)s")
    feedback.add_argument("--since", type=moment, required=True, metavar="TIME", help="queries asked from then")
    feedback.add_argument("--until", type=moment, required=True, metavar="TIME", help="queries asked before then")
    feedback.add_argument("--no-track", dest="track", action="store_false", help="keep nothing in MLflow")
    feedback.add_argument("--mlflow", default=settings.mlflow_url, metavar="URI", help="default: %(default)s")

    access = commands.add_parser("access", help="report the audit's newest seal, and odd reads: exit 1 when broken")
    access.set_defaults(command=_access)
    access.add_argument("--since", type=moment, required=True, metavar="TIME", help="reads from then")
    access.add_argument("--until", type=moment, required=True, metavar="TIME", help="reads before then")
    access.add_argument("--no-track", dest="track", action="store_false", help="keep nothing in MLflow")
    access.add_argument("--mlflow", default=settings.mlflow_url, metavar="URI", help="default: %(default)s")
    return parser
