"""How Airflow gets to AWS: a session per account, Region and phase (role) of a case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from forensics.aws.session import AwsSession, own_session
from forensics.aws.sessions import CaseSessions as CaseSessions
from forensics.aws.sessions import Sessions
from forensics.settings import Settings, get_settings

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session as CoreSession

# Source identity of look-ups before there is a case; the roles' trust policies ask for fc-*.
INTAKE = "fc-intake"
# Source identity of the web pages; the reader's trust policy asks for it.
PAGES = "web-ui"


class ForensicsHook(Sessions, BaseHook):
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
        BaseHook.__init__(self)
        Sessions.__init__(self, settings or get_settings())
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
