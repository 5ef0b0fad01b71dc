"""CloudFormation in the lab: templates are resolved here, and each resource is made by the calls that AWS's own service would make.

moto's CloudFormation drops properties and ignores whole types without a word, so that a stack proves nothing. Here a type is made whole,
or it is one of those that the lab has not, with the reason (:data:`lab.emulator.cloudformation.engine.NOT_HERE`).
"""
