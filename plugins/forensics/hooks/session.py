"""How Airflow gets to AWS: one hook, a role per account, Region and phase."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from airflow.sdk import BaseHook

from forensics.aws.autoscaling import AutoScalingGateway
from forensics.aws.case_door import CaseDoor
from forensics.aws.case_store import CaseStore
from forensics.aws.containment import ContainmentGateway
from forensics.aws.custody_ledger import CustodyLedger
from forensics.aws.defence import Defence, Limits
from forensics.aws.desk import CaseDesk, ForensicGateways
from forensics.aws.ebs import EbsGateway
from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ec2_facts import Ec2Facts
from forensics.aws.elb import BalancerGateway
from forensics.aws.evidence_archive import EvidenceArchive
from forensics.aws.finding_write_back import FindingWriteBack
from forensics.aws.findings import FindingSources
from forensics.aws.frozen_facts import FrozenFacts
from forensics.aws.iam import IamGateway
from forensics.aws.image_builder import ImageBuilderGateway
from forensics.aws.instance_resolver import InstanceResolver
from forensics.aws.intake_book import IntakeBook
from forensics.aws.isolation_budget import IsolationBudget
from forensics.aws.keys import KeyGateway
from forensics.aws.lime_store import LimeStore
from forensics.aws.messages import FindingQueue, Notifier
from forensics.aws.once import SpentOnce
from forensics.aws.s3 import EvidenceStore, LandingGateway, ToolsGateway
from forensics.aws.session import ClientFactory, Scope, assume, home
from forensics.aws.signed import SignatureCheck, SignedDocuments
from forensics.aws.ssm import SsmGateway
from forensics.aws.symbol_store import SymbolStore
from forensics.aws.target_facts import FactsReader
from forensics.aws.verification import FindingVerifier
from forensics.domain.naming import SYMBOL_LIBRARY, session_name
from forensics.domain.session_policy import session_policy
from forensics.models.case import Case
from forensics.settings import Settings, get_settings, names

# Source identity of look-ups before there is a case; the roles' trust policies ask for fc-*.
INTAKE = "fc-intake"
# Source identity of the web pages; the reader's trust policy asks for it.
PAGES = "web-ui"


@dataclass(frozen=True)
class AccountGateways:
    """EC2, EBS and SSM in one account and Region under one phase's role."""

    ec2: Ec2Gateway
    frozen: FrozenFacts
    ebs: EbsGateway
    ebs_direct: EbsDirectGateway
    keys: KeyGateway
    ssm: SsmGateway


