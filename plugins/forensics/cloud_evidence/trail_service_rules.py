"""Rows on calls of the services beside EC2 and on what surrounds instances: storage, databases, functions, doors into the account,
what guards it, what it is billed for. Pure.

Most count only when they were made with credentials that the case follows. The names are those of CloudTrail's records, as public
recordings of attacks have them (Stratus Red Team's detonation logs, Invictus' data set, Panther's rule tests).
"""

from __future__ import annotations

import re

from forensics.cloud_evidence.trail_call import (
    CallRule,
    by_somebody,
    either,
    has,
    opened_to_all,
    public_network,
    says,
    shared_with,
)
from forensics.cloud_evidence.trail_record import TrailRecord, text_at
from forensics.cloud_evidence.trail_scene import CRITICAL, HIGH, LOW, MEDIUM, Scene

_BUCKET, _DATABASE = ("bucketName",), ("dBSnapshotIdentifier", "dBClusterSnapshotIdentifier", "sourceDBSnapshotIdentifier", "sourceDBClusterSnapshotIdentifier", "sourceArn", "dBInstanceIdentifier", "dBClusterIdentifier", "resourceArn", "dBSecurityGroupName")  # fmt: skip
_RESOURCE = (
    "bucketName",
    "keyId",
    "repositoryName",
    "secretId",
    "queueUrl",
    "topicArn",
    "resourceArn",
    "functionName",
    "domainName",
    "layerName",
)
_RANSOM_NOTE = re.compile(r"(how|read).{0,6}(to|me).{0,20}(decrypt|restore|recover|unlock)|ransom|decrypt.{0,12}(files|instructions)|files.{0,12}encrypted", re.I)  # fmt: skip


def _shared(scene: Scene, call: TrailRecord) -> bool:
    return bool(shared_with(scene, call))


def _foreign_key(scene: Scene, call: TrailRecord) -> bool:
    """An object is written with a key that only the caller has (SSE-C), or with one of another account's KMS."""
    if any("encryption-customer-algorithm" in name.lower() for name in call.parameters):
        return True
    key = text_at(call.parameters, "x-amz-server-side-encryption-aws-kms-key-id")
    return key.startswith("arn:") and f":{scene.order.account_id}:" not in key


def _foreign_bucket(scene: Scene, call: TrailRecord) -> bool:
    """One of the buckets of a copy belongs to another account, as the record's list of resources says."""
    owners = {r.account_id for r in call.resources if r.type == "AWS::S3::Bucket" and r.account_id}
    return bool(owners - {scene.order.account_id, *scene.order.friends})


def _ransom_note(_scene: Scene, call: TrailRecord) -> bool:
    return bool(_RANSOM_NOTE.search(text_at(call.parameters, "key").rsplit("/", 1)[-1]))


def _logging_off(_scene: Scene, call: TrailRecord) -> bool:
    return "LoggingEnabled" not in str(call.parameters.get("BucketLoggingStatus", ""))


def _allows_in(_scene: Scene, call: TrailRecord) -> bool:
    return text_at(call.parameters, "ruleAction") == "allow" and public_network(_scene, call)


def _root_or_active(_scene: Scene, call: TrailRecord) -> bool:
    return text_at(call.parameters, "status").lower() != "inactive"


