"""The one place that opens PostgreSQL: connections, tables, migrations and group commit."""
