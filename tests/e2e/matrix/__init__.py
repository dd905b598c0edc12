# SPDX-License-Identifier: Apache-2.0
"""
The crash matrix: every journalled step of an operation, and what may befall a node there.

    points.py            the table: which faults at which step of which operation, and what each step means
    agent_with_stops.py  the agent on the node, which stops at a chosen step (the product has no hook for it)
    stops.py             the same seen from the test: say where to stop, learn that it is reached, let go
    faults.py            what befalls the node, and how it is undone
    truth.py             what must hold afterwards, whatever befell
    record.py            the log of a run, a line for each point
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.truth")
