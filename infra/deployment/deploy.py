"""``python -m infra.deployment.deploy CONFIG [--plan | --dry-run | --status | --drift | --uninstall]``: the plan of infra/deployment.yaml.

``--plan`` asks AWS nothing. ``--dry-run`` makes change sets, shows what CloudFormation would do, and discards them. ``--status`` and
``--drift`` look, ``--uninstall`` deletes. Without any it deploys; every step can be repeated, a second run changes only what differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound, TokenRetrievalError

from forensics.deployment import DEFAULT
from infra.deployment import (
    archives,
    checks,
    configuration,
    contradictions,
    day_two,
    deployment_ids,
    external_ids,
    going_back,
    look_first,
    organization,
    package,
    paths,
    plan,
    settings,
    templates,
    waves,
)
from infra.deployment.configuration import Configuration, PlanError
from infra.deployment.operations import Ask, nobody
from infra.deployment.plan import Step
from infra.deployment.stacks import Clients, DeployError, Deployment

# Exit status of --status and --drift when a stack is not as it should be.
DIFFERENT = 3


def clients_of(config: Configuration) -> Clients:
    """Clients by the configured AWS CLI profiles; without one for an account, the environment's own credentials."""
    kinds = {account_id: kind for kind in config.accounts for account_id in config.account_ids(kind)}
    # stacks of one wave ask for clients at once, and boto3's sessions are not made for that
    making = threading.Lock()

    @cache
    def client(account_id: str, region: str, service: str) -> Any:
        profile = config.profiles.get(account_id) or config.profiles.get(kinds.get(account_id, ""))
        with making:
            try:
                session: Any = boto3.session.Session(profile_name=profile, region_name=region)
                made = session.client("sts").get_caller_identity()["Account"]
            except (ProfileNotFound, NoCredentialsError, TokenRetrievalError) as error:
                msg = f"profile {profile or '(environment)'} cannot be used: {error}. Make it with `aws configure`, or sign in with `aws sso login`"
                raise DeployError(msg) from error
            if made != account_id:
                msg = f"profile {profile or '(environment)'} is of account {made}, not {account_id}: correct profiles in the configuration"
                raise DeployError(msg)
            return session.client(service)

    return client


def release_client(config: Configuration, clients: Clients) -> Any:
    """S3 as the identity that may write releases: profile ``release``, else the one that deploys the forensic account."""
    (forensic,) = config.account_ids("forensic")
    profile = config.profiles.get("release")
    if profile is None:
        return clients(forensic, config.region, "s3")
    session: Any = boto3.session.Session(profile_name=profile, region_name=config.region)
    arn = str(session.client("sts").get_caller_identity()["Arn"])
    wanted = str(config.parameters.get("ReleaseRoleArn", "")).rpartition("/")[2]
    if f":assumed-role/{wanted}/" not in arn:
        msg = f"profile {profile} is {arn}; the release bucket takes objects from role {wanted} (ReleaseRoleArn) only: correct profiles.release"
        raise DeployError(msg)
    return session.client("s3")


def upload(s3: Any, *, bucket: str, prefix: str, folder: Path, deployment_id: str = DEFAULT) -> dict[str, str]:
    """Upload a release; returns the object versions that MWAA is pinned to.

    A file that is there with the same SHA-256 is left alone: a new version of it would restart Airflow for nothing.
    """
    versions = {}
    for name, data in (archives.tree(folder) | own_templates(deployment_id)).items():
        key = f"{prefix}/{name}"
        digest = hashlib.sha256(data).hexdigest()
        version = _there(s3, bucket, key, digest)
        if version is None:
            # templates are no secret and are read from the organization's other accounts, which have no use of the bucket's key
            open_to_members = {"ServerSideEncryption": "AES256"} if name.startswith("cloudformation") else {}
            answer = s3.put_object(
                Bucket=bucket,
                Key=key,
                Body=data,
                ChecksumAlgorithm="SHA256",
                Metadata={"sha256": digest},
                **open_to_members,
            )
            version = str(answer.get("VersionId", "null"))
        versions[name] = version
    return {"PluginsVersion": versions["plugins.zip"], "RequirementsVersion": versions["requirements.txt"]}


