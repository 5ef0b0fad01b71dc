"""What the tasks do that work on a case that has ended, by a person's order or by configuration: a part of ``task_docs``."""

from __future__ import annotations

from typing import Final

ORDER_TASKS: Final[dict[str, str]] = {
    # ------------------------------------------------------------------ forensic_profile
    "profile.check_profile": (
        "Lets a person's order in: the case has ended, the registry has the activity for its platform, and there is evidence that it reads. "
        "When it fails, the message says which of these is missing; the case has no gap for it. Clearing is safe: it only looks and notes who ordered."
    ),
    "profile.launch_forensic_instance": (
        "Launches a forensic instance for this order and waits until its SSM agent is online. "
        "When it fails, the forensic AMI, its subnet or the quota of the account is usually the cause: the log names it. "
        "Clearing is safe: an instance that an earlier try launched is used again."
    ),
    "profile.attach_evidence_volumes": (
        "Makes a volume of each snapshot copy and attaches it; skipped for an activity that reads no disk. "
        "When it fails, look at the copy that the log names. Clearing is safe: volumes that exist are used again."
    ),
    "profile.analyse_memory": (
        "Runs the ordered activity on the memory image; skipped for one that reads disks. "
        "When it fails, the message has the tool's last words and names a component that the forensic AMI lacks. "
        "Clearing is safe: what has succeeded is not run again."
    ),
    "profile.analyse_disk": (
        "Runs the ordered activity on every evidence volume; skipped for one that reads memory. "
        "When it fails, the message has the tool's last words and names a component that the forensic AMI lacks. "
        "Clearing is safe: what has succeeded is not run again."
    ),
    "profile.terminate_forensic_instance": (
        "Removes the forensic instance and its volumes, whatever happened before; evidence is not touched. "
        "When it fails, the orphan reaper removes them within half an hour. Clearing is safe: what is gone already is left alone."
    ),
    "profile.store_timeline": (
        "Stores the whole timeline again, with what the activity has added. "
        "When it fails, searches find what the version before it has; the artifacts have all. "
        "Clearing is safe: it stores a new version, earlier ones stay."
    ),
    "profile.write_report": (
        "Stores a new report with what the activity found, beside the earlier ones; the case stays closed as it was. "
        "When it fails, the log names the object that could not be written. Clearing is safe: it stores another version."
    ),
    # ------------------------------------------------------------------ forensic_sweep
    "plan_sweep": (
        "Reads the form, takes the indicators that can be looked for, and writes the order down. "
        "When it fails, the message names each line that cannot be read. Clearing is safe: nothing was looked at, and a written order stays."
    ),
    "sweep_target": (
        "Asks one instance by SSM, or searches the blocks of one snapshot; what keeps it from that is the target's result, with the reason. "
        "When it fails, AWS or the triggerer did not answer: the log names the call. Clearing is safe: a command that was sent is used again, and only reads."
    ),
    "conclude_sweep": (
        "Records what became of each target, in the case's ledger where it was for one, and tells people what was found. "
        "When it fails, no target could be examined, or the record could not be written: the message says which. "
        "Clearing is safe: what is recorded is not recorded twice."
    ),
    # ------------------------------------------------------------------ case_push
    "list_pushes": (
        "Says which cases are pushed: the named one, or those whose timelines were stored just now; skipped where no system is configured. "
        "When it fails, the id has another form than a case's. Clearing is safe: it only looks."
    ),
    "push_case": (
        "Pushes the case to every system of `forensics.pushes`. When it fails, a system did not take it: message, timeline and log say why; the case is "
        "complete without it. Clearing is safe: what is there already is not sent again."
    ),
}