class ForensicsHook(BaseHook):
    """Gateways for the forensic account and for the target's account.

    Credentials are the process's own (on MWAA the execution role), from which each phase assumes its role with
    ExternalId and SourceIdentity = case id. No Airflow connection holds a secret.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or get_settings()

    def scope(self, case: Case, phase: str) -> Scope:
        """Scope of a phase in the target's account and Region."""
        return Scope(
            account_id=case.account_id,
            region=case.region,
            phase=phase,
            case_id=case.case_id,
            instance_id=case.instance_id,
        )

    def forensic_scope(self, case_id: str, phase: str = "analyse", *, region: str = "") -> Scope:
        """Scope of a phase in the forensic account, in the home Region unless another is named."""
        s = self.settings
        return Scope(account_id=s.forensic_account_id, region=region or s.region, phase=phase, case_id=case_id)

    def role_arn(self, scope: Scope) -> str:
        """The role of a scope, as other accounts name it."""
        return f"arn:aws:iam::{scope.account_id}:role/{self.settings.role_prefix}{scope.phase}"

    def containment(self, scope: Scope) -> ContainmentGateway:
        """What containment and release read and change, under the phase's role (``contain`` or ``release``)."""
        clients = self._assumed(scope)
        where = {"account_id": scope.account_id, "region": scope.region}
        service = {name: clients.lazy(name) for name in ("ec2", "autoscaling", "elb", "elbv2", "iam")}
        reader = FactsReader(
            ec2=Ec2Gateway(service["ec2"], **where),
            facts=Ec2Facts(service["ec2"], **where),
            scaling=AutoScalingGateway(service["autoscaling"], **where),
            balancers=BalancerGateway(service["elb"], service["elbv2"], **where),
            iam=IamGateway(service["iam"], **where),
        )
        return ContainmentGateway(facts=reader, clients=service, role_arn=self.role_arn(scope))

    def account(self, scope: Scope) -> AccountGateways:
        """Gateways of a scope, under the phase's role."""
        clients = self._assumed(scope)
        where = {"account_id": scope.account_id, "region": scope.region}
        ec2 = clients.lazy("ec2")
        return AccountGateways(
            ec2=Ec2Gateway(ec2, **where),
            frozen=FrozenFacts(ec2=ec2, autoscaling=clients.lazy("autoscaling"), elbv2=clients.lazy("elbv2"), **where),
            ebs=EbsGateway(ec2, **where),
            ebs_direct=EbsDirectGateway(clients.lazy("ebs"), **where),
            keys=KeyGateway(clients.lazy("kms"), **where),
            ssm=SsmGateway(clients.lazy("ssm"), **where),
        )

    def forensic(self, case_id: str, *, phase: str = "custodian") -> ForensicGateways:
        """Stores, ledger, queue and topic of the forensic account; evidence under the phase's role."""
        s = self.settings
        own = home(s.region)
        custodian = self._assumed(self.forensic_scope(case_id, phase))
        store = CaseStore(own.lazy("dynamodb"), table=s.case_table)
        return ForensicGateways(
            store=store,
            evidence=EvidenceStore(
                custodian.lazy("s3"),
                bucket=s.evidence_bucket,
                owner=s.forensic_account_id,
                kms_key=s.evidence_key_arn,
                mode=s.lock_mode,
                retention_days=s.retention_days,
                legal_hold=s.legal_hold,
            ),
            landing=LandingGateway(own.lazy("s3"), bucket=s.landing_bucket),
            tools=ToolsGateway(own.lazy("s3"), bucket=s.tools_bucket),
            lime=LimeStore(
                SignedDocuments(
                    own.lazy("s3"),
                    bucket=s.tools_bucket,
                    owner=s.forensic_account_id,
                    check=SignatureCheck(custodian.lazy("kms"), key_id=s.signing_key_id),
                ),
                key=s.lime_list_key,
            ),
            ledger=CustodyLedger(
                own.lazy("dynamodb"),
                custodian.lazy("kms"),
                store=store,
                signing_key=s.signing_key_id,
                actor=f"arn:aws:iam::{s.forensic_account_id}:role/{s.role_prefix}{phase} as {case_id}",
            ),
            notifier=Notifier(own.lazy("sns"), topic_arn=s.topic_arn),
            queue=self.queue(),
        )

    def defence(self, case: Case) -> Defence:
        """Policy, never-isolate list, live verification and caps, for one case."""
        s = self.settings
        own = home(s.region)
        custodian = self._assumed(self.forensic_scope(case.case_id, "custodian"))
        check = SignatureCheck(custodian.lazy("kms"), key_id=s.signing_key_id)
        return Defence(
            verifier=FindingVerifier(
                case.case_id,
                sources=lambda: self._finding_sources(case),
                signatures=check,
                nonces=SpentOnce(own.lazy("dynamodb"), table=s.case_table),
            ),
            documents=SignedDocuments(own.lazy("s3"), bucket=s.tools_bucket, owner=s.forensic_account_id, check=check),
            budget=IsolationBudget(
                own.lazy("dynamodb"), table=s.case_table, window=timedelta(minutes=s.isolation_window_minutes)
            ),
            limits=Limits(s.isolation_cap_all, s.isolation_cap_account, s.isolation_cap_group),
            policy_key=s.policy_key,
            list_key=s.never_isolate_key,
        )

    def _finding_sources(self, case: Case) -> list[FindingSources]:
        """Where findings are looked up: the administrators' accounts when there are any, else the target's own."""
        accounts = names(self.settings.administrator_accounts) or (case.account_id,)
        scopes = [Scope(account_id=a, region=case.region, phase="triage", case_id=case.case_id) for a in accounts]
        return [
            FindingSources(
                security_hub=clients.lazy("securityhub"),
                guardduty=clients.lazy("guardduty"),
                account_id=scope.account_id,
                region=scope.region,
            )
            for scope, clients in ((scope, self._assumed(scope)) for scope in scopes)
        ]

    def write_back(self, case: Case) -> FindingWriteBack:
        """Where the case's findings are annotated: the administrator's account when there is one, else the target's."""
        sources = self._finding_sources(case)[0]
        clients = self._assumed(Scope(sources.account_id, sources.region, phase="findings", case_id=case.case_id))
        return FindingWriteBack(
            sources=sources,
            security_hub=clients.lazy("securityhub"),
            guardduty=clients.lazy("guardduty"),
            archive_guardduty=self.settings.archive_guardduty,
        )

    def resolver(self) -> InstanceResolver:
        """Describe calls that lead from a resource to its instance (needs no case)."""
        return InstanceResolver(
            lambda account, region: self._assumed(
                Scope(account_id=account, region=region, phase="triage", case_id=INTAKE)
            ).lazy("ec2")
        )

    def _assumed(self, scope: Scope) -> ClientFactory:
        """A session of the phase's role. In other accounts it is pinned to the Region and the target; in the forensic
        account the roles' own policies hold each resource's case tag against the session's source identity."""
        abroad = scope.account_id != self.settings.forensic_account_id
        pinned = session_policy(account_id=scope.account_id, region=scope.region, instance_id=scope.instance_id)
        return assume(
            scope,
            role_prefix=self.settings.role_prefix,
            external_id=self.settings.external_id,
            session_name=session_name(scope.case_id, scope.phase),
            policy=pinned if abroad else None,
        )

    def archive(self, case_id: str) -> EvidenceArchive:
        """The evidence bucket as an auditor reads it, under the custodian's role."""
        s = self.settings
        custodian = self._assumed(self.forensic_scope(case_id, "custodian"))
        return EvidenceArchive(custodian.lazy("s3"), bucket=s.evidence_bucket, owner=s.forensic_account_id)

    def symbols(self, case_id: str = SYMBOL_LIBRARY) -> SymbolStore:
        """The symbol library: a case reads it, only the library's own identity may write it."""
        gateways = self.forensic(case_id)
        custodian = self._assumed(self.forensic_scope(case_id, "custodian"))
        check = SignatureCheck(custodian.lazy("kms"), key_id=self.settings.signing_key_id)
        return SymbolStore(gateways.evidence, ledger=gateways.ledger, check=check)

    def image_builder(self) -> ImageBuilderGateway:
        """Image Builder and the AMI's parameter; the role allows them to this identity and to no case's."""
        s = self.settings
        clients = self._assumed(self.forensic_scope("fc-ami-build"))
        return ImageBuilderGateway(
            clients.lazy("imagebuilder"), clients.lazy("ssm"), account_id=s.forensic_account_id, region=s.region
        )

    def queue(self) -> FindingQueue:
        """The findings' queue (needs no case)."""
        s = self.settings
        return FindingQueue(home(s.region).lazy("sqs"), url=s.queue_url, dead_letter_url=s.dead_letter_queue_url)

    def store(self) -> CaseStore:
        """The case store alone (needs no case)."""
        return CaseStore(home(self.settings.region).lazy("dynamodb"), table=self.settings.case_table)

    def door(self) -> CaseDoor:
        """Where findings enter: stores and topic of the forensic account, under the process's own identity."""
        s, own, store = self.settings, home(self.settings.region), self.store()
        ledger = CustodyLedger(
            own.lazy("dynamodb"),
            own.lazy("kms"),
            store=store,
            signing_key=s.signing_key_id,
            actor=f"finding intake in account {s.forensic_account_id}",
        )
        return CaseDoor(store=store, ledger=ledger, notifier=Notifier(own.lazy("sns"), topic_arn=s.topic_arn))

    def intake_book(self) -> IntakeBook:
        """What became of events that opened no case, and the counts (needs no case)."""
        return IntakeBook(home(self.settings.region).lazy("dynamodb"), table=self.settings.case_table)

    def desk(self, case_id: str, *, step: str) -> CaseDesk:
        """The desk of an open case."""
        gateways = self.forensic(case_id)
        return CaseDesk(gateways.store.case(case_id), gateways, step=step, ui_url=self.settings.ui_url)


def forensic_gateways() -> ForensicGateways:
    """Read side for the web pages, under a role that writes and signs nothing."""
    return ForensicsHook().forensic(PAGES, phase="reader")