def own_templates(deployment_id: str) -> dict[str, bytes]:
    """The templates with the names of another deployment than the first, beside those of the release, which its SHA256SUMS lists."""
    if deployment_id == DEFAULT:
        return {}
    place = deployment_ids.folder(deployment_id)
    return {
        f"{place}/{name}.yaml": templates.text_of(name, deployment_id).encode()
        for name in templates.reading(deployment_id)
    }


def _there(s3: Any, bucket: str, key: str, digest: str) -> str | None:
    """The version of an object that has this digest, or None."""
    try:
        # its metadata, not its checksum: S3 shows the checksum of an encrypted object only to whoever may decrypt it
        found = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # HeadObject has no body: S3 says 404, or 403 to whoever may not list the bucket
        if error.response["Error"]["Code"] in {"404", "NoSuchKey", "403", "AccessDenied"}:
            return None
        raise
    return str(found.get("VersionId", "null")) if found["Metadata"].get("sha256") == digest else None


def prepared(release: Path) -> dict[str, str]:
    """Values of the parameters that the release itself gives. Raises :class:`DeployError` when it is damaged."""
    if not (release / "SHA256SUMS").exists():
        msg = f"there is no release at {release}: run `make package`"
        raise DeployError(msg)
    if wrong := package.verify(release):
        msg = f"the release at {release} is not what was built: {'; '.join(wrong[:5])}. Run `make package` again"
        raise DeployError(msg)
    about = json.loads((release / "release.json").read_text("utf-8"))
    return {
        "ReleasePrefix": f"releases/{about['version']}-{about['plugins_sha256'][:12]}",
        "ReleaseVersion": about["version"],
        "ToolkitSha256": about["toolkit_sha256"],
    }


def run(
    config: Configuration,
    steps: list[Step],
    *,
    release: Path,
    clients: Clients,
    dry_run: bool,
    ask: Ask = nobody,
    import_existing: bool = False,
) -> Deployment:
    """Carry out every step. Raises :class:`DeployError`."""
    deployment = Deployment(
        clients,
        made=prepared(release),
        settings=config.settings,
        ask=ask,
        import_existing=import_existing,
        deployment_id=config.deployment_id,
    )
    (forensic,) = config.account_ids("forensic")
    if dry_run:
        deployment.made |= {
            **external_ids.UNKNOWN,
            "PluginsVersion": "dry-run",
            "RequirementsVersion": "dry-run",
        }
    else:
        deployment.made |= external_ids.current(
            clients(forensic, config.region, "secretsmanager"), secret=config.named(external_ids.SECRET)
        )
    waves.carry_out(steps, lambda step: _carry_out(deployment, config, step, release=release, dry_run=dry_run))
    return deployment


def _carry_out(deployment: Deployment, config: Configuration, step: Step, *, release: Path, dry_run: bool) -> None:
    if step.template == settings.TEMPLATE:
        deployment.apply_environment(step, dry_run=dry_run)
    elif not step.is_upload:
        deployment.apply(step, dry_run=dry_run)
    elif dry_run:
        bucket = deployment.outputs.get("ReleaseBucket", "the release bucket")
        deployment.report(f"release: would upload {release.name} to {bucket}")
    else:
        _upload(deployment, config, deployment.clients, release)


def _upload(deployment: Deployment, config: Configuration, clients: Clients, release: Path) -> None:
    bucket, prefix = deployment.outputs["ReleaseBucket"], deployment.made["ReleasePrefix"]
    deployment.made |= upload(
        release_client(config, clients),
        bucket=bucket,
        prefix=prefix,
        folder=release,
        deployment_id=config.deployment_id,
    )
    deployment.report(f"release: uploaded to {bucket}/{prefix}")


def asking(*, yes: bool) -> Ask:
    """How a person is asked: at a terminal, unless ``--yes`` has answered; elsewhere the answer is no. One question at a time."""
    asked = threading.Lock()

    def ask(question: str) -> bool:
        with asked:
            return answer(question)

    def answer(question: str) -> bool:
        if yes:
            print(f"{question}: yes (--yes)")
            return True
        if not sys.stdin.isatty():
            return False
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}

    return ask


