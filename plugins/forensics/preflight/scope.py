"""What a preflight is about: the accounts and Regions of the deployment, and the sessions that its checks work with."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.aws.hook import PAGES, ForensicsHook
from forensics.aws.session import AwsSession, Scope
from forensics.naming import PREFLIGHT
from forensics.settings import Settings, names

MEMBER_PHASES = ("triage", "acquire", "logs", "contain", "release")
SECURITY_PHASES = ("triage", "findings")
FORENSIC_PHASES = ("custodian", "reader", "analyse")


@dataclass(frozen=True)
class Target:
    """An instance that a person names for the full part: it is described, dry-run, and its disks are copied."""

    account_id: str
    region: str
    instance_id: str


@dataclass(frozen=True)
class PreflightScope:
    """One preflight. ``run`` names it in keys and tags; ``patience`` is a factor on all time-outs, 1 on AWS."""

    hook: ForensicsHook
    run: str
    full: bool = False
    target: Target | None = None
    patience: float = 1.0

    @property
    def settings(self) -> Settings:
        """The deployment's settings."""
        return self.hook.settings

    @property
    def members(self) -> tuple[str, ...]:
        """The member accounts that the settings name, and that of the named instance."""
        given = names(self.settings.member_accounts)
        return tuple(dict.fromkeys([*given, *([self.target.account_id] if self.target else [])]))

    @property
    def administrators(self) -> tuple[str, ...]:
        """The accounts that are asked for findings and for tags of accounts."""
        return names(self.settings.administrator_accounts)

    @property
    def security_accounts(self) -> tuple[str, ...]:
        """The accounts that send findings of others."""
        return tuple(a for a in self.administrators if a not in self.members)

    @property
    def regions(self) -> tuple[str, ...]:
        """The Regions of targets; home where the settings name none."""
        return names(self.settings.member_regions) or (self.settings.region,)

    def own(self) -> AwsSession:
        """The base identity, with short time-outs."""
        return self.hook.own().impatient(self.patience)

    def phase(self, phase: str, *, account_id: str = "", region: str = "") -> AwsSession:
        """A session of a phase (in the forensic account at home unless others are named), with short time-outs."""
        s = self.settings
        scope = Scope(
            account_id=account_id or s.forensic_account_id,
            region=region or s.region,
            phase=phase,
            case_id=PAGES if phase == "reader" else PREFLIGHT,
        )
        return self.hook.session(scope).impatient(self.patience)
