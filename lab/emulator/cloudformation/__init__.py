"""CloudFormation in the lab: templates are resolved here, and each resource is made by the calls that AWS's own service would make.

moto's CloudFormation silently drops properties and ignores whole types, so that a stack proves nothing. Here a type is made whole,
or it is one of those that the lab does not have, with the reason (:data:`lab.emulator.cloudformation.engine.UNSUPPORTED`).
"""