def show_plan(config: Configuration, steps: list[Step], *, as_json: bool) -> None:
    """Print the plan, for a person or for a program."""
    if as_json:
        print(json.dumps(plan.as_data(steps) | {"not_ready": contradictions.placeholders(config)}, indent=1))
        return
    print(plan.text(steps))
    print(waves.text(steps))
    print(plan.tool_upload(config), end="")
    print(paths.text(config), end="")
    for name, value in sorted(config.settings.items()):
        print(f"setting forensics.{name} = {settings.text(value)}")
    for line in contradictions.placeholders(config):
        print(f"NOT READY to be deployed: {line}")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.deployment.deploy", description=__doc__)
    parser.add_argument("config", type=Path, help="your configuration (infra/deployment.example.yaml)")
    parser.add_argument("--release", type=Path, default=package.DIST / f"ec2-forensics-{package.version()}")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--plan", action="store_true", help="show what goes where; asks AWS nothing")
    how.add_argument("--dry-run", action="store_true", help="show what CloudFormation would change, and change nothing")
    how.add_argument("--status", action="store_true", help="show the state of every stack")
    how.add_argument(
        "--drift", action="store_true", help="compare every stack with its template; exit status 3 when one differs"
    )
    how.add_argument(
        "--organization",
        action="store_true",
        help="say which accounts and Regions have the member stacks, and which have not; exit status 3 when some want a person",
    )
    how.add_argument("--uninstall", action="store_true", help="delete the stacks in the opposite order; evidence stays")
    how.add_argument(
        "--rotate-external-id", action="store_true", help="make a new external id, and deploy roles that accept both"
    )
    how.add_argument(
        "--end-rotation",
        action="store_true",
        help="deploy roles that accept the new external id alone, when every account has it",
    )
    parser.add_argument("--json", action="store_true", help="with --plan and --status: for programs")
    parser.add_argument("--yes", action="store_true", help="answer yes to whatever a person would be asked")
    parser.add_argument(
        "--import-existing",
        action="store_true",
        help="take resources that an earlier deployment left behind into the stacks",
    )
    return parser


def carry_out(given: argparse.Namespace, config: Configuration, steps: list[Step]) -> int:
    """What the command line says; returns the exit status. Raises :class:`DeployError`."""
    clients, ask = clients_of(config), asking(yes=given.yes)
    if given.status:
        found = day_two.status(steps, clients, report=(lambda _: None) if given.json else print)
        if given.json:
            print(json.dumps(found, indent=1))
        return 0 if all(s["state"].endswith("_COMPLETE") and "ROLLBACK" not in s["state"] for s in found) else DIFFERENT
    if given.drift:
        return DIFFERENT if day_two.drift(steps, clients, report=print) else 0
    if given.organization:
        return DIFFERENT if organization.report(config, steps, clients, say=print) else 0
    if given.uninstall:
        day_two.uninstall(steps, clients, report=print, ask=ask)
        return 0
    if left := contradictions.placeholders(config):
        raise PlanError("; ".join(left))
    if given.rotate_external_id or given.end_rotation:
        (forensic,) = config.account_ids("forensic")
        secrets = clients(forensic, config.region, "secretsmanager")
        (external_ids.rotate if given.rotate_external_id else external_ids.end)(
            secrets, secret=config.named(external_ids.SECRET), report=print
        )
    look_first.refuse(steps, clients, config)
    going_back.refuse(steps, clients, config, ask=ask)
    run(
        config, steps, release=given.release, clients=clients, dry_run=given.dry_run, ask=ask, import_existing=given.import_existing
    )  # fmt: skip
    if not given.dry_run:
        print(f"Next: python -m infra.deployment.preflight {given.config} --heartbeat --run   # would a case succeed?")
    return 0


def main(command_line: list[str] | None = None) -> int:
    """Run the command line."""
    given = arguments().parse_args(command_line)
    try:
        config = configuration.read(given.config)
        checks.validate(config)
        steps = plan.steps(config)
        if given.plan:
            show_plan(config, steps, as_json=given.json)
            return 0
        return carry_out(given, config, steps)
    except (PlanError, DeployError, BotoCoreError, ClientError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
