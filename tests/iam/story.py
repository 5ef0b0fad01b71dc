"""The product's steps in the order of three cases, each able to be tried again, with what it needs made beforehand."""

from __future__ import annotations

from collections.abc import Iterator

from tests.iam.finding_case import FindingCase
from tests.iam.hard_targets import HardTargets
from tests.iam.steps import Step
from tests.iam.upkeep import Upkeep

PIPELINE = "arn:aws:imagebuilder:eu-central-1:222233334444:image-pipeline/forensics"


class Story(FindingCase, HardTargets, Upkeep):
    """All of it."""

    def steps(self) -> Iterator[Step]:
        """Every step of the product that calls AWS."""
        yield from self._finding_case()
        yield from self._hardest_targets()
        yield from self._snapshot_case()
        yield from self._upkeep()

    def forgive(self) -> None:
        """A message that could not be sent stays a gap of its case: rightly, but it was taken away on purpose."""
        db, table = self.lab.client("dynamodb"), self.lab.facts["case_table"]
        for page in db.get_paginator("scan").paginate(TableName=table, ProjectionExpression="PK, SK"):
            for key in page["Items"]:
                if key["SK"]["S"].startswith("FAILURE#notify:"):
                    db.delete_item(TableName=table, Key=key)
