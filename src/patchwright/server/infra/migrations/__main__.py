# SPDX-License-Identifier: Apache-2.0
"""
Draft a revision: what `tables` has and the revisions before do not.

    python -m patchwright.server.infra.migrations 0001_initial "The first schema."

writes `versions/0001_initial.py`, replacing a draft of that name; format it with ruff. Read it before committing it; a
revision that was released is never changed again.
"""

from __future__ import annotations

import argparse
import itertools
import textwrap
from typing import Any, Literal

import sqlalchemy
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import UpgradeOps

from patchwright.server.infra import schema, tables

_NAMES = {id(getattr(tables, name)): name for name in ("TEXT", "WHOLE", "MOMENT", "OCTETS")}

_REVISION = '''\
# SPDX-License-Identifier: Apache-2.0
"""{message}"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down_revision!r}

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
{calls}


{functions}
'''


def main() -> None:
    """Draft the revision named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m patchwright.server.infra.migrations")
    parser.add_argument("revision", help="its number and what it brings, such as 0002_nodes")
    parser.add_argument("message", nargs="?", default="", help="a sentence")
    arguments = parser.parse_args()
    path = schema.MIGRATIONS / "versions" / f"{arguments.revision}.py"
    text = draft(arguments.revision, arguments.message or arguments.revision, tables.metadata)
    path.write_text(text, encoding="utf-8")


def draft(revision: str, message: str, metadata: sqlalchemy.MetaData) -> str:
    """The source of *revision*: from the revisions before it to *metadata*."""
    earlier = [known for known in schema.revisions() if known < revision]
    engine = sqlalchemy.create_engine("sqlite://")
    functions = []
    with engine.connect() as connection:
        if earlier:
            schema.upgrade(connection, target=earlier[-1])
        context = MigrationContext.configure(connection)
        upgrades = produce_migrations(context, metadata).upgrade_ops
        if upgrades is None:
            raise AssertionError
        for table, steps in itertools.groupby(upgrades.ops, key=lambda step: getattr(step, "table_name", "rest")):
            code = render_python_code(UpgradeOps(list(steps)), render_item=_type_name, migration_context=context)
            lines = [line for line in code.splitlines() if "### " not in line]  # Alembic's remarks
            functions.append((f"_{table}", textwrap.indent(textwrap.dedent("\n".join(lines)), "    ")))
    return _REVISION.format(
        message=message,
        revision=revision,
        down_revision=earlier[-1] if earlier else None,
        calls="\n".join(f"    {name}()" for name, _ in functions),
        functions="\n\n\n".join(f"def {name}() -> None:\n{body}" for name, body in functions),
    )


def _type_name(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """The name of one of our column types; Alembic's own rendering for everything else."""
    return _NAMES.get(id(item), False) if kind == "type" else False


if __name__ == "__main__":
    main()
