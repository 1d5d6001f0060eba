"""What MLflow remembers of generation releases: verdicts as runs, and the releases themselves in its registries.

Each prompt is a version in the prompt registry, each model one of a registered model, and the aliases `live` and
`canary` are on those that answer now. The catalog decides and the registries remember: they are brought to what it
says, whatever they held before. Telling them twice changes nothing, and a time without MLflow costs nothing but that.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from evaluation.release_record import ReleaseRecord
from evaluation.tracking import GATE_EXPERIMENT, GATE_FILE, Client, answering, kept_run
from include.quarry.catalog.database import opened
from include.quarry.catalog.generation_routes import ReleaseRoute, list_release_routes
from include.quarry.catalog.releases import Release, list_releases
from include.quarry.generation.composition import default_release
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import TIERS, Tier
from include.quarry.settings import Settings

_NO_ARTIFACT = "quarry:/model"
"""Where a model's version is from: the tier finds it by its name, MLflow holds no files of it."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the registries should hold of one tier: its releases, oldest first, and its route."""

    route: ReleaseRoute
    releases: tuple[Release, ...]

    @property
    def aliases(self) -> dict[str, Release | None]:
        """The release that each alias is for."""
        by_id = {release.release_id: release for release in self.releases}
        return {"live": by_id[self.route.live_release], "canary": by_id.get(self.route.canary_release or "")}


def read_holdings(settings: Settings) -> list[Holdings]:
    """What the catalog says now."""
    with opened(settings.catalog_url) as database, database.read() as connection:
        routes, present = list_release_routes(connection), list_releases(connection)[::-1]
    return [
        Holdings(routes[tier], (default_release(tier, settings), *(each for each in present if each.tier == tier)))
        for tier in TIERS
    ]


def hold(client: Client, holdings: Iterable[Holdings]) -> None:
    """Bring the registries to what the catalog says. Raises `Unavailable` when MLflow stops answering."""
    with answering():
        for held in holdings:
            _hold_prompts(client, held)
            _hold_models(client, held)


def prompt_name(tier: Tier) -> str:
    """What a tier's prompt is called in the registry."""
    return f"quarry-{tier}-prompt"


def model_name(tier: Tier) -> str:
    """What a tier's model is called in the registry."""
    return f"quarry-{tier}-model"


def _hold_prompts(client: Client, held: Holdings) -> None:
    name = prompt_name(held.route.tier)
    if client.get_prompt(name) is None:
        client.create_prompt(name, f"How the {held.route.tier} tier is told to answer")
    present = _all(lambda token: client.search_prompt_versions(name, page_token=token))
    known = {each.tags["prompt_version"]: each.version for each in present}
    for release in held.releases:
        if release.prompt_version not in known:
            tags = {"prompt_version": release.prompt_version}
            made = client.create_prompt_version(name, _chat(release), description=release.release_id, tags=tags)
            known[release.prompt_version] = made.version
    for alias, meant in held.aliases.items():
        if meant is None:
            client.delete_prompt_alias(name, alias)
        else:
            client.set_prompt_alias(name, alias, known[meant.prompt_version])


def _hold_models(client: Client, held: Holdings) -> None:
    name, named = model_name(held.route.tier), f"name = '{model_name(held.route.tier)}'"
    if not client.search_registered_models(named):
        client.create_registered_model(name, description=f"What writes the {held.route.tier} tier's answers")
    known = {
        each.tags["model"]: each.version
        for each in _all(lambda token: client.search_model_versions(named, page_token=token))
    }
    for release in held.releases:
        if release.model and release.model not in known:
            tags = {"model": release.model}
            made = client.create_model_version(name, _NO_ARTIFACT, tags=tags, description=release.model)
            known[release.model] = made.version
    for alias, meant in held.aliases.items():
        if meant is None or not meant.model:
            client.delete_registered_model_alias(name, alias)
        else:
            client.set_registered_model_alias(name, alias, known[meant.model])


def log_release(client: Client, record: ReleaseRecord) -> str:
    """Keep a verdict about a release: the numbers of both sides, every answer, the record. Returns MLflow's run id.

    Raises `Unavailable` when MLflow stops answering half-way.
    """
    tags = {
        "suite": record.suite,
        "tier": record.tier,
        "release": record.candidate,
        "against": record.against,
        "verdict": record.outcome,
        "verdict.grounds": ", ".join(dict.fromkeys(reason.ground for reason in record.reasons)),
        "verdict.reasons": "; ".join(reason.text for reason in record.reasons),
        "mlflow.runName": f"{record.candidate} {record.outcome}",
    }
    sides = {"live": record.live_run, "candidate": record.candidate_run}
    with kept_run(client, GATE_EXPERIMENT, tags) as run_id:
        for side, run in sides.items():
            for measure, value in run.measures.items():
                client.log_metric(run_id, f"{side}.{measure}", value)
            rows = [answer.model_dump(mode="json") for answer in run.answers]
            client.log_table(run_id, {name: [row[name] for row in rows] for name in rows[0]}, f"{side}.json")
        client.log_dict(run_id, record.model_dump(mode="json"), GATE_FILE)
    return run_id


def _all(page_at: Callable[[str | None], Any]) -> Iterator[Any]:
    """The entries of all pages of a search."""
    page = page_at(None)
    yield from page
    while page.token:
        page = page_at(page.token)
        yield from page


def _chat(release: Release) -> list[dict[str, Any]]:
    """The prompt as MLflow writes one: a message a role, with `{{passages}}` and `{{question}}` in it."""
    prompt = PromptTemplate.parse(release.template)
    user = prompt.user.substitute(passages="{{passages}}", question="{{question}}")
    return [{"role": "system", "content": prompt.system}, {"role": "user", "content": user}]
