"""Count admitted calls by second, one row an account and bucket, for the per-minute limits.

Why: the limits hold over all workers and replicas, so their state is shared; a row of 61 counters is one cheap update.
Locks: account, for the foreign key only, as long as the catalogue change takes.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# moment: of the last decision, epoch seconds by the database's clock; counts[1] is its second, counts[61] the oldest.
# places: the limit that was applied; granted: how many of the calls that were decided together got a place.
RATE_WINDOW = """
CREATE TABLE rate_window (
  account_id bigint NOT NULL REFERENCES account,
  bucket text NOT NULL CHECK (bucket IN ('generate', 'read')),
  moment double precision NOT NULL,
  places int NOT NULL,
  granted int NOT NULL,
  counts int[] NOT NULL CHECK (cardinality(counts) = 61),
  PRIMARY KEY (account_id, bucket)
) WITH (fillfactor = 50)
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(RATE_WINDOW)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE rate_window")
