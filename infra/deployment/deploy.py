"""``python -m infra.deployment.deploy CONFIG [--plan | --dry-run]``: carry out the plan of infra/deployment.yaml.

``--plan`` asks AWS nothing. ``--dry-run`` makes change sets, shows what CloudFormation would do, and discards them. Without either it
deploys; every step can be repeated, a second run changes only what differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.deployment import archives, checks, configuration, contradictions, package, paths, plan, settings
from infra.deployment.configuration import Configuration, PlanError
from infra.deployment.plan import Step
from infra.deployment.stacks import Clients, DeployError, Deployment

SECRET = "forensics/external-id"  # noqa: S105 - the name of a secret, not one
SECRET_LENGTH = 40


def clients_of(config: Configuration) -> Clients:
    """Clients by the configured AWS CLI profiles; without one for an account, the environment's own credentials."""
    kinds = {account_id: kind for kind in config.accounts for account_id in config.account_ids(kind)}

    @cache
    def client(account_id: str, region: str, service: str) -> Any:
        profile = config.profiles.get(account_id) or config.profiles.get(kinds.get(account_id, ""))
        session: Any = boto3.session.Session(profile_name=profile, region_name=region)
        made = session.client("sts").get_caller_identity()["Account"]
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


def external_id(secrets: Any) -> str:
    """The external id: read from Secrets Manager, made there at the first deployment. People never see or choose it."""
    try:
        return str(secrets.get_secret_value(SecretId=SECRET)["SecretString"])
    except secrets.exceptions.ResourceNotFoundException:
        made = str(secrets.get_random_password(PasswordLength=SECRET_LENGTH, ExcludePunctuation=True)["RandomPassword"])
        secrets.create_secret(Name=SECRET, SecretString=made, Description="External id of the forensics phase roles")
        return made


def upload(s3: Any, *, bucket: str, prefix: str, folder: Path) -> dict[str, str]:
    """Upload a release; returns the object versions that MWAA is pinned to.

    A file that is there with the same SHA-256 is left alone: a new version of it would restart Airflow for nothing.
    """
    versions = {}
    for name, data in archives.tree(folder).items():
        key = f"{prefix}/{name}"
        digest = hashlib.sha256(data).hexdigest()
        version = _there(s3, bucket, key, digest)
        if version is None:
            # templates are no secret and are read from the organization's other accounts, which have no use of the bucket's key
            open_to_members = {"ServerSideEncryption": "AES256"} if name.startswith("cloudformation/") else {}
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


def run(config: Configuration, steps: list[Step], *, release: Path, clients: Clients, dry_run: bool) -> Deployment:
    """Carry out every step. Raises :class:`DeployError`."""
    deployment = Deployment(clients, made=prepared(release), settings=config.settings)
    (forensic,) = config.account_ids("forensic")
    if dry_run:
        deployment.made |= {
            "ExternalId": "0" * SECRET_LENGTH,
            "PluginsVersion": "dry-run",
            "RequirementsVersion": "dry-run",
        }
    else:
        deployment.made["ExternalId"] = external_id(clients(forensic, config.region, "secretsmanager"))
    for step in steps:
        if step.template == settings.TEMPLATE and not step.is_upload:
            deployment.apply_environment(step, dry_run=dry_run)
        elif not step.is_upload:
            deployment.apply(step, dry_run=dry_run)
        elif dry_run:
            deployment.report(
                f"release: would upload {release.name} to {deployment.outputs.get('ReleaseBucket', 'the release bucket')}"
            )
        else:
            deployment.made |= upload(
                release_client(config, clients),
                bucket=deployment.outputs["ReleaseBucket"],
                prefix=deployment.made["ReleasePrefix"],
                folder=release,
            )
            deployment.report(
                f"release: uploaded to {deployment.outputs['ReleaseBucket']}/{deployment.made['ReleasePrefix']}"
            )
    return deployment


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.deployment.deploy", description=__doc__)
    parser.add_argument("config", type=Path, help="your configuration (infra/deployment.example.yaml)")
    parser.add_argument("--release", type=Path, default=package.DIST / f"ec2-forensics-{package.version()}")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--plan", action="store_true", help="show what goes where; asks AWS nothing")
    how.add_argument("--dry-run", action="store_true", help="show what CloudFormation would change, and change nothing")
    given = parser.parse_args()
    try:
        config = configuration.read(given.config)
        checks.validate(config)
        steps = plan.steps(config)
        if given.plan:
            print(plan.text(steps))
            print(plan.tool_upload(config), end="")
            print(paths.text(config), end="")
            for name, value in sorted(config.settings.items()):
                print(f"setting forensics.{name} = {settings.text(value)}")
            for line in contradictions.placeholders(config):
                print(f"NOT READY to be deployed: {line}")
        else:
            if left := contradictions.placeholders(config):
                raise PlanError("; ".join(left))
            run(config, steps, release=given.release, clients=clients_of(config), dry_run=given.dry_run)
            if not given.dry_run:
                print(
                    f"Next: python -m infra.deployment.preflight {given.config} --heartbeat --run   # would a case succeed?"
                )
    except (PlanError, DeployError, BotoCoreError, ClientError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
