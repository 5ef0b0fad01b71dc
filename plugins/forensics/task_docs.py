"""What each task does, what a responder does when it fails, and what clearing it does: the UI shows it beside the task."""

from __future__ import annotations

from typing import Final

from forensics.order_task_docs import ORDER_TASKS

TASKS: Final[dict[str, str]] = {
    **ORDER_TASKS,
    # ------------------------------------------------------------------ forensic_drill
    "launch_canary": (
        "Launches the canary from its launch template and waits until its SSM agent is online; skipped where no drill account is set. "
        "When it fails, the stack forensics-drill or the quota of the drill account is usually the cause: the log names it. "
        "Clearing is safe: a canary that an earlier try launched is used again."
    ),
    "open_drill_case": (
        "Opens a case of the canary, marked as a drill, and starts its run. "
        "When it fails, look at the log: the intake's own message says why. Clearing is safe: the same drill finds the same case."
    ),
    "await_drill_case": (
        "Waits until the drill's case has ended, however well. "
        "When it fails, the case took longer than `forensics.drill_timeout_minutes`: its page says where it stands. Clearing is safe: it only waits."
    ),
    "remove_canary": (
        "Terminates the canary, then deletes its volumes and quarantine groups, whatever happened before; evidence is not touched. "
        "When it fails, the orphan reaper tries again every half hour. Clearing is safe: what is gone already is left alone."
    ),
    "judge_drill": (
        "Makes the pass/fail list with the times, stores it, sends one message and the metrics; red when a line did not pass. "
        "When it fails, the message names each line with its next action. Clearing is safe: it judges again what is stored."
    ),
    "remove_old_drills": (
        "Removes canaries of drills that died half-way and snapshots of drills whose lock of a day has ended. "
        "When it fails, the message names what is left and AWS's reason. Clearing is safe: what is gone already is left alone."
    ),
    # ------------------------------------------------------------------ forensic_case
    "open_case": (
        "Opens the case of this run, or takes the one that `finding_intake` has opened. "
        "It fails when a parameter is wrong or when the instance already has an open case, and names that case. "
        "Clearing is safe: the same run always finds the same case."
    ),
    "triage.describe_target": (
        "Stores what AWS says about the instance before anything is changed, and looks the finding up in the service that sent it. "
        "When it fails, check that the instance exists and that the `triage` role may read it in the target's account. "
        "Clearing is safe: a new description is stored beside the earlier one."
    ),
    "triage.plan_response": (
        "Decides by the policy whether to acquire memory and disks, whether to isolate, and whether a person must approve; "
        "the case page shows each reason. When it fails, the policy or its signature is usually the cause: the log names it. "
        "Clearing is safe: the plan is decided again, and steps that have not started follow the new one."
    ),
    "triage.protect_target": (
        "Keeps the target and its volumes from being ended while they are acquired: termination and stop protection, volumes that "
        "outlive the instance, no automatic recovery, out of its Auto Scaling group. The state before is the restore point. "
        "When something is refused, the case says what, and the snapshots begin before the memory capture. "
        "Clearing is safe: it makes only the changes that are missing; closing the case, or a release, takes them back."
    ),
    "memory.probe_target": (
        "Asks the target with one read-only SSM command which capture methods its kernel allows, and takes beside it what would be gone "
        "when the capture ends: connections, processes, sessions. "
        "When it fails, nothing needs to be done: the capture is tried in the default order. "
        "Clearing is safe: it sends the read-only command again."
    ),
    "memory.capture_memory": (
        "Streams the target's memory to the landing bucket in parts; nothing is installed, and its script writes to memory only. "
        "When it fails, check that the instance is online in SSM and that its network reaches S3. "
        "Clearing resumes at the first missing part, unless the instance was restarted; a target that is cut off from SSM can no longer be captured."
    ),
    "memory.live_response": (
        "Collects processes, sockets, users and mounts from the running target, whatever became of the capture. "
        "When it fails, isolation continues without it and the case shows a gap. "
        "Clearing sends the collection again; a target that is cut off from SSM no longer answers it."
    ),
    "memory.verify_memory": (
        "Hashes every part that landed, validates the image and locks it in the evidence store. "
        "When it fails, the case page names the check; the image is kept and locked, but it is not called acquired. "
        "Clearing is safe and needs nothing from the target."
    ),
    "disk.snapshot_volumes": (
        "Takes one crash-consistent snapshot set of all volumes and locks it while it is still pending. "
        "When it fails, check the volumes' KMS key and the account's snapshot quotas. "
        "Clearing is safe: complete snapshots are found by their case tag, failed ones are taken again."
    ),
    "disk.copy_snapshots": (
        "Shares the snapshots with the forensic account and copies them there under its own key. "
        "When it fails, the log names the disk and what AWS refused: a permission, a key policy or a quota. "
        "Clearing is safe and continues where it stopped; with its downstream tasks cleared too the disks are examined as well."
    ),
    "disk.digest_disks": (
        "Hashes every block of the copies and of the originals, which must agree, and stores the block manifest as evidence. "
        "When it fails, read the log first: two digests that differ are a custody incident, not a transient error. "
        "Clearing is safe: a read that was interrupted continues where it stopped."
    ),
    "cloud_evidence.collect_trail": (
        "Collects what CloudTrail recorded of the instance, its credentials and its resources, stores it under lock and reads it. "
        "When it fails, the case continues with a gap; the log names what the role `logs` may not read, or what was not reachable. "
        "Clearing is safe: the records up to now are collected and stored beside the earlier ones."
    ),
    "cloud_evidence.collect_flows": (
        "Collects the flows through the instance's network interfaces from buckets and log groups of VPC flow logs, stores them under lock and reads them. "
        "It ends skipped where no flow log records the instance; the case page says what to switch on. "
        "When it fails, the case continues with a gap; the log names what the role `logs` may not read. "
        "Clearing is safe: the flows up to now are collected and stored beside the earlier ones."
    ),
    "cloud_evidence.collect_queries": (
        "Collects the names that the instance asked Route 53 Resolver for, from buckets and log groups of its VPC's query logging, stores them under lock and reads them. "
        "It ends skipped where no query logging records the VPC; the case page says what to switch on. "
        "When it fails, the case continues with a gap; the log names what the role `logs` may not read. "
        "Clearing is safe: the questions up to now are collected and stored beside the earlier ones."
    ),
    "cloud_evidence.collect_state": (
        "Collects what the account says of the instance: its role with policies, trust and last use, what AWS Config recorded of it, the sessions on it and their output. "
        "What is not switched on is a note of the item; what could not be had is a gap by name, and the other answers are kept. "
        "Clearing is safe: the answers of now are collected and stored beside the earlier ones."
    ),
    "cloud_evidence.extend_records": (
        "Collects the records again from further back, once, when findings of disk, memory or the records are older than the window; what was stored stays. "
        "Findings of low severity or confidence, and times from more than 90 days before the alarm, do not count. "
        "When an item cannot be extended it stays as it is, and the timeline says so. Clearing is safe."
    ),
    "containment.plan_containment": (
        "Records every change that containment would make, asks a person when the policy says so, and watches the deadline. "
        "When it waits, answer under **Browse → Required Actions**; without an answer `forensics.approval_default` applies. "
        "Whoever asked cannot approve: their answer leaves the question open, and the task fails when nobody else answers. "
        "Clearing plans again, and asks again unless an approval of this run still counts; it never undoes a change."
    ),
    "containment.isolate_target": (
        "Protects the target, cuts it off on every network interface, revokes its credentials where configured, "
        "and reads the result back. When it fails, do what the message and the case page say: isolate the instance manually while "
        "its network is open; where the network is closed, they name what else is open. "
        "Clearing is safe: it makes only the changes that are missing and never opens anything."
    ),
    "investigation.memory_ended": (
        "Marks that the memory flow has ended, whatever its outcome, so that the memory tools can start. "
        "It does no work and cannot fail by itself. Clearing it alone changes nothing."
    ),
    "investigation.disks_ended": (
        "Marks that the memory and disk flows have ended, whatever their outcomes, so that the disk tools can start. "
        "It does no work and cannot fail by itself. Clearing it alone changes nothing."
    ),
    "investigation.launch_forensic_instance": (
        "Launches the disposable instance that examines the evidence and waits for its SSM agent. "
        "When it fails, check the forensic AMI, the analysis subnet's endpoints and the instance quotas. "
        "Clearing it with its downstream tasks repeats the investigation; the evidence is not touched."
    ),
    "investigation.attach_evidence_volumes": (
        "Makes a volume from each snapshot copy and attaches it to the forensic instance. "
        "When it fails, the log names the volume and its state. "
        "Clearing is safe: Airflow clears the launch of the instance with it, and volumes that are there are used again."
    ),
    "investigation.analyse_memory": (
        "Runs the memory tools on the verified image and stores what they found. "
        "When it fails, the case page shows the command's last lines; the evidence is untouched. "
        "Clearing sends the tools again; Airflow clears with it what sets up the forensic instance and removes it."
    ),
    "investigation.analyse_disk": (
        "Runs the disk tools on every evidence volume and stores what they found. "
        "When it fails, the case page shows the command's last lines; the evidence is untouched. "
        "Clearing sends the tools again; Airflow clears with it what sets up the forensic instance and removes it."
    ),
    "investigation.compare_disk": (
        "Reads every examined volume with a second tool and compares the counts, after the answers: the report is written meanwhile, the closing "
        "says what came of it. When it fails, the case has a gap; the findings stand, unconfirmed by the second tool. "
        "Clearing sends it again; Airflow clears with it what sets up the forensic instance and removes it."
    ),
    "investigation.terminate_forensic_instance": (
        "Terminates the forensic instance and deletes its analysis volumes, whatever happened before. "
        "When it fails, they keep running and cost money until `orphan_reaper` removes them. "
        "Clearing is safe: snapshots and other evidence are never touched."
    ),
    "report.write_report": (
        "Writes the report as HTML and JSON, with the timeline and the exports, into the evidence store, when the tools have ended; digests of disks "
        "that are still computed are in the version that `close_case` writes. "
        "When it fails, evidence and findings are still complete in the case page. "
        "Clearing is safe: a new version is written, earlier ones are kept."
    ),
    "report.store_timeline": (
        "Stores every entry of every source (tools, plaso, live response, cloud records, ledger, findings) as Parquet in the case's prefix, for searches and for Athena. "
        "When it fails, the case's page still shows the notable entries, and the artifacts have all; the message says which artifact could not be read, or that the worker's disk is full. "
        "Clearing is safe: it stores a new version, earlier ones stay."
    ),
    "report.link_cases": (
        "Compares the digests, access keys, addresses, domains, users and files that findings name with those of all cases, and says which cases share some. "
        "When it fails, the message names the call of the case table that was refused; the case itself lacks nothing. "
        "Clearing is safe: it compares again and tells of further cases only."
    ),
    "report.close_case": (
        "Writes the report again where more is known than it tells, closes the case, signs the custody ledger's head, and fails when anything that the plan wanted is missing. "
        "Red means that the case has gaps: the log and the SNS message name each gap and its next action. "
        "After a failed step was repeated, clear `write_report` and this task to close the case again."
    ),
    # ------------------------------------------------------------------ the other DAGs
    "receive_findings": (
        "Waits for findings on the queue, opens one case for each and starts its run; a message is deleted only after that. "
        "When it fails, nothing is lost: findings wait in the queue for 14 days. "
        "Clearing is safe: a finding that is delivered again finds its case."
    ),
    "redrive_findings": (
        "Moves messages from the dead-letter queue back to the queue of findings. "
        "When it fails, messages that were not moved are still in the dead-letter queue. "
        "Clearing is safe: each message is sent before it is deleted, and a finding whose case exists joins it."
    ),
    "extend_plan": (
        "Extends the case's plan by the findings that joined it; it never takes anything out of the plan. "
        "When it fails, the case continues with the plan that it has. "
        "Clearing is safe: the plan is extended once for each finding."
    ),
    "case_has_not_isolated": (
        "Waits until the isolation step of the case's own run has ended without isolating. "
        "It is skipped when that run isolates by itself, and fails after 12 hours. "
        "Clearing is safe: it only reads."
    ),
    "isolate_target": (
        "Isolates the target because a later finding asks for it, with the same steps as in the case's own run. "
        "When it fails, do what the message says: isolate the instance manually only while its network is open. "
        "Clearing is safe; an isolation that needs approval is not done here: "
        "clear `containment.plan_containment` in the case's run, which asks."
    ),
    "plan_release": (
        "Shows every call that the release would make and asks another person under **Browse → Required Actions**. "
        "Without an answer, or with a refusal, the target stays contained; it fails when only people answered who may not approve. "
        "Clearing plans and asks again."
    ),
    "release_target": (
        "Carries out the approved calls and compares the target with its restore point. "
        "It stops at the first call that fails, and what is not released stays contained: fix the cause that the log names. "
        "Clearing continues from there, and asks again when the approval was used or has ended, or the target has changed."
    ),
    "list_cases": (
        "Lists the cases to audit and decides what is read of each within the day's budget, or takes the one that the parameter names. "
        "When it fails, the case store or the evidence bucket could not be read. "
        "Clearing is safe: it decides again."
    ),
    "audit_case": (
        "Checks ledger, signatures, versions and snapshots of one case, and reads and hashes the objects whose turn it is. "
        "Red is an alarm: treat the evidence as damaged and find out in CloudTrail who wrote. "
        "Do not clear it before an examiner has looked; clearing repeats the audit and changes no evidence."
    ),
    "summarize_audit": (
        "Sums up what the run read and what is due, for the page on the audit. "
        "When it fails, the case store could not be read or written; the cases' own results are there. "
        "Clearing is safe: it counts again."
    ),
    "plan_hold_lift": (
        "Lists the objects of a closed case that have a legal hold and asks another person under **Browse → Required Actions**. "
        "Without an answer, or with a refusal, the holds stay; it fails when only people answered who may not approve. "
        "Clearing lists and asks again."
    ),
    "lift_holds": (
        "Lifts the approved legal holds and records both people in the custody ledger; the objects' retention stays. "
        "When it fails, the log names the objects that are still held and AWS's reason. "
        "Clearing continues with those, and asks again when the approval was used or has ended, or other objects are held."
    ),
    "list_due_cases": (
        "Lists the cases whose retention has to be seen to: open ones whose locks end too early, closed ones whose retention does not yet "
        "count from the closing. When it fails, the case store could not be read. "
        "Clearing is safe: it only reads."
    ),
    "keep_evidence": (
        "Extends the retention of a case's objects and the locks of its snapshots, and puts legal holds back while the case is open. "
        "When it fails, the log names each object or snapshot and AWS's reason; everything else is done. "
        "Clearing is safe: only what is missing is changed."
    ),
    "export_case": (
        "Writes the case bundle, which `forensics-verify` can check without access to AWS, into the evidence store. "
        "When a digest differs from the ledger, run `evidence_audit` for the case first. "
        "Clearing is safe: a failed export leaves nothing behind."
    ),
    "reap_orphans": (
        "Removes forensic instances and analysis volumes that outlived their case; evidence is never touched. "
        "When it fails, the log and the SNS message name what is still running and costs money. "
        "Clearing is safe: it looks again."
    ),
    "run_preflight": (
        "Tries what a case needs, from where cases run: reach, roles, documents, stores, the way of findings. "
        "When it fails, each broken line in the log and on the page Forensic cases → Preflight says what to repair. "
        "Clearing is safe: everything is tried again, and no case is touched."
    ),
    "list_readiness": (
        "Lists the running instances of the member accounts that could not be captured today, with the reason of each. "
        "When it fails, no account could be looked at: the log names the role that was refused. "
        "Clearing is safe: it only reads."
    ),
    "remove_leftovers": (
        "Deletes the snapshots of earlier preflights whose lock has ended, and security groups of one that was killed. "
        "When it fails, the log names the account; the role's line of `run_preflight` usually says why. "
        "Clearing is safe: it looks again, and never at evidence."
    ),
    "build_forensic_ami": (
        "Runs the Image Builder pipeline and publishes the new AMI only when all its tests passed. "
        "When it fails, cases continue to use the previous AMI; the log names the component and the step. "
        "Clearing finds the build that this run has started."
    ),
    "launch_builder": (
        "Launches a disposable instance that builds the symbol table and waits for its SSM agent. "
        "When it fails, check the forensic AMI, the analysis subnet's endpoints and the instance quotas. "
        "Clearing is safe: a running builder is used again."
    ),
    "build_symbols": (
        "Builds the symbol table of one kernel from its debug package, signs it and stores it in the library. "
        "When it fails, check that the package is the kernel's debug package and that its SHA-256 is right. "
        "Clear it together with `launch_builder`, since the instance is removed after a failure; a table that exists is kept."
    ),
    "remove_builder": (
        "Terminates the instance that built the symbol table. "
        "When it fails, the instance costs money until `orphan_reaper` removes it. "
        "Clearing is safe."
    ),
    # ------------------------------------------------------------------ forensic_pulse
    "measure_pulse": (
        "Waits for some seconds in the triggerer, as the steps of a case do, and logs when the wait came back and which runs have not started. "
        "When it fails, waits do not come back: no step that waits for AWS continues until the triggerer works again. "
        "Clearing is safe: it waits once more."
    ),
    "send_notices": (
        "Sends the digests that are due and the reminders of what waits for a person. "
        "When it fails, the log names what could not be sent; the rest was, and what is due is tried again in five minutes. "
        "Clearing is safe: what was sent is not sent again."
    ),
    "measure_operations": (
        "Counts open cases, what waits for a person, runs that stand still, targets that drifted and locks that end soon, for the dashboard and alarms. "
        "When it fails, those alarms keep the state that they have. Clearing is safe: it counts again."
    ),
    "measure_ages": (
        "Puts the ages of keys, external id, channels' secrets, forensic AMI and symbol library to CloudWatch, for alarms; its log names each. "
        "When it fails, what could be measured was put, and the other alarms keep their state. Clearing is safe: it measures again."
    ),
    # ------------------------------------------------------------------ case_watchdog
    "resume_cases": (
        "Finds open cases whose run has ended, was deleted or never started, tells people, and starts each again a few times; tells of runs that stand still. "
        "When it fails, the log names the cases that could not be seen to; the others were. "
        "Clearing is safe: a case whose run is alive is left alone."
    ),
    "look_at_contained": (
        "Looks at every contained target and tells people, once, what others have opened on it since; closes it again where `forensics.drift_response` says so. "
        "When it fails, the log names the cases that could not be read; a target that cannot be looked at is a gap of its case. "
        "Clearing is safe: it looks again."
    ),
    # ------------------------------------------------------------------ ledger_restore
    "restore_ledgers": (
        "Holds every ledger against the newest head that is signed in the evidence store, and puts back what a restored table lacks. "
        "When it fails, its log names the ledgers that have gone on beside the signed one: an examiner has to look at those. "
        "Clearing is safe: what is there already is left as it is."
    ),
    # ------------------------------------------------------------------ finding_catchup
    "catch_up_findings": (
        "Asks Security Hub for the findings that were changed in the given time, and puts each into the findings' queue. "
        "When it fails, check the time, and that the `triage` role of the administrator account may be assumed. "
        "Clearing is safe: a finding that has arrived already finds its case."
    ),
}