_GUARDS = frozenset(
    {
        "securityhub:UpdateFindings", "securityhub:BatchUpdateFindings", "securityhub:DeleteInsight", "securityhub:UpdateInsight",
        "securityhub:DeleteActionTarget", "securityhub:DisableImportFindingsForProduct", "securityhub:UpdateStandardsControl",
        "guardduty:CreateIPSet", "guardduty:UpdateIPSet", "guardduty:DeleteIPSet", "guardduty:DeleteThreatIntelSet", "guardduty:UpdateThreatIntelSet",
        "guardduty:ArchiveFindings", "guardduty:DeleteMembers", "guardduty:DisassociateMembers", "guardduty:DeletePublishingDestination",
        "guardduty:UpdateFilter", "macie2:UpdateMacieSession", "macie:UpdateMacieSession", "macie2:DisableMacie",
        "macie2:CreateFindingsFilter", "macie2:DeleteMember", "macie2:DisassociateMember", "macie2:DisassociateFromMasterAccount",
        "inspector2:Disable", "detective:DeleteGraph", "access-analyzer:DeleteAnalyzer", "access-analyzer:CreateArchiveRule",
        "config:DeleteConfigRule", "config:DeleteOrganizationConfigRule", "config:DeleteConfigurationAggregator",
        "config:DeleteRemediationConfiguration", "config:DeleteRetentionConfiguration", "config:PutDeliveryChannel", "config:PutConfigurationRecorder",
        "monitoring:DeleteAlarms", "monitoring:DisableAlarmActions", "monitoring:DeleteDashboards", "logs:DeleteLogGroup", "logs:DeleteLogStream",
        "logs:PutRetentionPolicy", "logs:DeleteSubscriptionFilter", "logs:DeleteMetricFilter", "logs:DeleteDestination", "logs:DeleteDelivery",
        "logs:DeleteResourcePolicy", "events:DeleteRule", "events:DisableRule", "events:RemoveTargets", "events:DeleteEventBus",
        "cloudtrail:PutInsightSelectors", "cloudtrail:DeregisterOrganizationDelegatedAdmin", "cloudtrail:CreateTrail",
        "wafv2:DeleteWebACL", "wafv2:DisassociateWebACL", "wafv2:DeleteLoggingConfiguration", "wafv2:DeleteRuleGroup", "wafv2:UpdateWebACL", "wafv2:UpdateIPSet", "guardduty:DeleteInvitations", "securityhub:DeleteMembers", "securityhub:DisassociateMembers", "rds:ModifyActivityStream",
        "waf:DeleteWebACL", "waf:DeleteRule", "waf-regional:DeleteWebACL", "waf-regional:DisassociateWebACL", "shield:DeleteProtection",
        "network-firewall:DeleteFirewall", "network-firewall:UpdateLoggingConfiguration",
        "route53resolver:DeleteFirewallRule", "route53resolver:DisassociateFirewallRuleGroup", "route53resolver:UpdateFirewallConfig",
        "rds:StopActivityStream", "bedrock:DeleteModelInvocationLoggingConfiguration", "bedrock:PutModelInvocationLoggingConfiguration",
        "bedrock:UpdateGuardrail", "bedrock:DeleteGuardrail", "elasticloadbalancing:ModifyLoadBalancerAttributes", "backup:DeleteBackupPlan",
        "backup:DeleteBackupSelection", "backup:DeleteBackupVaultLockConfiguration", "backup:UpdateRegionSettings", "dlm:DeleteLifecyclePolicy",
    }
)  # fmt: skip
_COMPUTING = frozenset(
    {
        "ec2:CreateLaunchTemplate", "ec2:CreateLaunchTemplateVersion", "ec2:RequestSpotFleet", "ec2:PurchaseReservedInstancesOffering",
        "autoscaling:CreateAutoScalingGroup", "autoscaling:CreateLaunchConfiguration", "autoscaling:UpdateAutoScalingGroup",
        "autoscaling:SetDesiredCapacity", "ecs:CreateCluster", "ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:StartTask", "ecs:CreateService",
        "ecs:UpdateService", "ecs:ExecuteCommand", "eks:CreateCluster", "eks:CreateNodegroup", "eks:CreateAccessEntry", "eks:AssociateAccessPolicy",
        "eks:CreateFargateProfile", "batch:SubmitJob", "batch:CreateComputeEnvironment", "batch:RegisterJobDefinition",
        "sagemaker:CreateNotebookInstance", "sagemaker:CreatePresignedNotebookInstanceUrl", "sagemaker:CreateTrainingJob",
        "sagemaker:CreateProcessingJob", "sagemaker:CreateDomain", "sagemaker:CreateNotebookInstanceLifecycleConfig", "lightsail:CreateInstances",
        "lightsail:GetInstanceAccessDetails", "lightsail:DownloadDefaultKeyPair", "lightsail:CreateKeyPair", "lightsail:CreateContainerService",
        "codebuild:CreateProject", "codebuild:UpdateProject", "codebuild:StartBuild", "codebuild:UpdateProjectVisibility", "codebuild:ImportSourceCredentials",
        "glue:CreateDevEndpoint", "glue:UpdateDevEndpoint", "glue:CreateJob", "glue:StartJobRun", "glue:CreateSession", "amplify:CreateApp", "amplify:CreateDeployment",
        "apprunner:CreateService", "elasticmapreduce:RunJobFlow", "emr-serverless:StartJobRun", "datapipeline:CreatePipeline", "datapipeline:PutPipelineDefinition",
        "cloudformation:CreateStack", "cloudformation:UpdateStack", "cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet",
        "cloudformation:CreateStackSet", "cloudformation:CreateStackInstances", "cloudshell:CreateSession",
        "states:CreateStateMachine", "states:StartExecution", "scheduler:CreateSchedule", "events:PutRule", "events:PutTargets", "gamelift:CreateFleet",
        "workspaces:CreateWorkspaces", "appstream:CreateFleet", "imagebuilder:CreateImagePipeline", "transfer:CreateServer", "transfer:CreateUser", "transfer:ImportSshPublicKey", "agreement-marketplace:AcceptAgreementRequest",
        "lambda:UpdateEventSourceMapping20150331", "cloudfront:CreateFunction2020_05_31", "cloudfront:PublishFunction2020_05_31", "apigateway:CreateApi",
        "apigateway:CreateIntegration", "apigateway:CreateRoute", "apigateway:CreateStage", "apigateway:CreateRestApi", "apigateway:PutIntegration", "airflow:CreateCliToken",
    }
)  # fmt: skip

