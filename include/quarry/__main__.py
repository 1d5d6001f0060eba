"""`python -m include.quarry COMMAND`: the platform's commands. Each lives in a file of `operations` or a folder."""

# ruff: noqa: PLC0415 (only the command that runs is imported, so that the long-running ones stay small)

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from include.quarry.audit.arguments import add_audit_commands
from include.quarry.errors import QuarryError
from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.quarantine.arguments import add_quarantine_commands
from include.quarry.releases.arguments import add_release_commands
from include.quarry.settings import load_settings
from include.quarry.verification.arguments import add_verify_arguments
from include.quarry.versions.arguments import add_version_commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 only when all went well."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options, Installation(load_settings()))
    except QuarryError as error:
        print(f"{error.title}: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, say, or a folder of somebody else
        print(f"The system refuses: {error}; all state lies in the folder QUARRY_HOME", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, installation: Installation) -> int:
    settings = installation.settings
    match options.command:
        case "up":
            from include.quarry.operations.run_lock import run_lock
            from include.quarry.operations.up import up

            with run_lock(installation):
                up(installation)
        case "down":
            from include.quarry.operations.down import down

            down(installation)
        case "status":
            from include.quarry.operations.status import status

            return 0 if status(installation) else 1
        case "logs":
            from include.quarry.operations.logs import logs

            logs(installation, options.part)
        case "demo":
            from include.quarry.operations.demo import demo
            from include.quarry.operations.run_lock import run_lock

            with run_lock(installation):
                demo(installation, options.docs, options.question)
        case "airflow" | "clean-airflow" as command:
            from include.quarry.operations.airflow_command import airflow, clean_airflow

            airflow(installation, options.arguments) if command == "airflow" else clean_airflow(installation)
        case "deep-model":
            from include.quarry.operations.deep_model import fetch_deep_model

            fetch_deep_model(settings.deep_model, settings.models)
        case "migrate":
            from include.quarry.catalog.database import migrate

            installation.prepare()
            migrate(settings.catalog_url)
        case "versions" | "releases" | "audit" | "quarantine" | "verify" as command:
            room = {"verify": "verification"}.get(command, command)
            fine = import_module(f"include.quarry.{room}.command").run(options, settings)
            return 1 if fine is False else 0
        case "token":
            from include.quarry.gateway.composition import make_token
            from include.quarry.limits.plans import read_plans

            read_plans(settings.plans).of(options.tenant, options.plan)  # raises where there is no such plan
            scopes = options.scopes.replace(",", " ").split()
            who = {"subject": options.subject, "priority": options.priority, "plan": options.plan}
            print(make_token(settings, options.tenant, *scopes, ttl_s=options.ttl, **who))
        case "run-part":
            from include.quarry.operations.run_part import run_part

            run_part(installation, options.part)
        case "keep-serving":
            from include.quarry.operations.serving import ServeApi, keep_serving, serve_document

            config = REPOSITORY / settings.serve_config
            document = serve_document(config, settings.host, settings.http_port)
            keep_serving(ServeApi(settings.ray_url, installation.ray_token), document)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.quarry", description="Run the Quarry platform.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start every part and wait until all are healthy")
    commands.add_parser("down", help="stop everything and check that nothing is left")
    commands.add_parser("status", help="each part: pid, port, health, memory; then versions and lag")
    logs = commands.add_parser("logs", help="follow the logs")
    logs.add_argument("part", nargs="?", help="only the parts whose names begin so")
    demo = commands.add_parser("demo", help="from documents to judged, cited answers")
    demo.add_argument("--docs", help="a folder of documents; default: what is installed in this environment")
    demo.add_argument("--question", action="append", help="ask this instead of the default questions; repeatable")
    # Everything after the word is Airflow's: no option begins with this prefix, not even -h.
    airflow = commands.add_parser("airflow", help="Airflow's own command line", add_help=False, prefix_chars="\0")
    airflow.add_argument("arguments", nargs=argparse.REMAINDER)
    commands.add_parser("clean-airflow", help="remove the old runs, rows and logs of Airflow")
    commands.add_parser("deep-model", help="fetch the model of the deep tier")
    commands.add_parser("migrate", help="bring the catalog to the present schema")
    add_version_commands(commands.add_parser("versions", help="list, build, promote, roll back index versions"))
    releases = commands.add_parser("releases", help="list, create, try, promote, roll back models and prompts of tiers")
    add_release_commands(releases)
    add_audit_commands(commands.add_parser("audit", help="verify or export the record of who read what"))
    add_quarantine_commands(commands.add_parser("quarantine", help="what could not be read: list, show, replay, drop"))
    add_verify_arguments(commands.add_parser("verify", help="hold source, catalog, lake, indexes against each other"))
    token = commands.add_parser("token", help="print a token signed with this installation's secret")
    token.add_argument("--tenant", default="default", help="default: %(default)s")
    token.add_argument("--scopes", default="retrieve,answer,write,feedback", help="default: %(default)s")
    token.add_argument("--subject", default="someone", help="who asks (default: %(default)s)")
    token.add_argument("--priority", default="normal", help="urgent, normal or batch (default: %(default)s)")
    token.add_argument("--plan", default="standard", help="default: %(default)s")
    token.add_argument("--ttl", type=float, default=86_400, metavar="S", help="seconds (default: %(default)s)")
    part = commands.add_parser("run-part", help="become one part, in the foreground")
    part.add_argument("part")
    commands.add_parser("keep-serving", help="have Ray Serve run what the configuration says")
    return parser


if __name__ == "__main__":
    os.umask(0o077)  # documents of all tenants are written, also where home is a folder that everybody may look into
    sys.exit(main())
