"""One module for each factor, each with one pure `verify(*, claim, enrolment, ...) -> Verdict`.

The rule of this package: no I/O, no clock, no state, no Flask. The time, the enrolment and the
face engine's observation arrive as arguments. A claim of any form gives a verdict and never an
exception, and evidence holds numbers and names, never a secret.
"""