ROWS = (
    # storage
    CallRule("opened-to-all", "{subject} was opened to everybody: {call}", frozenset({"PutBucketPolicy", "PutBucketAcl", "PutObjectAcl", "SetRepositoryPolicy", "PutKeyPolicy", "SetQueueAttributes", "SetTopicAttributes", "PutResourcePolicy", "CreateElasticsearchDomain", "UpdateElasticsearchDomainConfig", "CreateDomain", "AddPermission20150331", "AddPermission20150331v2", "AddLayerVersionPermission20181031", "AddPermission", "SetVaultAccessPolicy", "PutFileSystemPolicy", "PutBackupVaultAccessPolicy", "PutRegistryPolicy"}), "T1537", CRITICAL, None, subject=_RESOURCE, fits=opened_to_all),
    CallRule("resource-policy", "Who may use {subject} was changed: {call}", frozenset({"PutBucketPolicy", "PutBucketAcl", "DeleteBucketPublicAccessBlock", "DeletePublicAccessBlock", "DeleteAccountPublicAccessBlock", "PutAccountPublicAccessBlock", "PutBucketPublicAccessBlock", "PutBucketReplication", "CreateAccessPoint", "PutAccessPointPolicy", "SetRepositoryPolicy", "PutKeyPolicy", "ReplicateKey", "secretsmanager:PutResourcePolicy", "AddPermission20150331", "AddPermission20150331v2", "AddLayerVersionPermission20181031", "CreateFunctionUrlConfig", "ssm:ModifyDocumentPermission", "ram:CreateResourceShare", "ram:AssociateResourceShare"}), "T1537", HIGH, None, subject=_RESOURCE, fits=lambda s, c: by_somebody(s, c) and not opened_to_all(s, c), usual=True),
    CallRule("bucket-guard", "What keeps the objects of bucket {subject} was changed: {call}", frozenset({"DeleteBucketEncryption", "DeleteBucketReplication", "PutObjectLockConfiguration", "DeleteBucketPolicy"}), "T1490", HIGH, None, subject=_BUCKET, usual=True),
    CallRule("bucket-versions", "Versions of bucket {subject} are kept no longer", frozenset({"PutBucketVersioning"}), "T1490", HIGH, None, subject=_BUCKET, fits=either(says("Status", "Suspended"), says("MfaDelete", "Disabled"))),
    CallRule("bucket-expiry", "Objects of bucket {subject} are deleted by a rule of it", frozenset({"PutBucketLifecycle", "PutBucketLifecycleConfiguration"}), "T1485.001", HIGH, None, subject=_BUCKET, usual=True),
    CallRule("bucket-logging", "Records of who reads bucket {subject} were switched off", frozenset({"PutBucketLogging"}), "T1685.002", HIGH, None, subject=_BUCKET, fits=_logging_off),
    CallRule("objects-encrypted", "Objects of bucket {subject} were written with a key that is not the account's", frozenset({"CopyObject", "PutObject", "CreateMultipartUpload"}), "T1486", CRITICAL, None, subject=_BUCKET, fits=_foreign_key, usual=True),
    CallRule("objects-away", "Objects were copied between bucket {subject} and one of another account", frozenset({"CopyObject", "UploadPartCopy"}), "T1537", HIGH, None, subject=_BUCKET, fits=_foreign_bucket, usual=True),
    CallRule("ransom-note", "An object with the name of a ransom note was written to bucket {subject}", frozenset({"PutObject", "CopyObject"}), "T1486", CRITICAL, None, subject=_BUCKET, fits=_ransom_note),
    # images and snapshots
    CallRule("image-exported", "An image or a volume's data was exported: {call} of {subject}", frozenset({"CreateStoreImageTask", "CreateInstanceExportTask", "ExportImage"}), "T1537", HIGH, HIGH, subject=("imageId", "instanceId")),
    CallRule("snapshot-used", "Another account made a volume or a copy of the shared snapshot {subject}", frozenset({"SharedSnapshotVolumeCreated", "SharedSnapshotCopyInitiated"}), "T1537", CRITICAL, CRITICAL),
    CallRule("snapshot-read", "Blocks of snapshot {subject} were read", frozenset({"ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks", "ebs:ListChangedBlocks"}), "T1530", HIGH, MEDIUM, subject=("snapshotId", "secondSnapshotId"), fits=by_somebody, usual=True),
    CallRule("sharing-allowed", "What keeps snapshots and images from being public was switched off: {call}", frozenset({"DisableSnapshotBlockPublicAccess", "DisableImageBlockPublicAccess"}), "T1578.005", HIGH, MEDIUM, fits=by_somebody, anywhere=True),
    CallRule("encryption-off", "New volumes are encrypted no longer, or with another key: {call}", frozenset({"DisableEbsEncryptionByDefault", "ModifyEbsDefaultKmsKeyId", "ResetEbsDefaultKmsKeyId"}), "T1578.005", HIGH, None, subject=("kmsKeyId",), fits=by_somebody),
    # the target's machine and network
    CallRule("instance-changed", "Instance {subject} was changed: {call}", frozenset({"ModifyInstanceAttribute", "ModifyInstanceCreditSpecification", "ModifyInstancePlacement", "ModifyNetworkInterfaceAttribute", "CreateReplaceRootVolumeTask"}), "T1578.005", MEDIUM, LOW, subject=("instanceId", "networkInterfaceId"), fits=lambda s, c: by_somebody(s, c) and "userData" not in c.parameters and text_at(c.parameters, "attribute") != "userData", usual=True),
    CallRule("instance-stopped", "Instance {subject} was stopped or restarted: {call}", frozenset({"StopInstances", "RebootInstances", "StartInstances"}), "T1529", MEDIUM, LOW, fits=by_somebody, usual=True),
    CallRule("console-read", "Console of {subject} was read: {call}", frozenset({"GetConsoleScreenshot", "GetConsoleOutput"}), "T1113", MEDIUM, LOW, subject=("instanceId",), usual=True),
    CallRule("network-opened", "The network was opened to every address: {call} on {subject}", frozenset({"CreateNetworkAclEntry", "ReplaceNetworkAclEntry"}), "T1686.001", HIGH, LOW, subject=("networkAclId",), fits=_allows_in),
    CallRule("network-changed", "The network was changed: {call} on {subject}", frozenset({"ec2:CreateRoute", "ec2:ReplaceRoute", "ec2:DeleteRoute", "ec2:AttachInternetGateway", "ec2:CreateInternetGateway", "ec2:CreateVpcPeeringConnection", "ec2:AcceptVpcPeeringConnection", "ec2:CreateVpnConnection", "ec2:CreateClientVpnEndpoint", "ec2:CreateNetworkAclEntry", "ec2:ReplaceNetworkAclEntry", "ec2:DeleteNetworkAclEntry", "ec2:ReplaceNetworkAclAssociation", "ec2:AssociateAddress", "ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress", "ec2:ModifySecurityGroupRules", "ec2:CreateSecurityGroup", "ec2:CreateVpcEndpoint", "ec2:ModifyVpcEndpoint", "ec2:CreateVpc", "ec2:CreateTransitGatewayVpcAttachment", "ec2:CreateInstanceConnectEndpoint", "ec2:DeleteNetworkAcl", "elasticloadbalancing:CreateRule", "elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyRule", "route53:ChangeResourceRecordSets", "route53:CreateHostedZone", "elasticfilesystem:DeleteMountTarget", "elasticfilesystem:CreateMountTarget"}), "T1578.005", MEDIUM, LOW, subject=("routeTableId", "groupId", "groupName", "networkAclId", "vpcId", "vpcEndpointId", "internetGatewayId", "instanceId"), fits=lambda s, c: by_somebody(s, c) and not (public_network(s, c) and c.name in {"AuthorizeSecurityGroupIngress", "ModifySecurityGroupRules"}) and not (_allows_in(s, c) and "NetworkAclEntry" in c.name), usual=True),
    CallRule("mirror-set-up", "Mirroring of traffic was set up: {call}", frozenset({"CreateTrafficMirrorTarget", "CreateTrafficMirrorFilter", "CreateTrafficMirrorFilterRule", "ModifyTrafficMirrorSession", "ModifyTrafficMirrorFilterRule", "DeleteTrafficMirrorTarget"}), "T1040", HIGH, None),
    CallRule("ssm-door", "Machines can be reached by SSM in a new way: {call}", frozenset({"ssm:CreateActivation", "ssm:CreateDocument", "ssm:UpdateDocument", "ssm:UpdateServiceSetting", "ssm:CreateMaintenanceWindow", "ssm:RegisterTaskWithMaintenanceWindow"}), "T1072", HIGH, None, subject=("name",), usual=True),
    # databases
    CallRule("database-shared", "Snapshot {subject} of a database was shared with another account", frozenset({"ModifyDBSnapshotAttribute", "ModifyDBClusterSnapshotAttribute"}), "T1537", CRITICAL, None, subject=_DATABASE, fits=_shared),
    CallRule("database-copied", "Data of database {subject} was copied or exported: {call}", frozenset({"CreateDBSnapshot", "CreateDBClusterSnapshot", "CopyDBSnapshot", "CopyDBClusterSnapshot", "rds:StartExportTask", "RestoreDBInstanceFromDBSnapshot", "RestoreDBClusterFromSnapshot", "RestoreDBInstanceToPointInTime", "DownloadDBLogFilePortion", "dynamodb:ExportTableToPointInTime", "dynamodb:CreateBackup"}), "T1213.006", HIGH, None, subject=(*_DATABASE, "tableName", "tableArn"), fits=by_somebody, usual=True),
    CallRule("database-changed", "Who reaches database {subject}, or what keeps it, was changed: {call}", frozenset({"ModifyDBInstance", "ModifyDBCluster"}), "T1098", HIGH, None, subject=_DATABASE, fits=either(has("masterUserPassword"), says("publiclyAccessible", True), says("deletionProtection", False), says("backupRetentionPeriod", 0))),
    CallRule("database-opened", "Who reaches database {subject} was changed: {call}", frozenset({"AuthorizeDBSecurityGroupIngress", "AddRoleToDBInstance", "AddRoleToDBCluster", "CreateDBSecurityGroup"}), "T1098", HIGH, None, subject=_DATABASE),
    CallRule("database-down", "Database {subject} was restarted or moved: {call}", frozenset({"RebootDBInstance", "RebootDBCluster", "FailoverDBCluster", "FailoverGlobalCluster", "StopDBInstance", "StopDBCluster"}), "T1529", MEDIUM, None, subject=(*_DATABASE, "globalClusterIdentifier"), fits=by_somebody, usual=True),
    # doors into the account
    CallRule("door", "People or machines from outside may sign in by a new way: {call} {subject}", frozenset({"CreateSAMLProvider", "UpdateSAMLProvider", "CreateOpenIDConnectProvider", "AddClientIDToOpenIDConnectProvider", "UpdateOpenIDConnectProviderThumbprint", "rolesanywhere:CreateTrustAnchor", "rolesanywhere:UpdateTrustAnchor", "rolesanywhere:EnableTrustAnchor", "rolesanywhere:CreateProfile", "rolesanywhere:UpdateProfile", "rolesanywhere:EnableProfile", "sso:CreateAccountAssignment", "sso:CreatePermissionSet", "sso:AttachManagedPolicyToPermissionSet", "sso:PutInlinePolicyToPermissionSet", "sso-directory:CreateUser", "sso-directory:AddMemberToGroup", "sso-directory:CreateGroup", "sso:UpdateSsoConfiguration", "appsync:CreateApiKey", "appsync:UpdateResolver", "identitystore:CreateUser", "identitystore:CreateGroupMembership", "cognito-identity:SetIdentityPoolRoles"}), "T1484.002", HIGH, MEDIUM, subject=("name", "sAMLProviderArn", "url", "userName"), fits=lambda s, c: by_somebody(s, c)),
    CallRule("second-factor", "The second factor of {subject} was changed: {call}", frozenset({"DeactivateMFADevice", "DeleteVirtualMFADevice", "EnableMFADevice", "CreateVirtualMFADevice", "ResyncMFADevice"}), "T1556.006", HIGH, None, subject=("userName", "serialNumber", "virtualMFADeviceName")),
    CallRule("rights-read", "Every right of the account was read: {call}", frozenset({"GetAccountAuthorizationDetails", "GetCredentialReport", "GenerateCredentialReport"}), "T1087.004", MEDIUM, None, usual=True),
    CallRule("code-read", "Code of function {subject} was read", frozenset({"GetFunction20150331", "GetFunction20150331v2"}), "T1648", MEDIUM, None, subject=("functionName",), usual=True),
    CallRule("template-read", "Launch data with user data was read: {call} of {subject}", frozenset({"GetLaunchTemplateData"}), "T1552.005", MEDIUM, LOW, subject=("instanceId",)),
    CallRule("volume-made", "A volume was made of snapshot {subject}", frozenset({"CreateVolume"}), "T1578.001", MEDIUM, LOW, subject=("snapshotId",), fits=lambda s, c: by_somebody(s, c) and bool(text_at(c.parameters, "snapshotId")), usual=True),
    CallRule("password-rules", "Rules on passwords of the account were changed: {call}", frozenset({"UpdateAccountPasswordPolicy", "DeleteAccountPasswordPolicy"}), "T1556", HIGH, None),
    CallRule("key-changed", "A key or password of {subject} was changed: {call}", frozenset({"UpdateAccessKey", "ResetServiceSpecificCredential", "UpdateServiceSpecificCredential", "ChangePassword", "PasswordUpdated", "UploadSigningCertificate", "UpdateSSHPublicKey"}), "T1098.001", HIGH, None, subject=("userName",), fits=_root_or_active),
    CallRule("federation", "A session that outlives its key was made: {call} {subject}", frozenset({"GetFederationToken", "GetSessionToken"}), "T1550.001", HIGH, None, subject=("name",), usual=True),
    CallRule("policy-made", "A policy or profile was made: {call} {subject}", frozenset({"iam:CreatePolicy", "iam:CreateInstanceProfile", "iam:CreateGroup", "iam:PutRolePermissionsBoundary", "iam:PutUserPermissionsBoundary"}), "T1098.003", MEDIUM, None, subject=("policyName", "instanceProfileName", "groupName", "roleName", "userName"), usual=True),
    CallRule("access-removed", "Others lost access: {call} {subject}", frozenset({"DeleteUser", "DeleteLoginProfile", "DeleteAccessKey", "DeleteRole", "DetachUserPolicy", "DetachRolePolicy", "DeleteUserPolicy", "DeleteRolePolicy", "DeleteGroupPolicy", "DetachGroupPolicy", "RemoveUserFromGroup", "DeleteSAMLProvider", "DeleteOpenIDConnectProvider"}), "T1531", MEDIUM, None, subject=("userName", "roleName", "groupName", "sAMLProviderArn"), usual=True),
    CallRule("organization", "The organization was changed: {call}", frozenset({"organizations:LeaveOrganization", "organizations:RemoveAccountFromOrganization", "organizations:InviteAccountToOrganization", "organizations:AcceptHandshake", "organizations:CreateAccount", "organizations:MoveAccount", "organizations:DetachPolicy", "organizations:DeletePolicy", "organizations:UpdatePolicy", "organizations:DisablePolicyType", "organizations:RegisterDelegatedAdministrator", "organizations:EnableAWSServiceAccess"}), "T1666", CRITICAL, HIGH, subject=("accountId", "policyId"), anywhere=True),
    CallRule("account", "The account was changed: {call}", frozenset({"EnableRegion", "account:PutAlternateContact", "account:DeleteAlternateContact", "account:PutContactInformation", "CloseAccount", "PutAlternateContact"}), "T1535", HIGH, None, subject=("RegionName", "regionName")),
    CallRule("key-policy", "Who may use key {subject} was changed: {call}", frozenset({"kms:CreateGrant", "ImportKeyMaterial", "DeleteImportedKeyMaterial", "DisableKeyRotation"}), "T1098", MEDIUM, None, subject=("keyId",), fits=by_somebody, usual=True),
    # what guards the account, and what it pays for
    CallRule("guards", "What watches or keeps the account was changed: {call} {subject}", _GUARDS, "T1685.002", HIGH, None, subject=("name", "logGroupName", "alarmNames", "configRuleName", "detectorId", "guardrailIdentifier", "resourceArn", "ruleName", "rule"), fits=by_somebody, usual=True),
    CallRule("computing", "Computing was set up or started with the instance's credentials: {call} {subject}", _COMPUTING, "T1496.001", MEDIUM, None, subject=("clusterName", "cluster", "stackName", "name", "projectName", "functionName", "jobName", "launchTemplateName", "autoScalingGroupName", "notebookInstanceName", "family"), fits=by_somebody, usual=True),
    CallRule("image-pushed", "A container image was pushed to {subject}", frozenset({"ecr:PutImage"}), "T1525", MEDIUM, None, subject=("repositoryName",), usual=True),
    CallRule("models-allowed", "Use of Bedrock's models was ordered: {call} {subject}", frozenset({"PutUseCaseForModelAccess", "CreateFoundationModelAgreement", "PutFoundationModelEntitlement", "bedrock:CreateProvisionedModelThroughput"}), "T1496.004", HIGH, None, subject=("modelId",)),
    CallRule("models-used", "Bedrock's model {subject} was used with the instance's credentials", frozenset({"InvokeModel", "InvokeModelWithResponseStream", "bedrock:Converse", "bedrock:ConverseStream", "bedrock:InvokeAgent"}), "T1496.004", MEDIUM, None, subject=("modelId", "agentId"), usual=True),
    CallRule("mail", "Sending of mail was set up or used: {call} {subject}", frozenset({"ses:SendEmail", "ses:SendRawEmail", "ses:SendBulkEmail", "ses:SendTemplatedEmail", "ses:VerifyEmailIdentity", "ses:VerifyDomainIdentity", "ses:CreateEmailIdentity", "ses:UpdateAccountSendingEnabled", "ses:PutAccountSendingAttributes", "ses:PutAccountDetails", "ses:DeleteIdentity"}), "T1496.004", HIGH, None, subject=("emailIdentity", "emailAddress", "domain"), usual=True),
    CallRule("text-messages", "Sending of text messages was set up: {call}", frozenset({"SetSMSAttributes", "CreateSMSSandboxPhoneNumber", "VerifySMSSandboxPhoneNumber", "sms-voice:SendTextMessage", "sms-voice:RequestPhoneNumber"}), "T1496.003", HIGH, None, usual=True),
    CallRule("limits-raised", "A higher limit was asked for: {call} {subject}", frozenset({"RequestServiceQuotaIncrease", "support:CreateCase"}), "T1496", HIGH, None, subject=("quotaCode", "serviceCode", "subject")),
    CallRule("secret-changed", "Secret {subject} was changed or deleted: {call}", frozenset({"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret", "secretsmanager:DeleteSecret", "ssm:PutParameter", "ssm:DeleteParameter", "ssm:DeleteParameters"}), "T1531", MEDIUM, None, subject=("secretId", "name", "names"), fits=by_somebody, usual=True),
)  # fmt: skip
