"""The sessions of a deployment: one per account, Region and phase (role) of a case. Without Airflow."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.aws.session import AwsSession, Scope, assume, own_session
from forensics.aws.session_policy import session_policy
from forensics.models.case import Case
from forensics.naming import role_arn, session_name
from forensics.settings import Settings, of_a_drill


class Sessions:
    """Sessions in the forensic account and in the target's account.

    Each phase's role is assumed from the base identity (:meth:`own`), with ExternalId and SourceIdentity = case id. The rooms build their
    gateways from the sessions.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def own(self) -> AwsSession:
        """The base identity, in the forensic account and the home Region: the process's own."""
        return own_session(self.settings.forensic_account_id, self.settings.region)

    def session(self, scope: Scope) -> AwsSession:
        """A session of the phase's role.

        In other accounts it is pinned to the Region and the target; in the forensic account the roles' own policies
        hold each resource's case tag against the session's source identity.
        """
        cross_account = scope.account_id != self.settings.forensic_account_id
        pinned = session_policy(account_id=scope.account_id, region=scope.region, instance_id=scope.instance_id)
        return assume(
            scope,
            source=self.own(),
            role_arn=self.role_arn(scope),
            external_id=self.settings.external_id,
            session_name=session_name(scope.case_id, scope.phase),
            policy=pinned if cross_account else None,
        )

    def role_arn(self, scope: Scope) -> str:
        """The role of a scope, as other accounts name it."""
        return role_arn(scope.account_id, f"{self.settings.role_prefix}{scope.phase}", region=scope.region)

    def forensic_scope(self, case_id: str, phase: str = "analyse", *, region: str = "") -> Scope:
        """Scope of a phase in the forensic account, in the home Region unless another is named."""
        s = self.settings
        return Scope(account_id=s.forensic_account_id, region=region or s.region, phase=phase, case_id=case_id)

    def forensic(self, case_id: str, phase: str = "analyse", *, region: str = "") -> AwsSession:
        """A session of a phase in the forensic account."""
        return self.session(self.forensic_scope(case_id, phase, region=region))

    def for_case(self, case: Case) -> CaseSessions:
        """The sessions that the steps of a case have."""
        return CaseSessions(self, case)


@dataclass(frozen=True)
class CaseSessions:
    """The sessions of one case: its target's account and the forensic account, by phase."""

    hook: Sessions
    case: Case

    @property
    def settings(self) -> Settings:
        """The deployment's settings; of a drill's case those of drills."""
        return of_a_drill(self.hook.settings) if self.case.drill else self.hook.settings

    def own(self) -> AwsSession:
        """The base identity: tables, queue and topic of the forensic account."""
        return self.hook.own()

    def target_scope(self, phase: str) -> Scope:
        """Scope of a phase in the target's account and Region, pinned to the target."""
        case = self.case
        return Scope(
            account_id=case.account_id,
            region=case.region,
            phase=phase,
            case_id=case.case_id,
            instance_id=case.instance_id,
        )

    def target(self, phase: str) -> AwsSession:
        """A session of a phase in the target's account and Region."""
        return self.hook.session(self.target_scope(phase))

    def account(self, account_id: str, phase: str) -> AwsSession:
        """A session of a phase in another account that speaks for the target, in the target's Region."""
        case = self.case
        return self.hook.session(Scope(account_id, case.region, phase=phase, case_id=case.case_id))

    def forensic_scope(self, phase: str = "analyse", *, region: str = "") -> Scope:
        """Scope of a phase in the forensic account, in the home Region unless another is named."""
        return self.hook.forensic_scope(self.case.case_id, phase, region=region)

    def forensic(self, phase: str = "analyse", *, region: str = "") -> AwsSession:
        """A session of a phase in the forensic account."""
        return self.hook.session(self.forensic_scope(phase, region=region))

    def role_arn(self, scope: Scope) -> str:
        """The role of a scope, as other accounts name it."""
        return self.hook.role_arn(scope)
