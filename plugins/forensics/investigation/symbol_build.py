"""Builds a symbol table from a kernel's debug package on a disposable instance; the control plane checks, signs and stores it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Self

from forensics.aws.session import AwsSession
from forensics.aws.ssm import Invocation, SsmGateway
from forensics.aws.visibility import until_found
from forensics.case.recorder import CaseGateways
from forensics.case.status_line import read_status
from forensics.document_registry import choose
from forensics.errors import DigestMismatchError, InvestigationError
from forensics.investigation.ami_statements import AmiStatements
from forensics.investigation.forensic_instance import ForensicInstance
from forensics.investigation.symbol_store import SymbolStore
from forensics.manifest import MANIFEST, MIB, render
from forensics.models.base import Model
from forensics.models.status_lines import SymbolsStatus
from forensics.models.symbols import SymbolTable
from forensics.naming import SYMBOL_LIBRARY
from forensics.settings import Settings

BUILD_SECONDS = 3600
LARGEST_TABLE = 64 * MIB
ACTIVITY = "investigate_symbols"


class BuildJob(Model):
    """A build that was sent: its command, and the prefix that its table is uploaded to."""

    command_id: str
    instance_id: str
    prefix: str
    document_sha256: str


class SymbolBuild:
    """Builds for the symbol library; its instance and objects belong to no case, but to the identity ``fc-symbols``."""

    def __init__(
        self,
        gateways: CaseGateways,
        *,
        ssm: SsmGateway,
        instance: ForensicInstance,
        symbols: SymbolStore,
        statements: AmiStatements,
        settings: Settings,
    ) -> None:
        self._gateways = gateways
        self._ssm = ssm
        self._instance = instance
        self._symbols = symbols
        self._statements = statements
        self._settings = settings

    @classmethod
    def of(cls, own: AwsSession, *, analyst: AwsSession, custodian: AwsSession, settings: Settings) -> Self:
        """Builds under the library's sessions: ``analyst`` has the instance, ``custodian`` the library."""
        gateways = CaseGateways.of(own, custodian, settings)
        return cls(
            gateways,
            ssm=SsmGateway.of(analyst),
            instance=ForensicInstance.of(SYMBOL_LIBRARY, analyst),
            symbols=SymbolStore.of(custodian, gateways, settings),
            statements=AmiStatements.of(custodian, settings),
            settings=settings,
        )

    def launch(self, run_id: str, try_number: int) -> str:
        """Launch the builder (a repeated try finds the instance of the one before); returns its id."""
        run = hashlib.sha256(run_id.encode()).hexdigest()[:16]
        token = f"{SYMBOL_LIBRARY}-{run}-{try_number}"
        # what an earlier try launched may not be listed yet
        earlier = until_found(self._instance.living) if try_number > 1 else self._instance.living()
        return earlier or self._instance.launch(self._settings, token=token, check=self._check)

    def _check(self, ami_id: str) -> None:
        """As for a case: tables of kernels decide what an examination sees."""
        self._statements.check(ami_id, required=self._settings.ami_statement == "required")

    def send(self, package: str, sha256: str) -> BuildJob:
        """Send the command that builds the table of a package of the tools bucket.

        :param package: key of the package
        :param sha256: the package's digest
        """
        instance_id = self._instance.running()
        if instance_id is None:
            raise InvestigationError("the builder is not running", next_action="clear launch_builder and what follows")
        document, gateways = choose(ACTIVITY, platform="linux"), self._gateways
        prefix = f"{SYMBOL_LIBRARY}/{sha256[:16]}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        gets = {"package": (sha256, gateways.tools.get_url(package))}
        puts = {"symbols": gateways.landing.put_url(f"{prefix}/symbols", seconds=BUILD_SECONDS + 900)}
        url = gateways.landing.publish(f"{prefix}/{MANIFEST}", text=render(gets=gets, puts=puts))
        command_id = self._ssm.send(
            document=document.name,
            version=self._ssm.document_version(document.name, document.sha256),
            sha256=document.sha256,
            instance_id=instance_id,
            parameters={"ManifestUrl": url, "ExecutionTimeout": str(BUILD_SECONDS)},
            comment=f"{SYMBOL_LIBRARY} {sha256[:16]}",
            timeout_seconds=BUILD_SECONDS,
        )
        return BuildJob(command_id=command_id, instance_id=instance_id, prefix=prefix, document_sha256=document.sha256)

    def was_not_taken(self, job: BuildJob) -> bool:
        """Whether no agent answered: a builder that has just booted may lose its first command."""
        found = self._ssm.invocation(command_id=job.command_id, instance_id=job.instance_id)
        return found is not None and found.undelivered

    def revoke(self, job: BuildJob) -> None:
        """Delete the job's manifest, so that nobody who finds it can use its URLs."""
        self._gateways.landing.revoke(job.prefix)

    def store(self, job: BuildJob, *, package: str, sha256: str) -> SymbolTable:
        """Check the table that landed, sign it and put it into the library; returns the library's entry."""
        found = self._ssm.invocation(command_id=job.command_id, instance_id=job.instance_id)
        status = build_status(found)
        content = self._gateways.landing.read(f"{job.prefix}/symbols", limit=LARGEST_TABLE)
        digest = hashlib.sha256(content).hexdigest()
        if (digest, sha256) != (status.sha256, status.package_sha256):
            msg = (
                f"the table that landed has SHA-256 {digest}, the tool stated {status.sha256} "
                f"of package {status.package_sha256}"
            )
            raise DigestMismatchError(msg)
        key = self._symbols.table_key(status.banner, digest)
        table = symbol_table(status, job, key=key, size=len(content), package=package)
        return self._symbols.add(table, content)

    def terminate(self) -> list[str]:
        """Terminate the builder; returns the instances on their way out."""
        return self._instance.terminate()[1]


def build_status(found: Invocation | None) -> SymbolsStatus:
    """The status of a build that ended well; raises :class:`InvestigationError` for any other end."""
    line = found.status_line() if found else {}
    if found is None or found.status != "Success" or line.get("status") != "ok":
        cause = line.get("reason") or (found.cause() if found else "the command has vanished from SSM")
        action = "put the kernel's own debug package into the tools bucket and trigger symbol_library with its digest"
        raise InvestigationError(
            f"no symbol table was built: {cause}", next_action=found.next_action(action) if found else action
        )
    return read_status(found, SymbolsStatus, error=InvestigationError)


def symbol_table(status: SymbolsStatus, job: BuildJob, *, key: str, size: int, package: str) -> SymbolTable:
    """The entry of a table of ``size`` bytes that was built from a package of the tools bucket."""
    return SymbolTable(
        banner=status.banner,
        method=status.method,
        key=key,
        sha256=status.sha256,
        bytes=size,
        symbols=status.symbols,
        package=package,
        package_sha256=status.package_sha256,
        kernel_sha256=status.kernel_sha256,
        notes=status.notes,
        document_sha256=job.document_sha256,
        instance_id=job.instance_id,
        built_at=datetime.now(UTC),
    )
