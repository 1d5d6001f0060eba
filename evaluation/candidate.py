"""A candidate held against the live version, on the same queries asked of both in turns."""

from collections.abc import Iterator

from evaluation.gate import Check, Verdict, decide, doubts_about, threshold_checks
from evaluation.judgments import SuiteCard, Thresholds
from evaluation.policy import GatePolicy
from evaluation.trial import Trial

_MB = 10**6
_NOT_ABOUT_A_VERSION = ("ingestion_documents_per_s",)


def judge_candidate(trial: Trial, card: SuiteCard) -> Verdict:
    """Pass when the loss that the interval still allows is inside the margin, every threshold holds for the candidate,
    and latency and size are inside their budgets."""
    thresholds = _about_a_version(card.thresholds)
    doubts = list(_doubts(trial, thresholds, card.gate))
    if doubts:
        return decide((), doubts=doubts, praise="")
    checks = [
        _relevance(trial, card.gate),
        *threshold_checks(trial.candidate.record, thresholds),
        *_latency(trial, card.gate),
        *_size(trial, card.gate),
    ]
    return decide(checks, praise=f"not worse than {trial.live.version.version_id}: {trial.comparison.summary}")


def _doubts(trial: Trial, thresholds: Thresholds, policy: GatePolicy) -> Iterator[str]:
    yield from doubts_about(trial.candidate.record, thresholds)
    for side in (trial.live, trial.candidate):
        asked, answered = side.version.version_id, side.record.index_versions
        if answered != (asked,):
            yield f"the version changed during the run: {asked!r} was asked, {list(answered)} answered; run it again"
    if trial.split > policy.max_split_share:
        yield (
            f"{trial.split:.0%} of the queries were answered at different watermarks of the two, last "
            f"{trial.live.record.watermark} and {trial.candidate.record.watermark}; at most "
            f"{policy.max_split_share:.0%} may be (gate.max_split_share in suite.yaml); let the candidate catch up"
        )


def _relevance(trial: Trial, policy: GatePolicy) -> Check:
    interval = trial.comparison.difference.interval
    name = f"lower bound of the change in {trial.comparison.metric}"
    return Check(
        name, interval.low, "at least", -policy.margin, interval, "relevance", f"the margin; {trial.comparison.summary}"
    )


def _latency(trial: Trial, policy: GatePolicy) -> Iterator[Check]:
    for percentile, ratio in ((50, policy.max_p50_ratio), (95, policy.max_p95_ratio)):
        live_ms = trial.live.record.latency_ms(percentile)
        value_ms = trial.candidate.record.latency_ms(percentile)
        note = f"{ratio:g} times the live version's {live_ms:.2f} and {policy.latency_slack_ms:g}"
        limit_ms = round(ratio * live_ms + policy.latency_slack_ms, 3)
        yield Check(f"p{percentile} latency, ms", value_ms, "at most", limit_ms, None, "latency", note)


def _size(trial: Trial, policy: GatePolicy) -> Iterator[Check]:
    value, live = trial.candidate.size_bytes / _MB, trial.live.size_bytes / _MB
    limits = [(policy.max_size_ratio * live, f"{policy.max_size_ratio:g} times the live version's {live:.3f}")]
    if policy.max_size_bytes is not None:
        limits.append((policy.max_size_bytes / _MB, "gate.max_size_bytes in suite.yaml"))
    for limit, note in limits:
        yield Check("snapshot, MB", value, "at most", limit, None, "size", note)


def _about_a_version(thresholds: Thresholds) -> Thresholds:
    """Without those that a version has no part in."""
    at_least = {name: limit for name, limit in thresholds.at_least.items() if name not in _NOT_ABOUT_A_VERSION}
    return Thresholds(at_least=at_least, at_most=thresholds.at_most)
