"""Where each caller stands, and what the deployed network lets through from there.

Every request has a *place* (:mod:`.places`): Airflow's subnets (``control``), a forensic instance's subnet (``analysis``), another
instance's subnet (``target``), or ``outside`` (people, deployments, AWS's own services). The caller does not choose it: what comes from
a host's sandbox comes from an address that only the lab hands out, and a session stands where the lab gave it, or where the session
stands that assumed it.

A request from inside a VPC passes (:mod:`.routes`) when the DNS firewall lets the service's name resolve (:mod:`.names`) and every subnet
of its place has an interface endpoint for the service and Region with private DNS whose security group admits it, a gateway endpoint in
its route table, or a default route to the internet; all of it as EC2 has it at that moment, made by the deployed CloudFormation. Else the connection is held without an answer for
``network_silence_seconds`` (``/_lab/config``) and dropped. Then the endpoint's policy decides (:mod:`.endpoint_policy`), with AWS's words.

Control routes::

    GET  /_lab/network   whether it is on, places, faults, and a log of what did not pass, each with its reason
    POST /_lab/network   any of
        {"enforce": true}
        {"places": {"control": {"account": …, "region": …, "subnets": […], "groups": […]}}}
        {"faults": [{"kind": "no-path", "place": "control", "service": "iam", "region": "us-east-1"},
                    {"kind": "no-action", "service": "s3", "action": "s3:DeleteObject"},
                    {"kind": "deny-action", "service": "ec2", "action": "ec2:*"}]}     replaces all faults; [] removes them
    GET  /_lab/network-path?place=control&service=iam&region=us-east-1      which path there is, or why there is none
    POST /_lab/service-control-policies   {"name": {"Statement": […]}}      replaces the policies that a test attaches to every member
                                                                            account, beside those that are deployed; {} removes them
    GET  /_lab/host-address?account=…&region=…&instance=…                    from which loopback address a host's connections come

``place`` and ``region`` of a fault may be left out: everywhere. In the server's process the same is :func:`.network.current` and
``lab.emulator.iam.organization.attach``. What can be broken in EC2 itself (ModifyVpcEndpoint, DeleteVpcEndpoints, DeleteRoute, a revoked
rule of a security group) needs no fault: the next request sees it.
"""
