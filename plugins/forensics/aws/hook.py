"""How Airflow gets to AWS: a session per account, Region and phase (role) of a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from forensics.aws.session import AwsSession, Scope, assume, own_session
from forensics.aws.session_policy import session_policy
from forensics.models.case import Case
from forensics.naming import role_arn, session_name
from forensics.settings import Settings, get_settings

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session as CoreSession

# Source identity of look-ups before there is a case; the roles' trust policies ask for fc-*.
INTAKE = "fc-intake"
# Source identity of the web pages; the reader's trust policy asks for it.
PAGES = "web-ui"


class ForensicsHook(BaseHook):
    """Sessions in the forensic account and in the target's account.

    The base identity is the process's own (on MWAA the execution role), or the one of an Airflow connection of type
    ``aws`` when the setting ``aws_conn_id`` names one. Each phase assumes its role from it, with ExternalId and
    SourceIdentity = case id. The rooms build their gateways from the sessions.
    """

    conn_name_attr = "aws_conn_id"
    default_conn_name = "forensics_aws"
    conn_type = "aws"
    hook_name = "EC2 forensics"

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or get_settings()
        self.aws_conn_id = self.settings.aws_conn_id

    def own(self) -> AwsSession:
        """The base identity, in the forensic account and the home Region."""
        s = self.settings
        if not self.aws_conn_id:
            return own_session(s.forensic_account_id, s.region)
        return own_session(s.forensic_account_id, s.region, connection=self.aws_conn_id, base=self._of_connection)

    def _of_connection(self) -> CoreSession:
        # Imported when a connection is used: the provider's base costs every process a second.
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

        hook: AwsGenericHook[BaseClient] = AwsGenericHook(
            aws_conn_id=self.aws_conn_id, region_name=self.settings.region
        )
        core: CoreSession = hook.get_session()._session
        return core

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

    def get_conn(self) -> AwsSession:
        """The base identity's session."""
        return self.own()

    def test_connection(self) -> tuple[bool, str]:
        """Ask STS who the base identity is; the same as *Test* on the connection's page."""
        try:
            answer = self.own().sts.get_caller_identity()
        except Exception as error:  # the edge: whatever fails is the answer
            return False, f"{type(error).__name__}: {error}"
        if answer["Account"] != self.settings.forensic_account_id:
            return False, f"{answer['Arn']} is not in the forensic account {self.settings.forensic_account_id}"
        return True, f"connected as {answer['Arn']}"


@dataclass(frozen=True)
class CaseSessions:
    """The sessions of one case: its target's account and the forensic account, by phase."""

    hook: ForensicsHook
    case: Case

    @property
    def settings(self) -> Settings:
        """The deployment's settings."""
        return self.hook.settings

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
